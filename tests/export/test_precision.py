"""Packs in float16 and int8: what they keep of the checkpoint, what they leave in float32, and when none is written."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from typer.testing import CliRunner

from edgeapp.cli import app
from edgeapp.pack.format import Pack
from export import inputs, integers
from export import pack as export_pack
from export import precision as precisions
from export.cli import app as export_app
from export.cli import main
from export.errors import ExportError
from export.inputs import calibration_split, read_inputs
from export.integers import Judge, Mixed, to_integers
from export.precision import FP16, INT8
from gallery import read_taxa
from tests.trainer.tiny import Ended, Tiny, call
from trainer.data.manifest import Manifest, read_manifest
from trainer.presets import STARTER

GRAPHS = ("audio.onnx", "text.onnx", "image.onnx")


def lowered(precision: str, tiny: Tiny, stage2: Path, out: Path) -> Ended:
    return call(main, "--checkpoint", stage2, "--out", out, *tiny.data_words(), "--precision", precision)


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let half of the sources calibrate: there are five recordings of each tone."""
    monkeypatch.setattr(inputs, "CALIBRATING_SOURCES", 2)


def all_layers_refused(model: onnx.ModelProto, inputs: np.ndarray, judge: Judge) -> Mixed:
    """The first graph, all of whose layers are int8, is not good enough, however it is."""
    seen: list[str] = []

    def stricter(wanted: np.ndarray, given: np.ndarray) -> str:
        seen.append(judge(wanted, given))
        return seen[-1] if len(seen) > 1 else "all layers"

    return to_integers(model, inputs, stricter)


def initializers(graph: Path) -> set[int]:
    return {tensor.data_type for tensor in onnx.load(str(graph)).graph.initializer}


@pytest.mark.usefixtures("quick", "split")
def test_a_pack_says_what_it_computes_in_and_keeps_its_bounds(
    tiny: Tiny, stage2: Path, graphs: dict[str, Path], tmp_path: Path
) -> None:
    ended = lowered("fp16", tiny, stage2, tmp_path / "pack")
    assert ended.code == 0, ended.err
    pack = Pack.load(tmp_path / "pack")
    assert pack.precision == "fp16" and set(pack.in_fp32) == {"audio", "text", "image"}
    # For a GPU, which runs the whole graph.
    assert pack.audio.split is None and not (pack.folder / "trunk.onnx").exists() and "split" not in pack.parity
    assert pack.parity["audio"]["least"] >= FP16.cosine
    assert pack.parity["decisions"]["same_species"] >= FP16.names
    for name, graph in graphs.items():
        assert (pack.folder / f"{name}.onnx").stat().st_size < 0.7 * graph.stat().st_size
        assert TensorProto.FLOAT16 in initializers(pack.folder / f"{name}.onnx")
    told = CliRunner().invoke(app, ["pack", "info", str(pack.folder)]).stdout
    assert "precision  fp16" in told and "in fp32 audio" in told
    assert "parity decisions same_species" in told and "parity audio least 0.9" in told


@pytest.mark.usefixtures("quick", "split")
def test_a_pack_lists_the_layers_that_int8_left_in_float32(
    tiny: Tiny, stage2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parity = dict.fromkeys(("audio", "text", "image"), {"least": 1.0, "inputs": 1})
    parity["decisions"] = {"same_species": 1.0, "recordings": 1}
    monkeypatch.setattr(export_pack, "check", lambda *_: parity)  # the tiny network is too frail for int8
    monkeypatch.setattr(integers, "GROUPS", 6)
    monkeypatch.setattr(precisions, "to_integers", all_layers_refused)
    ended = lowered("int8", tiny, stage2, tmp_path / "pack")
    assert ended.code == 0, ended.err
    pack = Pack.load(tmp_path / "pack")
    layers = {node.name for node in onnx.load(str(pack.path("audio.onnx"))).graph.node}
    assert pack.precision == "int8" and pack.in_fp32["audio"] and set(pack.in_fp32["audio"]) <= layers
    assert all(TensorProto.INT8 in initializers(pack.path(name)) for name in GRAPHS)


@pytest.mark.usefixtures("quick")
def test_what_is_checked_is_of_other_sources_than_what_was_fitted_on(tiny: Tiny) -> None:
    manifest = read_manifest(tiny.manifest, read_taxa(tiny.taxa))
    calibrating, checking = calibration_split(manifest)
    for kind in ("recordings", "photos"):
        fitted, checked = ({sample.source for sample in getattr(part, kind)} for part in (calibrating, checking))
        assert fitted and checked and not fitted & checked
        assert len(getattr(calibrating, kind)) + len(getattr(checking, kind)) == len(getattr(manifest, kind))


def test_with_too_little_to_do_both_nothing_is_lowered(tiny: Tiny) -> None:
    manifest = read_manifest(tiny.manifest, read_taxa(tiny.taxa))
    one = Manifest(manifest.path, manifest.taxa, manifest.recordings[:1], manifest.photos[:1])
    with pytest.raises(ExportError, match="too few recordings or photos"):
        calibration_split(one)


@pytest.mark.usefixtures("quick", "split")
def test_int8_that_is_refused_names_the_clip_and_the_figure(
    tiny: Tiny, stage2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integers, "GROUPS", 1)
    monkeypatch.setitem(precisions.PRECISIONS, "int8", replace(INT8, cosine=1.0))
    line = lowered("int8", tiny, stage2, tmp_path / "packs" / "new").lines()[-1]
    assert re.search(
        r"audio.onnx: none of its layers can be int8: .* the cosine on \w+\.\w+ is [01]\.\d+, below 1", line
    )
    assert list((tmp_path / "packs").iterdir()) == []


def test_recordings_and_photos_in_shards_are_read(tiny: Tiny, tmp_path: Path) -> None:
    manifest = read_manifest(tiny.manifest, read_taxa(tiny.taxa))
    shard, rows = tmp_path / "shard.tar", []
    with shard.open("wb") as out:
        for modality, sample in (("audio", manifest.recordings[0]), ("image", manifest.photos[0])):
            name = manifest.taxa[sample.taxon].scientific_name
            raw = sample.path.read_bytes()
            rows.append([modality, sample.path.name, name, "t", sample.path.name, shard.name, out.tell(), len(raw)])
            out.write(raw)
    with (tmp_path / "m.csv").open("w", newline="") as file:
        header = "modality,path,scientific_name,source_repo,source_id,shard,offset,size"
        csv.writer(file).writerows([header.split(","), *rows])
    packed = read_inputs(read_manifest(tmp_path / "m.csv", read_taxa(tiny.taxa)), STARTER)
    plain = replace(manifest, recordings=manifest.recordings[:1], photos=manifest.photos[:1])
    wanted = read_inputs(plain, STARTER)
    assert not packed.failed and np.array_equal(packed.windows[0][1], wanted.windows[0][1])
    assert np.array_equal(packed.pictures[0][1], wanted.pictures[0][1])
    assert packed.windows[0][0].startswith("shard.tar, ")


def roll(path: Path, *_: object) -> list[str]:
    """A conversion that goes wrong."""
    network = onnx.load(str(path))
    largest = max(network.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = onnx.numpy_helper.to_array(largest)
    largest.CopyFrom(onnx.numpy_helper.from_array(np.roll(values, 1, axis=0), largest.name))
    onnx.save(network, str(path))
    return []


@pytest.mark.usefixtures("quick")
def test_a_conversion_that_goes_wrong_leaves_no_pack(
    tiny: Tiny, stage2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_pack, "convert", roll)
    ended = lowered("fp16", tiny, stage2, tmp_path / "packs" / "new")
    assert ended.code == 3 and "audio.onnx: cosine" in ended.lines()[-1] and "below 0.999" in ended.lines()[-1]
    assert list((tmp_path / "packs").iterdir()) == []


def turn(path: Path) -> list[str]:
    """A conversion after which every vector points the other way, so that other species are nearest."""
    network = onnx.load(str(path))
    [output] = network.graph.output
    for node in network.graph.node:
        node.output[:] = ["turned" if name == output.name else name for name in node.output]
    network.graph.node.append(onnx.helper.make_node("Neg", ["turned"], [output.name]))
    onnx.save(network, str(path))
    return []


@pytest.mark.usefixtures("quick")
def test_other_names_for_recordings_leave_no_pack(
    tiny: Tiny, stage2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_pack, "convert", lambda path, *_: turn(path) if path.name == "audio.onnx" else [])
    monkeypatch.setitem(precisions.PRECISIONS, "fp16", replace(FP16, cosine=-1.1))
    ended = lowered("fp16", tiny, stage2, tmp_path / "packs" / "new")
    assert ended.code == 3 and "the same species as the checkpoint for 0." in ended.lines()[-1]
    assert list((tmp_path / "packs").iterdir()) == []


def test_a_precision_that_does_not_exist_is_answered_with_those_that_do(
    tiny: Tiny, stage2: Path, tmp_path: Path
) -> None:
    ended = lowered("fp8", tiny, stage2, tmp_path / "pack")
    assert ended.code == 2 and "choose fp32, fp16, int8" in ended.lines()[-1]


def test_the_help_names_every_precision() -> None:
    shown = " ".join(CliRunner().invoke(export_app, ["--help"]).stdout.replace("│", " ").split())
    assert "|".join(precisions.PRECISIONS) in shown


def test_how_far_vectors_are_turned_does_not_depend_on_their_length() -> None:
    wanted = np.array([[3.0, 0.0], [0.0, 0.5]])
    assert integers.error_of(wanted, 7.0 * wanted) == pytest.approx(0.0)
    assert integers.error_of(wanted, np.array([[5.0, 5.0], [0.0, 2.0]])) == pytest.approx((1 - 0.5**0.5) / 2)
