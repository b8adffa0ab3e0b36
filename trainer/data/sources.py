"""The source of each sample: parts of one recording and copies of one file stay on one side of a split.

- A row without a `source_id` has its file as its source.
- A collection ("Wikimedia Commons") is not a source. If one `source_id` has more than `COLLECTION_SHARE` of a modality
  and at least `COLLECTION_TAXA` taxa, it is replaced by the page or path of each file.
- A file that is listed twice, by its path or its SHA-256, is one file of one source. A second row for the same taxon is
  left out; the sources of both rows are merged.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.collect.identity import linked
from trainer.data.tables import arrow

COLLECTION_SHARE = 0.2  # of the rows of a modality
COLLECTION_TAXA = 5  # parts of one soundscape rarely have more
COLUMNS = ("path", "source_repo", "source_id", "sha256", "source_path")
SHA256 = "^[0-9a-f]{64}$"
ABSOLUTE = r"^(?:/|\\|[A-Za-z]:)"
UNNORMALISED = r"\./|//|\\"  # paths that have another spelling


@dataclass(frozen=True)
class Resolved:
    """Sources of the rows of a manifest.

    Attributes
    ----------
    repo, within : Arrow array [rows], the resolved columns `source_repo` and `source_id`
    sha256 : Arrow array [rows], lower case; empty if unknown
    kept : [rows] bool, false for a second row of one file and taxon
    held_out : [rows] bool, held out by the manifest in any row of the file
    no_digest : [rows] bool, whether the column `sha256` is invalid
    collections : source, number of rows and whether they are photos, of each collection that was replaced
    """

    repo: Any
    within: Any
    sha256: Any
    kept: np.ndarray
    held_out: np.ndarray
    no_digest: np.ndarray
    collections: tuple[tuple[str, int, bool], ...]

    def notes(self, where: Callable[[int], str]) -> Iterator[str]:
        """Notes on the sources, one line each; `where` gives the position of a row."""
        repeated, invalid = np.flatnonzero(~self.kept), np.flatnonzero(self.no_digest)
        if len(repeated):
            yield (
                f"{where(int(repeated[0]))}: the file is already listed ({len(repeated)} in all); each file counts once"
            )
        if len(invalid):
            yield (
                f"{where(int(invalid[0]))}: sha256 is not 64 hexadecimal digits ({len(invalid)} in all), "
                "so copies under other names are not found"
            )
        for name, rows, photo in self.collections:
            what = "photos" if photo else "recordings"
            yield (
                f"'{name}' has more than {COLLECTION_SHARE:.0%} of the {what} ({rows}): "
                "a collection, so each file in it counts as a source of its own"
            )


def resolve(
    columns: dict[str, Any],
    folders: Sequence[Path],
    folder: np.ndarray,
    offset: np.ndarray,
    taxon: np.ndarray,
    photo: np.ndarray,
    held_out: np.ndarray,
) -> Resolved:
    """Find the source of every row of a manifest.

    Parameters
    ----------
    columns : Arrow arrays [rows] of COLUMNS
    folders, folder : folders that paths are relative to, and the folder of each row [rows]
    offset : [rows] position in a shard; -1 for a whole file
    taxon, photo, held_out : [rows]
    """
    repo, within, own = columns["source_repo"], _text(columns["source_id"]), _file_as_source(columns, offset)
    unnamed = _is(within, "")
    within = _where(unnamed, own, within)
    source = joint(_codes(repo), _codes(within))
    collections = []
    for photos in (False, True):
        for mask in _collections(source, taxon, photo == photos, ~unnamed):
            first = int(np.flatnonzero(mask)[0])
            name = f"{repo[first].as_py()} {columns['source_id'][first].as_py()}".strip()
            collections.append((name, int(mask.sum()), photos))
            within = _where(mask, own, within)
    if collections:
        source = joint(_codes(repo), _codes(within))
    sha256, no_digest = _digests(columns["sha256"])
    digest = np.where(_is(sha256, ""), -1, _codes(sha256))
    file = linked(joint(_codes(normalised(columns["path"], folders, folder)), offset), digest)
    kept = np.ones(len(file), bool)
    if (file != np.arange(len(file))).any():
        held_out = np.bincount(file, weights=held_out, minlength=len(file))[file] > 0
        kept[:] = False
        kept[np.unique(joint(file, taxon, photo), return_index=True)[1]] = True
        first = arrow().array(linked(source, file))
        repo, within = repo.take(first), within.take(first)
    return Resolved(repo, within, sha256, kept, held_out, no_digest, tuple(collections))


def normalised(path: Any, folders: Sequence[Path], folder: np.ndarray) -> Any:
    """Paths [rows] in one spelling per file; the disk is not read, so links are not followed."""
    pa, compute = arrow(), arrow("compute")
    roots = [Path(os.path.abspath(one)).as_posix() for one in folders]
    base = roots[0].rstrip("/") + "/"
    path = _text(path)
    relative = ~_matches(path, ABSOLUTE)
    for place, root in enumerate(roots):
        if root != roots[0]:
            joined = compute.binary_join_element_wise(_scalar(root), path, _scalar("/"))
            path = _where(relative & (folder == place), joined, path)
    unnormalised = _matches(path, UNNORMALISED)
    if unnormalised.any():
        mask = pa.array(unnormalised)
        written = (one.replace("\\", "/") for one in path.filter(mask).to_pylist())
        straight = [posixpath.normpath(posixpath.join(base, one)) for one in written]
        path = compute.replace_with_mask(path, mask, pa.array(straight, pa.large_string()))
    below = compute.starts_with(path, base).to_numpy(zero_copy_only=False)
    return _where(below, compute.utf8_slice_codeunits(path, len(base)), path) if below.any() else path


def joint(*columns: np.ndarray) -> np.ndarray:
    """Group number [rows] int64 from 0 on of rows that are equal in all columns."""
    together = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        together = np.unique(together * (len(values) + 1) + place.reshape(-1), return_inverse=True)[1].reshape(-1)
    return together


def _collections(
    source: np.ndarray, taxon: np.ndarray, of_modality: np.ndarray, named: np.ndarray
) -> Iterator[np.ndarray]:
    """Mask [rows] bool of each source that is a collection."""
    counts = np.bincount(source[of_modality & named])
    for large in np.flatnonzero(counts > COLLECTION_SHARE * of_modality.sum()).tolist():
        mask = of_modality & named & (source == large)
        if len(np.unique(taxon[mask])) >= COLLECTION_TAXA:
            yield mask


def _file_as_source(columns: dict[str, Any], offset: np.ndarray) -> Any:
    """The page of each file if the manifest names one, else its path with its position in a shard."""
    page, path = _text(columns["source_path"]), _text(columns["path"])
    inside = offset >= 0
    if inside.any():
        place = arrow().array(offset).cast(arrow().large_string())
        path = _where(inside, arrow("compute").binary_join_element_wise(path, place, _scalar("#")), path)
    return _where(_is(page, ""), path, page)


def _digests(column: Any) -> tuple[Any, np.ndarray]:
    """SHA-256 of each row, empty if there is none or it is invalid, and whether it is invalid [rows] bool."""
    compute = arrow("compute")
    digest = compute.utf8_lower(compute.utf8_trim_whitespace(_text(column)))
    invalid = ~_matches(digest, SHA256) & ~_is(digest, "")
    return _where(invalid, _scalar(""), digest), invalid


def _codes(column: Any) -> np.ndarray:
    """[rows] int64, equal where the text is equal, without creating millions of string objects."""
    coded = column if isinstance(column, arrow().DictionaryArray) else column.dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _text(column: Any) -> Any:
    return column.cast(arrow().large_string())


def _scalar(text: str) -> Any:
    return arrow().scalar(text, arrow().large_string())


def _is(column: Any, text: str) -> np.ndarray:
    return arrow("compute").equal(column, text).to_numpy(zero_copy_only=False)


def _matches(column: Any, pattern: str) -> np.ndarray:
    return arrow("compute").match_substring_regex(column, pattern).to_numpy(zero_copy_only=False)


def _where(mask: np.ndarray, first: Any, second: Any) -> Any:
    return arrow("compute").if_else(arrow().array(mask), first, second) if mask.any() else second
