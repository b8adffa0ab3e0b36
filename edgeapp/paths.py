"""Where the package keeps what comes with it, and how a child process finds the package."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
STARTER_PACK = PACKAGE / "starter_pack"
BIRDNET_TOWERS = PACKAGE / "birdnet_towers"
TAXONOMY = BIRDNET_TOWERS / "taxonomy.csv.gz"
NAMES = BIRDNET_TOWERS / "names.zip"
EXAMPLE = PACKAGE / "examples" / "example.flac"


def default_journal() -> Path:
    """Where the journal lies by default: the user's data folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("biovita-edge", appauthor=False)) / "journal.sqlite"


def cache_folder() -> Path:
    """What can be made again: the user's cache folder."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("biovita-edge", appauthor=False))


def child_environment() -> dict[str, str]:
    """The environment of a child process that imports this package, installed or in a checkout."""
    found = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(PACKAGE.parent), found)))}
