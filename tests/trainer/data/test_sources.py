"""Sources: a file counts once, copies are one source, a collection is many, and no split has one on both sides."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgeapp.collect.identity import linked
from gallery import Taxon
from tests.trainer import tiny as tiny_set
from tests.trainer.data.test_manifest import as_parquet
from trainer.data.manifest import Manifest, Samples, hold_out, read_manifest
from trainer.data.sources import normalised
from trainer.data.tables import arrow

COLUMNS = ("modality", "path", "scientific_name", "source_repo", "source_id", "sha256", "source_path", "split")
SHARDS = (*COLUMNS, "shard", "offset", "size")
TIT, TOAD = "Parus major", "Bufo bufo"


def sha(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def row(path: str, name: str = TIT, source: str = "", **others: str) -> dict[str, str]:
    usual = {"modality": "audio", "path": path, "scientific_name": name, "source_repo": "tests", "source_id": source}
    return {**usual, **others}


@pytest.fixture
def read(tmp_path: Path, taxa: list[Taxon]):
    """Read a manifest of the given rows."""

    def read(*rows: dict[str, str], species: Sequence[Taxon] = taxa) -> Manifest:
        return read_manifest(written(tmp_path / "manifest.csv", *rows), species)

    return read


def written(path: Path, *rows: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SHARDS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def names(samples: Samples) -> list[str]:
    return [sample.path.name for sample in samples]


def sources(samples: Samples) -> list[str]:
    return [sample.source[1] for sample in samples]


def others(count: int, name: str = TIT) -> list[dict[str, str]]:
    return [row(f"other{n}.wav", name, f"other {n}") for n in range(count)]


def test_a_path_that_is_listed_twice_counts_once_and_the_line_is_named(read) -> None:
    manifest = read(row("a.wav", source="one"), row("b.wav", source="two"), row("a.wav", source="one"))
    assert names(manifest.recordings) == ["a.wav", "b.wav"] and manifest.missing == ()
    (note,) = manifest.notes
    assert note == "manifest.csv line 4: the file is already listed (1 in all); each file counts once"


def test_two_copies_of_one_file_count_once_however_their_sha256_is_cased(read) -> None:
    manifest = read(row("a.wav", source="one", sha256=sha("x")), row("b.wav", source="two", sha256=sha("x").upper()))
    assert names(manifest.recordings) == ["a.wav"]
    assert "line 3: the file is already listed" in manifest.notes[0]


def test_a_column_sha256_that_holds_none_makes_no_files_equal(read) -> None:
    manifest = read(*(row(f"{word}.wav", sha256="unknown") for word in "abc"))
    assert names(manifest.recordings) == ["a.wav", "b.wav", "c.wav"]
    assert [line.partition("sha256")[0] for line in manifest.notes] == ["manifest.csv line 2: "]
    assert "(3 in all)" in manifest.notes[0]


def test_one_file_of_two_species_is_two_rows_of_one_source(read) -> None:
    twice = [row("both.wav", TIT, "one"), row("both.wav", TOAD, "two")]
    manifest = read(*twice, *others(5), *(row(f"toad{n}.wav", TOAD, f"toad {n}") for n in range(5)))
    recordings = manifest.recordings
    assert names(recordings)[:2] == ["both.wav", "both.wav"] and manifest.notes == ()
    assert recordings[0].source == recordings[1].source and recordings[0].taxon != recordings[1].taxon
    for seed in range(20):
        training, held = hold_out(recordings, 0.5, seed)
        assert not set(names(training)) & set(names(held))


def test_copies_of_copies_are_one_source_with_all_pieces_of_each(read) -> None:
    manifest = read(
        row("a.wav", TIT, "one"),
        row("b.wav", TIT, "two", sha256=sha("x")),
        row("a.wav", TOAD, "three", sha256=sha("x")),  # the path of the first, the bytes of the second
        *(row(f"{source}.wav", TIT, source) for source in ("one", "two", "three", "four")),
    )
    assert sources(manifest.recordings) == ["one", "one", "one", "one", "one", "four"]
    assert names(manifest.recordings) == ["a.wav", "a.wav", "one.wav", "two.wav", "three.wav", "four.wav"]


def test_a_chain_of_copies_is_followed_to_its_end_however_long() -> None:
    rng = np.random.default_rng(1)
    place = rng.permutation(1000)
    paths, digests = (np.arange(1000) + shift for shift in (0, 1))
    one, other = np.empty(1000, int), np.empty(1000, int)
    one[place], other[place] = (
        paths // 2,
        digests // 2,
    )  # each shares its path with one neighbour, its bytes with another
    assert linked(one, other).tolist() == [0] * 1000
    assert linked(one, np.full(1000, -1)).tolist() == [min(np.flatnonzero(one == value)) for value in one]


def test_a_recording_without_a_source_is_its_own(read) -> None:
    manifest = read(row("a.wav"), row("b.wav"), row("c.wav", source="one"))
    assert sources(manifest.recordings) == ["a.wav", "b.wav", "one"]
    packed = {"shard": "s.tar", "size": "9"}
    manifest = read(row("a.wav", **packed, offset="512"), row("a.wav", **packed, offset="2048"))
    assert sources(manifest.recordings) == ["s.tar#512", "s.tar#2048"] and manifest.notes == ()


def many(count: int) -> list[Taxon]:
    ranks = ("Animalia", "Chordata", "Aves", "", "", "Genus")
    return [Taxon(f"Genus species{n}", *ranks, {}) for n in range(count)]


def test_a_collection_is_no_source_but_each_of_its_files_is(read) -> None:
    photos = [
        row(f"{n}.jpg", f"Genus species{n}", "Photo Site", modality="image", source_path=f"page {n}" if n < 4 else "")
        for n in range(6)
    ]
    others = [row(f"{n}.png", "Genus species0", f"own {n}", modality="image") for n in range(20)]
    manifest = read(row("a.wav", "Genus species0", "Photo Site"), *photos, *others, species=many(6))
    assert sources(manifest.photos)[:6] == ["page 0", "page 1", "page 2", "page 3", "4.jpg", "5.jpg"]
    assert sources(manifest.recordings) == ["Photo Site"]
    (note,) = manifest.notes
    assert "'tests Photo Site' has more than 20% of the photos (6): a collection" in note
    few = [row(f"more{n}.png", "Genus species0", f"more {n}", modality="image") for n in range(4)]
    manifest = read(row("a.wav", "Genus species0"), *photos, *others, *few, species=many(6))  # a fifth, and no more
    assert sources(manifest.photos)[:6] == ["Photo Site"] * 6 and manifest.notes == ()


def test_many_pieces_of_one_recording_stay_one_source(read) -> None:
    pieces = [row(f"piece{n}.wav", (TIT, TOAD)[n % 2], "long") for n in range(30)]
    manifest = read(*pieces, *others(5))
    assert set(sources(manifest.recordings)[:30]) == {"long"} and manifest.notes == ()


def test_a_file_that_is_kept_out_of_training_once_is_out_of_it(read) -> None:
    manifest = read(
        row("a.wav", source="one", split="train"),
        row("a.wav", source="one", split="test"),
        row("b.wav", source="two", sha256=sha("x"), split="test"),
        row("c.wav", TOAD, source="three", sha256=sha("x"), split="train"),
        row("d.wav", source="three", split="train"),
        row("e.wav", source="four", split="train"),
    )
    training, held = hold_out(manifest.recordings, 0.2, 1)
    assert (names(training), names(held)) == (["e.wav"], ["a.wav", "b.wav", "c.wav", "d.wav"])


@pytest.mark.parametrize("other", ["./a.wav", "x/../a.wav", "x//../a.wav", ".\\a.wav", "x\\..\\a.wav", "ABSOLUTE"])
def test_a_path_may_be_written_in_other_ways(read, tmp_path: Path, other: str) -> None:
    manifest = read(row("a.wav"), row(other.replace("ABSOLUTE", str(tmp_path / "a.wav"))), row("a.wav.wav"))
    assert names(manifest.recordings) == ["a.wav", "a.wav.wav"]


def test_paths_that_only_look_alike_are_other_files(read) -> None:
    paths = ["a.wav", "A.wav", "x/a.wav", "../a.wav", "/a.wav", "x./a.wav", "..a.wav", "a.wav."]
    assert len(read(*(row(path) for path in paths)).recordings) == len(paths)


def test_paths_are_spelt_by_the_folder_they_are_relative_to() -> None:
    pairs = [("d", "a"), ("d/e", "a"), ("d/e", "../a"), ("f", "../d/./a"), ("f", f"{os.getcwd()}/d/a"), ("f", "a")]
    folders = [Path(folder) for folder, _ in pairs]
    spelt = normalised(arrow().array([path for _, path in pairs]), folders, np.arange(6)).to_pylist()
    assert spelt == ["a", "e/a", "a", "a", "a", f"{os.getcwd()}/f/a"]


@pytest.mark.parametrize("below", ["one", "two"])
def test_two_manifests_may_list_the_same_file(tmp_path: Path, taxa: list[Taxon], below: str) -> None:
    first = written(tmp_path / "one" / "first.csv", row("a.wav", source="one"), row("b.wav", source="two"))
    path = "a.wav" if below == "one" else "../one/a.wav"
    second = written(tmp_path / below / "second.csv", row(path, source="three"), row("c.wav", source="three"))
    read = read_manifest([first, second], taxa)
    assert [str(sample.path.relative_to(tmp_path)) for sample in read.recordings] == [
        "one/a.wav",
        "one/b.wav",
        f"{below}/c.wav",
    ]
    assert sources(read.recordings) == ["one", "two", "one"]
    assert "second.csv line 2: the file is already listed" in read.notes[0]


def test_parquet_knows_the_same_copies(tmp_path: Path, taxa: list[Taxon]) -> None:
    rows = [row("a.wav", sha256=sha("x")), row("b.wav", sha256=sha("x")), row("./a.wav"), row("c.wav", source="one")]
    path = as_parquet(written(tmp_path / "manifest.csv", *rows))
    read = read_manifest(path, taxa)
    assert names(read.recordings) == ["a.wav", "c.wav"] and sources(read.recordings) == ["a.wav", "one"]
    assert "manifest.parquet row 2: the file is already listed (2 in all)" in read.notes[0]


def test_the_published_layout_knows_the_same_copies(tmp_path: Path, taxa: list[Taxon]) -> None:
    lines = ["file_name,scientific_name,source,recording_id,sha256", f"a.mp3,{TIT},xc,1,", f"a.mp3,{TIT},xc,2,"]
    lines += [f"b.mp3,{TIT},xc,2,{sha('x')}", f"c.mp3,{TIT},xc,3,{sha('x')}", f"d.mp3,{TIT},xc,,"]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    read = read_manifest(tmp_path / "train.csv", taxa)
    assert [(s.path.name, *s.source) for s in read.recordings] == [
        ("a.mp3", "xc", "1"),
        ("b.mp3", "xc", "1"),
        ("d.mp3", "xc", "d.mp3"),
    ]


def drawn(rng: np.random.Generator, count: int) -> list[dict[str, str]]:
    """Rows whose paths, sources and SHA-256 cross each other in every way."""
    ways = ("{}.wav", "./{}.wav", "x/../{}.wav")
    return [
        row(
            str(rng.choice(ways)).format(rng.integers(count)),
            str(rng.choice(tiny_set.SPECIES)),
            str(rng.choice(["", str(rng.integers(count)), str(rng.integers(count // 3))])),
            sha256=str(rng.choice(["", sha(str(rng.integers(count)))])),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("split", ["share", "column"])
def test_no_file_and_no_source_is_on_both_sides_of_a_split(read, seed: int, split: str) -> None:
    rng = np.random.default_rng(seed)
    rows = drawn(rng, 60)
    if split == "column":
        rows = [{**one, "split": str(rng.choice(["train", "train", "train", "test"]))} for one in rows]
    manifest = read(*rows)
    training, held = hold_out(manifest.recordings, 0.3, seed)
    assert len(training) and len(held) and len(training) + len(held) == len(manifest.recordings) < len(rows)
    side = dict.fromkeys((os.path.normpath(sample.path) for sample in training), "training")
    assert not set(side) & {os.path.normpath(sample.path) for sample in held}
    side |= dict.fromkeys((os.path.normpath(sample.path) for sample in held), "held out")
    assert not {sample.source for sample in training} & {sample.source for sample in held}
    for of in ("sha256", "source_id"):  # as the manifest gives them, also those of rows that count once
        sides: dict[str, set[str]] = {}
        for one in rows:
            known = side.get(os.path.normpath(manifest.path.parent / one["path"]))
            if one[of] and known:
                sides.setdefault(one[of], set()).add(known)
        assert all(len(both) == 1 for both in sides.values())
