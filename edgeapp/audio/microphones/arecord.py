"""`arecord` as a backend: its command line, its messages and its samples.

On some boards ALSA works where PortAudio does not, and `arecord` is ALSA's own recorder.
"""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeapp.audio.microphones.backends import Device, Heard
from edgeapp.audio.microphones.microphone import PREFERRED_HZ
from edgeapp.audio.pcm import BYTES, frames_of
from edgeapp.errors import DeviceError

FORMATS = ("S16_LE", "S32_LE", "S24_3LE")  # 16 bits hold all that a microphone hears; others where a card has no 16
CHANNELS = (2, 1, 4, 6, 8)  # tried in this order; a hw device does not mix down by itself
BUFFER_US = 500_000  # a small board that is busy for less loses nothing
PERIOD_US = 100_000

_PCM = {"S16_LE": "s16le", "S32_LE": "s32le", "S24_3LE": "s24le"}
_OVERRUN = re.compile(r"overrun!!! \(at least ([\d.]+) ms long\)")
_GOT_RATE = re.compile(r"rate is not accurate \(requested = \d+Hz, got = (\d+)Hz\)", re.IGNORECASE)
_RATE = re.compile(r"^\s*rate\s*: (\d+)", re.MULTILINE)
_BUFFER = re.compile(r"^\s*buffer_size\s*: (\d+)", re.MULTILINE)
_CHATTER = re.compile(r"^(Recording raw data|Warning: rate|\s*please, try the plug|Its setup is:|\s*\w[\w ]*\s: )")

# `arecord` does not look at its standard input, and while no samples come it does not notice that nobody reads any
# more. So a shell waits for the end of the input and ends it.
UNTIL_INPUT_ENDS = '"$@" </dev/null & exec >&-; read -r _; kill -9 $! 2>&-; wait'


class Arecord:
    """See `edgeapp.audio.microphones.backends.Backend`."""

    def unreached(self, device: Device) -> DeviceError | None:
        """It takes what ALSA has a name for."""
        if device.alsa is not None:
            return None
        return DeviceError(f"ALSA has no device for {device.name}", "give `--backend portaudio`")

    def reader(self, device: Device, listed: Sequence[Device], stall_s: float) -> FromArecord:
        """With 16 bits at first, and the channels it is said to have."""
        if shutil.which("arecord") is None:
            raise DeviceError("arecord is missing", "on Debian and Ubuntu: sudo apt install alsa-utils")
        wanted = dict.fromkeys((device.channels or CHANNELS[0], *CHANNELS))
        return FromArecord(Asked(device.alsa or "default", channels=next(iter(wanted)), others=tuple(wanted)[1:]))


@dataclass(frozen=True)
class Asked:
    """How `arecord` is to open a device; `others` are numbers of channels to try after this one."""

    device: str
    format: str = FORMATS[0]
    channels: int = CHANNELS[0]
    rate_hz: int = PREFERRED_HZ
    others: tuple[int, ...] = CHANNELS[1:]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return BYTES[_PCM[self.format]] * self.channels

    def command(self, program: str = "arecord") -> list[str]:
        """The command line; raw samples on standard output, the set-up on standard error."""
        asked = ["-D", self.device, "-t", "raw", "-f", self.format, "-r", str(self.rate_hz), "-c", str(self.channels)]
        return [program, "-v", *asked, f"--buffer-time={BUFFER_US}", f"--period-time={PERIOD_US}"]

    def otherwise(self, told: str) -> Asked | None:
        """The next configuration to try after an error; None if there is none.

        Parameters
        ----------
        told : str
            What `arecord` wrote to its standard error.
        """
        if "Sample format non available" in told:
            offered = [name for name in FORMATS if re.search(rf"^- {name}$", told, re.MULTILINE)]
            later = FORMATS[FORMATS.index(self.format) + 1 :]
            left = [name for name in offered if name in later] or list(later)
            return replace(self, format=left[0]) if left else None
        if "Channels count non available" in told:
            return replace(self, channels=self.others[0], others=self.others[1:]) if self.others else None
        return None


def samples_of(raw: bytes, asked: Asked) -> np.ndarray:
    """Whole frames of raw PCM as ``[n, channels]`` float32."""
    return frames_of(raw, _PCM[asked.format], asked.channels)


def rate_of(told: str, asked: Asked) -> int:
    """The rate the card really runs at: a hw device takes the nearest it has and only says so."""
    found = _GOT_RATE.search(told) or _RATE.search(told)
    return int(found[1]) if found else asked.rate_hz


def lost_samples(line: str, told: str, rate_hz: int) -> int:
    """Samples lost by the overrun that a line reports; 0 for any other line.

    The kernel stops a card whose buffer is full, and starting it again empties the buffer. So what is lost is the
    buffer and the time until the restart, of which `arecord` reports the second.
    """
    found = _OVERRUN.search(line)
    if found is None:
        return 0
    buffer = _BUFFER.search(told)
    return round(float(found[1]) / 1000 * rate_hz) + (int(buffer[1]) if buffer else 0)


def reason(told: Sequence[str]) -> str:
    """The line of its standard error that says why it ended, without the part that names its own source."""
    lines = [line.strip() for line in told if line.strip() and not _CHATTER.match(line)]
    complaints = [line for line in lines if line.startswith(("arecord:", "ALSA lib"))] or lines[-1:]
    last = complaints[-1] if complaints else "no output"
    return re.sub(r"^arecord: \w+:\d+: ", "", last)


class FromArecord:
    """Reads raw samples, and overruns from standard error; see `edgeapp.audio.microphones.backends.Reader`.

    An overrun is told before the sound after it is written, so its zeros stand where they belong to within what the
    pipe held, a tenth of a second for a parent that keeps up.
    """

    def __init__(self, asked: Asked) -> None:
        self.command = ["/bin/sh", "-c", UNTIL_INPUT_ENDS, "sh", *asked.command()]
        self.rate_hz = asked.rate_hz
        self.error: DeviceError | None = None
        self._asked = asked
        self._setup = ""
        self._left = b""
        self._position = self._lost = 0

    def otherwise(self, told: str) -> FromArecord | None:
        """Another format, or more channels."""
        asked = self._asked.otherwise(told)
        return FromArecord(asked) if asked is not None else None

    def feed(self, raw: bytes, lines: list[str], told: deque[str]) -> list[Heard]:
        """The whole frames, after the places of those that were lost."""
        if not self._position:  # nothing given yet: the set-up is still being told
            self._setup = "\n".join(told)
            self.rate_hz = rate_of(self._setup, self._asked)
        for line in lines:
            lost = lost_samples(line, self._setup, self.rate_hz)
            self._position += lost
            self._lost += lost
        data = self._left + raw
        whole = len(data) - len(data) % self._asked.frame_bytes
        self._left = data[whole:]
        if not whole:
            return []
        samples = samples_of(data[:whole], self._asked)
        start = self._position
        self._position += len(samples)
        return [Heard(start, samples, self._lost, self._position)]
