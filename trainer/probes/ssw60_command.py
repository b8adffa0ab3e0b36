"""`python -m trainer ssw60`: audio-to-image retrieval on SSW60."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edgeapp.progress_bar import progress
from trainer.errors import ConfigError
from trainer.options import DATA, MACHINE, STAGE, AsJson, Device, Excerpt, ProbedModel, Threads
from trainer.probes.command_line import opened, tell


def ssw60(
    root: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder unpacked from ssw60.tar.gz.")],
    model: ProbedModel = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Precomputed vectors: .npz with audio, audio_ids, image and image_ids.",
            rich_help_panel=STAGE,
        ),
    ] = None,
    images: Annotated[
        str, typer.Option(metavar="inat|nabirds", help="Photos to rank: inat or nabirds.", rich_help_panel=DATA)
    ] = "inat",
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Split of the recordings and photos.", rich_help_panel=DATA)
    ] = "test",
    excerpt: Excerpt = "windows",
    batch: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="Number of files per batch.", rich_help_panel=MACHINE)
    ] = 32,
    device: Device = "auto",
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Rank the photos of SSW60 for each of its recordings: mAP and recall."""
    from trainer.probes.ssw60 import evaluate_ssw60, score_features

    if (model is None) == (features is None):
        raise ConfigError("either --model or --features is required", "name a trained stage with --model")
    if features is not None:
        result = score_features(root, features, images, split)
    else:
        encoder = opened(str(model), device, excerpt, threads)
        with progress("recordings and photos") as done:
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
    tell("listed twice, counted once", result.repeated)
    if result.missing or result.undecodable:
        raise typer.Exit(1)
