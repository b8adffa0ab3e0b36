"""Time and memory of `biovita-edge identify`, and where the time goes.

Each recording is synthesised (48 kHz, 16 bit, mono) and identified by a separate process, as on the command line. The
time is from the start of that process to its end, with a warm disk cache; the memory is the peak resident set size.
Then the same functions process the recording one after the other in this process, and each is timed.

    python benchmarks/identify.py --minutes 0.1667 10 30

Compare figures within one run, or runs of two versions on one machine; a figure is not comparable across machines.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from edgeapp.board.machine import machine  # noqa: E402  # small, as this process has to be

RATE_HZ = 48_000
MINUTES = (1 / 6, 10.0, 30.0)
REPEATS = 3
TOP = 5
PIECE_S = 60.0  # synthesised once and repeated: the cost of the encoder does not depend on the content
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss
MB = 1_000_000


@dataclass(frozen=True)
class Process:
    """One process, from start to end."""

    wall_s: float
    peak_mb: float


@dataclass(frozen=True)
class Stages:
    """Seconds of each step, run one after the other on one thread; `identify` uses all cores.

    If the encoder of the pack is one graph, `trunk_s` includes the front end.
    """

    load_s: float
    decode_s: float
    resample_and_cut_s: float
    front_end_s: float
    trunk_s: float
    search_and_decide_s: float
    write_s: float


@dataclass(frozen=True)
class Measured:
    """One recording: the median time and the largest memory of the repeats."""

    seconds: float
    wall_s: float
    times_real_time: float
    peak_mb: float
    stages: Stages


def sing(path: Path) -> None:
    """Write a WAV file of bird-like song, in another process so that this one stays small."""
    words = ["-m", "edgeapp.examples.synthesise", "--seconds", str(PIECE_S), "--rate", str(RATE_HZ), str(path)]
    subprocess.run([sys.executable, *words], env=environment(), check=True)


def write_recording(path: Path, piece: Path, seconds: float) -> None:
    """Write a WAV file that repeats a piece."""
    with wave.open(str(piece), "rb") as song:
        size, frames = song.getsampwidth(), song.readframes(song.getnframes())
    left = round(seconds * RATE_HZ) * size
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(size)
        file.setframerate(RATE_HZ)
        while left > 0:
            file.writeframes(frames[:left])
            left -= min(left, len(frames))


def environment() -> dict[str, str]:
    """Environment in which a process imports this project, whether installed or not."""
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


def run(words: Sequence[str]) -> Process:
    """Run `biovita-edge` once.

    A child process inherits the peak memory of its parent, so peaks below this script's own size cannot be measured;
    the script is kept well below the size of ONNX Runtime.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeapp", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stderr is not None
    told = process.stderr.read()  # ends with the process
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise SystemExit(f"biovita-edge {' '.join(words)} failed:\n{told.decode(errors='replace')}")
    peak = usage.ru_maxrss * RSS_UNIT
    if peak <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT:
        print("note: the peak memory is not above this script's own, and is not a measurement", file=sys.stderr)
    return Process(wall_s, peak / MB)


def split(path: Path, pack: str | None) -> Stages:
    """Process a recording by the functions of `identify`, one after the other on one thread, and time each."""
    from edgeapp.audio.file import FileSource
    from edgeapp.audio.resample import resampled
    from edgeapp.audio.windows import windows
    from edgeapp.outputs.writer import Recording, Run, writer
    from edgeapp.pack.installed import load_pack
    from edgeapp.recognition.merging import Merger
    from edgeapp.recognition.recogniser import Recogniser, Tally
    from edgeapp.recognition.results import Identification, WindowResult

    clock = time.perf_counter
    began = clock()
    recogniser = Recogniser(load_pack(pack), threads=1)
    spent = dict.fromkeys(("decode", "cut", "front", "encode", "answer", "write"), 0.0)
    spent["load"] = clock() - began

    def timed(what: str, work: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            start = clock()
            try:
                return work(*arguments, **named)
            finally:
                spent[what] += clock() - start

        return call

    recogniser.encoder.hear = timed("encode", recogniser.encoder.hear)  # type: ignore[method-assign]
    if (parts := recogniser.encoder.split) is not None:
        parts.front = timed("front", parts.front)  # type: ignore[method-assign]
    spec, source = recogniser.pack.audio, FileSource(path)
    blocks = source._decoder.blocks

    def timed_blocks(first: int = 0) -> Iterator[Any]:
        decoded = blocks(first)
        while (block := timed("decode", lambda: next(decoded, None))()) is not None:
            yield block

    source._decoder.blocks = timed_blocks  # type: ignore[method-assign]
    cut = recogniser.encoder.sharing(windows(resampled(source, spec.rate_hz), spec.window_s, spec.hop_s, pad=spec.pad))
    tally, merger = Tally(recogniser.vocabulary), Merger()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        writing = writer("json", nowhere, Run(recogniser.origin, spec.window_s, spec.hop_s))
        writing.begin(Recording(str(path), source.rate_hz))

        def write(result: WindowResult) -> None:
            tally.add(result)
            writing.window(result, recogniser.species(result, TOP))
            for stretch in merger.add(result):
                writing.detection(stretch)

        def finish() -> None:
            for stretch in merger.finish():
                writing.detection(stretch)
            writing.finish(Identification(str(path), tally.end_s, spec.hop_s, tally.species(TOP), tally.heard))

        while batch := timed("cut", lambda: list(islice(cut, recogniser.batch)))():
            for result in timed("answer", recogniser.answer)(batch):
                timed("write", write)(result)
        timed("write", finish)()
    source.close()
    return Stages(
        spent["load"],
        spent["decode"],
        spent["cut"] - spent["decode"],
        spent["front"],
        spent["encode"] - spent["front"],
        spent["answer"] - spent["encode"],
        spent["write"],
    )


def measure(seconds: Sequence[float], pack: str | None, threads: int | None, repeats: int) -> list[Measured]:
    """Measure recordings of the given lengths, in seconds."""
    options = [*(("--pack", pack) if pack else ()), *(("--threads", str(threads)) if threads else ())]
    with tempfile.TemporaryDirectory() as folder:
        paths = {length: Path(folder) / f"{length:g}s.wav" for length in seconds}
        piece = Path(folder) / "piece.wav"
        sing(piece)
        for length, path in paths.items():
            write_recording(path, piece, length)
        # All processes first: `split` makes this one large.
        runs = {
            length: [run(["identify", str(path), "--format", "json", *options]) for _ in range(repeats)]
            for length, path in paths.items()
        }
        stages = {length: split(path, pack) for length, path in paths.items()}
    walls = {length: statistics.median(one.wall_s for one in runs[length]) for length in seconds}
    return [
        Measured(
            length, walls[length], length / walls[length], max(one.peak_mb for one in runs[length]), stages[length]
        )
        for length in seconds
    ]


def markdown(on: dict[str, str | int], start_s: float, measured: Sequence[Measured]) -> str:
    """The table, under a description of the machine."""
    lines = [
        f"{on['cpu']}, {on['cores']} cores, {on['system']}, Python {on['python']}, ONNX Runtime {on['onnxruntime']}.",
        f"Process start (`biovita-edge --version`): {start_s:.2f} s.",
        "",
        "| recording | start to end | times real time | peak memory | load pack and gallery | decode | resample, cut "
        "| front end | trunk | search, decide | write |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in measured:
        length = f"{one.seconds / 60:g} min" if one.seconds >= 60 else f"{one.seconds:.0f} s"
        stages = one.stages
        parts = (
            f"{seconds:.2f} s"
            for seconds in (
                one.wall_s,
                stages.load_s,
                stages.decode_s,
                stages.resample_and_cut_s,
                stages.front_end_s,
                stages.trunk_s,
                stages.search_and_decide_s,
                stages.write_s,
            )
        )
        wall, *rest = parts
        lines.append(f"| {length} | {wall} | {one.times_real_time:.0f} | {one.peak_mb:.0f} MB | {' | '.join(rest)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time and memory of `biovita-edge identify` on this machine.")
    parser.add_argument("--minutes", type=float, nargs="+", default=MINUTES, help="lengths of the recordings")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs per recording; the median counts")
    parser.add_argument("--pack", help="folder or name of the pack; the best one installed if not given")
    parser.add_argument("--threads", type=int, help="threads of the encoder; all cores if not given")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a Markdown table")
    chosen = parser.parse_args(arguments)
    if min(chosen.minutes) * 60 < 1 or chosen.repeats < 1:
        parser.error("--minutes must be at least 0.0167 (one second), --repeats at least 1")
    start_s = statistics.median(run(["--version"]).wall_s for _ in range(chosen.repeats))
    measured = measure([minutes * 60 for minutes in chosen.minutes], chosen.pack, chosen.threads, chosen.repeats)
    on = machine()
    if chosen.json:
        document = {"machine": on, "start_s": start_s, "recordings": [asdict(one) for one in measured]}
        print(json.dumps(document, indent=2))
    else:
        print(markdown(on, start_s, measured))


if __name__ == "__main__":
    main()
