"""The recorder's process as its parent sees it, and the two languages in which recorders write.

The process leads a session of its own, so that Ctrl-C at the terminal does not reach it: its parent first takes what
was recorded. It ends when its standard input is closed, which happens with its parent, however that dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgeapp.audio import arecord, record
from edgeapp.errors import DeviceError
from edgeapp.paths import child_environment

PIPE_BYTES = 1 << 20  # seconds of sound, for a parent that is held up
READ_BYTES = 1 << 16
KEPT_LINES = 60  # of standard error; the set-up of arecord is 25
END_S = 2.0  # given to the recorder to end by itself

_SET_PIPE_SIZE = 1031  # fcntl.F_SETPIPE_SZ, which Python 3.10 does not name everywhere

# `arecord` does not look at its standard input, and while no samples come it does not notice that nobody reads any
# more. So a shell waits for the end of the input and ends it.
_UNTIL_INPUT_ENDS = '"$@" </dev/null & exec >&-; read -r _; kill -9 $! 2>&-; wait'


class Child:
    """A process whose output is read as it comes.

    Attributes
    ----------
    pid : int
    told : deque of str
        The last lines of its standard error.
    """

    def __init__(self, command: list[str]) -> None:
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                env={**child_environment(), "LC_ALL": "C", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise DeviceError(f"{command[0]} does not start ({error.strerror})", "install it again") from None
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._in, self._out, self._err = self._process.stdin, self._process.stdout, self._process.stderr
        self.pid = self._process.pid
        self.told: deque[str] = deque(maxlen=KEPT_LINES)
        self._unfinished = b""
        self._err_open = True
        self._by_us = False  # ended by a signal from here
        with suppress(OSError):  # a system that allows no larger pipe gives the usual one
            fcntl.fcntl(self._out, _SET_PIPE_SIZE, PIPE_BYTES)

    def read(self, timeout_s: float) -> tuple[bytes, list[str], bool]:
        """Output, new lines of standard error, and whether the output has ended; what is there, or after a wait."""
        watched = [self._out, self._err] if self._err_open else [self._out]
        ready = select.select(watched, [], [], timeout_s)[0]
        told = self._told() if self._err in ready else []
        if self._out not in ready:
            return b"", told, False
        raw = os.read(self._out.fileno(), READ_BYTES)
        return raw, told, not raw

    @property
    def last_words(self) -> str:
        """Why it ended: the signal, or the line of its standard error that says so."""
        status = self._process.returncode
        if status is not None and status < 0 and not self._by_us:
            return f"its recorder was ended by {signal.Signals(-status).name}"
        return arecord.reason(self.told)

    def end(self) -> None:
        """End the process and what it started, and take the rest of its standard error. Twice is harmless."""
        if self._in.closed:
            return
        self._in.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self._by_us = self._process.returncode is None
        # What hangs, is stopped, or has lost its leader is ended with its session.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        while self._err_open and select.select([self._err], [], [], 0.0)[0]:
            self._told()
        self._out.close()
        self._err.close()

    def _told(self) -> list[str]:
        raw = os.read(self._err.fileno(), READ_BYTES)
        if not raw:
            self._err_open = False
            raw = b"\n" if self._unfinished else b""
        *lines, self._unfinished = (self._unfinished + raw).split(b"\n")
        text = [line.decode("utf-8", "replace") for line in lines]
        self.told.extend(text)
        return text


@dataclass(frozen=True)
class Heard:
    """A piece of sound with the counts of its recorder.

    Attributes
    ----------
    start : int
        Position of the first sample, lost ones counted.
    samples : np.ndarray
        ``[n]`` mono float32.
    lost, captured : int
        Samples lost so far, and the position after the newest sample.
    """

    start: int
    samples: np.ndarray
    lost: int
    captured: int


class Reader(Protocol):
    """Understands a recorder; one for each that is started.

    Attributes
    ----------
    command : list of str
    rate_hz : int
        Right once `feed` has given something.
    error : DeviceError or None
        What the recorder itself says of its end.
    """

    command: list[str]
    rate_hz: int
    error: DeviceError | None

    def feed(self, raw: bytes, lines: list[str], told: deque[str]) -> list[Heard]:
        """The sound in newly read output, given the new lines of standard error and all that are kept."""
        ...


class FromPortAudio:
    """Reads the messages of `edgeapp.audio.record`; see `Reader`."""

    def __init__(self, device: str, stall_s: float) -> None:
        self.command = [sys.executable, "-m", "edgeapp.audio.record", "--device", device, "--stall", str(stall_s)]
        self.rate_hz = 0
        self.error: DeviceError | None = None
        self._left = b""

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


class FromArecord:
    """Reads raw samples, and overruns from standard error; see `Reader`.

    An overrun is told before the sound after it is written, so its zeros stand where they belong to within what the
    pipe held, a tenth of a second for a parent that keeps up.
    """

    def __init__(self, asked: arecord.Asked) -> None:
        self.command = ["/bin/sh", "-c", _UNTIL_INPUT_ENDS, "sh", *asked.command()]
        self.rate_hz = asked.rate_hz
        self.error: DeviceError | None = None
        self._asked = asked
        self._setup = ""
        self._left = b""
        self._position = self._lost = 0

    def feed(self, raw: bytes, lines: list[str], told: deque[str]) -> list[Heard]:
        """The whole frames, after the places of those that were lost."""
        if not self._position:  # nothing given yet: the set-up is still being told
            self._setup = "\n".join(told)
            self.rate_hz = arecord.rate_of(self._setup, self._asked)
        for line in lines:
            lost = arecord.lost_samples(line, self._setup, self.rate_hz)
            self._position += lost
            self._lost += lost
        data = self._left + raw
        whole = len(data) - len(data) % self._asked.frame_bytes
        self._left = data[whole:]
        if not whole:
            return []
        samples = arecord.samples_of(data[:whole], self._asked)
        start = self._position
        self._position += len(samples)
        return [Heard(start, samples, self._lost, self._position)]
