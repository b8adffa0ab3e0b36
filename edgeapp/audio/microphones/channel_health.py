"""Channels of a microphone: mixed as the sound comes, watched, and what is wrong with them named.

A station cannot hear its sound twice, as `edgeapp.audio.channels` may with a recording. So what a second of sound has
shown decides on the seconds after it. What is only used for a while changes at once; what a person is told changes
slowly: a fault has to last, and has to be gone for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgeapp.audio.channel_noise import ChannelNoise
from edgeapp.audio.channels import (
    BEST,
    EQUAL_DB,
    FADE_S,
    SEGMENT_S,
    Channel,
    ChannelWatch,
    Seen,
    mean_of,
)
from edgeapp.audio.segments import Segments

DEAD_S = 10.0  # without sound, while another channel has some
ALIVE_S = 3.0  # with sound, which end that; a loose contact does not toggle it
INVERTED_S = 5.0  # in which channels cancel each other, none in between in which they do not
UPRIGHT_S = 3.0
OPPOSED_S = 30.0  # in which one of several cancels the others; a steady call may half a wavelength away, for less
FIRST_NOISE_S = 10.0  # after which the best channel is chosen first
NOISE_S = 60.0  # noise is judged once in so long
NOISY_STILL_DB = 6.0  # a noisy channel may be so much better before it is none any more
SWITCH_DB = 3.0  # that another channel must be better than the best one so far


class Fault(str, Enum):
    """What a channel can have. The first is the worst."""

    INVERTED = "inverted"
    DEAD = "dead"
    NOISY = "noisy"


@dataclass(frozen=True)
class ChannelFault:
    """A fault of a channel.

    Attributes
    ----------
    fault : Fault
    channel : int
        From 1; 0 for all of them together.
    why : str
        In words, with the channel.
    """

    fault: Fault
    channel: int
    why: str


class ChannelHealth:
    """Which faults the channels of a microphone have, one second of sound after the other.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._dead_s = np.zeros(channels)
        self._alive_s = np.zeros(channels)
        self._opposed_s = np.zeros(channels)
        self._agreed_s = np.zeros(channels)
        self._cancelled_s = self._upright_s = 0.0
        self._faults: dict[tuple[Fault, int], ChannelFault] = {}

    @property
    def faults(self) -> tuple[ChannelFault, ...]:
        """What is wrong now, the worst first."""
        order = list(Fault)
        return tuple(sorted(self._faults.values(), key=lambda one: (order.index(one.fault), one.channel)))

    def has(self, fault: Fault, channel: int) -> bool:
        """Whether a channel, from 1, has a fault."""
        return (fault, channel) in self._faults

    def note(self, seen: Seen) -> None:
        """Note what a segment of `SEGMENT_S` showed."""
        for channel in range(self._channels):
            dead = channel not in seen.live
            sounding = channel in seen.sounding
            self._dead_s[channel] = 0.0 if sounding else self._dead_s[channel] + dead * SEGMENT_S
            self._alive_s[channel] = self._alive_s[channel] + SEGMENT_S if sounding else 0.0
            self._mark(Fault.DEAD, channel + 1, self._dead_s[channel] >= DEAD_S, self._alive_s[channel] >= ALIVE_S)
            if seen.opposed is not None:
                opposed = channel in seen.opposed
                self._opposed_s[channel] = self._opposed_s[channel] + SEGMENT_S if opposed else 0.0
                self._agreed_s[channel] = 0.0 if opposed else self._agreed_s[channel] + SEGMENT_S
                begins, ends = self._opposed_s[channel] >= OPPOSED_S, self._agreed_s[channel] >= UPRIGHT_S
                self._mark(Fault.INVERTED, channel + 1, begins, ends)
        if seen.cancelled:
            self._cancelled_s, self._upright_s = self._cancelled_s + SEGMENT_S, 0.0
        elif seen.sound_again:
            self._upright_s, self._cancelled_s = self._upright_s + SEGMENT_S, 0.0
        self._mark(Fault.INVERTED, 0, self._cancelled_s >= INVERTED_S, self._upright_s >= UPRIGHT_S)

    def note_noise(self, noise: ChannelNoise) -> None:
        """Note the noise of `NOISE_S`."""
        whole = [channel for channel in range(self._channels) if not self.has(Fault.DEAD, channel + 1)]
        noisy = {channel for channel, _ in noise.noisy(whole)}
        still = {channel for channel, _ in noise.noisy(whole, NOISY_STILL_DB)}
        for channel in range(self._channels):
            self._mark(Fault.NOISY, channel + 1, channel in noisy, channel not in still)

    def _mark(self, fault: Fault, channel: int, begins: bool, ends: bool) -> None:
        key = fault, channel
        if begins and key not in self._faults:
            self._faults[key] = _fault(fault, channel)
        elif ends:
            self._faults.pop(key, None)


def faults_in(frames: np.ndarray, rate_hz: int) -> tuple[ChannelFault, ...]:
    """What is wrong with the channels of a few seconds of sound ``[n, channels]``, where all of it shows it."""
    channels = frames.shape[1]
    if channels < 2:
        return ()
    watch, size = ChannelWatch(channels, rate_hz), round(SEGMENT_S * rate_hz)
    starts = range(0, len(frames) - size + 1, size)
    seen = [watch.look(np.ascontiguousarray(frames[start : start + size].T)) for start in starts]
    if not seen:
        return ()
    dead = [channel for channel in range(channels) if all(channel not in one.live for one in seen)]
    whole = [channel for channel in range(channels) if channel not in dead]
    found = [(Fault.INVERTED, 0)] if all(one.cancelled for one in seen) else []
    found += [(Fault.DEAD, channel + 1) for channel in dead]
    found += [(Fault.NOISY, channel + 1) for channel, _ in watch.noise.noisy(whole)]
    return tuple(_fault(fault, channel) for fault, channel in found)


def _fault(fault: Fault, channel: int) -> ChannelFault:
    return ChannelFault(fault, channel, _IN_WORDS[fault].format(channel) if channel else ALL_CANCEL)


ALL_CANCEL = "channels cancel each other: one is wired the other way round"
_IN_WORDS = {
    Fault.INVERTED: "channel {} is wired the other way round",
    Fault.DEAD: "channel {} has no sound",
    Fault.NOISY: f"channel {{}} is far noisier than another one: choose channel {BEST}",
}


class LiveMixer:
    """Mono of the frames of a microphone, as they come.

    Parameters
    ----------
    channels, rate_hz : int
    channel : Channel
        ``mix`` leaves out what is dead, and uses one channel where they cancel; ``best`` is the channel whose sound
        stands out most of its noise, looked for again and again; a number is that channel, whatever is wrong with it.
    tell : callable
        Told the faults whenever they change. Of a number none is known.

    Raises
    ------
    ValueError
        There is no channel of that number.
    """

    def __init__(
        self,
        channels: int,
        rate_hz: int,
        channel: Channel,
        tell: Callable[[Sequence[ChannelFault]], object] = lambda faults: None,
    ) -> None:
        if channel.number > channels:
            raise ValueError(f"channel {channel.number} of {channels}")
        self._channels, self._rate_hz = channels, rate_hz
        self._tell = tell
        self._wants_best = channel.choice == BEST
        number = (channel.number - 1,) if channel.number else None
        self._used: tuple[int, ...] | None = number  # None: all of them
        self._before: tuple[int, ...] | None = number  # in the newest frames that were given
        self._watch = ChannelWatch(channels, rate_hz) if not channel.number and channels > 1 else None
        self._segments = Segments(round(SEGMENT_S * rate_hz))
        self._health = ChannelHealth(channels)
        self._alone: int | None = None  # since the others cancelled it
        self._best: int | None = None
        self._seconds = 0.0
        self._told: tuple[ChannelFault, ...] = ()

    def add(self, frames: np.ndarray) -> np.ndarray:
        """Mono ``[n]`` of frames ``[n, channels]``, both float32 of full scale 1.0."""
        samples = mean_of(frames, self._used)
        if self._used != self._before and len(frames):
            fade = min(len(frames), max(1, round(FADE_S * self._rate_hz)))
            rise = np.arange(fade, dtype=np.float32) / np.float32(fade)
            samples = np.array(samples)
            samples[:fade] = rise * samples[:fade] + (1 - rise) * mean_of(frames[:fade], self._before)
            self._before = self._used
        if self._watch is not None:
            for segment in self._segments.add(frames):
                self._look(self._watch, segment)
        return samples

    def _look(self, watch: ChannelWatch, frames: np.ndarray) -> None:
        seen = watch.look(np.ascontiguousarray(frames.T))
        self._health.note(seen)
        self._seconds += SEGMENT_S
        if self._seconds == FIRST_NOISE_S and self._wants_best:
            self._choose(watch.noise, seen.live)
        if self._seconds % NOISE_S == 0.0:
            self._health.note_noise(watch.noise)
            self._choose(watch.noise, seen.live)
            watch.noise = ChannelNoise(self._channels)
        self._used = self._chosen(seen)
        if (faults := self._health.faults) != self._told:
            self._told = faults
            self._tell(faults)

    def _chosen(self, seen: Seen) -> tuple[int, ...] | None:
        """The channels of what comes next; None for all of them."""
        # What is known of a channel stays known while all are too quiet to tell.
        known = (Fault.DEAD, Fault.INVERTED)
        live = tuple(one for one in seen.live if not any(self._health.has(fault, one + 1) for fault in known))
        live = tuple(one for one in live if one not in (seen.opposed or ())) or seen.live
        if self._wants_best and self._best in live:
            return (self._best,)
        if self._alone is not None and (self._alone not in live or seen.sound_again):
            self._alone = None
        if self._alone is None and seen.cancelled:
            self._alone = live[0]
        if self._alone is not None:
            return (self._alone,)
        return None if len(live) == self._channels else live

    def _choose(self, noise: ChannelNoise, live: tuple[int, ...]) -> None:
        """Look for the best channel, and keep to it unless another one is clearly better."""
        among = list(live)
        merits = {channel: noise.merit_db(channel, among) for channel in among}
        best = next(channel for channel in among if merits[channel] >= max(merits.values()) - EQUAL_DB)
        if self._best not in merits or merits[best] > merits[self._best] + SWITCH_DB:
            self._best = best
