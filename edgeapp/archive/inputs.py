"""The recordings that a person names: files, folders, patterns and lists of them."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from edgeapp.errors import AudioError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")


@dataclass(frozen=True)
class Found:
    """A recording, not yet opened."""

    path: str
    size: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True)
class Refused:
    """What gives no recording, and why."""

    path: str
    error: AudioError


def recordings(
    inputs: Iterable[str],
    pass_over: Callable[[str, str], None] = lambda path, kind: None,
    stdin: BinaryIO | None = None,
) -> Iterator[Found | Refused]:
    """Find the recordings that are named, one after the other."""
    for one in inputs:
        if one.startswith("@"):
            with open(one[1:], "rb") as file:
                yield from recordings(os.fsdecode(line) for line in file.read().splitlines())
        elif os.path.isdir(one):
            for inner, _, names in sorted(os.walk(one)):
                yield from (
                    _found(os.path.join(inner, name)) for name in sorted(names) if name.lower().endswith(SUFFIXES)
                )
        elif not os.path.lexists(one) and glob.has_magic(one):
            yield from recordings(sorted(glob.glob(one, recursive=True)))
        else:
            yield _found(one)


def _found(path: str) -> Found:
    try:
        state = os.stat(path)
        return Found(path, state.st_size, state.st_mtime_ns)
    except OSError:
        return Found(path)


class PassedOver:
    """Counts what `recordings` passes over."""

    def __call__(self, path: str, kind: str) -> None:
        """Count."""

    def __len__(self) -> int:
        return 0
