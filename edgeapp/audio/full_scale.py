"""Full scale of samples that are floats: which are beyond reason, and which are integers in disguise.

Full scale is 1. A recorder of 32-bit floats goes some 30 dB beyond that without clipping, and who adds gain afterwards
some more; nothing that was recorded goes 60 dB beyond. A damaged bit in the exponent does, by hundreds of dB.
Some programs write floats on the scale of integers: there, most samples are larger than 1, which no recording has.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

LOUDEST = 1000.0  # 60 dB above full scale
LOUD_SHARE = 0.5  # of the samples, from which on they are on the scale of integers
INTEGER_BITS = (16, 24, 32)


def beyond_reason(samples: np.ndarray) -> int | None:
    """Position of the first frame of ``[n]`` or ``[n, channels]`` that no recording has; None where there is none."""
    if not len(samples) or (samples.max() <= LOUDEST and samples.min() >= -LOUDEST):  # false where one is not a number
        return None
    wrong = ~(np.abs(samples) <= LOUDEST)
    return int(np.flatnonzero(wrong if wrong.ndim == 1 else wrong.any(axis=1))[0])


def described(values: np.ndarray | float) -> str:
    """What is wrong with a sample, or with that of one of the channels, after "the sample at 2 s is"."""
    value = next(one for one in np.ravel(values).tolist() if not abs(one) <= LOUDEST)
    return f"{value:.3g}, where full scale is 1" if np.isfinite(value) else "not a number"


def is_loud(samples: np.ndarray) -> bool | None:
    """Whether most samples are larger than full scale; None where there is only silence."""
    sounding, loud = _counted(samples)
    return loud > LOUD_SHARE * sounding if sounding else None


def integer_bits(blocks: Iterable[np.ndarray]) -> int | None:
    """Bits of the integers whose scale all samples of a recording are on; None where they are on that of floats."""
    sounding = loud = 0
    peak = 0.0
    for samples in blocks:
        more, louder = _counted(samples)
        sounding, loud = sounding + more, loud + louder
        sane = np.abs(samples[np.abs(samples) <= 2.0**31])  # the others are damaged, whatever the scale is
        peak = max(peak, float(sane.max(initial=0.0)))
    if loud <= LOUD_SHARE * sounding:
        return None
    return next(bits for bits in INTEGER_BITS if peak <= 2.0 ** (bits - 1))


def _counted(samples: np.ndarray) -> tuple[int, int]:
    return int(np.count_nonzero(samples)), int(np.count_nonzero(np.abs(samples) > 1.0))
