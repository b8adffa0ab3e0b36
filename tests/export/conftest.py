"""What the tests of the export share: a run on the tiny data set of the trainer's tests, and its pack."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from export import pack as export_pack
from export.__main__ import main
from tests.trainer import tiny as tiny_set
from tests.trainer.tiny import Ended, Tiny, call


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


@pytest.fixture
def quick(exported: tuple[Path, Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the float32 graphs of the pack that was made of the same checkpoint."""
    for name in ("audio", "text", "image"):
        graph = exported[0] / f"{name}.onnx"
        monkeypatch.setattr(export_pack, f"export_{name}", lambda _model, _preset, path, graph=graph: copy(graph, path))


def copy(graph: Path, path: Path) -> None:
    shutil.copyfile(graph, path)
