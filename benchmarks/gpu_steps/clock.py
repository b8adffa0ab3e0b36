"""How often a second something is done."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

LEAST, MOST = 3, 200  # times


def per_second(
    run: Callable[[], object], each: int, seconds: float, wait: Callable[[], object] = lambda: None
) -> float:
    """Units of work a second, by the median of its runs; the first two runs are not timed.

    Parameters
    ----------
    run : does the work once
    each : units in one run
    seconds : to go on for
    wait : waits until the work is done, where `run` only begins it
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
