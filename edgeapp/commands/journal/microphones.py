"""``biovita-edge journal levels`` and ``states``: how loud it was, and what the microphones were like."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, TextIO

import typer

from edgeapp.audio.spectra.sound_meter import band_name
from edgeapp.commands.journal.journal import JournalPath, SinceOption, UntilOption, local, time_of
from edgeapp.commands.journal.report import app
from edgeapp.commands.options import OutputOption
from edgeapp.config.panels import OUTPUT
from edgeapp.file_names import printable
from edgeapp.journal import Reader
from edgeapp.outputs.destination import Destination
from edgeapp.terminal import tell

LEVELS = ("leq_dbfs", "laeq_dbfs", "lamax_dbfs", "la90_dbfs")
OF_LEVELS = ("time_utc", "clock_set", "station", "source", "device_id", "channel", "stream", "seconds", *LEVELS)
OF_STATES = ("time_utc", "clock_set", "station", "source", "device_id", "state", "why")


class Format(str, Enum):
    """Output format."""

    TABLE = "table"
    CSV = "csv"
    NDJSON = "ndjson"


FormatOption = Annotated[
    Format,
    typer.Option("--format", "-f", metavar="table|csv|ndjson", help="Output format.", rich_help_panel=OUTPUT),
]


@app.command()
def levels(
    since: SinceOption = None,
    until: UntilOption = None,
    format: FormatOption = Format.TABLE,
    output: OutputOption = None,
    journal: JournalPath = None,
) -> None:
    """Sound levels of each minute, as `listen --meters` measures them, in dB re full scale.

    leq is the mean level, laeq the same A-weighted, lamax the loudest second, la90 what 90 % of the seconds exceed.
    CSV and NDJSON have the third-octave bands as well.
    """
    with Reader(journal) as reader, Destination(output) as destination:
        names = [f"{band_name(place)}_hz_dbfs" for place in range(reader.most_bands())]
        rows = (
            {
                **{name: row[name] for name in (*OF_LEVELS, "lost_samples")},
                **dict(zip(names, row["bands_dbfs"], strict=False)),
            }
            for row in reader.sound_levels(time_of(since, "--since"), time_of(until, "--until"))
        )
        shown = ("time_utc", "source", *LEVELS)
        _write(rows, (*OF_LEVELS, "lost_samples", *names), shown, format, destination.out)


@app.command()
def states(
    since: SinceOption = None,
    until: UntilOption = None,
    format: FormatOption = Format.TABLE,
    output: OutputOption = None,
    journal: JournalPath = None,
) -> None:
    """List changes of the state of microphones: when each started, was silent, was lost, or had a faulty channel."""
    with Reader(journal) as reader, Destination(output) as destination:
        found = reader.microphone_states(time_of(since, "--since"), time_of(until, "--until"))
        rows = ({name: row[name] for name in OF_STATES} for row in found)
        _write(rows, OF_STATES, ("time_utc", "source", "state", "why"), format, destination.out)


def _write(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], shown: Sequence[str], format: Format, out: TextIO
) -> None:
    written = 0
    if format is Format.CSV:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            written += 1
    else:
        for row in rows:
            if format is Format.NDJSON:
                line = json.dumps(row, ensure_ascii=False)
            else:
                time = local(row["time_utc"], row["clock_set"])
                line = "  ".join([time, *(printable(str(row[name])) for name in shown[1:])])
            out.write(f"{line}\n")
            written += 1
    if not written:
        tell("nothing in the journal")
