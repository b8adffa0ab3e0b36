"""Taxa and vectors as the gallery's tables have them, and back; what is there is checked, for a file can be damaged."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gallery.entry import UNIT_TOLERANCE
from gallery.taxon import RANKS, Taxon

VECTOR = np.dtype("<f4")
_NONE = type(None)
_TEXT: frozenset[type] = frozenset((str, _NONE))
_NUMBER: frozenset[type] = frozenset((int, _NONE))
_BLOB: frozenset[type] = frozenset((bytes, _NONE))
KINDS: Mapping[str, frozenset[type]] = {
    **dict.fromkeys(("scientific_name", "modality", "label", "author", "licence", "source"), _TEXT),
    **dict.fromkeys(("width", "height"), _NUMBER),
    **dict.fromkeys(("small", "large"), _BLOB),
    "sha256": _TEXT | _BLOB,
}  # of values in columns that are the same in all tables
_WORDS = {"small": "small thumbnail", "large": "large thumbnail"}
IDS_PER_QUERY = 500

_SHA256 = re.compile("[0-9a-f]{64}").fullmatch


class DamagedRowError(Exception):
    """A row that no version of this program writes."""


def named(rows: sqlite3.Cursor, kinds: Mapping[str, frozenset[type]] = KINDS) -> Iterator[dict[str, Any]]:
    """Rows by the names of their columns.

    Raises
    ------
    DamagedRowError
        A column has a value of another kind than is written to it: SQLite keeps anything anywhere.
    """
    names = [column[0] for column in rows.description]
    known = [(at, kinds[name]) for at, name in enumerate(names) if name in kinds]
    for row in rows:
        for at, kind in known:
            if type(row[at]) not in kind:
                owner = dict(zip(names, row)).get("scientific_name", "an entry")
                raise DamagedRowError(f"the {_WORDS.get(names[at], names[at])} of {owner} is not what was written")
        yield dict(zip(names, row, strict=True))


def pieces(ids: Sequence[int]) -> Iterator[str]:
    """Ids for the lists of queries, not too many in one."""
    return (",".join(map(str, ids[at : at + IDS_PER_QUERY])) for at in range(0, len(ids), IDS_PER_QUERY))


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
    name = row["scientific_name"]
    ranks = [name, *(row[rank] for rank in RANKS[:-1])]
    return _taxon(ranks, _json(row["common_names"], "common names", name), _json(row["synonyms"], "synonyms", name))


def taxa_of_rows(rows: Iterable[tuple[Any, ...]]) -> list[Taxon]:
    """Taxa of rows of all columns: the id, then what `taxon_row` writes.

    Raises
    ------
    DamagedRowError
        A column is not what `taxon_row` writes.
    """
    found = list(rows)
    names = _json_column([row[-2] for row in found], "common names", found)
    synonyms = _json_column([row[-1] for row in found], "synonyms", found)
    return [_taxon(row[1:-2], common, other) for row, common, other in zip(found, names, synonyms)]


def _taxon(ranks: Sequence[Any], names: Any, synonyms: Any) -> Taxon:
    name = ranks[0]
    for rank in ranks:
        if not isinstance(rank, str):
            raise DamagedRowError(f"a rank of taxon {name!r} is not text")
    if not (isinstance(names, dict) and all([isinstance(one, str) for one in names.values()])):
        raise DamagedRowError(f"the common names of {name} are not names by language")
    if not (isinstance(synonyms, list) and all([isinstance(one, str) for one in synonyms])):
        raise DamagedRowError(f"the synonyms of {name} are not a list of names")
    return Taxon(*ranks, names, tuple(synonyms))  # type: ignore[call-arg]  # as many ranks as there are


def stored_hash(sha256: str) -> str | bytes:
    """A hash as the file has it: in half the bytes where it is one, in hex."""
    return bytes.fromhex(sha256) if _SHA256(sha256) else sha256


def hash_of(stored: str | bytes) -> str:
    """The hash of `stored_hash`."""
    return stored.hex() if isinstance(stored, bytes) else stored


def vectors_of(blobs: Iterable[object], dim: int, owners: Sequence[object]) -> np.ndarray:
    """Vectors [n, dim] float32, each of which has a row of its own.

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
    return checked(vectors.astype(np.float32, copy=False), owners)


def checked(vectors: np.ndarray, owners: Sequence[object]) -> np.ndarray:
    """The same vectors [n, dim].

    Parameters
    ----------
    vectors : numpy.ndarray
    owners : sequence
        [n], whose each one is, or one for all.

    Raises
    ------
    DamagedRowError
        One has a number that is not finite, or is not of unit length.
    """
    # Not NaN <= tolerance, so what is not finite fails as well.
    wrong = np.flatnonzero(~(np.abs(np.einsum("ij,ij->i", vectors, vectors) - 1.0) <= 3 * UNIT_TOLERANCE))
    if len(wrong):
        raise DamagedRowError(f"a vector of {owners[min(wrong[0], len(owners) - 1)]} is not of unit length")
    return vectors


def _json_column(texts: Sequence[Any], column: str, rows: Sequence[tuple[Any, ...]]) -> Sequence[object]:
    """The JSON of many rows, parsed as one list where that can be, as thousands of small ones take long."""
    if all([isinstance(text, str) for text in texts]):
        try:
            found = json.loads(f"[{','.join(texts)}]")
        except (ValueError, RecursionError):
            pass
        else:
            if len(found) == len(texts):  # "[], []" in one row is no list of names, and is found below
                return found
    return [_json(text, column, row[1]) for text, row in zip(texts, rows)]


def _json(text: object, column: str, owner: object) -> object:
    try:
        return json.loads(text)  # type: ignore[arg-type]  # TypeError is caught
    except (TypeError, ValueError, RecursionError):
        raise DamagedRowError(f"the {column} of {owner} are not JSON") from None
