"""Packages from folders of wheels, for a machine without a network; nothing of the Python that runs is changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def unpack(folders: Sequence[Path], into: Path) -> list[str]:
    """Install what lies in the folders beside this Python, of each package the newest wheel that fits it.

    What a wheel needs is not looked for: it lies in the folders too, or is installed.

    Returns
    -------
    A line for each package whose wheels do not fit, and for each folder without a wheel.

    Raises
    ------
    RuntimeError
        There is no pip.
    """
    lines = [f"{folder}: no wheel in it" for folder in folders if not any(folder.glob("*.whl"))]
    files = sorted(path for folder in folders for path in folder.glob("*.whl"))
    packages = list(dict.fromkeys(path.name.partition("-")[0] for path in files))
    if not packages or not _pip(folders, into, packages):
        return lines
    for package in packages:  # one that does not fit keeps pip from installing any
        if _pip(folders, into, [package]):
            named = ", ".join(path.name for path in files if path.name.partition("-")[0] == package)
            lines.append(f"no wheel for this Python {sys.version_info.major}.{sys.version_info.minor}: {named}")
    return lines


def _pip(folders: Sequence[Path], into: Path, packages: Sequence[str]) -> str:
    """What pip says when it cannot install packages; nothing when it can."""
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check", "--upgrade"]
    options += [f"--find-links={folder.resolve()}" for folder in folders]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(into), *packages],
        capture_output=True,
        text=True,
    )
    if "No module named pip" in done.stderr:
        raise RuntimeError(f"{sys.executable} has no pip, which --wheels needs: python -m ensurepip, or unpack them")
    return done.stderr.strip() if done.returncode else ""
