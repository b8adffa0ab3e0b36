"""What the tests of the export share: a run on the tiny data set of the trainer's tests, and its pack."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from edgeapp.pack.format import Pack
from edgeapp.pack.split import SplitSpec
from export import pack as export_pack
from export.cli import main
from tests.conftest import Once
from tests.export.published import made as published_made
from tests.trainer import tiny as tiny_set
from tests.trainer.tiny import Ended, Tiny, call
from tests.trainer.trunk import classes
from trainer.models.vita import Vita
from trainer.presets import Preset


@pytest.fixture(scope="session", autouse=True)
def small() -> Iterator[None]:
    """What is trained here hears 2 s at once, sees small pictures, and is calibrated on little."""
    with tiny_set.small(), tiny_set.operators_read_once():
        yield


@pytest.fixture(scope="session")
def tiny(once: Once) -> Tiny:
    """The tiny data set; not to be changed."""
    return tiny_set.at(once("tiny", tiny_set.make))


@pytest.fixture(scope="session")
def linear_pack(once: Once) -> Path:
    """A pack whose gallery has class vectors alone; not to be changed."""
    return once("linear_pack", classes.make_pack)


@pytest.fixture(scope="session")
def withheld_run(once: Once, linear_pack: Path) -> Path:
    """Folder of a run whose stage 1 did not see `classes.WITHHELD`; not to be changed."""
    return once("withheld_run", lambda folder: classes.train_without(folder, linear_pack)) / "run"


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
        with kept_in(folder, "export_text"), kept_in(folder, "export_image"):
            ended = call(main, "--checkpoint", run_folder / "stage2", *tiny.data_words(), *words)
        (folder / "ended.json").write_text(json.dumps(dataclasses.asdict(ended)))

    folder = once("tiny_pack", export)
    return folder / "tiny", Ended(**json.loads((folder / "ended.json").read_text()))


@pytest.fixture(scope="session")
def graphs(exported: tuple[Path, Ended]) -> dict[str, Path]:
    """The run's graphs as they come from torch, by tower; a pack stores the weights of text and image as float16."""
    folder = exported[0].parent
    return {"audio": exported[0] / "audio.onnx", "text": folder / "text.onnx", "image": folder / "image.onnx"}


@pytest.fixture(scope="session")
def made(once: Once, tiny: Tiny) -> published_made.Made:
    """Packs of small weights in the published layout; not to be changed."""
    return published_made.at(once("published", lambda folder: published_made.make(folder, tiny)))


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


@contextlib.contextmanager
def kept_in(folder: Path, name: str) -> Iterator[None]:
    """Keep what a function of the export writes in a folder too."""
    whole = getattr(export_pack, name)

    def export(model: Vita, preset: Preset, path: Path) -> None:
        whole(model, preset, path)
        copy(path, folder / path.name)

    with mock.patch.object(export_pack, name, export):
        yield


def copy(graph: Path, path: Path) -> None:
    shutil.copyfile(graph, path)
