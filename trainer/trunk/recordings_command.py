"""`python -m trainer recordings` and `space`: the space, the recordings and the decision parameters among a pack's
towers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.paths import BIRDNET_TOWERS
from trainer.options import MACHINE, RUN, FieldNoise, Manifests, Media


def recordings_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the pack's towers, which is extended.")],
    pack: Annotated[
        str, typer.Option(metavar="NAME|FOLDER", help="Pack built from a classifier and the towers.")
    ] = "birdnet",
    manifests: Manifests = None,
    media: Media = None,
    field: FieldNoise = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Cache of the embeddings, reused if it exists.", rich_help_panel=RUN),
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="Number of CPU threads.", rich_help_panel=MACHINE)
    ] = 1,
) -> None:
    """Add recordings to the towers of a pack built from a classifier, and fit their weight beside the class vectors.

    The vectors of the recordings, with their authors and licences, and the decision parameters are written to the
    folder. The space (space.npz) is fitted first if it is missing. Metrics on sources that are in neither the space nor
    the gallery are printed and saved.
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
    pack: Annotated[str, typer.Option(metavar="NAME|FOLDER", help="Pack built from a classifier.")] = "birdnet",
    towers: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Towers that the pack was built with, whose space is inverted first. Default: the project's.",
        ),
    ] = None,
    manifests: Manifests = None,
    media: Media = None,
    threads: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="Number of CPU threads.", rich_help_panel=MACHINE)
    ] = 1,
) -> None:
    """Fit the space of a pack made of a classifier without the recordings of some taxa.

    What such a pack makes of these taxa can then be measured. Give FOLDER to python -m export as --towers.
    """
    from trainer.trunk.study import fit_unseen_space  # loads torch

    fit_unseen_space(folder, pack, towers or BIRDNET_TOWERS, manifests or [], media, withhold, threads)
