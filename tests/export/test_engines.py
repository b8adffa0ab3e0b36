"""Both audio encoders go from torch to an engine: TensorRT reads every operator, from the waveform on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from edgeapp.cli import app
from edgeapp.pack.format import Pack
from edgeapp.paths import STARTER_PACK
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.tensorrt.build import build_plan, tensorrt_library
from edgeapp.runtime.tensorrt.file import PACK_ENGINES
from export.cli import main
from export.precision import FP16, INT8, Precision, convert
from tests.export.published.made import Made
from tests.libraries import needs
from tests.trainer.tiny import Ended, Tiny, call

pytestmark = needs("tensorrt_rtx", "transformers")

SAMPLES = 480_000  # 10 s at 48 kHz


@pytest.fixture(scope="module")
def htsat(made: Made) -> PackGraph:
    """The full size's audio encoder, narrow: HTS-AT with its adapter, and a front end without float64."""
    return PackGraph.of(Pack.load(made.pack), "audio")


@pytest.fixture(scope="module")
def mn04() -> PackGraph:
    """The starter pack's audio encoder."""
    return PackGraph.of(Pack.load(STARTER_PACK), "audio")


@pytest.fixture(scope="module")
def fewer_blocks(exported: tuple[Path, Ended]) -> PackGraph:
    """The starter's audio encoder with a block of each kind."""
    return PackGraph.of(Pack.load(exported[0]), "audio")


@pytest.mark.parametrize("name", ["mn04", "htsat"])
def test_an_audio_encoder_is_built_for_two_gpus_that_are_not_here(name: str, request: pytest.FixtureRequest) -> None:
    graph: PackGraph = request.getfixturevalue(name)
    library, lines = tensorrt_library(ahead=True), []
    plan = build_plan(library, graph, "graph", 1 << 30, ["8.6", "8.9"], lines.append)
    weights = graph.path.stat().st_size
    assert len(plan) > weights and "built audio.onnx" in lines[-1]


@pytest.mark.parametrize("precision", [FP16, INT8], ids=lambda precision: precision.name)
@pytest.mark.parametrize("name", ["fewer_blocks", "htsat"])
def test_an_audio_encoder_in_another_precision_is_built_as_it_is(
    name: str, precision: Precision, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    graph: PackGraph = request.getfixturevalue(name)
    path = Path(shutil.copyfile(graph.path, tmp_path / "audio.onnx"))
    convert(path, precision, 0.1 * torch.randn(2, *graph.shape).numpy(), lambda wanted, given: "")
    lowered = dataclasses.replace(graph, path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    library, lines = tensorrt_library(ahead=True), []
    build_plan(library, lowered, "graph", 1 << 30, ["8.6"], lines.append)
    assert "built audio.onnx" in lines[-1]


def test_the_narrow_htsat_gives_unit_vectors_from_waveforms(htsat: PackGraph) -> None:
    session = onnxruntime.InferenceSession(str(htsat.path), providers=["CPUExecutionProvider"])
    (vectors,) = session.run(None, {"waveform": 0.1 * torch.randn(3, SAMPLES).numpy()})
    htsat.checked(vectors, 3, "the CPU")


def test_a_pack_brings_engines_for_gpus_that_are_not_here(
    tiny: Tiny, run_folder: Path, graphs: dict[str, Path], quick: None, tmp_path: Path
) -> None:
    out = tmp_path / "pack"
    words = ["--checkpoint", run_folder / "stage2", "--out", out, *tiny.data_words()]
    ended = call(main, *words, "--tensorrt", "--target", "8.6", "--target", "8.9")
    assert ended.code == 0, ended.err
    pack = Pack.load(out)
    told = json.loads(CliRunner().invoke(app, ["pack", "info", str(out), "--json"]).stdout)["engines"]
    assert [one["graph"] for one in told] == list(graphs)
    for one in told:
        assert one["for"] == "8.6 or 8.9" and one["least_cosine"] == "not checked yet"
        assert Path(one["file"]).parent == pack.folder / PACK_ENGINES
