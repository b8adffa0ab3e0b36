"""Windows that share frames get the vectors they would get alone, and every frame is made once."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from edgeapp.audio.file import FileSource
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.resample import resampled
from edgeapp.audio.windows import Level, Window, windows
from edgeapp.errors import PackError
from edgeapp.pack.format import Pack
from edgeapp.paths import STARTER_PACK
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.frames import SplitEncoder
from edgeapp.runtime.settings import CPU, RunSettings

NEAR = 1 - 2e-6  # what float32 leaves of a cosine of one after some hundred layers
RATE_HZ = 32_000


@pytest.fixture(scope="module")
def pack(starter_pack) -> Pack:
    return Pack.load(STARTER_PACK, verify=False)


@pytest.fixture(scope="module")
def split(pack) -> SplitEncoder:
    return SplitEncoder(pack, pack.audio.split, RunSettings("cpu", 1))


@pytest.fixture(scope="module")
def whole(pack) -> AudioEncoder:
    """The encoder of a pack made before there were two graphs."""
    return AudioEncoder(replace(pack, audio=replace(pack.audio, split=None)), 1, "cpu")


def song(seconds: float, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """Noise that swells by 40 dB, so that windows that share frames have other levels."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate_hz)
    swelling = 10 ** np.interp(np.arange(n), np.linspace(0, n, 8), rng.uniform(-3, -1, 8))
    return (rng.standard_normal(n) * swelling).astype(np.float32)


def least(split: SplitEncoder, whole: AudioEncoder, source, hop_s: float = 5.0) -> float:
    """The minimum cosine between vectors of shared frames and of the whole graph, over the windows of a source."""
    cut = list(windows(resampled(source, RATE_HZ), hop_s=hop_s))
    wanted = whole.encode(np.stack([window.samples for window in cut]))
    given = np.concatenate([split.encode(window) for window in split.sharing(iter(cut))])
    assert len(given) == len(cut)
    return float((wanted.astype(np.float64) * given).sum(axis=1).min())


@pytest.mark.parametrize("hop_s", [5.0, 2.5, 1.0, 3.333, 9.99, 10.0, 12.0])
def test_whatever_the_hop_the_vectors_are_those_of_the_whole_graph(split, whole, hop_s):
    assert least(split, whole, MemorySource(song(23.7), RATE_HZ), hop_s) > NEAR


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 22_050])
def test_whatever_the_rate_too(split, whole, rate_hz):
    assert least(split, whole, MemorySource(song(21.3, rate_hz), rate_hz)) > NEAR


@pytest.mark.parametrize("seconds", [0.6, 3.0, 10.0, 10.004, 15.0, 15.01])
def test_short_sounds_and_the_last_window_too(split, whole, seconds):
    assert least(split, whole, MemorySource(song(seconds), RATE_HZ)) > NEAR


@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.0, 9.9])
def test_a_sound_that_fills_a_window_by_repetition_is_made_once(split, whole, monkeypatch, seconds):
    asked = []
    front = split.front

    def counted(samples: np.ndarray) -> np.ndarray:
        asked.append(len(samples))
        return front(samples)

    monkeypatch.setattr(split, "front", counted)
    assert least(split, whole, MemorySource(song(seconds), RATE_HZ)) > NEAR
    assert sum(asked) <= (seconds + 0.1) * RATE_HZ


@pytest.mark.parametrize("offset", [0.001, 0.1, 0.9])
def test_the_offset_of_a_sound_card_is_taken_off_behind_the_frames(split, whole, offset):
    drifting = offset * np.linspace(1, 0.5, 20 * RATE_HZ, dtype=np.float32)
    assert least(split, whole, MemorySource(song(20) + drifting, RATE_HZ)) > 1 - 1e-5


def test_recordings_too(split, whole, shared):
    with (shared / "starter" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["modality"] == "audio"][::40]
    for row in rows:
        assert least(split, whole, FileSource(shared / "starter" / row["path"]), 2.5) > NEAR, row["path"]


@pytest.mark.parametrize(("hop_s", "share"), [(5.0, 0.5), (2.5, 0.25), (5.001, 1.0)])
def test_every_frame_is_made_once(split, monkeypatch, hop_s, share):
    made = []
    front = split.front
    monkeypatch.setattr(split, "front", lambda samples: made.append(len(samples)) or front(samples))
    cut = list(windows(MemorySource(song(60), RATE_HZ), hop_s=hop_s))
    for window in split.sharing(iter(cut)):
        window.frames()
    alone = sum(len(window.samples) for window in cut)
    first = len(cut[0].samples)
    assert sum(made) / alone == pytest.approx(share + first / alone * (1 - share), abs=0.02)


def test_shared_frames_are_those_of_the_window_alone(split):
    cut = list(windows(MemorySource(song(30), RATE_HZ), hop_s=2.5))
    for window in split.sharing(iter(cut)):
        alone = split.front(window.samples)
        assert np.abs(window.frames() - alone).max() <= 1e-5 * alone.max()


def test_windows_asked_for_in_any_order_get_the_same(split):
    cut = list(windows(MemorySource(song(30), RATE_HZ), hop_s=2.5))
    forwards = [split.encode(window) for window in split.sharing(iter(cut))]
    backwards = [split.encode(window) for window in list(split.sharing(iter(cut)))[::-1]][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, backwards, strict=True))


def test_threads_change_nothing(pack):
    sound = song(60, 48_000)
    one, four = (
        [result.vector for result in Recogniser(pack, threads=n).windows(MemorySource(sound, 48_000), 2.5)]
        for n in (1, 4)
    )
    assert len(one) == 21 and all(np.array_equal(a, b) for a, b in zip(one, four, strict=True))


def test_the_encoder_of_the_processor_is_the_split_one(pack, monkeypatch):
    asked = []
    monkeypatch.setattr(SplitEncoder, "encode", lambda self, window: asked.append(window) or np.ones((1, pack.dim)))
    AudioEncoder(pack, 1, "cpu").encode(song(10)[None])
    assert [window.level.rms for window in asked] == [Level.of(song(10)).rms]


def test_the_graphs_for_the_processor_take_little_room(pack):
    whole, front, trunk = (
        pack.path(name).stat().st_size for name in (pack.audio.file, pack.audio.split.front, pack.audio.split.trunk)
    )
    assert front + trunk < 0.05 * whole


def test_a_window_without_a_way_to_its_frames_makes_them(split, whole):
    sound = song(10)
    assert float((split.encode(Window(0.0, 10.0, sound)) * whole.encode(sound[None])).sum()) > NEAR


def test_where_only_an_accelerator_was_hoped_for_the_processor_splits_too(pack, monkeypatch, capsys):
    """ONNX Runtime for GPUs on a machine without a driver: it is told, and the processor does it its own way."""
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", CPU])
    encoder = AudioEncoder(pack, 1, "auto")
    assert encoder.provider == CPU and encoder.split is not None


def test_a_pack_without_the_two_graphs_runs_its_one(pack, whole, tmp_path):
    old = shutil.copytree(pack.folder, tmp_path / "old")
    document = json.loads((old / "pack.json").read_text())
    for name in document["audio"].pop("split").values():
        if isinstance(name, str):
            del document["files"][name]
            (old / name).unlink()
    (old / "pack.json").write_text(json.dumps(document))
    encoder = AudioEncoder(Pack.load(old), 1, "cpu")
    cut = list(windows(MemorySource(song(15), RATE_HZ)))
    assert encoder.split is None and list(encoder.sharing(iter(cut))) == cut
    np.testing.assert_array_equal(encoder.hear(cut), whole.encode(np.stack([window.samples for window in cut])))


@pytest.mark.parametrize("missing", ["front.onnx", "trunk.onnx"])
def test_a_pack_that_lacks_one_of_the_two_is_named(pack, tmp_path, missing):
    copy = shutil.copytree(pack.folder, tmp_path / "copy")
    (copy / missing).unlink()
    with pytest.raises(PackError, match=f"{missing} is missing"):
        Pack.load(copy, verify=False)


def test_graphs_whose_weights_are_gone_are_an_error_of_the_pack(pack, tmp_path):
    copy = shutil.copytree(pack.folder, tmp_path / "copy")
    (copy / "audio.onnx").write_bytes(b"short")
    with pytest.raises(PackError, match="front.onnx: cannot be loaded"):
        AudioEncoder(Pack.load(copy, verify=False), 1, "cpu")
