"""What the tests of the export share: a run on the tiny data set of the trainer's tests, and its pack."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeapp.pack.format import Pack
from edgeapp.pack.split import SplitSpec
from export import pack as export_pack
from export.__main__ import main
from tests.conftest import Once
from tests.trainer import tiny as tiny_set
from tests.trainer.tiny import Ended, Tiny, call
from trainer.checkpoint import load
from trainer.models.vita import Vita
from trainer.presets import Preset


@pytest.fixture(scope="session", autouse=True)
def small_calibration() -> Iterator[None]:
    """A run on the tiny data set calibrates on a hundredth of what a real one does."""
    with tiny_set.small_calibration():
        yield


@pytest.fixture(scope="session")
def tiny(once: Once) -> Tiny:
    """The tiny data set; not to be changed."""
    return tiny_set.at(once("tiny", tiny_set.make))


@pytest.fixture(scope="session")
def run_folder(once: Once, tiny: Tiny) -> Path:
    """Folder of a finished run on the tiny data set; not to be changed."""
    return once("tiny_run", lambda folder: tiny_set.train(folder, tiny))


@pytest.fixture
def stage2(run_folder: Path, tmp_path: Path) -> Path:
    """A copy of the last stage of the run."""
    return Path(shutil.copytree(run_folder / "stage2", tmp_path / "stage2"))


@pytest.fixture(scope="session")
def exported(once: Once, tiny: Tiny, run_folder: Path) -> tuple[Path, Ended]:
    """The pack of the run, and what the command said; not to be changed."""

    def export(folder: Path) -> None:
        folder.mkdir()
        card = folder / "card.md"
        card.write_text("# Tones\n")
        words = ["--out", folder / "tiny", "--name", "tiny", "--version", "1.2", "--licence", "CC0-1.0", "--card", card]
        ended = call(main, "--checkpoint", run_folder / "stage2", *tiny.data_words(), *words)
        (folder / "ended.json").write_text(json.dumps(dataclasses.asdict(ended)))

    folder = once("tiny_pack", export)
    return folder / "tiny", Ended(**json.loads((folder / "ended.json").read_text()))


@pytest.fixture(scope="session")
def graphs(once: Once, run_folder: Path, exported: tuple[Path, Ended]) -> dict[str, Path]:
    """The run's graphs as they come from torch, by tower; a pack stores the weights of text and image as float16."""

    def export(folder: Path) -> None:
        folder.mkdir()
        loaded = load(run_folder / "stage2")
        export_pack.export_text(loaded.model.cpu(), loaded.config.preset, folder / "text.onnx")
        export_pack.export_image(loaded.model.cpu(), loaded.config.preset, folder / "image.onnx")

    folder = once("tiny_graphs", export)
    return {"audio": exported[0] / "audio.onnx", "text": folder / "text.onnx", "image": folder / "image.onnx"}


@pytest.fixture
def quick(graphs: dict[str, Path], exported: tuple[Path, Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the float32 graphs of the same checkpoint, exported before."""
    for name, graph in graphs.items():
        monkeypatch.setattr(export_pack, f"export_{name}", lambda _model, _preset, path, graph=graph: copy(graph, path))

    def split(_model: Vita, _preset: Preset, whole: Path) -> SplitSpec:
        spec = Pack.load(exported[0]).audio.split
        assert spec is not None
        for name in (spec.front, spec.trunk):
            copy(exported[0] / name, whole.with_name(name))
        return spec

    monkeypatch.setattr(export_pack, "split_audio", split)


def copy(graph: Path, path: Path) -> None:
    shutil.copyfile(graph, path)
