"""What a recording process of this project writes to its parent, and how the parent understands it.

A message is a kind (one byte), the length of its content (4 bytes, little endian) and the content:

    H   JSON: name, rate_hz and channels, once, before the first samples
    S   position, lost and captured samples (8 bytes each), then float32 samples, channel by channel of each frame
    E   JSON: what and remedy of the error that ends the recording
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
from collections import deque

import numpy as np

from edgeapp.audio.microphones.backends import Heard
from edgeapp.errors import DeviceError

HEAD = struct.Struct("<cI")
COUNTS = struct.Struct("<qqq")
HELLO, SAMPLES, ERROR = b"H", b"S", b"E"

_STDIN, _STDOUT = 0, 1


class FromMessages:
    """Reads the messages of a recording process; see `edgeapp.audio.microphones.backends.Reader`.

    Parameters
    ----------
    command : list of str
        Starts the process.
    first : bytes
        What it is to read first on its standard input.
    """

    def __init__(self, command: list[str], first: bytes = b"") -> None:
        self.command = command
        self.first = first
        self.rate_hz = 0
        self.error: DeviceError | None = None
        self._channels = 1
        self._left = b""

    def otherwise(self, told: str) -> None:
        """The process has tried every configuration by itself."""

    def feed(self, raw: bytes, lines: list[str], told: deque[str]) -> list[Heard]:
        """The sound in the messages that are complete."""
        data = self._left + raw
        at, heard = 0, []
        while at + HEAD.size <= len(data):
            kind, size = HEAD.unpack_from(data, at)
            begin = at + HEAD.size
            if begin + size > len(data):
                break
            content = data[begin : begin + size]
            at = begin + size
            if kind == SAMPLES:
                start, lost, captured = COUNTS.unpack_from(content)
                samples = np.frombuffer(content, "<f4", offset=COUNTS.size).astype(np.float32, copy=False)
                heard.append(Heard(start, samples.reshape(-1, self._channels), lost, captured))
            elif kind == HELLO:
                told_first = json.loads(content)
                self.rate_hz, self._channels = told_first["rate_hz"], told_first["channels"]
            elif kind == ERROR:
                self.error = DeviceError(**json.loads(content))
        self._left = data[at:]
        return heard


class Outlet:
    """The standard output of a recording process, for messages alone: what a library prints goes to standard error.

    It ends the process when nobody reads any more..
    """

    def __init__(self) -> None:
        self._out = os.dup(_STDOUT)
        os.dup2(sys.stderr.fileno(), _STDOUT)

    def hello(self, name: str, rate_hz: int, channels: int) -> None:
        """Say what was opened."""
        self._message(HELLO, json.dumps({"name": name, "rate_hz": rate_hz, "channels": channels}).encode())

    def samples(self, start: int, lost: int, captured: int, frames: np.ndarray) -> None:
        """Give frames ``[n, channels]`` with the counts of `edgeapp.audio.microphones.backends.Heard`."""
        self._message(SAMPLES, COUNTS.pack(start, lost, captured) + np.ascontiguousarray(frames, "<f4").tobytes())

    def error(self, error: DeviceError) -> None:
        """Say why the recording ends."""
        self._message(ERROR, json.dumps({"what": error.what, "remedy": error.remedy}).encode())

    def plain(self, content: bytes) -> None:
        """Write what is no message."""
        view = memoryview(content)
        while view:
            view = view[os.write(self._out, view) :]

    def _message(self, kind: bytes, content: bytes) -> None:
        try:
            self.plain(HEAD.pack(kind, len(content)) + content)
        except BrokenPipeError:
            os._exit(0)  # the parent has gone; a hanging library cannot block this exit


def end_with_the_parent() -> None:
    """End this process when its standard input is closed, from a thread of its own."""
    threading.Thread(target=_wait_for_the_parent, daemon=True).start()


def _wait_for_the_parent() -> None:
    while os.read(_STDIN, 1):
        pass
    os._exit(0)
