"""Vectors of a model for the samples of a benchmark, as one `.npz`, so that any model can be a row of the table.

    audio_ids [n] integers, audio [n, dim]              the same for image and text
    text_species_ids, text_species, text_genus_ids, …   names at each level, and text_common_name
    about                                               optional JSON: model, split, and anything else

Names are embedded as they are in the text index, without a template. A model with one form of text has `text` alone. A
sample without a vector is missing from the ids, or has a zero vector. The `.pt` folder written by the published
extraction script can be read in place of the `.npz`.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gallery.files import replacing
from trainer.benchmark.layout import LEVELS, MODALITIES, Split
from trainer.errors import DataError

TEXT_FORMS = (*LEVELS, "common_name")
ABOUT = "about"
NAMED = 8  # ids listed in a message; all of them are in the JSON report


@dataclass(frozen=True)
class Vectors:
    """Vectors [n, dim] float32 of the samples `ids` [n], which are in ascending order."""

    ids: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Row of each id, -1 for an id without a vector."""
        at = np.searchsorted(self.ids, ids)
        at[at == len(self.ids)] = 0
        return np.where(self.ids[at] == ids, at, -1) if len(self.ids) else np.full(len(ids), -1)


@dataclass(frozen=True)
class Features:
    """Vectors of a model on one split.

    Attributes
    ----------
    model : name of the row
    origin : how the vectors were made
    split : seen, unseen, or "" if unknown
    parts : those available of audio, image, text, text_species, text_genus, text_family and text_common_name
    """

    model: str
    parts: Mapping[str, Vectors]
    origin: Mapping[str, Any] = field(default_factory=dict)
    split: str = ""

    def part(self, modality: str, form: str = "") -> tuple[str, Vectors] | None:
        """Name and vectors of a modality; of text in a form, or the only text part if there are no forms."""
        for name in (f"{modality}_{form}", modality):
            if len(self.parts.get(name, ())):
                return name, self.parts[name]
        return None

    def text_form(self, asked: str | None) -> str:
        """Form of the names of species: the one asked for, else the common name, else the scientific name."""
        forms = (asked,) if asked else ("common_name", "species")
        return next((form for form in forms if f"text_{form}" in self.parts), asked or "species")


def part_names() -> tuple[str, ...]:
    """Names of all parts that a file can contain."""
    return (*MODALITIES, *(f"text_{form}" for form in TEXT_FORMS))


def write_features(path: Path, features: Features) -> None:
    """Write a `.npz`, atomically."""
    arrays: dict[str, np.ndarray] = {}
    for name, part in features.parts.items():
        arrays |= {f"{name}_ids": part.ids, name: part.vectors}
    about = {"model": features.model, "split": features.split, "origin": dict(features.origin)}
    arrays[ABOUT] = np.array(json.dumps(about))
    with replacing(path, parents=True) as beside, beside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_features(path: Path) -> Features:
    """Read a `.npz`, or the folder of `.pt` files written by the published extraction script.

    Raises
    ------
    DataError
        When the file cannot be read, ids and vectors do not match, an id occurs twice, a value is not finite, or the
        modalities have different dimensions.
    """
    if path.is_dir():
        return _read_folder(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: not a feature file ({error})", "write it with numpy.savez") from error
    about = _about(path, arrays.pop(ABOUT, None))
    known = {name for part in part_names() for name in (part, f"{part}_ids")}
    unknown = sorted(set(arrays) - known)
    if unknown:
        raise DataError(f"{path}: array '{unknown[0]}' is unknown", f"a part is one of {', '.join(part_names())}")
    parts = {}
    for name in part_names():
        lacking = [one for one in (name, f"{name}_ids") if one not in arrays]
        if len(lacking) == 1:
            raise DataError(f"{path}: array '{lacking[0]}' is missing", "a part has ids and vectors")
        if not lacking:
            parts[name] = checked(f"{path}, {name}", arrays[f"{name}_ids"], arrays[name])
    if not any(map(len, parts.values())):
        raise DataError(f"{path}: has no vectors", f"a part is one of {', '.join(part_names())}")
    _of_one_dim(path, parts)
    return Features(str(about.get("model") or path.stem), parts, about.get("origin") or {}, about.get("split") or "")


def checked(where: str, ids: np.ndarray, vectors: np.ndarray) -> Vectors:
    """Vectors in the order of their ids, without zero vectors, which have no direction.

    Raises
    ------
    DataError
        When ids and vectors do not match or have invalid values.
    """
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise DataError(f"{where}: ids are {ids.dtype} {list(ids.shape)}", "give integers [n]")
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise DataError(
            f"{where}: vectors are {vectors.dtype} {list(vectors.shape)}", "give floating-point numbers [n, dim]"
        )
    if len(ids) != len(vectors):
        raise DataError(f"{where}: {len(ids)} ids, {len(vectors)} vectors", "give one id per vector")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise DataError(f"{where}: the vector of id {ids[~finite][0]} is not finite", "leave the sample out")
    order = np.argsort(ids, kind="stable")
    ids, vectors = ids[order].astype(np.int64), vectors[order]
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        raise DataError(f"{where}: id {ids[twice[0]]} occurs twice", "give one vector per id")
    directed = vectors.any(axis=1)
    return Vectors(ids[directed], np.ascontiguousarray(vectors[directed], dtype=np.float32))


def unknown_ids(features: Features, split: Split) -> list[str]:
    """A line for each part with ids that are not in their index.

    Raises
    ------
    DataError
        When none of the ids of a part is: the vectors belong to another benchmark, or to the other split.
    """
    lines = []
    for name, part in features.parts.items():
        index = split.indexes.get(name.partition("_")[0])
        if index is None or not len(part):
            continue
        unknown = part.ids[~np.isin(part.ids, index.ids)]
        if len(unknown) == len(part):
            raise DataError(
                f"{features.model}: no id of '{name}' is in {index.path}", "give the features of this benchmark"
            )
        if len(unknown):
            lines.append(f"{features.model}, {split.name}: {listed(name, unknown)} not in {index.path.name}, not used")
    return lines


def missing(features: Features, split: Split) -> dict[str, np.ndarray]:
    """Ids of the index without a vector, for each part that has any; samples without a name in a form do not count."""
    lost = {}
    for name, part in features.parts.items():
        modality, _, form = name.partition("_")
        index = split.indexes.get(modality)
        if index is not None and len(part):
            named = index.text(form) != "" if form else np.ones(len(index), dtype=bool)
            lost[name] = np.sort(index.ids[named & ~np.isin(index.ids, part.ids)])
    return lost


def listed(name: str, ids: Sequence[int] | np.ndarray) -> str:
    """The number of ids of a part, and the first of them."""
    more = ", …" if len(ids) > NAMED else ""
    return f"{len(ids)} of '{name}' ({', '.join(map(str, ids[:NAMED]))}{more})"


def _about(path: Path, stored: np.ndarray | None) -> dict[str, Any]:
    if stored is None:
        return {}
    try:
        about = json.loads(str(stored))
        if not isinstance(about, dict) or not isinstance(about.get("origin") or {}, dict):
            raise ValueError("not an object")
        return about
    except ValueError as error:
        raise DataError(f"{path}: '{ABOUT}' is not JSON ({error})", "leave it out") from error


def _of_one_dim(path: Path, parts: Mapping[str, Vectors]) -> None:
    dims = {name: part.dim for name, part in parts.items() if len(part)}
    if len(set(dims.values())) > 1:
        shown = ", ".join(f"{name} {dim}" for name, dim in dims.items())
        raise DataError(f"{path}: dimensions differ ({shown})", "all vectors of a model share one space")


def _read_folder(folder: Path) -> Features:
    """Read `{audio,image,text}/{id}.pt`: a tensor [dim] each, for text a dict of level -> tensor."""
    import torch

    found: dict[str, dict[int, np.ndarray]] = {name: {} for name in part_names()}
    for modality in MODALITIES:
        for path in (folder / modality).glob("*.pt"):
            try:
                value = torch.load(path, map_location="cpu", weights_only=True)
                for form, tensor in (value if isinstance(value, dict) else {modality: value}).items():
                    name = modality if form == modality else f"{modality}_{form}"
                    found[name][int(path.stem)] = tensor.float().numpy()
            except Exception as error:  # unpickling a damaged file may raise anything
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                raise DataError(f"{path}: not a feature ({reason})", "extract it again") from error
    parts = {}
    for name, of_id in found.items():
        if of_id:
            shapes = {vector.shape for vector in of_id.values()}
            if len(shapes) > 1:
                raise DataError(f"{folder}, {name}: vectors of shapes {sorted(shapes)}", "extract them with one model")
            parts[name] = checked(f"{folder}, {name}", np.array(list(of_id)), np.stack(list(of_id.values())))
    if not parts:
        raise DataError(f"{folder}: no audio/ID.pt, image/ID.pt or text/ID.pt", "name a .npz or a folder of features")
    _of_one_dim(folder, parts)
    return Features(folder.name, parts, {"source": "published extraction script"})
