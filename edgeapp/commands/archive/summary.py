"""``biovita-edge archive summary``: species by site and time, with the effort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.archive.queries.summary import KEYS, SITE, Sites, summary
from edgeapp.commands.archive.results import (
    DepthOption,
    FolderOption,
    LeastConfidenceOption,
    ResultsArgument,
    SinceOption,
    SpeciesOption,
    UntilOption,
    ZoneOption,
    app,
    opened,
    selection_of,
    zone_named,
)
from edgeapp.commands.options import JsonOption
from edgeapp.config.panels import OUTPUT
from edgeapp.errors import UsageError
from edgeapp.outputs.destination import Destination
from edgeapp.terminal import tell

HOUR = "hour"


@app.command("summary")
def summarise(
    results: ResultsArgument,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="TEXT",
            help="What to break down by: site, month, day, hour, or several with commas.",
            rich_help_panel=OUTPUT,
        ),
    ] = "",
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write it as CSV as well.", rich_help_panel=OUTPUT)
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(
            "--png",
            metavar="FILE",
            help="Write a heat map as well, over the last of --by; over the hours of the day if not given.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: JsonOption = False,
    depth: DepthOption = None,
    zone: ZoneOption = None,
    species: SpeciesOption = None,
    min_confidence: LeastConfidenceOption = 0.0,
    since: SinceOption = None,
    until: UntilOption = None,
    folder: FolderOption = None,
) -> None:
    """Sum up an archive: detections of each species by site, month, day and hour, and per hour of effort.

    A site is the folder of a recording. Effort is the sound heard there and then; where nothing was detected in it, a
    line without a species says so. A heat map of one --species with two of --by has the first as its rows.
    """
    keys = tuple(dict.fromkeys(filter(None, (part.strip() for part in by.split(",")))))
    for key in keys:
        if key not in KEYS:
            raise UsageError(f"--by: unknown key {key!r}", f"use {', '.join(KEYS)}")
    data, times = opened(results), zone_named(zone)
    sites = Sites(data, depth) if SITE in keys else None
    selection = selection_of(data, species, min_confidence, since, until, folder, times)
    found = summary(data, keys, selection, times, sites)
    if not found.effort and not found.counts:
        raise UsageError(f"{results}: no recording is selected", "select less, or hear some with `archive`")
    from edgeapp.archive.queries.summary_outputs import heat_map, print_table, write_csv, write_json

    if csv is not None:
        with Destination(csv, "--csv") as table:
            write_csv(found, table.out, times)
    if png is not None:
        from edgeapp.outputs import heat_map as picture

        over = found if keys else summary(data, (HOUR,), selection, times, sites)
        picture.write(png, heat_map(over, one_taxon=bool(species)))
    with Destination(None) as destination:
        (write_json if json else print_table)(found, destination.out, times)
    if untimed := selection.without_time(data):
        tell(f"left out: {untimed} detections whose time is not known")
