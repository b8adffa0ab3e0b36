"""The image trunk gives what the given ONNX network gives, and refuses another network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.trainer.tiny import Tiny, layers
from trainer.errors import CheckpointError
from trainer.models.mobilenet import FEATURES, MobileNetImage, load_given

WEIGHTS = "inat_bird_mobilenetv2.onnx"


def test_features_are_those_of_the_given_network(shared: Path) -> None:
    with layers():
        trunk = MobileNetImage().eval()
    load_given(trunk, shared / "pretrained" / WEIGHTS)
    image = np.random.default_rng(1).integers(0, 256, (2, 3, 224, 224)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(shared / "pretrained" / WEIGHTS), options)
    (theirs,) = session.run(["features"], {"image": (image - 127.5) / 128})
    with torch.no_grad():
        ours = trunk(torch.from_numpy(image)).numpy()
    assert ours.shape == theirs.shape == (2, FEATURES)
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(theirs).max()


def test_every_layer_is_filled_from_the_file(tiny: Tiny) -> None:
    one, two = MobileNetImage(), MobileNetImage()
    load_given(one, tiny.pretrained / WEIGHTS)
    load_given(two, tiny.pretrained / WEIGHTS)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))


def test_a_network_that_cannot_be_used_is_named(tiny: Tiny, tmp_path: Path) -> None:
    network = onnx.load(str(tiny.pretrained / WEIGHTS))
    del network.graph.initializer[7]  # b3
    onnx.save(network, str(tmp_path / "lacking.onnx"))
    (tmp_path / "text.onnx").write_text("not a network")
    for name, says in (("absent.onnx", "no such file"), ("text.onnx", "not an ONNX model"), ("lacking.onnx", "b3")):
        with pytest.raises(CheckpointError) as error:
            load_given(MobileNetImage(), tmp_path / name)
        assert name in str(error.value) and says in str(error.value) and "\n" not in str(error.value)
