"""A PortAudio without a sound card: the part of `sounddevice` that a microphone uses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

DEVICE_LISTS = Path(__file__).parent / "device_lists"


class PortAudioError(Exception):
    pass


class FakePortAudio:
    """Stands in for the module `sounddevice`.

    Parameters
    ----------
    machine : str
        Whose list of devices: laptop, raspberry_pi, jetson.
    takes : Callable[[int, int], bool]
        Whether the card accepts (rate_hz, channels).
    chatter : bytes
        Written to file descriptor 2 by every call, as ALSA and JACK do.
    """

    PortAudioError = PortAudioError

    def __init__(
        self, machine: str = "raspberry_pi", takes: Callable[[int, int], bool] = lambda r, c: True, chatter: bytes = b""
    ) -> None:
        listing = json.loads((DEVICE_LISTS / f"{machine}.json").read_text())
        self._devices, self._hostapis = listing["devices"], listing["hostapis"]
        self.default = SimpleNamespace(device=listing["default"])
        self._takes = takes
        self._chatter = chatter
        self.streams: list[FakeStream] = []
        self.on_start: Callable[[FakeStream], None] = lambda stream: None

    def query_devices(self) -> list[dict]:
        os.write(2, self._chatter)
        return self._devices

    def query_hostapis(self) -> list[dict]:
        return self._hostapis

    def check_input_settings(self, device: int, channels: int, dtype: str, samplerate: int) -> None:
        os.write(2, self._chatter)
        if not self._takes(samplerate, channels):
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")

    def InputStream(self, **settings) -> FakeStream:
        os.write(2, self._chatter)
        stream = FakeStream(settings, self.on_start)
        self.streams.append(stream)
        return stream


class FakeStream:
    """A stream that hears what the test feeds it, on a card whose clock counts every sample, lost ones too."""

    def __init__(self, settings: dict, on_start: Callable[[FakeStream], None]) -> None:
        self.settings = settings
        self.closed = False
        self._on_start = on_start
        self._clock = 0

    def start(self) -> None:
        self._on_start(self)

    def feed(self, samples: np.ndarray) -> None:
        """Let the card hear ``[n]`` or ``[n, channels]`` samples."""
        self._deliver(samples, overflow=False)

    def overrun(self, lost: int, samples: np.ndarray) -> None:
        """Let the card lose ``lost`` samples before these."""
        self._clock += lost
        self._deliver(samples, overflow=True)

    def _deliver(self, samples: np.ndarray, overflow: bool) -> None:
        rate, channels = self.settings["samplerate"], self.settings["channels"]
        shaped = np.asarray(samples, np.float32).reshape(len(samples), -1)
        buffer = np.broadcast_to(shaped, (len(samples), channels)).copy()
        heard = SimpleNamespace(inputBufferAdcTime=1000.0 + self._clock / rate)
        self._clock += len(samples)
        self.settings["callback"](buffer, len(buffer), heard, SimpleNamespace(input_overflow=overflow))
        buffer[:] = np.nan  # PortAudio uses its buffer again: whoever did not copy hears noise

    def abort(self, ignore_errors: bool) -> None:
        pass

    def close(self, ignore_errors: bool) -> None:
        self.closed = True
