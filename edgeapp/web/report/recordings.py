"""The report of recordings: collected by a writer of `identify` while they are heard, and put together afterwards."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import PurePath

from edgeapp.audio.file import FileSource
from edgeapp.audio.source import AudioSource
from edgeapp.audio.spectra.spectrogram import Spectrogram
from edgeapp.clock.system import Moment
from edgeapp.detections.speech import SpeechDetector
from edgeapp.errors import AudioError
from edgeapp.outputs.words import clock
from edgeapp.outputs.writer import Recording
from edgeapp.recognition.results import Identification, Stretch, WindowResult
from edgeapp.web.report.attachments import Attachment, Attachments
from edgeapp.web.report.figures import figure, row_pictures
from edgeapp.web.report.model import COLOURS, Heard, Outcomes, RecordingPart, Report, Sound
from edgeapp.web.report.name import SPECIES, Name
from edgeapp.web.report.outcomes import Judging, OutcomeLog
from edgeapp.web.report.overview import HeardSource, Overview, rows_of
from edgeapp.web.report.parts import Pictures, taxon_parts
from edgeapp.web.report.stretches import BEST_S, Detail, ReportAudio, chosen, details, whole_sound
from edgeapp.web.report.tally import Tally, TaxonTally
from gallery.candidates import Candidate

MOST_BOXES = 10_000  # in the pictures of a report
MOST_RUNS = 2_000  # of windows without a detection
FEW = 20  # recordings, up to which those without a detection have a spectrogram as well
UNSEEKABLE = "read from a pipe, so that nothing of its sound could be kept"
_WHOLE = "of the whole recordings"
SOUND_WORDS = {
    ReportAudio.NONE: "none",
    ReportAudio.BEST: "of the best stretches",
    ReportAudio.ALL: _WHOLE,
}


@dataclass(frozen=True)
class Asked:
    """What a report is asked to have.

    Attributes
    ----------
    audio : ReportAudio
    total_s : float
        Of all recordings, as far as it is known beforehand.
    high_hz : float
        Upper end of the frequency axes.
    judging : Judging
    settings, licences : sequence of (str, str)
    speech : SpeechDetector or None
        Sound in which it hears speech is left out.
    """

    audio: ReportAudio
    total_s: float
    high_hz: float
    judging: Judging
    settings: Sequence[tuple[str, str]]
    licences: Sequence[tuple[str, str]]
    speech: SpeechDetector | None = None


@dataclass(frozen=True, eq=False)
class _Done:
    """A recording that was heard to its end."""

    key: str
    file: str
    duration_s: float
    rate_hz: int
    recorded: Moment | None
    origin: str
    channel: int
    notes: tuple[str, ...]
    count: int
    heard: list[Heard]
    rows: list[tuple[Spectrogram, Attachment]]
    outcomes: Outcomes
    seekable: bool

    @property
    def called(self) -> str:
        """The file, and the channel where one was chosen."""
        return _called(self.file, self.channel)


class ReportWriter:
    """Collects what a report shows; see `edgeapp.outputs.writer.Writer`.

    `listening` must be given each source before it is read, so that no recording is decoded twice.

    Parameters
    ----------
    asked : Asked
    store : Attachments
        Gets the pictures.
    """

    def __init__(self, asked: Asked, store: Attachments) -> None:
        self._asked, self._store = asked, store
        self._tally, self._done, self._failed = Tally(), list[_Done](), list[tuple[str, str]]()
        self._recording = Recording("", 0)
        self._overview: Overview | None = None
        self._seekable = False
        self._begin_recording()

    def listening(self, source: AudioSource) -> AudioSource:
        """The source of the recording that is begun next, with its spectrogram computed while it is read."""
        duration_s = source.duration_s if isinstance(source, FileSource) else None
        self._seekable = isinstance(source, FileSource) and os.path.isfile(source.name)  # a pipe gives it once
        self._overview = Overview(source.rate_hz, duration_s, self._asked.total_s, self._asked.high_hz)
        share = min(1.0, duration_s / self._asked.total_s) if duration_s and self._asked.total_s else 1.0
        self._most_boxes = math.ceil(MOST_BOXES * share)
        self._outcomes = OutcomeLog(self._asked.judging, math.ceil(MOST_RUNS * share))
        return HeardSource(source, self._overview)

    def begin(self, recording: Recording) -> None:
        """Forget what was kept of a file that failed half way."""
        self._recording = recording
        self._begin_recording()

    def _begin_recording(self) -> None:
        self._part, self._heard, self._count = Tally(), list[Heard](), 0
        self._windows: dict[tuple[str, ...], list[tuple[float, float]]] = {}

    @property
    def _key(self) -> str:
        return f"r{len(self._done) + 1}"

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """Keep how it ended, and how confident its detections are."""
        self._outcomes.add(result, species)
        for detection in result.detections:
            self._windows.setdefault(detection.path, []).append((result.start_s, detection.confidence))

    def detection(self, stretch: Stretch) -> None:
        """Count it, and keep it if it is among the most confident."""
        detection = stretch.detection
        likeliest = ""
        if detection.taxon_rank != SPECIES and detection.candidates:
            first = detection.candidates[0]
            likeliest = first.common_name or first.scientific_name
        moment = self._recording.at(stretch.start_s)
        heard = Heard(
            Name(detection.taxon_rank, detection.scientific_name, detection.common_name),
            float(detection.confidence),
            self._key,
            stretch.start_s,
            stretch.end_s,
            self._best_of(stretch),
            self._recording.file if self._seekable else "",
            time=None if moment is None else moment.utc,
            doubtful=moment is not None and not moment.clock_set,
            likeliest=likeliest,
            candidates=tuple(one.scientific_name for one in detection.candidates),
            vector=stretch.vector,
            channel=self._recording.channel or 0,
        )
        self._part.add(heard)
        self._count += 1
        self._heard.append(replace(heard, vector=None))
        if len(self._heard) > 2 * self._most_boxes:
            self._heard = _surest(self._heard, self._most_boxes)

    def _best_of(self, stretch: Stretch) -> float:
        """Where the most confident window of a stretch begins."""
        windows = self._windows.get(stretch.detection.path, [])
        own = [(confidence, -start_s) for start_s, confidence in windows if start_s < stretch.end_s]
        self._windows[stretch.detection.path] = [one for one in windows if one[0] >= stretch.end_s]
        return -max(own)[1] if own else stretch.start_s

    def finish(self, identification: Identification) -> None:
        """Keep the recording, with its spectrogram as pictures."""
        assert self._overview is not None, "the source was not given to `listening`"
        whole = self._overview.finish()
        duration_s = max(identification.duration_s if not self._seekable else 0.0, whole.end_s)
        rows = row_pictures(whole, rows_of(duration_s), self._store)
        self._done.append(
            _Done(
                self._key,
                identification.file,
                duration_s,
                self._recording.rate_hz,
                self._recording.recorded,
                self._recording.origin or "",
                self._recording.channel or 0,
                identification.notes,
                self._count,
                _surest(self._heard, self._most_boxes),
                rows,
                self._outcomes.finish(),
                self._seekable,
            )
        )
        self._tally.merge(self._part)
        self._overview = None

    def fail(self, file: str, reason: str) -> None:
        """Keep the reason."""
        self._overview = None
        self._failed.append((file, reason.removeprefix(f"{file}: ")))

    def report(self, pictures: Pictures, tell: Callable[[str], None], version: str) -> Report:
        """Put the report together: reads the best stretches, or all, of the recordings again for their sound.

        Parameters
        ----------
        pictures : callable
            Detection to pictures of its taxon.
        tell : callable
            Takes one line for each recording that cannot be read again.
        version : str
            Of this program.
        """
        taxa = self._tally.taxa()
        colours = {taxon.name: number for number, taxon in enumerate(taxa)}
        total_s = sum(done.duration_s for done in self._done)
        audio = self._asked.audio
        speech = self._asked.speech
        short = audio is ReportAudio.BEST and total_s <= BEST_S
        whole = audio is ReportAudio.ALL or (short and speech is None)
        sounds = {done.key: self._whole(done, tell) if whole else [] for done in self._done}
        stretches = chosen(taxa, BEST_S if audio is ReportAudio.BEST and not whole else 0.0)
        shown = details(stretches, self._asked.high_hz, self._store, tell, speech)
        heard = {done.key: done.heard for done in self._done}
        parts = taxon_parts(taxa, colours, shown, heard, sounds, pictures, _caption)
        return Report(
            title=self._title(),
            subtitle="Species identified by sound",
            facts=self._facts(taxa, total_s),
            taxa=parts,
            recordings=[self._recording_part(done, colours, sounds[done.key], whole) for done in self._done],
            failed=self._failed,
            settings=self._asked.settings,
            licences=self._asked.licences,
            made=datetime.now(timezone.utc),
            version=version,
            sound=_WHOLE if whole else SOUND_WORDS[audio],
        )

    def _whole(self, done: _Done, tell: Callable[[str], None]) -> list[Sound]:
        if not done.seekable:
            return []
        try:
            return whole_sound(done.file, done.key, done.duration_s, self._store, done.channel)
        except AudioError as error:
            tell(f"{error}; its sound is not in the report")
            return []

    def _title(self) -> str:
        files = list(dict.fromkeys(done.file for done in self._done)) or [file for file, _ in self._failed]
        name = PurePath(files[0]).name if files else "Nothing"
        return name if len(files) <= 1 else f"{name} and {len(files) - 1} more"

    def _facts(self, taxa: Sequence[TaxonTally], total_s: float) -> list[tuple[str, str]]:
        facts = [
            ("recordings", str(len(self._done))),
            ("length", clock(round(total_s, 1))),
            ("species", str(sum(taxon.name.taxon_rank == SPECIES for taxon in taxa))),
            ("detections", str(sum(taxon.count for taxon in taxa))),
        ]
        return [*facts, ("could not be read", str(len(self._failed)))] if self._failed else facts

    def _recording_part(
        self, done: _Done, colours: Mapping[Name, int], sounds: Sequence[Sound], whole: bool
    ) -> RecordingPart:
        rows = done.rows if done.count or len(self._done) <= FEW else []
        names = dict.fromkeys(heard.name for heard in done.heard)
        return RecordingPart(
            key=done.key,
            file=done.called,
            duration_s=done.duration_s,
            rate_hz=done.rate_hz,
            recorded=None if done.recorded is None else done.recorded.utc,
            origin=done.origin,
            notes=done.notes if done.seekable else (*done.notes, UNSEEKABLE),
            detections=done.count,
            figures=tuple(
                figure(shown, attachment, done.key, done.called, done.heard, colours, sounds)
                for shown, attachment in rows
            ),
            legend=tuple(sorted(((name, colours[name] % COLOURS) for name in names), key=lambda one: colours[one[0]])),
            boxes_left_out=done.count - len(done.heard),
            outcomes=done.outcomes,
            sounds=tuple(sounds) if whole else (),
        )


def _caption(detail: Detail) -> str:
    between = f"{clock(round(detail.shown.start_s, 1))} to {clock(round(detail.shown.end_s, 1))}"
    return f"{_called(PurePath(detail.heard.file).name, detail.heard.channel)}, {between}"


def _called(file: str, channel: int) -> str:
    return f"{file}, channel {channel}" if channel else file


def _surest(heard: list[Heard], most: int) -> list[Heard]:
    """The most confident detections, in the order of their starts."""
    if len(heard) > most:
        heard = sorted(heard, key=lambda one: -one.confidence)[:most]
    return sorted(heard, key=lambda one: (one.start_s, one.end_s))


def total_length_s(files: Iterable[str]) -> float:
    """Seconds of recordings, by what they announce; those that cannot be read count nothing."""
    total_s = 0.0
    for file in files:
        if os.path.isfile(file):
            try:
                source = FileSource(file)
            except Exception:  # whatever it is, it is told when the file is identified
                continue
            total_s += source.duration_s or 0.0
            source.close()
    return total_s
