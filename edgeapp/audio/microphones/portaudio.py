"""PortAudio as a backend: `edgeapp.audio.microphones.record` in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edgeapp.audio.microphones.backends import Device
from edgeapp.audio.microphones.messages import FromMessages
from edgeapp.errors import DeviceError


class PortAudio:
    """See `edgeapp.audio.microphones.backends.Backend`."""

    def unreached(self, device: Device) -> DeviceError | None:
        """PortAudio numbers what it reaches."""
        if device.index is not None:
            return None
        return DeviceError(
            f"PortAudio does not list {device.name}", "give `--backend arecord`, or install libportaudio2"
        )

    def reader(self, device: Device, listed: Sequence[Device], stall_s: float) -> FromMessages:
        """By name where that is the only one: numbers change when devices come and go."""
        alone = sum(each.name == device.name for each in listed) == 1
        chosen = ["--device", device.name if alone else str(device.index), "--stall", str(2 * stall_s)]
        if device.channels:
            chosen += ["--channels", str(device.channels)]
        return FromMessages([sys.executable, "-m", "edgeapp.audio.microphones.record", *chosen])
