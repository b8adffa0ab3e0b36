"""``biovita-edge archive report``: an archive, or a part of it, as one HTML page."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeapp.board.machine import installed
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
    pack_of,
    selection_of,
    zone_named,
)
from edgeapp.commands.options import OutputOption
from edgeapp.commands.report import Missing
from edgeapp.config.panels import OUTPUT
from edgeapp.errors import UsageError
from edgeapp.outputs.destination import Destination
from edgeapp.terminal import complain
from edgeapp.web.report.stretches import ReportAudio


@app.command("report")
def report(
    results: ResultsArgument,
    output: OutputOption = None,
    report_audio: Annotated[
        ReportAudio,
        typer.Option(
            "--report-audio",
            metavar="none|best",
            help="Sound in the report: none, or of the best stretches.",
            rich_help_panel=OUTPUT,
        ),
    ] = ReportAudio.BEST,
    depth: DepthOption = None,
    zone: ZoneOption = None,
    species: SpeciesOption = None,
    min_confidence: LeastConfidenceOption = 0.0,
    since: SinceOption = None,
    until: UntilOption = None,
    folder: FolderOption = None,
) -> None:
    """Write a report of an archive: one HTML file that opens in a browser without a network.

    It has the species with their pictures and best stretches, as far as the recordings are still there, their activity
    by hour and day, the effort by site and day, and the recordings that failed. However large the archive is, the file
    stays below 15 MB: the most frequent species come first, and what is left out is said. The exit code is 1 when a
    recording cannot be read.
    """
    from edgeapp.web.report.archive import Look, archive_report
    from edgeapp.web.report.attachments import Attachments
    from edgeapp.web.report.page import write
    from edgeapp.web.report.pictures import GalleryPictures

    if report_audio is ReportAudio.ALL:
        raise UsageError("--report-audio all: an archive has too much sound for a page", "give best or none")
    data, times = opened(results), zone_named(zone)
    selection = selection_of(data, species, min_confidence, since, until, folder, times)
    words = {
        "from": selection.since and selection.since.isoformat(sep=" ", timespec="minutes"),
        "until": selection.until and selection.until.isoformat(sep=" ", timespec="minutes"),
        "only": ", ".join(species or ()),
        "in": ", ".join(folder or ()),
        "least confidence": f"{min_confidence:g}" if min_confidence else None,
    }
    pack = pack_of(data)
    licence = "not installed here; see the pack" if pack is None else pack.licence
    look = Look(
        report_audio,
        times,
        depth,
        [(what, value) for what, value in words.items() if value],
        [(f"pack {data.record.settings.get('pack')}", licence)],
        installed() or "",
    )
    missing = Missing()
    with Destination(output) as destination, Attachments() as store:
        gallery = None if pack is None or pack.gallery is None else pack.gallery_path()
        with GalleryPictures(gallery, store, complain) as pictures:
            made = archive_report(data, selection, look, store, pictures.of, missing)
        write(made, destination.out, times)
    raise typer.Exit(missing.exit_code)
