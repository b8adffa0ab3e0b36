"""Throughput of a function."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

LEAST, MOST = 3, 200  # runs


def per_second(
    run: Callable[[], object], each: int, seconds: float, wait: Callable[[], object] = lambda: None
) -> float:
    """Units of work per second, from the median of the runs; two warm-up runs are not timed.

    Parameters
    ----------
    run : does the work once
    each : units in one run
    seconds : time to repeat the runs for
    wait : waits for the work if `run` only starts it
    """
    for _ in range(2):
        run()
    wait()
    spent: list[float] = []
    while len(spent) < LEAST or (sum(spent) < seconds and len(spent) < MOST):
        began = time.perf_counter()
        run()
        wait()
        spent.append(time.perf_counter() - began)
    return each / statistics.median(spent)
