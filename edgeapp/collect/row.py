"""One row of a collection's catalogue, and the table that rows are kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from edgeapp.collect.medium import Medium

APPLICATION_ID = 0x42564543  # "BVEC"
VERSION = 1
LARGEST = 1 << 60  # bytes of a file
TRIES = 3  # runs in which a file may fail before it has failed for good

OFFERED, LEFT_OUT, CHOSEN, DOWNLOADED, FAILED = "offered", "left_out", "chosen", "downloaded", "failed"  # states

OF_MEDIUM = tuple(one.name for one in fields(Medium))
_DECIDED = ("state", "reason", "taxon", "taxon_ranks", "taxon_common_name", "licence_spdx")
_HERE = ("path", "sha256", "bytes", "attempts", "notes")
_NUMBERS = {"latitude": "REAL", "longitude": "REAL", "duration_s": "REAL", "size": "INTEGER"}
COLUMNS = (*OF_MEDIUM, *_DECIDED, *_HERE)
SCHEMA = (
    "CREATE TABLE media (key INTEGER PRIMARY KEY, "
    + ", ".join(f"{name} {_NUMBERS.get(name, 'TEXT NOT NULL')}" for name in OF_MEDIUM)
    + ", state TEXT NOT NULL DEFAULT 'offered', reason TEXT NOT NULL DEFAULT '', taxon TEXT NOT NULL DEFAULT ''"
    + ", taxon_ranks TEXT NOT NULL DEFAULT '{}', taxon_common_name TEXT NOT NULL DEFAULT ''"
    + ", licence_spdx TEXT NOT NULL DEFAULT '', path TEXT NOT NULL DEFAULT '', sha256 TEXT NOT NULL DEFAULT ''"
    + ", bytes INTEGER, attempts INTEGER NOT NULL DEFAULT 0, notes TEXT NOT NULL DEFAULT '[]', UNIQUE (source, id))",
    "CREATE INDEX by_state ON media (state)",
    "CREATE INDEX by_taxon ON media (taxon)",
    "CREATE INDEX by_name ON media (scientific_name)",
    "CREATE INDEX by_content ON media (sha256) WHERE sha256 <> ''",
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
_TOLD = tuple(name for name in OF_MEDIUM if name not in ("source", "id"))  # what a source may tell otherwise later
# What a source now tells otherwise replaces what it told. A file whose published checksum has changed is another one.
OFFER = (
    f"INSERT INTO media ({', '.join(OF_MEDIUM)}) VALUES ({', '.join('?' * len(OF_MEDIUM))}) "
    f"ON CONFLICT (source, id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _TOLD)}, "
    "sha256 = CASE WHEN excluded.checksum IN ('', checksum) OR checksum = '' THEN sha256 ELSE '' END, "
    "attempts = CASE WHEN excluded.url = url AND excluded.checksum IN ('', checksum) THEN attempts ELSE 0 END "
    f"WHERE ({', '.join(_TOLD)}) IS NOT ({', '.join(f'excluded.{name}' for name in _TOLD)})"
)


@dataclass(frozen=True)
class Row:
    """One medium with all that is known and decided about it.

    Attributes
    ----------
    key : int
        Of the row; the same in every run.
    medium : Medium
        As its source offers it.
    state, reason : str
        One of `STATES`, and why if it is left out or failed.
    taxon : str
        Accepted scientific name; ``""`` when not matched.
    taxon_ranks : mapping of str to str
        Accepted names by rank, lower case.
    taxon_common_name : str
    licence_spdx : str
        Normalised; ``""`` when not read yet.
    path : str
        Relative to the collection's folder, with ``/``; ``""`` before there was a file.
    sha256 : str
        Of the file, hex; ``""`` when it is not here.
    bytes : int or None
    attempts : int
        Runs in which it failed since it was last fetched; `TRIES` is for good.
    notes : tuple of str
        What curation found: silence, speech, a burst.
    """

    key: int
    medium: Medium
    state: str
    reason: str
    taxon: str
    taxon_ranks: Mapping[str, str]
    taxon_common_name: str
    licence_spdx: str
    path: str
    sha256: str
    bytes: int | None
    attempts: int
    notes: tuple[str, ...]

    @property
    def lasting(self) -> bool:
        """Whether it failed so often, or in such a way, that it is not tried again."""
        return self.attempts >= TRIES


def values_of(medium: Medium) -> tuple[Any, ...]:
    """What a source offers, as SQLite takes it."""
    told = {name: getattr(medium, name) for name in OF_MEDIUM}
    told |= {"ranks": json_text(medium.ranks), "background": json_text(list(medium.background))}
    told["size"] = _size(medium.size)
    return tuple(value if name in _NUMBERS else _text(value) for name, value in told.items())


def _text(value: Any) -> str:
    """A value as text; ``""`` for what an archive has in the place of one.

    Text that was cut inside a letter has halves of one, which UTF-8 has not.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST
    return str(value) if number else ""


def _size(value: Any) -> int | None:
    """Bytes, where a source says something that can be."""
    return value if isinstance(value, int) and 0 < value < LARGEST else None


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=10_000)
def _ranks(text: str) -> Mapping[str, str]:
    """Names by rank; the same object for all rows that have the same text, which is not to be changed."""
    return MappingProxyType(json.loads(text))


def _texts(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))


def row_of(values: tuple[Any, ...]) -> Row:
    key, *rest = values
    told = dict(zip(OF_MEDIUM, rest, strict=False))
    told |= {"ranks": _ranks(told["ranks"]), "background": _texts(told["background"])}
    state, reason, taxon, ranks, common_name, licence, path, sha256, n_bytes, attempts, notes = rest[len(OF_MEDIUM) :]
    return Row(
        key=key,
        medium=Medium(**told),
        state=state,
        reason=reason,
        taxon=taxon,
        taxon_ranks=_ranks(ranks),
        taxon_common_name=common_name,
        licence_spdx=licence,
        path=path,
        sha256=sha256,
        bytes=n_bytes,
        attempts=attempts,
        notes=_texts(notes),
    )
