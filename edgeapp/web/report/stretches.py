"""The best stretches of each taxon: which they are, their pictures and sound; and the sound of whole recordings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain, zip_longest

import numpy as np

from edgeapp.audio.file import FileSource, decode
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.resample import resampled
from edgeapp.audio.source import AudioSource
from edgeapp.audio.spectra.spectrogram import Spectrogram
from edgeapp.detections.speech import SpeechDetector
from edgeapp.errors import AudioError
from edgeapp.web.report.attachments import Attachment, Attachments
from edgeapp.web.report.figures import detail_picture
from edgeapp.web.report.model import Heard, Sound
from edgeapp.web.report.sound import encode, gain_db, rate_of
from edgeapp.web.report.tally import TaxonTally

STRETCH_S = 12.0  # shown of a detection, around its most confident window
PAD_S = 0.5  # before and after it
BEST_S = 300.0  # of sound in a report that has that of the best stretches
MOST_STRETCHES = 120  # in a report
MOST_TOLD = 5  # files that cannot be read any more, by name
CHUNK_S = 300.0  # of a recording in one player: encoding it takes 40 MB at 32 kHz


class ReportAudio(str, Enum):
    """Which sound a report has."""

    NONE = "none"
    BEST = "best"
    ALL = "all"


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of a recording to be shown in detail.

    Attributes
    ----------
    heard : Heard
    start_s, end_s : float
        On the clock of its recording.
    sound : bool
        Whether it gets a player of its own.
    same : int or None
        Number of an earlier stretch of the list that shows the same.
    """

    heard: Heard
    start_s: float
    end_s: float
    sound: bool
    same: int | None = None


@dataclass(frozen=True, eq=False)
class Detail:
    """A stretch with its picture and sound.

    Attributes
    ----------
    heard : Heard
    shown : Spectrogram
    attachment : Attachment
    sound : Sound or None
    repeated : bool
        Whether an earlier one shows the same, for another taxon.
    """

    heard: Heard
    shown: Spectrogram
    attachment: Attachment
    sound: Sound | None
    repeated: bool = False


def chosen(taxa: Sequence[TaxonTally], sound_s: float) -> list[Stretch]:
    """The stretches to show: the best of each taxon, then the second of each, and so on.

    Parameters
    ----------
    taxa : sequence of TaxonTally
    sound_s : float
        Seconds of sound there is room for; the best stretches get it.
    """
    found: list[Stretch] = []
    for heard in filter(None, chain.from_iterable(zip_longest(*(taxon.best for taxon in taxa)))):
        if not heard.file or len(found) >= MOST_STRETCHES:
            continue
        start_s, end_s = _extent(heard)
        same = next((n for n, one in enumerate(found) if one.same is None and _shows(one, heard)), None)
        if same is not None:
            found.append(replace(found[same], heard=heard, sound=False, same=same))
            continue
        fits = end_s - start_s <= sound_s
        sound_s -= end_s - start_s if fits else 0.0
        found.append(Stretch(heard, start_s, end_s, fits))
    return found


def _extent(heard: Heard) -> tuple[float, float]:
    """What is shown of a detection: all of it, or what is around its most confident window."""
    first_s, last_s = max(heard.start_s - PAD_S, 0.0), heard.end_s + PAD_S
    start_s = min(max(first_s, heard.best_s - STRETCH_S / 3), max(first_s, last_s - STRETCH_S))
    return start_s, min(last_s, start_s + STRETCH_S)


def _shows(stretch: Stretch, heard: Heard) -> bool:
    """Whether a stretch has the most confident moment of another detection in it, and what follows."""
    inside = stretch.start_s <= heard.best_s and min(heard.best_s + 2 * PAD_S, heard.end_s) <= stretch.end_s
    return stretch.heard.recording == heard.recording and inside


def details(
    stretches: Sequence[Stretch],
    high_hz: float,
    store: Attachments,
    tell: Callable[[str], None],
    speech: SpeechDetector | None = None,
) -> list[Detail]:
    """Read the stretches from their files, without those of files that cannot be read any more.

    Parameters
    ----------
    stretches : sequence of Stretch
    high_hz : float
        Upper end of the frequency axes.
    store : Attachments
        Gets pictures and sounds.
    tell : callable
        Takes one line for each file that cannot be read, `MOST_TOLD` at most, and one for the others.
    speech : SpeechDetector, optional
        A stretch in which it hears speech gets no sound.
    """

    def one(numbered: tuple[int, Stretch]) -> Detail | str:
        number, stretch = numbered
        try:
            return _detail(stretch, f"sound-{number + 1}", high_hz, store, speech)
        except AudioError as error:
            return str(error)

    distinct = [(number, stretch) for number, stretch in enumerate(stretches) if stretch.same is None]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = dict(zip((number for number, _ in distinct), pool.map(one, distinct), strict=True))
    lines = list(dict.fromkeys(line for line in made.values() if isinstance(line, str)))
    for line in lines[:MOST_TOLD]:
        tell(f"{line}; not shown in the report")
    if len(lines) > MOST_TOLD:
        tell(f"{len(lines) - MOST_TOLD} more files cannot be read either; not shown in the report")
    found = []
    for number, stretch in enumerate(stretches):
        detail = made[number if stretch.same is None else stretch.same]
        if isinstance(detail, Detail):
            found.append(replace(detail, heard=stretch.heard, repeated=stretch.same is not None))
    return found


def _detail(
    stretch: Stretch, id: str, high_hz: float, store: Attachments, speech: SpeechDetector | None = None
) -> Detail:
    heard = stretch.heard
    source = FileSource(heard.file, stretch.start_s, stretch.end_s - stretch.start_s, heard.channel, examine=False)
    rate_hz = source.rate_hz
    samples = decode(source, rate_hz)
    if not len(samples):
        raise AudioError(f"{heard.file}: has no sound at {stretch.start_s:g} s", "copy the file again")
    shown, attachment = detail_picture(samples, rate_hz, stretch.start_s, high_hz, store)
    sound = None
    if stretch.sound and (speech is None or not speech.heard(samples, rate_hz)):
        gain = gain_db(float(np.abs(samples).max()))
        encoded = encode(_blocks(MemorySource(samples, rate_hz)), rate_of(rate_hz), gain)
        kept = store.add(encoded.content, encoded.media_type)
        sound = Sound(id, heard.recording, stretch.start_s, stretch.end_s, kept, gain)
    return Detail(heard, shown, attachment, sound)


def whole_sound(file: str, recording: str, duration_s: float, store: Attachments, channel: int = 0) -> list[Sound]:
    """The sound of a whole recording, or of one of its channels, in players of at most `CHUNK_S`.

    Raises
    ------
    AudioError
        The file cannot be read any more.
    """
    sounds, gain = [], gain_db(_peak(file, channel))
    starts = np.arange(0, duration_s, CHUNK_S)
    for number, start_s in enumerate(starts.tolist(), start=1):
        source = FileSource(file, start_s, CHUNK_S, channel, examine=False)
        try:
            encoded = encode(_blocks(source), rate_of(source.rate_hz), gain)
        finally:
            source.close()
        end_s = min(start_s + CHUNK_S, duration_s)
        kept = store.add(encoded.content, encoded.media_type)
        sounds.append(Sound(f"sound-{recording}-{number}", recording, start_s, end_s, kept, gain))
    return sounds


def _peak(file: str, channel: int) -> float:
    """Largest absolute sample of a recording."""
    source = FileSource(file, channel=channel, examine=False)
    try:
        return max((float(np.abs(block.samples).max()) for block in source.blocks()), default=0.0)
    finally:
        source.close()


def _blocks(source: AudioSource) -> Iterator[np.ndarray]:
    blocks: Iterable = resampled(source, rate_of(source.rate_hz)).blocks()
    return (block.samples for block in blocks)
