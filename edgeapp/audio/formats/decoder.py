"""What decodes a sound file, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

BLOCK_FRAMES = 65_536  # 1.4 s at 48 kHz: large enough that the loop costs nothing, small enough to stay in cache


@dataclass(frozen=True)
class Hole:
    """Sound that is damaged or missing; silence stands in its place.

    Attributes
    ----------
    start, end : int
        Frames on the decoder's clock; equal where nothing of known length is missing.
    """

    start: int
    end: int


class Decoder(Protocol):
    """Frames of a sound file to its very end.

    Attributes
    ----------
    rate_hz, channels : int
    frames : int or None
        How many there are, by what was found in the bytes; None where only decoding tells.
    announced : int or None
        How many the header says there are; None where it says nothing. 0 where it says that there is no sound.
    exact : bool
        Whether a position can be sought without decoding what comes before.
    notes : list of str
        What a person should know; complete once `blocks` has ended.
    holes : list of Hole
        Met so far.
    cut : bool
        Whether the end is known to be missing; known once `blocks` has ended.
    reason : str
        What the decoder says of it, where it says anything.
    """

    rate_hz: int
    channels: int
    frames: int | None
    announced: int | None
    notes: list[str]
    holes: list[Hole]
    cut: bool
    reason: str

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on: ``[n, channels]`` int16, or float32 of full scale 1.0. Called once.

        Raises
        ------
        DamagedError
            Nothing can be decoded.
        """

    def close(self) -> None:
        """Release what was opened; not the file it was made from."""


class DamagedError(Exception):
    """A file of a known format that cannot be decoded; the text says why, in a few words."""


class UnknownCodecError(DamagedError):
    """A file whose header is whole and whose sound is in a codec that libsndfile does not know."""


class MissingDecoderError(Exception):
    """A format that needs a decoder which is not installed; the text names the format."""


class NotAudioError(Exception):
    """Bytes that are no sound that can be decoded; the text continues "is"."""


def silence(frames: int, like: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks of zeros, as many frames as asked, in the shape and type of other frames."""
    while frames > 0:
        n = min(frames, BLOCK_FRAMES)
        yield np.zeros((n, like.shape[1]), like.dtype)
        frames -= n
