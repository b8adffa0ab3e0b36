"""What brings sound to a station as fast as it processes it: a pipe, microphones of a sound server, web radio.

The microphones are sources of a real PulseAudio server that read named pipes, and so have no clock of their own; the
station records them with `parec`. The radio sends a WAV file without an end over HTTP, which the station receives with
PyAV.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks.soak.process import PIPED, Gone, Listener
from benchmarks.soak.server import Server
from benchmarks.soak.sound import RATE_HZ

MICROPHONES = ("left", "right")
POLL_S = 0.1  # to see that a microphone is unplugged
FULL = 0xFFFFFFFF  # length of a WAV file that is not known yet
HEADER = (
    struct.pack("<4sI4s4sI", b"RIFF", FULL, b"WAVE", b"fmt ", 16)
    + struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    + struct.pack("<4sI", b"data", FULL)
)


class Feed(Protocol):
    """A source of the station.

    Attributes
    ----------
    name : str
        As events and the journal have it.
    words : sequence
        Options of `listen`.
    live : bool
        Whether the station misses sound that does not come.
    recorder : str
        In the command line of the process that records it; empty if there is none.
    """

    name: str
    words: Sequence[object]
    live: bool
    recorder: str

    def renew(self, listener: Callable[[], Listener]) -> None:
        """Forget sound that nobody took; a process is about to start."""
        ...

    def write(self, samples: np.ndarray) -> None:
        """Give samples ``[n]`` int16 at `RATE_HZ`."""
        ...

    def take_away(self) -> None: ...

    def bring_back(self) -> None: ...

    def close(self) -> None: ...


class Piped:
    """Standard input; see `Feed`."""

    name, live, recorder = PIPED, False, ""
    words: Sequence[object] = ("-", "--pcm-rate", RATE_HZ)

    def renew(self, listener: Callable[[], Listener]) -> None:
        """The process has a pipe of its own."""
        self._listener = listener

    def write(self, samples: np.ndarray) -> None:
        """Write, and wait until it is taken."""
        process = self._listener().process
        assert process.stdin is not None
        try:
            process.stdin.write(samples.astype("<i2").tobytes())
            process.stdin.flush()
        except BrokenPipeError:
            raise Gone(f"ended unexpectedly with {process.poll()}") from None

    def take_away(self) -> None:
        """A pipe is not lost."""

    def bring_back(self) -> None:
        """See `take_away`."""

    def close(self) -> None:
        """It ends with the process."""


class PipeServer(Server):
    """A PulseAudio server without speakers."""

    def plug_in(self) -> None:
        """Nothing: each microphone is added by itself."""


class _Live:
    """A source that takes its sound from a queue, by a thread of its own; see `Feed`."""

    live = True

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def renew(self, listener: Callable[[], Listener]) -> None:
        """Drop what was not taken, with the connection."""
        self.take_away()
        self.bring_back()

    def write(self, samples: np.ndarray) -> None:
        """Hand the sound to the thread that gives it away once somebody takes it."""
        self._waiting.put(samples.astype("<i2").tobytes())

    def take_away(self) -> None:
        raise NotImplementedError

    def bring_back(self) -> None:
        raise NotImplementedError


class Microphone(_Live):
    """A source of a PulseAudio server; see `Feed`."""

    def __init__(self, server: PipeServer, name: str, folder: Path) -> None:
        super().__init__()
        self.name = f"{name}-microphone"
        self.words: Sequence[object] = ("--device", f"pulse:{name}")
        self.recorder = f"--device={name}"
        self._server, self._source, self._pipe = server, name, folder / f"{name}.pipe"
        self._thread: threading.Thread | None = None
        self._module = ""

    def take_away(self) -> None:
        """Unplug it, with what was not taken."""
        if self._thread is not None:
            self._over = True
            self._waiting.put(None)
            self._thread.join()
            self._thread = None
        if self._module:
            self._server.ask("unload-module", self._module)
            self._module = ""
        with contextlib.suppress(FileNotFoundError):
            self._pipe.unlink()

    def bring_back(self) -> None:
        """Plug it in."""
        shape = ["format=s16le", f"rate={RATE_HZ}", "channels=1", f"source_properties=device.description={self.name}"]
        named = ["load-module", "module-pipe-source", f"source_name={self._source}", f"file={self._pipe}"]
        self._module = self._server.ask(*named, *shape)
        if not self._module:
            raise SystemExit("PulseAudio does not load module-pipe-source")
        self._waiting = queue.SimpleQueue()
        self._over = False
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Unplug it."""
        self.take_away()

    def _write(self) -> None:
        waiting = self._waiting
        handle = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            while (piece := waiting.get()) is not None:
                view = memoryview(piece)
                while view and not self._over:
                    try:
                        view = view[os.write(handle, view) :]
                    except BlockingIOError:
                        select.select([], [handle], [], POLL_S)
                    except BrokenPipeError:  # the server died
                        return
        finally:
            os.close(handle)


class Radio(_Live):
    """A stream over HTTP, whose connections can drop; see `Feed`."""

    recorder = "benchmarks.soak.unpaced"

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self._on = True
        radio = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                radio._serve(self)

        class Threaded(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Threaded(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.name = f"http://127.0.0.1:{self.port}/garden.wav"
        self.words: Sequence[object] = ("--device", self.name)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take_away(self) -> None:
        """Close the connection, and answer 503 to others."""
        self._on = False
        self._waiting.put(None)

    def bring_back(self) -> None:
        """Serve again."""
        self._waiting = queue.SimpleQueue()
        self._on = True

    def close(self) -> None:
        """Stop the server."""
        self.take_away()
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, request: socketserver.BaseRequestHandler) -> None:
        asked = b""
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in asked and (more := request.request.recv(4096)):
                asked += more
            if not self._on:
                request.request.sendall(b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
                return
            waiting = self._waiting
            request.request.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: audio/wav\r\n\r\n" + HEADER)
            while (piece := waiting.get()) is not None:
                request.request.sendall(piece)


@contextmanager
def sound_server(folder: Path) -> Iterator[PipeServer]:
    """A PulseAudio server of the run's own."""
    server = PipeServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.close()
