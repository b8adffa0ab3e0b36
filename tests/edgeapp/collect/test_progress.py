"""How far a download is, in words."""

from __future__ import annotations

import io

from edgeapp.collect.progress import RATE_OVER_S, Progress


def test_files_bytes_rate_and_time_left_are_told():
    now = [0.0]
    progress = Progress(100, 1e9, io.StringIO(), lambda: now[0])
    assert progress.line() == "0 of 100 files, 0 bytes of about 1 GB, 0 bytes/s"
    for n in range(10):
        progress.came(20_000_000)
        progress.finished(failed=n == 0)
    now[0] = 10.0
    assert progress.line() == "10 of 100 files, 200 MB of about 1 GB, 20 MB/s, 1 failed, 90 s left"


def test_the_rate_is_that_of_the_last_minute():
    now = [0.0]
    progress = Progress(1000, 0, io.StringIO(), lambda: now[0])
    progress.came(10_000_000)
    for _ in range(10):
        now[0] += RATE_OVER_S / 5
        line = progress.line()
    assert line == "0 of 1,000 files, 10 MB, 0 bytes/s"
