"""The recording process.

The process leads a session of its own, so that Ctrl-C at the terminal does not reach it: its parent first takes what
was recorded. It ends when its standard input is closed, which happens with its parent, however that dies.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from collections import deque
from contextlib import suppress

from edgeapp.audio.microphones import arecord
from edgeapp.errors import DeviceError
from edgeapp.paths import child_environment

PIPE_BYTES = 1 << 20  # seconds of sound, for a parent that is held up
READ_BYTES = 1 << 16
KEPT_LINES = 60  # of standard error; the set-up of arecord is 25
END_S = 2.0  # given to the recorder to end by itself

_SET_PIPE_SIZE = 1031  # fcntl.F_SETPIPE_SZ, which Python 3.10 does not name everywhere


class Child:
    """A process whose output is read as it comes.

    Parameters
    ----------
    command : list of str
    first : bytes
        Written to its standard input, which stays open: what a command line, which everybody may read, must not have.

    Attributes
    ----------
    pid : int
    told : deque of str
        The last lines of its standard error.
    """

    def __init__(self, command: list[str], first: bytes = b"") -> None:
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
        with suppress(BrokenPipeError):  # it has ended already, and says why
            self._in.write(first)
        self.told: deque[str] = deque(maxlen=KEPT_LINES)
        self._unfinished = b""
        self._err_open = True
        self._by_us = False  # ended by a signal from here
        with suppress(OSError, ImportError):  # a system that allows no larger pipe gives the usual one
            import fcntl

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
            return f"its recording process was killed by {signal.Signals(-status).name}"
        return arecord.reason(self.told)

    def end(self) -> None:
        """End the process and what it started, and take the rest of its standard error. Idempotent."""
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
        *lines, self._unfinished = re.split(rb"[\r\n]", self._unfinished + raw)
        text = [line.decode("utf-8", "replace") for line in lines]
        self.told.extend(text)
        return text
