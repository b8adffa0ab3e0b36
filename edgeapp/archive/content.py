"""Recordings known by their content: the SHA-256 of a file, taken while it is decoded.

It is taken a little ahead of the decoder, whose reads then come from the system's cache: a file is read from the disk
once. It is that of the whole file, as `sha256sum` gives it, so that an archive can be checked with it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress

from edgeapp.audio.source import AudioSource, Block, WrappedSource

PIECE_BYTES = 1 << 20
AHEAD_BYTES = 8 << 20  # of the decoder: files of this size are hashed at their first block


class Content:
    """The bytes of a file; a context manager.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    size : int
    mtime_us : int
        When it was changed, in microseconds since 1970.

    Raises
    ------
    OSError
        It cannot be opened; from the methods, it cannot be read any more.
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed by `close`
        stat = os.fstat(self._file.fileno())
        self.size, self.mtime_us = stat.st_size, mtime_us(stat)
        self._hash = hashlib.sha256()
        self._read = 0

    def advance(self, until: int) -> None:
        """Read on to a byte of the file, if it is not read that far yet."""
        while self._read < until and (piece := self._file.read(min(PIECE_BYTES, until - self._read))):
            self._hash.update(piece)
            self._read += len(piece)

    def sha256(self) -> str:
        """Read what is left of the file: its hash, in hexadecimal digits."""
        while piece := self._file.read(PIECE_BYTES):
            self._hash.update(piece)
            self._read += len(piece)
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class HashedSource(WrappedSource):
    """A source whose file is hashed while it is decoded.

    Parameters
    ----------
    source : AudioSource
        Announces its `duration_s`, truly or not: it only says how far ahead to read.
    content : Content
    """

    def __init__(self, source: AudioSource, content: Content) -> None:
        super().__init__(source)
        self._content = content

    def blocks(self) -> Iterator[Block]:
        """Those of the source below."""
        whole = (getattr(self.source, "duration_s", None) or 0.0) * self.rate_hz
        with suppress(OSError):  # told by `Content.sha256`
            self._content.advance(AHEAD_BYTES)
        for block in self.source.blocks():
            yield block
            if whole > 0 and self._content.size > AHEAD_BYTES:
                with suppress(OSError):
                    self._content.advance(round(self._content.size * min(block.end / whole, 1.0)) + AHEAD_BYTES)


def mtime_us(stat: os.stat_result) -> int:
    """When a file was changed, in microseconds since 1970."""
    return stat.st_mtime_ns // 1000
