"""Parts of a data set: whole or not there, whatever happens while they are written."""

from __future__ import annotations

import errno
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgeapp.archive.results.dataset import DETECTIONS, FILES, DataSet, schema
from edgeapp.archive.results.parts import PARTITION, Parts, Rows, partition_folder
from edgeapp.archive.results.record import Record
from edgeapp.errors import OutputError, UsageError

TABLES = ("files", "detections", "windows", "embeddings")


def some_record(**changes: object) -> Record:
    fields = {
        "settings": {"pack": "toy 1.0", "hop_s": 5.0},
        "window_s": 10.0,
        "hop_s": 5.0,
        "latitude": None,
        "longitude": None,
        "partition": "date",
        "tables": TABLES,
        "dim": 4,
        "space": "toy",
        "base": "",
        "inputs": (),
    }
    return Record(**{**fields, **changes})


def some_rows(*names: str, supersedes: frozenset[int] = frozenset(), value: str = "2026-05-22") -> Rows:
    """A recording a name, each with two detections and embeddings."""
    numbers = list(range(len(names)))
    twice = [number for number in numbers for _ in range(2)]
    of_file = {"file_id": twice, "source_file": [names[n] for n in twice], PARTITION: [value] * len(twice)}

    def table(name: str, **columns: object) -> pa.Table:
        fields = schema(name, 4)
        if name != FILES:
            fields = fields.append(pa.field(PARTITION, pa.string()))
        n = len(columns["file_id"])
        return pa.table(
            [pa.array(columns.get(one, [None] * n), fields.field(one).type) for one in fields.names], fields
        )

    starts = [0.0, 10.0] * len(names)
    return Rows(
        {
            "files": table("files", file_id=numbers, file=list(names)),
            "detections": table("detections", **of_file, start_s=starts),
            "windows": table("windows", **of_file, start_s=starts),
            "embeddings": table("embeddings", **of_file, start_s=starts, embedding=[[1.0, 0.0, 0.0, 0.5]] * len(twice)),
        },
        supersedes,
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    some_record().write(folder)
    return folder


def written(folder: Path, *names: str, **options: object) -> Parts:
    parts = Parts(folder, Record.read(folder))
    parts.add(some_rows(*names, **options))
    parts.commit()
    return parts


def heard(folder: Path, table: str = FILES) -> list[str]:
    column = "file" if table == FILES else "source_file"
    return sorted(DataSet(folder).table(table)[column].to_pylist())


def everything(folder: Path) -> list[str]:
    """Names of files as any reader of Parquet would find them."""
    return sorted(name for path in folder.glob("files/*.parquet") for name in pq.read_table(path)["file"].to_pylist())


def test_rows_are_there_once_they_are_committed(results):
    parts = Parts(results, Record.read(results))
    parts.add(some_rows("a.wav", "b.wav"))
    assert heard(results) == []
    assert parts.commit() == 2
    assert heard(results) == ["a.wav", "b.wav"]
    assert heard(results, DETECTIONS) == ["a.wav", "a.wav", "b.wav", "b.wav"]


def test_a_part_without_its_file_in_files_is_not_there(results):
    written(results, "a.wav")
    written(results, "b.wav")
    (results / "files" / "part-000002.parquet").unlink()
    assert heard(results, DETECTIONS) == ["a.wav", "a.wav"]
    Parts(results, Record.read(results))
    assert not list(results.rglob("part-000002.parquet"))


def test_recordings_that_are_superseded_do_not_count(results):
    written(results, "a.wav", "b.wav")
    first = DataSet(results).table(FILES).to_pylist()[0]["file_id"]
    parts = written(results, "a.wav", supersedes=frozenset([first]))
    assert heard(results) == ["a.wav", "b.wav"]
    assert heard(results, DETECTIONS) == ["a.wav", "a.wav", "b.wav", "b.wav"]
    parts.settle()
    assert everything(results) == ["a.wav", "b.wav"]
    assert heard(results, "embeddings") == ["a.wav", "a.wav", "b.wav", "b.wav"]


def test_a_run_that_begins_settles_what_a_killed_one_left(results):
    written(results, "a.wav", "b.wav", value="2026-05-01")
    ids = {row["file"]: row["file_id"] for row in DataSet(results).table(FILES).to_pylist()}
    written(results, "c.wav", supersedes=frozenset(ids.values()))
    Parts(results, Record.read(results))
    assert everything(results) == ["c.wav"]
    assert [path.name for path in (results / "detections").iterdir()] == ["date=2026-05-22"]


def test_rewritten_recordings_keep_their_id_and_can_go_later(results):
    written(results, "a.wav", "b.wav", "c.wav")
    ids = {row["file"]: row["file_id"] for row in DataSet(results).table(FILES).to_pylist()}
    written(results, "a2.wav", supersedes=frozenset([ids["a.wav"]])).settle()
    assert {row["file"]: row["file_id"] for row in DataSet(results).table(FILES).to_pylist()}["b.wav"] == ids["b.wav"]
    written(results, "b2.wav", supersedes=frozenset([ids["b.wav"]])).settle()
    assert everything(results) == ["a2.wav", "b2.wav", "c.wav"]


@pytest.mark.parametrize("table", ["detections", "windows", "files"])
def test_a_full_disk_leaves_nothing_of_a_part(results, monkeypatch, table):
    written(results, "a.wav")
    parts = Parts(results, Record.read(results))
    write = pq.write_table

    def full(rows: pa.Table, path: Path, **options: object) -> None:
        if table in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(rows, path, **options)

    monkeypatch.setattr(pq, "write_table", full)
    parts.add(some_rows("b.wav"))
    with pytest.raises(OutputError, match=r"No space left.*same command again"):
        parts.commit()
    assert not list(results.rglob("part-000002*"))
    monkeypatch.undo()
    assert parts.commit() == 1
    assert heard(results) == ["a.wav", "b.wav"]


def test_temporary_files_of_a_killed_run_are_removed(results):
    written(results, "a.wav")
    left = results / "detections" / "date=2026-05-22" / ".part-000002.parquet.0badcafe.part"
    left.write_bytes(b"PAR1")
    Parts(results, Record.read(results))
    assert not left.exists()


def test_a_file_that_is_no_part_is_told(results):
    written(results, "a.wav")
    (results / "files" / "part-000007.parquet").write_bytes(b"")
    with pytest.raises(OutputError, match=r"part-000007.parquet: is no part.*move it away"):
        Parts(results, Record.read(results))


def test_a_folder_without_results_is_told(tmp_path):
    with pytest.raises(UsageError, match="has no results of an archive"):
        DataSet(tmp_path)


def test_a_table_that_was_not_asked_for_is_told(tmp_path):
    some_record(tables=("files", "detections")).write(tmp_path)
    with pytest.raises(UsageError, match="without embeddings; hear it again with --embeddings --new-run"):
        DataSet(tmp_path).table("embeddings")


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("2026-05-22", "date=2026-05-22"),
        ("", "date=unknown"),
        ("site a/é", "date=site a%2F%C3%A9"),
        ('<>:"|?*\\', "date=%3C%3E%3A%22%7C%3F%2A%5C"),
        ("..", "date=.%2E"),
    ],
)
def test_names_of_partitions_are_escaped(value, folder):
    assert partition_folder("date", value) == folder
