"""Damaged recordings of every format end nothing but themselves.

`BIOVITA_FUZZ=SEED:COUNT` tries others than the tests do by themselves.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from edgeapp.audio.file import FileSource
from edgeapp.errors import AudioError
from edgeapp.file_names import name_of
from tests.conftest import PROJECT
from tests.edgeapp.damage import RATE_HZ, damaged, valid, with_ffmpeg

SEED = 16
FEW, MANY = 66, 1_100
BATCH = FEW  # files of one process: one that crashes is found among few
MOST_CPU_S = 10.0  # for one file
HANGS_S = 90.0  # without a sign of life
MOST_MIB = 700  # of memory; 150 to 300 are taken without damage
ADDRESSES = 12 << 30  # bytes, so that what would take all memory fails instead
MAIN = f"""
import atexit, os, resource, shutil
resource.setrlimit(resource.RLIMIT_AS, ({ADDRESSES}, {ADDRESSES}))
atexit.register(shutil.copyfile, "/proc/self/status", os.environ["PEAK"])
from edgeapp.cli import main
main()
"""
# Not two minutes for each file whose header announces more than it has.
STATION = f"from edgeapp.station import watch\nwatch.CUT_S = 35.0\n{MAIN}"
EXIT_CODES = (0, 1)
WHOLE = "whole.wav"  # that comes last
AT_ONCE = 20  # files that arrive together
ARRIVED_S = 120.0  # without a file that is done: one whose header announces more than it has is waited for


@pytest.fixture(scope="session")
def recordings(tmp_path_factory) -> dict[str, bytes]:
    return valid() | with_ffmpeg(tmp_path_factory.mktemp("made"))


def seed_and_count(count: int) -> tuple[int, int]:
    seed, _, other = os.environ.get("BIOVITA_FUZZ", "").partition(":")
    return int(seed or SEED), int(other or count)


def written(folder: Path, made: dict[str, bytes], count: int) -> list[Path]:
    seed, count = seed_and_count(count)
    print(f"BIOVITA_FUZZ={seed}:{count}")
    paths = []
    for name, content in damaged(made, seed, count):
        paths.append(folder / name)
        paths[-1].write_bytes(content)
    return paths


def environment(home: Path) -> dict[str, str]:
    folders = {name: str(home / "home") for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
    return {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "PEAK": str(home / "peak"), **folders}


def cpu_s(pid: int) -> float:
    """Seconds that a process and those it waited for have computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def peak_mib(home: Path) -> float:
    """The most memory that the last process had; what `wait4` tells begins with that of this process, a large one."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", (home / "peak").read_text())[1]) / 1024


def identified(files: list[Path], pack: Path, home: Path) -> list[str]:
    """Identify files in one process; what is wrong with that."""
    command = [sys.executable, "-c", MAIN, "identify", *files, "--pack", pack, "--format", "ndjson", "--top", "1"]
    wrong, seen, before_s = [], set(), None
    with open(home / "stderr", "wb") as stderr:
        process = subprocess.Popen(
            list(map(str, command)), env=environment(home), stdout=subprocess.PIPE, stderr=stderr, cwd=home
        )
    buffer = b""
    while True:
        if not select.select([process.stdout], [], [], HANGS_S)[0]:
            process.kill()
            wrong.append(f"{sorted({path.name for path in files} - seen)[0]}: hangs")
            break
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            break
        now_s = cpu_s(process.pid)
        *lines, buffer = (buffer + piece).split(b"\n")
        for event in map(json.loads, lines):
            if event["event"] in ("file", "error"):
                seen.add(os.path.basename(name_of(event["file"])))
                if before_s is not None and now_s - before_s > MOST_CPU_S:
                    wrong.append(f"{event['file']}: computed for {now_s - before_s:.1f} s")
                before_s = now_s
    process.stdout.close()
    process.wait()
    if process.returncode not in EXIT_CODES:
        wrong.append(f"exit code {process.returncode} with {sorted({path.name for path in files} - seen)[:3]}")
    wrong += [f"{name}: neither done nor failed" for name in sorted({path.name for path in files} - seen)]
    if process.returncode in EXIT_CODES and peak_mib(home) > MOST_MIB:
        wrong.append(f"{peak_mib(home):.0f} MiB of memory with {files[0].name} and the next {len(files) - 1}")
    for line in (home / "stderr").read_text().splitlines():
        if not line.startswith("biovita-edge: ") or "unexpectedly" in line:
            wrong.append(line)
    return wrong


def batches_are_well(tmp_path: Path, made: dict[str, bytes], pack: Path, count: int) -> list[str]:
    folder = tmp_path / "damaged"
    folder.mkdir()
    files = written(folder, made, count)
    return [wrong for n in range(0, len(files), BATCH) for wrong in identified(files[n : n + BATCH], pack, tmp_path)]


def watched(tmp_path: Path, made: dict[str, bytes], pack: Path, count: int) -> list[str]:
    """Let a station hear damaged files that arrive in its folder, and a whole one at last; what is wrong with that."""
    away, folder, journal, wrong = tmp_path / "away", tmp_path / "card", tmp_path / "journal.sqlite", []
    away.mkdir()
    folder.mkdir()
    coming = [path for path in written(away, made, count) if path.stat().st_size]
    coming.append(away / WHOLE)
    coming[-1].write_bytes(made["pcm16.wav"])
    names = {path.name for path in coming}
    assert len(names) == len(coming)
    command = [sys.executable, "-c", STATION, "listen", "--watch", folder, "--pack", pack, "--journal", journal]
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        process = subprocess.Popen(
            [*map(str, command), "--format", "ndjson", "--privacy", "keep"],
            env=environment(tmp_path),
            stdout=out,
            stderr=err,
        )
    left, since, before_s = names, time.monotonic(), 0.0
    while left and _lives(process) and time.monotonic() - since < ARRIVED_S:
        for path in coming[:AT_ONCE]:
            path.rename(folder / path.name)
        del coming[:AT_ONCE]
        time.sleep(0.5)
        now_s = cpu_s(process.pid) if _lives(process) else before_s
        now_left = names - heard(journal) - told(tmp_path).keys()
        if now_left != left or coming:
            # What several files took together cannot be told apart.
            if now_s - before_s > MOST_CPU_S * max(1, len(left) - len(now_left)):
                wrong.append(f"computed for {now_s - before_s:.1f} s before {sorted(left - now_left)}")
            left, since, before_s = now_left, time.monotonic(), now_s
    if _lives(process):
        if cpu_s(process.pid) - before_s > MOST_CPU_S and left:
            wrong.append(f"computes without an end with {sorted(left)[:3]}")
        process.send_signal(signal.SIGTERM)
    process.wait()
    wrong += [f"{name}: neither done nor failed" for name in sorted(left)]
    wrong += [f"{name}: {number} lines" for name, number in told(tmp_path).items() if number > 1]
    if WHOLE in told(tmp_path):
        wrong.append("a whole recording was refused")
    if process.returncode not in (*EXIT_CODES, 143):
        wrong.append(f"exit code {process.returncode}")
    elif peak_mib(tmp_path) > MOST_MIB:
        wrong.append(f"{peak_mib(tmp_path):.0f} MiB of memory")
    lines = (tmp_path / "err").read_text().splitlines()
    wrong += [line for line in lines if "unexpectedly" in line or "Traceback" in line or "[src/" in line]
    return wrong


def heard(journal: Path) -> set[str]:
    """Names of the recordings that a journal has as done."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        return {os.path.basename(path) for (path,) in connection.execute("SELECT path FROM files")}
    return set()


def told(home: Path) -> dict[str, int]:
    """How many warnings on standard error are about each recording."""
    names = re.findall(r" warning: .*?/([^/\n]+?): ", (home / "err").read_text())
    return {name: names.count(name) for name in set(names)}


def _lives(process: subprocess.Popen) -> bool:
    """Whether it runs; what it took can be asked afterwards."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def test_some_damaged_recordings_fail_alone(tmp_path, recordings, toy_pack):
    assert batches_are_well(tmp_path, recordings, toy_pack, FEW) == []


def test_a_station_survives_some_damaged_recordings(tmp_path, recordings, toy_pack):
    assert watched(tmp_path, recordings, toy_pack, FEW) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_damaged_recordings_fail_alone(tmp_path, recordings, toy_pack):
    assert batches_are_well(tmp_path, recordings, toy_pack, MANY) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_station_survives_a_thousand_damaged_recordings(tmp_path, recordings, toy_pack):
    assert watched(tmp_path, recordings, toy_pack, MANY) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_makes_the_same_damage(recordings, seed):
    once, again, others = (list(damaged(recordings, one, 200)) for one in (seed, seed, seed + 10))

    assert once == again and [content for _, content in once] != [content for _, content in others]
    assert len({name for name, _ in once}) == 200


@pytest.mark.parametrize("rate_hz", [0, 1, 199, 4_000_001, 0xFFFF_FFFF])
def test_a_rate_that_no_recorder_has_is_damage(tmp_path, recordings, rate_hz):
    path = tmp_path / "a.wav"
    path.write_bytes(recordings["pcm16.wav"][:24] + rate_hz.to_bytes(4, "little") + recordings["pcm16.wav"][28:])

    with pytest.raises(AudioError):
        FileSource(path)


@pytest.mark.parametrize("begin", [0, 23, 1_000_000, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_sound_that_begins_behind_the_file_is_damage(tmp_path, recordings, begin):
    path = tmp_path / "a.au"
    path.write_bytes(recordings["au.au"][:4] + begin.to_bytes(4, "big") + recordings["au.au"][8:])

    with suppress(AudioError):
        total = sum(len(block.samples) for block in FileSource(path).blocks())
        assert total < 5 * RATE_HZ


@pytest.mark.parametrize("count", [100, 10_000, 0x0F80_0000, 0xFFFF_FFFF])
def test_a_count_of_mpeg_frames_is_not_believed_over_the_bytes(tmp_path, recordings, count):
    data = bytearray(recordings["mp3.mp3"])
    at = max(data.find(b"Xing"), data.find(b"Info"))
    data[at + 8 : at + 12] = count.to_bytes(4, "big")
    data[len(data) // 2 : len(data) // 2 + 2_000] = bytes(2_000)
    path = tmp_path / "a.mp3"
    path.write_bytes(data)

    assert sum(len(block.samples) for block in FileSource(path).blocks()) < 8 * RATE_HZ
