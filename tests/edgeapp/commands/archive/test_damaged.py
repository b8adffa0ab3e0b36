"""A part of an archive's results that is not as it was written is told in one line, by every command that reads it."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COMMANDS = {
    "summary": (),
    "export": ("--format", "csv"),
    "report": ("--output", "report.html"),
    "search": ("Parus major", "--format", "csv"),
}
READ = [
    *((command, table) for command in ("summary", "export", "report") for table in ("files", "detections")),
    *(("search", table) for table in ("files", "embeddings")),
]


def without(table: pa.Table, column: str) -> pa.Table:
    return table.drop_columns([column])


def as_text(table: pa.Table, column: str) -> pa.Table:
    at = table.schema.get_field_index(column)
    return table.set_column(at, column, pa.array(["much"] * len(table)))


def of_another_program(table: pa.Table, column: str) -> pa.Table:
    return pa.table({"a": [1, 2], "b": ["x", None]})


@pytest.mark.parametrize("change", [without, as_text, of_another_program])
@pytest.mark.parametrize(("command", "table"), READ)
def test_a_part_with_other_columns_is_one_line(run, two_sites, toy_pack, tmp_path, monkeypatch, command, table, change):
    monkeypatch.setenv("BIOVITA_PACKS", str(toy_pack.parent))
    monkeypatch.chdir(tmp_path)
    results = shutil.copytree(two_sites, tmp_path / "results")
    path = sorted((results / table).rglob("*.parquet"))[0]
    before = pq.read_table(path, partitioning=None)
    column = {"files": "duration_s", "detections": "confidence", "embeddings": "embedding"}[table]
    pq.write_table(change(before, column).replace_schema_metadata(before.schema.metadata), path)
    done = run("archive", command, results, *COMMANDS[command])
    assert done.exit_code == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"{path.relative_to(tmp_path)}: its column " in done.stderr and "--new-run" in done.stderr
