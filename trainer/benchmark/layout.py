"""The published layout of BioVITA Bench: its files, their columns, and which of them have rows.

    unseen/metadata.csv                           file_name, scientific_name: the published files in their own order
    unseen/audio/…, unseen/image/…                `file_path` in the indexes is relative to `unseen/`
    unseen/benchmark/audio_index.csv              id, file_path, species, genus, family; image_index.csv alike
    unseen/benchmark/text_index.csv               id, species, genus, family, class, common_name (or com_canon, or text)
    unseen/benchmark/species/test_audio_to_image.csv    one row per query, with its own 100 candidate taxa
    test/benchmark/…                              the same for the species that were trained on ("seen")

The indexes may also be in `benchmark/ids/`. A sample inside a tar shard has the shard as its `file_path` and its
position in the columns `offset` and `size`, which the published files do not have. As released, the family files of
`unseen` have a header and no rows, and `test` has neither an audio index nor tasks: absent and empty scenarios are
reported, never scored as zero.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from gallery.files import replacing
from trainer.data.manifest import Sample
from trainer.errors import DataError

MODALITIES = ("audio", "image", "text")
LEVELS = ("species", "genus", "family")
DIRECTIONS = (
    ("audio", "image"),
    ("image", "audio"),
    ("audio", "text"),
    ("text", "audio"),
    ("image", "text"),
    ("text", "image"),
)
FOLDERS = {"seen": "test", "unseen": "unseen"}
COMMON_NAMES = ("common_name", "com_canon", "text")  # the first of these columns that an index has
TASK_COLUMNS = (
    "query_id",
    "query_payload_id",
    "task",
    "taxon_level",
    "correct_taxon",
    "candidates_taxa",
    "candidates_target_ids",
)
CLASS_COLUMN = "taxon_class"  # of a task; without it the class comes from the text index
INDEX_COLUMNS = {
    "audio": ("id", "file_path", *LEVELS),
    "image": ("id", "file_path", *LEVELS),
    "text": ("id", *LEVELS),
}
UNKNOWN = ("", "nan")  # cells without a name, as in the published script
BLOCK = 512  # queries in memory at once


def code(query: str, target: str) -> str:
    """Short name of a direction, the start of the column `task`: A2I, T2A."""
    return f"{query[0]}2{target[0]}".upper()


def task_name(query: str, target: str) -> str:
    """File of a direction."""
    return f"test_{query}_to_{target}.csv"


@dataclass(frozen=True)
class Index:
    """All samples of one modality.

    Attributes
    ----------
    modality : audio, image or text
    path : the CSV
    ids : [n] int64
    names : level -> [n] names, "" if unknown
    files : [n] as in the CSV, empty for text
    pieces : [n] offset and size inside the file, None for a whole file; empty without such columns
    classes : [n] taxonomic classes, "" if unknown; None without that column
    common : [n] common names, "" if unknown; None without such a column
    """

    modality: str
    path: Path
    ids: np.ndarray
    names: Mapping[str, np.ndarray]
    files: tuple[str, ...] = ()
    pieces: tuple[tuple[int, int] | None, ...] = ()
    classes: np.ndarray | None = None
    common: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def text(self, form: str) -> np.ndarray:
        """Names [n] in a form: one of the levels, or common_name."""
        if form in self.names:
            return self.names[form]
        return self.common if self.common is not None else np.full(len(self), "", dtype=object)


@dataclass(frozen=True)
class Split:
    """Seen or unseen species: the indexes and tasks that exist."""

    name: str
    root: Path
    indexes: Mapping[str, Index]
    tasks: Mapping[tuple[str, str, str], Path]  # level, query, target

    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the indexes."""
        paths = (self.indexes[modality].path for modality in MODALITIES if modality in self.indexes)
        return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


@dataclass(frozen=True)
class Queries:
    """Some rows of a task.

    Attributes
    ----------
    payload : [q] int64 ids of the query samples
    correct : correct taxon of each
    classes : taxonomic class of each, None without that column
    taxa : candidates of each
    groups : [q + 1] start of the groups of each query, one group per candidate
    starts : [groups + 1] start of the ids of each group
    ids : [m] int64
    """

    payload: np.ndarray
    correct: list[str]
    classes: list[str] | None
    taxa: list[list[str]]
    groups: np.ndarray
    starts: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.payload)


def read_benchmark(folder: Path) -> list[Split]:
    """Open a benchmark: its root, the root of one of its splits, or a folder `benchmark`.

    Raises
    ------
    DataError
        When the folder has nothing of the layout, or an index cannot be used.
    """
    found = [read_split(name, folder / root / "benchmark") for name, root in FOLDERS.items()]
    splits = [split for split in found if split is not None]
    for one in (folder / "benchmark", folder):
        if not splits:
            name = "seen" if FOLDERS["seen"] in (one.name, one.parent.name) else "unseen"
            alone = read_split(name, one)
            splits = [alone] if alone is not None else []
    if not splits:
        raise DataError(
            f"{folder}: no benchmark (neither unseen/benchmark nor test/benchmark)",
            "name the folder with `unseen` and `test`, or make one with `python -m trainer make-benchmark`",
        )
    return splits


def read_split(name: str, folder: Path) -> Split | None:
    """One split; None if there is no file of it."""
    indexes = {}
    for modality in MODALITIES:
        places = [folder / f"{modality}_index.csv", folder / "ids" / f"{modality}_index.csv"]
        path = next((place for place in places if place.is_file()), None)
        if path is not None:
            indexes[modality] = read_index(path, modality)
    tasks = {}
    for level in LEVELS:
        for query, target in DIRECTIONS:
            path = folder / level / task_name(query, target)
            if path.is_file():
                tasks[level, query, target] = path
    return Split(name, folder.parent, indexes, tasks) if indexes or tasks else None


def read_index(path: Path, modality: str) -> Index:
    """Read an index.

    Raises
    ------
    DataError
        When it cannot be read, lacks a column, or an id is not a number or occurs twice.
    """
    rows = [row for _, row in _rows(path, INDEX_COLUMNS[modality])]
    ids = np.array([_number(row["id"], f"{path} line {line}, column id") for line, row in enumerate(rows, start=2)])
    ids = ids.astype(np.int64)
    once, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"{path}: id {once[counts > 1][0]} occurs twice", "an id names one sample")

    def column(name: str) -> np.ndarray:
        return np.array([_known(row[name]) for row in rows], dtype=object)

    columns = rows[0].keys() if rows else ()
    pieces: tuple[tuple[int, int] | None, ...] = ()
    if "size" in columns:
        pieces = tuple(_piece(row, f"{path} line {line}") for line, row in enumerate(rows, start=2))
    common = next((name for name in COMMON_NAMES if name in columns), None)
    return Index(
        modality,
        path,
        ids,
        {level: column(level) for level in LEVELS},
        tuple(row["file_path"] for row in rows) if modality != "text" else (),
        pieces,
        column("class") if "class" in columns else None,
        column(common) if common else None,
    )


def read_queries(path: Path, direction: str, level: str, block: int = BLOCK) -> Iterator[Queries]:
    """Read a task in blocks of rows.

    Raises
    ------
    DataError
        When the file cannot be read, a column is missing, a cell is invalid, or the direction or level of a row is not
        that of the file.
    """
    rows = _rows(path, TASK_COLUMNS)
    while several := list(islice(rows, block)):
        yield _queries(path, several, direction, level)


def has_rows(path: Path) -> bool:
    """Whether a task has any queries."""
    return next(_rows(path, TASK_COLUMNS), None) is not None


def media(split: Split, modality: str) -> tuple[list[Path | Sample], list[str]]:
    """Files of an index in its order, or parts of files, and a note on each file that had to be looked up.

    The released audio index has wrong names for 288 of its 1,024 files. Index and `metadata.csv` are two views of one
    table: the k-th row of a species in one is its k-th row in the other. The order is used only for species whose
    correctly named files agree with it.
    """
    index = split.indexes[modality]
    written = [split.root / file for file in index.files]
    absent = [row for row, path in enumerate(written) if not path.is_file()]
    metadata = split.root / "metadata.csv"
    if index.pieces:
        pieces = zip(written, index.pieces)
        return [file if of is None else Sample(file, -1, ("", ""), offset=of[0], size=of[1]) for file, of in pieces], []
    if modality != "audio" or not absent or not metadata.is_file():
        return list(written), []
    published = defaultdict(list)
    for _, cells in _rows(metadata, ("file_name", "scientific_name")):
        published[cells["scientific_name"]].append(split.root / cells["file_name"])
    in_order = {name: iter(files) for name, files in published.items()}
    by_order = [next(in_order.get(name, iter(())), None) for name in index.names["species"]]
    contradicted = {
        index.names["species"][row]
        for row, path in enumerate(written)
        if path.is_file() and by_order[row] is not None and by_order[row] != path
    }
    notes = []
    for row in absent:
        other = by_order[row]
        if other is not None and other.is_file() and index.names["species"][row] not in contradicted:
            notes.append(f"{written[row]}: is {other.name} by the order of {metadata.name}")
            written[row] = other
    return list(written), notes


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV atomically; columns missing in a row are empty."""
    with replacing(path, parents=True) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _queries(path: Path, rows: list[tuple[int, dict[str, str]]], direction: str, level: str) -> Queries:
    taxa: list[list[str]] = []
    ids: list[list[int]] = []  # of each group
    payload = []
    for line, row in rows:
        where = f"{path} line {line}"
        if not row["task"].startswith(direction):
            raise DataError(f"{where}: task '{row['task']}' in a file of {direction}", "move the row to its file")
        if row["taxon_level"] != level:
            raise DataError(
                f"{where}: taxon_level '{row['taxon_level']}' in a file of {level}", "move the row to its file"
            )
        payload.append(_number(row["query_payload_id"], f"{where}, column query_payload_id"))
        candidates = _parsed(row, "candidates_taxa", where)
        groups = _parsed(row, "candidates_target_ids", where)
        if len(groups) != len(candidates) or not all(isinstance(group, list) for group in groups):
            raise DataError(
                f"{where}: {len(candidates)} candidates_taxa, {len(groups)} candidates_target_ids",
                "give a list of ids for each candidate",
            )
        taxa.append([str(name) for name in candidates])
        ids += groups
    starts = np.concatenate([[0], np.cumsum([len(group) for group in ids])])
    try:
        flat = np.fromiter(map(int, chain.from_iterable(ids)), np.int64, int(starts[-1]))
    except (TypeError, ValueError) as error:
        lines = f"lines {rows[0][0]} to {rows[-1][0]}"
        raise DataError(f"{path} {lines}: candidates_target_ids has invalid ids ({error})", "write integers") from error
    return Queries(
        np.array(payload, dtype=np.int64),
        [row["correct_taxon"] for _, row in rows],
        [_known(row[CLASS_COLUMN]) for _, row in rows] if CLASS_COLUMN in rows[0][1] else None,
        taxa,
        np.concatenate([[0], np.cumsum([len(names) for names in taxa])]),
        starts,
        flat,
    )


def _rows(path: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV with their line numbers; the columns must exist."""
    csv.field_size_limit(sys.maxsize)  # a cell has the ids of 100 taxa
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            if lacking:
                raise DataError(f"{path}: column {lacking[0]} is missing", f"the columns are {', '.join(columns)}")
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})", "copy the file again") from error


def _parsed(row: Mapping[str, str], column: str, where: str) -> list[Any]:
    try:
        values = json.loads(row[column])
    except ValueError as error:
        raise DataError(f"{where}, column {column}: not JSON ({error})", "copy the file again") from error
    if not isinstance(values, list):
        raise DataError(f"{where}, column {column}: not a list", "copy the file again")
    return values


def _number(cell: str, where: str) -> int:
    try:
        value = float(cell)
        if value != int(value):
            raise ValueError(cell)
        return int(cell) if cell.strip().lstrip("+-").isdigit() else int(value)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: '{cell}' is not an integer", "ids are integers") from error


def _piece(row: Mapping[str, str], where: str) -> tuple[int, int] | None:
    if not row["size"]:
        return None
    return _number(row.get("offset") or "0", f"{where}, column offset"), _number(row["size"], f"{where}, column size")


def _known(cell: str) -> str:
    name = (cell or "").strip()
    return "" if name.lower() in UNKNOWN else name
