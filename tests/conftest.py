"""What all tests share: the data that lies beside the project, and the pack that comes with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the data beside the project; tests on real recordings skip without it."""
    named = os.environ.get("BIOVITA_SHARED")
    folder = Path(named) if named else PROJECT.parent / "shared"
    if not (folder / "starter" / "manifest.csv").is_file():
        pytest.skip(f"no shared data in {folder}: set BIOVITA_SHARED to run the tests on real recordings")
    return folder


@pytest.fixture(scope="session")
def starter_pack() -> Path:
    """The pack that comes with the project."""
    folder = PROJECT / "edgeapp" / "starter_pack"
    if not (folder / "pack.json").is_file():
        pytest.skip("the starter pack is not in the project yet")
    return folder
