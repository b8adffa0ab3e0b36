"""A file is replaced as a whole or stays as it was, and nothing is left beside it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gallery import files
from tests.conftest import PROJECT


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("older")
    return path


def test_a_text_replaces_the_older_one(older: Path):
    files.write_text(older, "nächtlich\n")
    assert older.read_bytes() == "nächtlich\n".encode()
    assert names(older.parent) == ["file.txt"]


def test_a_block_that_fails_leaves_the_older_file_alone(older: Path):
    with pytest.raises(OSError, match="disk full"), files.replacing(older) as part:
        part.write_text("half")
        raise OSError("disk full")
    assert older.read_text() == "older"
    assert names(older.parent) == ["file.txt"]


def test_a_device_or_a_pipe_is_never_replaced(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="is no file, and is not replaced"), files.replacing(tmp_path / name):
            pass
    assert (tmp_path / "pipe").is_fifo() and names(tmp_path) == ["link", "pipe"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_step_that_fails_leaves_the_older_file_alone(older: Path, monkeypatch: pytest.MonkeyPatch, step: str):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(older, "newer")
    assert older.read_text() == "older"
    assert names(older.parent) == ["file.txt"]


def test_content_then_name_are_flushed(older: Path, monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: (done.append(os.readlink(f"/proc/self/fd/{handle}")), fsync(handle))
    )
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("replace"), replace(*paths)))
    files.write_text(older, "newer")
    assert [Path(name).suffix or name for name in done] == [".part", "replace", str(older.parent)]
    done.clear()
    files.write_text(older, "newest", durable=False)
    assert done == ["replace"]


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o755])
def test_the_permissions_of_the_older_file_stay(older: Path, mode: int):
    older.chmod(mode)
    with files.replacing(older) as part:
        assert part.stat().st_mode & 0o077 & ~mode == 0  # at no moment may more people read it
        part.write_text("newer")
    assert older.stat().st_mode & 0o777 == mode


def test_a_new_file_has_the_permissions_of_the_user(tmp_path: Path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "new", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_is_made_only_when_asked(tmp_path: Path):
    path = tmp_path / "a" / "b" / "file"
    with pytest.raises(FileNotFoundError):
        files.write_text(path, "text")
    assert names(tmp_path) == []
    files.write_text(path, "text", parents=True)
    assert path.read_text() == "text"


def test_a_temporary_file_that_is_not_put_in_place_goes(older: Path):
    with files.temporary_for(older) as part:
        part.write_text("half")
    assert older.read_text() == "older"
    assert names(older.parent) == ["file.txt"]


KILLED = """
import os, signal, sys
from pathlib import Path
from gallery import files
with files.replacing(sys.argv[1]) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_writer_removes_what_a_killed_one_left(older: Path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(older)], cwd=PROJECT)
    assert killed.returncode == -signal.SIGKILL
    assert older.read_text() == "older" and len(names(older.parent)) == 2
    files.write_text(older.with_name("other"), "text")
    assert len(names(older.parent)) == 3  # that one is not of this target
    files.write_text(older, "newer")
    assert names(older.parent) == ["file.txt", "other"]


def test_two_writers_of_one_target_leave_each_other_alone(older: Path):
    with files.replacing(older) as first:
        first.write_text("first")
        files.write_text(older, "second")
        assert first.read_text() == "first" and older.read_text() == "second"
    assert older.read_text() == "first"
    assert names(older.parent) == ["file.txt"]


def test_a_name_with_wildcards_is_taken_literally(tmp_path: Path):
    other = tmp_path / ".a.0.part"
    other.touch()
    files.write_text(tmp_path / "[ab]", "text")
    assert names(tmp_path) == [".a.0.part", "[ab]"]


def test_a_locked_or_young_temporary_file_is_left(tmp_path: Path):
    locked, young, old = (tmp_path / f".{name}.part" for name in ("locked", "young", "old"))
    for path in (locked, young, old):
        path.touch()
    os.utime(old, (0, 0))
    os.utime(locked, (0, 0))
    with locked.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert files.remove_abandoned(tmp_path, older_than_s=3600.0) == 1
    assert names(tmp_path) == [".locked.part", ".young.part"]
    assert files.remove_abandoned(tmp_path / "none") == 0


def test_a_folder_takes_the_place_of_another(tmp_path: Path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    files.replace_folder(tmp_path / "new", tmp_path / "old", tmp_path / "aside")
    assert names(tmp_path / "old") == ["new"] and names(tmp_path / "aside") == ["old"]


def folder_of(path: Path, text: str) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "file").write_text(text)
    return path


@pytest.fixture(params=["exchanged", "moved twice"])
def way(request, monkeypatch: pytest.MonkeyPatch) -> str:
    """Folders replaced in one step, and as on a system that cannot do that."""
    if request.param == "moved twice":
        monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    return request.param


def test_a_folder_is_put_in_place_with_and_without_an_older_one(tmp_path: Path, way):
    target = tmp_path / "target"
    for text, replaced in (("first", False), ("second", True), ("third", True)):
        with files.temporary_folder_for(target) as part:
            new = folder_of(part / "new", text)
            assert files.put_folder_in_place(new, target) is replaced
        assert (target / "inner" / "file").read_text() == text
        assert names(tmp_path) == ["target"]


def test_an_interrupted_folder_leaves_the_older_one_alone(tmp_path: Path):
    target = folder_of(tmp_path / "target", "older")
    with pytest.raises(KeyboardInterrupt), files.temporary_folder_for(target) as part:
        folder_of(part / "new", "half")
        raise KeyboardInterrupt
    assert (target / "inner" / "file").read_text() == "older"
    assert names(tmp_path) == ["target"]


KILLED_FOLDER = """
import os, signal, sys
from pathlib import Path
from gallery import files
files._exchanged = lambda one, other: False
moves = Path.rename
def rename(self, target):
    moves(self, target)
    if Path(target).name.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
Path.rename = rename
target = Path(sys.argv[1])
with files.temporary_folder_for(target) as part:
    (part / "new" / "inner").mkdir(parents=True)
    (part / "new" / "inner" / "file").write_text("newer")
    files.put_folder_in_place(part / "new", target)
"""


@pytest.mark.parametrize(("after", "left"), [(".target.old", "older"), ("target", "newer")])
def test_killed_between_two_moves_one_of_two_folders_is_there(tmp_path: Path, after, left, monkeypatch):
    target = folder_of(tmp_path / "target", "older")
    killed = subprocess.run([sys.executable, "-c", KILLED_FOLDER, str(target), after], cwd=PROJECT)
    assert killed.returncode == -signal.SIGKILL
    there = target if target.is_dir() else files.aside_of(target)
    assert (there / "inner" / "file").read_text() == left
    monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    with files.temporary_folder_for(target) as part:
        assert files.put_folder_in_place(folder_of(part / "new", "newest"), target)
    assert (target / "inner" / "file").read_text() == "newest"
    assert names(tmp_path) == ["target"]


def test_folders_of_others_at_work_are_left(tmp_path: Path):
    abandoned = folder_of(tmp_path / ".other.0.part", "abandoned")
    with files.temporary_folder_for(tmp_path / "one") as one:
        assert not abandoned.exists()
        with files.temporary_folder_for(tmp_path / "two"):
            assert one.is_dir()
    assert names(tmp_path) == []


def test_a_folder_is_removed_as_a_whole(tmp_path: Path):
    target = folder_of(tmp_path / "target", "older")
    with files.locked(tmp_path):
        files.remove_folder(target)
    assert names(tmp_path) == []
