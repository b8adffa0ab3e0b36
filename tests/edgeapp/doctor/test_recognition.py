"""Pack, gallery, provider and answer: the packs of the project are healthy, and each fault is named."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing

import numpy as np
import pytest

from edgeapp.config.sections import Station
from edgeapp.doctor import recognition
from edgeapp.doctor.finding import State
from edgeapp.pack.format import Pack
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.tensorrt.file import EngineKey, file_stem, place_for
from gallery import Counterexample, build
from tests.edgeapp import toy_pack as toy


def states(findings) -> dict[str, State]:
    return {finding.name: finding.state for finding in findings}


def test_the_starter_pack_is_healthy_and_its_answer_is_known(context, starter_pack):
    told = list(recognition.recognition(context(station=Station(threads=1, provider="cpu"))))
    assert states(told) == dict.fromkeys(("pack", "parity", "gallery", "provider", "answer"), State.OK)
    # A pack that was trained anew must have its answer written down.
    assert Pack.load(starter_pack, verify=False).space in recognition.EXAMPLE_DETECTIONS


def test_a_pack_without_parity_or_known_answer_is_no_finding(context, toy_pack):
    told = list(recognition.recognition(context(station=Station(pack=toy_pack, provider="cpu", threads=1))))
    assert states(told) == {
        "pack": State.OK,
        "parity": State.SKIPPED,
        "gallery": State.OK,
        "provider": State.OK,
        "answer": State.OK,
    }


def test_what_reviews_taught_is_counted_or_its_fault_named(context, toy_pack, tmp_path):
    path = tmp_path / "garden.learned.sqlite"
    of_station = Station(pack=toy_pack, provider="cpu", threads=1, journal=tmp_path / "garden.sqlite")

    def learned():
        told = [one for one in recognition.recognition(context(station=of_station)) if one.name == "learned"]
        return [(one.state, one.what, one.remedy) for one in told]

    assert learned() == []
    with build(path, Pack.load(toy_pack).identity) as gallery:
        gallery.add_counterexamples([Counterexample("species", "Parus major", np.eye(4)[0], "detection 1")])
    assert learned() == [(State.OK, f"{path}: 0 recordings, 1 counterexamples", "")]
    path.write_bytes(b"SQLite format 3\0" + b"\0" * 5000)
    [(state, what, remedy)] = learned()
    assert state is State.WARNING and "the station does without" in what and "journal learn" in remedy


def test_another_answer_than_the_known_one_is_an_error(context, toy_pack, monkeypatch):
    monkeypatch.setitem(recognition.EXAMPLE_DETECTIONS, "toy", {"Bufo bufo"})
    told = list(recognition.recognition(context(station=Station(pack=toy_pack, provider="cpu", threads=1))))
    assert told[-1].state is State.ERROR
    assert "should be Bufo bufo" in told[-1].what


def test_a_changed_byte_of_the_pack_is_named(context, toy_copy):
    with (toy_copy / "audio.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"\0\1\2")
    [told] = recognition.recognition(context(station=Station(pack=toy_copy)))
    assert (told.name, told.state) == ("pack", State.ERROR)
    assert "audio.onnx was changed" in told.what


def test_low_parity_of_the_makers_is_an_error(context, toy_copy):
    document = json.loads((toy_copy / "pack.json").read_text())
    document["parity"] = {"audio": {"least": 0.6463}}
    (toy_copy / "pack.json").write_text(json.dumps(document))
    told = states(recognition.recognition(context(station=Station(pack=toy_copy, provider="cpu"))))
    assert told["parity"] is State.ERROR


def test_a_gallery_of_other_encoders_does_not_end_the_examination(context, toy_pack, tmp_path):
    other = toy.make(tmp_path / "other", space="other")
    station = Station(pack=toy_pack, gallery=other / "gallery.sqlite", provider="cpu", threads=1)
    told = list(recognition.recognition(context(station=station)))
    assert states(told)["gallery"] is State.ERROR
    assert states(told)["provider"] is State.OK
    assert "answer" not in states(told)


@pytest.mark.parametrize("value", [0.0, float("nan")])
@pytest.mark.parametrize("column", ["vectors.vectors", "centroids.total"])
def test_a_vector_that_is_none_is_found(context, toy_pack, tmp_path, column, value):
    gallery = tmp_path / "my.sqlite"
    gallery.write_bytes((toy_pack / "gallery.sqlite").read_bytes())
    with closing(sqlite3.connect(gallery)) as db:
        table, name = column.split(".")
        size = db.execute(f"SELECT length({name}) FROM {table} WHERE taxon = 1").fetchone()[0]
        whole = np.full(size // 4, value, "<f4").tobytes()
        db.execute(f"UPDATE {table} SET {name} = ?, crc32 = ? WHERE taxon = 1", [whole, zlib.crc32(whole)])
        db.commit()
    told = list(recognition.recognition(context(station=Station(pack=toy_pack, gallery=gallery, provider="cpu"))))
    [found] = [one for one in told if one.name == "gallery"]
    assert found.state is State.ERROR
    assert "vector of Parus major" in found.what and "not" in found.what


@pytest.mark.parametrize(("n", "state"), [(1, State.OK), (20, State.WARNING)])
def test_rejected_rows_are_told_and_many_are_a_warning(context, toy_pack, tmp_path, n, state):
    gallery = tmp_path / "my.sqlite"
    gallery.write_bytes((toy_pack / "gallery.sqlite").read_bytes())
    with closing(sqlite3.connect(gallery)) as db:
        db.executemany("INSERT INTO rejected VALUES (NULL, ?, 'broken')", [(f"{i}.jpg",) for i in range(n)])
        db.commit()
    told = list(recognition.recognition(context(station=Station(pack=toy_pack, gallery=gallery, provider="cpu"))))
    [found] = [one for one in told if one.name == "gallery"]
    assert found.state is state
    assert f"{n} were rejected" in found.what


def test_a_missing_provider_is_an_error_and_an_unused_driver_a_warning(context, toy_pack, monkeypatch):
    named = states(recognition.recognition(context(station=Station(pack=toy_pack, provider="cuda"))))
    assert named["provider"] is State.ERROR
    monkeypatch.setattr(recognition, "driver_is_there", lambda: True)
    hoped = states(recognition.recognition(context(station=Station(pack=toy_pack, threads=1))))
    assert hoped["provider"] is State.WARNING
    meant = states(recognition.recognition(context(station=Station(pack=toy_pack, threads=1, provider="cpu"))))
    assert meant["provider"] is State.OK


class Crooked:
    """An accelerator that is finite and wrong."""

    provider = "TensorrtExecutionProvider"

    def __init__(self, pack, threads, provider) -> None:
        from edgeapp.runtime.encoders import AudioEncoder

        self._right = AudioEncoder(pack, 1, "cpu")

    def encode(self, windows):
        vectors = self._right.encode(windows)[:, ::-1]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_an_accelerator_that_computes_wrongly_is_found(context, toy_pack, monkeypatch):
    monkeypatch.setattr(recognition, "AudioEncoder", Crooked)
    told = [
        one
        for one in recognition.recognition(context(station=Station(pack=toy_pack, provider="cpu", threads=1)))
        if "the CPU" in one.what
    ]
    assert [(one.name, one.state) for one in told] == [("parity", State.ERROR)]


def test_versions_are_told(context):
    [told] = recognition.versions(context())
    assert "onnxruntime" in told.what and "python" in told.what


def test_engines_that_were_built_are_told_and_damaged_ones_named(context, toy_pack, kept):
    graph = PackGraph.of(Pack.load(toy_pack), "audio")
    gpu = ("tensorrt", "10.3.0", "linux aarch64", "Orin", "540 CUDA 12.6", ("8.7",))
    key = EngineKey(graph.sha256, "audio", "graph", 8, *gpu)
    with place_for(kept, key) as place:
        place.write(b"plan", {}, 1.5)
    stem = file_stem("audio", "graph", graph.sha256)
    (kept / f"{stem}-0.engine").write_bytes(b"cut")
    told = list(recognition.recognition(context(station=Station(pack=str(toy_pack), provider="cpu", threads=1))))
    damaged, built = [one for one in told if one.name == "engines"]
    assert (damaged.state, built.state) == (State.WARNING, State.OK)
    assert f"{stem}-0.engine" in damaged.what and "build-engine" in damaged.remedy
    assert built.what == "built of this pack: audio in graph for Orin"
