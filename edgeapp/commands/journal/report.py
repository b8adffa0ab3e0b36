"""``biovita-edge journal report``: a journal, or a part of it, as one HTML page."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from edgeapp.board.machine import installed
from edgeapp.clock.zones import zone_of
from edgeapp.commands.journal.journal import SELECTION, JournalPath, SinceOption, SpeciesOption, UntilOption, time_of
from edgeapp.commands.journal.learn import app
from edgeapp.commands.journal.names import galleries_of, naming_of, spellings, taxa_of
from edgeapp.commands.options import LanguageOption, OutputOption
from edgeapp.commands.report import Missing, ReportAudioOption
from edgeapp.config.panels import OUTPUT
from edgeapp.errors import PackError, UsageError
from edgeapp.journal import Reader
from edgeapp.outputs.destination import Destination
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import installed_packs
from edgeapp.terminal import complain
from edgeapp.web.report.stretches import ReportAudio


@app.command("report")
def report(
    output: OutputOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    species: SpeciesOption = None,
    min_confidence: Annotated[
        float,
        typer.Option("--min-confidence", metavar="CONFIDENCE", help="Minimum confidence.", rich_help_panel=SELECTION),
    ] = 0.0,
    report_audio: ReportAudioOption = ReportAudio.BEST,
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone",
            metavar="ZONE",
            help="Time zone of the report, such as Europe/Berlin; local if not given.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    language: LanguageOption = None,
    journal: JournalPath = None,
) -> None:
    """Write a report of a journal: one HTML file that opens in a browser without a network.

    It has the species with their pictures and best clips, their activity by hour and day, the hours heard, the reviews
    and the deployments. What a reviewer rejected is not counted; what was corrected is counted as what it is. The exit
    code is 1 when a clip cannot be read.
    """
    from edgeapp.web.report.attachments import Attachments
    from edgeapp.web.report.journal import Look, Selection, journal_report
    from edgeapp.web.report.page import write
    from edgeapp.web.report.pictures import GalleryPictures

    if not 0 <= min_confidence <= 1:
        raise UsageError(f"--min-confidence must be between 0 and 1, not {min_confidence:g}", "give such as 0.5")
    begin, end = time_of(since, "--since"), time_of(until, "--until")
    times = zone_of(zone)
    with Reader(journal) as reader, Destination(output) as destination, Attachments() as store:
        reader.naming = naming_of(reader, language)
        galleries = galleries_of(reader)
        english = {taxon.scientific_name: taxon.common_name for path in galleries for taxon in taxa_of(path)}
        selection = Selection(
            begin,
            end,
            spellings(species, reader),
            min_confidence,
            _words(begin, end, species, min_confidence),
        )
        look = Look(
            report_audio,
            times,
            lambda name: reader.naming.of(name, english.get(name, "")),
            _licences(reader),
            installed() or "",
        )
        missing = Missing()
        with GalleryPictures(galleries[-1] if galleries else None, store, complain) as pictures:
            made = journal_report(reader, selection, look, store, pictures.of, missing)
        write(made, destination.out, times)
    raise typer.Exit(missing.exit_code)


def _words(
    begin: datetime | None, end: datetime | None, species: str | None, min_confidence: float
) -> list[tuple[str, str]]:
    """The selection for a person; what was not given is left out."""
    words = {
        "from": begin and begin.isoformat(sep=" ", timespec="minutes"),
        "until": end and end.isoformat(sep=" ", timespec="minutes"),
        "only": species,
        "least confidence": f"{min_confidence:g}" if min_confidence else None,
    }
    return [(what, value) for what, value in words.items() if value]


def _licences(reader: Reader) -> list[tuple[str, str]]:
    """Licences of the packs of a journal, as far as they are installed."""
    known: dict[str, str] = {}
    for one in installed_packs():
        try:
            pack = Pack.load(one.folder, verify=False)
        except PackError:
            continue  # `doctor` names it
        known[f"{pack.name} {pack.version}"] = pack.licence
    named = dict.fromkeys(f"{one['pack']} {one['pack_version']}" for one in reader.deployments())
    return [(f"pack {name}", known.get(name, "not installed here; see the pack")) for name in named]
