"""What a search of an archive finds: the most confident detections, and the windows that are most alike."""

from __future__ import annotations

import csv
import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from edgeapp.clock.utc import utc_text
from edgeapp.detections.document import DECIMALS, TIME_DECIMALS, cleaned
from edgeapp.file_names import printable
from edgeapp.outputs.export import TABLES
from edgeapp.outputs.selection import Selection
from edgeapp.outputs.words import clock, in_words
from edgeapp.outputs.writer import Recording

if TYPE_CHECKING:
    from edgeapp.recognition.results import Identification, Stretch, WindowResult
    from gallery.recognition import Candidate

NUMBERS = ("confidence", "similarity", "from", "to")  # columns of tables
WIDE = 1000  # where there is no terminal to fit: names of files stay whole
COLUMNS = ("query", "similarity", "file", "start_s", "end_s", "time")


class Near(Protocol):
    """A window that is like something, see `edgeapp.archive.queries.nearest.Near`."""

    @property
    def recording(self) -> Recording: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def similarity(self) -> float: ...


class FoundWriter:
    """See `edgeapp.outputs.writer.Writer`. A table of the most confident detections of all recordings.

    Parameters
    ----------
    out : text file
    most : int
    zone : tzinfo or None
        Of the times; the machine's own for None.
    """

    def __init__(self, out: TextIO, most: int, zone: tzinfo | None) -> None:
        self._out, self._most, self._zone = out, most, zone
        self._recording = Recording("", 0)
        self._best: list[tuple[float, int, tuple[str, ...]]] = []
        self._count = 0

    def begin(self, recording: Recording) -> None:
        """Remember whose detections follow."""
        self._recording = recording

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """Nothing: rows are of detections."""

    def detection(self, stretch: Stretch) -> None:
        """Keep it if it is one of the best."""
        self._count += 1
        found = stretch.detection
        similarity = f"{found.candidates[0].similarity:.2f}" if found.candidates else ""
        place = _place(self._recording, stretch.start_s, stretch.end_s, self._zone)
        row = (f"{found.confidence:.2f}", similarity, in_words(found), *place)
        heapq.heappush(self._best, (found.confidence, -self._count, row))
        if len(self._best) > self._most:
            heapq.heappop(self._best)

    def finish(self, identification: Identification) -> None:
        """Nothing: the table is of all recordings."""

    def fail(self, file: str, reason: str) -> None:
        """Nothing."""

    def end(self) -> None:
        """Print the table."""
        best = sorted(self._best, key=lambda one: (-one[0], -one[1]))
        _print(self._out, ("confidence", "similarity", "detected"), [row for _, _, row in best])
        if self._count > len(best):
            self._out.write(f"… {self._count - len(best)} more, see --limit and --format\n")


def write_nearest(
    found: Sequence[Near], query: str, format: str, out: TextIO, zone: tzinfo | None, paths: Mapping[str, str]
) -> None:
    """Write windows that are like something, in the order given.

    Parameters
    ----------
    found : sequence of Near
    query : str
        What they are like.
    format : str
        Of `edgeapp.outputs.writer.FORMATS`.
    out : text file
    zone : tzinfo or None
        Of the times in tables; the machine's own for None.
    paths : Mapping
        File of a recording to where it lies.
    """
    if format in TABLES:
        _write_sounds(found, query, format, out, zone, paths)
    elif format == "csv":
        table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(_fields(one, query) for one in found)
    elif format == "ndjson":
        for one in found:
            out.write(f"{json.dumps(_fields(one, query), ensure_ascii=False)}\n")
    elif format == "json":
        out.write(json.dumps([_fields(one, query) for one in found], ensure_ascii=False, indent=2) + "\n")
    else:
        places = [(one, _place(one.recording, one.start_s, one.end_s, zone)) for one in found]
        _print(out, ("similarity",), [(f"{one.similarity:.3f}", *place) for one, place in places])


def _fields(one: Near, query: str) -> dict[str, Any]:
    moment = one.recording.at(one.start_s)
    return {
        "query": cleaned(query),
        "similarity": round(one.similarity, DECIMALS),
        "file": cleaned(one.recording.file),
        "start_s": round(one.start_s, TIME_DECIMALS),
        "end_s": round(one.end_s, TIME_DECIMALS),
        "time": None if moment is None else utc_text(moment),
    }


def _write_sounds(
    found: Sequence[Near], query: str, format: str, out: TextIO, zone: tzinfo | None, paths: Mapping[str, str]
) -> None:
    """Rows for sound editors, each recording once on their long sound."""
    head, row = TABLES[format]
    out.write(head)
    begins_s: dict[str, float] = {}
    end_s = 0.0
    for number, one in enumerate(found, start=1):
        file = one.recording.file
        if file not in begins_s:
            begins_s[file] = end_s
            end_s += one.duration_s
        moment = one.recording.at(one.start_s)
        selection = Selection(
            file=paths[file],
            start_s=one.start_s,
            end_s=one.end_s,
            rate_hz=one.recording.rate_hz,
            taxon_rank="species",
            scientific_name=f"like {query}",
            common_name="",
            confidence=None,
            time=None if moment is None else moment.utc.astimezone(zone),
        )
        out.write(row(number, begins_s[file], selection))


def _place(recording: Recording, start_s: float, end_s: float, zone: tzinfo | None) -> tuple[str, ...]:
    moment = recording.at(start_s)
    time = "" if moment is None else f"{moment.utc.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    doubtful = " ?" if moment is not None and not moment.clock_set else ""
    return printable(recording.file), clock(start_s), clock(end_s), f"{time}{doubtful}"


def _print(out: TextIO, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, highlight=False, width=None if out.isatty() else WIDE)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in (*heads, "file", "from", "to", "time"):
        table.add_column(title, overflow="fold", justify="right" if title in NUMBERS else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    if table.row_count:
        console.print(table)
