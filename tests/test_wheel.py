"""The wheel holds the whole program, and runs away from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.test_architecture import tracked


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of what is tracked here."""
    pytest.importorskip("setuptools", "77")
    folder = tmp_path_factory.mktemp("wheel")
    for path in tracked():
        if path.parts[0] in (
            "gallery",
            "edgeapp",
            "trainer",
            "export",
            "README.md",
            "LICENSE",
            "pyproject.toml",
            "tests",
        ):
            copy = folder / "source" / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((PROJECT / path).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*build, "--wheel-dir", folder, folder / "source"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [made] = folder.glob("*.whl")
    return made


def test_the_wheel_has_every_file_of_the_packages_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    packages = {path.as_posix() for path in tracked() if path.parts[0] in ("gallery", "edgeapp", "trainer", "export")}

    assert packages - names == set()
    assert names - packages == set()


def test_the_wheel_identifies_the_example_elsewhere(wheel, tmp_path):
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(installed)
    folders = {name: str(tmp_path / "home") for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
    environment = {**os.environ, **folders, "PYTHONPATH": str(installed)}
    where = subprocess.run(
        [sys.executable, "-c", "import edgeapp, gallery; print(edgeapp.__file__, gallery.__file__)"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.count(str(installed)) == 2
    example = installed / "edgeapp" / "examples" / "example.flac"
    done = subprocess.run(
        [sys.executable, "-m", "edgeapp", "identify", example, "--format", "json", "--pack", "starter"],
        env=environment, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "Parus major" in {one["scientific_name"] for one in json.loads(done.stdout)["species"]}
