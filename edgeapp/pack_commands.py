"""``biovita-edge pack``: look at packs and check them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.pack import Pack

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Look at a pack and check it.")

Folder = Annotated[Path | None, typer.Argument(metavar="[PACK]", help="Folder; the starter pack if not given.")]


@app.command()
def info(folder: Folder = None, json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Tell what a pack is and what was measured when it was made."""
    import json as json_module
    from dataclasses import asdict

    pack = Pack.load(folder, verify=False)
    if json:
        typer.echo(json_module.dumps({**asdict(pack), "folder": str(pack.folder)}, indent=2, ensure_ascii=False))
        return
    rows = {
        "pack": f"{pack.name} {pack.version} ({pack.preset}), made {pack.created}",
        "folder": str(pack.folder),
        "licence": pack.licence,
        "space": f"{pack.space}, {pack.dim} numbers a vector",
        "audio": f"{pack.audio.file}, windows of {pack.audio.window_s:g} s at {pack.audio.rate_hz} Hz",
        "text": f"{pack.text.file}, {pack.text.context} tokens" if pack.text else "none",
        "image": f"{pack.image.file}, {pack.image.size} x {pack.image.size}" if pack.image else "none",
        "gallery": pack.gallery or "none",
        "decision": ", ".join(f"{key} {value}" for key, value in pack.decision.to_dict().items()),
        **{f"figure {key}": str(value) for key, value in pack.figures.items()},
        **{f"parity {key}": str(value) for key, value in pack.parity.items()},
    }
    for key, value in rows.items():
        typer.echo(f"{key:<10} {value}")


@app.command()
def verify(folder: Folder = None) -> None:
    """Check every byte of a pack, and that its encoders and gallery load and fit together."""
    import numpy as np
    from PIL import Image

    from edgeapp.encoders import AudioEncoder, ImageEncoder, TextEncoder
    from gallery.store import Gallery

    pack = Pack.load(folder)
    # Loading is not enough: each encoder must give a finite unit vector, which `encode` checks.
    audio = AudioEncoder(pack)
    audio.encode(np.random.default_rng(0).normal(0, 0.1, (1, pack.audio.window_samples)).astype(np.float32))
    providers = {"audio": audio.provider}
    if pack.text is not None:
        text = TextEncoder(pack)
        text.encode(["Parus major"])
        providers["text"] = text.provider
    if pack.image is not None:
        image = ImageEncoder(pack)
        image.encode([Image.new("RGB", (pack.image.size, pack.image.size), (90, 120, 60))])
        providers["image"] = image.provider
    if pack.gallery is not None:
        with Gallery.open(pack.gallery_path(), identity=pack.identity):
            pass
    runs = ", ".join(f"{kind} on {provider}" for kind, provider in providers.items())
    typer.echo(f"{pack.folder}: {len(pack.files)} files as they were made; {runs}")
