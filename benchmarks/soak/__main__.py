"""Soak test of a station: hours of sound with injected faults, and an account of lost data.

    python benchmarks/soak --hours 24                 accelerated, through standard input
    python benchmarks/soak --hours 72 --microphones   accelerated, through two microphones and a stream over HTTP
    python benchmarks/soak --pulse --minutes 60       in real time, through a separate PulseAudio server

Exit status 0 only if nothing was lost beyond what a fault may cost: the window being processed when the process was
killed, and the sound while the microphone was unavailable.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from benchmarks.soak import pulse, pulse_account  # noqa: E402
from benchmarks.soak.accelerated import Soak  # noqa: E402
from benchmarks.soak.account import Account, account, lines  # noqa: E402
from benchmarks.soak.pieces import keep  # noqa: E402
from benchmarks.soak.plan import KINDS, LONG, NIGHT, OF_SOURCES, ROOM_S, Plan  # noqa: E402
from benchmarks.soak.process import Gone  # noqa: E402
from benchmarks.soak.server import missing  # noqa: E402
from benchmarks.soak.sound import Song  # noqa: E402
from edgeapp.board.machine import machine  # noqa: E402
from edgeapp.pack.installed import find_pack, load_pack  # noqa: E402
from edgeapp.paths import EXAMPLE  # noqa: E402

ALL = (*KINDS, *LONG, *OF_SOURCES)


def main() -> int:
    """Run the test, and return the exit status."""
    asked = _arguments().parse_args()
    asked.pack = find_pack(asked.pack).folder.absolute()  # the station runs with user folders of its own
    audio = load_pack(asked.pack).audio
    asked.hop, asked.window = asked.hop or audio.hop_s, audio.window_s
    songs = [_song(word) for word in asked.song] or [Song.read(EXAMPLE, "Parus major")]
    with tempfile.TemporaryDirectory(prefix="soak") as made:
        folder = Path(made) if asked.folder is None else asked.folder
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not asked.go_on:
            raise SystemExit(f"{folder} is not empty; add --continue to go on with the run in it")
        if asked.pulse:
            return _through_pulse(asked, songs[0], folder)
        return _accelerated(asked, songs, folder)


def _through_pulse(asked: argparse.Namespace, song: Song, folder: Path) -> int:
    if asked.go_on:
        raise SystemExit("--continue goes on with other runs than those with --pulse; --microphones --real-time is one")
    if missing():
        _say(f"skipped: {missing()}")
        return 2
    words = ["--hop", str(asked.hop), "--backend", asked.backend, *asked.words]
    words += ["--pack", str(asked.pack)]
    kinds = _kinds(asked, pulse.KINDS)
    soak = pulse.PulseSoak(
        60.0 * asked.minutes, asked.seed, song, folder, _say, tuple(words), kinds, asked.every * asked.hop
    )
    try:
        soak.soak()
        result = pulse_account.account(soak, asked.window, asked.hop)
    finally:
        soak.close()
    return _tell(asked, result, pulse_account.lines(result), [])


def _accelerated(asked: argparse.Namespace, songs: list[Song], folder: Path) -> int:
    if asked.microphones and missing():
        _say(f"skipped: {missing()}")
        return 2
    if asked.microphones and asked.at_once * asked.hop > ROOM_S:
        raise SystemExit(f"--at-once {asked.at_once}: more than {ROOM_S:g} s of sound do not fit under way")
    of_sources = OF_SOURCES if asked.microphones else ()
    kinds = _kinds(asked, (*KINDS, *(LONG if asked.hours >= 1 or asked.faults else ()), *of_sources))
    plan = Plan(
        asked.hours,
        asked.seed,
        asked.every,
        kinds,
        asked.pack,
        asked.window,
        asked.hop,
        tuple(asked.words),
        microphones=asked.microphones,
        at_most_s=60.0 * asked.at_most,
        between_s=tuple(asked.between),
        at_once=asked.at_once,
        real_time=asked.real_time,
    )
    soak = Soak(plan, folder, songs, _say)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(soak, "ending", True))
    try:
        try:
            soak.soak()
        except Gone as gone:
            _say(f"LOST: the station {gone}; end of its log:")
            for line in soak.log.read_text(errors="replace").splitlines()[-5:]:
                _say(f"  {line}")
            return 1
        keep(soak)
        result = account(soak)
    finally:
        soak.close()
    return _tell(asked, result, lines(result, soak.done.skipped), soak.done.skipped)


def _tell(asked: argparse.Namespace, result: Account, told: Iterable[str], skipped: Iterable[str]) -> int:
    about = {"machine": machine(), "seed": asked.seed, "pack": load_pack(asked.pack, verify=False).name}
    if asked.json:
        print(json.dumps({**about, **result.__dict__, "not_done": sorted(skipped)}, indent=2))
    else:
        print(*(f"{name}: {value}" for name, value in about.items()), "", sep="\n")
        print(*told, sep="\n")
    return 1 if result.losses else 0


def _kinds(asked: argparse.Namespace, known: Sequence[str]) -> tuple[str, ...]:
    kinds = tuple(asked.faults.split(",")) if asked.faults else tuple(known)
    unknown = set(kinds) - set(known)
    if unknown:
        raise SystemExit(f"unknown fault: {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
    return kinds


def _song(word: str) -> Song:
    taxon, _, path = word.partition("=")
    if not path:
        raise SystemExit(f"--song {word}: give TAXON=FILE")
    return Song.read(Path(path), taxon)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.ArgumentParser:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=about, epilog=more, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, help="hours of sound, in accelerated mode")
    parser.add_argument(
        "--microphones", action="store_true", help="two microphones and a stream over HTTP, in accelerated mode"
    )
    parser.add_argument(
        "--at-most", type=float, default=float("inf"), help="minutes after which no more sound is played"
    )
    parser.add_argument("--at-once", type=int, default=1, metavar="HOPS", help="fed to each source together")
    parser.add_argument(
        "--between", type=float, nargs=2, default=NIGHT, metavar=("FROM", "TO"), help="seconds between songs"
    )
    parser.add_argument("--real-time", action="store_true", help="no faster than time passes, with --microphones")
    parser.add_argument("--pulse", action="store_true", help="real time, through PulseAudio")
    parser.add_argument("--minutes", type=float, default=30.0, help="duration, with --pulse")
    parser.add_argument("--backend", default="auto", help="audio backend with --pulse: portaudio or arecord")
    parser.add_argument(
        "--faults", default="", help=f"comma-separated; all if not given: {','.join((*KINDS, *LONG, *OF_SOURCES))}"
    )
    parser.add_argument("--every", type=int, default=40, help="mean number of windows between faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pack", help="folder or name of the pack; the best one installed if not given")
    parser.add_argument(
        "--song", action="append", default=[], metavar="TAXON=FILE", help="recording at 48 kHz; repeatable"
    )
    parser.add_argument("--hop", type=float, help="seconds between windows; the pack's if not given")
    parser.add_argument("--folder", type=Path, help="empty folder for files; temporary if not given")
    parser.add_argument(
        "--continue", dest="go_on", action="store_true", help="one more piece of the run in --folder, in one account"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("words", nargs="*", help="after --: further options of `listen`")
    return parser


if __name__ == "__main__":
    sys.exit(main())
