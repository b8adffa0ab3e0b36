"""CPU share of one core and memory of a station in real time, its recorder included.

    python benchmarks/station.py --minutes 30

The script starts a PulseAudio server that plays songs, with quiet noise between them, to the station's microphone. Time
and memory are the kernel's figures for the whole process tree: user and system time, and the proportional set size, in
which pages shared by two processes count once. Measuring begins with the first window, so start-up is not included.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.soak import tree  # noqa: E402
from benchmarks.soak.pulse import PulseSoak  # noqa: E402
from benchmarks.soak.server import missing  # noqa: E402
from benchmarks.soak.sound import Song  # noqa: E402
from edgeapp.board.machine import machine  # noqa: E402
from edgeapp.pack.installed import find_pack  # noqa: E402
from edgeapp.paths import EXAMPLE  # noqa: E402

MOST_CPU, MOST_MB = 5.0, 250.0  # limits of the project: per cent of one core, MB


class Quiet(PulseSoak):
    """A run without injected faults that records the use of each process at the end."""

    def _note_use(self) -> None:
        super()._note_use()
        self.processes = [
            (_name(pid), tree.cpu_s_alone(pid), tree.pss_mb_alone(pid)) for pid in tree.tree(self.listener.pid)
        ]


def main() -> int:
    """Measure; 0 if both limits are met."""
    asked = _arguments().parse_args()
    if missing():
        print(f"skipped: {missing()}", file=sys.stderr)
        return 2
    words = ["--backend", asked.backend, *asked.words]
    words += ["--hop", str(asked.hop)] if asked.hop else []
    words += ["--pack", str(find_pack(asked.pack).folder.absolute())]  # the station runs with user folders of its own
    with tempfile.TemporaryDirectory(prefix="station") as folder:
        run = Quiet(
            60.0 * asked.minutes, 1, Song.read(EXAMPLE, "Parus major"), Path(folder), print, tuple(words), kinds=()
        )
        try:
            done = run.soak()
        finally:
            run.close()
    (began_s, cpu_s, start_mb), (ended_s, end_cpu_s, end_mb) = done.use[0], done.use[-1]
    half_s, half_cpu_s, half_mb = done.use[len(done.use) // 2]
    percent = round(100 * (end_cpu_s - cpu_s) / (ended_s - began_s), 2)
    figures: dict[str, float | str] = {
        "minutes": round((ended_s - began_s) / 60.0, 1),
        "windows": len(run.listener.run.told),
        "windows with detections": sum(one.verdict == "detection" for one in run.listener.run.told),
        "detections": len(run.listener.run.detections),
        "CPU, % of one core": percent,
        "  first half": round(100 * (half_cpu_s - cpu_s) / (half_s - began_s), 2),
        "  second half": round(100 * (end_cpu_s - half_cpu_s) / (ended_s - half_s), 2),
        "memory, MB (PSS) at the start": round(start_mb, 1),
        "  in the middle": round(half_mb, 1),
        "  at the end": round(end_mb, 1),
        "  most": round(max(mb for _, _, mb in done.use), 1),
    }
    for name, spent_s, mb in run.processes:
        figures[f"process {name}"] = f"{spent_s:.1f} CPU seconds, start-up included; {mb:.1f} MB"
    kept = percent < MOST_CPU and max(mb for _, _, mb in done.use) < MOST_MB
    if asked.json:
        series = [[round(at_s - began_s), round(mb, 1)] for at_s, _, mb in done.use[::12]]
        print(json.dumps({"machine": machine(), "figures": figures, "memory": series, "within": kept}, indent=2))
    else:
        wide = max(map(len, figures))
        print(f"machine: {machine()}", "", *(f"{name:<{wide}}  {value}" for name, value in figures.items()), sep="\n")
        print("", f"limits: {MOST_CPU:g} % and {MOST_MB:g} MB: {'met' if kept else 'EXCEEDED'}", sep="\n")
    return 0 if kept else 1


def _name(pid: int) -> str:
    command = tree.command_of(pid)
    return next(
        (name for name in ("edgeapp.audio.microphones.record", "arecord", "listen") if name in command), command[:40]
    )


def _arguments() -> argparse.ArgumentParser:
    about = (__doc__ or "").partition("\n\n")[0]
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--hop", type=float, help="seconds between windows; the pack's if not given")
    parser.add_argument("--backend", default="auto", help="portaudio or arecord")
    parser.add_argument("--pack", help="folder or name of the pack; the best one installed if not given")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("words", nargs="*", help="after --: further options of `listen`")
    return parser


if __name__ == "__main__":
    sys.exit(main())
