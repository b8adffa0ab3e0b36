"""The workers of a station: its microphones, or raw sound from standard input, or a watched folder."""

from __future__ import annotations

import sys
from collections.abc import Callable

from edgeapp.audio.capture import Capture
from edgeapp.audio.channels import EACH, Channel, check_piped
from edgeapp.audio.pcm import PcmSource
from edgeapp.clock.system import Clock
from edgeapp.clock.zones import zone_of
from edgeapp.config.settings import Settings
from edgeapp.errors import UsageError
from edgeapp.station.folder import FolderSource
from edgeapp.station.given import PipeSource
from edgeapp.station.microphone_health import Transition
from edgeapp.station.reconnector import Reconnector
from edgeapp.station.source_worker import SourceWorker, Windowing
from edgeapp.station.station import Station

Tell = Callable[[Transition], None]


def workers_of(
    settings: Settings, cutting: Windowing, station: Station, clock: Clock, from_stdin: bool = False
) -> list[SourceWorker]:
    """The workers that the settings ask for, not yet started.

    Raises
    ------
    UsageError
        Sources that exclude each other.
    """
    channel = Channel.of(settings.input.channel)
    devices, watched = settings.microphone.device, settings.input.watch
    duration_s = settings.station.duration
    if watched is not None:
        if from_stdin or devices:
            raise UsageError("--watch excludes other sources", "omit --device and -")
        if not watched.is_dir():
            raise UsageError(f"{watched}: is not a readable folder", "make it, or check the path")
        if channel.choice == EACH:
            raise UsageError("--channel each: a watched recording is one stream", "choose mix, best or a number")
        journal, zone = station.journal, zone_of(settings.input.recorder_zone)
        return [
            SourceWorker(
                str(watched),
                lambda tell: FolderSource(watched, journal, clock, tell, zone=zone, channel=channel),
                cutting,
                station.events,
                duration_s,
            )
        ]
    if from_stdin:
        if devices:
            raise UsageError("standard input excludes other sources", "omit --device")
        given = settings.input
        check_piped(channel)
        raw = given.pcm_rate, given.pcm_channels, given.pcm_format
        pipe = PcmSource(sys.stdin.buffer, *raw, live=True, channel=channel.number)
        return [
            SourceWorker(pipe.name, lambda tell: PipeSource(pipe, clock, tell), cutting, station.events, duration_s)
        ]

    def source(device: str | None) -> Callable[[Tell], Reconnector]:
        microphone = settings.microphone

        def opened() -> Capture:
            return Capture(device, microphone.backend, stall_s=microphone.stall, clock=clock)

        return lambda tell: Reconnector(opened, tell, clock=clock, wait=microphone.wait)

    return [
        SourceWorker(device or "microphone", source(device), cutting, station.events, duration_s)
        for device in (devices or (None,))
    ]
