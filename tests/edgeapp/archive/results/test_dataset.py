"""The data set is what pandas, Polars and DuckDB read, and has the fields of the detection document."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from jsonschema import Draft202012Validator

from edgeapp.archive.recognition import Recognition
from edgeapp.archive.results.dataset import DETECTIONS, DataSet, schema
from edgeapp.archive.results.parts import Parts, Rows
from edgeapp.archive.results.record import Record
from edgeapp.archive.results.rows import LEFT_OUT
from edgeapp.archive.workers.worker import Item, Task, Worker
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.results.test_parts import some_record

DATES = ("20260522T050000Z", "20260523T050000Z", "undated")


@pytest.fixture(scope="module")
def results(toy_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was heard of three recordings, two of them dated; one holds two species, one nothing."""
    sounds, folder = tmp_path_factory.mktemp("sounds"), tmp_path_factory.mktemp("results")
    for name, samples in zip(DATES, (toy.tone(1000, 3000, seconds=25.0), toy.tone(500), toy.noise())):
        soundfile.write(sounds / f"{name}.wav", samples, toy.RATE_HZ)
    record = some_record(tables=("files", "detections", "windows", "embeddings"), dim=toy.DIM)
    record.write(folder)
    heard = Worker(Recognition(toy_pack), record).hear(
        Task(tuple(Item(str(sounds / f"{name}.wav"), 0, 0) for name in DATES))
    )
    parts = Parts(folder, record)
    parts.add(Rows(heard.tables))
    parts.commit()
    return folder


def test_pandas_reads_it(results):
    import pandas  # here: it takes half a second of every process that collects tests

    detections = pandas.read_parquet(results / "detections")
    assert sorted(detections["taxon_scientific_name"]) == ["Bufo bufo", "Cuculus canorus", "Parus major"]
    assert set(detections["date"]) == {"2026-05-22", "2026-05-23"}
    assert str(detections["time"].dt.tz) == "UTC"
    embeddings = pandas.read_parquet(results / "embeddings")
    assert np.stack(embeddings["embedding"]).shape == (6, toy.DIM)
    assert set(embeddings["date"]) == {"2026-05-22", "2026-05-23", "unknown"}


def test_polars_reads_it(results):
    import polars

    detections = polars.read_parquet(results / "detections/**/*.parquet", hive_partitioning=True)
    assert sorted(detections["taxon_scientific_name"]) == ["Bufo bufo", "Cuculus canorus", "Parus major"]
    embeddings = polars.read_parquet(results / "embeddings/**/*.parquet", hive_partitioning=True)
    assert embeddings["embedding"].to_numpy().shape == (6, toy.DIM)


def test_duckdb_reads_it(results):
    import duckdb

    found = duckdb.sql(
        f"SELECT f.file, f.duration_s, d.taxon_scientific_name, d.candidates[1].confidence, d.date "
        f"FROM '{results}/detections/**/*.parquet' d JOIN '{results}/files/*.parquet' f USING (file_id) ORDER BY 3"
    ).fetchall()
    assert [row[2] for row in found] == ["Bufo bufo", "Cuculus canorus", "Parus major"]
    assert found[0][0].endswith("20260523T050000Z.wav") and found[1][1] == 25.0
    [(n,)] = duckdb.sql(f"SELECT len(embedding) FROM '{results}/embeddings/**/*.parquet' LIMIT 1").fetchall()
    assert n == toy.DIM


def test_a_condition_on_the_partition_reads_one(results):
    import pyarrow.dataset as pads  # here, as it loads pandas

    found = DataSet(results).table(DETECTIONS, ["source_file", "date"], pads.field("date") == "2026-05-23")
    assert found["date"].to_pylist() == ["2026-05-23"]


def test_detections_have_the_fields_of_the_document(results):
    data = DataSet(results)
    document = json.loads((PROJECT / "docs" / "detection.schema.json").read_text(encoding="utf-8"))
    check = Draft202012Validator({"$ref": "#/$defs/detection", "$defs": document["$defs"]})
    for row in data.table(DETECTIONS).to_pylist():
        check.validate(data.document(row))
    fields = document["$defs"]["detection_fields"]["properties"].keys() | {"taxon", "confidence", "candidates"}
    columns = schema(DETECTIONS).names
    missing = {field for field in fields if not any(column.split("_")[0] == field.split("_")[0] for column in columns)}
    assert missing == set(LEFT_OUT)


def test_vectors_are_those_of_the_encoder_in_half_precision(results, recogniser):
    rows = DataSet(results).table("embeddings").to_pylist()
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-3)
    assert [(row["start_s"], row["end_s"]) for row in rows[:4]] == [(0, 10), (5, 15), (10, 20), (15, 25)]


def test_the_record_comes_back_as_it_was_written(results):
    assert Record.read(results) == Record.read(results)
    assert Record.read(results).tables == ("files", "detections", "windows", "embeddings")
