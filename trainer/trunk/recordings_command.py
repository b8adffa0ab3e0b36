"""`python -m trainer recordings` and `space`: the space, the recordings and the decision parameters among a pack's
towers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.paths import BIRDNET_TOWERS


def recordings_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Towers of the pack: what is fitted goes there.")],
    pack: Annotated[str, typer.Option(help="Pack, by name or folder, made of a classifier and FOLDER.")] = "birdnet",
    manifests: Annotated[
        list[Path] | None, typer.Option("--data", help="Manifest, CSV or Parquet. Default: the starter data.")
    ] = None,
    media: Annotated[Path | None, typer.Option(help="Folder of the files; default: the manifest's own.")] = None,
    field: Annotated[
        Path | None,
        typer.Option(help="Folder of field noise (maad_*.flac) for mixtures; default: the one beside the data."),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="File for what the pack makes of the sound; read instead where it is there.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Fit how recordings count in a pack made of a classifier, and put them among its towers.

    FOLDER gets the vectors of the recordings with their authors and licences, and the decision parameters. Where it has
    no space yet (space.npz), that is fitted first. What the parameters reach on sources that neither the space nor the
    gallery has is printed and kept.
    """
    from trainer.trunk.study import fit_recordings  # loads torch

    fit_recordings(folder, pack, manifests or [], media, field, keep, threads)


def space_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where space.npz goes.")],
    withhold: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Taxa whose recordings take no part: a name a line, or a CSV with scientific_name."
        ),
    ],
    pack: Annotated[str, typer.Option(help="Pack, by name or folder, made of a classifier.")] = "birdnet",
    towers: Annotated[
        Path | None,
        typer.Option(help="Towers that the pack was made with: their space is taken back. Default: the project's."),
    ] = None,
    manifests: Annotated[
        list[Path] | None, typer.Option("--data", help="Manifest, CSV or Parquet. Default: the starter data.")
    ] = None,
    media: Annotated[Path | None, typer.Option(help="Folder of the files; default: the manifest's own.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Fit the space of a pack made of a classifier without the recordings of some taxa.

    What such a pack makes of these taxa can then be measured. Give FOLDER to python -m export as --towers.
    """
    from trainer.trunk.study import fit_unseen_space  # loads torch

    fit_unseen_space(folder, pack, towers or BIRDNET_TOWERS, manifests or [], media, withhold, threads)
