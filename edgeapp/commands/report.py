"""The report of `identify`: its options, and the file it goes to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer

from edgeapp.archive.expectation import Expectation
from edgeapp.board.machine import installed
from edgeapp.config.panels import OUTPUT
from edgeapp.detections.speech import SpeechDetector
from edgeapp.outputs.destination import Destination
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.terminal import complain
from edgeapp.web.report.name import SPECIES, Name
from edgeapp.web.report.stretches import ReportAudio
from gallery.naming import Naming

if TYPE_CHECKING:
    from edgeapp.web.report.recordings import ReportWriter


ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write a report as well: one HTML file with spectrograms, sound and pictures.",
        rich_help_panel=OUTPUT,
    ),
]
ReportAudioOption = Annotated[
    ReportAudio,
    typer.Option(
        "--report-audio",
        metavar="none|best|all",
        help="Sound in the report: none, of the best stretches, or all of it (38 MB an hour).",
        rich_help_panel=OUTPUT,
    ),
]


class Missing:
    """Says what a report does not have that it should, and remembers that."""

    def __init__(self) -> None:
        self.exit_code = 0

    def __call__(self, text: str) -> None:
        complain(text)
        self.exit_code = 1


class ReportFile:
    """Where the report of recordings goes: a file that appears whole or not at all; a context manager.

    Parameters
    ----------
    path : path or None
        No report is made when None.
    audio : ReportAudio
    """

    def __init__(self, path: Path | None, audio: ReportAudio) -> None:
        self._destination = None if path is None else Destination(path, "--report")
        self._audio = audio
        self._stack = ExitStack()
        self._writer: ReportWriter | None = None

    def collect(
        self,
        files: Sequence[str],
        recogniser: Recogniser,
        naming: Naming,
        settings: Sequence[tuple[str, str]],
        speech: SpeechDetector | None = None,
    ) -> ReportWriter:
        """The writer that collects what the report shows of some files."""
        from edgeapp.web.report.attachments import Attachments
        from edgeapp.web.report.outcomes import Judging
        from edgeapp.web.report.recordings import Asked, ReportWriter, total_length_s

        def name_of(number: int) -> Name:
            taxon = recogniser.taxa[number]
            return Name(SPECIES, taxon.scientific_name, naming.of(taxon.scientific_name, taxon.common_name))

        pack = recogniser.pack
        asked = Asked(
            audio=self._audio,
            total_s=total_length_s(files),
            high_hz=pack.audio.rate_hz / 2,
            judging=Judging(recogniser.parameters.threshold, name_of),
            settings=settings,
            licences=[(f"pack {pack.name} {pack.version}", pack.licence)],
            speech=speech,
        )
        self._gallery = recogniser.gallery_path
        self._store = self._stack.enter_context(Attachments())
        self._writer = ReportWriter(asked, self._store)
        return self._writer

    def write(self, keep: bool) -> int:
        """Put the report together and write it, if one was asked for; if not `keep`, the file stays as it was.

        Gives the exit code: 1 when something is not in it that should be, which is said on standard error.
        """
        if self._destination is None or self._writer is None:
            return 0
        self._destination.keep = keep
        if not keep:
            return 0
        from edgeapp.web.report.page import write
        from edgeapp.web.report.pictures import GalleryPictures

        missing = Missing()
        with GalleryPictures(self._gallery, self._store, complain) as pictures:
            report = self._writer.report(pictures.of, missing, installed() or "")
        write(report, self._destination.out)
        return missing.exit_code

    def __enter__(self) -> ReportFile:
        if self._destination is not None:
            self._stack.enter_context(self._destination)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def recognition_settings(
    recogniser: Recogniser,
    hop_s: float,
    only: Sequence[str],
    expectation: Expectation | None,
    language: str,
    speech_threshold: float | None = None,
) -> list[tuple[str, str]]:
    """What decides about the detections of a report, in words."""
    pack, parameters, origin = recogniser.pack, recogniser.parameters, recogniser.origin
    rows = [
        ("pack", f"{pack.name} {pack.version}"),
        ("gallery", f"{recogniser.gallery_path.name}, sha256 {origin.gallery_sha256}"),
        ("taxa", str(len(recogniser.taxa))),
        ("windows", f"{pack.audio.window_s:g} s, one every {hop_s:g} s"),
        ("least confidence", f"{parameters.threshold:.2f}"),
        ("silence", f"below {parameters.silence_dbfs:g} dBFS"),
        ("modalities", ", ".join(recogniser.vocabulary.modalities)),
        ("names", language),
    ]
    if speech_threshold is not None:
        rows.append(("speech", f"withheld from {speech_threshold:.2f}"))
    if only:
        rows.append(("only", ", ".join(only)))
    if expectation is not None:
        week = "the whole year" if expectation.whole_year else f"week {expectation.week or 'of each recording'}"
        rows.append(("expected at", f"{expectation.place}, {week}"))
    return rows
