"""A journal of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeapp.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where it lies; the folder is not there yet."""
    return tmp_path / "station" / "journal.sqlite"


@pytest.fixture
def journal(path: Path):
    """Open to write."""
    with Journal.open(path) as opened:
        yield opened
