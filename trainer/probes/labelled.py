"""Input of SSW60 and the trait probe: CSV files by line, and vectors with names."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeapp.collect.traits import lines
from edgeapp.errors import UsageError
from trainer.errors import DataError


def read_lines(path: Path, columns: Sequence[str]) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Header and numbered lines of a CSV that must have `columns`.

    Raises
    ------
    DataError
        As `edgeapp.collect.traits.lines.read_lines`.
    """
    try:
        return lines.read_lines(path, columns)
    except UsageError as error:
        raise DataError(error.what, error.remedy) from error


def read_named(path: Path, vectors: str, names: str) -> tuple[list[str], np.ndarray] | None:
    """Names [n] and unit vectors [n, dim] in two arrays of a `.npz`; None if it has neither.

    Raises
    ------
    DataError
        The file cannot be read, only one of the arrays exists, or a vector is zero or not finite.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key] for key in (vectors, names) if key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: not a feature file ({error})", "write it with numpy.savez, names as strings"
        ) from error
    if not found:
        return None
    if len(found) == 1:
        other = names if vectors in found else vectors
        raise DataError(f"{path}: array '{other}' is missing", f"'{vectors}' and '{names}' belong together")
    given = [str(name) for name in found[names].ravel().tolist()]
    if found[vectors].ndim != 2 or len(found[vectors]) != len(given):
        shape = list(found[vectors].shape)
        raise DataError(f"{path}: '{vectors}' is {shape} for {len(given)} names", "give one vector [dim] for each name")
    return given, unit(f"{path}, {vectors}", found[vectors])


def unit(where: str, vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, dim] as float32 of unit length.

    Raises
    ------
    DataError
        One is zero or not finite, so it has no direction.
    """
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise DataError(
            f"{where}: {len(bad)} of {len(vectors)} vectors are zero or not finite, row {bad[0]} first",
            "leave out the samples that could not be encoded",
        )
    return vectors / lengths
