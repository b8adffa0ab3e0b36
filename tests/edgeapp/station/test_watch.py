"""A watched folder gives every recording once, when it is finished, and loses none."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import soundfile

from edgeapp.audio.unfinished import is_open_to_write
from edgeapp.errors import AudioError, UsageError
from edgeapp.station.watch import SETTLED_S, finished_files

SOUND = (0.1 * np.sin(np.arange(16000) * 0.1)).astype(np.float32)


def recording(path: Path) -> Path:
    """Each sounds a little different."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, SOUND * (crc32(path.name.encode()) / 2**32), 16000)
    return path


class Watch:
    """A watched folder whose time runs only while it sleeps; the events of a test happen at their second."""

    def __init__(self, folder: Path, is_done=lambda path, size, mtime_ns: False, is_known=lambda file: False) -> None:
        self.folder = folder
        self.now_s = 0.0
        self.given: list[tuple[float, str]] = []
        self.complaints: list[str] = []
        self._is_done = is_done
        self._is_known = is_known

    def run(self, until_s: float, events: dict[float, Callable[[], object]] | None = None) -> list[str]:
        left = sorted((events or {}).items())

        def sleep(seconds: float) -> None:
            self.now_s += seconds
            while left and left[0][0] <= self.now_s + 1e-6:
                left.pop(0)[1]()

        found = finished_files(
            self.folder,
            10.0,
            self._is_done,
            self._is_known,
            sleep=sleep,
            seconds=lambda: self.now_s,
            ended=lambda: self.now_s >= until_s,
            complain=lambda error: self.complaints.append(str(error)),
        )
        for file in found:
            assert (file.size, file.mtime_ns) == (file.path.stat().st_size, file.path.stat().st_mtime_ns)
            self.given.append((round(self.now_s), file.path.relative_to(self.folder).as_posix()))
        return [name for _, name in self.given]


def test_recordings_that_are_there_are_given_in_the_order_of_their_names(tmp_path):
    for name in ("b.WAV", "a.flac", "deep/er/c.Ogg", "d.mp3"):
        recording(tmp_path / name)

    watch = Watch(tmp_path)

    assert watch.run(30) == ["a.flac", "b.WAV", "d.mp3", "deep/er/c.Ogg"]


def test_a_recording_that_is_still_written_is_given_once_at_rest(tmp_path):
    growing = recording(tmp_path / "growing.wav")

    def grow():
        with open(growing, "ab") as file:
            file.write(b"\0" * 1000)

    watch = Watch(tmp_path)
    watch.run(100, {second: grow for second in range(3, 43, 4)})

    assert [name for _, name in watch.given] == ["growing.wav"]
    assert 49 <= watch.given[0][0] <= 56


def test_a_recording_that_only_gets_another_time_is_not_finished_yet(tmp_path):
    touched = recording(tmp_path / "touched.wav")
    watch = Watch(tmp_path)
    watch.run(60, {9.0: lambda: os.utime(touched, ns=(1, 1))})

    ((given_s, _),) = watch.given
    assert 20 <= given_s <= 26


def test_a_recording_that_comes_later_is_given(tmp_path):
    watch = Watch(tmp_path)

    assert watch.run(60, {21.0: lambda: recording(tmp_path / "new/late.wav")}) == ["new/late.wav"]


@pytest.mark.parametrize(
    "name", [".hidden.wav", "~copy.wav", ".trash/a.wav", "a.part.wav", "a.tmp.WAV", "notes.txt", "lost+found/a.wav"]
)
def test_hidden_temporary_and_other_files_are_left_out(tmp_path, name):
    if name.endswith("txt"):
        (tmp_path / name).write_text("no sound")
    else:
        recording(tmp_path / name)

    assert Watch(tmp_path).run(40) == []


def test_what_the_journal_has_is_not_given_again_unless_it_changed(tmp_path):
    path = recording(tmp_path / "done.wav")
    state = path.stat()
    done = {(path, state.st_size, state.st_mtime_ns)}
    watch = Watch(tmp_path, lambda *file: file in done)

    assert watch.run(100, {50.0: lambda: soundfile.write(path, SOUND[:8000], 16000)}) == ["done.wav"]
    assert watch.given[0][0] >= 60


def test_a_broken_recording_is_told_once_and_tried_when_it_changed(tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound at all")
    recording(tmp_path / "good.wav")
    watch = Watch(tmp_path)

    assert watch.run(120, {60.0: lambda: recording(bad)}) == ["good.wav", "bad.wav"]
    assert len(watch.complaints) == 1
    assert "bad.wav: is not readable audio" in watch.complaints[0]


def test_an_empty_file_is_waited_for_without_a_word(tmp_path):
    empty = tmp_path / "soon.wav"
    empty.touch()
    watch = Watch(tmp_path)

    assert watch.run(80, {40.0: lambda: recording(empty)}) == ["soon.wav"]
    assert watch.complaints == []


def test_a_card_that_is_pulled_out_is_told_once_and_not_heard_again(tmp_path):
    card = tmp_path / "card"
    recording(card / "a.wav")
    watch = Watch(card)
    events = {
        30.0: lambda: card.rename(tmp_path / "away"),
        60.0: lambda: (tmp_path / "away").rename(card),
        61.0: lambda: recording(card / "b.wav"),
    }

    assert watch.run(100, events) == ["a.wav", "b.wav"]
    assert len(watch.complaints) == 1 and "cannot be read" in watch.complaints[0]


def test_a_file_that_vanishes_while_it_is_waited_for_is_no_error(tmp_path):
    path = recording(tmp_path / "gone.wav")
    watch = Watch(tmp_path)

    assert watch.run(40, {7.0: path.unlink}) == []
    assert watch.complaints == []


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_what_is_no_folder_is_refused(tmp_path, kind):
    if kind == "file":
        (tmp_path / "file").touch()

    with pytest.raises(UsageError, match=f"{kind}: is not a readable folder"):
        next(finished_files(tmp_path / kind))


def test_the_wish_to_end_is_seen_at_once(tmp_path):
    slept: list[float] = []
    files = finished_files(tmp_path, poll_s=60.0, sleep=slept.append, ended=lambda: len(slept) >= 2)

    assert list(files) == []
    assert sum(slept) < 1.0


def test_complaints_are_errors_with_a_remedy(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no sound at all")
    told: list[AudioError] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    list(finished_files(tmp_path, sleep=sleep, seconds=lambda: now[0], ended=lambda: now[0] > 60, complain=told.append))

    assert [bool(error.remedy) for error in told] == [True]


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_holds_no_bytes_is_told_once_and_never_waited_for(tmp_path, monkeypatch, kind):
    odd = tmp_path / "odd.wav"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            monkeypatch.chdir(tmp_path)
            opened.bind("odd.wav")
    else:
        odd.symlink_to("/dev/zero")
    recording(tmp_path / "good.wav")
    watch = Watch(tmp_path)

    assert watch.run(60) == ["good.wav"]
    assert len(watch.complaints) == 1
    assert kind in watch.complaints[0] and "odd.wav: is a" in watch.complaints[0]


def test_a_recording_is_given_once_however_it_is_spelled_touched_or_moved(tmp_path):
    folder = tmp_path / "in"
    path = recording(folder / "a.wav")
    (folder / "link.wav").symlink_to(path)
    (tmp_path / "other").symlink_to(folder)
    heard: set[str] = set()
    watch = Watch(folder, is_known=lambda file: file.content in heard or heard.add(file.content))
    events = {
        20.0: lambda: os.utime(path),
        40.0: lambda: path.rename(folder / "b.wav"),
        60.0: lambda: shutil.copy(folder / "b.wav", folder / "c.wav"),
    }
    assert watch.run(90, events) == ["a.wav"]
    again = Watch(tmp_path / "other", is_known=lambda file: file.content in heard)
    again.folder = tmp_path / "other" / ".." / "in"
    assert again.run(40) == []


def growing(path: Path, frames: int, announced: int) -> None:
    """A WAV file whose header announces other frames than there are."""
    soundfile.write(path, SOUND[:frames], 16000, subtype="PCM_16")
    raw = bytearray(path.read_bytes())
    raw[40:44] = struct.pack("<I", 2 * announced if announced >= 0 else 0xFFFFFFFF)
    path.write_bytes(raw)


@pytest.mark.parametrize("announced", [16000, -1, 0])
def test_a_file_whose_header_does_not_agree_is_waited_for(tmp_path, announced):
    path = tmp_path / "a.wav"
    growing(path, 8000, announced)
    watch = Watch(tmp_path)
    watch.run(200, {60.0: lambda: soundfile.write(path, SOUND, 16000)})
    assert [70 <= at_s <= 76 for at_s, _ in watch.given] == [True]


def test_a_file_that_stays_cut_is_given_in_the_end(tmp_path):
    growing(tmp_path / "a.wav", 8000, 16000)
    watch = Watch(tmp_path)
    watch.run(200)
    assert [120 <= at_s <= 130 for at_s, _ in watch.given] == [True]


@pytest.mark.parametrize("format", ["flac", "ogg"])
def test_a_compressed_file_that_is_not_ended_is_waited_for(tmp_path, format):
    path = tmp_path / f"a.{format}"
    soundfile.write(path, SOUND, 16000)
    whole = path.read_bytes()
    begun = whole[:21] + bytes(5) + whole[26:] if format == "flac" else whole[: len(whole) // 2]
    path.write_bytes(begun)
    watch = Watch(tmp_path)
    watch.run(100, {60.0: lambda: path.write_bytes(whole)})
    assert [70 <= at_s <= 76 for at_s, _ in watch.given] == [True]


def test_a_writer_that_pauses_is_waited_for_while_it_has_the_file(tmp_path):
    path = recording(tmp_path / "a.wav")
    with open(path, "ab") as writer:
        if is_open_to_write(path) is None:
            pytest.skip("this file system does not tell who writes")
        watch = Watch(tmp_path)
        watch.run(150, {90.0: writer.close})
    assert [90 <= at_s <= 101 for at_s, _ in watch.given] == [True]


def test_by_default_a_pause_of_a_writer_is_shorter_than_the_wait():
    assert SETTLED_S > 2 * 13.0
