"""Recordings without names: each file once, and none of a source that is held out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.trainer import tiny as tiny_set
from trainer.data.material import Data
from trainer.data.media import opened
from trainer.data.unlabelled import open_unlabelled
from trainer.errors import DataError


@pytest.fixture
def table(tmp_path: Path):
    """Write a table of recordings without names."""

    def write(*lines: str, header: str = "path,source_repo,source_id,sha256", name: str = "table.csv") -> Path:
        (tmp_path / name).write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
        return tmp_path / name

    return write


def alone(*paths: Path, share: float = 0.0, seed: int = 1) -> Data:
    return open_unlabelled(paths, None, None, tuple, share, seed)


def names(samples) -> list[str]:
    return [sample.path.name for sample in samples]


def test_a_table_lists_a_file_once_however_often_it_is_written(table) -> None:
    one, other = (hashlib.sha256(word).hexdigest() for word in (b"one", b"other"))
    data = alone(table("a.wav,,,", "./a.wav,,,", f"b.wav,,,{one}", f"c.wav,,,{one.upper()}", f"d.wav,,,{other}"))
    assert names(data.unlabelled) == ["a.wav", "b.wav", "d.wav"]
    (note,) = data.manifest.notes
    assert note == "table.csv line 3: the file is already listed (2 in all); each file counts once"


def test_a_table_and_the_folder_it_lies_in_give_a_file_once(table, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    data = alone(table("a.wav,,,", "gone.wav,,,"), tmp_path)
    assert names(data.unlabelled) == ["a.wav", "gone.wav", "b.wav"]
    assert f"{tmp_path / 'a.wav'}: the file is already listed (1 in all)" in data.manifest.notes[0]


def test_what_is_no_recording_in_a_folder_is_told_on_opening(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "folder.wav").mkdir()
    data = alone(tmp_path)
    assert names(data.unlabelled) == ["a.wav", "gone.wav", "loop.wav"]
    with pytest.raises(DataError, match="loop.wav: cannot be opened"):
        opened(data.unlabelled[2])


@pytest.mark.parametrize("seed", range(5))
def test_pieces_of_a_recording_without_a_name_stay_on_one_side(table, seed: int) -> None:
    lines = [f"{n}.wav,site,recording {n // 4}," for n in range(40)]
    lines += ["a.wav,site,recording 3,", "a.wav,site,recording 7,"]  # one file of both
    data = alone(table(*lines), share=0.3, seed=seed)
    sides = [{sample.source[1] for sample in part} for part in (data.unlabelled, data.held_recordings)]
    assert all(sides) and not sides[0] & sides[1] and len(sides[0] | sides[1]) == 9


@pytest.mark.parametrize("way", ["path", "sha256", "source"])
def test_what_is_held_out_is_not_learned_from_without_its_name(
    tiny: tiny_set.Tiny, tmp_path: Path, table, way: str
) -> None:
    lines = tiny.manifest.read_text(encoding="utf-8").splitlines()
    folder = tiny.manifest.parent
    digests = [hashlib.sha256((folder / line.split(",")[1]).read_bytes()).hexdigest() for line in lines[1:]]
    named = tmp_path / "named.csv"
    named.write_text("\n".join([f"{lines[0]},sha256", *map(",".join, zip(lines[1:], digests))]) + "\n")
    split = open_unlabelled([named], folder, tiny.taxa, tuple, 0.2, 1)
    assert len(split.held_recordings) == 4 and not len(split.unlabelled)
    held, trained = split.held_recordings[0], split.recordings[0]
    digest_of = {line.split(",")[1]: digest for line, digest in zip(lines[1:], digests)}
    written = {
        "path": f"{held.path},,,",
        "sha256": f"copy.wav,,,{digest_of[held.path.name]}",
        "source": f"piece.wav,{','.join(held.source)},",
    }
    path = table("new.wav,,,", written[way], f"{trained.path},,,", f"piece2.wav,{','.join(trained.source)},")
    data = open_unlabelled([named, path], folder, tiny.taxa, tuple, 0.2, 1)
    assert names(data.unlabelled) == ["new.wav", "piece2.wav"]
    assert list(data.held_recordings) == list(split.held_recordings)
    assert data.manifest.notes[-2:] == (
        "table.csv line 4: the file is already listed (1 in all); each file counts once",
        "table.csv line 3: of a held-out source, so not trained on (1 in all)",
    )
