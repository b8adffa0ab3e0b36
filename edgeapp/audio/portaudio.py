"""PortAudio as a backend: `edgeapp.audio.record` in a process of its own, and the messages that it writes."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Sequence

import numpy as np

from edgeapp.audio import record
from edgeapp.audio.backends import Device, Heard
from edgeapp.errors import DeviceError


class PortAudio:
    """See `edgeapp.audio.backends.Backend`."""

    def unreached(self, device: Device) -> DeviceError | None:
        """PortAudio numbers what it reaches."""
        if device.index is not None:
            return None
        return DeviceError(
            f"PortAudio does not list {device.name}", "give `--backend arecord`, or install libportaudio2"
        )

    def reader(self, device: Device, listed: Sequence[Device], stall_s: float) -> FromPortAudio:
        """By name where that is the only one: numbers change when devices come and go."""
        alone = sum(each.name == device.name for each in listed) == 1
        return FromPortAudio(device.name if alone else str(device.index), 2 * stall_s)


class FromPortAudio:
    """Reads the messages of `edgeapp.audio.record`; see `edgeapp.audio.backends.Reader`."""

    def __init__(self, device: str, stall_s: float) -> None:
        self.command = [sys.executable, "-m", "edgeapp.audio.record", "--device", device, "--stall", str(stall_s)]
        self.rate_hz = 0
        self.error: DeviceError | None = None
        self._left = b""

    def otherwise(self, told: str) -> None:
        """The recorder has tried every rate by itself."""

    def feed(self, raw: bytes, lines: list[str], told: deque[str]) -> list[Heard]:
        """The messages that are complete."""
        data = self._left + raw
        at, heard = 0, []
        while at + record.HEAD.size <= len(data):
            kind, size = record.HEAD.unpack_from(data, at)
            begin = at + record.HEAD.size
            if begin + size > len(data):
                break
            content = data[begin : begin + size]
            at = begin + size
            if kind == record.SAMPLES:
                start, lost, captured = record.COUNTS.unpack_from(content)
                samples = np.frombuffer(content, "<f4", offset=record.COUNTS.size).astype(np.float32, copy=False)
                heard.append(Heard(start, samples, lost, captured))
            elif kind == record.HELLO:
                self.rate_hz = json.loads(content)["rate_hz"]
            elif kind == record.ERROR:
                self.error = DeviceError(**json.loads(content))
        self._left = data[at:]
        return heard
