"""``biovita-edge journal``: browse and review detections, and maintain the journal file.

Commands that only read open the journal read-only; all of them work while a station writes, and none creates a journal.
"""

from __future__ import annotations

import csv
import getpass
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeapp.clips import relocation as clip_relocation
from edgeapp.clips.clip_file import ClipFolder
from edgeapp.clips.renaming import Renamer
from edgeapp.commands.journal.names import corrected, naming_of, pictures_in, spellings
from edgeapp.commands.options import JsonOption, LanguageOption
from edgeapp.config.defaults import share_location_of
from edgeapp.config.panels import OUTPUT
from edgeapp.detections import counting
from edgeapp.detections.pictures import MOST
from edgeapp.detections.review import ReviewVerdict
from edgeapp.detections.sharing import shared
from edgeapp.detections.verdict import Verdict
from edgeapp.errors import UsageError
from edgeapp.file_names import printable
from edgeapp.journal import Journal, JournalError, Reader, Review, default_path, utc_of
from edgeapp.journal.documents import detection_of
from edgeapp.outputs.export import export_documents
from edgeapp.outputs.records import SPECIES
from edgeapp.outputs.words import in_words
from edgeapp.terminal import say, tell
from gallery.errors import UnknownNameError
from gallery.naming import Naming
from gallery.utc import datetime_of

COMMAND_BUSY_S = 10.0  # short, since a person waits
SELECTION = "Selection"  # group of options in ``--help``
FARTHEST_S = timedelta(days=100 * 365).total_seconds()
NAME_LENGTH = 200

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", help="Browse and review detections.")

JournalPath = Annotated[
    Path | None, typer.Option("--journal", metavar="FILE", help="Journal file; in the user's data folder if not given.")
]


SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Start, such as 2025-05-01 or 2025-05-01T04:30.", rich_help_panel=SELECTION
    ),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="End (exclusive).", rich_help_panel=SELECTION)
]
SpeciesOption = Annotated[
    str | None,
    typer.Option(
        "--species",
        metavar="NAME",
        help="Only this taxon: scientific name, or common name in any language.",
        rich_help_panel=SELECTION,
    ),
]


PicturesOption = Annotated[
    int,
    typer.Option(
        "--pictures",
        metavar="NUMBER",
        min=0,
        help="Number of photos, and of recordings, beside each detection in json and ndjson (0 = none).",
        rich_help_panel=OUTPUT,
    ),
]


class Format(str, Enum):
    """Output format."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


@app.command()
def info(journal: JournalPath = None, as_json: JsonOption = False) -> None:
    """Show the contents of a journal, and the outcome of the windows of each deployment."""
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
            say(f"{key.replace('_', ' '):<17} {value}")
    for run in told["runs"]:
        ended = local(run["ended_utc"], run["clock_set"]) if run["ended_utc"] else "no end"
        say(f"deployment {run['id']}: {local(run['started_utc'], run['clock_set'])} to {ended}")
        ends = counting.in_words({Verdict(name): n for name, n in run["windows"].items()}, run["detections"])
        say(f"  pack {run['pack']} {run['pack_version']}, {ends}")
        for stream in run["streams"]:
            lost = f", {stream['lost_samples']} samples lost" if stream["lost_samples"] else ""
            why = f", {stream['end_reason']}" if stream["end_reason"] else ""
            say(f"  stream {stream['id']}: {stream['source']} at {stream['rate_hz']} Hz{lost}{why}")


@app.command("list")
def list_detections(
    journal: JournalPath = None,
    since: SinceOption = None,
    until: UntilOption = None,
    species: SpeciesOption = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            "-n",
            metavar="NUMBER",
            min=0,
            help="Maximum number of rows (0 = all).",
            rich_help_panel=SELECTION,
        ),
    ] = 20,
    format: Annotated[
        Format,
        typer.Option("--format", "-f", metavar="table|json|ndjson|csv", help="Output format.", rich_help_panel=OUTPUT),
    ] = Format.TABLE,
    pictures: PicturesOption = MOST,
    language: LanguageOption = None,
) -> None:
    """List detections, the newest last. Tables show local time, other formats UTC; a TIME without a zone is local.

    JSON and NDJSON are detection documents, described by docs/detection.schema.json.
    """
    begin, end = time_of(since, "--since"), time_of(until, "--until")
    with Reader(journal) as reader:
        reader.naming, reader.share_location = naming_of(reader, language), share_location_of()
        found = reader.detections(begin, end, spellings(species, reader), newest=limit or None)
        if format is Format.TABLE:
            print_table(reader, found)
        elif format is Format.CSV:
            writer = csv.DictWriter(sys.stdout, reader.columns(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(shown_row(row, reader.naming, reader.share_location) for row in found)
        else:
            reader.pictures = pictures_in(reader, pictures)
            export_documents(map(reader.document, found), format.value, sys.stdout)


@app.command()
def review(
    detection: Annotated[
        str, typer.Argument(metavar="ID", help="Number of the detection in the table, or its id in the document.")
    ],
    verdict: Annotated[
        ReviewVerdict, typer.Argument(metavar="confirmed|rejected|corrected", help="Verdict of the review.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Correct taxon: scientific name, or common name in any language."),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Take a name that neither the gallery nor the list of the program has.")
    ] = False,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Comment.")] = "",
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", metavar="NAME", help="Reviewer; the user's name if not given.")
    ] = None,
    journal: JournalPath = None,
) -> None:
    """Review a detection. The last review counts, earlier ones are kept; the detection itself is not changed."""
    name = None if name is None else name.strip()
    if verdict is ReviewVerdict.CORRECTED and not name:
        raise UsageError("a correction needs the correct name", "give --name")
    if verdict is not ReviewVerdict.CORRECTED and name is not None:
        raise UsageError(f"--name does not apply to {verdict.value}", "omit --name, or use corrected")
    if new and name is None:
        raise UsageError("--new belongs to the name of a correction", "omit it, or give --name")
    if name is not None and (len(name) > NAME_LENGTH or not name.isprintable()):
        raise UsageError(f"{name[:40]!r} is not the name of a taxon", "give --name in one line")
    with to_write(journal) as opened:
        number = int(detection) if detection.isdecimal() else opened.number_of(detection)
        if number is None:
            raise JournalError(
                f"{opened.path}: has no detection {detection}", "check the number or id of the detection"
            )
        unlisted = False
        if name is not None:
            try:
                name = corrected(name, gallery_of(opened, number))
            except UnknownNameError as error:
                if not new:
                    raise UsageError(error.what, f"{error.remedy}, or give --new as well") from None
                unlisted = True
        opened.add_review(Review(number, verdict.value, reviewer or user_name(), name, note, unlisted))
    tell(f"detection {number}: {verdict.value}{f', {name}' if name else ''}")


@app.command()
def lock(
    clips: Annotated[list[int], typer.Argument(metavar="CLIP...", help="Numbers of clips, as shown by `list`.")],
    unlock: Annotated[bool, typer.Option("--unlock", help="Unlock the clips instead.")] = False,
    journal: JournalPath = None,
) -> None:
    """Lock clips: locked clips are never deleted."""
    with to_write(journal) as opened:
        known = {clip.id for clip in opened.clips()}
        unknown = [str(clip) for clip in clips if clip not in known]
        if unknown:
            raise JournalError(
                f"{opened.path}: has no clip {', '.join(unknown)}", "check the numbers; nothing was changed"
            )
        for clip in clips:
            opened.lock_clip(clip, not unlock)
    tell(f"{len(clips)} clips {'unlocked' if unlock else 'locked'}")


@app.command("correct-times")
def correct_times(
    deployment: Annotated[
        int, typer.Option("--deployment", metavar="NUMBER", help="Number of the deployment, as shown by `info`.")
    ],
    by: Annotated[float, typer.Option("--by", metavar="SECONDS", help="Seconds to add; negative to subtract.")],
    journal: JournalPath = None,
) -> None:
    """Correct the times of a deployment whose clock was wrong. The original times are kept in written_utc."""
    if not abs(by) <= FARTHEST_S:
        raise UsageError(f"--by must be at most 100 years, not {by:g} s", "give the error of the clock in seconds")
    with to_write(journal) as opened:
        changed = opened.shift_times(deployment, by)
        for folder in opened.clip_folders().values():
            if Path(folder).is_dir():
                Renamer(opened, ClipFolder(folder, tell), tell).run(at_once_s=math.inf)
    tell(f"deployment {deployment}: {changed} detections moved by {by:+g} s")


@app.command()
def relocate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to which the clips were moved.")],
    journal: JournalPath = None,
) -> None:
    """Find clips that were moved: by name, or under any other name by their content. Exit code 1: some are missing."""
    with to_write(journal) as opened:
        done = clip_relocation.relocate(opened, folder)
    for path in done.missing:
        tell(f"not found: {path}")
    tell(f"{done.found} clips found, {len(done.missing)} missing")
    if done.missing:
        raise typer.Exit(1)


@app.command()
def check(journal: JournalPath = None) -> None:
    """Check the file and its clips. Exit code 0: intact; 1: clips are missing; 3: damaged."""
    with Reader(journal) as reader:
        reader.quick_check()
        strays, missing = reader.strays(), reader.missing_clips()
        for fault in strays:
            tell(f"{reader.path}: {fault}")
        for clip in missing:
            tell(f"{reader.path}: clip {clip['id']} is missing: {clip['path']}")
        if strays or missing:
            raise typer.Exit(3 if strays else 1)
        sizes = reader.sizes()
    tell(f"{reader.path}: intact, {sizes['detections']} detections, {sizes['clips']} clips")


@app.command()
def upgrade(journal: JournalPath = None) -> None:
    """Migrate a journal of an older version, as `listen` does when it opens one. Every row is kept."""
    path = existing(journal)
    with Journal.open(path, COMMAND_BUSY_S):
        tell(f"{path}: up to date")


@contextmanager
def to_write(path: Path | None) -> Iterator[Journal]:
    """An existing journal, opened for writing."""
    Reader(path).close()  # neither creates nor migrates a journal
    with Journal.open(path, COMMAND_BUSY_S) as opened:
        yield opened


def existing(path: Path | None) -> Path:
    """The path of an existing journal, of any version."""
    path = path or default_path()
    if not path.is_file() or path.stat().st_size == 0:
        raise JournalError(f"{path}: no journal found", "give another --journal")
    return path


def time_of(text: str | None, option: str) -> datetime | None:
    """Parse a time of the command line; local time if it has no zone."""
    if text is None:
        return None
    try:
        return datetime_of(text.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} {text!r} is not a time", "write it as 2025-05-01 or 2025-05-01T04:30") from error


def local(text: str, clock_set: int) -> str:
    """A stored time as local time with its offset, and a question mark if the clock was not set."""
    told = utc_of(text).astimezone().isoformat(sep=" ", timespec="seconds")
    return told if clock_set else f"{told} ?"


def print_table(reader: Reader, detections: Iterable[dict[str, Any]]) -> None:
    """Print detections as a table."""
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
        # Text: a device called "Card [hw:1]" must not be parsed as markup
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console = Console()
    if table.row_count:
        console.print(table)
    else:
        tell("no detections")


def shown_row(row: Mapping[str, Any], naming: Naming, share_location: str) -> dict[str, Any]:
    """A row of the view with the common name of its species in a language, and the location as it may be shared."""
    latitude, longitude = shared(row["latitude"], row["longitude"], share_location)
    found = {**row, "latitude": latitude, "longitude": longitude}
    if row["taxon_rank"] == SPECIES:
        found["common_name"] = naming.of(row["scientific_name"], row["common_name"] or "") or None
    return found


def gallery_of(journal: Journal, number: int) -> str:
    """Path of the gallery of a detection; empty if there is no such detection."""
    return str((journal.in_full(number) or {"gallery": ""})["gallery"])


def user_name() -> str:
    """Name of the current user, or "unknown"."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
