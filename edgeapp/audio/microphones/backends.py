"""Audio backends of microphones. A new one is a module, and a line in `BACKENDS`."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgeapp.errors import DeviceError

if TYPE_CHECKING:
    import numpy as np

AUTO = "auto"
# Name -> where it lives, in the order in which `auto` tries them. Loaded when used: settings need the names alone.
BACKENDS = {
    "portaudio": ("edgeapp.audio.microphones.portaudio", "PortAudio"),
    "arecord": ("edgeapp.audio.microphones.arecord", "Arecord"),
    "pulse": ("edgeapp.audio.microphones.pulse", "PulseAudio"),
    "pipewire": ("edgeapp.audio.microphones.pipewire", "PipeWire"),
    "network": ("edgeapp.audio.microphones.network", "Network"),
}
SERVER_BACKENDS = ("pulse", "pipewire")  # sound servers; their modules have `sources`
PCM, FILE = "pcm", "file"  # sources that are not microphones: standard input, a recording


@dataclass(frozen=True)
class ServerSource:
    """A source of a sound server.

    Attributes
    ----------
    name, description : str
        The one for programs, and the one for people, or empty.
    channels, rate_hz : int
    default : bool
        The server's own choice.
    """

    name: str
    description: str
    channels: int
    rate_hz: int
    default: bool = False


class Device(Protocol):
    """What a backend needs of `edgeapp.audio.microphones.devices.SoundDevice`."""

    @property
    def name(self) -> str: ...

    @property
    def index(self) -> int | None: ...

    @property
    def alsa(self) -> str | None: ...

    @property
    def server(self) -> str | None: ...

    @property
    def address(self) -> str | None: ...

    @property
    def channels(self) -> int | None: ...

    @property
    def rate_hz(self) -> int | None: ...


@dataclass(frozen=True)
class Heard:
    """A piece of sound with the counts of its recorder.

    Attributes
    ----------
    start : int
        Position of the first sample, lost ones counted.
    samples : np.ndarray
        ``[n, channels]`` float32, or ``[n]`` of one channel.
    lost, captured : int
        Samples lost so far, and the position after the newest sample.
    """

    start: int
    samples: np.ndarray
    lost: int
    captured: int


class Reader(Protocol):
    """Starts a recorder and understands what it writes; one for each that is started.

    A reader may have ``first: bytes`` as well, which the recorder gets on its standard input.

    Attributes
    ----------
    command : list of str
    rate_hz : int
        Right once `feed` has given something.
    error : DeviceError or None
        What the recorder itself says of its end.
    """

    command: list[str]
    rate_hz: int
    error: DeviceError | None

    def feed(self, raw: bytes, lines: list[str], told: deque[str]) -> list[Heard]:
        """The sound in newly read output, given the new lines of standard error and all that are kept."""
        ...

    def otherwise(self, told: str) -> Reader | None:
        """The next configuration to try after an error, given its standard error; None if there is none."""
        ...


class Backend(Protocol):
    """An audio backend."""

    def unreached(self, device: Device) -> DeviceError | None:
        """Why a device cannot be recorded this way; None where it can."""
        ...

    def reader(self, device: Device, listed: Sequence[Device], stall_s: float) -> Reader:
        """The recorder of a device, with as many channels as `device.channels` says where it has them.

        `listed` are all devices of this machine, `stall_s` is as `Capture` takes it.

        Raises
        ------
        DeviceError
            The recorder is not installed.
        """
        ...


def load(name: str) -> Backend:
    """The backend of a name.

    Raises
    ------
    DeviceError
        There is none of that name.
    """
    if name not in BACKENDS:
        raise DeviceError(f"unknown backend {name!r}", f"give one of {', '.join((AUTO, *BACKENDS))}")
    module, backend_class = BACKENDS[name]
    made: Backend = getattr(importlib.import_module(module), backend_class)()
    return made


def choose(name: str, device: Device) -> str:
    """The backend through which a device is recorded; with ``auto`` the first that reaches it.

    Raises
    ------
    DeviceError
        There is no such backend, or it does not reach the device.
    """
    if name == AUTO:
        name = next((each for each in BACKENDS if load(each).unreached(device) is None), next(iter(BACKENDS)))
    if (error := load(name).unreached(device)) is not None:
        raise error
    return name
