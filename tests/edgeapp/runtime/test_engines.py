"""An engine is built once, checked, fits where it is used, and gives what the graph gives.

On twins of TensorRT and of the driver: what a GPU computes is not tested here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeapp.errors import DeviceError, EngineError, OutputError, PackError
from edgeapp.pack.format import Pack
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.graph import MODALITIES, PackGraph
from edgeapp.runtime.settings import RunSettings
from edgeapp.runtime.tensorrt import cache, cuda
from edgeapp.runtime.tensorrt.build import Library
from edgeapp.runtime.tensorrt.cache import build_engine, open_engine
from edgeapp.runtime.tensorrt.cuda import Gpu
from edgeapp.runtime.tensorrt.file import EngineKey, place_for, read_engine
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.fake_tensorrt import NO_DEVICE, FakeDriver, FakeTensorRT

SETTINGS = RunSettings("engine", 1)


@pytest.fixture
def pack(toy_pack) -> Pack:
    return Pack.load(toy_pack)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_engine_gives_what_the_graph_gives(trt, pack, modality):
    graph = PackGraph.of(pack, modality)
    runner = open_engine(PackGraph.of(pack, modality), "graph", SETTINGS, tell=lambda line: None)
    values = np.random.default_rng(0).integers(2, 8, (graph.batch + 1, *graph.shape))
    values = values.astype(np.int64 if modality == "text" else np.float32)
    trt.batches.clear()
    given = runner.run(values)
    assert trt.batches == [graph.batch, 1]  # never more than the engine takes
    import onnxruntime

    session = onnxruntime.InferenceSession(str(graph.path), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(given, session.run(None, {graph.input: values})[0], atol=1e-6)


def test_the_first_use_builds_checks_and_keeps_and_the_second_only_loads(trt, pack, kept):
    lines = []
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lines.append)
    assert len(trt.built) == 1 and "building an engine of audio.onnx" in lines[0] and "cosine at least 1.0" in lines[-1]
    (name,) = files(kept)
    found = read_engine(kept / name)
    assert list(found.checked) == [Gpu(FakeDriver()).identity.text] and min(found.checked.values()) > 0.9999
    assert name == found.key.file_name and found.key.model_sha256 == pack.files["audio.onnx"]
    lines.clear()
    again = open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lines.append)
    assert len(trt.built) == 1 and lines == []
    assert again.built_s == found.built_s > 0.0


@pytest.mark.parametrize(
    "other", [FakeDriver(name="RTX 3060", compute="8.6"), FakeDriver(cuda=13000), FakeDriver(compute="8.9")]
)
def test_another_gpu_or_driver_has_an_engine_of_its_own(trt, pack, kept, other):
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lambda line: None)
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lambda line: None, gpu=Gpu(other))
    assert len(trt.built) == 2 and len(files(kept)) == 2


def test_another_tensorrt_or_precision_has_an_engine_of_its_own(trt, pack, kept):
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lambda line: None)
    open_engine(PackGraph.of(pack, "audio"), "fp16", SETTINGS, lambda line: None)
    trt.__version__ = "10.4.0"
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lambda line: None)
    assert len(trt.built) == 3 and len(files(kept)) == 3
    strong, lowered, _ = trt.built
    assert trt.BuilderFlag.FP16 in lowered.config.flags and trt.BuilderFlag.FP16 not in strong.config.flags
    assert trt.BuilderFlag.TF32 not in strong.config.flags


def test_the_builder_is_told_the_cap_and_a_profile_of_any_batch(trt, pack):
    open_engine(PackGraph.of(pack, "audio"), "graph", replace(SETTINGS, gpu_memory_mb=300), lambda line: None)
    config = trt.built[0].config
    assert config.workspace == 300 << 20
    assert [shape[0] for shape in config.profiles[0].shapes] == [1, 4, 8]


def test_a_wrong_engine_is_refused_with_the_figure_and_not_kept(trt, pack, kept):
    trt.spoil = lambda vectors: np.roll(vectors, 1, axis=1)
    with pytest.raises(EngineError, match=r"cosine -?0\.\d{4} with the CPU, below 0\.999") as caught:
        open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lambda line: None)
    assert caught.value.exit_code == 3 and files(kept) == []


def test_an_engine_whose_numbers_are_not_finite_is_refused(trt, pack, kept):
    trt.spoil = lambda vectors: vectors * np.nan
    with pytest.raises(EngineError, match="not finite"):
        open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lambda line: None)
    assert files(kept) == []


def test_an_engine_that_turns_wrong_later_is_caught_at_work(trt, pack, monkeypatch):
    monkeypatch.setenv("BIOVITA_PROVIDER", "engine")
    encoder = AudioEncoder(pack)
    assert encoder.provider == "tensorrt 10.3.0 on Orin"
    assert encoder.encode(toy.tone(3000)[None])[0].argmax() == 1
    trt.spoil = lambda vectors: vectors * np.nan
    with pytest.raises(PackError, match="not finite and of unit length on tensorrt 10.3.0 on Orin"):
        encoder.encode(toy.tone(3000)[None])


def test_an_engine_is_used_unasked_and_none_is_built_unasked(trt, pack, capsys):
    assert AudioEncoder(pack).provider == "CPUExecutionProvider"
    assert trt.built == [] and capsys.readouterr() == ("", "")
    built = build_engine(PackGraph.of(pack, "audio"), settings=SETTINGS)
    encoder = AudioEncoder(pack)
    assert encoder.provider == "tensorrt 10.3.0 on Orin" and encoder.engine_built_s == built.built_s
    assert encoder.encode(toy.tone(3000)[None])[0].argmax() == 1
    plain = AudioEncoder(pack, provider="cpu")
    assert plain.provider == "CPUExecutionProvider" and plain.engine_built_s is None


def test_an_engine_that_is_no_longer_usable_leaves_graph_and_a_line(trt, pack, monkeypatch, capsys):
    build_engine(PackGraph.of(pack, "audio"), settings=SETTINGS, tell=lambda line: None)

    def gone(ahead: bool = False) -> Library:
        raise EngineError("TensorRT is not installed", "install it")

    monkeypatch.setattr(cache, "tensorrt_library", gone)
    assert AudioEncoder(pack).provider == "CPUExecutionProvider"
    assert "TensorRT is not installed; continuing without the engine" in capsys.readouterr().err


def test_a_damaged_engine_is_told_and_built_again(trt, pack, kept):
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lambda line: None)
    (name,) = files(kept)
    raw = bytearray((kept / name).read_bytes())
    raw[-1] ^= 1
    (kept / name).write_bytes(raw)
    lines = []
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lines.append)
    assert "was changed since it was built" in lines[0] and len(trt.built) == 2
    read_engine(kept / name).plan()


def test_a_plan_that_tensorrt_does_not_take_is_built_again(trt, pack, kept):
    with place_for(kept, key_here(pack, trt)) as place:
        place.write(b"of somebody else", {Gpu(FakeDriver()).identity.text: 1.0}, 1.5)
    lines = []
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lines.append)
    assert "tensorrt 10.3.0 rejects this engine (Serialization assertion failed)" in lines[0]
    assert len(trt.built) == 1


def key_here(pack: Pack, trt: FakeTensorRT) -> EngineKey:
    graph = PackGraph.of(pack, "audio")
    return cache.key_of(graph, "graph", Library("tensorrt", trt), Gpu(FakeDriver()))


def test_an_engine_of_a_pack_is_checked_on_first_use_without_a_change(trt, toy_copy, kept):
    pack = Pack.load(toy_copy)
    brought = toy_copy / "engines"
    ahead = replace(key_here(pack, trt), gpu="", driver="", compute=("8.6", "8.7"))
    with place_for(brought, ahead) as place:
        place.write(b"plan of " + str(toy_copy / "audio.onnx").encode(), {}, 1.5)
    before = (brought / ahead.file_name).read_bytes()
    lines = []
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lines.append)
    assert trt.built == [] and "checked the audio engine" in lines[0]
    assert (brought / ahead.file_name).read_bytes() == before and files(kept) == [ahead.file_name]
    assert read_engine(kept / ahead.file_name).built_s == 1.5
    lines.clear()
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lines.append)
    assert lines == []


def test_a_wrong_engine_of_a_pack_is_told_and_another_is_built(trt, toy_copy, monkeypatch):
    driver = FakeDriver()
    monkeypatch.setattr(cuda, "load_driver", lambda: driver)
    pack = Pack.load(toy_copy)
    with place_for(toy_copy / "engines", key_here(pack, trt)) as place:
        place.write(b"plan of " + str(toy_copy / "audio.onnx").encode(), {}, 1.5)
    trt.spoil = lambda vectors: vectors if trt.built else -vectors
    lines = []
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lines.append)
    assert "wrong result with TensorRT (cosine -1.0000" in lines[0] and lines[0].endswith("; not used")
    assert len(trt.built) == 1 and len(driver.held) == 1  # the memory of the wrong one was given back


def test_an_engine_of_a_pack_for_another_device_is_named_with_why(trt, toy_copy):
    pack = Pack.load(toy_copy)
    other = replace(key_here(pack, trt), gpu="RTX 3060", compute=("8.6",), version="10.1.0")
    with place_for(toy_copy / "engines", other) as place:
        place.write(b"plan", {}, 1.5)
    lines = []
    open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lines.append)
    assert "version 10.1.0, here 10.3.0" in lines[0] and "gpu RTX 3060, here Orin" in lines[0]
    assert "compute capability 8.6, here 8.7" in lines[0] and len(trt.built) == 1


def test_a_gpu_without_memory_is_told(trt, pack, monkeypatch):
    monkeypatch.setattr(cuda, "load_driver", lambda: FakeDriver(memory=1000))
    with pytest.raises(EngineError, match=r"not enough GPU memory for \d+ MB \(out of memory\)"):
        open_engine(PackGraph.of(pack, "audio"), "graph", SETTINGS, lambda line: None)


def test_a_driver_without_a_gpu_is_told():
    driver = FakeDriver()
    driver.init = NO_DEVICE
    with pytest.raises(DeviceError, match="no CUDA-capable device is detected") as caught:
        Gpu(driver)
    assert caught.value.exit_code == 2


def test_the_command_builds_tells_and_finds_it_the_next_time(trt, run, toy_pack, tmp_path):
    words = ("pack", "build-engine", toy_pack, "--graph", "audio", "--graph", "text", "--folder", tmp_path / "out")
    done = run(*words)
    assert done.exit_code == 0
    assert [Path(line).name for line in done.stdout.split()] == files(tmp_path / "out")
    assert "cosine at least 1.0" in done.stderr and "building an engine of text.onnx" in done.stderr
    again = run(*words)
    assert again.stdout == done.stdout and "exists already" in again.stderr and len(trt.built) == 2
    forced = run(*words, "--force")
    assert forced.stderr.count("building an engine of") == 2  # told again, as if it were the first time
    assert len(trt.built) == 4


def test_a_wrong_word_to_the_command_is_told(trt, run, toy_pack):
    for words, told in (
        (("--graph", "video"), "no graph 'video'"),
        (("--precision", "int4"), "unknown precision 'int4'"),
    ):
        done = run("pack", "build-engine", toy_pack, *words)
        assert done.exit_code == 2 and told in done.stderr


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_built(trt, pack, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="no engine can be written there"):
        build_engine(PackGraph.of(pack, "audio"), settings=SETTINGS, folder=tmp_path / "file")
    assert trt.built == []
