"""A summary of an archive as a table, CSV, JSON and a heat map."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from itertools import islice
from typing import Any, TextIO

import numpy as np

from edgeapp.archive.queries.calendar import UNKNOWN, Calendar
from edgeapp.archive.queries.summary import Effort, Summary, TaxonName, taxa_totals
from edgeapp.detections.document import DECIMALS
from edgeapp.file_names import printable
from edgeapp.outputs.heat_map import HeatMap

SHOWN = 100  # lines on a terminal
MOST_ROWS = 40  # of a heat map
HOURS = tuple(f"{hour:02d}" for hour in range(24))
OF_TAXON = ("taxon_rank", "scientific_name", "common_name")
OF_COUNT = ("detections", "recordings", "confidence", "mean_confidence", "detected_s", "first", "last")
OF_EFFORT = ("effort_h", "effort_recordings", "silent_recordings", "failed_recordings", "windows", "silent_windows")
RATE = "detections_per_h"


def fields(found: Summary, zone: tzinfo | None) -> Iterator[dict[str, Any]]:
    """The lines of a summary, with the names of their columns; absent values are None."""
    calendar = Calendar((), zone)

    def local(ms: int | None) -> str | None:
        return None if ms is None else calendar.local(ms).isoformat(timespec="seconds")

    for key, name, count, effort in found.lines():
        yield {
            **dict(zip(found.keys, key, strict=True)),
            **_taxon(name),
            "detections": count.detections,
            "recordings": count.recordings,
            "confidence": round(count.confidence, DECIMALS) if count.detections else None,
            "mean_confidence": round(count.confidences / count.detections, DECIMALS) if count.detections else None,
            "detected_s": round(count.seconds, 1),
            "first": local(count.first_ms),
            "last": local(count.last_ms),
            RATE: round(count.detections / effort.hours, 3) if effort.seconds > 0 else None,
            **_effort(effort),
        }


def _taxon(name: TaxonName | None) -> dict[str, str | None]:
    if name is None:
        return dict.fromkeys(OF_TAXON)
    return {"taxon_rank": name.rank, "scientific_name": name.scientific_name, "common_name": name.common_name or None}


def _effort(effort: Effort) -> dict[str, Any]:
    return {
        "effort_h": round(effort.hours, 4),
        "effort_recordings": effort.recordings,
        "silent_recordings": effort.silent,
        "failed_recordings": effort.failed,
        "windows": effort.windows or None,
        "silent_windows": effort.silent_windows if effort.windows else None,
    }


def write_csv(found: Summary, out: TextIO, zone: tzinfo | None) -> None:
    """A summary as CSV: a line for each key and taxon, and one for each key at which nothing was detected."""
    table = csv.DictWriter(out, (*found.keys, *OF_TAXON, *OF_COUNT, RATE, *OF_EFFORT), lineterminator="\n")
    table.writeheader()
    table.writerows(fields(found, zone))


def write_json(found: Summary, out: TextIO, zone: tzinfo | None) -> None:
    """A summary as JSON, a line on each line."""
    head = {"by": list(found.keys), "zone": str(zone or "local"), "detections": found.detections}
    total = json.dumps({**head, **_effort(found.total)}, ensure_ascii=False).removesuffix("}")
    out.write(f'{total}, "lines": [')
    for number, line in enumerate(fields(found, zone)):
        out.write(("," if number else "") + "\n  " + json.dumps(line, ensure_ascii=False, allow_nan=False))
    out.write("\n]}\n")


def print_table(found: Summary, out: TextIO, zone: tzinfo | None) -> None:
    """A summary for a person, at most `SHOWN` lines of it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, highlight=False, width=None if out.isatty() else 140)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for key in found.keys:
        table.add_column(key, overflow="fold")
    table.add_column("species")
    table.add_column("scientific name")
    for title in ("detections", "recordings", "highest", "mean", "per hour", "hours"):
        table.add_column(title, justify="right")
    for title in ("first", "last"):
        table.add_column(title, no_wrap=True)
    lines = fields(found, zone)
    n_lines = 0
    for line in islice(lines, SHOWN):
        n_lines += 1
        table.add_row(*(Text(printable(line[key])) for key in found.keys), *map(Text, _cells(line)))
    left = sum(1 for _ in lines)
    if n_lines:
        console.print(table)
    if left:
        console.print(Text(f"… {left} more lines, see --csv", style="dim"))
    total = found.total
    said = [
        f"{found.detections} detections in {total.hours:.2f} h of sound, {total.recordings} recordings",
        f"{total.silent} without sound",
        f"{total.failed} failed",
    ]
    if total.windows:
        said.append(f"{total.silent_windows} of {total.windows} windows without sound")
    console.print(Text(", ".join(said)))


def _cells(line: dict[str, Any]) -> tuple[str, ...]:
    name, rank = line["scientific_name"], line["taxon_rank"]
    hours = f"{line['effort_h']:.2f}"
    if name is None:
        return ("-", "", "0", "", "", "", "", hours, "", "")
    shown = line["common_name"] or (name if rank == "species" else f"{name} ({rank})")
    return (
        printable(shown),
        printable(name) if rank == "species" else "",
        str(line["detections"]),
        str(line["recordings"]),
        f"{line['confidence']:.2f}",
        f"{line['mean_confidence']:.2f}",
        "-" if line[RATE] is None else f"{line[RATE]:.2f}",
        hours,
        _short(line["first"]),
        _short(line["last"]),
    )


def _short(time: str | None) -> str:
    return "-" if time is None else time[:16].replace("T", " ")


def heat_map(found: Summary, one_taxon: bool) -> HeatMap:
    """Detections per hour of effort over the last key.

    Parameters
    ----------
    found : Summary
        With a key at least.
    one_taxon : bool
        Whether its rows are the first key instead of the taxa; needs two keys.
    """
    at = len(found.keys) - 1
    rows_by_key = one_taxon and at > 0
    totals = taxa_totals(found)
    columns = _axis(found.keys[at], sorted({key[at] for key in found.effort} | {key[at] for key, _ in found.counts}))
    if rows_by_key:
        rows: Sequence[Any] = _axis(found.keys[0], sorted({key[0] for key in found.effort}))
        labels = list(rows)
    else:
        rows = sorted(totals, key=lambda name: (name.rank != "species", -totals[name], name))[:MOST_ROWS]
        labels = [
            one.scientific_name if one.rank == "species" else f"{one.scientific_name} ({one.rank})" for one in rows
        ]
    row_of, column_of = {row: n for n, row in enumerate(rows)}, {column: n for n, column in enumerate(columns)}
    counts, seconds = np.zeros((len(rows), len(columns))), np.zeros((len(rows), len(columns)))
    for (key, name), one in found.counts.items():
        row = row_of.get(key[0] if rows_by_key else name)
        if row is not None:
            counts[row, column_of[key[at]]] += one.detections
    for key, effort in found.effort.items():
        if not rows_by_key:
            seconds[:, column_of[key[at]]] += effort.seconds
        elif key[0] in row_of:
            seconds[row_of[key[0]], column_of[key[at]]] += effort.seconds
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(seconds > 0, counts * 3600 / seconds, np.nan)
    over = f"by {found.keys[at]}"
    if rows_by_key:
        over = f"{_named(list(totals))} by {found.keys[0]} and {found.keys[at]}"
    elif len(totals) > len(rows):
        over += f" (the {len(rows)} most frequent of {len(totals)} taxa)"
    return HeatMap(f"Detections per hour of effort, {over}", "an hour", tuple(labels), tuple(columns), values)


def _called(name: TaxonName) -> str:
    return name.scientific_name if name.rank == "species" else f"{name.scientific_name} ({name.rank})"


def _named(taxa: list[TaxonName]) -> str:
    return f"{len(taxa)} taxa" if len(taxa) != 1 else _called(taxa[0])


def _axis(key: str, values: list[str]) -> list[str]:
    """Labels of an axis: all hours of a day, and what is not known last."""
    known = [value for value in values if value != UNKNOWN]
    return [*(HOURS if key == "hour" else known), *([UNKNOWN] if UNKNOWN in values else [])]
