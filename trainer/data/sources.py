"""What counts as one source: pieces of one recording, or copies of one file, must stay on one side of a split.

- A row without a `source_id` is a source of its own: its file.
- A collection ("Wikimedia Commons") is not a source. Where one `source_id` has more than `COLLECTION_SHARE` of a
  modality and at least `COLLECTION_TAXA` taxa, the page or path of each file takes its place.
- A file that is listed twice, by its path or by its SHA-256, is one file of one source. Its second row for the same
  taxon is left out; the sources of both rows become one.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.tables import arrow

COLLECTION_SHARE = 0.2  # of the rows of a modality
COLLECTION_TAXA = 5  # the pieces of one soundscape rarely name more
COLUMNS = ("path", "source_repo", "source_id", "sha256", "source_path")
SHA256 = "^[0-9a-f]{64}$"
ABSOLUTE = r"^(?:/|\\|[A-Za-z]:)"
ROUNDABOUT = r"\./|//|\\"  # spellings that another one may stand for


@dataclass(frozen=True)
class Resolved:
    """Sources of the rows of a manifest.

    Attributes
    ----------
    repo, within : Arrow array [rows], the columns `source_repo` and `source_id` as they count
    sha256 : Arrow array [rows], lower case; empty where none is known
    kept : [rows] bool, false for a second row of one file and taxon
    held_out : [rows] bool, held out by the manifest; a file that is held out once is held out
    no_digest : [rows] bool, where the column `sha256` holds something else
    collections : (source, rows, photo) of each collection that was replaced
    """

    repo: Any
    within: Any
    sha256: Any
    kept: np.ndarray
    held_out: np.ndarray
    no_digest: np.ndarray
    collections: tuple[tuple[str, int, bool], ...]

    def notes(self, where: Callable[[int], str]) -> Iterator[str]:
        """What should be known of it, one line each; `where` names a row for people."""
        repeated, strange = np.flatnonzero(~self.kept), np.flatnonzero(self.no_digest)
        if len(repeated):
            yield (
                f"{where(int(repeated[0]))}: lists a file that is listed before ({len(repeated)} in all); "
                "each file counts once"
            )
        if len(strange):
            yield (
                f"{where(int(strange[0]))}: sha256 is not 64 hexadecimal digits ({len(strange)} in all), "
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
    folders, folder : what paths are relative to, and which of them each row's is [rows]
    offset : [rows], of a file in a shard; -1 for a whole file
    taxon, photo, held_out : [rows]
    """
    repo, within, own = columns["source_repo"], _text(columns["source_id"]), _of_its_own(columns, offset)
    unnamed = _is(within, "")
    within = _where(unnamed, own, within)
    source = joint(_codes(repo), _codes(within))
    told = []
    for photos in (False, True):
        for mask in _collections(source, taxon, photo == photos, ~unnamed):
            first = int(np.flatnonzero(mask)[0])
            name = f"{repo[first].as_py()} {columns['source_id'][first].as_py()}".strip()
            told.append((name, int(mask.sum()), photos))
            within = _where(mask, own, within)
    if told:
        source = joint(_codes(repo), _codes(within))
    sha256, no_digest = _digests(columns["sha256"])
    digest = np.where(_is(sha256, ""), -1, _codes(sha256))
    file = linked(joint(_codes(spelt_alike(columns["path"], folders, folder)), offset), digest)
    kept = np.ones(len(file), bool)
    if (file != np.arange(len(file))).any():
        held_out = np.bincount(file, weights=held_out, minlength=len(file))[file] > 0
        kept[:] = False
        kept[np.unique(joint(file, taxon, photo), return_index=True)[1]] = True
        named_by = arrow().array(linked(source, file))
        repo, within = repo.take(named_by), within.take(named_by)
    return Resolved(repo, within, sha256, kept, held_out, no_digest, tuple(told))


def spelt_alike(path: Any, folders: Sequence[Path], folder: np.ndarray) -> Any:
    """Paths [rows] such that those of one file are equal; without a look at the disk, so links are not followed."""
    pa, compute = arrow(), arrow("compute")
    roots = [Path(os.path.abspath(one)).as_posix() for one in folders]
    base = roots[0].rstrip("/") + "/"
    path = _text(path)
    relative = ~_matches(path, ABSOLUTE)
    for place, root in enumerate(roots):
        if root != roots[0]:
            joined = compute.binary_join_element_wise(_scalar(root), path, _scalar("/"))
            path = _where(relative & (folder == place), joined, path)
    roundabout = _matches(path, ROUNDABOUT)
    if roundabout.any():
        mask = pa.array(roundabout)
        written = (one.replace("\\", "/") for one in path.filter(mask).to_pylist())
        straight = [posixpath.normpath(posixpath.join(base, one)) for one in written]
        path = compute.replace_with_mask(path, mask, pa.array(straight, pa.large_string()))
    below = compute.starts_with(path, base).to_numpy(zero_copy_only=False)
    return _where(below, compute.utf8_slice_codeunits(path, len(base)), path) if below.any() else path


def joint(*columns: np.ndarray) -> np.ndarray:
    """[rows] int64 from 0 on, equal where all columns are equal."""
    together = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        together = np.unique(together * (len(values) + 1) + place.reshape(-1), return_inverse=True)[1].reshape(-1)
    return together


def linked(*columns: np.ndarray) -> np.ndarray:
    """The first row of each row's group [rows] int64, where rows that are equal in any column are one group.

    Parameters
    ----------
    columns : [rows] integers; a negative value is equal to no other
    """
    first = np.arange(len(columns[0]))
    known = [np.flatnonzero(column >= 0) for column in columns]
    groups = [
        np.unique(column[rows], return_inverse=True)[1].reshape(-1) for column, rows in zip(columns, known, strict=True)
    ]
    while True:
        before = first
        for rows, group in zip(known, groups, strict=True):
            least = np.full(group.max(initial=-1) + 1, len(first))
            np.minimum.at(least, group, first[rows])
            first = first.copy()
            np.minimum.at(first, first[rows], least[group])  # also for rows that this column does not know
            first = first[first]
        if (first == before).all():
            return first


def _collections(
    source: np.ndarray, taxon: np.ndarray, of_modality: np.ndarray, named: np.ndarray
) -> Iterator[np.ndarray]:
    """Rows [rows] bool of each source that is a collection."""
    counts = np.bincount(source[of_modality & named])
    for large in np.flatnonzero(counts > COLLECTION_SHARE * of_modality.sum()).tolist():
        mask = of_modality & named & (source == large)
        if len(np.unique(taxon[mask])) >= COLLECTION_TAXA:
            yield mask


def _of_its_own(columns: dict[str, Any], offset: np.ndarray) -> Any:
    """The page of each file where the manifest names one, else its path, and its place in a shard."""
    page, path = _text(columns["source_path"]), _text(columns["path"])
    inside = offset >= 0
    if inside.any():
        place = arrow().array(offset).cast(arrow().large_string())
        path = _where(inside, arrow("compute").binary_join_element_wise(path, place, _scalar("#")), path)
    return _where(_is(page, ""), path, page)


def _digests(column: Any) -> tuple[Any, np.ndarray]:
    """SHA-256 of each row, "" where there is none, and where something else is written [rows] bool."""
    compute = arrow("compute")
    digest = compute.utf8_lower(compute.utf8_trim_whitespace(_text(column)))
    strange = ~_matches(digest, SHA256) & ~_is(digest, "")
    return _where(strange, _scalar(""), digest), strange


def _codes(column: Any) -> np.ndarray:
    """[rows] int64, equal where the text is equal; no text becomes an object, of which there would be millions."""
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
