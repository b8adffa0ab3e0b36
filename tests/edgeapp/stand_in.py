"""Stands in for Python: ``stand_in.py DOOR -m edgeapp ...`` or ``-c CODE ...`` in a copy of a loaded process.

What it is given is the copy's: words, environment, folder, open files, ignored signals. Signals that it gets, the copy
gets; it ends as the copy does, and the copy is killed when it is.
"""

from __future__ import annotations

import marshal
import os
import signal
import socket
from collections.abc import Mapping, Sequence

HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def begin(
    door: str,
    words: Sequence[bytes],
    environment: Mapping[bytes, bytes],
    folder: bytes,
    files: Mapping[int, int],
    ignored: Sequence[int] = (),
) -> tuple[socket.socket, int]:
    """Start a copy; its files are open here, by their number there. Gives what `end` waits for, and its process."""
    wanted = socket.socket(socket.AF_UNIX)
    wanted.connect(door)
    told = marshal.dumps((list(words), dict(environment), folder, list(files), list(ignored)))
    socket.send_fds(wanted, [len(told).to_bytes(4, "big")], list(files.values()))
    wanted.sendall(told)
    process = int.from_bytes(wanted.recv(4, socket.MSG_WAITALL), "big")
    assert process, "the copy could not be made"
    return wanted, process


def end(wanted: socket.socket) -> int:
    """Wait for a copy: its exit code, or the number of the signal that ended it, below zero."""
    with wanted:
        status = wanted.recv(4, socket.MSG_WAITALL)
    assert len(status) == 4, "the copy could not be made"
    return os.waitstatus_to_exitcode(int.from_bytes(status, "big"))


def main(door: str, *words: str) -> None:
    files = []
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            os.fstat(number)
        except OSError:  # that of the list
            continue
        files.append(number)
    ignored = [int(number) for number in HANDED_ON if signal.getsignal(number) is signal.SIG_IGN]
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
    given = [os.fsencode(word) for word in words]
    wanted, copy = begin(door, given, os.environb, os.getcwdb(), {number: number for number in files}, ignored)
    for number in files:  # whoever reads them waits for the copy alone
        os.close(number)
    for number in set(HANDED_ON) - set(ignored):
        signal.signal(number, lambda number, frame: os.kill(copy, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)
    code = end(wanted)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
