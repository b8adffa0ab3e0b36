"""Classifiers that a user brings become packs that answer as they do, or are refused in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edgeapp.cli import app
from edgeapp.pack.format import Pack
from edgeapp.runtime.encoders import AudioEncoder
from export.cli import main
from gallery import Gallery
from tests.conftest import PROJECT
from tests.export.trunk.classifiers import CLASSES, DIM, RATE_HZ, WINDOW_S, birdnet3, perch, run, sounds
from tests.trainer.tiny import Ended, call

FORM = ("--rate", RATE_HZ, "--window-s", WINDOW_S)


def export(given: tuple[Path, Path], out: Path, *words: object) -> Ended:
    model, labels = given
    form = () if "--rate" in words else FORM
    return call(main, "trunk", model, "--labels", labels, "--out", out, *form, *words)


def confidences(pack: Path, heard: np.ndarray, clip: Path) -> dict[str, list[float]]:
    """Species -> confidence in each window, as `identify` gives them."""
    soundfile.write(clip, heard.reshape(-1), RATE_HZ, subtype="FLOAT")
    done = CliRunner().invoke(app, ["identify", str(clip), "--pack", str(pack), "--format", "json", "--top", "9"])
    assert done.exit_code == 0, done.output
    found: dict[str, list[float]] = {}
    for window in json.loads(done.stdout)["windows"]:
        for one in window["species"]:
            found.setdefault(one["scientific_name"], []).append(one["confidence"])
    return found


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-z)))


def test_birdnet_3_gives_its_own_probabilities(tmp_path):
    given, heard = birdnet3(tmp_path), sounds(4)
    ended = export(given, tmp_path / "pack", "--name", "v3", "--licence", "CC BY-NC-SA 4.0")
    assert ended.code == 0 and "5 classes, 12 dimensions, output Sigmoid; 4 species" in ended.err, ended.err
    pack = Pack.load(tmp_path / "pack")
    assert (pack.name, pack.preset, pack.dim, pack.licence) == ("v3", "trunk", DIM, "CC BY-NC-SA 4.0")
    assert (pack.audio.rate_hz, pack.audio.window_s, pack.audio.unit) == (RATE_HZ, WINDOW_S, False)
    np.testing.assert_allclose(AudioEncoder(pack).encode(heard), run(given[0], heard, "embeddings"), atol=1e-5)
    found, wanted = confidences(pack.folder, heard, tmp_path / "clip.wav"), run(given[0], heard, "predictions")
    for name, column in (("Parus major", 0), ("Bufo bufo", 1), ("Lyrurus tetrix", 2), ("Gryllus campestris", 4)):
        np.testing.assert_allclose(found[name], wanted[:, column], atol=1e-4)
    assert len(found) == 4


@pytest.mark.parametrize("form", [{}, {"gemm": True}, {"half": True}], ids=["product", "gemm", "float16"])
def test_perch_2_gives_the_sigmoid_of_its_logits(tmp_path, form):
    given, heard = perch(tmp_path, **form), sounds(4)
    ended = export(given, tmp_path / "pack")
    assert ended.code == 0 and "output logits;" in ended.err, ended.err
    found, wanted = confidences(tmp_path / "pack", heard, tmp_path / "clip.wav"), run(given[0], heard, "label")
    np.testing.assert_allclose(found["Parus major"], sigmoid(wanted[:, 0]), atol=1e-4)
    # Known by a synonym; and what is no species is left out.
    assert set(found) == {"Parus major", "Bufo bufo", "Lyrurus tetrix", "Gryllus campestris"}


@pytest.mark.parametrize("form", [{"head": "Softmax"}, {}], ids=["in the graph", "named"])
def test_classes_that_share_one_confidence_keep_it(tmp_path, form):
    given, heard = perch(tmp_path, **form), sounds(4)
    assert export(given, tmp_path / "pack", *(() if form else ("--softmax",))).code == 0
    logits = run(perch(tmp_path)[0], heard, "label")[:, [0, 1, 2, 4]]  # over species alone
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = confidences(tmp_path / "pack", heard, tmp_path / "clip.wav")
    first = shares.argmax(axis=1)
    names = np.array(["Parus major", "Bufo bufo", "Lyrurus tetrix", "Gryllus campestris"])
    for number, (row, share) in enumerate(zip(first, shares)):
        assert found[names[row]][number] == pytest.approx(share[row], abs=1e-3)


def test_sound_with_a_channel_is_taken_too(tmp_path):
    given, heard = perch(tmp_path, shape=("batch", 1, 6_400)), sounds(3)
    assert export(given, tmp_path / "pack").code == 0
    vectors = AudioEncoder(Pack.load(tmp_path / "pack")).encode(heard)
    np.testing.assert_allclose(vectors, run(given[0], heard, "embedding"), atol=1e-5)


def test_outputs_can_be_named(tmp_path):
    given = perch(tmp_path, outputs=("a", "", "", "b"))
    assert export(given, tmp_path / "pack", "--embedding", "a", "--logits", "b").code == 0
    pack = Pack.load(tmp_path / "pack")
    with Gallery.open(pack.gallery_path(), pack.identity) as gallery:
        entries = gallery.entries("audio")
    assert len(entries) == 4 and all(entry.logit_scale is not None for entry in entries)
    assert pack.parity["audio"]["difference"] < 1e-4 and pack.parity["audio"]["same_first"] == 1.0


def test_the_embedding_need_not_be_an_output(tmp_path):
    given, heard = birdnet3(tmp_path, outputs=("", "", "", "predictions")), sounds(2)
    assert export(given, tmp_path / "pack").code == 0
    assert AudioEncoder(Pack.load(tmp_path / "pack")).encode(heard).shape == (2, DIM)


def refused(given: tuple[Path, Path], tmp_path: Path, *words: object) -> str:
    """The one line it ends with; nothing is written."""
    room = tmp_path / "room"
    room.mkdir(exist_ok=True)
    ended = export(given, room / "pack", *words)
    assert ended.code in (2, 3) and list(room.iterdir()) == [], ended.err
    assert ended.lines()[-1].startswith("error: ") and "; " in ended.lines()[-1]
    return ended.lines()[-1]


def test_outputs_that_are_not_there_are_refused_with_those_that_are(tmp_path):
    given = perch(tmp_path)
    line = refused(given, tmp_path, "--logits", "classes")
    assert "has no output 'classes'; name one of label, embedding, spatial_embedding, spectrogram" in line
    assert "has no output 'vector'" in refused(given, tmp_path, "--embedding", "vector")
    assert "'spectrogram' is not the input of its last layer" in refused(given, tmp_path, "--embedding", "spectrogram")


def test_a_classifier_without_a_linear_last_layer_is_refused(tmp_path):
    line = refused(perch(tmp_path, last="prototypes"), tmp_path)
    assert "its classes come from ReduceL2, not from a linear layer" in line


def test_labels_of_another_model_are_refused(tmp_path):
    model, labels = perch(tmp_path)
    labels.write_text("name\nParus major\nBufo bufo\n")
    assert "5 classes for 2 labels" in refused((model, labels), tmp_path)
    labels.write_text("")
    assert "has no labels" in refused((model, labels), tmp_path)
    labels.write_text("a,b\n1,2\n")
    assert "no column has scientific names; call it scientific_name" in refused((model, labels), tmp_path)
    labels.write_text("one\n" + "Noise\n" * 5)
    assert "no label" in refused((model, labels), tmp_path) or "classes for" in refused((model, labels), tmp_path)


def test_another_window_than_the_graphs_is_refused(tmp_path):
    line = refused(perch(tmp_path), tmp_path, "--rate", 48_000, "--window-s", 3)
    assert "takes 6400 samples, not 144000; correct --window-s and --rate" in line


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    model, labels = perch(tmp_path)
    model.write_bytes(model.read_bytes()[:700])
    assert "is not an ONNX file, or is damaged" in refused((model, labels), tmp_path)
    assert "No such file" in refused((tmp_path / "none.onnx", labels), tmp_path)


def edited(given: tuple[Path, Path], change: Callable[[onnx.ModelProto], object]) -> tuple[Path, Path]:
    """The classifier with its graph changed."""
    model = onnx.load(str(given[0]))
    change(model)
    onnx.save_model(model, str(given[0]))
    return given


def set_constant(model: onnx.ModelProto, name: str, value: float) -> None:
    """Give the first number of a constant a value."""
    [tensor] = [one for one in model.graph.initializer if one.name == name]
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(array, name))


@pytest.mark.parametrize(("name", "value"), [("weights", np.nan), ("bias", np.inf)])
def test_a_last_layer_that_is_not_finite_is_refused(tmp_path, name, value):
    given = edited(birdnet3(tmp_path), lambda model: set_constant(model, name, value))
    assert "the last layer has weights that are not finite; " in refused(given, tmp_path)


def test_an_embedding_that_is_not_finite_is_not_called_a_batch(tmp_path):
    given = edited(birdnet3(tmp_path), lambda model: set_constant(model, "dense", np.nan))
    assert "gives values that are not finite for the bundled example; " in refused(given, tmp_path)


def test_a_bias_of_another_size_is_refused(tmp_path):
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.ones(DIM, np.float32), "long_bias"))
        [last] = [node for node in model.graph.node if node.op_type == "Gemm"]
        last.input[2] = "long_bias"

    assert "bias of the last layer does not fit" in refused(edited(birdnet3(tmp_path), change), tmp_path)


@pytest.mark.parametrize("keep_io_types", [True, False], ids=["float32 sound", "float16 sound"])
def test_a_classifier_in_float16_is_taken(tmp_path, keep_io_types):
    float16 = pytest.importorskip("onnxruntime.transformers.float16")
    model, labels = birdnet3(tmp_path)
    heard = sounds(4)
    wanted = run(model, heard, "predictions")
    onnx.save(float16.convert_float_to_float16(onnx.load(str(model)), keep_io_types=keep_io_types), str(model))
    ended = export((model, labels), tmp_path / "pack")
    assert ended.code == 0, ended.err
    found = confidences(tmp_path / "pack", heard, tmp_path / "clip.wav")
    np.testing.assert_allclose(found["Parus major"], wanted[:, 0], atol=0.02)


def test_nodes_in_any_order_are_taken(tmp_path):
    def turn(model: onnx.ModelProto) -> None:
        nodes = [*model.graph.node][::-1]
        model.graph.ClearField("node")
        model.graph.node.extend(nodes)

    assert export(edited(birdnet3(tmp_path), turn), tmp_path / "pack").code == 0


def test_an_input_that_nothing_takes_is_passed_over(tmp_path):
    def change(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("rate", TensorProto.INT64, [1]))

    assert export(edited(birdnet3(tmp_path), change), tmp_path / "pack").code == 0


def test_external_weights_are_read_from_beside_the_file(tmp_path):
    given = birdnet3(tmp_path)
    whole = onnx.load(str(given[0]))
    one = {"save_as_external_data": True, "all_tensors_to_one_file": True, "location": "w.bin", "size_threshold": 0}
    onnx.save_model(whole, str(given[0]), **one)
    assert export(given, tmp_path / "pack").code == 0
    (tmp_path / "w.bin").rename(tmp_path / "elsewhere.bin")
    line = refused(given, tmp_path)
    assert "its weights cannot be read (" in line and "put the file that came with it beside it" in line


def test_a_fixed_batch_is_said_in_one_line(tmp_path, capfd):
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array([1, 8], np.int64), "single"))
        [place] = [place for place, node in enumerate(model.graph.node) if node.output[0] == "inner"]
        model.graph.node[place].input[0] = "fixed"
        model.graph.node.insert(place, helper.make_node("Reshape", ["mean", "single"], ["fixed"]))

    assert refused(edited(birdnet3(tmp_path), change), tmp_path).endswith(
        "has no dynamic batch; export it with a dynamic batch size"
    )
    assert capfd.readouterr().err == ""  # ONNX Runtime's own log


def test_softmax_contradicts_a_sigmoid_in_the_graph(tmp_path):
    assert "ends with a sigmoid" in refused(birdnet3(tmp_path), tmp_path, "--softmax")


BLOCKED = """
import sys
for name in ("torch", "tensorflow", "trainer"):
    sys.modules[name] = None
sys.argv[0] = "export"
from export.__main__ import main
main()
"""


def test_torch_is_not_needed(tmp_path):
    model, labels = birdnet3(tmp_path)
    words = ["trunk", model, "--labels", labels, *FORM, "--out", tmp_path / "pack"]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("rate", "window"), [(RATE_HZ, "inf"), (RATE_HZ, "nan"), (RATE_HZ, "1e12"), (7, WINDOW_S)])
def test_a_window_that_no_encoder_has_is_refused(rate, window, tmp_path):
    said = refused(perch(tmp_path), tmp_path, "--rate", rate, "--window-s", window)
    assert "--rate must be 1000 to 1000000, and --window-s 0.05 to 300" in said


def test_a_graph_that_goes_round_in_a_circle_is_refused(tmp_path):
    given = perch(tmp_path)
    model = onnx.load(str(given[0]))
    model.graph.node.append(helper.make_node("Identity", ["there"], ["back"]))
    model.graph.node.append(helper.make_node("Identity", ["back"], ["there"]))
    model.graph.output.append(helper.make_tensor_value_info("there", TensorProto.FLOAT, ["n", CLASSES]))
    onnx.save_model(model, str(given[0]))
    assert "goes round in a circle" in refused(given, tmp_path, "--logits", "there")


def test_a_window_with_more_samples_than_a_pack_takes_is_refused(tmp_path):
    assert "give more than 16777216 samples" in refused(
        perch(tmp_path), tmp_path, "--rate", 1_000_000, "--window-s", 300
    )
