"""Small classifiers in BirdNET's form, converted and compared with TensorFlow Lite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.errors import ExportError
from export.tflite.channels import CHANNELS
from export.tflite.convert import Converted, convert, convert_whole
from export.tflite.reader import read_model
from tests.export.tflite.network import (
    BANDS,
    CLASSES,
    EMBEDDING,
    HIDDEN,
    LOW,
    SAMPLES,
    SPECTROGRAMS,
    Network,
    birdnet,
    occurrence,
    sounds,
    tensorflow_lite,
)

PLACES = np.array([[42.5, -76.45, 4], [52.5, 13.4, 20], [-30.0, 150.0, 48], [0.0, 0.0, -1]], np.float32)


def run(model: onnx.ModelProto, inputs: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: inputs})[0])


def logits(converted: Converted, inputs: np.ndarray) -> np.ndarray:
    return np.asarray(run(converted.model, inputs) @ converted.weights.T + converted.bias)


@pytest.mark.parametrize("form", ["birdnet", "hidden", "low", "uneven"])
def test_a_classifier_gives_what_tensorflow_lite_gives(tmp_path, form):
    kind = {} if form == "birdnet" else {form: True}
    path, heard = birdnet(tmp_path / "net.tflite", seed=1 if form == "uneven" else 0, **kind), sounds()
    converted = convert(read_model(path))
    dim = HIDDEN if form == "hidden" else EMBEDDING
    assert (converted.samples, converted.dim, converted.head) == (SAMPLES, dim, "")
    assert converted.weights.shape == (CLASSES, converted.dim)
    wanted = tensorflow_lite(path, heard)
    assert np.ptp(wanted, axis=0).max() > 0.05  # the sounds are told apart
    np.testing.assert_allclose(logits(converted, heard), wanted, atol=1e-5)


def test_a_loud_offset_does_not_cost_digits(tmp_path):
    path, heard = birdnet(tmp_path / "net.tflite"), sounds() * 1e-3 + 0.7
    wanted = tensorflow_lite(path, heard)
    np.testing.assert_allclose(logits(convert(read_model(path)), heard), wanted, atol=1e-3)


def test_windows_of_a_batch_do_not_mix(tmp_path):
    model = convert(read_model(birdnet(tmp_path / "net.tflite"))).model
    heard = sounds(5)
    single = np.concatenate([run(model, one[None]) for one in heard])
    np.testing.assert_allclose(run(model, heard), single, atol=1e-6)
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["n", SAMPLES]


def test_no_transform_and_hardly_a_transposition_is_left(tmp_path):
    model = convert(read_model(birdnet(tmp_path / "net.tflite"))).model
    codes = [node.op_type for node in model.graph.node]
    assert not {"DFT", "STFT", "Cast", "Shape", "Loop"} & set(codes)
    assert codes.count("Transpose") <= 1
    assert {opset.version for opset in model.opset_import} == {17}
    stored = {tensor.name for tensor in model.graph.initializer}
    assert stored <= {name for node in model.graph.node for name in node.input}


def test_a_spectrogram_is_one_convolution_of_its_hop(tmp_path):
    model = convert(read_model(birdnet(tmp_path / "net.tflite"))).model
    strides = [
        list(attribute.ints)
        for node in model.graph.node
        if node.op_type == "Conv"
        for attribute in node.attribute
        if attribute.name == "strides" and len(attribute.ints) == 1
    ]
    assert strides == [[72], [74]]


def test_filters_of_low_bands_work_on_blocks_of_sound(tmp_path):
    model = convert(read_model(birdnet(tmp_path / "net.tflite", low=True))).model
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    [basis] = [stored[node.input[1]] for node in model.graph.node if node.op_type == "MatMul"]
    first, second = [stored[node.input[1]] for node in model.graph.node if node.op_type == "Conv"][:2]
    length, hop = LOW
    assert hop % basis[0] == 0 and basis[1] == first[1] < basis[0]
    assert first[0] == BANDS and first[3] == -(-length // basis[0])
    assert basis[1] * (hop + BANDS * first[3]) < BANDS * length / 2
    assert second == (BANDS, 1, SPECTROGRAMS[1][0])  # its bands are too wide


def test_bands_are_scaled_instead_of_the_sound(tmp_path):
    model = onnx.shape_inference.infer_shapes(convert(read_model(birdnet(tmp_path / "net.tflite"))).model)
    sizes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in model.graph.value_info}
    of_sound = [node.op_type for node in model.graph.node if sizes.get(node.output[0], [0])[-1] == SAMPLES]
    assert sorted(of_sound) == ["Sub", "Sub", "Unsqueeze"]  # less the minimum, for the range; less the mean


def test_channels_are_added_where_they_are_no_whole_block(tmp_path):
    model = convert(read_model(birdnet(tmp_path / "net.tflite", uneven=True))).model
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = [stored[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]
    images = [one for one in weights if one.ndim == 4]
    assert [one.shape[:2] for one in images[:2]] == [(CHANNELS, 2), (8, 2 * CHANNELS)]  # 6 channels, pooled twice
    assert not images[0][6:].any() and not images[1][:, [*range(6, CHANNELS), *range(CHANNELS + 6, 32)]].any()
    gates = [one.shape[:2] for one in images if one.shape[2:] == (1, 1)][:2]
    assert gates == [(CHANNELS, 8), (8, CHANNELS)]  # 3 channels


@pytest.mark.parametrize("head", ["LOGISTIC", "SOFTMAX"])
def test_what_follows_the_last_layer_is_told(tmp_path, head):
    path, heard = birdnet(tmp_path / "net.tflite", head=head), sounds()
    converted = convert(read_model(path))
    assert converted.head == head
    z = logits(converted, heard)
    given = 1 / (1 + np.exp(-z)) if head == "LOGISTIC" else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(given, tensorflow_lite(path, heard), atol=1e-5)


def test_a_model_of_occurrence_is_converted_whole(tmp_path):
    path = occurrence(tmp_path / "range.tflite", 7)
    model = convert_whole(read_model(path), "range", "occurrence")
    assert [one.name for one in model.graph.output] == ["occurrence"]
    np.testing.assert_allclose(run(model, PLACES), tensorflow_lite(path, PLACES), atol=1e-5)


@pytest.mark.parametrize("activation", ["RELU", "HARD_SWISH", "LEAKY_RELU", "TANH", "ABS", "NEG", "EXP", "SQUARE"])
def test_operators_of_other_classifiers_are_converted(tmp_path, activation):
    path, heard = birdnet(tmp_path / "net.tflite", activation=activation), sounds()
    np.testing.assert_allclose(logits(convert(read_model(path)), heard), tensorflow_lite(path, heard), atol=2e-4)


@pytest.mark.parametrize("code", ["ELU", "custom FlexErf"])
def test_an_unknown_operator_is_refused_by_name(tmp_path, code):
    path = birdnet(tmp_path / "net.tflite", activation=code)
    with pytest.raises(ExportError, match=f"operator {code} is not supported; ") as caught:
        convert(read_model(path))
    assert str(path) in caught.value.what and caught.value.exit_code == 2


def test_what_is_no_classifier_of_sound_is_refused(tmp_path):
    net = Network()
    picture = net.tensor((1, 8, 8, 3))
    path = net.write(tmp_path / "picture.tflite", [picture], [net.op("RELU", [picture], (1, 8, 8, 3))])
    with pytest.raises(ExportError, match=r"takes \[1, 8, 8, 3\], not float32 sound"):
        convert(read_model(path))
    net = Network()
    sound = net.tensor((1, 40))
    path = net.write(tmp_path / "filter.tflite", [sound], [net.op("RELU", [sound], (1, 40))])
    with pytest.raises(ExportError, match="does not end with a linear layer over the classes"):
        convert(read_model(path))


def test_a_transform_of_another_kind_is_refused(tmp_path: Path):
    net = Network()
    sound = net.tensor((1, 256))
    wide = net.op("EXPAND_DIMS", [sound, net.constant(1, np.int32)], (1, 1, 256))
    turned = net.op("RFFT2D", [wide, net.constant([1, 256], np.int32)], (1, 1, 129), np.complex64)
    real = net.op("CAST", [turned], (1, 1, 129))
    flat = net.op("RESHAPE", [real, net.constant([-1, 129], np.int32)], (1, 129))
    last = net.op("FULLY_CONNECTED", [flat, net.weights(4, 129), net.weights(4)], (1, 4))
    path = net.write(tmp_path / "net.tflite", [sound], [last])
    with pytest.raises(ExportError, match="RFFT2D of something other than frames"):
        convert(read_model(path))
