"""Channels of a sound: which of them are heard, and what is wrong with them.

Channels are mixed to mono by their mean. Two faults of recorders spoil that. Where one channel is wired the other way
round, the mean is silence; where a microphone is dead, it has half the level. Both come and go with a loose plug, so
they are looked for in every second of sound by itself: seconds are counted from the start of the sound, whatever the
blocks in which it arrives, and a second is given once it is known. A second without a fault is mixed as it always was,
to the last bit.

Channels cancel each other where the power of their mean is far below theirs in what stands out of a second: the cells
of its spectrogram that are far above the mean cell. Independent noise of two channels has half the power in its mean,
and hides a voice that cancels; sound that reaches two microphones at different times loses some frequencies and keeps
the others. One channel is used from then on until a second shows that the mean is sound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from edgeapp.audio.channel_noise import ChannelNoise
from edgeapp.audio.segments import Segments
from edgeapp.audio.spectra.bands import HIGH, LOW, Spectra
from edgeapp.errors import UsageError

MIX, LEFT, RIGHT, EACH, BEST = CHOICES = ("mix", "left", "right", "each", "best")
SIDES = {LEFT: 1, RIGHT: 2}

SEGMENT_S = 1.0  # for which one decision holds
FADE_S = 0.01  # from one decision to the next, so that nothing clicks

DEAD = 4 / 32_768  # between the lowest and the highest sample: dither of 16 bits, and an offset, but no sound
ALIVE = 40 / 32_768  # of another channel, beside which that is dead
FRAMES_EVERY = 2  # of so many frames one is transformed
STANDING_OUT = 4.0  # times the mean power of the cells of a band
FEW_CELLS = 8  # beside which nothing is said
CANCELLED = 0.15  # power of the mean over that of its channels, times the channels: 1 where they are independent
SOUND_AGAIN = 1.2
OPPOSED = -0.7  # correlation of one of several channels with the sum of the others, from which on it is inverted

EQUAL_DB = 1.0  # channels that differ by less are as good

INT16_UNIT = np.float32(1 / 32_768)


@dataclass(frozen=True)
class Channel:
    """Which channel of a sound is heard.

    Attributes
    ----------
    choice : str
        One of `CHOICES`, or empty for a number.
    number : int
        From 1; 0 for a choice that is none.
    """

    choice: str = MIX
    number: int = 0

    @classmethod
    def of(cls, text: str) -> Channel:
        """Read ``mix``, ``left``, ``right``, ``each``, ``best`` or a number from 1.

        Raises
        ------
        UsageError
            Anything else.
        """
        word = text.strip().lower()
        if word in SIDES:
            return cls("", SIDES[word])
        if word in CHOICES:
            return cls(word)
        if word.isascii() and word.isdecimal() and int(word) > 0:
            return cls("", int(word))
        raise UsageError(f"there is no channel {text!r}", f"use {', '.join(CHOICES)}, or a number from 1")

    def __str__(self) -> str:
        return self.choice or str(self.number)


def check_piped(channel: Channel) -> None:
    """Raise UsageError for a choice that takes reading a sound twice, which comes through a pipe."""
    if channel.choice in (EACH, BEST):
        raise UsageError(f"--channel {channel} reads a recording twice, and a pipe ends", "choose mix or a number")


def scaled(frames: np.ndarray) -> np.ndarray:
    """Samples as float32 of full scale 1.0, from int16 or from what is that already."""
    return np.multiply(frames, INT16_UNIT, dtype=np.float32) if frames.dtype == np.int16 else frames


def mean_of(frames: np.ndarray, used: tuple[int, ...] | None = None) -> np.ndarray:
    """The mean of channels.

    Parameters
    ----------
    frames : np.ndarray
        ``[n, channels]``, int16, or float32 of full scale 1.0.
    used : tuple of int, optional
        Counted from 0; all of them if not given.

    Returns
    -------
    np.ndarray
        ``[n]`` float32, full scale is 1.0.
    """
    chosen = range(frames.shape[1]) if used is None else used
    if len(chosen) == 1:
        return scaled(frames[:, chosen[0]])
    if len(chosen) == 2:  # as NumPy's mean of two, in a third of the time
        first, second = (frames[:, one].astype(np.float32) for one in chosen)
        mean = np.add(first, second, out=first)
        mean *= np.float32(0.5)
    else:
        mean = (frames if used is None else frames[:, list(used)]).mean(axis=1, dtype=np.float32)
    return mean * INT16_UNIT if frames.dtype == np.int16 else mean


class ChannelMixer:
    """Make mono of the frames of a sound, in constant memory.

    Parameters
    ----------
    channels, rate_hz : int
    number : int
        Of the only channel that is used, from 1; 0 mixes them.

    Attributes
    ----------
    notes : list of str
        What was wrong with the channels so far; complete after `finish`.
    """

    def __init__(self, channels: int, rate_hz: int, number: int = 0) -> None:
        if not 0 <= number <= channels:
            raise ValueError(f"channel {number} of {channels}")
        self._channels, self._number = channels, number
        self._segments = Segments(round(SEGMENT_S * rate_hz))
        self._fade = max(1, round(FADE_S * rate_hz))
        self._rate_hz = rate_hz
        self._used: tuple[int, ...] | None = None  # in the segment before; None before the first
        self._alone: int | None = None  # the channel used since the others cancelled it
        self._watch = ChannelWatch(channels, rate_hz) if number == 0 and channels > 1 else None
        self._n = 0
        self._cancelled = 0  # samples
        self._dead = np.zeros(channels, np.int64)
        self.notes: list[str] = []

    def add(self, frames: np.ndarray) -> np.ndarray:
        """Take frames ``[n, channels]`` and give the mono that is known by now, ``[m]`` float32 of full scale 1.0.

        Frames are int16, or float32 of full scale 1.0, and always the one or the other.
        """
        if self._watch is None:
            return mean_of(frames, (max(0, self._number - 1),))
        given = [self._mixed(segment) for segment in self._segments.add(frames)]
        return np.concatenate(given) if given else np.zeros(0, np.float32)

    def finish(self) -> np.ndarray:
        """The rest, once there are no more frames."""
        waiting = self._segments.rest()
        rest = self._mixed(waiting) if len(waiting) else np.zeros(0, np.float32)
        self.notes = self._told()
        return rest

    def _mixed(self, frames: np.ndarray) -> np.ndarray:
        """One segment."""
        assert self._watch is not None
        seen = self._watch.look(np.ascontiguousarray(scaled(frames).T))
        used = seen.live
        if self._alone is not None and (self._alone not in used or seen.sound_again):
            self._alone = None
        if self._alone is None and seen.cancelled:
            self._alone = used[0]
        if self._alone is not None:
            used = (self._alone,)
            self._cancelled += len(frames)
        else:
            for channel in set(range(self._channels)).difference(used):
                self._dead[channel] += len(frames)
        self._n += len(frames)
        everything = len(used) == self._channels
        samples = mean_of(frames, None if everything else used)
        before, self._used = self._used, used
        if before not in (None, used):
            fade = min(self._fade, len(frames))
            rise = np.arange(fade, dtype=np.float32) / np.float32(fade)
            samples = np.array(samples)
            samples[:fade] = rise * samples[:fade] + (1 - rise) * mean_of(frames[:fade], before)
        return samples

    def _told(self) -> list[str]:
        if self._watch is None or not self._n:
            return []
        notes = []
        if self._cancelled:
            notes.append(f"channels cancel each other{self._share(self._cancelled)}: one of them is used instead")
        notes += [
            f"channel {channel + 1} is silent{self._share(int(dead))} and was left out"
            for channel, dead in enumerate(self._dead)
            if dead
        ]
        # A dead channel is the quieter one by any measure, and says nothing about the others.
        whole = [channel for channel in range(self._channels) if not self._dead[channel]]
        return notes + self._watch.noise.notes(whole)

    def _share(self, n: int) -> str:
        """For how long of the sound; nothing if always."""
        return "" if n == self._n else f" for {n / self._rate_hz:.1f} of {self._n / self._rate_hz:.1f} s"


@dataclass(frozen=True)
class Seen:
    """What a segment shows.

    Attributes
    ----------
    live : tuple of int
        Channels with sound, from 0; all of them where none has enough to tell.
    sounding : tuple of int
        Channels that are not dead by themselves, whatever the others have.
    opposed : tuple of int or None
        Of more than two channels those that cancel the others; None where nothing says so or otherwise.
    cancelled, sound_again : bool
        Their mean has lost what they have; it surely has not. Neither where nothing stands out of the noise.
    """

    live: tuple[int, ...]
    cancelled: bool
    sound_again: bool
    sounding: tuple[int, ...] = ()
    opposed: tuple[int, ...] | None = None


class ChannelWatch:
    """Look at the channels of a sound, one segment after the other; knows of no segment but the one it is given.

    Attributes
    ----------
    noise : ChannelNoise
        Of all segments so far.
    """

    def __init__(self, channels: int, rate_hz: int) -> None:
        self._spectra = Spectra(rate_hz)
        self.noise = ChannelNoise(channels)

    def look(self, samples: np.ndarray) -> Seen:
        """What a segment ``[channels, n]`` shows, float32 of full scale 1.0."""
        spans = samples.max(axis=1) - samples.min(axis=1)
        sounding = live = tuple(np.flatnonzero(spans > DEAD).tolist())
        if not live or spans.max() < ALIVE:
            live = tuple(range(len(samples)))
        with np.errstate(all="ignore"):  # samples beyond reason are refused elsewhere
            return replace(self._heard(samples, live), sounding=sounding)

    def _heard(self, samples: np.ndarray, live: tuple[int, ...]) -> Seen:
        cells = self._spectra.of(samples, FRAMES_EVERY)
        powers = np.square(cells.real) + np.square(cells.imag)
        self.noise.add(self._spectra, powers)
        if len(live) < 2 or not cells.shape[1]:
            return Seen(live, False, False)
        together = cells[list(live)].mean(axis=0)
        kept = np.square(together.real) + np.square(together.imag)
        each = powers[list(live)].mean(axis=0)
        low, high = (self._standing_out(kept, each, band) for band in (LOW, HIGH))
        lows, highs, both = (_share(part, len(live)) for part in (low, high, low + high))
        # Two microphones hear a hum in opposite phase: the low band counts only where voices are not in phase.
        cancelled = highs < CANCELLED or (both < CANCELLED and not highs > 1.0)
        again = (lows if np.isnan(highs) else highs) > SOUND_AGAIN
        return Seen(live, cancelled, again, opposed=self._opposed(cells[list(live)], each, live))

    def _opposed(self, cells: np.ndarray, each: np.ndarray, live: tuple[int, ...]) -> tuple[int, ...] | None:
        """Which of several channels are in opposite phase to the sum of the others, in what stands out."""
        inside = self._spectra.bins(HIGH)
        standing = each[:, inside] > STANDING_OUT * each[:, inside].mean()
        if len(live) < 3 or np.count_nonzero(standing) < FEW_CELLS:
            return None
        own = cells[:, :, inside][:, standing]
        others = own.sum(axis=0) - own
        together = (own * others.conj()).real.sum(axis=1)
        powers = np.square(np.abs(own)).sum(axis=1) * np.square(np.abs(others)).sum(axis=1)
        found = np.flatnonzero(together < OPPOSED * np.sqrt(powers))  # of half of them nobody knows which are right
        return tuple(live[place] for place in found.tolist()) if 2 * len(found) < len(live) else ()

    def _standing_out(self, kept: np.ndarray, each: np.ndarray, band: str) -> np.ndarray:
        """What stands out of a band: the power of the mean of channels, that of the channels, and the cells."""
        inside = self._spectra.bins(band)
        kept, each = kept[:, inside], each[:, inside]
        standing = each > STANDING_OUT * each.mean() if each.size else np.zeros(each.shape, bool)
        return np.array([kept[standing].sum(), each[standing].sum(), np.count_nonzero(standing)], np.float64)


def _share(part: np.ndarray, channels: int) -> float:
    """Power of the mean of channels over theirs, times their number; NaN where little stands out."""
    kept, each, cells = part.tolist()
    return kept / each * channels if cells >= FEW_CELLS and 0.0 < each < np.inf else np.nan


def best_of(pieces: Iterable[np.ndarray], channels: int, rate_hz: int) -> int:
    """The channel, from 1, whose sound stands out most of its noise, hum included; the first of equal ones.

    Parameters
    ----------
    pieces : iterable of np.ndarray
        The whole sound, ``[n, channels]``, int16 or float32.
    """
    watch, segments = ChannelWatch(channels, rate_hz), Segments(round(SEGMENT_S * rate_hz))
    heard = np.zeros(channels, np.int64)

    def look(frames: np.ndarray) -> None:
        live = watch.look(np.ascontiguousarray(scaled(frames).T)).live
        heard[list(live)] += len(frames)

    for piece in pieces:
        for segment in segments.add(piece):
            look(segment)
    rest = segments.rest()
    if len(rest):
        look(rest)
    alive = [channel for channel in range(channels) if 2 * heard[channel] >= heard.max()]
    merits = {channel: watch.noise.merit_db(channel, alive) for channel in alive}
    return 1 + next(channel for channel in alive if merits[channel] >= max(merits.values()) - EQUAL_DB)
