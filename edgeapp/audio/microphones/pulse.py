"""PulseAudio as a backend, and PipeWire, which speaks its protocol: `parec` records a source, `pactl` lists them."""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Sequence

from edgeapp.audio.microphones.backends import Device, Heard, ServerSource
from edgeapp.audio.microphones.raw_reader import RawReader
from edgeapp.audio.microphones.sound_server import answer_of
from edgeapp.errors import DeviceError

PREFIX = "pulse:"
SERVER = "sound server"
LATENCY_MS = 100
MISSING = "on Debian and Ubuntu: sudo apt install pulseaudio-utils"

_FIELD = re.compile(r"^\t(Name|Description|Sample Specification): (.*)$", re.MULTILINE)
_SPECIFICATION = re.compile(r"(\d+)ch (\d+)Hz")
_DEFAULT = re.compile(r"^Default Source: (.*)$", re.MULTILINE)
_MOVED = re.compile(r"Stream moved to device (\S+)")


class PulseAudio:
    """See `edgeapp.audio.microphones.backends.Backend`."""

    def unreached(self, device: Device) -> DeviceError | None:
        """It records the sources that the server names."""
        if (device.server or "").startswith(PREFIX):
            return None
        return DeviceError(f"{device.name} is no source of PulseAudio", "name one: `--device pulse:NAME`")

    def reader(self, device: Device, listed: Sequence[Device], stall_s: float) -> FromParec:
        """At the rate and with the channels of the source, so that the server converts nothing."""
        if shutil.which("parec") is None:
            raise DeviceError("parec is missing", MISSING)
        name = (device.server or "").removeprefix(PREFIX)
        return FromParec(name, device.rate_hz or 48_000, device.channels or 2)


def sources() -> list[ServerSource]:
    """The sources that the server has now, microphones before the monitors of speakers.

    Raises
    ------
    DeviceError
        `pactl` is missing, or no server answers.
    """
    told = answer_of(["pactl", "list", "sources"], SERVER, MISSING)
    default = _DEFAULT.search(answer_of(["pactl", "info"], SERVER, MISSING))
    found: list[ServerSource] = []
    for part in re.split(r"^Source #", told, flags=re.MULTILINE)[1:]:
        said = dict(_FIELD.findall(part))
        shape = _SPECIFICATION.search(said.get("Sample Specification", ""))
        if "Name" not in said or shape is None:
            continue
        is_default = default is not None and default[1].strip() == said["Name"]
        found.append(ServerSource(said["Name"], said.get("Description", ""), int(shape[1]), int(shape[2]), is_default))
    return sorted(found, key=lambda source: source.name.endswith(".monitor"))


class FromParec(RawReader):
    """The samples of `parec`.

    The server moves the streams of a source that is unplugged to another one. `parec` says so, and the recording ends:
    a station does not go on with a microphone that nobody chose.
    """

    def __init__(self, source: str, rate_hz: int, channels: int) -> None:
        shape = ["--format=float32le", f"--rate={rate_hz}", f"--channels={channels}", "--no-remap", "--raw"]
        named = ["--client-name=biovita-edge", f"--latency-msec={LATENCY_MS}", f"--device={source}"]
        super().__init__(["parec", "--verbose", *shape, *named], rate_hz, channels)
        self._source = source

    def feed(self, raw: bytes, lines: list[str], told: deque[str]) -> list[Heard]:
        """The whole frames, while they are of this source."""
        for line in lines:
            moved = _MOVED.search(line)
            if moved is not None and moved[1] != self._source:
                self.error = DeviceError(
                    f"microphone {PREFIX}{self._source} is gone (the server moved to {moved[1]})",
                    "plug it in again; it is reopened",
                )
        return super().feed(raw, lines, told)
