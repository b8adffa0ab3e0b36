"""Shards: what lies in them, how it is found again, and that a killed writer leaves nothing half done."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
import soundfile

from gallery import Taxon, read_taxa
from tests.trainer import tiny as tiny_set
from trainer.data import shards
from trainer.data.layouts import TAXONOMY
from trainer.data.manifest import Manifest, hold_out, read_manifest
from trainer.data.media import opened
from trainer.data.shards import Sharded, write_shards
from trainer.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A "megabyte" that the tiny data set fills several times."""
    monkeypatch.setattr(shards, "MB", 200_000)


@pytest.fixture
def packed(manifest: Manifest, tmp_path: Path) -> Sharded:
    return write_shards(manifest, tmp_path / "out", 1)


def tars(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tar"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_sample_is_found_again_by_its_offset(packed: Sharded, manifest: Manifest) -> None:
    assert (packed.recordings, packed.photos, packed.skipped, packed.damaged) == (21, 12, (), ())
    read = read_manifest(packed.manifest)
    for was, now in ((manifest.recordings, read.recordings), (manifest.photos, read.photos)):
        assert len(was) == len(now)
        for before, after in zip(was, now):
            with opened(after) as file:
                assert file.read() == before.path.read_bytes()
            assert after.path.suffix == ".tar" and after.size == before.path.stat().st_size
            assert replace(after, path=before.path, offset=0, size=None) == before


def test_the_manifest_of_shards_needs_no_species_table_and_splits_alike(packed: Sharded, manifest: Manifest) -> None:
    read = read_manifest(packed.manifest)
    assert [(taxon.path(), taxon.common_name) for taxon in read.taxa] == [
        (taxon.path(), taxon.common_name) for taxon in manifest.taxa
    ]
    before, after = (hold_out(one.recordings, 0.2, 1)[1] for one in (manifest, read))
    assert [sample.source for sample in before] == [sample.source for sample in after] and len(after)


def test_copies_under_other_names_are_packed_and_count_once_when_read(
    tiny: tiny_set.Tiny, taxa: list[Taxon], tmp_path: Path
) -> None:
    """A manifest without the column `sha256` cannot know them; the shards' own can."""
    shutil.copytree(tiny.manifest.parent, tmp_path / "data")
    path = tmp_path / "data" / "manifest.csv"
    shutil.copyfile(path.parent / "Parus_major_0.wav", path.parent / "copy.wav")
    with path.open("a", encoding="utf-8") as file:
        file.write("audio,copy.wav,Parus major,others,1,,,\n")
    read = read_manifest(path, taxa)
    assert len(read.recordings) == 22
    packed = write_shards(read, tmp_path / "out", 1)
    again = read_manifest(packed.manifest)
    assert packed.recordings == 22 and len(again.recordings) == 21
    assert "the file is already listed (1 in all)" in again.notes[0]


def test_a_title_with_a_full_stop_is_no_suffix(tiny: tiny_set.Tiny, taxa: list[Taxon], tmp_path: Path) -> None:
    shutil.copytree(tiny.manifest.parent, tmp_path / "data")
    path, name = tmp_path / "data" / "manifest.csv", f"Great Tit. {'Heard in the garden ' * 9}"
    (path.parent / "Parus_major_0.wav").rename(path.parent / name.strip())
    text = path.read_text(encoding="utf-8").replace("Parus_major_0.wav", name.strip())
    path.write_text(text, encoding="utf-8")
    packed = write_shards(read_manifest(path, taxa), tmp_path / "out", 1)
    assert not packed.skipped
    names = []
    for shard in tars(packed.manifest.parent):
        with tarfile.open(shard) as tar:
            names += tar.getnames()
    assert sum(name.endswith(".bin") for name in names) == 1


def test_a_plain_tar_holds_each_sample_beside_what_is_known_of_it(packed: Sharded, manifest: Manifest) -> None:
    keys: dict[str, list[str]] = {"audio": [], "image": []}
    offsets = {
        (s.path.name, s.offset): s for one in (read_manifest(packed.manifest),) for s in (*one.recordings, *one.photos)
    }
    for path in tars(packed.manifest.parent):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            for key, group in groupby(members, key=lambda member: member.name.split(".")[0]):
                media, described = group
                assert described.name == f"{key}.json" and media.name.count(".") == 1
                keys[path.name.partition("-")[0]].append(key)
                sample = offsets.pop((path.name, media.offset_data))
                assert sample.size == media.size
                file = tar.extractfile(described)
                assert file is not None
                told = json.load(file)
                taxon = manifest.taxa[sample.taxon]
                assert (told["scientific_name"], told["family"]) == (taxon.scientific_name, taxon.family)
                assert (told["source_repo"], told["source_id"]) == sample.source
                assert (told["author"], told["licence"]) == ("A. Author", "CC0-1.0")
                assert Path(told["path"]).suffix == Path(media.name).suffix
    assert not offsets
    assert [len(set(every)) for every in keys.values()] == [21, 12]


def test_a_shard_is_closed_when_it_is_full(packed: Sharded) -> None:
    audio = [path for path in tars(packed.manifest.parent) if path.name.startswith("audio")]
    assert [path.name for path in audio] == [f"audio-{number:06d}.tar" for number in range(len(audio))] and len(
        audio
    ) > 3
    for path in audio[:-1]:
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        assert members[-1].offset_data + members[-1].size >= 200_000 > members[-2].offset
    assert packed.shards == len(tars(packed.manifest.parent))


@pytest.fixture
def spoilt(tiny: tiny_set.Tiny, taxa: list[Taxon], tmp_path: Path) -> Manifest:
    """The tiny data set with files that are gone, broken, too short and cut."""
    folder = tmp_path / "data"
    shutil.copytree(tiny.manifest.parent, folder)
    (folder / "Bufo_bufo_0.wav").unlink()
    (folder / "Bufo_bufo_1.flac").write_text("no sound")
    soundfile.write(folder / "Parus_minor_0.wav", tiny_set.tone(500, seconds=0.1), 16_000)
    cut = folder / "Parus_major_0.wav"
    cut.write_bytes(cut.read_bytes()[:50_000])
    picture = folder / "Parus_minor_1.png"
    picture.write_bytes(picture.read_bytes()[:-2000])
    (folder / "Parus_minor_2.png").write_bytes(b"")
    return read_manifest(folder / "manifest.csv", taxa)


def test_what_cannot_be_decoded_is_named_and_the_rest_packed(spoilt: Manifest, tmp_path: Path) -> None:
    packed = write_shards(spoilt, tmp_path / "out", 1)
    assert (packed.recordings, packed.photos) == (18, 10)
    faults = {
        "Bufo_bufo_0.wav": "does not exist",
        "Bufo_bufo_1.flac": "is not readable audio",
        "Parus_minor_0.wav": "only 0.10 s",
        "Parus_minor_1.png": "not a picture",
        "Parus_minor_2.png": "not a picture",
    }
    assert len(packed.skipped) == len(faults)
    for name, reason in faults.items():
        (line,) = [line for line in packed.skipped if name in line]
        assert reason in line and "; " in line
    (line,) = packed.damaged
    assert "Parus_major_0.wav" in line and f"announces {tiny_set.WINDOW_S} s" in line
    read = read_manifest(packed.manifest)
    assert (len(read.recordings), len(read.photos)) == (18, 10)


def test_when_nothing_can_be_packed_there_is_no_manifest(spoilt: Manifest, tmp_path: Path) -> None:
    only = replace(spoilt, recordings=spoilt.recordings[:2], photos=spoilt.photos[:0])
    assert {sample.path.name for sample in only.recordings} == {"Bufo_bufo_0.wav", "Bufo_bufo_1.flac"}
    with pytest.raises(DataError, match="not one sample could be packed.*Bufo_bufo_0.wav"):
        write_shards(only, tmp_path / "out", 1)
    assert not (tmp_path / "out" / shards.MANIFEST).exists() and not tars(tmp_path / "out")


class Killed(BaseException):
    """The end of a process."""


def kill_after(steps: int) -> Callable[[], None]:
    left = iter(range(steps))

    def step() -> None:
        if next(left, None) is None:
            raise Killed

    return step


@pytest.mark.parametrize("steps", [0, 1, 3, 4, 5, 9, 20, 21, 22, 32])
def test_a_killed_writer_goes_on_and_nothing_half_done_is_referenced(
    spoilt: Manifest, tmp_path: Path, steps: int
) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    expected = write_shards(spoilt, whole, 1)
    with pytest.raises(Killed):
        write_shards(spoilt, again, 1, done=kill_after(steps))
    assert not (again / shards.MANIFEST).exists()
    finished = {path: path.stat().st_ino for path in tars(again)}
    assert all(path.read_bytes() == (whole / path.name).read_bytes() for path in finished)
    packed = write_shards(spoilt, again, 1)
    assert contents(again) == contents(whole)
    assert replace(packed, manifest=expected.manifest) == expected
    assert {path: path.stat().st_ino for path in finished} == finished


@pytest.mark.parametrize("name", ["audio-000001.tar", "audio-000001.parquet", "manifest.parquet", "key"])
def test_a_writer_killed_while_a_file_gets_its_name_goes_on(
    manifest: Manifest, packed: Sharded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    really = os.replace

    def killed(path: Path, target: Path) -> None:
        if target.name == name:
            raise Killed
        really(path, target)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(os, "replace", killed)
        write_shards(manifest, tmp_path / "again", 1)
    assert not (tmp_path / "again" / shards.MANIFEST).exists()
    write_shards(manifest, tmp_path / "again", 1)
    assert contents(tmp_path / "again") == contents(packed.manifest.parent)


def test_a_finished_folder_is_left_as_it_is(
    packed: Sharded, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "read_sample", lambda *_: pytest.fail("a sample was read"))
    assert write_shards(manifest, packed.manifest.parent, 1) == packed
    tars(packed.manifest.parent)[1].unlink()
    with pytest.raises(DataError, match="is missing; restore it"):
        write_shards(manifest, packed.manifest.parent, 1)


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(
    packed: Sharded, manifest: Manifest, tmp_path: Path
) -> None:
    other = replace(manifest, photos=manifest.photos[1:])
    before = contents(packed.manifest.parent)
    for given, size in ((other, 1), (manifest, 2)):
        with pytest.raises(DataError, match="another manifest or size; name another folder with --out"):
            write_shards(given, packed.manifest.parent, size)
    assert contents(packed.manifest.parent) == before
    with pytest.raises(Killed):
        write_shards(manifest, tmp_path / "begun", 1, done=kill_after(10))
    with pytest.raises(DataError, match="another manifest or size"):
        write_shards(other, tmp_path / "begun", 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / shards.MANIFEST).write_text("no Parquet")
    for folder, says in (("full", "has no shards"), ("full/letter.txt", "."), ("theirs", "another manifest")):
        with pytest.raises(DataError, match=says):
            write_shards(manifest, tmp_path / folder, 1)
    assert contents(tmp_path / "full") == {"letter.txt": b"dear"}


def test_a_shard_of_no_size_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--shard-mb 0"):
        write_shards(manifest, tmp_path / "out", 0)


def test_shards_can_be_packed_anew_in_another_size(packed: Sharded, manifest: Manifest, tmp_path: Path) -> None:
    again = write_shards(read_manifest(packed.manifest), tmp_path / "again", 100)
    assert again.shards == 2 and (again.recordings, again.photos) == (21, 12)
    with tarfile.open(again.manifest.parent / "audio-000000.tar") as tar:
        suffixes = [Path(name).suffix for name in tar.getnames()[::2]]
    assert suffixes == [sample.path.suffix for sample in manifest.recordings]
    for before, after in zip(manifest.photos, read_manifest(again.manifest).photos):
        with opened(after) as file:
            assert file.read() == before.path.read_bytes()


def test_a_split_of_the_manifest_goes_along(tiny: tiny_set.Tiny, tmp_path: Path) -> None:
    with tiny.manifest.open(newline="") as file:
        rows = [
            {**row, "split": "unseen" if "Bufo" in row["scientific_name"] else "train"} for row in csv.DictReader(file)
        ]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    given = read_manifest(tmp_path / "manifest.csv", read_taxa(tiny.taxa), media=tiny.manifest.parent)
    read = read_manifest(write_shards(given, tmp_path / "out", 1).manifest)
    training, held = hold_out(read.recordings, 0.2, 1)
    assert {read.taxa[row].scientific_name for row in held.taxon} == {"Bufo bufo"} and len(held) == 5
    assert len(training) == 16 and len(read.photos) == 12


def test_ranks_that_are_columns_of_a_manifest_are_all_in_the_shards(packed: Sharded) -> None:
    with tarfile.open(tars(packed.manifest.parent)[0]) as tar:
        file = tar.extractfile(tar.getnames()[1])
        assert file is not None and set(TAXONOMY) <= set(json.load(file))


def test_pages_of_samples_are_in_the_shards_manifest(tiny: tiny_set.Tiny, tmp_path: Path) -> None:
    with tiny.manifest.open(encoding="utf-8", newline="") as file:
        lines = [{**row, "source_path": f"https://page.example/{row['path']}"} for row in csv.DictReader(file)]
    with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    given = read_manifest(tmp_path / "manifest.csv", read_taxa(tiny.taxa), media=tiny.manifest.parent)
    read = read_manifest(write_shards(given, tmp_path / "out", 1).manifest)
    assert {one.page for one in (*read.recordings, *read.photos)} == {line["source_path"] for line in lines}
