"""The workers of a station: its microphones, or raw sound from standard input, or a watched folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

from edgeapp.audio.addresses import is_address, redacted, with_log_in
from edgeapp.audio.capture import Capture
from edgeapp.audio.channels import EACH, Channel, check_piped
from edgeapp.audio.pcm import PcmSource
from edgeapp.audio.recording import Recordings
from edgeapp.audio.sound_device import SoundDevice
from edgeapp.clock.system import Clock
from edgeapp.clock.zones import zone_of
from edgeapp.config.settings import Settings
from edgeapp.errors import DeviceError, UsageError
from edgeapp.station.folder import FolderSource
from edgeapp.station.given import PipeSource
from edgeapp.station.microphone_health import Transition
from edgeapp.station.reconnector import Reconnector
from edgeapp.station.source_worker import SourceWorker, Windowing
from edgeapp.station.station import Station

Tell = Callable[[Transition], None]


def workers_of(
    settings: Settings,
    cutting: Windowing,
    station: Station,
    clock: Clock,
    from_stdin: bool = False,
    claim: Callable[[SoundDevice], object] = lambda device: None,
) -> list[SourceWorker]:
    """The workers that the settings ask for, not yet started; each device is claimed before it is opened.

    Raises
    ------
    UsageError
        Sources that exclude each other.
    """
    channels = channels_asked(settings)
    channel = channels[0]
    devices, watched = settings.microphone.device, settings.input.watch
    duration_s = settings.station.duration
    if watched is not None:
        if from_stdin or devices:
            raise UsageError("--watch excludes other sources", "omit --device and -")
        if not watched.is_dir():
            raise UsageError(f"{watched}: is not a readable folder", "make it, or check the path")
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

    return _microphones(settings, devices or (None,), channels, cutting, station, clock, claim)


def channels_asked(settings: Settings) -> tuple[Channel, ...]:
    """The channel of all sources, or one for each microphone.

    Raises
    ------
    UsageError
        No channel, or one that a watched recording cannot have.
    """
    channels = tuple(map(Channel.of, settings.input.channel)) or (Channel(),)
    if settings.input.watch is not None and channels[0].choice == EACH:
        raise UsageError("--channel each: a watched recording is one stream", "choose mix, best or a number")
    return channels


def _microphones(
    settings: Settings,
    devices: Sequence[str | None],
    channels: Sequence[Channel],
    cutting: Windowing,
    station: Station,
    clock: Clock,
    claim: Callable[[SoundDevice], object],
) -> list[SourceWorker]:
    microphone, recordings = settings.microphone, Recordings()

    def opened(device: str | None, channel: Channel, apart: bool) -> Capture:
        """A microphone; `apart` where its channels are sources of their own."""
        if device is not None and is_address(device):
            device = with_log_in(device, microphone.netrc)
        capture = Capture(
            device,
            microphone.backend,
            stall_s=microphone.stall,
            clock=clock,
            channel=channel,
            recordings=recordings,
            claim=claim,
        )
        if apart:
            capture.name = of_channel(capture.name, channel)
        return capture

    def source(device: str | None, channel: Channel, apart: bool) -> Callable[[Tell], Reconnector]:
        return lambda tell: Reconnector(
            lambda: opened(device, channel, apart),
            tell,
            clock=clock,
            wait=microphone.wait,
            channel=channel.number or None,
        )

    workers = []
    for place, device in enumerate(devices):
        channel = channels[place if len(channels) > 1 else 0]
        apart = channel.choice == EACH or (channel.number > 0 and list(devices).count(device) > 1)
        name = redacted(device or "microphone")
        for one in _each(partial(opened, device, Channel("", 1), False), channel, microphone.wait):
            called = of_channel(name, one) if apart else name
            workers.append(
                SourceWorker(called, source(device, one, apart), cutting, station.events, settings.station.duration)
            )
    return workers


def _each(open_capture: Callable[[], Capture], channel: Channel, wait: bool) -> list[Channel]:
    """The channels that are sources: the one that is asked for, or every one of a microphone, which is closed again."""
    if channel.choice != EACH:
        return [channel]
    try:
        capture = open_capture()
    except DeviceError as error:
        if not wait:
            raise
        raise DeviceError(
            f"{error.what}, so that its channels cannot be counted",
            "repeat --device, once for each channel, with --channel 1, --channel 2 and so on",
        ) from None
    capture.close()
    capture.recording.left()
    return [Channel("", number) for number in range(1, capture.channels + 1)]


def of_channel(name: str, channel: Channel) -> str:
    """Name of a source that is one channel of a microphone."""
    return f"{name}, channel {channel}"
