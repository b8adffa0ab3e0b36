"""`python -m trainer import` and `adapt`: checkpoints of published weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.terminal import tell
from trainer.options import HUB_SOURCE


def import_published(
    source: Annotated[
        str,
        typer.Argument(metavar="NAME|FOLDER", help=f"{HUB_SOURCE}; the published BioVITA if not given."),
    ] = "",
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the checkpoint.")] = Path(
        "runs/published/stage2"
    ),
    taxa: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Species table (CSV); the project's if not given.")
    ] = None,
) -> None:
    """Convert the published BioVITA weights into a checkpoint, to evaluate and export it."""
    from trainer.imported import import_weights
    from trainer.published import BIOVITA

    import_weights(source or BIOVITA, out, taxa)
    tell(f"checkpoint is in {out}")


def adapt_command(
    pack: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="Pack with class vectors.")],
    bioclip: Annotated[
        str | None,
        typer.Option(metavar="NAME|FOLDER", help=f"BioCLIP 2 weights: {HUB_SOURCE}; as published if not given."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the checkpoint.")] = Path(
        "runs/adapted/distill"
    ),
) -> None:
    """Fit an adapter from a pack's audio encoder to BioCLIP 2, on class vectors and names, without recordings."""
    from trainer.published import BIOCLIP
    from trainer.trunk.adapter import distil

    distil(pack, bioclip or BIOCLIP, out, tell)
    tell(f"checkpoint is in {out}")
