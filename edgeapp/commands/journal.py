"""``biovita-edge journal``: look at what was heard, say what is right, and keep the file in order.

Commands that only read open the journal read-only; all of them work while a listener writes, and none makes a journal
that is not there.
"""

from __future__ import annotations

import csv
import getpass
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeapp.commands.journal_names import corrected, naming_of, spellings
from edgeapp.commands.options import LanguageOption
from edgeapp.detections import counting
from edgeapp.detections.review import ReviewVerdict
from edgeapp.detections.verdict import Verdict
from edgeapp.errors import UsageError
from edgeapp.journal import Journal, JournalError, Reader, Review, default_path, utc_of
from edgeapp.journal.documents import detection_of
from edgeapp.outputs.export import export_documents
from edgeapp.outputs.records import SPECIES
from edgeapp.outputs.words import in_words
from gallery.naming import Naming
from gallery.utc import datetime_of

COMMAND_BUSY_S = 10.0  # a person waits
FARTHEST_S = timedelta(days=100 * 365).total_seconds()
NAME_LENGTH = 200

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", help="Look at what was heard, and say what is right."
)

JournalPath = Annotated[
    Path | None, typer.Option("--journal", help="Journal file; the one in the user's data folder if not given.")
]


class Format(str, Enum):
    """How detections are listed."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


@app.command()
def info(
    journal: JournalPath = None, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False
) -> None:
    """Tell what a journal holds, and how the windows of each deployment ended."""
    with Reader(journal) as reader:
        told: dict[str, Any] = {
            "journal": str(reader.path),
            "bytes": reader.path.stat().st_size,
            **reader.sizes(),
            "runs": [
                {
                    **deployment,
                    "thresholds": json.loads(deployment["thresholds"]),
                    "windows": {verdict.value: n for verdict, n in reader.counts(deployment["id"]).items()},
                    "detections": reader.detected(deployment["id"]),
                }
                for deployment in reader.deployments()
            ],
        }
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for key, value in told.items():
        if key != "runs":
            typer.echo(f"{key.replace('_', ' '):<17} {value}")
    for run in told["runs"]:
        ended = local(run["ended_utc"], run["clock_set"]) if run["ended_utc"] else "no end"
        typer.echo(f"deployment {run['id']}: {local(run['started_utc'], run['clock_set'])} to {ended}")
        ends = counting.in_words({Verdict(name): n for name, n in run["windows"].items()}, run["detections"])
        typer.echo(f"  pack {run['pack']} {run['pack_version']}, {ends}")
        for stream in run["streams"]:
            lost = f", {stream['lost_samples']} samples lost" if stream["lost_samples"] else ""
            why = f", {stream['end_reason']}" if stream["end_reason"] else ""
            typer.echo(f"  stream {stream['id']}: {stream['source']} at {stream['rate_hz']} Hz{lost}{why}")


@app.command("list")
def list_detections(
    journal: JournalPath = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="From this time on, such as 2025-05-01 or 2025-05-01T04:30."),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before this time.")] = None,
    species: Annotated[
        str | None, typer.Option("--species", help="Only this taxon, by its scientific or common name in any language.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Maximum number of rows (0 = all).")] = 20,
    format: Annotated[
        Format, typer.Option("--format", "-f", help="A table for people; json, ndjson or csv for programs.")
    ] = Format.TABLE,
    language: LanguageOption = None,
) -> None:
    """List detections, the newest last. A table tells local time, other formats UTC; a TIME without a zone is local.

    JSON and NDJSON are detection documents, described by docs/detection.schema.json.
    """
    begin, end = time_of(since, "--since"), time_of(until, "--until")
    with Reader(journal) as reader:
        reader.naming = naming_of(reader, language)
        found = reader.detections(begin, end, spellings(species, reader), newest=limit or None)
        if format is Format.TABLE:
            print_table(reader, found)
        elif format is Format.CSV:
            writer = csv.DictWriter(sys.stdout, reader.columns(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(named_row(row, reader.naming) for row in found)
        else:
            export_documents(map(reader.document, found), format.value, sys.stdout)


@app.command()
def review(
    detection: Annotated[
        str, typer.Argument(metavar="ID", help="Its number, as in the table, or its id, as in the document.")
    ],
    verdict: Annotated[ReviewVerdict, typer.Argument(help="What is right of it.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="The right taxon, of a correction, by its scientific or common name in any language."
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Anything else worth keeping.")] = "",
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", help="Who says so; the user's name if not given.")
    ] = None,
    journal: JournalPath = None,
) -> None:
    """Say whether a detection is right. Earlier reviews stay, the last one counts; the detection is not changed."""
    name = None if name is None else name.strip()
    if verdict is ReviewVerdict.CORRECTED and not name:
        raise UsageError("a correction needs the right name", "give --name")
    if verdict is not ReviewVerdict.CORRECTED and name is not None:
        raise UsageError(f"a detection that is {verdict.value} keeps its name", "leave --name out, or say corrected")
    if name is not None and (len(name) > NAME_LENGTH or not name.isprintable()):
        raise UsageError(f"{name[:40]!r} is no name of a taxon", "give --name in one line")
    with to_write(journal) as opened:
        number = int(detection) if detection.isdecimal() else opened.number_of(detection)
        if number is None:
            raise JournalError(
                f"{opened.path}: has no detection {detection}", "check the number or id of the detection"
            )
        if name is not None:
            name = corrected(name, gallery_of(opened, number))
        opened.add_review(Review(number, verdict.value, reviewer or user_name(), name, note))
    typer.echo(f"detection {number}: {verdict.value}{f', {name}' if name else ''}", err=True)


@app.command()
def lock(
    clips: Annotated[list[int], typer.Argument(metavar="CLIP...", help="Numbers of clips, as `list` shows them.")],
    unlock: Annotated[bool, typer.Option("--unlock", help="Let them be deleted again when the disk fills.")] = False,
    journal: JournalPath = None,
) -> None:
    """Keep clips for ever: a locked one is never deleted."""
    with to_write(journal) as opened:
        known = {clip.id for clip in opened.clips()}
        unknown = [str(clip) for clip in clips if clip not in known]
        if unknown:
            raise JournalError(
                f"{opened.path}: has no clip {', '.join(unknown)}", "check the numbers; nothing was changed"
            )
        for clip in clips:
            opened.lock_clip(clip, not unlock)
    typer.echo(f"{len(clips)} clips {'unlocked' if unlock else 'locked'}", err=True)


@app.command("correct-times")
def correct_times(
    deployment: Annotated[int, typer.Option("--deployment", help="Number of the deployment, as `info` shows it.")],
    by: Annotated[float, typer.Option("--by", metavar="SECONDS", help="Add so many; a minus sign takes them away.")],
    journal: JournalPath = None,
) -> None:
    """Correct the times of a deployment whose clock was wrong. What was written first stays in written_utc."""
    if not abs(by) <= FARTHEST_S:
        raise UsageError(f"--by {by:g} is no error of a clock", "give seconds, at most 100 years")
    with to_write(journal) as opened:
        changed = opened.shift_times(deployment, by)
    typer.echo(f"deployment {deployment}: {changed} detections moved by {by:+g} s", err=True)


@app.command()
def check(journal: JournalPath = None) -> None:
    """Check that the file is whole and every clip is there. Exit 0: it is; 1: clips are missing; 3: it is damaged."""
    with Reader(journal) as reader:
        reader.quick_check()
        strays, missing = reader.strays(), reader.missing_clips()
        for fault in strays:
            typer.echo(f"{reader.path}: {fault}", err=True)
        for clip in missing:
            typer.echo(f"{reader.path}: clip {clip['id']} is not there: {clip['path']}", err=True)
        if strays or missing:
            raise typer.Exit(3 if strays else 1)
        sizes = reader.sizes()
    typer.echo(f"{reader.path}: whole, {sizes['detections']} detections, {sizes['clips']} clips", err=True)


@app.command()
def upgrade(journal: JournalPath = None) -> None:
    """Bring a journal of an older version up to date, as `listen` does when it opens one. Every row is kept."""
    path = existing(journal)
    with Journal.open(path, COMMAND_BUSY_S):
        typer.echo(f"{path}: up to date", err=True)


@contextmanager
def to_write(path: Path | None) -> Iterator[Journal]:
    """A journal that is there, opened to write."""
    Reader(path).close()  # neither makes one nor changes an old one
    with Journal.open(path, COMMAND_BUSY_S) as opened:
        yield opened


def existing(path: Path | None) -> Path:
    """The path of a journal that is there, of whatever version."""
    path = path or default_path()
    if not path.is_file() or path.stat().st_size == 0:
        raise JournalError(f"{path}: no journal is there", "give another --journal")
    return path


def time_of(text: str | None, option: str) -> datetime | None:
    """A time a person typed, aware; one without a zone is local."""
    if text is None:
        return None
    try:
        return datetime_of(text.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} {text!r} is no time", "write it as 2025-05-01 or 2025-05-01T04:30") from error


def local(text: str, clock_set: int) -> str:
    """A written time for people: local with its offset, and a question mark where the clock was not set."""
    told = utc_of(text).astimezone().isoformat(sep=" ", timespec="seconds")
    return told if clock_set else f"{told} ?"


def print_table(reader: Reader, detections: Iterable[dict[str, Any]]) -> None:
    """Detections for people."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    ways: Sequence[Column | str] = (
        Column("id", justify="right"),
        Column("time", no_wrap=True),
        Column("detected", ratio=1),
        Column("confidence", justify="right"),
        "source",
        "review",
        Column("clip", justify="right"),
    )
    table = Table(*ways)
    for row in detections:
        cells = (
            str(row["id"]),
            local(row["time_utc"], row["clock_set"]),
            in_words(reader.naming.detection(detection_of(row, reader.candidates(row["id"])))),
            f"{row['confidence']:.2f}",
            row["source"],
            " ".join(filter(None, (row["review"], row["review_name"]))),
            "" if row["clip_path"] is None else str(row["clip"]),
        )
        table.add_row(*map(Text, cells))  # Text, since a device called "Card [hw:1]" is no markup
    console = Console()
    if table.row_count:
        console.print(table)
    else:
        typer.echo("no detections", err=True)


def named_row(row: Mapping[str, Any], naming: Naming) -> dict[str, Any]:
    """A row of the view with the common name of its species in a language."""
    if row["taxon_rank"] != SPECIES:
        return dict(row)
    return {**row, "common_name": naming.of(row["scientific_name"], row["common_name"] or "") or None}


def gallery_of(journal: Journal, number: int) -> str:
    """Path of the gallery that a detection was made with; empty where there is no such detection."""
    return str((journal.in_full(number) or {"gallery": ""})["gallery"])


def user_name() -> str:
    """Who sits at the terminal, as far as the machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
