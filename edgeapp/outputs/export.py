"""Export of a journal's detections in the formats of other programs.

JSON and NDJSON are the detection documents. A table of sounds (raven, audacity, kaleidoscope) has only detections whose
sound was kept, and its files are the clips. A detection above the species leaves the columns of a species empty. What a
reviewer rejected is left out of every table, and is in the documents, which say so; what a reviewer corrected has the
corrected name, and no confidence, since none was computed for that name. Everything left out is counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timezone, tzinfo
from typing import Any, TextIO

from edgeapp.clock.weeks import birdnet_week
from edgeapp.detections.document import DECIMALS, TIME_DECIMALS
from edgeapp.detections.review import ReviewVerdict
from edgeapp.errors import UsageError
from edgeapp.outputs import audacity, ebird, kaleidoscope, raven
from edgeapp.outputs.csv import HEADER as BIRDNET
from edgeapp.outputs.records import SPECIES, Record
from edgeapp.outputs.selection import Row, Selection
from edgeapp.outputs.spreadsheet import MARK, csv_rows
from edgeapp.outputs.words import one_line

TABLES_OF_RECORDS = ("csv", "raven", "audacity", "kaleidoscope", "ebird")
DOCUMENTS = ("json", "ndjson")
FORMATS = ("csv", *DOCUMENTS, "raven", "audacity", "kaleidoscope", "ebird")
# BirdNET's optional columns in its order, then what only we know.
CSV_COLUMNS = (
    *BIRDNET,
    "lat",
    "lon",
    "week",
    "model",
    "time",
    "clock_set",
    "rank",
    "taxon",
    "review",
    "channel",
    "recorded_at_origin",
    "recorded_at_doubt",
)

TABLES: Mapping[str, tuple[str, Row]] = {
    "raven": (raven.head(raven.DATED), raven.row),
    "audacity": ("", audacity.row),
    "kaleidoscope": (kaleidoscope.head(), kaleidoscope.row),
}
WAS_REJECTED = "rejected by a reviewer"
NO_SOUND = "without a clip"


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes
    ----------
    written : int
        Records that are in the output. In an eBird file one row may stand for several.
    left_out : Mapping of str to int
        Reason to number of records, in words that follow a number: "12 not confirmed or corrected by a reviewer".
    """

    written: int
    left_out: Mapping[str, int]


def export(
    records: Iterable[Record],
    format: str,
    out: TextIO,
    zone: tzinfo = timezone.utc,
    site: ebird.Site | None = None,
    excel: bool = False,
) -> Exported:
    """Write records as a table.

    Parameters
    ----------
    records : iterable of Record
        In the order to be written, which is that of the times on Raven's and Audacity's long sound: a clip is put at
        the end of those before it when its first record comes. eBird's file is sorted by time.
    format : str
        One of `TABLES_OF_RECORDS`.
    out : text file
        An eBird file is written only once it is known to be small enough.
    zone : tzinfo
        Of the times in the table, which name their offset, and of the week. An eBird file has that of its site.
    site : Site or None
        Needed for eBird.
    excel : bool
        Whether CSV is for spreadsheets; see `edgeapp.outputs.spreadsheet`.

    Returns
    -------
    Exported

    Raises
    ------
    UsageError
        There is no such format, or eBird has no site.
    OutputError
        The file cannot be written, or is more than eBird takes.
    """
    left_out: Counter[str] = Counter()
    if format == "csv":
        written = _csv(_accepted(records, left_out), out, zone, excel)
    elif format in TABLES:
        written = _table(_audible(_accepted(records, left_out), left_out), out, zone, *TABLES[format])
    elif format == "ebird":
        if site is None:
            raise UsageError(
                "eBird needs the name and the time zone of the place", "give the name of the location and zone"
            )
        written = _ebird(records, out, site, left_out)
    else:
        raise UsageError(f"unknown table {format!r}", f"use {', '.join(TABLES_OF_RECORDS)}")
    out.flush()
    return Exported(written, dict(left_out))


def export_documents(documents: Iterable[Mapping[str, Any]], format: str, out: TextIO) -> int:
    """Write detection documents as JSON, a list with one on each line, or as NDJSON; returns how many."""
    written = 0
    in_list = format == "json"
    out.write("[" if in_list else "")
    for document in documents:
        written += 1
        out.write(("," if written > 1 else "") + "\n  " if in_list else "")
        out.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + ("" if in_list else "\n"))
    if in_list:
        out.write("\n]\n" if written else "]\n")
    out.flush()
    return written


def selection(record: Record, zone: tzinfo) -> Selection:
    """A record as a stretch of the file in which it can be heard, under the name it has after its review."""
    file, start_s, end_s = record.in_file
    corrected = record.review == ReviewVerdict.CORRECTED
    if corrected:
        # A reviewer may stop at the genus, whose name is one word.
        rank = SPECIES if " " in record.corrected_name.strip() else "taxon"
        name = record.corrected_name
    else:
        rank, name = record.taxon_rank, record.scientific_name
    return Selection(
        file=file,
        start_s=start_s,
        end_s=end_s,
        rate_hz=record.rate_hz,
        taxon_rank=rank,
        scientific_name=name,
        common_name=record.species[1],
        confidence=None if corrected else float(record.confidence),
        time=record.local(zone),
    )


def _accepted(records: Iterable[Record], left_out: Counter[str]) -> Iterator[Record]:
    for record in records:
        if record.review == ReviewVerdict.REJECTED:
            left_out[WAS_REJECTED] += 1
        else:
            yield record


def _audible(records: Iterable[Record], left_out: Counter[str]) -> Iterator[Record]:
    for record in records:
        if record.clip is None:
            left_out[NO_SOUND] += 1
        else:
            yield record


def _table(records: Iterable[Record], out: TextIO, zone: tzinfo, head: str, row: Row) -> int:
    out.write(head)
    begins_s: dict[str, float] = {}
    end_s = 0.0
    number = 0
    for number, record in enumerate(records, start=1):
        one = selection(record, zone)
        if one.file not in begins_s:
            begins_s[one.file] = end_s
            end_s += record.clip_end_s - record.clip_start_s
        out.write(row(number, begins_s[one.file], one))
    return number


def _csv(records: Iterable[Record], out: TextIO, zone: tzinfo, excel: bool) -> int:
    out.write(MARK if excel else "")
    table = csv_rows(out, excel)
    table.writerow(CSV_COLUMNS)
    written = 0
    for record in records:
        written += 1
        file, start_s, end_s = record.in_file
        local = record.local(zone)
        scientific_name, common_name = record.species
        table.writerow(
            (
                round(start_s, TIME_DECIMALS),
                round(end_s, TIME_DECIMALS),
                one_line(scientific_name),
                one_line(common_name),
                "" if record.review == ReviewVerdict.CORRECTED else f"{record.confidence:.{DECIMALS}f}",
                one_line(file),
                "" if record.latitude is None else record.latitude,
                "" if record.longitude is None else record.longitude,
                birdnet_week(local.date()) if record.clock_set else "",
                one_line(record.model),
                local.isoformat(timespec="milliseconds"),
                int(record.clock_set),
                record.taxon_rank,
                one_line(record.scientific_name),
                record.review or "",
                record.channel or "",
                record.recorded_at_origin or "",
                record.recorded_at_doubt or "",
            )
        )
    return written


def _ebird(records: Iterable[Record], out: TextIO, site: ebird.Site, left_out: Counter[str]) -> int:
    kept = []
    for record in records:
        reason = ebird.left_out(record)
        if reason is None:
            kept.append(record)
        else:
            left_out[reason] += 1
    out.write(ebird.document(kept, site))
    return len(kept)
