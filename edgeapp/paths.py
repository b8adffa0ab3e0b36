"""Where the package keeps what comes with it, and how a child process finds the package."""

from __future__ import annotations

import os
from pathlib import Path

PROGRAM = "biovita-edge"
PACKAGE = Path(__file__).resolve().parent
STARTER_PACK = PACKAGE / "starter_pack"
BIRDNET_TOWERS = PACKAGE / "birdnet_towers"
TAXONOMY = BIRDNET_TOWERS / "taxonomy.csv.gz"
NAMES = BIRDNET_TOWERS / "names.zip"
EXAMPLE = PACKAGE / "examples" / "example.flac"


def default_journal() -> Path:
    """Where the journal lies by default."""
    return data_folder() / "journal.sqlite"


def data_folder() -> Path:
    """What is to be kept: the user's data folder."""
    import platformdirs  # late: not needed to show a help text

    return Path(platformdirs.user_data_dir(PROGRAM, appauthor=False))


def config_folder() -> Path:
    """The user's folder of settings."""
    import platformdirs

    return Path(platformdirs.user_config_dir(PROGRAM, appauthor=False))


def cache_folder() -> Path:
    """What can be made again: the user's cache folder."""
    import platformdirs

    return Path(platformdirs.user_cache_dir(PROGRAM, appauthor=False))


def child_environment() -> dict[str, str]:
    """The environment of a child process that imports this package, installed or in a checkout."""
    found = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(PACKAGE.parent), found)))}
