"""`python -m trainer import` and `adapt`: checkpoints made of published weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trainer.options import Taxa


def import_published(
    source: Annotated[
        str,
        typer.Argument(help="hf-hub:ORG/NAME[@REVISION] or a folder; none: BioVITA as published."),
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")] = Path("runs/published/stage2"),
    taxa: Taxa = None,
) -> None:
    """Make a checkpoint of the published BioVITA, to be evaluated and exported as one of ours."""
    from trainer.published import BIOVITA
    from trainer.session import adopt

    adopt(source or BIOVITA, out, taxa)
    Console(stderr=True).print(f"checkpoint is in {out}", highlight=False, soft_wrap=True)


def adapt_command(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="Pack with class vectors, by name or folder.")],
    bioclip: Annotated[
        str | None, typer.Option(help="BioCLIP 2 weights: hf-hub:ORG/NAME[@REVISION], or a folder.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")] = Path("runs/adapted/distill"),
) -> None:
    """Put a pack's frozen audio encoder into BioCLIP 2's space, from class vectors and names, without a recording."""
    from trainer.published import BIOCLIP
    from trainer.trunk.adapter import distil

    console = Console(stderr=True)

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    distil(pack, bioclip or BIOCLIP, out, tell)
    tell(f"checkpoint is in {out}")
