"""``biovita-edge archive export``: the detections of an archive in the formats of other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeapp.archive.queries.replay import replay, run_of
from edgeapp.commands.archive.results import (
    FolderOption,
    LeastConfidenceOption,
    ResultsArgument,
    SinceOption,
    SpeciesOption,
    UntilOption,
    app,
    opened,
    selection_of,
    zone_named,
)
from edgeapp.commands.options import OutputOption
from edgeapp.config.panels import OUTPUT
from edgeapp.errors import UsageError
from edgeapp.outputs.destination import Destination
from edgeapp.outputs.writer import FORMATS, check_format, writer
from edgeapp.terminal import counted, tell

EBIRD = "ebird"
WHOLE_PATHS = ("raven", "kaleidoscope")  # formats of programs that open the recordings


@app.command("export")
def export(
    results: ResultsArgument,
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", metavar="FORMAT", help=f"Output format: {', '.join(FORMATS)}.", rich_help_panel=OUTPUT
        ),
    ] = "csv",
    output: OutputOption = None,
    species: SpeciesOption = None,
    min_confidence: LeastConfidenceOption = 0.0,
    since: SinceOption = None,
    until: UntilOption = None,
    folder: FolderOption = None,
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone",
            metavar="ZONE",
            help="Time zone of --since and --until, such as Europe/Berlin; that of this machine if not given.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Export an archive in the formats of `identify`: for the same recordings the same documents and tables.

    Without a selection, and with --folder alone, json and ndjson have the windows as well if the archive was heard with
    --windows. Otherwise only recordings with a selected detection are written, without their windows.
    """
    if format == EBIRD:
        raise UsageError(
            "eBird takes detections that a reviewer confirmed, and those of an archive have no reviews",
            "review them first, in raven or kaleidoscope",
        )
    check_format(format)
    data = opened(results)
    selection = selection_of(data, species, min_confidence, since, until, folder, zone_named(zone))
    with Destination(output) as destination:
        writing = writer(format, destination.out, run_of(data))
        done = replay(data, writing, selection, whole_paths=format in WHOLE_PATHS)
        untimed = selection.without_time(data)
        if untimed:
            tell(f"left out: {untimed} whose time is not known")
        if not (done.detections or selection.of_recordings_alone and done.recordings):
            raise UsageError(f"{results}: no detection is selected", "select less, or look at `archive summary`")
    failed = f", {counted(done.failed, 'recording')} failed" if done.failed else ""
    tell(f"{counted(done.detections, 'detection')} in {counted(done.recordings, 'recording')} written{failed}")
