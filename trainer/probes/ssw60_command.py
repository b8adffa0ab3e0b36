"""`python -m trainer ssw60`: audio to image on SSW60."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from trainer.errors import ConfigError
from trainer.probes.command_line import counted, opened, tell


def ssw60(
    root: Annotated[Path, typer.Argument(help="Folder that ssw60.tar.gz unpacks to.")],
    model: Annotated[
        str | None, typer.Option(help="Folder of a trained stage, or KIND[:SOURCE] as in the benchmark.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="Vectors made elsewhere: .npz with audio, audio_ids, image, image_ids.")
    ] = None,
    images: Annotated[str, typer.Option(help="Photos to rank: inat or nabirds.")] = "inat",
    split: Annotated[str, typer.Option(help="Split of the recordings and of the photos.")] = "test",
    hearing: Annotated[str, typer.Option(help="windows, as on the device; or onset, as published.")] = "windows",
    batch: Annotated[int, typer.Option(min=1, help="Files decoded at once.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 takes all cores.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Rank the photos of SSW60 for each of its recordings: mAP and recall."""
    from trainer.probes.ssw60 import evaluate_ssw60, score_features

    if (model is None) == (features is None):
        raise ConfigError("one of --model and --features is needed", "name a trained stage with --model")
    if features is not None:
        result = score_features(root, features, images, split)
    else:
        encoder = opened(str(model), device, hearing, threads)
        with counted("recordings and photos") as done:
            result = evaluate_ssw60(root, encoder, images, split, batch, done)
    if as_json:
        print(json.dumps(dataclasses.asdict(result), indent=1))
    else:
        shown = Table(title=f"{root}: audio to image, images_{result.images}, split {result.split}")
        for name in ("mAP", "chance", *(f"R@{top}" for top in result.recall), "recordings", "photos"):
            shown.add_column(name, justify="right")
        shares = (result.map, result.chance, *result.recall.values())
        shown.add_row(*(f"{100 * share:.2f}" for share in shares), str(result.queries), str(result.gallery))
        Console().print(shown)
    tell("missing", result.missing)
    tell("not encoded", result.undecodable)
    tell("no photo of its species", result.without_photo)
    tell("listed again, counts once", result.repeated)
    if result.missing or result.undecodable:
        raise typer.Exit(1)
