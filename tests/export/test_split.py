"""The two graphs for a processor: the same vectors as the checkpoint, and hardly any bytes of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from edgeapp.pack.format import Pack
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.frames import SplitEncoder
from export.graphs import folded
from export.split import MIN_BYTES, join_first_block, stored_in
from tests.export.test_pack import SAMPLES, Exported, export
from tests.trainer.tiny import Tiny
from trainer import checkpoint
from trainer.models.efficientat import MobileNetAudio


def test_the_two_graphs_are_the_checkpoint(exported: Exported, run_folder: Path) -> None:
    pack, model = Pack.load(exported[0]), checkpoint.load(run_folder / "stage2").model
    assert pack.audio.split is not None and pack.parity["split"]["least"] >= 0.9999
    rng = np.random.default_rng(2)
    sound = rng.standard_normal((4, SAMPLES)).astype(np.float32) * np.array([[1.0], [1e-3], [0.0], [0.1]], np.float32)
    sound[3] += 0.5
    with torch.no_grad():
        wanted = model.audio(torch.from_numpy(sound)).numpy()
    given = AudioEncoder(pack, 1, "cpu").encode(sound)
    assert (wanted * given).sum(axis=1).min() > 1 - 1e-5


def test_both_keep_their_weights_in_the_whole_graph(exported: Exported) -> None:
    joined = {f"audio.stem.{layer}.weight" for layer in ("0.0", "1.0", "2.block.0.0")}  # by `join_first_block`
    for name, least, own in (("trunk.onnx", 60, joined), ("front.onnx", 5, {"offset"})):
        graph = onnx.load(str(exported[0] / name), load_external_data=False).graph
        elsewhere = [one for one in graph.initializer if one.data_location == TensorProto.EXTERNAL]
        places = {entry.value for one in elsewhere for entry in one.external_data if entry.key == "location"}
        assert places == {"audio.onnx"} and len(elsewhere) >= least
        assert {one.name for one in graph.initializer if len(one.raw_data) >= MIN_BYTES} == own  # and no other weights
    sizes = {path.name: path.stat().st_size for path in exported[0].glob("*.onnx")}
    assert sizes["trunk.onnx"] + sizes["front.onnx"] < 0.05 * sizes["audio.onnx"]


def test_a_tensor_that_the_other_file_does_not_hold_stays(tmp_path: Path) -> None:
    held, own = (onnx.numpy_helper.from_array(np.full(400, value, np.float32), str(value)) for value in (1, 2))
    other = tmp_path / "audio.onnx"
    other.write_bytes(b"\0" * 7 + held.raw_data)
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [held, own]))
    first, second = stored_in(model, other).graph.initializer
    assert {entry.key: entry.value for entry in first.external_data}["offset"] == "7" and not first.raw_data
    assert not second.external_data and len(second.raw_data) == 1600


def test_joining_the_first_block_changes_nothing() -> None:
    torch.manual_seed(0)
    stem = folded(MobileNetAudio().features[:4])
    assert isinstance(stem, torch.nn.Sequential)
    log_mel = torch.randn(2, 1, 128, 100) * 3
    with torch.no_grad():
        wanted = stem(log_mel)
        join_first_block(stem)
        given = stem(log_mel)
    assert stem[0][0].out_channels == 16 and torch.allclose(wanted, given, atol=1e-4 * float(wanted.abs().max()))


def test_a_trunk_that_gives_other_vectors_leaves_no_pack(
    tiny: Tiny, stage2: Path, tmp_path: Path, quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = SplitEncoder.encode
    monkeypatch.setattr(SplitEncoder, "encode", lambda self, window: np.roll(encode(self, window), 1, axis=1))
    ended = export(tiny, stage2, tmp_path / "wrong")
    assert ended.code != 0 and "trunk.onnx: cosine" in ended.err and not (tmp_path / "wrong").exists()
