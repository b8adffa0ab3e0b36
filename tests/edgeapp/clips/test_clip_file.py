"""A clip's final name is a whole file or nothing, whatever happens while it is written."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import sqlite3
import subprocess
import textwrap
import time
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import soundfile

from edgeapp.clips.clip_file import ClipFolder, encoded, holds, stem
from edgeapp.errors import OutputError
from tests.conftest import PROJECT

WHEN = datetime(2024, 6, 7, 16, 59, 29, tzinfo=timezone.utc)

STATION = """
import os, signal, sqlite3, sys
from datetime import datetime, timezone
from pathlib import Path
import numpy as np
from edgeapp.audio.source import Block
from edgeapp.clips import clip_file
from edgeapp.clips.recorder import Clips
from edgeapp.clips.settings import ClipSettings
from edgeapp.clock.system import Moment
from edgeapp.clips.ring import Ring

folder, format, stage, nth = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
database = sqlite3.connect(folder / "rows.sqlite", isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS clips (path, bytes)")

class Journal:
    def add_clip(self, clip, detection_ids):
        die("row")
        database.execute("INSERT INTO clips VALUES (?, ?)", (clip.path, clip.bytes))
        die("committed")
        return 1

    def together(self, changes):
        return changes()

class Clock:
    boot_id = "boot"
    def now(self):
        return Moment(datetime(2024, 6, 7, tzinfo=timezone.utc), 0.0)

left = nth
def die(at):
    global left
    if at == stage:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

def dying(name, real):
    def call(*args):
        die("before " + name)
        done = real(*args)
        die("after " + name)
        return done
    return call

os.fsync, os.replace = dying("fsync", os.fsync), dying("replace", os.replace)
ring = Ring(48_000, 10.0)
ring.add(Block(0, np.random.default_rng(1).uniform(-0.5, 0.5, 480_000).astype(np.float32)))
clips = Clips(ClipSettings(folder, format, 3.0, 3.0), ring, Journal(), clip_file.ClipFolder(folder, print), Clock())
print("ready", flush=True)
for id in range(int(sys.argv[5])):
    clips.want(id, "Turdus merula", 0.98, Moment(datetime(2024, 6, 7, tzinfo=timezone.utc), 0.0), 1.0, 6.0, 1)
    clips.finish()
"""


def station(forks, folder, format="wav", stage="never", nth=0, clips=3):
    return subprocess.Popen(
        [*forks.python(), "-c", STATION, str(folder), format, stage, str(nth), str(clips)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )


def check_whole(folder) -> tuple[int, int]:
    """Number of clips and rows; every clip must be whole and every row must have its clip."""
    paths = sorted(path for path in folder.glob("2024/06/*") if not path.name.startswith("."))
    for path in paths:
        samples, _ = soundfile.read(path)
        assert len(samples) == 9 * 48_000
    with sqlite3.connect(folder / "rows.sqlite") as database:
        rows = database.execute("SELECT path, bytes FROM clips").fetchall()
    for path, size in rows:
        assert os.path.getsize(path) == size
    return len(paths), len(rows)


@pytest.mark.parametrize(
    ("stage", "nth", "files", "rows", "orphans"),
    [
        ("before fsync", 1, 0, 0, 0),  # the first two are those of the folders of year and month
        ("before fsync", 2, 0, 0, 1),
        ("before fsync", 3, 1, 0, 0),  # that of the month again, with the new name in it
        ("before replace", 1, 1, 1, 1),
        ("after replace", 1, 2, 1, 0),
        ("row", 1, 2, 1, 0),
        ("committed", 1, 2, 2, 0),
    ],
)
def test_kill_9_at_any_step_leaves_no_half_clip_and_no_row_without_file(
    forks, tmp_path, stage, nth, files, rows, orphans
):
    child = station(forks, tmp_path, stage=stage, nth=nth)
    assert child.wait(60) == -signal.SIGKILL
    assert check_whole(tmp_path) == (files, rows)
    assert len(list(tmp_path.glob("**/*.part"))) == orphans
    assert ClipFolder(tmp_path, print).remove_orphans() == orphans
    assert list(tmp_path.glob("**/*.part")) == []
    assert check_whole(tmp_path) == (files, rows)


def test_kill_9_at_random_moments(forks, tmp_path):
    random = np.random.default_rng(3)
    files = 0
    for more in (0, 1, 2, 3, 5, 8):
        child = station(forks, tmp_path, format="flac", clips=100_000)
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        while len(list(tmp_path.glob("2024/06/*.flac"))) < files + more:
            assert child.poll() is None
            time.sleep(0.001)
        time.sleep(random.uniform(0.0, 0.05))
        assert child.poll() is None
        child.kill()
        child.communicate(timeout=60)  # what it has printed ends when it does
        files, rows = check_whole(tmp_path)
        ClipFolder(tmp_path, print).remove_orphans()
    assert 0 < rows <= files <= rows + 6


def test_a_temporary_file_that_is_being_written_is_left_to_its_writer(tmp_path):
    folder = tmp_path / "2024" / "06"
    folder.mkdir(parents=True)
    busy, orphan, other = folder / ".clip-1.part", folder / ".clip-2.part", folder / "notes.part"
    for path in (busy, orphan, other):
        path.write_bytes(b"half")
    with open(busy, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert ClipFolder(tmp_path, print).remove_orphans() == 1
    assert sorted(path.name for path in folder.iterdir()) == [".clip-1.part", "notes.part"]


def test_a_folder_that_is_not_there_has_no_orphans(tmp_path):
    assert ClipFolder(tmp_path / "none", print).remove_orphans() == 0


def test_a_full_disk_leaves_nothing_behind(forks, tmp_path):
    """A file that may not grow past a limit fails inside its writing, as on a full disk."""
    script = textwrap.dedent(
        """
        import resource, signal, sys
        from datetime import datetime, timezone
        from edgeapp.clips.clip_file import ClipFolder
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            now = datetime(2024, 6, 7, tzinfo=timezone.utc)
            ClipFolder(sys.argv[1], print).write(now, "a", "wav", lambda name: bytes(200_000))
        except OSError as error:
            print(error.strerror)
        """
    )
    command = [*forks.python(), "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "File too large"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_and_is_emptied(small_disk):
    said: list[str] = []
    folder = ClipFolder(small_disk / "clips", said.append)
    written, failed = [], 0
    for _ in range(8):
        try:
            written.append(folder.write(WHEN, "a", "wav", lambda _: bytes(200_000))[0])
            folder.written()
        except OSError as error:
            failed += 1
            folder.not_written(error)
            folder.lost()
    assert len(written) in (4, 5) and failed == 8 - len(written)
    assert len(said) == 1 and "No space left on device" in said[0]
    assert sorted(small_disk.rglob("*.wav")) == sorted(written)
    assert all(path.stat().st_size == 200_000 for path in written)
    assert list(small_disk.rglob("*.part")) == []
    written[0].unlink()
    folder.write(WHEN, "a", "wav", lambda _: bytes(200_000))
    folder.written()
    assert said[1:] == [f"clips are written again; {failed} were lost"]


def test_a_read_only_disk_is_told_once(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said: list[str] = []
    folder = ClipFolder(small_disk / "clips", said.append)
    for _ in range(3):
        with pytest.raises(OSError, match="Read-only") as caught:
            folder.write(WHEN, "a", "wav", lambda _: b"")
        folder.not_written(caught.value)
    assert len(said) == 1 and "Read-only file system" in said[0]


def test_a_clip_can_be_read_by_those_the_user_lets_read(tmp_path):
    before = os.umask(0o027)
    try:
        path, _ = ClipFolder(tmp_path, print).write(WHEN, "a", "wav", lambda _: b"x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_names_sort_by_time_and_fit_every_file_system():
    name = stem("Turdus merula", 0.98, WHEN.astimezone(timezone(timedelta(hours=2))))
    assert name == "turdus_merula_98p_20240607T165929Z"
    assert len(stem("x" * 500, 1.0, WHEN)) < 120


@pytest.mark.parametrize(
    ("format", "rate_hz", "possible"),
    [
        ("ogg", 200_000, True),
        ("ogg", 200_001, False),
        ("ogg", 384_000, False),
        ("flac", 22_051, True),
        ("flac", 384_000, True),
        ("flac", 200_001, False),
        ("flac", 655_360, False),
        ("wav", 1_000_001, True),
    ],
)
def test_a_rate_that_a_format_cannot_hold_is_refused(format, rate_hz, possible):
    samples = np.arange(1000, dtype=np.int16)
    assert holds(format, rate_hz) == possible
    if not possible:
        with pytest.raises(OutputError, match=f"{rate_hz} Hz cannot be written as {format}"):
            encoded(samples, rate_hz, format, "GUANO|Version: 1.0\n")
        return
    read, read_hz = soundfile.read(io.BytesIO(encoded(samples, rate_hz, format, "GUANO|Version: 1.0\n")))
    assert (len(read), read_hz) == (1000, rate_hz)
