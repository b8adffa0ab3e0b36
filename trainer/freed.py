"""Memory that a training step frees, kept for the next one.

By default glibc gives large blocks back to the system as soon as they are free, and gets them anew page by page, which
the system fills with zeros each time. A step on a CPU frees and takes hundreds of them.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 2**31 - 1  # bytes at the end of the heap that are not given back; the largest number that mallopt takes
LARGEST = (2**30, 2**25)  # blocks from this size on are given back; older libraries take no more than the second


def keep_freed_memory() -> bool:
    """Have this process keep the memory that it frees; whether the C library does."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is None:
        return False
    return any(mallopt(M_MMAP_THRESHOLD, size) for size in LARGEST) and bool(mallopt(M_TRIM_THRESHOLD, KEPT))
