"""The sound of one stream: checked for health, kept for clips, and limited to the duration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Protocol

from edgeapp.audio.source import AudioSource, Block
from edgeapp.audio.spectra.sound_meter import SoundLevels, SoundMeter
from edgeapp.clips.ring import Ring
from edgeapp.clock.system import Clock, Moment
from edgeapp.errors import AudioError, DeviceError
from edgeapp.station.microphone_health import MicrophoneHealth
from edgeapp.station.repeats import EACH

log = logging.getLogger(__name__)

CLOSED = "closed"


class Dated(Protocol):
    """When the positions of a clock were heard; `edgeapp.audio.timeline.Timeline`."""

    def moment_of(self, position_s: float) -> Moment: ...


class StreamSource:
    """One unbroken stretch of sound as an `AudioSource`: what the journal calls a stream.

    Its `blocks` end without an error when the sound is lost; `end_reason` says why.

    Parameters
    ----------
    source : AudioSource
        An open microphone, pipe or recording.
    health : MicrophoneHealth
        Told of every block.
    clock : Clock
    device_id, backend : str
        As `edgeapp.journal.Stream` has them.
    timeline : Dated
    lost : callable
        How many samples never arrived so far.
    arrived : callable
        Told the position after each block as it comes.
    skip_windows : int
        How many of its first windows are in the journal already.
    kept : callable
        Called with the stream's id when its last window is in the journal.
    channel : int or None
        Of a recording, from 1, where one was chosen.
    origin, doubt : str or None
        Of a recording: where its start was read, and what is doubtful about it.

    Attributes
    ----------
    end_reason : str or None
        Why the sound ended, once it has: ``closed``, or what became of its source; None at the end of a recording.
    delivered : int
        Samples given so far.
    """

    live = True  # also a recording: each window is in the journal before the next is heard

    def __init__(
        self,
        source: AudioSource,
        health: MicrophoneHealth,
        clock: Clock,
        *,
        device_id: str,
        backend: str,
        timeline: Dated,
        lost: Callable[[], int] = lambda: 0,
        arrived: Callable[[int], None] = lambda position: None,
        skip_windows: int = 0,
        kept: Callable[[int], None] = lambda stream_id: None,
        channel: int | None = None,
        origin: str | None = None,
        doubt: str | None = None,
    ) -> None:
        self.name, self.rate_hz = source.name, source.rate_hz
        self.device_id, self.backend, self.timeline = device_id, backend, timeline
        self.skip_windows, self.kept = skip_windows, kept
        self.channel, self.origin, self.doubt = channel, origin, doubt
        self.end_reason: str | None = None
        self.delivered = 0
        self._source = source
        self._health = health
        self._clock = clock
        self._lost, self._arrived = lost, arrived
        self._ring: Ring | None = None
        self._meter: SoundMeter | None = None
        self._measured: list[SoundLevels] = []
        self._most: int | None = None

    @property
    def notes(self) -> Sequence[str]:
        """Those of the source."""
        return self._source.notes

    @property
    def fault(self) -> str | None:
        """That of the source."""
        return self._source.fault

    @property
    def dropped_samples(self) -> int:
        """Samples lost, heard as zeros."""
        return self._lost()

    def keep(self, ring: Ring, duration_s: float | None) -> None:
        """Keep the newest sound in a ring, and end after so much of it."""
        self._ring = ring
        self._most = None if duration_s is None else round(duration_s * self.rate_hz)

    def measure(self) -> None:
        """Measure how loud it is, minute by minute."""
        self._meter = SoundMeter(self.rate_hz)

    def measured(self, over: bool = False) -> list[SoundLevels]:
        """The minutes that were measured since this was asked last; `over` with what is left of the sound."""
        if over and self._meter is not None:
            self._measured += self._meter.finish()
        found, self._measured = self._measured, []
        return found

    @property
    def left_s(self) -> float | None:
        """What is left of the duration, if there is one; 0 exactly at its end."""
        return None if self._most is None else (self._most - self.delivered) / self.rate_hz

    def blocks(self) -> Iterator[Block]:
        """Give the sound until the source ends or is lost, the duration is over, or `close` is called."""
        try:
            with closing(self._source.blocks()) as blocks:  # type: ignore[type-var]  # a generator in every source
                for block in blocks:
                    self._health.observe(block.samples, self._clock.now().boottime_s)
                    self._arrived(block.end)
                    taken = self._within_duration(block)
                    if len(taken.samples):
                        if self._ring is not None:
                            self._ring.add(taken)
                        if self._meter is not None:
                            self._measured += self._meter.add(taken.samples)
                        self.delivered += len(taken.samples)
                        yield taken
                    if self.left_s == 0:
                        return
        except DeviceError as error:
            self.end_reason = error.what
            self._health.lost(error.what, self._clock.now().boottime_s)
        except AudioError as error:
            self.end_reason = str(error)
            log.warning("%s", error, extra=self._weight())
        else:
            for note in self._source.notes:
                log.info("%s: %s", self.name, note)
            self.end_reason = self.fault or (CLOSED if self._source.live else None)
            if self.fault:
                log.warning("%s: %s", self.name, self.fault, extra=self._weight())
        finally:
            # An error refers to what it passed through, and may live until it is collected: the sound shall not.
            self._ring = None

    def close(self) -> None:
        """End the sound after what has been heard so far. Safe in a signal handler; idempotent."""
        self._source.close()

    def _weight(self) -> dict[str, bool] | None:
        """`extra` of a line on its end: each recording is told, and a stream that breaks again and again is counted."""
        return None if self._source.live else EACH

    def _within_duration(self, block: Block) -> Block:
        if self._most is None:
            return block
        return Block(block.start, block.samples[: self._most - self.delivered])
