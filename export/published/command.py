"""`python -m export published`: the published BioVITA as a pack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgeapp.terminal import tell
from export.errors import ExportError
from export.options import PACK, SOURCE, Card, Licence, Name, Out, PrecisionOption, Version
from gallery import files


def published(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FOLDER",
            help="hf-hub:ORG/NAME[@REVISION], or a folder in its layout; the published BioVITA if not given.",
        ),
    ] = "",
    out: Out = Path("packs/biovita"),
    taxa: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Species table (CSV) of the gallery; the project's if not given.", rich_help_panel=PACK
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER|FILE",
            help="Recordings to fit the decision parameters on: a folder with one folder per species, or a manifest. "
            "Without it, confidences are not calibrated.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Manifest of samples to check the graphs on; the bundled example if not given.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for the results of the steps, from which a run that was stopped goes on; removed at the end. "
            "OUT.steps if not given.",
            rich_help_panel=PACK,
        ),
    ] = None,
    precision: PrecisionOption = "fp32",
    name: Name = "biovita",
    version: Version = None,
    licence: Licence = "MIT",
    card: Card = None,
) -> None:
    """Make a pack of the published BioVITA: import, export, gallery of names, decision parameters.

    Repeat the command to continue after it was stopped.
    """
    from export.folder import today
    from export.pack import Label
    from export.precision import find_precision
    from export.published.pack import PublishedPack, Request
    from trainer.published import BIOVITA
    from trainer.session import field_folder

    if card is not None and not card.is_file():
        raise ExportError(f"{card}: no such file", "name the model card with --card")
    if data is not None and not data.is_file():
        raise ExportError(f"{data}: no such file", "name the manifest of samples with --data")
    failed: list[str] = []

    def report(lines: Sequence[str]) -> None:
        for line in lines:
            failed.append(line)
            tell(line)

    steps = work or Path(f"{out if out.name not in ('', '..') else out.resolve()}.steps")
    label = Label(name, version or today(), licence)
    wanted = find_precision(precision)
    request = Request(
        source or BIOVITA, taxa, out, steps, wanted, label, card, calibrate, data, field_folder() if calibrate else None
    )
    try:
        making = PublishedPack(request, tell, report)
        try:
            with files.locked(steps):
                pack = making.make()
        except BaseException:
            making.steps.drop_empty()
            raise
        making.steps.remove()
    except OSError as error:
        what = f"{error.filename or steps}: {error.strerror or error}"
        raise ExportError(what, "check the folder and the free space, and repeat the command") from None
    for graph, parity in pack.parity.items():
        if "least" in parity:
            tell(f"{graph}: cosine at least {parity['least']:.6f} over {parity['inputs']} inputs")
    if not pack.calibrated:
        tell("confidences are not calibrated: give recordings of known species with --calibrate")
    tell(f"pack {pack.name} {pack.version} is in {out}")
    if failed:
        raise typer.Exit(1)
