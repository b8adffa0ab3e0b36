"""Microphone health: the state machine behind the terminal, the log, the status file and doctor.

A station that runs and records nothing looks healthy from outside. So the microphone is judged by two things alone:
whether samples arrive, and whether they can come from a microphone. A quiet night can: the noise of any capsule and
its amplifier moves the last bits of every second. A dead one cannot: it gives one value, or the two or three next to
it, or only mains hum, or a signal at full scale.

Measured: of 6,313 seconds of field recordings and recordings of single species no whole second was taken for flat
but the digital zeros with which some were padded, and no recording was called silent. Noise in 16 bits is told from
flat down to -98 dBFS; in 24 bits everywhere. Judging takes less than 0.1 % of a core.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgeapp.audio.microphones.channel_health import ChannelFault, Fault
from edgeapp.audio.windows import level_dbfs

PIECE_S = 1.0  # judged at once; a spectrum of it tells hum from sound beside it
FLAT_S = 10.0  # nothing but flat pieces for this long is silence; no microphone does that by itself
BAD_S = 60.0  # the same of hum and clipping; a gust, a generator or a tractor next to it takes less
RECOVERED_S = 3.0  # good sound in a row that ends a silence, so that a loose contact does not toggle it
STALLED_S = 3.0  # without a sample; recorders deliver each tenth of a second

LSB = 2.0**-15  # of 16 bits
FLAT_STEPS = 2 * LSB  # from lowest to highest: a muted converter toggles by one step to each side
FLAT_VALUES = 5  # of such a converter, averaged over two channels; 24-bit noise this quiet has many more
FLAT_REST = 2.0**-22  # what float arithmetic on the way makes of nothing
HUM_WIDTH_HZ = 3.0  # half of a harmonic's place in the spectrum: the window's main lobe, and the mains' own wandering
HUM_TOP_HZ = 1_000.0  # harmonics above this are as quiet as the noise
HUM_REST = 1e-4  # power beside the harmonics against all: 40 dB below
HUM_REST_DBFS = -70.0  # and quieter than this: what is louder is sound beside hum
HUM_SLOPE = 0.15  # rms of the differences against rms: 1 kHz at 48 kHz has 0.13; above it no spectrum is taken
CLIPPED_AT = 0.95  # of full scale; a card may clip a little before its own end
CLIPPED_WITHIN = 1e-3  # of its own extremes
CLIPPED_SHARE = 0.05  # of the samples of a piece: loud song touches full scale in far fewer


class State(str, Enum):
    """State of a microphone."""

    STARTING = "starting"  # opened for the first time, nothing good heard yet
    HEARING = "hearing"
    INVERTED_CHANNEL = "inverted channel"  # it hears; its channels cancel each other
    DEAD_CHANNEL = "dead channel"  # it hears, with fewer channels than it has
    NOISY_CHANNEL = "noisy channel"
    SILENT = "silent"  # samples arrive that no working microphone gives
    STALLED = "stalled"  # no samples, though nobody said that it is gone
    LOST = "lost"  # lost, and being reopened
    BACK = "back"  # samples arrive again, nothing good heard yet


OF_FAULT = {
    Fault.INVERTED: State.INVERTED_CHANNEL,
    Fault.DEAD: State.DEAD_CHANNEL,
    Fault.NOISY: State.NOISY_CHANNEL,
}
IMPAIRED = tuple(OF_FAULT.values())
HEARS = (State.HEARING, *IMPAIRED)
DEAF = (State.SILENT, State.STALLED, State.LOST)


@dataclass(frozen=True)
class Transition:
    """A change of state.

    Attributes
    ----------
    at_s : float
        On the clock of the caller, seconds.
    before, state : State
    why : str
        In words.
    """

    at_s: float
    before: State
    state: State
    why: str

    @property
    def in_words(self) -> str:
        """``silent (flat zeros for 10 s)``."""
        return f"{self.state.value} ({self.why})" if self.why else self.state.value


class MicrophoneHealth:
    """Health of one microphone. Updated by the thread that reads it; readable from any thread.

    Parameters
    ----------
    rate_hz : int
        Of the samples.
    at_s : float
        The present, on the clock that all later times are on: the clock since boot.
    tell : Callable[[Transition], None]
        Called with every transition, in their order, by the thread that caused it.

    Attributes
    ----------
    good_s : float
        Seconds of good sound since the microphone was last opened.
    level_dbfs : float or None
        Of the last whole second; None before it.
    """

    def __init__(self, rate_hz: int, at_s: float, tell: Callable[[Transition], None] = lambda transition: None) -> None:
        self._tell = tell
        self._lock = threading.RLock()
        self._rate_hz = rate_hz
        self._latest = Transition(at_s, State.STARTING, State.STARTING, "no samples yet")
        self._pieces: list[np.ndarray] = []  # samples that do not make a whole piece yet
        self._held = 0
        self._bad: Counter[str] = Counter()  # pieces since the last good one
        self._good_in_a_row = 0.0
        self._faults: tuple[ChannelFault, ...] = ()
        self._begin(at_s)

    @property
    def state(self) -> State:
        """What is known now."""
        return self._latest.state

    @property
    def why(self) -> str:
        """Why it is so."""
        return self._latest.why

    @property
    def since_s(self) -> float:
        """Since when it is so."""
        return self._latest.at_s

    def observe(self, samples: np.ndarray, at_s: float) -> tuple[Transition, ...]:
        """Note samples that have just arrived; the transitions they cause.

        Parameters
        ----------
        samples : np.ndarray
            ``[n]`` mono float32, as the microphone gave them and not resampled.
        at_s : float
        """
        if not len(samples):
            return self.tick(at_s)
        with self._lock:
            self._arrived_s = at_s
            made: list[Transition] = []
            if self.state in (State.STALLED, State.LOST):
                made.append(self._change(State.BACK, "samples received again", at_s))
            self._pieces.append(samples)
            self._held += len(samples)
            size = round(PIECE_S * self._rate_hz)
            if self._held >= size:
                sound = np.concatenate(self._pieces)
                whole = len(sound) - len(sound) % size
                for start in range(0, whole, size):
                    made += self._judge(sound[start : start + size], at_s)
                self._pieces, self._held = [sound[whole:]], len(sound) - whole
            return tuple(made)

    def tick(self, at_s: float) -> tuple[Transition, ...]:
        """Note that time has passed; to be called at least each second, whether samples arrive or not."""
        with self._lock:
            quiet_s = at_s - self._arrived_s
            if quiet_s < STALLED_S or self.state in (State.STALLED, State.LOST):
                return ()
            self._forget()
            return (self._change(State.STALLED, f"no samples for {STALLED_S:g} s", at_s),)

    def lost(self, reason: str, at_s: float) -> tuple[Transition, ...]:
        """Note that the microphone is gone."""
        with self._lock:
            self._forget()
            if self.state is State.LOST:  # still; the next try failed as well, perhaps for another reason
                self._latest = Transition(self.since_s, self._latest.before, State.LOST, reason)
                return ()
            return (self._change(State.LOST, reason, at_s),)

    def channels(self, faults: Sequence[ChannelFault], at_s: float) -> tuple[Transition, ...]:
        """Note what is wrong with single channels, all of it; it is told while the microphone hears."""
        with self._lock:
            self._faults = tuple(faults)
            if self.state not in HEARS:
                return ()
            return (self._change(*self._heard("all channels are in order"), at_s),)

    def reopened(self, at_s: float, rate_hz: int | None = None) -> tuple[Transition, ...]:
        """Note that the microphone was opened again, perhaps at another rate."""
        with self._lock:
            self._rate_hz = rate_hz or self._rate_hz
            never = self.state is State.STARTING
            self._begin(at_s)
            return () if never else (self._change(State.BACK, "opened again", at_s),)

    def _begin(self, at_s: float) -> None:
        self._arrived_s = at_s
        self.good_s = 0.0
        self.level_dbfs: float | None = None
        self._faults = ()
        self._forget()

    def _forget(self) -> None:
        self._pieces = []
        self._held = 0
        self._bad.clear()
        self._good_in_a_row = 0.0

    def _judge(self, piece: np.ndarray, at_s: float) -> list[Transition]:
        self.level_dbfs = level_dbfs(piece)
        fault = fault_of(piece, self._rate_hz)
        if fault is None:
            self._bad.clear()
            self.good_s += PIECE_S
            self._good_in_a_row += PIECE_S
            if self.state in HEARS or (self.state is State.SILENT and self._good_in_a_row < RECOVERED_S):
                return []
            return [self._change(*self._heard(f"sound at {self.level_dbfs:.0f} dBFS"), at_s)]
        self._good_in_a_row = 0.0
        self._bad[fault] += 1
        bad_s = self._bad.total() * PIECE_S
        if self.state is State.SILENT or (self._bad[FLAT] * PIECE_S < FLAT_S and bad_s < BAD_S):
            return []
        worst = self._bad.most_common(1)[0][0]
        return [self._change(State.SILENT, f"{worst} for {bad_s:.0f} s", at_s)]

    def _heard(self, otherwise: str) -> tuple[State, str]:
        """The state of a microphone that hears, and why: what is wrong with its channels, or something else."""
        if not self._faults:
            return State.HEARING, otherwise
        return OF_FAULT[self._faults[0].fault], "; ".join(fault.why for fault in self._faults)

    def _change(self, state: State, why: str, at_s: float) -> Transition:
        self._latest = Transition(at_s, self.state, state, why)
        self._tell(self._latest)
        return self._latest


FLAT = "constant value"
HUM = "mains hum only"
CLIPPING = "clipping at full scale"


def fault_of(piece: np.ndarray, rate_hz: int) -> str | None:
    """Why a piece of sound cannot come from a working microphone; None where it can.

    Parameters
    ----------
    piece : np.ndarray
        ``[n]``, about `PIECE_S` long.
    rate_hz : int
    """
    low, high = float(piece.min()), float(piece.max())
    span = high - low
    # Both in steps of 16 bits: muting leaves at most a step to each side, and few values in between.
    if span <= FLAT_REST or (span <= FLAT_STEPS * 1.01 and len(np.unique(piece)) <= FLAT_VALUES):
        return FLAT
    if max(high, -low) >= CLIPPED_AT:
        at_the_end = (piece >= max(high - CLIPPED_WITHIN, CLIPPED_AT)) | (
            piece <= min(low + CLIPPED_WITHIN, -CLIPPED_AT)
        )
        if float(at_the_end.mean()) >= CLIPPED_SHARE:
            return CLIPPING
    return HUM if _only_hum(piece, rate_hz) else None


def _only_hum(piece: np.ndarray, rate_hz: int) -> bool:
    centred = piece - piece.mean()
    rms = float(np.sqrt(np.square(centred).mean()))
    slope = float(np.sqrt(np.square(np.diff(centred)).mean()))
    if slope > HUM_SLOPE * rms * max(1.0, 48_000 / rate_hz):
        return False
    window = np.hanning(len(piece)).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(centred * window)))
    frequency = np.arange(len(power)) * rate_hz / len(piece)
    power[frequency < HUM_WIDTH_HZ] = 0.0  # drift of the offset is neither hum nor sound
    total = float(power.sum())
    for mains_hz in (50.0, 60.0):
        off = np.abs(frequency - mains_hz * np.round(frequency / mains_hz))
        beside = (off > HUM_WIDTH_HZ) | (frequency > HUM_TOP_HZ)
        rest = float(power[beside].sum()) / total if total else 0.0
        if rest <= HUM_REST and rest * rms**2 <= 10 ** (HUM_REST_DBFS / 10):
            return True
    return False
