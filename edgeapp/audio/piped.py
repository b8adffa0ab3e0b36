"""Standard input and named pipes: raw sound, or a file of any format, told apart by the first bytes.

What decodes files goes back and forth in them, so a file that comes through a pipe is first kept in a temporary one, on
the disk and never in memory; it has no name, and is gone with the process however that ends.
"""

from __future__ import annotations

import errno
import os
import select
import tempfile
from collections.abc import Callable
from typing import IO, BinaryIO

from edgeapp import interruption
from edgeapp.audio.pcm import PcmSource
from edgeapp.audio.source import AudioSource
from edgeapp.errors import AudioError

ENOUGH = 1 << 14  # first bytes, a sixth of a second of raw sound: frames of MPEG audio are told by several in a row
PIECE = 1 << 20
WRITER_S = 5.0  # how long a named pipe is waited for

_ON_DISK = "/var/tmp"  # the usual place is in memory on many machines


def identified(
    stream: BinaryIO, raw: Callable[[BinaryIO], PcmSource], keep: Callable[[BinaryIO], AudioSource], name: str
) -> AudioSource:
    """The sound on standard input: raw if it is nothing else.

    Parameters
    ----------
    stream : binary file
    raw : callable
        Makes the source of raw sound from a file.
    keep : callable
        Makes the source of a sound file from one that is open, which it is to close.
    name : str
        Of the input, for messages.

    Raises
    ------
    AudioError
        It is a file that cannot be read, or the disk is full.
    """
    from edgeapp.audio.formats.sniff import container_of, words_on_pipe

    head = _read(stream, ENOUGH)
    if words := words_on_pipe(head):
        raise AudioError(f"{name}: is {words}", "pipe a recording, or raw sound")
    if container_of(head) is None:
        return raw(_Resumed(head, stream))  # type: ignore[arg-type]  # has what is read of it
    return keep(spooled(stream, name, head))


def spooled(stream: BinaryIO, name: str, head: bytes = b"") -> BinaryIO:
    """A temporary file with all that a pipe gives.

    Raises
    ------
    AudioError
        The disk is full, or the pipe cannot be read.
    """
    folder = None if "TMPDIR" in os.environ or not os.path.isdir(_ON_DISK) else _ON_DISK
    try:
        file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # given away open
        try:
            piece = head or _piece(stream, PIECE)
            while piece:
                file.write(piece)
                piece = _piece(stream, PIECE)
            file.seek(0)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            where = folder or tempfile.gettempdir()
            raise AudioError(
                f"{name}: no space left in {where} to keep it while it is read", "set TMPDIR to a folder with room"
            ) from None
        raise AudioError(f"{name}: cannot be read ({error.strerror or error})", "check what is piped into it") from None
    return file  # type: ignore[return-value]  # a binary file in all but its type


def from_named_pipe(path: str) -> BinaryIO:
    """What somebody writes into a named pipe, as a file.

    Raises
    ------
    AudioError
        Nobody does.
    OSError
        It cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # without a writer it would be waited for in vain
    with open(descriptor, "rb", buffering=0) as stream:
        with interruption.waiting():
            written = select.select([descriptor], [], [], WRITER_S)[0]
        if not written:
            raise AudioError(
                f"{path}: is a named pipe into which nobody writes", "start the program that writes into it"
            )
        os.set_blocking(descriptor, True)
        return spooled(stream, path, _read(stream, ENOUGH))  # type: ignore[arg-type]  # a raw file reads as others do


class _Resumed:
    """A file of which the first bytes were read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int = -1) -> bytes:
        """The first bytes, then the rest as it comes."""
        if self._head:
            taken, self._head = self._head[:size], self._head[size:]
            return taken
        read = getattr(self._stream, "read1", self._stream.read)
        piece: bytes = read(size)
        return piece


def _read(stream: BinaryIO, size: int) -> bytes:
    """As many bytes, or all there are."""
    found = b""
    while len(found) < size and (piece := _piece(stream, size - len(found))):
        found += piece
    return found


def _piece(stream: BinaryIO, size: int) -> bytes:
    with interruption.waiting():
        return stream.read(size)
