"""The two layouts of a manifest, converted to one set of columns, and its usable rows.

| | one row is | columns |
|---|---|---|
| the project's own | a recording or photo | `REQUIRED`, and optionally those of `OPTIONAL` |
| published training tables of BioVITA | a recording, or a photo | `scientific_name`, ranks, a file |

The published layout names a file in `file_name`; if that is empty, the file has the name that its downloader gives it,
`{source}_{recording_id}` with any suffix, and is looked up in a listing of the media folder. The suffix distinguishes
recordings from photos.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gallery import NOT_ADULT
from trainer.data.tables import Rows, arrow, codes, header, read_rows
from trainer.errors import DataError

REQUIRED = ("modality", "path", "scientific_name", "source_repo", "source_id")
RANK_COLUMNS = ("class", "order", "family", "genus")  # a manifest with them needs no species table
OPTIONAL = (
    *("author", "licence", "note", "split", "shard", "offset", "size"),
    *("accepted_name", "common_name", "sha256", "source_path"),
)
PUBLISHED = {"file_name": "path", "source": "source_repo", "recording_id": "source_id", "com": "common_name"}
CARRIED = ("source_repo", "source_id", "author", "licence", "accepted_name", "scientific_name")
OF_SOURCES = ("sha256", "source_path")  # used only to find files of one source
TAXONOMY = ("kingdom", "phylum", *RANK_COLUMNS, "common_name")

SOUND = ("wav", "flac", "ogg", "oga", "opus", "mp3", "m4a", "aac", "aif", "aiff")
PICTURE = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
TRAINED = ("", "train")
HELD_OUT = ("val", "validation", "test", "seen", "unseen")
MAX_QUOTED = 3  # unknown values in a message


@dataclass(frozen=True)
class ManifestRows:
    """Usable rows of one manifest in the columns of the project.

    Attributes
    ----------
    places : file and line of each row, without its columns
    columns : name -> Arrow array [rows]: path, CARRIED, OF_SOURCES, TAXONOMY
    photo : [rows] bool
    held_out : [rows] bool, held out by the column `split`
    offset, size : [rows] int64, -1 for a whole file
    left_out : one line for each reason to leave rows out
    notes : other remarks, one line each
    """

    places: Rows
    columns: dict[str, Any]
    photo: np.ndarray
    held_out: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def have_ranks(paths: Sequence[Path]) -> bool:
    """Whether a manifest has all RANK_COLUMNS, so that no species table is needed.

    Raises
    ------
    DataError
        When none has them, but one is a published table, which should.
    """
    headers = [header(path) for path in paths]
    if any(set(RANK_COLUMNS) <= set(present) for present in headers):
        return True
    for path, present in zip(paths, headers):
        lacking = [name for name in RANK_COLUMNS if name not in present]
        if _is_published(present):
            raise DataError(f"{path}: column {lacking[0]} is missing", "add it, or name a species table with --taxa")
    return False


def _is_published(present: Sequence[str]) -> bool:
    return not {"modality", "path"} & set(present) and bool({"file_name", "recording_id"} & set(present))


def read_layout(path: Path, media: Path, taxon_ranks: bool) -> ManifestRows:
    """Read the usable rows of a manifest of either layout.

    Parameters
    ----------
    path : CSV or Parquet
    media : folder in which files without a name are looked up
    taxon_ranks : whether the taxonomy is taken from its ranks

    Raises
    ------
    DataError
        When it cannot be read, or a column is missing.
    """
    present = header(path)
    published = _is_published(present)
    _check(path, present, published)
    rows = read_rows(path, (*REQUIRED, *OPTIONAL, *TAXONOMY, *(PUBLISHED if published else ())))
    columns = {name: rows.text(name) for name in ("path", *CARRIED, *OF_SOURCES, *TAXONOMY)}
    if published:
        columns |= {ours: rows.text(theirs) for theirs, ours in PUBLISHED.items() if theirs in present}
    chosen = _Selection(rows)
    if published:
        columns["path"] = _found(columns, media, chosen)
        photo = _by_suffix(columns["path"], chosen)
    else:
        photo = _by_word(rows.text("modality"), chosen)
    _names(columns, chosen, taxon_ranks)
    columns["path"] = filled(rows.text("shard"), columns["path"])
    chosen.exclude(_empty(columns["path"]), "no file is named", f"fill in {'file_name' if published else 'path'}")
    held_out = _held_out(rows.text("split"), chosen)
    immature = arrow("compute").match_substring_regex(rows.text("note").cast(arrow().large_string()), NOT_ADULT)
    chosen.skip(photo & _numpy(immature), "photos of nests, eggs or young are not used")
    kept = chosen.kept
    if not kept.all():
        columns = {name: column.filter(arrow().array(kept)) for name, column in columns.items()}
    return ManifestRows(
        rows.places(kept),
        columns,
        photo[kept],
        held_out[kept],
        rows.integers("offset")[kept],
        rows.integers("size")[kept],
        (*rows.left_out, *chosen.left_out),
        tuple(chosen.notes),
    )


class _Selection:
    """The rows that are kept, and the first reason for leaving out each of the others."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.kept = np.ones(len(rows), bool)
        self.left_out: list[str] = []
        self.notes: list[str] = []

    def exclude(self, mask: np.ndarray, what: str, remedy: str) -> None:
        """Leave out faulty rows."""
        mask = mask & self.kept
        if mask.any():
            self.left_out.append(f"{self.rows.where(mask)}: {what}; {remedy}")
            self.kept &= ~mask

    def skip(self, mask: np.ndarray, why: str) -> None:
        """Leave out rows that are not meant to be used."""
        mask = mask & self.kept
        if mask.any():
            self.notes.append(f"{self.rows.path.name}: {why} ({mask.sum()})")
            self.kept &= ~mask


def _check(path: Path, present: Sequence[str], published: bool) -> None:
    needed = ("scientific_name",) if published else REQUIRED
    lacking = [name for name in needed if name not in present]
    if published and "file_name" not in present:
        lacking += [name for name in ("source", "recording_id") if name not in present]
    if lacking:
        remedy = f"a manifest has {', '.join(REQUIRED)}"
        if published:
            remedy = "a published table has scientific_name, and file_name or source and recording_id"
        raise DataError(f"{path}: column {lacking[0]} is missing", remedy)


def _found(columns: dict[str, Any], media: Path, chosen: _Selection) -> Any:
    """File of each row [rows]; rows without a name are looked up in a listing of the media folder."""
    pa, compute = arrow(), arrow("compute")
    named = columns["path"].cast(pa.large_string())
    unnamed = _empty(named)
    if not unnamed.any():
        return named
    try:
        names = sorted(os.listdir(media))
    except OSError as error:
        raise DataError(
            f"{media}: cannot be listed ({error.strerror or error})",
            "name the folder of the downloaded files with --media, or fill in file_name",
        ) from error
    files = pa.array([*names, ""], pa.large_string())
    stems = pa.array([name.rpartition(".")[0] for name in names], pa.large_string())
    parts = (columns[name].cast(pa.large_string()) for name in ("source_repo", "source_id"))
    wanted = compute.binary_join_element_wise(*parts, pa.scalar("_", pa.large_string()))
    there = files.take(compute.index_in(wanted, stems).fill_null(len(names)))
    gone = unnamed & _empty(there)
    if gone.any():
        first = wanted[int(np.flatnonzero(gone)[0])].as_py()
        chosen.exclude(gone, f"no file_name, and no {first}.* in {media}", "download it, or remove the row")
    return compute.if_else(pa.array(unnamed), there, named)


def _by_suffix(path: Any, chosen: _Selection) -> np.ndarray:
    """Whether each file is a photo [rows]."""
    compute = arrow("compute")
    matched = compute.extract_regex(compute.utf8_lower(path), r"\.(?P<suffix>[a-z0-9]+)$")
    of_row, suffixes = codes(compute.struct_field(matched, "suffix").fill_null(""))
    unknown = [suffix for suffix in suffixes if suffix not in (*SOUND, *PICTURE)]
    what = f"{_quoted([f'.{suffix}' for suffix in unknown])} is not a suffix of an audio or image file"
    chosen.exclude(_is_one_of(of_row, suffixes, unknown), what, "correct file_name")
    return _is_one_of(of_row, suffixes, PICTURE)


def _by_word(modality: Any, chosen: _Selection) -> np.ndarray:
    """Whether each row is a photo [rows]."""
    of_row, words = codes(modality)
    unknown = [word for word in words if word not in ("audio", "image")]
    what = f"modality {_quoted(unknown)} is unknown"
    chosen.exclude(_is_one_of(of_row, words, unknown), what, "write audio or image")
    return _is_one_of(of_row, words, ("image",))


def _names(columns: dict[str, Any], chosen: _Selection, taxon_ranks: bool) -> None:
    """Leave out rows without a species name; with a species table, a common name of one word is allowed."""
    for name in ("accepted_name", "scientific_name"):
        columns[name] = _squeezed(columns[name])
    called = filled(columns["accepted_name"], columns["scientific_name"])
    chosen.exclude(_empty(called), "no species is named", "fill in scientific_name")
    if taxon_ranks:
        of_row, values = codes(called)
        genus = np.array([" " not in value for value in values], bool)[of_row]
        chosen.exclude(genus, "a name of one word is not a species", "write genus and epithet, or remove the row")


def _held_out(split: Any, chosen: _Selection) -> np.ndarray:
    """Whether the manifest itself holds out each row [rows]."""
    of_row, words = codes(split)
    words = [word.strip().lower() for word in words]
    unknown = [word for word in words if word not in (*TRAINED, *HELD_OUT)]
    what = f"split {_quoted(unknown)} is unknown"
    chosen.exclude(_is_one_of(of_row, words, unknown), what, f"write train, {', '.join(HELD_OUT)}")
    return _is_one_of(of_row, words, HELD_OUT)


def _is_one_of(of_row: np.ndarray, words: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Whether a dictionary-encoded column has one of some values [rows] bool."""
    return np.isin(words, list(wanted))[of_row] if wanted else np.zeros(len(of_row), bool)


def _quoted(words: Sequence[str]) -> str:
    shown = ", ".join(f"'{word}'" for word in words[:MAX_QUOTED])
    return f"{shown} and {len(words) - MAX_QUOTED} more" if len(words) > MAX_QUOTED else shown


def _squeezed(column: Any) -> Any:
    """A dictionary-encoded column with whitespace collapsed."""
    pa = arrow()
    values = [" ".join(value.split()) for value in column.dictionary.to_pylist()]
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    moved = np.array([places[value] for value in values], np.int32)
    indices = column.indices.to_numpy(zero_copy_only=False)
    return pa.DictionaryArray.from_arrays(moved[indices], pa.array(list(places), pa.large_string()))


def filled(first: Any, second: Any) -> Any:
    """A column, or another one where it is empty."""
    pa = arrow()
    empty = _empty(first)
    if not empty.any():
        return first
    if empty.all():
        return second
    text = pa.large_string()
    return arrow("compute").if_else(pa.array(empty), second.cast(text), first.cast(text))


def _empty(column: Any) -> np.ndarray:
    """Where a column has no text [rows] bool."""
    pa = arrow()
    if isinstance(column, pa.DictionaryArray):
        of_row, values = codes(column)
        return np.array([not value for value in values], bool)[of_row]
    return _numpy(arrow("compute").equal(column, ""))


def _numpy(column: Any) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)
