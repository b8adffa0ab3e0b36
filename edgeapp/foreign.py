"""What libraries write on standard error: kept from a person, unless asked for or the program crashes.

libsndfile, libmpg123, ALSA, PortAudio, JACK, ONNX Runtime and others write to file descriptor 2, which no setting of
Python reaches. So the descriptor is a pipe to a child process, the keeper, and `sys.stderr` gets one of its own. The
keeper shows nothing but what was asked for (`show`), and, where the process ended without a word (an abort, a fault in
a library), the last lines that it got: it outlives the crash, as no thread would.

Where processes cannot be forked, standard error stays as it is.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn

STDERR = 2
OWN = 100  # our standard error's least number: a person may have opened small ones for us to write to
KEPT_LINES = 40
LINE_BYTES = 2000
READ_BYTES = 65_536
REAP_S = 1.0
PREFIX = b"biovita-edge: library: "
SHOW, ENDED = b"s", b"e"

_orders: int | None = None  # pipe to the keeper; its end without a word is a crash
_keeper_pid = 0
_own = STDERR
_shown = False
_apart: IO[bytes] | None = None


def keep() -> None:
    """Give file descriptor 2 to the keeper, if there is one; `ended` ends it.

    Before there are threads, and before much is imported: what the process changes later exists twice. Does nothing
    where standard input, output or error is closed, or after the first time.
    """
    global _orders, _apart, _own, _keeper_pid
    if _orders is not None or not hasattr(os, "fork") or threading.active_count() > 1:
        return
    import fcntl

    try:
        for number in range(STDERR + 1):
            os.fstat(number)
    except OSError:  # started with one of them closed: its number must not become that of a file
        return
    _own = stderr = fcntl.fcntl(STDERR, fcntl.F_DUPFD_CLOEXEC, OWN)
    _apart = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
    lines, written = os.pipe()
    orders, _orders = os.pipe()
    _keeper_pid = os.fork()
    if _keeper_pid == 0:
        os.close(written)
        os.close(_orders)
        _keeper(lines, orders, stderr, _apart.fileno())
    os.close(lines)
    os.close(orders)
    os.dup2(written, STDERR)
    os.close(written)
    before = sys.stderr
    sys.stderr = open(  # noqa: SIM115  # lives as long as the process
        stderr, "w", encoding=before.encoding, errors="replace", buffering=1, closefd=False
    )
    warnings.showwarning = _warn  # type: ignore[assignment]


def show() -> None:
    """Show what libraries wrote, and write from now on, each line with the program's name."""
    global _shown
    _shown = True
    _order(SHOW)


def ended() -> None:
    """The program ends by itself: what libraries wrote was not important, nor is what they write when unloaded.

    Waits for the keeper, so that nobody else has to reap it, and its last lines come before the caller's next.
    """
    global _orders
    if _orders is None:
        return
    _order(ENDED)
    os.close(_orders)
    _orders = None
    last = _own if _shown else os.open(os.devnull, os.O_WRONLY)
    os.dup2(last, STDERR)  # the pipe's last end, unless a child process still has one
    until = time.monotonic() + REAP_S
    with suppress(ChildProcessError):
        while os.waitpid(_keeper_pid, os.WNOHANG)[0] == 0 and time.monotonic() < until:
            time.sleep(REAP_S / 500)


@contextmanager
def apart() -> Iterator[IO[bytes]]:
    """File that takes what is written to file descriptor 2 in the block, and is empty afterwards.

    For the main thread: the descriptor is shared by all. A crash in the block is told by the keeper all the same.
    """
    try:
        kept = os.dup(STDERR)
    except OSError:  # a process without standard error
        yield io.BytesIO()
        return
    file = _apart if _apart is not None else tempfile.TemporaryFile()  # noqa: SIM115  # closed below
    try:
        os.dup2(file.fileno(), STDERR)
        yield file
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        if file is _apart:
            file.seek(0)
            file.truncate()
        else:
            file.close()


def _order(order: bytes) -> None:
    if _orders is not None:
        with suppress(OSError):  # somebody has ended the keeper
            os.write(_orders, order)


def _warn(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
    with suppress(OSError):
        os.write(STDERR, warnings.formatwarning(message, category, filename, lineno, line).encode())


def _keeper(lines: int, orders: int, stderr: int, apart: int) -> NoReturn:
    """Read lines to their end, which comes when the process and all that have its standard error are gone."""
    code = 1
    try:
        for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(sent, signal.SIG_IGN)  # to the whole group: the process decides
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, STDERR):
            os.dup2(null, number)
        _serve(lines, orders, stderr, apart)
        code = 0
    finally:
        os._exit(code)


def _serve(lines: int, orders: int, stderr: int, apart: int) -> None:
    kept: deque[bytes] = deque(maxlen=KEPT_LINES)
    left, shown, over = b"", False, False
    watched = [lines, orders]
    while watched:
        ready = select.select(watched, [], [])[0]
        if lines in ready:
            raw = os.read(lines, READ_BYTES)
            *whole, left = (left + raw).split(b"\n")
            if not raw:
                watched.remove(lines)
                whole.append(left)
            left = left[:LINE_BYTES]
            kept.extend(line[:LINE_BYTES] for line in whole if line.strip())
        elif orders in ready:
            order = os.read(orders, READ_BYTES)
            shown = shown or SHOW in order
            over = over or ENDED in order
            if not order:
                watched.remove(orders)
                if not over:  # a crash, and all that came before it has been read
                    os.lseek(apart, 0, os.SEEK_SET)
                    kept.extend(line[:LINE_BYTES] for line in os.read(apart, READ_BYTES).splitlines() if line.strip())
                    shown = True
        if shown:
            for line in kept:
                os.write(stderr, PREFIX + bytes(byte for byte in line if byte >= 32 or byte == 9) + b"\n")
            kept.clear()
