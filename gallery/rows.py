"""Taxa and vectors as the gallery's tables have them, and back; what is there is checked, for a file can be damaged."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gallery.entry import UNIT_TOLERANCE
from gallery.taxon import RANKS, Taxon

VECTOR = np.dtype("<f4")


class DamagedRowError(Exception):
    """A row that no version of this program writes."""


def named(rows: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    """Rows by the names of their columns."""
    names = [column[0] for column in rows.description]
    return (dict(zip(names, row, strict=True)) for row in rows)


def taxon_row(taxon: Taxon) -> tuple[str, ...]:
    """Columns after the id: scientific name, kingdom to genus, common names and synonyms as JSON."""
    names = json.dumps(dict(taxon.common_names), ensure_ascii=False, sort_keys=True)
    return (taxon.scientific_name, *taxon.path("genus"), names, json.dumps(taxon.synonyms, ensure_ascii=False))


def taxon_of(row: Mapping[str, Any]) -> Taxon:
    """The taxon of a row read by column name.

    Raises
    ------
    DamagedRowError
        A column is not what `taxon_row` writes.
    """
    ranks = [row["scientific_name"], *(row[rank] for rank in RANKS[:-1])]
    names, synonyms = _json(row, "common_names"), _json(row, "synonyms")
    if not all(isinstance(name, str) for name in ranks):
        raise DamagedRowError(f"a rank of taxon {row['scientific_name']!r} is not text")
    if not (isinstance(names, dict) and all(isinstance(name, str) for name in names.values())):
        raise DamagedRowError(f"the common names of {row['scientific_name']} are not names by language")
    if not (isinstance(synonyms, list) and all(isinstance(name, str) for name in synonyms)):
        raise DamagedRowError(f"the synonyms of {row['scientific_name']} are not a list of names")
    return Taxon(
        scientific_name=row["scientific_name"],
        kingdom=row["kingdom"],
        phylum=row["phylum"],
        class_=row["class"],
        order=row["order"],
        family=row["family"],
        genus=row["genus"],
        common_names=names,
        synonyms=tuple(synonyms),
    )


def vectors_of(blobs: Iterable[object], dim: int, owners: Sequence[object]) -> np.ndarray:
    """Vectors [n, dim] float32 as the file has them.

    Parameters
    ----------
    blobs : iterable
    dim : int
    owners : sequence
        [n], whose each one is, for the message.

    Raises
    ------
    DamagedRowError
        One is too short or too long, has a number that is not finite, or is not of unit length.
    """
    found = list(blobs)
    for owner, blob in zip(owners, found):
        if not isinstance(blob, bytes) or len(blob) != dim * VECTOR.itemsize:
            raise DamagedRowError(f"a vector of {owner} is not of {dim} numbers")
    vectors = np.frombuffer(b"".join(found), VECTOR).reshape(-1, dim)  # type: ignore[arg-type]  # bytes: as checked
    # Not NaN <= tolerance, so what is not finite fails as well.
    wrong = np.flatnonzero(~(np.abs(np.einsum("ij,ij->i", vectors, vectors) - 1.0) <= 3 * UNIT_TOLERANCE))
    if len(wrong):
        raise DamagedRowError(f"a vector of {owners[wrong[0]]} is not of unit length")
    return vectors.astype(np.float32, copy=False)


def _json(row: Mapping[str, Any], column: str) -> object:
    try:
        return json.loads(row[column])
    except (TypeError, ValueError, RecursionError):
        raise DamagedRowError(f"the {column.replace('_', ' ')} of {row['scientific_name']} are not JSON") from None
