"""Which channels of a file are heard, as its sound says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from edgeapp.audio.channels import BEST, EACH, Channel, best_of
from edgeapp.audio.file import FileSource


def channels_of(path: str | os.PathLike[str] | BinaryIO, channel: Channel) -> Sequence[int]:
    """The channels of a file that are to be heard, each by itself, from 1; 0 for all of them together.

    For the best one the whole file is read.

    Raises
    ------
    AudioError
        As `FileSource`.
    """
    if channel.choice not in (EACH, BEST):
        return (channel.number,)
    source = FileSource(path)
    try:
        if channel.choice == EACH or source.channels == 1:
            return range(1, source.channels + 1)
        return (best_of(source.frames(), source.channels, source.rate_hz),)
    finally:
        source.close()
