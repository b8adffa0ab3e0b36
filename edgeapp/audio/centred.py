"""Sound without a constant offset, which is a step where a sound begins and ends, and can be taken for a voice there.

What the offset is shows in the first second. It is taken off all that follows, by the same amount, so that nothing new
is in the sound; a sound without an offset is given as it is, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeapp.audio.source import AudioSource, Block, WrappedSource

REMOVED, KEPT = OFFSETS = ("removed", "kept")
SEEN_S = 1.0
LEAST = 0.01  # of full scale; what is below makes no step that is heard
PARTS = 4  # of what is seen, in each of which it must be there: slow sound is in none of them alike
ALIKE = 0.25  # of the offset


def offset_of(samples: np.ndarray) -> float:
    """The offset of the first second of a sound ``[n]``; 0 where it has none."""
    if len(samples) < PARTS:
        return 0.0
    with np.errstate(all="ignore"):  # samples beyond reason are refused elsewhere
        mean = float(samples.mean(dtype=np.float64))
        if not abs(mean) >= LEAST:
            return 0.0
        means = np.array([part.mean(dtype=np.float64) for part in np.array_split(samples, PARTS)])
        return mean if bool((np.abs(means - mean) <= ALIKE * abs(mean)).all()) else 0.0


class CentredSource(WrappedSource):
    """A source without its offset; see `centred`."""

    def blocks(self) -> Iterator[Block]:
        """Those of the source below, the first when a second of sound is there or all that there is."""
        seen, n = [], 0
        offset: np.float32 | None = None
        for block in self.source.blocks():
            if offset is None:
                seen.append(block)
                n += len(block.samples)
                if n < SEEN_S * self.rate_hz:
                    continue
                offset = self._seen(seen)
                yield from (_without(offset, one) for one in seen)
            else:
                yield _without(offset, block)
        if offset is None:
            offset = self._seen(seen)
            yield from (_without(offset, one) for one in seen)

    def _seen(self, blocks: list[Block]) -> np.float32:
        first = np.concatenate([one.samples for one in blocks]) if blocks else np.zeros(0, np.float32)
        return np.float32(offset_of(first[: round(SEEN_S * self.rate_hz)]))


def _without(offset: np.float32, block: Block) -> Block:
    return Block(block.start, block.samples - offset) if offset else block


def centred(source: AudioSource, offset: str = REMOVED) -> AudioSource:
    """See a source without its constant offset; the same sound gives the same, whatever its blocks are.

    Parameters
    ----------
    offset : str
        ``kept`` gives the source itself.
    """
    return CentredSource(source) if offset == REMOVED else source
