"""Where results go: into devices and pipes, in place of a file or behind its end, and never over a recording."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from edgeapp.errors import OutputError
from edgeapp.outputs.destination import Destination


def write(path: Path, *texts: str, **options: bool) -> None:
    with Destination(path, **options) as destination:
        destination.begin()
        for text in texts:
            destination.out.write(text)
            destination.whole()


def sound(path: Path) -> None:
    soundfile.write(path, np.zeros(48_000, np.float32), 48_000, format=path.suffix[1:].upper())


def picture(path: Path) -> None:
    Image.new("RGB", (40, 40)).save(path)


def database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE detections (id)")


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        *((f"song.{kind}", sound) for kind in ("wav", "flac", "ogg", "mp3", "aiff", "caf")),
        ("photo.png", picture),
        ("photo.jpg", picture),
        ("journal.sqlite", database),
    ],
)
def test_what_is_no_text_is_never_replaced_or_added_to(tmp_path, name, make, append):
    make(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    (tmp_path / "link.csv").symlink_to(name)
    os.link(tmp_path / name, tmp_path / "hard.csv")
    for path in (
        tmp_path / name,
        tmp_path / "link.csv",
        tmp_path / "hard.csv",
        tmp_path / "." / ".." / tmp_path.name / name,
    ):
        with pytest.raises(OutputError, match="not text, and is not replaced"):
            write(path, "rows\n", append=append)
    assert (tmp_path / name).read_bytes() == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("before", ["", "own,earlier,results\n", "Größe\t1\n", "\ufeffStart (s)\r\n1\r\n"])
def test_ones_own_earlier_results_are_replaced(tmp_path, before):
    (tmp_path / "out.csv").write_text(before, encoding="utf-8")
    write(tmp_path / "out.csv", "new\n")
    assert (tmp_path / "out.csv").read_text() == "new\n"


def test_a_file_keeps_its_permissions_and_a_link_its_target(tmp_path):
    target = tmp_path / "target.csv"
    target.touch()
    target.chmod(0o640)
    (tmp_path / "out.csv").symlink_to(target)
    (tmp_path / "new.csv").symlink_to("made.csv")
    for name in ("out.csv", "new.csv"):
        write(tmp_path / name, "rows\n")
        assert (tmp_path / name).is_symlink()
    assert target.read_text() == (tmp_path / "made.csv").read_text() == "rows\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_an_open_file_is_written_where_it_is(tmp_path):
    with open(tmp_path / "log", "w") as log:
        log.write("before\n")
        log.flush()
        write(Path(f"/dev/fd/{log.fileno()}"), "rows\n")
        log.write("after\n")
    assert (tmp_path / "log").read_text() == "before\nrows\nafter\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_a_full_device_is_an_error_and_stays_a_device():
    with pytest.raises(OutputError, match=r"/dev/full: cannot be written \(No space left on device\)"):
        write(Path("/dev/full"), "rows\n")
    write(Path(os.devnull), "rows\n")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode) and stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_what_is_whole_is_kept_where_the_rest_does_not_come(tmp_path):
    path = tmp_path / "out.csv"
    with Destination(path) as destination:
        destination.out.write("one\n")
        destination.whole()
        destination.out.write("half of tw")
        destination.cut()
    assert path.read_text() == "one\n"


def test_a_full_disk_keeps_what_is_whole(small_disk):
    path = small_disk / "out.csv"
    with Destination(path) as destination:
        destination.out.write("one\n")
        destination.whole()
        with pytest.raises(OutputError, match="No space left on device"):
            for _ in range(3000):
                destination.out.write("x" * 1023 + "\n")
        destination.cut()
    assert path.read_text() == "one\n"
    assert [one.name for one in small_disk.iterdir()] == ["out.csv"]


def test_a_full_disk_takes_back_what_does_not_fit_behind_a_file(small_disk):
    path = small_disk / "out.csv"
    write(path, "one\n", append=True)
    with pytest.raises(OutputError, match="No space left on device"):
        write(path, "x" * 2_000_000 + "\n", append=True)
    assert path.read_text() == "one\n"


# adding to a file


def test_a_head_is_written_once(tmp_path):
    path = tmp_path / "out.csv"
    for n in range(3):
        with Destination(path, append=True) as destination:
            destination.out.write("a,b\n")
            destination.begin()
            destination.out.write(f"{n},{n}\n")
            destination.whole()
    assert path.read_text() == "a,b\n0,0\n1,1\n2,2\n"


@pytest.mark.parametrize("before", ["other,columns\n", "a,b,c\n", "{}\n"])
def test_other_columns_are_not_added_to(tmp_path, before):
    path = tmp_path / "out.csv"
    path.write_text(before)
    with pytest.raises(OutputError, match="other columns"), Destination(path, append=True) as destination:
        destination.out.write("a,b\n")
        destination.begin()
    assert path.read_text() == before


def test_a_line_that_was_cut_off_stays_by_itself(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("one\ntw")
    write(path, "three\n", append=True)
    assert path.read_text() == "one\ntw\nthree\n"


def test_what_is_not_whole_is_not_added(tmp_path):
    path = tmp_path / "out.csv"
    with Destination(path, append=True) as destination:
        destination.begin()
        destination.out.write("half a fi")
        destination.cut()
    assert path.read_text() == ""
