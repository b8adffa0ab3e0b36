"""How the C library keeps freed memory: windows and layers come and go in threads, and must not pile up in each.

By default glibc gives every thread an arena of its own and keeps what is freed in it, up to 32 MB a piece. With two
threads that is a quarter of the memory of `identify` with BirdNET's network; the time it saves is 3 % at most.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress

# Of <malloc.h>: what is set, and to what.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
SETTINGS = {ARENA_MAX: 2, MMAP_THRESHOLD: 1 << 20, TRIM_THRESHOLD: 4 << 20}
OWN = ("MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def give_memory_back(environment: Mapping[str, str] = os.environ) -> bool:
    """Let freed memory go back to the system; to be called before the threads that compute are started.

    Returns
    -------
    bool
        Whether it was set: not where somebody has settings of their own, nor with another C library than glibc.
    """
    if any(name in environment for name in OWN):
        return False
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        return all([mallopt(what, to) for what, to in SETTINGS.items()])
    return False
