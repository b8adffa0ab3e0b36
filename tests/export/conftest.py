"""What the tests of the export share: a run on the tiny data set of the trainer's tests, and its pack."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from export import pack as export_pack
from export.__main__ import main
from tests.trainer import tiny as tiny_set
from tests.trainer.tiny import Ended, Tiny, call
from trainer.checkpoint import load


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny data set; not to be changed."""
    return tiny_set.in_base(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run on the tiny data set; not to be changed."""
    return tiny_set.trained(tmp_path_factory.getbasetemp())


@pytest.fixture
def stage2(run_folder: Path, tmp_path: Path) -> Path:
    """A copy of the last stage of the run."""
    return Path(shutil.copytree(run_folder / "stage2", tmp_path / "stage2"))


@pytest.fixture(scope="session")
def exported(tiny: Tiny, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """The pack of the run, and what the command said; not to be changed."""
    folder = tmp_path_factory.mktemp("packs") / "tiny"
    card = folder.parent / "card.md"
    card.write_text("# Tones\n")
    words = ["--out", folder, "--name", "tiny", "--version", "1.2", "--licence", "CC0-1.0", "--card", card]
    return folder, call(main, "--checkpoint", run_folder / "stage2", *tiny.data_words(), *words)


@pytest.fixture(scope="session")
def graphs(run_folder: Path, exported: tuple[Path, Ended], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run's graphs as they come from torch, by tower; a pack stores the weights of text and image as float16."""
    folder = tmp_path_factory.mktemp("graphs")
    loaded = load(run_folder / "stage2")
    export_pack.export_text(loaded.model.cpu(), loaded.config.preset, folder / "text.onnx")
    export_pack.export_image(loaded.model.cpu(), loaded.config.preset, folder / "image.onnx")
    return {"audio": exported[0] / "audio.onnx", "text": folder / "text.onnx", "image": folder / "image.onnx"}


@pytest.fixture
def quick(graphs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the float32 graphs of the same checkpoint, exported before."""
    for name, graph in graphs.items():
        monkeypatch.setattr(export_pack, f"export_{name}", lambda _model, _preset, path, graph=graph: copy(graph, path))


def copy(graph: Path, path: Path) -> None:
    shutil.copyfile(graph, path)
