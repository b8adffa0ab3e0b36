"""The sources of sound servers as devices, and the one that is meant by a name."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence

from edgeapp.audio.microphones.backends import BACKENDS, SERVER_BACKENDS
from edgeapp.audio.microphones.microphone import SEE_DEVICES
from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.errors import DeviceError


def server_sources() -> list[SoundDevice]:
    """The sources of the sound servers that answer."""
    found = []
    for backend in SERVER_BACKENDS:
        try:
            found += sources_of(backend)
        except DeviceError:
            continue  # most machines have one server or none
    return found


def sources_of(backend: str) -> list[SoundDevice]:
    """The sources of one sound server.

    Raises
    ------
    DeviceError
        Its programs are missing, or it does not answer.
    """
    found = importlib.import_module(BACKENDS[backend][0]).sources()
    described = Counter(source.description for source in found)
    return [
        SoundDevice(
            name=source.description if source.description and described[source.description] == 1 else source.name,
            server=f"{backend}:{source.name}",
            channels=source.channels,
            rate_hz=source.rate_hz,
            default=source.default,
        )
        for source in found
    ]


def chosen_source(backend: str, wanted: str, devices: Sequence[SoundDevice]) -> SoundDevice:
    """The one source of a sound server that is meant by its name, part of it or of its description, or ``default``."""
    own = [device for device in devices if (device.server or "").startswith(f"{backend}:")]
    if not own:
        own = sources_of(backend)  # for the error: why there are none
    part = wanted.casefold()
    exact = [device for device in own if (device.server or "").casefold() == f"{backend}:{part}"]
    if not exact and part == "default":
        exact = [device for device in own if device.default]
    fitting = exact or [device for device in own if part and part in f"{device.server} {device.name}".casefold()]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(str(device.server) for device in fitting or own)
    if fitting:
        raise DeviceError(f"{backend}:{wanted} fits {len(fitting)} sources (there is {there})", "give more of the name")
    raise DeviceError(f"no source is called {backend}:{wanted}{f' (there is {there})' if there else ''}", SEE_DEVICES)
