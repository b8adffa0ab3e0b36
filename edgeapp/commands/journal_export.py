"""``biovita-edge journal export``: detections in the formats of other programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any

import typer

from edgeapp.clock.zones import zone_of
from edgeapp.commands.journal import JournalPath, SinceOption, SpeciesOption, UntilOption, app, time_of
from edgeapp.commands.journal_names import naming_of, spellings, taxa_of
from edgeapp.commands.options import LanguageOption, OutputOption
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
    language: LanguageOption = None,
    journal: JournalPath = None,
) -> None:
    """Export detections for other programs.

    JSON and NDJSON are detection documents, described by docs/detection.schema.json. Tables of sounds (raven,
    audacity, kaleidoscope) have the detections with a clip. An eBird file has the birds that a reviewer confirmed or
    corrected.
    """
    begin, end = time_of(since, "--since"), time_of(until, "--until")
    times = zone_of(zone)
    site = None
    if format.value == "ebird":
        if location is None:
            raise UsageError("eBird needs the name of the location", "give --location")
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
    """The taxa of the galleries of detections, each opened once."""

    def __init__(self) -> None:
        self._taxa: dict[str, dict[str, Taxon]] = {}

    def known(self, path: str) -> dict[str, Taxon]:
        """Taxa of a gallery by scientific name; empty if it no longer exists."""
        if path not in self._taxa:
            self._taxa[path] = {taxon.scientific_name: taxon for taxon in taxa_of(path)}
        return self._taxa[path]

    def is_bird(self, species: str) -> bool:
        """Whether no gallery says otherwise; unknown species are left to the reviewer."""
        found = [taxa[species] for taxa in self._taxa.values() if species in taxa]
        return all(taxon.class_ == BIRDS for taxon in found)


def record_of(row: Mapping[str, Any], galleries: Galleries, naming: Naming) -> Record:
    """Convert a row of the journal's view for the exports."""
    taxa = galleries.known(row["gallery"])
    corrected = row["review_name"] if row["review"] == ReviewVerdict.CORRECTED else ""
    is_species = row["taxon_rank"] == SPECIES
    clip, start_s, end_s = row["clip_path"], row["clip_start_s"], row["clip_end_s"]
    if clip is None and row["backend"] == "file" and row["stream_s"]:
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
