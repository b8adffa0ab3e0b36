"""Whether a recording can be what it is meant to be: faults of microphones, settings and copies.

They are found while it is read. Everything is counted in seconds from the start of the sound, whatever the blocks in
which it arrives, and in constant memory. A good recording has no note: the thresholds are set by the recordings of
`docs/figures.md`.
"""

from __future__ import annotations

import numpy as np

from edgeapp.audio.channels import ChannelMixer
from edgeapp.audio.clipping import Clipping
from edgeapp.audio.segments import Segments
from edgeapp.audio.spectra.bands import HIGH, LOW, Levels, Spectra
from edgeapp.terminal import counted

SEGMENT_S = 1.0
SEGMENTS = 4  # looked at together, which costs little more than one
EVERY = 8  # of so many frames one is transformed: a level needs no more

OFFSET = 0.05  # of full scale; Song Meters have 0.03
OFFSET_OF_SOUND = 0.5  # times the RMS of the sound

LOW_LEVEL_DB = -70.0  # of the loudest frames
LOUDEST = 0.99
STEADY_DB = {LOW: 6.0, HIGH: 3.0}  # between loud and quiet frames of a noise that never changes
STEADY_HUM_DB = 3.0  # between its seconds
NEIGHBOURS = 8  # lines of a spectrum on either side
PEAK_DB = 6.0  # of a line of a spectrum above those beside it
QUIET, LOUD = 0.2, 0.98

DROPOUT_S = 0.002
BESIDE = 64  # samples before and after a dropout
BESIDE_RMS = 8 / 32_768
BESIDE_STEPS = 4  # times their smallest sample: what is quieter may be 0 by rounding, as in 8 bits and ADPCM

TELEPHONE_HZ = (3_300.0, 4_100.0)  # where a sound that was sampled at 8 kHz ends
SLOPE_HZ = 700.0  # of a resampler, which mirrors what is at 3.4 kHz at 4.6
CLIFF_DB, ENDS_DB = 15.0, 45.0  # between noise and between sound below and above
CLIFF_IN_DITHER_DB, ENDS_IN_DITHER_DB = 10.0, 25.0  # the same, where what is above is noise that was added afterwards
ALIKE_DB = 1.5  # deviation between the frequencies of such noise; that of recordings is 3 and more
SOUND_POWER = 1e-10  # of a frame: 16 bits without dither are silent below
FLOOR_POWER = 1e-16  # of a cell, far below what 16 bits can hold

HUM_DB = -40.0  # level of a hum
HUM_ABOVE_DB = 30.0  # above the voices' band
MAINS_HZ = 1_000.0
FEWEST_SECONDS = 3  # in which something is called steady


class Examination:
    """What is odd about a recording.

    Parameters
    ----------
    rate_hz : int
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._spectra = Spectra(rate_hz)
        self._segment = max(1, round(SEGMENT_S * rate_hz))
        self._segments = Segments(SEGMENTS * self._segment)
        self._clipping = Clipping()
        self._gaps = _Gaps(rate_hz)
        self._levels = {band: Levels() for band in (LOW, HIGH)}
        self._loudness = Levels()
        self._seconds = Levels()  # of the low band
        self._spectrum = np.zeros(len(self._spectra.hz))
        self._floor_db = np.zeros(len(self._spectra.hz))  # summed, as the spectrum is
        self._sum = 0.0
        self._n = self._frames = self._frames_of_sound = 0
        self._sounds = False

    def add(self, frames: np.ndarray, mono: np.ndarray) -> None:
        """Take what was decoded, ``[n, channels]``, and the mono ``[m]`` that came of it by now."""
        self._clipping.add(frames)
        for segment in self._segments.add(mono):
            self._look(segment)

    def finish(self, mono: np.ndarray) -> list[str]:
        """Take the last of the mono, and tell the notes."""
        for segment in self._segments.add(mono):
            self._look(segment)
        self._look(self._segments.rest())
        self._gaps.finish()
        if not self._n:
            return []
        if not self._sounds:
            return ["digital silence: every sample is 0"]
        with np.errstate(all="ignore"):
            clauses = self._clauses()
        return [clause for clause in clauses if clause]

    def _clauses(self) -> list[str]:
        return [self._clipping.note(), self._offset(), self._gaps.note(), self._weak(), self._narrow(), self._hum()]

    def _look(self, mono: np.ndarray) -> None:
        if not len(mono):
            return
        self._n += len(mono)
        whole = len(mono) - len(mono) % self._segment
        with np.errstate(all="ignore"):  # samples beyond reason are refused elsewhere
            self._sum += float(mono.sum())
            self._gaps.add(mono)
            if not self._sounds:
                self._sounds = bool(mono.any())
            for segments in (mono[:whole].reshape(-1, self._segment), mono[None, whole:]):
                if segments.size:
                    self._measure(self._spectra.of(segments, EVERY))

    def _measure(self, cells: np.ndarray) -> None:
        """Count spectra ``[segments, frames, bins]``."""
        if not cells.size:
            return
        powers = np.square(cells.real) + np.square(cells.imag)
        low = powers[..., self._spectra.bins(LOW)].sum(axis=2)
        self._seconds.add(low.mean(axis=1))
        powers = powers.reshape(-1, powers.shape[2])
        self._spectrum += powers.sum(axis=0)
        with_sound = powers.sum(axis=1) > SOUND_POWER
        self._floor_db += 10 * np.log10(powers[with_sound] + FLOOR_POWER).sum(axis=0)
        self._frames += len(powers)
        self._frames_of_sound += int(with_sound.sum())
        self._loudness.add(powers[:, 2:].sum(axis=1))
        self._levels[LOW].add(low.reshape(-1))
        self._levels[HIGH].add(powers[:, self._spectra.bins(HIGH)].sum(axis=1))

    def _offset(self) -> str:
        mean = self._sum / self._n
        if abs(mean) < OFFSET or abs(mean) < OFFSET_OF_SOUND * 10 ** (self._loudness.db(LOUDEST) / 20):
            return ""
        return f"constant offset of {mean:+.1%} of full scale"

    def _weak(self) -> str:
        loudest = self._loudness.db(LOUDEST)
        if loudest < LOW_LEVEL_DB:
            return f"very low level: hardly ever above {loudest:.0f} dBFS"
        if self._n < FEWEST_SECONDS * self._rate_hz or self._lines():
            return ""
        for band, levels in self._levels.items():
            if levels.db(LOUD) - levels.db(QUIET) > STEADY_DB[band]:
                return ""
        return "nothing stands out of the noise"

    def _lines(self) -> bool:
        """Whether a line of the spectrum stands out of those beside it."""
        lines = 10 * np.log10(self._spectrum[self._spectra.bins(LOW).start : self._spectra.bins(HIGH).stop] + 1e-30)
        if len(lines) <= 2 * NEIGHBOURS:
            return True
        beside = np.lib.stride_tricks.sliding_window_view(np.pad(lines, NEIGHBOURS, mode="edge"), 2 * NEIGHBOURS + 1)
        return bool((lines - np.median(beside, axis=1) > PEAK_DB).any())

    def _narrow(self) -> str:
        """Sound that was sampled at 8 kHz and brought to a higher rate since: its noise ends there."""
        hz, (below, above) = self._spectra.hz, TELEPHONE_HZ
        long_enough = self._frames_of_sound and self._n >= FEWEST_SECONDS * self._rate_hz
        if self._rate_hz < 4 * above or not long_enough:
            return ""
        inside, outside = (hz > below - 1_000) & (hz < below), (hz > above + SLOPE_HZ) & (hz < 0.9 * self._rate_hz / 2)
        floor_db, spectrum = self._floor_db / self._frames_of_sound, self._spectrum / self._frames
        # Lossy codecs leave out what is masked, and a low voice is far above any noise: so both must end there.
        cliff_db = floor_db[inside].min() - floor_db[outside].max()
        kept, gone = spectrum[(hz > below / 3) & (hz < above)].mean(), spectrum[outside].max()
        ends_db = 10 * np.log10(kept / max(gone, FLOOR_POWER))
        dither = np.std(10 * np.log10(spectrum[outside] + FLOOR_POWER)) < ALIKE_DB
        least = (CLIFF_IN_DITHER_DB, ENDS_IN_DITHER_DB) if dither else (CLIFF_DB, ENDS_DB)
        if cliff_db < least[0] or ends_db < least[1]:
            return ""
        return "nothing above 4 kHz: it seems to have been recorded at 8 kHz"

    def _hum(self) -> str:
        low, hz = self._seconds, self._spectra.hz
        steady = low.db(LOUD) - low.db(QUIET) <= STEADY_HUM_DB and self._n >= FEWEST_SECONDS * self._rate_hz
        if not steady or low.db(QUIET) < HUM_DB or low.db(QUIET) - self._levels[HIGH].db(QUIET) < HUM_ABOVE_DB:
            return ""
        strongest = hz[int(np.argmax(self._spectrum * (hz < MAINS_HZ)))]
        return f"loud steady hum near {strongest:.0f} Hz, {low.db(QUIET):.0f} dBFS"


class _Gaps:
    """Runs of zeros that begin and end in the midst of sound: samples that were lost."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._least = max(8, round(DROPOUT_S * rate_hz))
        self._run = 0  # zeros at the end of what was looked at
        self._cut = False  # whether sound was cut off by them
        self._tail = np.zeros(0, np.float32)  # the last samples before them
        self.count = self.samples = 0

    def add(self, mono: np.ndarray) -> None:
        n, now_and_then = len(mono), mono[:: self._least // 2] == 0
        if not self._run and mono[-1] != 0 and not (now_and_then[1:] & now_and_then[:-1]).any():
            self._tail = mono[-BESIDE:]
            return
        zero = mono == 0
        bounds = np.concatenate([[0], np.flatnonzero(zero[1:] != zero[:-1]) + 1, [n]])
        starts, ends = bounds[:-1], bounds[1:]
        if self._run and not zero[0]:
            self._close(mono[:BESIDE])
        runs = zero[starts] & ((ends - starts >= self._least) | (ends == n) | ((starts == 0) & (self._run > 0)))
        for start, end in zip(starts[runs].tolist(), ends[runs].tolist(), strict=True):
            if start or not self._run:
                self._cut = _loud(mono[max(0, start - BESIDE) : start] if start else self._tail)
            self._run += end - start
            if end < n:
                self._close(mono[end : end + BESIDE])
        if not zero[-1]:
            self._tail = mono[-BESIDE:]

    def finish(self) -> None:
        self._run = 0

    def _close(self, after: np.ndarray) -> None:
        if self._run >= self._least and self._cut and _loud(after):
            self.count += 1
            self.samples += self._run
        self._run = 0

    def note(self) -> str:
        if not self.count:
            return ""
        lost_s = self.samples / self._rate_hz
        return f"{counted(self.count, 'dropout')}: zeros for {lost_s:.2f} s in the midst of sound"


def _loud(samples: np.ndarray) -> bool:
    sizes = np.abs(samples[samples != 0])
    if not len(sizes):
        return False
    return float(np.sqrt(np.square(samples).mean())) > max(BESIDE_RMS, BESIDE_STEPS * float(sizes.min()))


class Listening:
    """Make mono of the frames of a sound, and note what is odd about it.

    Parameters
    ----------
    channels, rate_hz : int
    channel : int
        The only one that is used, from 1; 0 mixes them.
    examine : bool
        Also look for faults of the recording.

    Attributes
    ----------
    notes : list of str
        Complete after `finish`.
    """

    def __init__(self, channels: int, rate_hz: int, channel: int = 0, examine: bool = True) -> None:
        self._mixer = ChannelMixer(channels, rate_hz, channel)
        self._examination = Examination(rate_hz) if examine else None
        self._used = slice(None) if channel == 0 else slice(channel - 1, channel)
        self.notes: list[str] = []

    def add(self, frames: np.ndarray) -> np.ndarray:
        """Take frames ``[n, channels]``, int16 or float32, and give the mono ``[m]`` that is known by now."""
        mono = self._mixer.add(frames)
        if self._examination is not None:
            self._examination.add(frames[:, self._used], mono)
        return mono

    def finish(self) -> np.ndarray:
        """The rest, once there are no more frames."""
        mono = self._mixer.finish()
        self.notes = list(self._mixer.notes)
        if self._examination is not None:
            self.notes += self._examination.finish(mono)
        return mono
