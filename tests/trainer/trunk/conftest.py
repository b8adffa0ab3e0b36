"""A pack with class vectors, and names of it trained without some, each made once in a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Once
from tests.trainer.tiny import call
from tests.trainer.trunk import classes
from trainer.__main__ import main

WITHHELD = tuple(taxon.scientific_name for taxon in classes.taxa()[2::5])  # no genus altogether


@pytest.fixture(scope="session")
def linear_pack(once: Once) -> Path:
    """A pack whose gallery has class vectors alone; not to be changed."""
    return once("linear_pack", classes.make_pack)


@pytest.fixture(scope="session")
def withheld_run(once: Once, linear_pack: Path) -> Path:
    """Folder of a run whose stage 1 did not see `WITHHELD`; not to be changed."""

    def train(folder: Path) -> None:
        folder.mkdir()
        names = folder / "withheld.txt"
        names.write_text("\n".join((*WITHHELD, "Homo sapiens")), encoding="utf-8")
        ended = call(main, *words(linear_pack), "--withhold", names, "--out", folder / "run")
        assert ended.code == 0, ended.err

    return once("withheld_run", train) / "run"


def words(pack: Path) -> list[str]:
    """What the command line needs to train names on one core."""
    return ["--preset", "trunk", "--stage", "1", "--pack", str(pack), "--threads", "1"]
