"""Reads the raw samples of the recorders of sound servers, which convert to whatever is asked for."""

from __future__ import annotations

from collections import deque

import numpy as np

from edgeapp.audio.microphones.arecord import UNTIL_INPUT_ENDS
from edgeapp.audio.microphones.backends import Heard
from edgeapp.audio.pcm import BYTES, frames_of
from edgeapp.errors import DeviceError

FORMAT = "f32le"


class RawReader:
    """A recorder that writes 32-bit floats; see `edgeapp.audio.microphones.backends.Reader`.

    Parameters
    ----------
    command : list of str
    rate_hz, channels : int
        As the command asks for them.
    """

    def __init__(self, command: list[str], rate_hz: int, channels: int) -> None:
        self.command = ["/bin/sh", "-c", UNTIL_INPUT_ENDS, "sh", *command]
        self.rate_hz = rate_hz
        self.error: DeviceError | None = None
        self._channels = channels
        self._left = b""
        self._position = 0

    def otherwise(self, told: str) -> None:
        """The server converts to whatever is asked for."""

    def feed(self, raw: bytes, lines: list[str], told: deque[str]) -> list[Heard]:
        """The whole frames."""
        data = self._left + raw
        whole = len(data) - len(data) % (BYTES[FORMAT] * self._channels)
        self._left = data[whole:]
        if not whole or self.error is not None:
            return []
        frames = np.nan_to_num(frames_of(data[:whole], FORMAT, self._channels), copy=False)
        start = self._position
        self._position += len(frames)
        return [Heard(start, frames, 0, self._position)]
