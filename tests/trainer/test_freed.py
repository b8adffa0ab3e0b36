"""Memory that is freed is not fetched anew from the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Faults of pages while a block of 64 MB is taken, written and freed five times, before and after.
COUNTED = """
import ctypes, resource
from trainer.freed import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        block = libc.malloc(64 * 2**20)
        libc.memset(block, 1, 64 * 2**20)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), keep_freed_memory(), faults(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_blocks_that_were_freed_are_taken_again() -> None:
    done = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, check=True)
    before, keeps, _, after = done.stdout.split()
    assert keeps == "True" and int(before) > 1000
    assert int(after) < int(before) / 10
