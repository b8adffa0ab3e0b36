"""Names of a pack with class vectors, trained without some of them once in a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Once
from tests.trainer.trunk import classes


@pytest.fixture(scope="session")
def withheld_run(once: Once, linear_pack: Path) -> Path:
    """Folder of a run whose stage 1 did not see `classes.WITHHELD`; not to be changed."""
    return once("withheld_run", lambda folder: classes.train_without(folder, linear_pack)) / "run"
