"""Reading the published layout: where it may lie, and what is wrong with files that cannot be used."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainer.benchmark import small_bench as bench
from trainer.benchmark.layout import Split, code, has_rows, media, read_benchmark, read_queries
from trainer.errors import DataError


def test_both_splits_are_found_from_the_root(tmp_path: Path) -> None:
    bench.make(tmp_path)
    shutil.copytree(tmp_path / "unseen", tmp_path / "test")
    splits = read_benchmark(tmp_path)
    assert [split.name for split in splits] == ["seen", "unseen"]
    assert [split.root for split in splits] == [tmp_path / "test", tmp_path / "unseen"]
    assert all(len(split.tasks) == 18 and len(split.indexes) == 3 for split in splits)


@pytest.mark.parametrize("place", ["unseen", "unseen/benchmark", "test", "test/benchmark"])
def test_one_split_is_found_from_its_own_folder(tmp_path: Path, place: str) -> None:
    bench.make(tmp_path)
    if place.startswith("test"):
        (tmp_path / "unseen").rename(tmp_path / "test")
    (split,) = read_benchmark(tmp_path / place)
    assert split.name == ("seen" if place.startswith("test") else "unseen")
    assert split.root == tmp_path / place.partition("/")[0] and len(split.tasks) == 18


def test_indexes_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    folder = bench.make(tmp_path) / "unseen" / "benchmark"
    (folder / "ids").mkdir()
    for path in folder.glob("*_index.csv"):
        path.rename(folder / "ids" / path.name)
    (split,) = read_benchmark(tmp_path)
    assert len(split.indexes) == 3 and split.root == tmp_path / "unseen"


def test_a_split_may_lack_what_was_not_released(tmp_path: Path) -> None:
    folder = bench.make(tmp_path) / "unseen" / "benchmark"
    (folder / "audio_index.csv").unlink()
    for level in bench.LEVELS:
        shutil.rmtree(folder / level)
    (split,) = read_benchmark(tmp_path)
    assert sorted(split.indexes) == ["image", "text"] and not split.tasks


def test_a_folder_without_a_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no benchmark .*make-benchmark"):
        read_benchmark(tmp_path)


@pytest.mark.parametrize("column", ["common_name", "com_canon", "text"])
def test_the_common_name_has_three_headings(tmp_path: Path, column: str) -> None:
    index = bench.make(tmp_path) / "unseen" / "benchmark" / "text_index.csv"
    index.write_text(index.read_text().replace("common_name", column, 1))
    (split,) = read_benchmark(tmp_path)
    assert set(split.indexes["text"].text("common_name")) >= {"common Avus primus"}


def test_a_name_that_pandas_wrote_as_nan_is_unknown(tmp_path: Path) -> None:
    index = bench.make(tmp_path) / "unseen" / "benchmark" / "text_index.csv"
    index.write_text(index.read_text().replace("Avidae", "nan"))
    (split,) = read_benchmark(tmp_path)
    assert set(split.indexes["text"].names["family"]) == {"", "Cavidae", "Davidae", "Ranidae"}


def a_task(split: Split) -> Path:
    return split.tasks["species", "audio", "image"]


def test_a_task_is_read_in_blocks_that_lose_nothing(tmp_path: Path) -> None:
    (split,) = read_benchmark(bench.make(tmp_path, candidates=12))
    whole = list(read_queries(a_task(split), "A2I", "species", 1000))
    parts = list(read_queries(a_task(split), "A2I", "species", 4))
    assert len(whole) == 1 and len(parts) > 2
    assert [t for part in parts for t in part.taxa] == whole[0].taxa
    assert [i for part in parts for i in part.ids] == whole[0].ids.tolist()
    found = bench.samples(0)["image"]
    assert sorted(whole[0].ids[: whole[0].starts[12]].tolist()) == sorted(i for i, *_ in found)


def test_a_header_alone_is_a_task_without_queries(tmp_path: Path) -> None:
    (split,) = read_benchmark(bench.make(tmp_path))
    path = a_task(split)
    assert has_rows(path)
    path.write_text(path.read_text().splitlines()[0])
    assert not has_rows(path) and list(read_queries(path, "A2I", "species")) == []


def altered(path: Path, change: Callable[[dict[str, str]], object]) -> Path:
    """The third row of a CSV changed."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows[2])
    return bench.write(path, list(rows[0]), [list(row.values()) for row in rows])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row.update(candidates_taxa="['Avus primus']"), "line 4, column candidates_taxa: not JSON"),
        (lambda row: row.update(candidates_target_ids="[[1, 2"), "line 4, column candidates_target_ids: not JSON"),
        (lambda row: row.update(candidates_taxa='{"a": 1}'), "line 4, column candidates_taxa: not a list"),
        (lambda row: row.update(candidates_target_ids="[[1]]"), "line 4: 5 candidates_taxa, 1 candidates_target_ids"),
        (lambda row: row.update(candidates_target_ids="[1, 2, 3, 4, 5]"), "give a list of ids for each"),
        (lambda row: row.update(candidates_target_ids='[["x"], [], [], [], []]'), "has invalid ids"),
        (
            lambda row: row.update(query_payload_id="first"),
            "line 4, column query_payload_id: 'first' is not an integer",
        ),
        (lambda row: row.update(task="I2A"), "line 4: task 'I2A' in a file of A2I"),
        (lambda row: row.update(taxon_level="genus"), "line 4: taxon_level 'genus' in a file of species"),
    ],
)
def test_a_broken_row_of_a_task_is_one_line_that_says_where(tmp_path: Path, change, says: str) -> None:
    (split,) = read_benchmark(bench.make(tmp_path))
    with pytest.raises(DataError) as raised:
        list(read_queries(altered(a_task(split), change), "A2I", "species"))
    assert says in str(raised.value) and a_task(split).name in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("column", ["query_payload_id", "taxon_level", "correct_taxon", "candidates_target_ids"])
def test_a_missing_column_of_a_task_is_named(tmp_path: Path, column: str) -> None:
    (split,) = read_benchmark(bench.make(tmp_path))
    path = a_task(split)
    path.write_text(path.read_text().replace(column, "other", 1))
    with pytest.raises(DataError, match=f"column {column} is missing"):
        has_rows(path)


@pytest.mark.parametrize(
    ("name", "before", "after", "says"),
    [
        ("audio_index.csv", "file_path", "path", "column file_path is missing"),
        ("text_index.csv", "id,species", "id,name", "column species is missing"),
        ("image_index.csv", "\n10", "\nx10", "line 2, column id: 'x10"),
        ("image_index.csv", "\n", "\n1e400,a.jpg,a,b,c\n", "'1e400' is not an integer"),
        ("image_index.csv", "\n", "\n7,a.jpg,a,b,c\n7,b.jpg,a,b,c\n", "id 7 occurs twice"),
    ],
)
def test_an_index_that_cannot_be_used_is_one_line(tmp_path: Path, name, before, after, says) -> None:
    path = bench.make(tmp_path) / "unseen" / "benchmark" / name
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(DataError, match=says) as raised:
        read_benchmark(tmp_path)
    assert name in str(raised.value)


def test_files_with_other_names_are_found_by_the_order_of_metadata(tmp_path: Path) -> None:
    root = bench.make(tmp_path) / "unseen"
    (split,) = read_benchmark(tmp_path)
    index = split.indexes["audio"]
    order = sorted(range(len(index)), key=lambda row: index.names["species"][row], reverse=True)  # stable in a species
    (root / "audio").mkdir()
    names = {}
    for row in order:
        names[row] = index.files[row] if row % 2 else f"audio/Archive_{index.ids[row]}.mp3"
        (root / names[row]).touch()
    bench.write(root / "metadata.csv", ("file_name", "scientific_name"), [
        (names[row], index.names["species"][row]) for row in order
    ])  # fmt: skip
    paths, notes = media(split, "audio")
    assert [path.relative_to(root).as_posix() for path in paths] == [names[row] for row in range(len(index))]
    assert len(notes) == sum(names[row] != index.files[row] for row in names)
    assert all("by the order of metadata.csv" in note for note in notes)


def test_an_order_that_known_files_contradict_is_not_trusted(tmp_path: Path) -> None:
    root = bench.make(tmp_path) / "unseen"
    (split,) = read_benchmark(tmp_path)
    index = split.indexes["audio"]
    (root / "audio").mkdir()
    species = next(name for name in index.names["species"] if (index.names["species"] == name).sum() > 1)
    first, second, *_ = (row for row, name in enumerate(index.names["species"]) if name == species)
    (root / index.files[first]).touch()
    (root / "audio" / "other.mp3").touch()
    rows = [("audio/other.mp3", species), (index.files[first], species)]
    bench.write(root / "metadata.csv", ("file_name", "scientific_name"), rows)
    paths, notes = media(split, "audio")
    assert paths[second] == root / index.files[second] and notes == []


def test_directions_are_called_as_published() -> None:
    assert {code(query, target): (query, target) for query, target in bench.DIRECTIONS.values()} == bench.DIRECTIONS
