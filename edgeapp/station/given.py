"""Raw sound from a pipe as a source of the station, which cannot be reopened."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgeapp.audio.microphones.backends import PCM
from edgeapp.audio.source import AudioSource
from edgeapp.audio.timeline import Timeline
from edgeapp.clock.system import Clock
from edgeapp.station.microphone_health import MicrophoneHealth, Transition
from edgeapp.station.stream_source import StreamSource


class PipeSource:
    """Gives the one stream of a pipe; see `edgeapp.station.source_worker.Source`.

    Parameters
    ----------
    source : AudioSource
    clock : Clock
    tell : callable
        Called with every change of the health.
    """

    def __init__(self, source: AudioSource, clock: Clock, tell: Callable[[Transition], None]) -> None:
        self.health = MicrophoneHealth(source.rate_hz, clock.now().boottime_s, tell)
        timeline = Timeline(source.rate_hz, clock)
        self._stream = StreamSource(
            source, self.health, clock, device_id="", backend=PCM, timeline=timeline, arrived=timeline.arrived
        )

    def streams(self) -> Iterator[StreamSource]:
        """The pipe, once."""
        yield self._stream

    def close(self) -> None:
        """End after what has been heard so far."""
        self._stream.close()
