"""``biovita-edge pack``: look at packs and check them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from edgeapp.errors import BiovitaError, UsageError
from edgeapp.pack.format import Pack

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Look at a pack and check it.")

Folder = Annotated[Path | None, typer.Argument(metavar="[PACK]", help="Folder; the starter pack if not given.")]
Provider = Annotated[
    str | None,
    typer.Option("--provider", help="What runs the encoders: auto, cpu, cuda, tensorrt, engine or engine-fp16."),
]


@app.command()
def info(folder: Folder = None, json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Tell what a pack is, what was measured when it was made, and what runs it here."""
    import json as json_module
    from dataclasses import asdict

    from edgeapp.runtime.encoders import AudioEncoder
    from edgeapp.runtime.ort import runtime
    from edgeapp.runtime.settings import RunSettings

    pack, threads = Pack.load(folder, verify=False), RunSettings.of().threads
    try:
        runs = {"provider": AudioEncoder(pack).provider, "threads": threads, "runtime": runtime()}
    except BiovitaError as error:  # a pack can be looked at where it cannot be run
        runs = {"provider": None, "fault": str(error)}
    engines = list(engines_of_pack(pack))
    if json:
        told = {**asdict(pack), "folder": str(pack.folder), "runs_here": runs, "engines": engines}
        typer.echo(json_module.dumps(told, indent=2, ensure_ascii=False))
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
        **{f"figure {key}": measured(value) for key, value in pack.figures.items()},
        "precision": pack.precision,
        **{f"in fp32 {key}": ", ".join(kept) or "nothing" for key, kept in pack.in_fp32.items()},
        **{f"parity {key}": measured(value) for key, value in pack.parity.items()},
        "runs here": ", ".join(f"{key} {value}" for key, value in runs.items()),
    }
    for key, value in [*rows.items(), *(("engine", measured(one)) for one in engines)]:
        typer.echo(f"{key:<10} {value}")


def engines_of_pack(pack: Pack) -> Iterator[dict[str, object]]:
    """What there is of TensorRT engines, and the least cosine with the graph where each was checked."""
    from edgeapp.runtime.graph import MODALITIES, PackGraph
    from edgeapp.runtime.tensorrt.cache import engines_of

    for modality in MODALITIES:
        if getattr(pack, modality) is None:
            continue
        for engine in engines_of(PackGraph.of(pack, modality)):
            key = engine.key
            yield {
                "graph": modality,
                "precision": key.precision,
                "library": f"{key.library} {key.version}",
                "for": key.gpu or " or ".join(key.compute),
                "file": str(engine.path),
                "built_s": round(engine.built_s, 1),
                "least_cosine": dict(engine.checked) or "not checked yet",
            }


def measured(figures: object) -> str:
    """Figures for people: names and numbers."""
    return (
        ", ".join(f"{name} {value}" for name, value in figures.items()) if isinstance(figures, dict) else str(figures)
    )


@app.command()
def verify(folder: Folder = None, provider: Provider = None) -> None:
    """Check every byte of a pack, and that its encoders and gallery load and fit together."""
    import numpy as np
    from PIL import Image

    from edgeapp.runtime.encoders import AudioEncoder, ImageEncoder, TextEncoder
    from gallery.store import Gallery

    pack = Pack.load(folder)
    # Loading is not enough: each encoder must give a finite unit vector, which `encode` checks.
    audio = AudioEncoder(pack, provider=provider)
    audio.encode(np.random.default_rng(0).normal(0, 0.1, (1, pack.audio.window_samples)).astype(np.float32))
    providers = {"audio": audio.provider}
    if pack.text is not None:
        text = TextEncoder(pack, provider=provider)
        text.encode(["Parus major"])
        providers["text"] = text.provider
    if pack.image is not None:
        image = ImageEncoder(pack, provider=provider)
        image.encode([Image.new("RGB", (pack.image.size, pack.image.size), (90, 120, 60))])
        providers["image"] = image.provider
    if pack.gallery is not None:
        with Gallery.open(pack.gallery_path(), identity=pack.identity):
            pass
    runs = ", ".join(f"{modality} on {provider}" for modality, provider in providers.items())
    typer.echo(f"{pack.folder}: {len(pack.files)} files as they were made; {runs}")


@app.command("build-engine")
def build_engine(
    folder: Folder = None,
    graph: Annotated[
        list[str] | None, typer.Option("--graph", help="audio, text or image; audio if not given. May be given again.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="graph: as the pack has it; fp16: lowered by TensorRT 10.")
    ] = "graph",
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Compute capability, such as 8.6, to build for without its GPU (TensorRT-RTX)."),
    ] = None,
    into: Annotated[Path | None, typer.Option("--folder", help="Where to; the user's cache if not given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Build also when it is there.")] = False,
) -> None:
    """Build TensorRT engines of a pack's graphs, check them against the CPU, and keep them."""
    from edgeapp.runtime.graph import MODALITIES, PackGraph
    from edgeapp.runtime.settings import RunSettings
    from edgeapp.runtime.tensorrt.cache import build_engine as build

    modalities = list(dict.fromkeys(graph or ["audio"]))
    for modality in modalities:
        if modality not in MODALITIES:
            raise UsageError(f"there is no graph {modality!r}", f"give --graph {', '.join(MODALITIES)}")
    pack = Pack.load(folder)
    settings, targets = RunSettings.of("cpu"), sorted(set(target or ()))
    for modality in modalities:
        built = build(
            PackGraph.of(pack, modality), precision, settings=settings, targets=targets, folder=into, force=force
        )
        typer.echo(built.path)
