"""Raw sound that is piped in, heard by the station like a microphone that cannot be opened again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from edgeapp.audio.backends import PCM
from edgeapp.audio.source import AudioSource, Block
from edgeapp.audio.timeline import Timeline
from edgeapp.clock.system import Clock
from edgeapp.station.microphone_health import MicrophoneHealth, Transition
from edgeapp.station.reconnector import MicrophoneCapture

log = logging.getLogger(__name__)


class Piped:
    """A live source with what an open microphone has beside its sound.

    Parameters
    ----------
    source : AudioSource
    clock : Clock
    """

    device_id = ""
    backend = PCM
    dropped_samples = 0

    def __init__(self, source: AudioSource, clock: Clock) -> None:
        self._source = source
        self.name = source.name
        self.rate_hz = source.rate_hz
        self.captured_samples = 0
        self.timeline = Timeline(source.rate_hz, clock)
        self.on_waiting: Callable[[], None] = lambda: None  # nothing tells that a pipe is waited for

    def blocks(self) -> Iterator[Block]:
        """The blocks of the source, each dated as it comes."""
        for block in self._source.blocks():
            self.captured_samples = block.end
            self.timeline.arrived(block.end)
            yield block
        fault = getattr(self._source, "fault", None)
        if fault is not None:
            log.warning("%s: %s", self.name, fault)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class PipeSource:
    """Gives the one capture of a pipe; see `edgeapp.station.source_worker.Source`.

    Parameters
    ----------
    source : AudioSource
    clock : Clock
    tell : callable
        Called with every change of the health.
    """

    def __init__(self, source: AudioSource, clock: Clock, tell: Callable[[Transition], None]) -> None:
        self.health = MicrophoneHealth(source.rate_hz, clock.now().boottime_s, tell)
        self._capture = MicrophoneCapture(Piped(source, clock), self.health, clock)

    def captures(self) -> Iterator[MicrophoneCapture]:
        """The pipe, once."""
        yield self._capture

    def close(self) -> None:
        """End after what has been heard so far."""
        self._capture.close()
