"""Packs in float16 and int8: what they keep of the checkpoint, what they leave in float32, and when none is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from typer.testing import CliRunner

from edgeapp.cli import app
from edgeapp.pack import Pack
from export import inputs, integers
from export import pack as export_pack
from export import precision as precisions
from export.__main__ import main
from export.errors import ExportError
from export.inputs import apart
from export.precision import FP16, INT8
from gallery import read_taxa
from tests.trainer.tiny import Ended, Tiny, call
from trainer.manifest import Manifest, read_manifest

GRAPHS = ("audio.onnx", "text.onnx", "image.onnx")


def lowered(precision: str, tiny: Tiny, stage2: Path, out: Path) -> Ended:
    return call(main, "--checkpoint", stage2, "--out", out, *tiny.data_words(), "--precision", precision)


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search among few groups, and let every tone calibrate: there are five recordings of each."""
    monkeypatch.setattr(integers, "GROUPS", 6)
    monkeypatch.setattr(integers, "JUDGED", 4)
    monkeypatch.setattr(inputs, "CALIBRATING_SOURCES", 2)


@pytest.mark.usefixtures("quick", "coarse")
@pytest.mark.parametrize("precision", [FP16, INT8], ids=lambda precision: precision.name)
def test_a_pack_says_what_it_computes_in_and_keeps_its_bounds(
    precision: precisions.Precision, tiny: Tiny, stage2: Path, exported: tuple[Path, Ended], tmp_path: Path
) -> None:
    ended = lowered(precision.name, tiny, stage2, tmp_path / "pack")
    assert ended.code == 0, ended.err
    pack = Pack.load(tmp_path / "pack")
    assert pack.precision == precision.name and set(pack.in_fp32) == {"audio", "text", "image"}
    assert pack.parity["audio"]["least"] >= precision.cosine
    assert pack.parity["decisions"]["same_species"] >= precision.names
    for name in GRAPHS:
        assert (pack.folder / name).stat().st_size < 0.7 * (exported[0] / name).stat().st_size
        graph = onnx.load(str(pack.folder / name)).graph
        kinds = {tensor.data_type for tensor in graph.initializer}
        assert (TensorProto.FLOAT16 if precision is FP16 else TensorProto.INT8) in kinds
        assert graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    told = CliRunner().invoke(app, ["pack", "info", str(pack.folder)]).stdout
    assert f"precision  {precision.name}" in told and "in fp32 audio" in told
    assert "parity decisions same_species" in told and "parity audio least 0.9" in told


@pytest.mark.usefixtures("quick")
def test_what_is_checked_is_of_other_sources_than_what_was_fitted_on(tiny: Tiny) -> None:
    manifest = read_manifest(tiny.manifest, read_taxa(tiny.taxa))
    calibrating, checking = apart(manifest)
    for kind in ("recordings", "photos"):
        fitted, checked = ({sample.source for sample in getattr(part, kind)} for part in (calibrating, checking))
        assert fitted and checked and not fitted & checked
        assert len(getattr(calibrating, kind)) + len(getattr(checking, kind)) == len(getattr(manifest, kind))


def test_with_too_little_to_do_both_nothing_is_lowered(tiny: Tiny) -> None:
    manifest = read_manifest(tiny.manifest, read_taxa(tiny.taxa))
    one = Manifest(manifest.path, manifest.taxa, manifest.recordings[:1], manifest.photos[:1])
    with pytest.raises(ExportError, match="too few recordings or photos"):
        apart(one)


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


@pytest.mark.usefixtures("quick")
def test_other_names_for_recordings_leave_no_pack(
    tiny: Tiny, stage2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_pack, "convert", lambda path, *_: roll(path) if path.name == "audio.onnx" else [])
    monkeypatch.setitem(precisions.PRECISIONS, "fp16", precisions.Precision("fp16", -1.0, 0.99))
    ended = lowered("fp16", tiny, stage2, tmp_path / "packs" / "new")
    assert ended.code == 3 and "the same species as the checkpoint for 0." in ended.lines()[-1]
    assert list((tmp_path / "packs").iterdir()) == []


def test_a_precision_that_does_not_exist_is_answered_with_those_that_do(
    tiny: Tiny, stage2: Path, tmp_path: Path
) -> None:
    ended = lowered("fp8", tiny, stage2, tmp_path / "pack")
    assert ended.code == 2 and "choose fp32, fp16, int8" in ended.lines()[-1]
