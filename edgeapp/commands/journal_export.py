"""``biovita-edge journal export``: detections as other programs read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeapp.clock.zones import zone_of
from edgeapp.commands.journal import JournalPath, app, time_of
from edgeapp.commands.journal_names import naming_of, spellings, taxa_of
from edgeapp.commands.options import language_option
from edgeapp.config.panels import OUTPUT
from edgeapp.detections.review import ReviewVerdict
from edgeapp.errors import UsageError
from edgeapp.journal import Reader, utc_of
from edgeapp.outputs.ebird import Site
from edgeapp.outputs.export import DOCUMENTS, FORMATS, export, export_documents
from edgeapp.outputs.records import SPECIES, Record
from edgeapp.outputs.writer import Destination
from gallery.naming import Naming
from gallery.taxon import Taxon

BIRDS = "Aves"
NO_BIRD = "no bird"
# Groups of options in the help.
SELECTION = "Which detections"
EBIRD = "eBird checklist"

Format = Enum("Format", {name.upper(): name for name in FORMATS}, type=str)  # type: ignore[misc]


@app.command("export")
def export_detections(
    format: Annotated[Format, typer.Option("--format", "-f", help="Output format.", rich_help_panel=OUTPUT)] = Format(
        "csv"
    ),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Output file (written atomically); standard output if not given.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From this time on.", rich_help_panel=SELECTION)
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Before this time.", rich_help_panel=SELECTION)
    ] = None,
    species: Annotated[
        str | None,
        typer.Option(
            "--species",
            help="Only this taxon, by its scientific or common name in any language.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone",
            metavar="NAME",
            help="Of the times, such as Europe/Berlin; local if not given.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    location: Annotated[
        str | None, typer.Option("--location", help="Name of the place, for eBird.", rich_help_panel=EBIRD)
    ] = None,
    state: Annotated[str, typer.Option("--state", help="Code of the state, for eBird.", rich_help_panel=EBIRD)] = "",
    country: Annotated[
        str, typer.Option("--country", help="Code of the country, for eBird.", rich_help_panel=EBIRD)
    ] = "",
    language: Annotated[str | None, language_option(OUTPUT)] = None,
    journal: JournalPath = None,
) -> None:
    """Write detections for another program: csv, json, ndjson, raven, audacity, kaleidoscope or ebird.

    JSON and NDJSON are detection documents, described by docs/detection.schema.json. A table of sounds (raven,
    audacity, kaleidoscope) has the detections whose clips were kept. An eBird file has birds that a person confirmed or
    corrected.
    """
    begin, end = time_of(since, "--since"), time_of(until, "--until")
    times = zone_of(zone)
    site = None
    if format.value == "ebird":
        if location is None:
            raise UsageError("eBird needs the name of the place", "give --location")
        site = Site(location, times, state, country)
    with Reader(journal) as reader, Destination(output) as destination:
        reader.naming = naming_of(reader, language)
        names = spellings(species, reader)
        if format.value in DOCUMENTS:
            documents = (reader.document(row) for row in reader.detections(begin, end, names))
            written = export_documents(documents, format.value, destination.out)
            typer.echo(f"{written} written", err=True)
            return
        galleries = Galleries()
        found = (record_of(row, galleries, reader.naming) for row in reader.detections(begin, end, names))
        left_out = 0

        def birds() -> Iterator[Record]:
            nonlocal left_out
            for record in found:
                if site is None or galleries.is_bird(record.corrected_name or record.scientific_name):
                    yield record
                else:
                    left_out += 1

        done = export(birds(), format.value, destination.out, times, site)
        reasons = dict(done.left_out) | ({NO_BIRD: left_out} if left_out else {})
    for reason, n in reasons.items():
        typer.echo(f"left out: {n} {reason}", err=True)
    typer.echo(f"{done.written} written", err=True)


class Galleries:
    """The taxa of the galleries that detections were made with, opened once each."""

    def __init__(self) -> None:
        self._taxa: dict[str, dict[str, Taxon]] = {}

    def known(self, path: str) -> dict[str, Taxon]:
        """Taxa of a gallery by scientific name; none when it is not there any more."""
        if path not in self._taxa:
            self._taxa[path] = {taxon.scientific_name: taxon for taxon in taxa_of(path)}
        return self._taxa[path]

    def is_bird(self, species: str) -> bool:
        """Whether one of the galleries says that it is; a species that none knows is left to the reviewer."""
        found = [taxa[species] for taxa in self._taxa.values() if species in taxa]
        return all(taxon.class_ == BIRDS for taxon in found)


def record_of(row: Mapping[str, Any], galleries: Galleries, naming: Naming) -> Record:
    """A row of the journal's view as the exports take it."""
    taxa = galleries.known(row["gallery"])
    corrected = row["review_name"] if row["review"] == ReviewVerdict.CORRECTED else ""
    is_species = row["taxon_rank"] == SPECIES
    clip, start_s, end_s = row["clip_path"], row["clip_start_s"], row["clip_end_s"]
    if clip is None and row["route"] == "file" and row["stream_s"]:
        clip, start_s, end_s = row["source"], 0.0, max(row["stream_s"], row["end_s"])
    return Record(
        time_utc=utc_of(row["time_utc"]),
        clock_set=bool(row["clock_set"]),
        start_s=row["start_s"],
        end_s=row["end_s"],
        source=row["source"],
        taxon_rank=row["taxon_rank"],
        scientific_name=row["scientific_name"],
        common_name=naming.of(row["scientific_name"], row["common_name"] or "") if is_species else "",
        confidence=row["confidence"],
        rate_hz=row["rate_hz"],
        pack=row["pack"],
        pack_version=row["pack_version"],
        latitude=row["latitude"],
        longitude=row["longitude"],
        review=row["review"],
        corrected_name=corrected,
        corrected_common_name=naming.of(corrected, taxa[corrected].common_name if corrected in taxa else ""),
        clip=clip,
        clip_start_s=start_s or 0.0,
        clip_end_s=end_s or 0.0,
    )
