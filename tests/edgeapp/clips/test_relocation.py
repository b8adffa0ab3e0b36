"""Clips that were moved are found again, as a whole folder or one by one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from edgeapp.audio.metadata import guano
from edgeapp.clips.clip_file import ClipFolder, encoded
from edgeapp.clips.relocation import adopt, relocate
from edgeapp.errors import UsageError
from edgeapp.journal import Clip, Journal, Reader
from tests.edgeapp.journal.samples import DAWN, GREAT_TIT, begin, rows


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path / "journal.sqlite") as opened:
        yield opened


def clip(journal: Journal, folder: Path, n: int, known: bool = True) -> Path:
    """A clip of its own sound; one of an earlier version has no note of its content."""
    name = f"parus_major_{n}p_20250501T041209Z"

    def make(file_name: str) -> bytes:
        about = guano.fields(guano.Recorder(), DAWN, 8000, 80, "Parus major", n / 100, file_name)
        return encoded(np.full(80, n, np.int16), 8000, "wav", guano.as_text(about))

    path, size = ClipFolder(folder, print).write(DAWN.utc, name, "wav", make)
    stream = begin(journal)
    made = Clip(str(path), "wav", 0.0, 0.01, stream, size, DAWN, DAWN)
    if known:
        made = replace(made, sha256=sha256(path.read_bytes()).hexdigest())
    journal.add_clip(made, [journal.record(stream, GREAT_TIT)])
    return path


def missing(journal: Journal) -> int:
    with Reader(journal.path) as reader:
        return len(reader.missing_clips())


def test_paths_are_below_the_folder_of_the_clips(journal, tmp_path):
    clip(journal, tmp_path / "clips", 1)
    assert rows(journal.path, "SELECT path FROM clips") == [("2025/05/parus_major_1p_20250501T041209Z.wav",)]
    assert rows(journal.path, "SELECT path FROM clip_folders") == [(str(tmp_path / "clips"),)]
    [row] = journal.detections()
    assert Path(row["clip_path"]).is_file()


def test_a_folder_that_moved_as_a_whole_is_taken_over(journal, tmp_path):
    for n in range(8):
        clip(journal, tmp_path / "clips", n)
    (tmp_path / "clips").rename(tmp_path / "card")
    assert missing(journal) == 8
    assert adopt(journal, tmp_path / "empty") == [], "another folder without them is not"
    assert adopt(journal, tmp_path / "card") == [str(tmp_path / "clips")]
    assert missing(journal) == 0 and adopt(journal, tmp_path / "card") == []


def test_a_folder_that_is_there_is_not_taken_for_its_copy(journal, tmp_path):
    clip(journal, tmp_path / "clips", 1)
    shutil.copytree(tmp_path / "clips", tmp_path / "copy")
    assert adopt(journal, tmp_path / "copy") == []


@pytest.mark.parametrize("known", [True, False])
def test_clips_under_other_names_are_found_by_their_content(journal, tmp_path, known):
    paths = [clip(journal, tmp_path / "clips", n, known) for n in range(1, 5)]
    away = tmp_path / "away"
    (away / "deep" / "er").mkdir(parents=True)
    paths[0].rename(away / "deep" / "er" / "song of a tit.wav")
    paths[1].rename(away / paths[1].name)
    paths[2].unlink()
    (away / "of another station.wav").write_bytes(paths[3].read_bytes()[:-1] + b"x")
    done = relocate(journal, away)
    assert (done.found, done.missing) == (2, [str(paths[2])])
    assert missing(journal) == 1
    first = next(iter(journal.clips()))
    assert first.path == str(away / "deep" / "er" / "song of a tit.wav")


def test_a_folder_that_is_not_there_is_an_error(journal, tmp_path):
    with pytest.raises(UsageError, match="no such folder; give the folder to which the clips were moved"):
        relocate(journal, tmp_path / "nowhere")
