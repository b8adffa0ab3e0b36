"""What a report costs: `identify` of a long recording without and with one, and the size of the file.

    python benchmarks/report.py FILE [--hours 24] [--pack PACK] [--report-audio best] [--runs 1]

FILE is a real recording, which is repeated until the hours are full, as a WAV in the temporary folder. Both runs take
turns; the figures are those of the fastest of each. "ratio" is the time with a report over the time without.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from edgeapp.board.machine import machine


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description="What a report costs.")
    parser.add_argument("file", type=Path, help="a real recording")
    parser.add_argument("--hours", type=float, default=24.0, help="length that it is repeated to")
    parser.add_argument("--pack", help="pack; the default one if not given")
    parser.add_argument("--report-audio", default="best", help="none, best or all")
    parser.add_argument("--runs", type=int, default=1, help="runs of each kind")
    parser.add_argument("--format", default="WAV", choices=("WAV", "FLAC"), help="of the long recording")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / f"long.{given.format.lower()}"
        repeat(given.file, long, given.hours, given.format)
        report = Path(folder) / "report.html"
        without = ["identify", str(long), "--format", "csv", "--output", str(Path(folder) / "out.csv"), "--quiet"]
        without += ["--pack", given.pack] if given.pack else []
        with_report = [*without, "--report", str(report), "--report-audio", given.report_audio]
        seconds: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
        for _ in range(given.runs):
            seconds["without"].append(timed(without))
            seconds["with"].append(timed(with_report))
        fastest = {name: min(times) for name, times in seconds.items()}
        found = {
            "hours": given.hours,
            "report_audio": given.report_audio,
            "seconds_without": round(fastest["without"][0], 1),
            "seconds_with": round(fastest["with"][0], 1),
            "more_seconds": round(fastest["with"][0] - fastest["without"][0], 1),
            "ratio": round(fastest["with"][0] / fastest["without"][0], 3),
            "more_cpu_seconds": round(fastest["with"][1] - fastest["without"][1], 1),
            "report_mb": round(report.stat().st_size / 1e6, 2),
            "machine": machine(),
        }
    print(json.dumps(found, indent=2))


def repeat(file: Path, long: Path, hours: float, format: str) -> None:
    """Write a recording again and again until it is long enough, in 16 bits; RF64 beyond 4 GB of WAV."""
    samples, rate_hz = soundfile.read(file, dtype="int16", always_2d=True)
    samples = np.ascontiguousarray(samples[:, 0])
    left = round(hours * 3600 * rate_hz)
    with soundfile.SoundFile(long, "w", rate_hz, 1, "PCM_16", format="RF64" if format == "WAV" else format) as out:
        while left > 0:
            out.write(samples[:left])
            left -= len(samples)


def timed(words: list[str]) -> tuple[float, float]:
    """Wall time of a run of the program, and its time on all cores."""
    started, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-m", "edgeapp", *words], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - started, cpu_s


if __name__ == "__main__":
    main()
