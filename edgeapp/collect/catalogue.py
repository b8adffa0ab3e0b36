"""The working database of a collection: every medium that a source offered, what was decided, and what is here.

It is what lets any number of runs go on where the last one ended. Each run offers again, decides again (a licence or a
limit may have changed) and fetches only what is not here yet: `path`, `sha256` and `bytes` outlive every decision.

States: ``offered`` (nothing decided), ``left_out`` (with a reason), ``chosen`` (to be fetched), ``downloaded``,
``failed`` (with a reason; tried again in the next run, unless it failed for good).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from edgeapp.collect.medium import Medium
from edgeapp.collect.row import (
    APPLICATION_ID,
    COLUMNS,
    OFFER,
    SCHEMA,
    TRIES,
    VERSION,
    Row,
    json_text,
    row_of,
    values_of,
)
from edgeapp.errors import CollectError
from gallery import sqlite

FILE = "collection.db"
BATCH = 5000  # rows written in one transaction, and read at a time

COUNTED = ("state", "reason", "source", "modality", "class", "taxon", "licence_spdx")  # of `Catalogue.counts`


class Catalogue:
    """The open database of one collection.

    One process changes it at a time; `open` does not see to that. Closed as a context manager.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db, self.path = connection, path

    @classmethod
    def open(cls, folder: Path, readonly: bool = False) -> Catalogue:
        """Open the catalogue of a collection's folder; a missing one is made, with its folder, unless `readonly`.

        Raises
        ------
        CollectError
            It cannot be opened, is no catalogue, or is of another version.
        """
        path = folder / FILE
        if readonly and not path.is_file():
            raise CollectError(f"{path}: no such file", "name the folder of a collection, or collect into it first")
        try:
            if not readonly:
                folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite.connect(path, "ro" if readonly else "rwc", autocommit=True, any_thread=True)
            try:
                _prepare(connection, path, readonly)
            except BaseException:
                connection.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise CollectError(f"{path}: cannot be opened ({error})", "check the file and its folder") from None
        return cls(connection, path)

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def folder(self) -> Path:
        """The folder that paths of rows are relative to."""
        return self.path.parent

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes in the block, or none."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def offer(self, media: Iterable[Medium]) -> int:
        """Add what a source offers; how many of them are new.

        A medium that is known (source and id) is brought up to date and keeps what was decided and fetched. What was
        read before an error of the source is kept.
        """
        before, rest = self.count(), iter(media)
        while batch := _some(rest, BATCH):
            with self.transaction():
                self._db.executemany(OFFER, map(values_of, batch.media))
            if batch.error is not None:
                raise batch.error
        return self.count() - before

    def reconsider(self) -> None:
        """Every row is offered again, except what failed for good; what is here stays here."""
        self._db.execute(
            "UPDATE media SET state = 'offered', reason = '' "
            f"WHERE attempts < {TRIES} AND (state, reason) <> ('offered', '')"
        )

    def rows(
        self,
        state: str | None = None,
        modality: str | None = None,
        source: str | None = None,
        *,
        by_taxon: bool = False,
        where: str = "",
    ) -> Iterator[Row]:
        """Rows in the order of their keys, a batch in memory at a time; the caller may change rows meanwhile.

        Parameters
        ----------
        state, modality, source : str, optional
            Only these.
        by_taxon : bool
            In the order of accepted names, then of keys, so that all rows of a taxon come together.
        where : str
            A further condition in SQL.
        """
        conditions = [f"({where})"] if where else []
        given: list[Any] = []
        for name, value in (("state", state), ("modality", modality), ("source", source)):
            if value is not None:
                # "+" keeps SQLite from that index, by which it would sort all rows for every batch.
                conditions.append(f"{'+' if by_taxon else ''}{name} = ?")
                given.append(value)
        order = "taxon, key" if by_taxon else "key"
        after: tuple[Any, ...] = ("", -1) if by_taxon else (-1,)
        query = (
            f"SELECT key, {', '.join(COLUMNS)} FROM media WHERE {' AND '.join([*conditions, ''])}"
            f"({order}) > ({', '.join('?' * len(after))}) ORDER BY {order} LIMIT {BATCH}"
        )
        at = 1 + COLUMNS.index("taxon")
        while batch := self._db.execute(query, (*given, *after)).fetchall():
            last = batch[-1]
            after = (last[at], last[0]) if by_taxon else (last[0],)
            yield from map(row_of, batch)

    def names(self) -> Iterator[tuple[str, Mapping[str, str], int]]:
        """Every scientific name as written, with its higher taxa and the number of its rows, for the taxonomy."""
        after = ("", "")
        query = (
            "SELECT scientific_name, ranks, count(*) FROM media WHERE (scientific_name, ranks) > (?, ?) "
            f"GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {BATCH}"
        )
        while batch := self._db.execute(query, after).fetchall():
            after = batch[-1][:2]
            for name, ranks, n in batch:
                yield name, json.loads(ranks), n

    def match(
        self,
        name: str,
        ranks: Mapping[str, str],
        taxon: str,
        taxon_ranks: Mapping[str, str] | None = None,
        common_name: str = "",
        reason: str = "",
    ) -> None:
        """Set the accepted taxon of all rows with a name and its higher taxa; with a reason they are left out."""
        known = taxon, json_text(taxon_ranks or {}), common_name
        rows = "scientific_name = ? AND ranks = ?"
        of_name = name, json_text(ranks)
        columns = "(taxon, taxon_ranks, taxon_common_name)"
        self._db.execute(
            f"UPDATE media SET {columns} = (?, ?, ?) WHERE {rows} AND {columns} IS NOT (?, ?, ?)",
            (*known, *of_name, *known),
        )
        if reason:
            self._db.execute(f"UPDATE media SET state = 'left_out', reason = ? WHERE {rows}", (reason, *of_name))

    def licences(self) -> list[str]:
        """Every licence as written."""
        return [text for (text,) in self._db.execute("SELECT DISTINCT licence FROM media ORDER BY 1")]

    def license(self, text: str, spdx: str, reason: str = "") -> None:
        """Set the normalised licence of all rows whose source writes `text`; with a reason they are left out."""
        self._db.execute(
            "UPDATE media SET licence_spdx = ? WHERE licence = ? AND licence_spdx <> ?", (spdx, text, spdx)
        )
        if reason:
            self._db.execute(
                "UPDATE media SET state = 'left_out', reason = ? WHERE licence = ? AND state <> 'left_out'",
                (reason, text),
            )

    def leave_out(self, keys: Iterable[int], reason: str) -> None:
        """Rows that are not wanted, and why."""
        self._update("state = 'left_out', reason = ?", ((reason, key) for key in keys))

    def choose(self, keys: Iterable[int]) -> None:
        """Rows that are wanted; those whose file is here are downloaded already."""
        self._update(
            "state = CASE WHEN sha256 <> '' THEN 'downloaded' ELSE 'chosen' END, reason = ''", ((key,) for key in keys)
        )

    def downloaded(self, key: int, path: str, sha256: str, n_bytes: int) -> None:
        """The file of a row is here."""
        self._update(
            "state = 'downloaded', reason = '', path = ?, sha256 = ?, bytes = ?, attempts = 0",
            [(path, sha256, n_bytes, key)],
        )

    def failed(self, key: int, reason: str, for_good: bool = False, counts: bool = True) -> None:
        """The file of a row could not be fetched in this run, or never will be.

        What is not the file's fault does not count as an attempt.
        """
        attempts = str(TRIES) if for_good else "attempts + 1" if counts else "attempts"
        self._update(f"state = 'failed', reason = ?, attempts = {attempts}", [(reason, key)])

    def attempted(self, keys: Iterable[int]) -> None:
        """Count an attempt of rows that failed."""
        self._update("attempts = attempts + 1", ((key,) for key in keys))

    def fail_as_before(self, rows: Iterable[Row]) -> None:
        """Rows that failed in this run and are chosen again wait for the next: they keep their place in the draw."""
        self._db.executemany(
            "UPDATE media SET state = 'failed', reason = ? WHERE key = ? AND state = 'chosen'",
            ((row.reason, row.key) for row in rows),
        )

    def gone(self, key: int) -> None:
        """The file of a row is not here any more; it is to be fetched again."""
        self._update("state = 'chosen', sha256 = '', bytes = NULL", [(key,)])

    def forgive(self) -> None:
        """What failed for good is tried again."""
        self._db.execute("UPDATE media SET attempts = 0 WHERE attempts > 0")

    def note(self, key: int, notes: Sequence[str]) -> None:
        """Set what curation found about a file."""
        self._update("notes = ?", [(json_text(list(notes)), key)])

    def counts(self, *by: str, where: str = "") -> list[tuple[Any, ...]]:
        """Number of rows by columns of `COUNTED`: the values, the rows, and the sum of bytes that are known of them.

        Parameters
        ----------
        by : str
            ``"class"`` is that of the accepted taxon.
        where : str
            A condition in SQL.
        """
        if unknown := set(by) - set(COUNTED):
            raise ValueError(f"rows are not counted by {', '.join(sorted(unknown))}")
        columns = [f"coalesce({_CLASS}, '')" if name == "class" else name for name in by]
        group = f" GROUP BY {', '.join(str(n + 1) for n in range(len(by)))}" if by else ""
        return self._db.execute(
            f"SELECT {', '.join([*columns, 'count(*)', 'coalesce(sum(coalesce(bytes, size)), 0)'])} FROM media"
            f"{f' WHERE {where}' if where else ''}{group}{group.replace('GROUP', 'ORDER')}"
        ).fetchall()

    def taxa(self, where: str = "") -> int:
        """Number of accepted taxa among rows."""
        return self._db.execute(
            f"SELECT count(DISTINCT taxon) FROM media WHERE taxon <> ''{f' AND ({where})' if where else ''}"
        ).fetchone()[0]

    def taxon_names(self, where: str = "") -> list[str]:
        """Accepted taxa among rows, in the order of their names."""
        condition = f" AND ({where})" if where else ""
        query = f"SELECT DISTINCT taxon FROM media WHERE taxon <> ''{condition} ORDER BY taxon"
        return [name for (name,) in self._db.execute(query)]

    def fact(self, name: str, default: str = "") -> str:
        """Something about the collection as a whole, such as its backbone."""
        found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return found[0] if found else default

    def set_fact(self, name: str, value: str) -> None:
        """Keep something about the collection as a whole."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _update(self, change: str, values: Iterable[tuple[Any, ...]]) -> None:
        with self.transaction():
            self._db.executemany(f"UPDATE media SET {change} WHERE key = ?", values)

    def count(self) -> int:
        """All media that are known."""
        return self._db.execute("SELECT count(*) FROM media").fetchone()[0]


_CLASS = "json_extract(taxon_ranks, '$.class')"


def _prepare(connection: sqlite3.Connection, path: Path, readonly: bool) -> None:
    [(owner,)] = connection.execute("PRAGMA application_id").fetchall()
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if empty and not readonly:
        sqlite.write_ahead(connection, "NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("COMMIT")
        return
    if owner != APPLICATION_ID:
        raise CollectError(f"{path} is no catalogue of a collection", "choose another folder, or move the file away")
    if version != VERSION:
        raise CollectError(
            f"{path} was made by another version of this program (catalogue {version}, this one has {VERSION})",
            "use that version, or collect into another folder",
        )
    if not readonly:
        sqlite.write_ahead(connection, "NORMAL")


@dataclass(frozen=True)
class _Batch:
    media: list[Medium]
    error: Exception | None = None

    def __bool__(self) -> bool:
        return bool(self.media) or self.error is not None


def _some(media: Iterator[Medium], n: int) -> _Batch:
    """The next media, and the error that came instead of more."""
    batch: list[Medium] = []
    try:
        batch.extend(islice(media, n))
    except CollectError as error:
        return _Batch(batch, error)
    return _Batch(batch)
