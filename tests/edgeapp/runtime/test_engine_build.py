"""TensorRT builds a pack's graphs, or says in one line why not.

With the real TensorRT-RTX, which builds for a GPU that is not there.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgeapp.errors import DeviceError, EngineError, UsageError
from edgeapp.pack.format import Pack
from edgeapp.paths import STARTER_PACK
from edgeapp.runtime.encoders import TextEncoder
from edgeapp.runtime.graph import MODALITIES, PackGraph
from edgeapp.runtime.settings import RunSettings, driver_is_there
from edgeapp.runtime.tensorrt import build, cache
from edgeapp.runtime.tensorrt.build import Library, build_plan, load_plan, tensorrt_library
from edgeapp.runtime.tensorrt.cache import build_engine
from edgeapp.runtime.tensorrt.file import read_engine
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.fake_tensorrt import FakeTensorRT

SETTINGS = RunSettings("engine", 1)

pytestmark = pytest.mark.usefixtures("kept")
rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="TensorRT-RTX is not installed (pip install tensorrt_rtx_cu13)",
)
no_gpu = pytest.mark.skipif(driver_is_there(), reason="this machine has an NVIDIA driver")


@pytest.fixture
def pack(toy_pack) -> Pack:
    return Pack.load(toy_pack)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# without TensorRT, without a GPU


def test_without_tensorrt_the_remedy_is_told(monkeypatch, run, toy_pack):
    for _, module in build.MODULES:
        monkeypatch.setitem(sys.modules, module, None)
    done = run("pack", "build-engine", toy_pack)
    assert done.exit_code == 3 and "TensorRT is not installed; JetPack brings it" in done.stderr
    done = run("pack", "build-engine", toy_pack, "--target", "8.6")
    assert done.exit_code == 3 and "pip install tensorrt_rtx_cu13" in done.stderr


def test_a_tensorrt_that_does_not_load_is_told(monkeypatch, tmp_path):
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for _, module in build.MODULES:
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(build, "MODULES", build.MODULES[:1])
    with pytest.raises(EngineError, match=r"does not load \(libnvinfer\.so\.10: cannot open") as caught:
        tensorrt_library()
    assert caught.value.exit_code == 3


@no_gpu
def test_without_a_gpu_the_remedy_is_told(monkeypatch, run, toy_pack):
    monkeypatch.setattr(cache, "tensorrt_library", lambda ahead=False: Library("tensorrt", FakeTensorRT()))
    done = run("pack", "build-engine", toy_pack)
    assert done.exit_code == 2 and "no NVIDIA driver found" in done.stderr
    monkeypatch.setenv("BIOVITA_PROVIDER", "engine")
    with pytest.raises(DeviceError, match="no NVIDIA driver found"):
        TextEncoder(Pack.load(toy_pack))


# with the real TensorRT-RTX, which builds without a GPU


@rtx
@pytest.mark.parametrize("modality", MODALITIES)
def test_tensorrt_builds_the_graphs_of_the_starter_pack_ahead_of_time(modality, kept):
    pack = Pack.load(STARTER_PACK)
    lines = []
    built = build_engine(PackGraph.of(pack, modality), settings=SETTINGS, targets=["8.6", "8.9"], tell=lines.append)
    assert files(kept) == [built.path.name] and built.checked == {}
    assert built.key.compute == ("8.6", "8.9") and built.key.library == "tensorrt_rtx"
    assert len(read_engine(built.path).plan()) > (pack.path(f"{modality}.onnx").stat().st_size // 2)
    assert "not checked yet" in lines[-1]


@rtx
def test_a_gpu_that_tensorrt_rtx_does_not_know_is_refused(toy_pack, run, kept):
    done = run("pack", "build-engine", toy_pack, "--target", "8.7")
    assert done.exit_code == 2 and "no GPU of '8.7'; give --target" in done.stderr and files(kept) == []


@rtx
def test_a_precision_that_tensorrt_rtx_takes_from_the_graph_is_refused(pack, kept):
    with pytest.raises(UsageError, match="takes the precision from the graph"):
        build_engine(PackGraph.of(pack, "audio"), "fp16", settings=SETTINGS, targets=["8.6"], tell=lambda line: None)
    assert files(kept) == []


@rtx
def test_a_graph_that_is_none_is_refused(toy_copy, kept):
    pack = Pack.load(toy_copy)
    raw = (toy_copy / "audio.onnx").read_bytes()
    for content in (b"nonsense", raw[: len(raw) // 2]):
        (toy_copy / "audio.onnx").write_bytes(content)
        with pytest.raises(EngineError, match=r"audio\.onnx: TensorRT cannot read it") as caught:
            build_engine(PackGraph.of(pack, "audio"), settings=SETTINGS, targets=["8.6"], tell=lambda line: None)
        assert "\n" not in str(caught.value) and files(kept) == []


@rtx
def test_an_operator_that_tensorrt_does_not_know_is_named(toy_copy, kept):
    shape = ["n", 80_000]
    node = helper.make_node("Warble", ["waveform"], ["embedding"], domain="birds")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", toy.DIM])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("birds", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(toy_copy / "audio.onnx"))
    changed = Pack.load(toy_copy, verify=False)
    with pytest.raises(EngineError, match="operator Warble"):
        build_engine(PackGraph.of(changed, "audio"), settings=SETTINGS, targets=["8.6"], tell=lambda line: None)
    assert files(kept) == []


@rtx
def test_a_build_that_is_interrupted_ends_and_leaves_nothing(monkeypatch, kept):
    monkeypatch.setattr(build, "PROGRESS_S", 0.0)
    lines = []

    def tell(line: str) -> None:
        lines.append(line)
        if "still building" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(PackGraph.of(Pack.load(STARTER_PACK), "audio"), settings=SETTINGS, targets=["8.6"], tell=tell)
    assert "still building audio.onnx" in lines[-1] and files(kept) == []


@rtx
def test_a_disk_that_fills_up_while_building_ends_as_one_line(toy_pack, tmp_path):
    code = (
        "import resource\nfrom edgeapp.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\nmain()"
    )
    words = ["pack", "build-engine", str(toy_pack), "--target", "8.6", "--folder", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert "cannot be written (File too large); make room" in done.stderr.splitlines()[-1]
    assert files(tmp_path / "out") == []


@rtx
@no_gpu
def test_a_plan_is_refused_in_one_line_where_there_is_no_gpu(pack):
    library = tensorrt_library(ahead=True)
    plan = build_plan(library, PackGraph.of(pack, "audio"), "graph", 1 << 28, ["8.6"], lambda line: None)
    with pytest.raises(EngineError, match="rejects this engine") as caught:
        load_plan(library, plan, "audio.onnx")
    assert "\n" not in str(caught.value)
