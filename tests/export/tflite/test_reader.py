"""TFLite files read, and refused in one line when they are damaged."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from export.errors import ExportError
from export.tflite.convert import convert
from export.tflite.reader import read_model
from tests.export.tflite.network import CLASSES, SAMPLES, birdnet


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return birdnet(tmp_path_factory.mktemp("classifier") / "net.tflite")


def test_operators_are_read_with_their_options(classifier):
    model = read_model(classifier)
    codes = Counter(one.code for one in model.operators)
    assert codes["RFFT2D"] == 2 and codes["DEPTHWISE_CONV_2D"] == 1
    first = next(one for one in model.operators if one.code == "CONV_2D")
    assert (first.options["StrideH"], first.options["Padding"]) == (2, 0)
    assert model.tensors[model.inputs[0]].shape == (1, SAMPLES)
    assert model.tensors[model.outputs[0]].shape == (1, CLASSES)


def test_constants_are_read_as_they_were_stored(classifier):
    model = read_model(classifier)
    last = model.operators[-1]
    weights = model.tensors[last.inputs[1]]
    assert weights.data is not None and weights.data.dtype == np.float32 and weights.data.shape == (CLASSES, 16)


def test_a_file_cut_short_is_named(classifier, tmp_path):
    data = classifier.read_bytes()
    path = tmp_path / "cut.tflite"
    for share in (0.0, 0.0002, 0.001, 0.1, 0.35, 0.6, 0.9, 0.99):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ExportError) as caught:
            convert(read_model(path))
        assert str(path) in caught.value.what and caught.value.remedy and "\n" not in str(caught.value), share


def test_what_is_no_tflite_file_is_refused(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"PK\x03\x04 something else entirely")
    with pytest.raises(ExportError, match="is not a TFLite file; name a .tflite file"):
        read_model(path)
    with pytest.raises(ExportError, match="No such file"):
        read_model(tmp_path / "nowhere.tflite")
    with pytest.raises(ExportError, match="Is a directory"):
        read_model(tmp_path)


def test_without_the_reader_the_extra_is_named(classifier, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(ExportError, match=r"pip install 'biovita-edge\[birdnet\]'"):
        read_model(classifier)
