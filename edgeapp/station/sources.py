"""The workers of a station: its microphones, or raw sound from standard input, or a watched folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from edgeapp.audio.channels import EACH, Channel, check_piped
from edgeapp.audio.microphones.addresses import is_address, redacted, with_log_in
from edgeapp.audio.microphones.capture import Capture
from edgeapp.audio.microphones.recording import Recordings
from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.audio.pcm import PcmSource
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
    channel = channels_asked(settings)[0]
    devices, watched = settings.microphone.device, watched_folder(settings)
    duration_s = settings.station.duration
    if watched is not None:
        if from_stdin or devices:
            raise UsageError("--watch excludes other sources", "omit --device and -")
        journal, zone = station.journal, zone_of(settings.input.recorder_zone)
        return [
            SourceWorker(
                str(watched),
                lambda tell: FolderSource(
                    watched, journal, clock, tell, zone=zone, channel=channel, clips=settings.clips.folder
                ),
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

    return _microphones(settings, cutting, station, clock, claim)


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


def watched_folder(settings: Settings) -> Path | None:
    """The folder that is watched, if there is one.

    Raises
    ------
    UsageError
        It is none.
    """
    folder = settings.input.watch
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{folder}: is not a readable folder", "make it, or check the path")
    return folder


@dataclass(frozen=True)
class Microphone:
    """A microphone that the settings ask for.

    Attributes
    ----------
    device : str or None
        As the settings name it; None is the default one.
    channel : Channel
    netrc : Path or None
        File with log-ins for addresses.
    """

    device: str | None = field(repr=False)
    channel: Channel
    netrc: Path | None = None

    @property
    def name(self) -> str:
        """What it is called until it is open, without a log-in."""
        return redacted(self.device or "microphone")

    @property
    def located(self) -> str | None:
        """As `edgeapp.audio.microphones.devices.find` takes it: an address with the log-in that the file has now.

        Raises
        ------
        UsageError
            The file cannot be read.
        """
        if self.device is None or not is_address(self.device):
            return self.device
        return with_log_in(self.device, self.netrc)


def microphones_of(settings: Settings) -> list[Microphone]:
    """The microphones of the settings; the default one where they name none.

    Raises
    ------
    UsageError
        There are not as many channels as microphones.
    """
    channels = channels_asked(settings)
    devices: tuple[str | None, ...] = settings.microphone.device or (None,)
    if len(channels) == 1:
        channels *= len(devices)
    if len(channels) != len(devices):
        raise UsageError(
            f"{len(channels)} channels for {len(devices)} microphones", "give one channel, or one for each --device"
        )
    netrc = settings.microphone.netrc
    return [Microphone(device, channel, netrc) for device, channel in zip(devices, channels, strict=True)]


def _microphones(
    settings: Settings,
    cutting: Windowing,
    station: Station,
    clock: Clock,
    claim: Callable[[SoundDevice], object],
) -> list[SourceWorker]:
    microphone, recordings, asked = settings.microphone, Recordings(), microphones_of(settings)
    devices = [one.device for one in asked]

    def opened(wanted: Microphone, channel: Channel, apart: bool) -> Capture:
        """A microphone; `apart` where its channels are sources of their own."""
        capture = Capture(
            wanted.located,
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

    def source(wanted: Microphone, channel: Channel, apart: bool) -> Callable[[Tell], Reconnector]:
        return lambda tell: Reconnector(
            lambda: opened(wanted, channel, apart),
            tell,
            clock=clock,
            wait=microphone.wait,
            channel=channel.number or None,
        )

    workers = []
    for wanted in asked:
        channel = wanted.channel
        apart = channel.choice == EACH or (channel.number > 0 and devices.count(wanted.device) > 1)
        for one in _each(partial(opened, wanted, Channel("", 1), False), channel, microphone.wait):
            called = of_channel(wanted.name, one) if apart else wanted.name
            workers.append(
                SourceWorker(called, source(wanted, one, apart), cutting, station.events, settings.station.duration)
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
