"""What counts as one source: pieces of one recording, or copies of one file, must stay on one side of a split.

- A row without a `source_id` is a source of its own: its file.
- A collection ("Wikimedia Commons") is not a source. Where more than `COLLECTION_SHARE` of a modality, with at least
  `COLLECTION_TAXA` taxa, is said to be of one source, the page or path of each file takes its place.
- A file that is listed twice, by its path or by its SHA-256, is one file of one source. Its second row for the same
  taxon is left out; the sources of both rows become one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.data.tables import arrow, codes

COLLECTION_SHARE = 0.2  # of the rows of a modality
COLLECTION_TAXA = 5  # the pieces of one soundscape rarely name more


@dataclass(frozen=True)
class Resolved:
    """Sources of the rows of a manifest.

    Attributes
    ----------
    repo, within : Arrow array [rows], the columns `source_repo` and `source_id` as they count
    kept : [rows] bool, false for a second row of one file and taxon
    apart : [rows] bool, held out by the manifest; a file that is held out once is held out
    collections : (source, rows, photo) of each collection that was replaced
    """

    repo: Any
    within: Any
    kept: np.ndarray
    apart: np.ndarray
    collections: tuple[tuple[str, int, bool], ...]


def resolve(
    columns: dict[str, Any],
    folder: np.ndarray,
    offset: np.ndarray,
    taxon: np.ndarray,
    photo: np.ndarray,
    apart: np.ndarray,
) -> Resolved:
    """Find the source of every row of a manifest.

    Parameters
    ----------
    columns : Arrow arrays [rows]: path, source_repo, source_id, sha256, source_path
    folder : [rows], what the path is relative to
    offset : [rows], of a file in a shard; -1 for a whole file
    taxon, photo, apart : [rows]
    """
    file = joint(codes(columns["path"])[0], folder, offset)
    repo, within = columns["source_repo"], _text(columns["source_id"])
    own = _of_its_own(columns, offset)
    unnamed = _is_empty(within)
    within = _where(unnamed, own, within)
    source = joint(codes(repo)[0], codes(within)[0])
    collections = [
        (mask, is_photo) for is_photo in (False, True) for mask in _collections(source, taxon, photo == is_photo)
    ]
    told = []
    for mask, is_photo in collections:
        first = int(np.flatnonzero(mask)[0])
        told.append((f"{repo[first].as_py()} {within[first].as_py()}".strip(), int(mask.sum()), is_photo))
    if collections:
        within = _where(np.any([mask for mask, _ in collections], axis=0), own, within)
        source = joint(codes(repo)[0], codes(within)[0])
    kept, apart = np.ones(len(file), bool), apart.copy()
    first_of_file = linked(file, _digests(columns["sha256"]))
    if first_of_file is not None:
        apart |= np.bincount(first_of_file, weights=apart, minlength=len(file))[first_of_file] > 0
        kept[:] = False
        kept[np.unique(joint(first_of_file, taxon, photo), return_index=True)[1]] = True
        first_of_source = linked(source, first_of_file)
        if first_of_source is not None:
            at = arrow().array(first_of_source)
            repo, within = repo.take(at), within.take(at)
    return Resolved(repo, within, kept, apart, tuple(told))


def joint(*columns: np.ndarray) -> np.ndarray:
    """[rows] int64 from 0 on, equal where all columns are equal."""
    together = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        together = np.unique(together * (len(values) + 1) + place.reshape(-1), return_inverse=True)[1].reshape(-1)
    return together


def linked(*columns: np.ndarray) -> np.ndarray | None:
    """The first row of each row's group, where rows that are equal in any column are one group.

    Parameters
    ----------
    columns : [rows] integers; a negative value is equal to no other

    Returns
    -------
    [rows] int64, or None when no two rows belong together.
    """
    first = np.arange(len(columns[0]))
    found = False
    while True:
        before = first
        for column in columns:
            known = np.flatnonzero(column >= 0)
            _, place = np.unique(column[known], return_inverse=True)
            place = place.reshape(-1)
            least = np.full(len(known), len(first))
            np.minimum.at(least, place, first[known])
            first = first.copy()
            np.minimum.at(
                first, first[known], least[place]
            )  # also for rows of the group that this column does not know
            first = first[first]
        if (first == before).all():
            return first if found else None
        found = True


def _collections(source: np.ndarray, taxon: np.ndarray, of_modality: np.ndarray) -> Iterator[np.ndarray]:
    """Rows [rows] bool of each source that is a collection."""
    rows = np.flatnonzero(of_modality)
    counts = np.bincount(source[rows], minlength=1)
    for large in np.flatnonzero(counts > COLLECTION_SHARE * len(rows)).tolist():
        mask = of_modality & (source == large)
        if len(np.unique(taxon[mask])) >= COLLECTION_TAXA:
            yield mask


def _of_its_own(columns: dict[str, Any], offset: np.ndarray) -> Any:
    """The page of each file where the manifest names one, else its path, and its place in a shard."""
    pa, compute = arrow(), arrow("compute")
    page = _text(columns["source_path"])
    own = _where(_is_empty(page), _text(columns["path"]), page)
    inside = offset >= 0
    if inside.any():
        place = compute.binary_join_element_wise(
            _text(columns["path"]), pa.array(offset).cast(pa.large_string()), pa.scalar("#", pa.large_string())
        )
        own = _where(inside & _is_empty(page), place, own)
    return own


def _digests(column: Any) -> np.ndarray:
    """Code of each SHA-256, -1 where none is given."""
    lower = arrow("compute").utf8_lower(_text(column))
    of_row, values = codes(lower)
    empty = [place for place, value in enumerate(values) if not value]
    return np.where(np.isin(of_row, empty), -1, of_row).astype(np.int64)


def _text(column: Any) -> Any:
    return column.cast(arrow().large_string())


def _is_empty(column: Any) -> np.ndarray:
    return arrow("compute").equal(column, "").to_numpy(zero_copy_only=False)


def _where(mask: np.ndarray, first: Any, second: Any) -> Any:
    return arrow("compute").if_else(arrow().array(mask), first, second) if mask.any() else second
