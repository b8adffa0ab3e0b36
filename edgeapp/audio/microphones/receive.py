"""The child process that receives a source in the network and writes messages (`messages.py`) to standard output.

The clock of the stream decides what is lost: where its time stamps leave a gap, samples are counted as lost and keep
their place, as with a sound card that overran. Where the clock itself jumps, as that of a camera that was set, the
stream goes on where it was. A stream whose rate or channels change in the middle is converted to what it began with.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edgeapp.audio.microphones.messages import Outlet, end_with_the_parent
from edgeapp.errors import DeviceError

OPEN_S = 20.0
GAP_S = 0.1  # between time stamps; less is what encoders round
MOST_GAP_S = 30.0  # of time stamps beyond the time that passed; more is a clock that was set
UNNOTICED_S = 1.0  # between packets when the clock jumps
BLOCK_S = 0.1
AHEAD_S = 10.0  # of real time that a server may send when it is asked: more waits there
ANALYSED_S = 2.0  # of sound, looked at to know the stream

# Neither files nor anything else that a playlist might name.
PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,hls,crypto,data"
OPTIONS = {
    "protocol_whitelist": PROTOCOLS,
    "rtsp_flags": "prefer_tcp",
    "allowed_media_types": "audio",  # a camera sends no pictures then
    "analyzeduration": str(round(ANALYSED_S * 1e6)),
    "user_agent": "biovita-edge",
    "rw_timeout": str(round(OPEN_S * 1e6)),
}
LOG_IN, SILENT = "check user and password", "turn its microphone on, or use another address"
NOT_OPEN = "does not open"
CHECK = "check the address, and that it is on and reachable"
# By the name of the error, in PyAV.
REMEDIES = {
    "HTTPUnauthorizedError": LOG_IN,
    "HTTPForbiddenError": LOG_IN,
    "HTTPNotFoundError": "check the path of the address",
    "InvalidDataError": "use an address that leads to sound",
}
WORDS = {
    "ExitError": "no answer",
    "OSError": "the connection ended",  # all that FFmpeg says of an end without a length
    "PatchWelcomeError": "its format changed",
}


@dataclass(frozen=True)
class Asked:
    """What is to be received.

    Attributes
    ----------
    address : str
        With its log-in.
    name : str
        Without it.
    stall_s : float
        Seconds without a packet after which the source counts as lost.
    """

    address: str
    name: str
    stall_s: float


def main() -> int:
    """Receive what the first line of standard input asks for; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent drains the sound before it ends this process
    out = Outlet()
    asked = Asked(**json.loads(_line()))
    end_with_the_parent()
    try:
        _receive(asked, out)
    except DeviceError as error:
        out.error(error)
        return error.exit_code
    except Exception as error:  # its words may hold the address
        out.error(DeviceError(f"source {asked.name} failed ({type(error).__name__})", CHECK))
        return 2
    return 0


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def _receive(asked: Asked, out: Outlet) -> None:
    import av

    av.logging.set_level(None)  # FFmpeg's own lines have addresses in them
    try:
        # A plain read could block for ever where a camera lost its power.
        container = av.open(asked.address, options=OPTIONS, timeout=(OPEN_S, asked.stall_s))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _explained(asked, NOT_OPEN, error) from None
    with container:
        stream = container.streams.best("audio")
        if stream is None:
            raise DeviceError(f"source {asked.name} has no sound", SILENT)
        received = Received(container, stream)
        out.hello(asked.name, received.rate_hz, received.channels)
        try:
            for start, frames in received.pieces():
                out.samples(start, received.lost, start + len(frames), frames)
        except (av.error.FFmpegError, OSError) as error:
            raise _explained(asked, "is gone", error) from None
    raise DeviceError(f"source {asked.name} has ended", "it is opened again; check the address if that goes on")


def _explained(asked: Asked, what: str, error: Exception) -> DeviceError:
    """The error in words, which never are FFmpeg's whole line: that has the address."""
    words = getattr(error, "strerror", None) or type(error).__name__
    if type(error).__name__ == "HTTPOtherClientError" and asked.address.startswith("rtsp"):
        # Nothing but sound is asked for, and a camera without any has nothing to play.
        return DeviceError(f"source {asked.name} has no sound, or refuses to play it", SILENT)
    words = WORDS.get(type(error).__name__, words)
    if what == NOT_OPEN and not _host_is_known(asked.address):
        words = "the name of its host is unknown"
    return DeviceError(f"source {asked.name} {what} ({words})", REMEDIES.get(type(error).__name__, CHECK))


def _host_is_known(address: str) -> bool:
    """Whether the host of an address has a number: FFmpeg does not tell that from an end of the connection."""
    try:
        socket.getaddrinfo(urlsplit(address).hostname, None)
    except (OSError, UnicodeError):
        return False
    return True


class Received:
    """The sound of an open container.

    Attributes
    ----------
    rate_hz, channels : int
        Of all that is given.
    lost : int
        Samples lost so far.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self.rate_hz: int = stream.rate
        self.channels: int = stream.channels
        self.lost = 0
        self._container, self._stream = container, stream
        self._layout = stream.layout.name
        self._position = 0
        self._origin_s: float | None = None  # on the stream's clock, of position 0
        self._resampler: Any = None
        self._shape: tuple[Any, ...] = ()

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """Position and frames ``[n, channels]``, in real time however fast the server sends."""
        held: list[np.ndarray] = []
        began_s = last_s = time.monotonic()
        for decoded in self._container.decode(self._stream):
            now_s = time.monotonic()
            frames = self._converted(decoded)
            lost = self._gap(decoded.time, self._position + sum(map(len, held)), now_s - last_s)
            last_s = now_s
            if lost and held:
                yield self._given(held)
            self._position += lost
            self.lost += lost
            if len(frames):
                held.append(frames)
            if sum(map(len, held)) >= BLOCK_S * self.rate_hz:
                yield self._given(held)
                ahead_s = self._position / self.rate_hz - (time.monotonic() - began_s)
                time.sleep(max(0.0, ahead_s - AHEAD_S))
        if held:
            yield self._given(held)

    def _given(self, held: list[np.ndarray]) -> tuple[int, np.ndarray]:
        frames = np.concatenate(held)
        held.clear()
        start = self._position
        self._position += len(frames)
        return start, frames

    def _gap(self, at_s: float | None, position: int, waited_s: float) -> int:
        """Samples that are missing before a frame of this time stamp, which would stand at a position otherwise."""
        if at_s is None:
            return 0
        expected_s = None if self._origin_s is None else self._origin_s + position / self.rate_hz
        if expected_s is not None and abs(at_s - expected_s) <= GAP_S:
            return 0
        if expected_s is not None and 0.0 < at_s - expected_s <= waited_s + MOST_GAP_S:
            return round((at_s - expected_s) * self.rate_hz)
        # The first frame, or a clock that jumped, which says nothing of what is missing.
        lost = round(waited_s * self.rate_hz) if expected_s is not None and waited_s > UNNOTICED_S else 0
        self._origin_s = at_s - (position + lost) / self.rate_hz
        return lost

    def _converted(self, decoded: Any) -> np.ndarray:
        """A decoded frame as frames of the first rate and channels."""
        import av

        shape = (decoded.format.name, decoded.layout.name, decoded.sample_rate)
        if shape != self._shape:
            self._shape = shape
            self._resampler = av.AudioResampler(format="flt", layout=self._layout, rate=self.rate_hz)
        parts = [one.to_ndarray().reshape(-1, self.channels) for one in self._resampler.resample(decoded)]
        frames = np.concatenate(parts) if parts else np.zeros((0, self.channels), np.float32)
        return np.nan_to_num(frames, copy=False)


if __name__ == "__main__":
    sys.exit(main())
