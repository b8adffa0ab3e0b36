"""Packages from folders of wheels, for a machine without a network; the running environment is not changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def unpack(folders: Sequence[Path], into: Path) -> list[str]:
    """Install the wheels of the folders into a separate folder: of each package the newest compatible one.

    Dependencies are not resolved: they are in the folders too, or installed.

    Returns
    -------
    A line for each package without a compatible wheel, and for each folder without wheels.

    Raises
    ------
    RuntimeError
        pip is not installed.
    """
    lines = [f"{folder}: contains no wheels" for folder in folders if not any(folder.glob("*.whl"))]
    files = sorted(path for folder in folders for path in folder.glob("*.whl"))
    packages = list(dict.fromkeys(path.name.partition("-")[0] for path in files))
    if not packages or not _pip(folders, into, packages):
        return lines
    for package in packages:  # pip installs none if one is incompatible
        if _pip(folders, into, [package]):
            named = ", ".join(path.name for path in files if path.name.partition("-")[0] == package)
            lines.append(f"no compatible wheel for Python {sys.version_info.major}.{sys.version_info.minor}: {named}")
    return lines


def _pip(folders: Sequence[Path], into: Path, packages: Sequence[str]) -> str:
    """Error output of pip; empty on success."""
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
