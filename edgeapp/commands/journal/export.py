"""``biovita-edge journal export``: detections in the formats of other programs."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Annotated

import typer

from edgeapp.clock.zones import zone_of
from edgeapp.commands.journal.journal import (
    JournalPath,
    PicturesOption,
    SinceOption,
    SpeciesOption,
    UntilOption,
    app,
    time_of,
)
from edgeapp.commands.journal.names import naming_of, pictures_in, spellings
from edgeapp.commands.options import ExcelOption, LanguageOption, OutputOption, check_excel
from edgeapp.config.defaults import share_location_of
from edgeapp.config.panels import OUTPUT
from edgeapp.detections.pictures import MOST
from edgeapp.errors import UsageError
from edgeapp.journal import Reader
from edgeapp.outputs.destination import Destination
from edgeapp.outputs.ebird import Site
from edgeapp.outputs.export import DOCUMENTS, FORMATS, export, export_documents
from edgeapp.outputs.journal_records import Galleries, birds, record_of
from edgeapp.terminal import tell

EBIRD = "eBird checklist"

Format = Enum("Format", {name.upper(): name for name in FORMATS}, type=str)  # type: ignore[misc]


@app.command("export")
def export_detections(
    format: Annotated[
        Format,
        typer.Option(
            "--format", "-f", metavar="FORMAT", help=f"Output format: {', '.join(FORMATS)}.", rich_help_panel=OUTPUT
        ),
    ] = Format("csv"),
    output: OutputOption = None,
    excel: ExcelOption = False,
    since: SinceOption = None,
    until: UntilOption = None,
    species: SpeciesOption = None,
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone",
            metavar="ZONE",
            help="Time zone of the output, such as Europe/Berlin; local if not given.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    location: Annotated[
        str | None, typer.Option("--location", metavar="NAME", help="Name of the location.", rich_help_panel=EBIRD)
    ] = None,
    state: Annotated[
        str, typer.Option("--state", metavar="TEXT", help="Code of the state.", rich_help_panel=EBIRD)
    ] = "",
    country: Annotated[
        str, typer.Option("--country", metavar="TEXT", help="Code of the country.", rich_help_panel=EBIRD)
    ] = "",
    pictures: PicturesOption = MOST,
    language: LanguageOption = None,
    journal: JournalPath = None,
) -> None:
    """Export detections for other programs.

    JSON and NDJSON are detection documents, described by docs/detection.schema.json. Tables of sounds (raven,
    audacity, kaleidoscope) have the detections with a clip. An eBird file has the birds that a reviewer confirmed or
    corrected.
    """
    check_excel(excel, format.value)
    begin, end = time_of(since, "--since"), time_of(until, "--until")
    times = zone_of(zone)
    site = None
    if format.value == "ebird":
        if location is None:
            raise UsageError("eBird needs the name of the location", "give --location")
        site = Site(location, times, state, country)
    with Reader(journal) as reader, Destination(output) as destination:
        reader.naming, reader.share_location = naming_of(reader, language), share_location_of()
        names = spellings(species, reader)
        if format.value in DOCUMENTS:
            reader.pictures = pictures_in(reader, pictures)
            documents = (reader.document(row) for row in reader.detections(begin, end, names))
            written = export_documents(documents, format.value, destination.out)
            tell(f"{written} written")
            return
        galleries = Galleries()
        found = (
            record_of(row, galleries, reader.naming, reader.share_location)
            for row in reader.detections(begin, end, names)
        )
        not_birds: Counter[str] = Counter()
        records = found if site is None else birds(found, galleries, not_birds)
        done = export(records, format.value, destination.out, times, site, excel)
        reasons = {**done.left_out, **not_birds}
    for reason, n in reasons.items():
        tell(f"left out: {n} {reason}")
    tell(f"{done.written} written")
