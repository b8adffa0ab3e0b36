"""Who runs a graph is chosen in order, capped, checked, and told: never more, and never somebody else unsaid.

ONNX Runtime's sessions are real and on the CPU; what they answer about providers is what onnxruntime-gpu 1.31 answers
where providers load and where they do not. The driver is the twin of `tests.edgeapp.fake_tensorrt`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgeapp.board.machine import available_cores
from edgeapp.errors import DeviceError, EngineError, OutputError, PackError, UsageError
from edgeapp.pack.format import Pack, adopt_gallery
from edgeapp.runtime import ort, session, settings
from edgeapp.runtime.encoders import AudioEncoder, TextEncoder
from edgeapp.runtime.settings import CPU, CUDA, TENSORRT, RunSettings
from edgeapp.runtime.tensorrt import cuda
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.fake_tensorrt import NO_DEVICE, FakeDriver

LIBRARY = np.linalg._umath_linalg.__file__  # any that loads


class GpuBuild:
    """An onnxruntime-gpu: ``loads`` are the accelerators that come up, ``runs`` those that are given operators."""

    def __init__(self, folder: Path) -> None:
        self._real = onnxruntime.InferenceSession
        self._libraries = folder / "capi"
        self._libraries.mkdir()
        (self._libraries / session.SHARED).symlink_to(LIBRARY)
        self.have(TENSORRT, CUDA)
        self.loads: tuple[str, ...] = (TENSORRT, CUDA)
        self.runs: tuple[str, ...] = (TENSORRT, CUDA)
        self.asked: list[dict[str, dict[str, str]]] = []
        self.options: list[onnxruntime.SessionOptions] = []
        self.batches: list[int] = []
        self.fault: Exception | None = None
        self.spoil: Callable[[np.ndarray], np.ndarray] = lambda vectors: vectors

    def have(self, *names: str) -> None:
        """What the libraries of these providers want is installed; the others' is not."""
        for name, library in session.LIBRARIES.items():
            at = self._libraries / library
            at.unlink(missing_ok=True)
            if name in names:
                at.symlink_to(LIBRARY)
            else:
                at.write_bytes(b"")

    def session(self, path: str, options: onnxruntime.SessionOptions, providers: list, enable_fallback: int) -> Any:
        print("*** EP Error ***")  # what older ones do on standard output
        assert enable_fallback == 0
        self.asked.append(dict(providers))
        self.options.append(options)
        names = [name for name, _ in providers]
        if TENSORRT in names and TENSORRT not in self.loads:
            raise RuntimeError("Please install TensorRT libraries as mentioned in the GPU requirements page")
        up = [name for name in names if name == CPU or name in self.loads]
        first = next(name for name in (*up, CPU) if name == CPU or name in self.runs)
        if first == TENSORRT:
            at = Path(dict(providers)[TENSORRT]["trt_engine_cache_path"]) / "TensorrtExecutionProvider_x_sm87.engine"
            if not at.exists():
                at.write_bytes(b"plan")
        inner = self._real(path, options, providers=[CPU])
        fallback = [True]

        def run(outputs, inputs):
            if first == CPU:
                return inner.run(outputs, inputs)
            assert not fallback[0], "it would change to the CPU in the middle of a run"
            if self.fault is not None:
                raise self.fault
            self.batches.extend(len(values) for values in inputs.values())
            return [self.spoil(vectors) if first == TENSORRT else vectors for vectors in inner.run(outputs, inputs)]

        return SimpleNamespace(
            get_providers=lambda: up,
            get_inputs=inner.get_inputs,
            get_outputs=inner.get_outputs,
            get_provider_graph_assignment_info=lambda: [SimpleNamespace(ep_name=first)],
            disable_fallback=lambda: fallback.__setitem__(0, False),
            run=run,
        )

    @property
    def told(self) -> dict[str, str]:
        """Options of the first provider of the newest session that is not the CPU's alone."""
        return next(iter(next(asked for asked in reversed(self.asked) if len(asked) > 1).values()))


@pytest.fixture
def gpu_build(monkeypatch, tmp_path, kept) -> GpuBuild:
    """An onnxruntime-gpu on a machine with a GPU."""
    build = GpuBuild(tmp_path)
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", build.session)
    monkeypatch.setattr(onnxruntime, "set_default_logger_severity", lambda level: None)
    monkeypatch.setattr(cuda, "load_driver", FakeDriver)
    return build


@pytest.fixture
def no_tensorrt(gpu_build) -> GpuBuild:
    """The same, as most have it: with CUDA alone."""
    gpu_build.have(CUDA)
    return gpu_build


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    settings.warn.cache_clear()
    for name in (settings.PROVIDER_VARIABLE, settings.THREADS_VARIABLE, settings.MEMORY_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pack(toy_pack) -> Pack:
    return Pack.load(toy_pack)


# in order, and told


def test_a_build_for_the_cpu_runs_on_it_and_nothing_is_said(pack, capsys):
    assert AudioEncoder(pack).provider == CPU
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("installed", "ran"), [((TENSORRT, CUDA), TENSORRT), ((TENSORRT,), TENSORRT), ((CUDA,), CUDA), ((), CPU)]
)
def test_tensorrt_comes_first_then_cuda_then_the_cpu(gpu_build, pack, installed, ran):
    gpu_build.have(*installed)
    assert AudioEncoder(pack).provider == ran


def test_a_tensorrt_that_loads_and_does_not_start_leaves_cuda(gpu_build, pack):
    gpu_build.loads = (CUDA,)
    assert AudioEncoder(pack).provider == CUDA


def test_cuda_without_tensorrt_is_no_news(no_tensorrt, pack, capsys):
    AudioEncoder(pack)
    assert capsys.readouterr() == ("", "")


def test_falling_back_to_the_cpu_is_one_line_and_never_on_standard_output(no_tensorrt, pack, capsys):
    no_tensorrt.loads = ()
    assert AudioEncoder(pack).provider == CPU
    assert TextEncoder(pack).provider == CPU
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [  # for both encoders
        "biovita-edge: CUDAExecutionProvider does not run this graph (its libraries load, but there is no GPU, or"
        " another version of CUDA, cuDNN or TensorRT); continuing with CPUExecutionProvider; set"
        " BIOVITA_PROVIDER to cpu if intended"
    ]


def test_without_a_driver_or_a_gpu_no_provider_is_tried(gpu_build, pack, monkeypatch, capsys):
    driver = FakeDriver()
    driver.init = NO_DEVICE
    monkeypatch.setattr(cuda, "load_driver", lambda: driver)
    assert AudioEncoder(pack).provider == CPU and list(gpu_build.asked[0]) == [CPU]
    assert "no NVIDIA GPU responds (no CUDA-capable device is detected)" in capsys.readouterr().err
    with pytest.raises(DeviceError, match="no CUDA-capable device") as caught:
        AudioEncoder(pack, provider="cuda")
    assert caught.value.exit_code == 2


def test_a_provider_that_runs_no_node_is_not_the_one_that_ran(no_tensorrt, pack, capsys):
    no_tensorrt.runs = ()
    assert AudioEncoder(pack).provider == CPU
    assert "it can run none of its operators" in capsys.readouterr().err


def test_an_older_onnxruntime_tells_its_first_provider():
    assert ort.really_ran(SimpleNamespace(get_providers=lambda: [CUDA, CPU])) == CUDA


def test_a_provider_asked_for_by_name_must_run(gpu_build, pack):
    gpu_build.loads = ()
    for provider, name in (("cuda", CUDA), ("tensorrt", TENSORRT)):
        with pytest.raises(DeviceError, match=f"{name} does not run this graph") as caught:
            AudioEncoder(pack, provider=provider)
        assert caught.value.exit_code == 2


def test_a_provider_that_is_not_installed_is_told(pack):
    for provider, name in (("cuda", CUDA), ("tensorrt", TENSORRT)):
        with pytest.raises(DeviceError, match=rf"has no {name}; pip install 'biovita-edge\[gpu\]'"):
            AudioEncoder(pack, provider=provider)


def test_a_library_that_does_not_load_is_named_and_not_tried(gpu_build, pack):
    gpu_build.have()
    with pytest.raises(DeviceError, match=rf"{session.LIBRARIES[CUDA]}: file too short"):
        AudioEncoder(pack, provider="cuda")
    assert not any(CUDA in asked for asked in gpu_build.asked)


def test_the_environment_chooses_and_the_caller_overrules_it(no_tensorrt, pack, monkeypatch):
    monkeypatch.setenv("BIOVITA_PROVIDER", "cpu")
    assert AudioEncoder(pack).provider == CPU
    assert AudioEncoder(pack, provider="auto").provider == CUDA


def test_the_command_takes_the_provider(no_tensorrt, run, record, toy_pack):
    song = record("song.wav", toy.tone(1000))
    told = run("pack", "verify", toy_pack, "--provider", "cuda")
    assert told.exit_code == 0 and "audio on CUDAExecutionProvider, text on CUDAExecutionProvider" in told.stdout
    assert run("identify", song, "--provider", "cuda").exit_code == 0 and CUDA in no_tensorrt.asked[-1]
    no_tensorrt.loads = ()
    failed = run("identify", song, "--provider", "cuda")
    assert failed.exit_code == 2 and failed.stdout == "" and len(failed.stderr.splitlines()) == 1


def test_pack_info_tells_what_runs_it_here(no_tensorrt, run, toy_pack):
    words = ("pack", "info", toy_pack)
    assert f"provider {CUDA}, threads {available_cores()}, runtime onnxruntime" in run(*words).stdout
    here = json.loads(run(*words, "--json").stdout)["runs_here"]
    assert (here["provider"], here["threads"]) == (CUDA, available_cores())


# TensorRT of ONNX Runtime


def test_tensorrt_keeps_engines_of_graphs_apart_and_takes_any_batch(gpu_build, pack, kept):
    AudioEncoder(pack, provider="tensorrt")
    options = gpu_build.told
    folder = Path(options["trt_engine_cache_path"])
    assert options["trt_engine_cache_enable"] == "1" and folder.is_dir()
    assert folder.parent == kept / "onnxruntime"
    assert options["trt_profile_min_shapes"] == "waveform:1x80000"
    assert options["trt_profile_max_shapes"] == "waveform:8x80000"
    TextEncoder(pack, provider="tensorrt")  # same names, other weights: ONNX Runtime would take the same file
    assert Path(gpu_build.told["trt_engine_cache_path"]) != folder


def test_only_the_first_use_of_tensorrt_says_what_it_builds_and_checks(gpu_build, pack, capsys):
    AudioEncoder(pack)
    first, second = capsys.readouterr().err.splitlines()
    assert "TensorRT builds an engine of audio.onnx; this can take minutes" in first
    assert "checked audio.onnx on TensorRT: cosine at least 1.0" in second
    gpu_build.batches.clear()
    AudioEncoder(pack)
    assert capsys.readouterr().err == "" and gpu_build.batches == []


def test_an_engine_that_tensorrt_built_anew_is_checked_anew(gpu_build, pack):
    AudioEncoder(pack)
    (engine,) = Path(gpu_build.told["trt_engine_cache_path"]).glob("*.engine")
    engine.write_bytes(b"another")
    gpu_build.batches.clear()
    AudioEncoder(pack)
    assert gpu_build.batches != []


def test_a_tensorrt_that_is_wrong_is_not_used_and_the_figure_is_told(gpu_build, pack, capsys):
    gpu_build.spoil = lambda vectors: np.roll(vectors, 1, axis=1)
    for _ in range(2):  # it is no better the second time
        settings.warn.cache_clear()
        encoder = AudioEncoder(pack)
        assert encoder.provider == CUDA and encoder.encode(toy.tone(3000)[None])[0].argmax() == 1
        assert "wrong result with TensorRT (cosine 0." in capsys.readouterr().err
    with pytest.raises(EngineError, match=r"cosine 0\.\d{4} with the CPU, below 0\.999") as caught:
        AudioEncoder(pack, provider="tensorrt")
    assert caught.value.exit_code == 3


def test_a_tensorrt_without_a_place_for_its_engine_is_not_used(gpu_build, pack, tmp_path, capsys):
    (tmp_path / "cache").write_text("")
    assert AudioEncoder(pack).provider == CUDA
    assert "Not a directory; continuing without TensorRT" in capsys.readouterr().err
    with pytest.raises(OutputError, match="make it writable"):
        AudioEncoder(pack, provider="tensorrt")


# of the machine, no more than asked for


def test_a_gpu_gets_no_more_inputs_at_once_than_its_memory_is_planned_for(no_tensorrt, pack):
    sounds = np.stack([toy.tone(1000), toy.tone(3000)] * 5)
    vectors = AudioEncoder(pack).encode(sounds)
    assert no_tensorrt.batches == [8, 2]
    assert vectors.argmax(axis=1).tolist() == [0, 1] * 5


def test_float32_on_a_gpu_is_float32(gpu_build, pack, monkeypatch):
    """Not TF32, with which vectors of songs had a cosine of 0.990 with the CPU's."""
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    AudioEncoder(pack, provider="cuda")
    assert gpu_build.told["use_tf32"] == "0"
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    AudioEncoder(pack, provider="tensorrt")
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1"


def test_memory_of_a_gpu_is_capped(gpu_build, pack, monkeypatch):
    size = pack.path("audio.onnx").stat().st_size
    AudioEncoder(pack, provider="cuda")
    assert gpu_build.told["gpu_mem_limit"] == str((1 << 30) + 2 * size)
    monkeypatch.setenv("BIOVITA_GPU_MEMORY_MB", "500")
    AudioEncoder(pack, provider="cuda")
    assert gpu_build.told["gpu_mem_limit"] == str(500 << 20)
    AudioEncoder(pack, provider="tensorrt")
    assert gpu_build.told["trt_max_workspace_size"] == str(500 << 20)


def test_threads_are_those_asked_for_and_do_not_spin(no_tensorrt, pack, monkeypatch):
    AudioEncoder(pack)
    monkeypatch.setenv("BIOVITA_THREADS", "2")
    AudioEncoder(pack)
    AudioEncoder(pack, threads=3)
    assert [one.intra_op_num_threads for one in no_tensorrt.options] == [available_cores(), 2, 3]
    assert no_tensorrt.options[0].get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("BIOVITA_PROVIDER", "gpu", "unknown provider 'gpu'; use one of auto, cpu, cuda"),
        ("BIOVITA_THREADS", "none", "BIOVITA_THREADS is 'none'; set BIOVITA_THREADS to a whole number above 0"),
        ("BIOVITA_GPU_MEMORY_MB", "1 GB", "BIOVITA_GPU_MEMORY_MB is '1 GB'"),
        ("BIOVITA_GPU_MEMORY_MB", "0", "BIOVITA_GPU_MEMORY_MB is '0'"),
    ],
)
def test_a_setting_that_cannot_be_carried_out_is_told(monkeypatch, pack, variable, value, words):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=words) as caught:
        AudioEncoder(pack)
    assert caught.value.exit_code == 2


def test_no_threads_are_refused():
    with pytest.raises(UsageError, match="0 threads"):
        RunSettings.of("cpu", 0)


# faults


def test_a_graph_that_is_none_is_told_after_every_provider_refused_it(gpu_build, toy_copy):
    (toy_copy / "audio.onnx").write_bytes(b"nonsense")
    _hash_again(toy_copy)
    for provider in ("auto", "cpu"):
        with pytest.raises(PackError, match=r"audio\.onnx: cannot be loaded") as caught:
            AudioEncoder(Pack.load(toy_copy), provider=provider)
        assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", ["no ONNX", "not finite"])
def test_a_useless_graph_ends_identify_with_one_line_and_no_file(toy_copy, run, record, tmp_path, fault):
    at, out = toy_copy / "audio.onnx", tmp_path / "out.csv"
    graph = onnx.load(at)
    weights = next(one for one in graph.graph.initializer if one.name == "pairs")
    weights.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(weights), np.nan), "pairs"))
    at.write_bytes(b"nonsense" if fault == "no ONNX" else graph.SerializeToString())
    _hash_again(toy_copy)
    done = run("identify", record("song.wav", toy.tone(1000)), "--pack", toy_copy, "--format", "csv", "--output", out)
    assert done.exit_code == 3 and done.stdout == "" and not out.exists()
    assert len(done.stderr.splitlines()) == 1 and "audio.onnx" in done.stderr
    assert ("cannot be loaded" if fault == "no ONNX" else "not finite") in done.stderr


def _hash_again(folder: Path) -> None:
    """As if the pack had been exported like that."""
    adopt_gallery(Pack.load(folder, verify=False))


def test_a_gpu_that_runs_out_of_memory_at_work_is_told_and_ends_the_run(no_tensorrt, pack):
    encoder = AudioEncoder(pack)
    no_tensorrt.fault = RuntimeError("Failed to allocate memory for requested buffer of size 4096\nmore")
    with pytest.raises(EngineError, match=r"CUDAExecutionProvider cannot run it on 1 inputs \(Failed to") as caught:
        encoder.encode(toy.tone(1000)[None])
    assert "BIOVITA_GPU_MEMORY_MB" in str(caught.value) and caught.value.exit_code == 3


def test_without_onnxruntime_the_remedy_is_told(monkeypatch, pack, run):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PackError, match=r"pip install 'biovita-edge\[cpu\]'"):
        AudioEncoder(pack)
    assert "fault ONNX Runtime is not installed" in run("pack", "info", pack.folder).stdout


def test_spinning_or_not_the_vectors_are_the_same(pack):
    graph, options = str(pack.path("audio.onnx")), onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    (wanted,) = onnxruntime.InferenceSession(graph, options, providers=[CPU]).run(None, {"waveform": toy.noise()[None]})
    np.testing.assert_array_equal(AudioEncoder(pack).encode(toy.noise()[None]), wanted)
