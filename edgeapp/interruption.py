"""Signals that end a program: each cleans up as Ctrl-C does, and a second one ends it at once.

SIGINT, SIGTERM and SIGHUP (a terminal that was closed) raise `Interrupted` in the main thread, wherever it is. What
must not be cut in two is put into `held`. A signal that the caller has set to be ignored, as ``nohup`` does, stays so.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
BY_SIGNAL = 128  # a program that a signal ended has this exit code and the signal's number, as in a shell

_received: int | None = None
_accepted = False
_depth = 0  # of blocks of `held` in the main thread


class Interrupted(KeyboardInterrupt):
    """A signal came that ends the program."""


def install() -> None:
    """Handle the signals, as far as nobody has set them to be ignored. For the main thread."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def uninstall() -> None:
    """Let the signals end the process at once, as they do without Python."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def exit_code() -> int:
    """That of the signal that came, or of Ctrl-C."""
    return BY_SIGNAL + (signal.SIGINT if _received is None else _received)


def received() -> int | None:
    """The signal that came, also one that is put off; None while none has."""
    return _received


def accept() -> None:
    """Whoever ends the work in good order has caught it: it is not raised again."""
    global _accepted
    _accepted = True


def came() -> bool:
    """Whether a signal came that nobody has accepted: an error since then may be what a library made of it."""
    return _received is not None and not _accepted


def check() -> None:
    """Raise what came and was put off or got lost, as exceptions in destructors and callbacks of libraries do.

    Raises
    ------
    Interrupted
    """
    if came():
        raise Interrupted


@contextmanager
def held() -> Iterator[None]:
    """Put a signal off to the end of the block; a second one still ends the process.

    Raises
    ------
    Interrupted
        At the end of the block.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread():
        yield  # exceptions of signals come in the main thread alone
        return
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    if not _depth:
        check()


@contextmanager
def waiting() -> Iterator[None]:
    """Let a signal end what waits for another program, within `held` as well: it may wait for ever.

    Raises
    ------
    Interrupted
        In the block, or at its beginning once a signal has come: after it nobody is waited for.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    depth, _depth = _depth, 0
    try:
        if _received is not None:
            raise Interrupted
        yield
    finally:
        _depth = depth


def _handle(number: int, frame: FrameType | None) -> None:
    global _received
    _received = number
    uninstall()
    if not _depth:
        check()
