"""What the tests of the trainer share: the tiny data set and a run on it, each made once in a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery import Taxon, read_taxa
from tests.conftest import Once
from tests.trainer import tiny as tiny_set
from tests.trainer.trunk import classes
from trainer.data.manifest import Manifest, read_manifest
from trainer.session import Session


@pytest.fixture(scope="session", autouse=True)
def small() -> Iterator[None]:
    """What is trained here hears 2 s at once, sees small pictures, and is calibrated on little."""
    with tiny_set.small(), tiny_set.operators_read_once():
        yield


@pytest.fixture(scope="session")
def tiny(once: Once) -> tiny_set.Tiny:
    """The tiny data set; not to be changed."""
    return tiny_set.at(once("tiny", tiny_set.make))


@pytest.fixture(scope="session")
def run_folder(once: Once, tiny: tiny_set.Tiny) -> Path:
    """Folder of a finished run on the tiny data set; not to be changed."""
    return once("tiny_run", lambda folder: tiny_set.train(folder, tiny))


@pytest.fixture(scope="session")
def linear_pack(once: Once) -> Path:
    """A pack whose gallery has class vectors alone; not to be changed."""
    return once("linear_pack", classes.make_pack)


@pytest.fixture
def own_run(run_folder: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


@pytest.fixture
def uncalibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage ends without decision parameters, which take as long as a small stage, where nobody asks for them."""
    monkeypatch.setattr(Session, "calibrate", lambda *_: None)


@pytest.fixture(scope="session")
def taxa(tiny: tiny_set.Tiny) -> list[Taxon]:
    return read_taxa(tiny.taxa)


@pytest.fixture(scope="session")
def manifest(tiny: tiny_set.Tiny, taxa: list[Taxon]) -> Manifest:
    return read_manifest(tiny.manifest, taxa)
