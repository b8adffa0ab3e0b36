"""``biovita-edge species``: the species expected at a location, by the occurrence model of a pack."""

from __future__ import annotations

import csv
import json
from enum import Enum
from typing import Annotated, Any, TextIO

import typer

from edgeapp.commands.options import LanguageOption, OutputOption, PackOption
from edgeapp.commands.place import (
    WHOLE_YEAR,
    DateOption,
    LatitudeOption,
    LeastOption,
    LongitudeOption,
    WeekOption,
    place_of,
    week_of,
)
from edgeapp.config.defaults import language_of, station_place
from edgeapp.config.panels import OUTPUT
from edgeapp.detections.occurrence import Occurrence
from edgeapp.errors import UsageError
from edgeapp.file_names import printable
from edgeapp.outputs.destination import Destination
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import load_pack
from edgeapp.pack.names import naming_in, shipped_species
from edgeapp.terminal import tell
from gallery.store import Gallery
from gallery.taxon import Taxon

DECIMALS = 4  # of occurrence
COLUMNS = ("scientific_name", "common_name", "occurrence")


class Format(str, Enum):
    """Output format."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    LIST = "list"


def species(
    latitude: LatitudeOption = None,
    longitude: LongitudeOption = None,
    week: WeekOption = None,
    date: DateOption = None,
    min_occurrence: LeastOption = None,
    format: Annotated[
        Format,
        typer.Option("--format", "-f", metavar="table|csv|json|list", help="Output format.", rich_help_panel=OUTPUT),
    ] = Format.TABLE,
    output: OutputOption = None,
    language: LanguageOption = None,
    pack: PackOption = None,
) -> None:
    """List the species expected at a location in a week with their occurrence, the most frequent first.

    The location defaults to that of the station's settings, the time to the whole year. The format list is BirdNET's
    species list, which --species-list accepts too.
    """
    place = place_of(latitude, longitude) or station_place()
    if place is None:
        raise UsageError("no location given", "give --latitude and --longitude")
    asked = week_of(week, date)
    in_week = None if asked in (None, WHOLE_YEAR) else asked
    loaded = load_pack(pack)
    expected = Occurrence.of(loaded, *place, min_occurrence)
    taxa = _taxa(loaded)
    naming = naming_in(language_of(language), taxa.values())
    rows: list[dict[str, Any]] = [
        {
            "scientific_name": name,
            "common_name": naming.of(name, taxa[name].common_name if name in taxa else "") or None,
            "occurrence": round(value, DECIMALS),
        }
        for name in expected.values
        if (value := expected.value(name, in_week)) is not None and value >= expected.least
    ]
    rows.sort(key=lambda row: (-row["occurrence"], row["scientific_name"]))
    with Destination(output) as destination:
        if format is Format.JSON:
            head = {
                "latitude": place[0],
                "longitude": place[1],
                "week": in_week,
                "min_occurrence": expected.least,
                "pack": {"name": loaded.name, "version": loaded.version},
            }
            destination.out.write(json.dumps({**head, "species": rows}, indent=2, ensure_ascii=False) + "\n")
        elif format is Format.CSV:
            table = csv.DictWriter(destination.out, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        elif format is Format.LIST:
            for row in rows:
                destination.out.write(f"{row['scientific_name']}_{row['common_name'] or row['scientific_name']}\n")
        else:
            _print(rows, destination.out)
    when = "in the whole year" if in_week is None else f"in week {in_week}"
    tell(f"{len(rows)} species at {place[0]:g}, {place[1]:g} {when}, occurrence from {expected.least:g}")


def _taxa(pack: Pack) -> dict[str, Taxon]:
    """Taxa with English names: those of the pack's own gallery, then those shipped with the program."""
    found = {taxon.scientific_name: taxon for taxon in shipped_species()}
    if pack.gallery is not None:
        with Gallery.open(pack.gallery_path()) as gallery:
            found |= {taxon.scientific_name: taxon for taxon in gallery.taxa()}
    return found


def _print(rows: list[dict[str, Any]], out: TextIO) -> None:
    width = max((len(row["scientific_name"]) for row in rows), default=0)
    for row in rows:
        line = f"{row['occurrence']:6.3f}  {row['scientific_name']:<{width}}  {row['common_name'] or ''}"
        out.write(printable(line.rstrip()) + "\n")
