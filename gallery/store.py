"""The gallery: one SQLite file of taxa and vectors.

On disk a gallery is one file. While it is edited it is in WAL mode (``-wal`` and ``-shm`` beside it); closing it
returns it to one file. Reading never changes the file and needs no writable folder. A gallery is built under another
name in the same folder and moved to its place when complete: readers see the old one or the new one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from gallery import contents, counterexamples, database, files, sqlite, vectors
from gallery import entries as entries_table
from gallery.centroids import Appender, Sums, computed_sums, stored_sums
from gallery.entry import Added, Counterexample, EncoderIdentity, Entry, Rejection
from gallery.errors import GalleryError, TaxonError
from gallery.names_table import NamesTable
from gallery.rows import DamagedRowError, named, taxa_of_rows, taxon_of, taxon_row
from gallery.schema import STORES_CENTROIDS, check_schema
from gallery.taxon import Names, Taxon
from gallery.utc import now_text

T = TypeVar("T")


class Gallery:
    """Taxa and their vectors, in one SQLite file. Open it with `create`, `open` or `build`, as a context manager.

    An instance belongs to the thread that opened it; each thread opens its own.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    identity : EncoderIdentity
        The encoders that made the vectors.
    readonly : bool
        Whether the gallery was opened for reading only.
    stores_centroids : bool
        False for one of an earlier version, which is read as it is.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, identity: EncoderIdentity, readonly: bool) -> None:
        self._db = db
        self.path = path
        self.identity = identity
        self.readonly = readonly
        self._closed = False
        self.stores_centroids = STORES_CENTROIDS in database.applied(db)

    @classmethod
    def open(
        cls,
        path: str | Path,
        identity: EncoderIdentity | None = None,
        readonly: bool = True,
        any_thread: bool = False,
    ) -> Gallery:
        """Open a gallery.

        Parameters
        ----------
        path : str or Path
            The file.
        identity : EncoderIdentity, optional
            The encoders whose vectors will be compared with the gallery's; another space or dim is refused.
        readonly : bool
            False to add to the gallery. This also brings a gallery of an older version up to date.
        any_thread : bool
            Several threads may use it, one at a time.

        Raises
        ------
        GalleryError
            No such file, not a gallery, of a schema this version does not know, made by other encoders, not writable.
        """
        path = Path(path)
        database.check_file(path)
        if not readonly and not (sqlite.writable(path) and sqlite.writable(path.resolve().parent)):
            raise GalleryError(f"gallery {path} cannot be written", "copy it to a folder of yours and use the copy")
        with database.explained(path):
            db = sqlite.connect(path, "ro" if readonly else "rw", database.BUSY_S, any_thread=any_thread)
            try:
                database.read_as_newest(db, check_schema(database.applied(db), path, readonly))
                if not readonly:
                    database.bring_up_to_date(db)
                made_by = database.identity_of(db, path)
                if identity is not None:
                    database.check_identity(path, made_by, identity)
                if not readonly:
                    sqlite.write_ahead(db, "NORMAL")
            except BaseException:
                db.close()
                raise
        return cls(db, path, made_by, readonly)

    @classmethod
    def _started(cls, file: Path, path: Path, identity: EncoderIdentity) -> Gallery:
        db = sqlite.connect(file, "rwc", database.BUSY_S)
        try:
            database.bring_up_to_date(db)
            built = now_text("seconds")
            values = {"space": identity.space, "dim": str(identity.dim), "pack": identity.pack, "built": built}
            with db:
                db.executemany("INSERT INTO gallery VALUES (?, ?)", values.items())
        except BaseException:
            db.close()
            raise
        return cls(db, path, identity, readonly=False)

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. An edited gallery becomes one file again, unless another program still has it open."""
        if not self._closed:
            self._closed = True
            if not self.readonly:
                database.settle(self._db)
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[Gallery]:
        """Everything done inside happens, or nothing of it: a species with its vectors, a replaced species.

        Raises
        ------
        GalleryError
            The gallery is open for reading only, another program keeps it busy, or the disk is full.
        """
        if self.readonly:
            raise GalleryError(f"gallery {self.path} is open for reading", "open it with readonly=False")
        with database.explained(self.path):
            if self._db.in_transaction:
                with database.changing(self._db).atomic():
                    yield self
                return
            # IMMEDIATE: a transaction that first reads and then writes must not find another writer in between.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self
                self._db.commit()
            except BaseException:
                self._db.rollback()
                raise

    def add_taxa(self, taxa: Iterable[Taxon]) -> Added:
        """Add taxa, in one transaction. A taxon that is there already is left as it is, and rejected if it differs."""
        added = 0
        rejected: list[Rejection] = []
        with self.transaction():
            for taxon in taxa:
                name = taxon.scientific_name.strip()
                known = self.taxon(name)
                if not name:
                    rejected.append(self.reject("taxon", "taxon without a scientific name"))
                elif known is None:
                    self._db.execute(f"INSERT INTO taxa VALUES (NULL{', ?' * 9})", taxon_row(taxon))
                    added += 1
                elif known != taxon:
                    reason = "taxon is in the gallery with other names or ranks"
                    rejected.append(self.reject(taxon.scientific_name, reason))
        return Added(added, tuple(rejected))

    def add_entries(self, entries: Iterable[Entry], reject_known: bool = True) -> Added:
        """Add vectors, in one transaction.

        What cannot be taken is rejected, with the reason: a vector that is not finite, zero, of the wrong dim or not of
        unit length; a taxon that is not in the gallery; a file or a prompt that the taxon has already, unless what is
        known is to be passed over.
        """
        added = 0
        rejected: list[Rejection] = []
        with self.transaction():
            appender = Appender(self._db, self.identity.dim)
            taxon_ids: dict[str, int | None] = {}
            for entry in entries:
                name = entry.scientific_name
                if name not in taxon_ids:
                    taxon_ids[name] = self._id(name)
                taxon = taxon_ids[name]
                reason = entry.defect(self.identity.dim)
                if not reason and taxon is None:
                    reason = "taxon is not in the gallery"
                if not reason and taxon is not None and not entries_table.put(self._db, entry, taxon, appender):
                    reason = f"{entry.modality} is in the gallery already"
                    if not reject_known:
                        continue
                if reason:
                    rejected.append(self.reject(f"{name}: {entry.label}", reason))
                else:
                    added += 1
            appender.flush()
        return Added(added, tuple(rejected))

    def _id(self, scientific_name: str) -> int | None:
        row = self._db.execute("SELECT id FROM taxa WHERE scientific_name = ?", (scientific_name.strip(),)).fetchone()
        return None if row is None else row[0]

    def add_counterexamples(self, examples: Iterable[Counterexample]) -> Added:
        """Add counterexamples, in one transaction. What cannot be taken is rejected, with the reason."""
        with self.transaction():
            reasons = [(one, counterexamples.put(self._db, one, self.identity.dim)) for one in examples]
            rejected = [self.reject(f"not {one.scientific_name}: {one.label}", why) for one, why in reasons if why]
        return Added(len(reasons) - len(rejected), tuple(rejected))

    def counterexamples(self) -> list[Counterexample]:
        """All counterexamples, in the order they were added."""
        return self.read(counterexamples.read)

    def remove_taxon(self, scientific_name: str, table: NamesTable | None = None) -> int:
        """Remove a taxon and its vectors, in one transaction; returns how many vectors it had.

        Raises
        ------
        TaxonError
            The taxon is not in the gallery; names that look like it are given.
        """
        with self.transaction():
            row = self._db.execute("SELECT id FROM taxa WHERE scientific_name = ?", (scientific_name,)).fetchone()
            if row is None:
                known = Names(self.taxa(), table)
                meant = known.find(scientific_name).scientific_name  # raises, with names that look like it
                raise TaxonError(f"'{scientific_name}' is not an accepted scientific name", f"did you mean {meant}?")
            (entries,) = self._db.execute("SELECT count(*) FROM entries WHERE taxon = ?", row).fetchone()
            self._db.execute("DELETE FROM taxa WHERE id = ?", row)
        return entries

    def reject(self, label: str, reason: str) -> Rejection:
        """Record something that was not taken in, so that `info` and `rejections` tell of it."""
        with self.transaction():
            self._db.execute("INSERT INTO rejected VALUES (NULL, ?, ?)", (label, reason))
        return Rejection(label, reason)

    def rejections(self) -> list[Rejection]:
        """Everything that was not taken in, oldest first."""
        with database.explained(self.path):
            return [Rejection(*row) for row in self._db.execute("SELECT label, reason FROM rejected ORDER BY id")]

    def taxa(self) -> list[Taxon]:
        """All taxa, in the order they were added."""
        with database.explained(self.path):
            return taxa_of_rows(self._db.execute("SELECT * FROM taxa ORDER BY id"))

    def taxon(self, scientific_name: str) -> Taxon | None:
        """The taxon of an accepted name, None where there is none."""
        with database.explained(self.path):
            rows = self._db.execute("SELECT * FROM taxa WHERE scientific_name = ?", (scientific_name.strip(),))
            return next((taxon_of(row) for row in named(rows)), None)

    def entries(
        self, modality: str | None = None, scientific_name: str | None = None, sha256: str | None = None
    ) -> list[Entry]:
        """Entries, of one modality, taxon and file if asked, in the order they were added, with their thumbnails."""
        asked = {"modality": modality, "scientific_name": scientific_name, "sha256": sha256}
        return self.read(entries_table.read, self.stores_centroids, asked)

    def sums(self, modality: str, beside_class: bool = True) -> Sums | None:
        """Sums of the vectors of one modality by taxon, without class vectors; None where there are none.

        They are read as the file has them; of a gallery of an earlier version, from all vectors. Without `beside_class`
        those of taxa that have a class vector are left out.
        """
        return self.read(stored_sums if self.stores_centroids else computed_sums, modality, beside_class)

    def read(self, function: Callable[..., T], *values: object) -> T:
        """What a function of this package makes of the open file, the numbers in a vector and `values`."""
        with database.explained(self.path):
            return function(self._db, self.identity.dim, *values)

    def each(self, function: Callable[..., Iterator[T]], *values: object) -> Iterator[T]:
        """The same of a function that gives one after the other."""
        with database.explained(self.path):
            yield from function(self._db, self.identity.dim, *values)

    def vectors(self, modality: str, beside_class: bool = True) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Vectors of one modality but for class vectors, without the rest of their entries, some thousand at a time.

        Parameters
        ----------
        modality : str
        beside_class : bool
            Whether those of taxa that have a class vector are read as well.

        Yields
        ------
        tuple[numpy.ndarray, numpy.ndarray]
            [n] int64, place of each vector's taxon in `taxa`, ascending over all pieces; [n, dim] float32, the vectors.
        """
        yield from self.each(vectors.of_modality, modality, beside_class)

    def class_vectors(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Class vectors, some thousand at a time.

        Yields
        ------
        tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]
            [n] int64, place of each one's taxon in `taxa`, ascending over all pieces; [n, dim] float32, unit length;
            [n] float32, logit scales; [n] float32, logit biases.
        """
        yield from self.each(vectors.of_classes)

    def info(self) -> dict[str, Any]:
        """What the gallery holds, ready for JSON.

        Keys: path, space, dim, pack, built (UTC), schema (number of the schema), taxa, entries (modality to vectors),
        taxa_with (modality to taxa that have one), class_vectors (of the audio entries), photos_without_vectors (of the
        image entries), counterexamples, thumbnails, licences (licence to entries, "" for none given), rejected, bytes.
        """
        with database.explained(self.path):
            # Not the file's size: a gallery that is being built is not in its place yet.
            in_bytes = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            (size,) = self._db.execute(in_bytes).fetchone()
            return {
                "path": str(self.path),
                "space": self.identity.space,
                "dim": self.identity.dim,
                "pack": self.identity.pack,
                "built": database.settings(self._db).get("built", ""),
                "schema": len(database.applied(self._db)),
                **contents.counts(self._db),
                "bytes": size,
            }

    def counts(self) -> dict[str, dict[str, int]]:
        """Scientific name to modality to entries, of every taxon in the order they were added."""
        with database.explained(self.path):
            return contents.counts_of_taxa(self._db)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of a query of the file, by column, for the other modules of this package.

        Columns ``block`` and ``place`` beside one of scientific names are given as one ``vector``, [dim] float32 or
        None.
        """
        with database.explained(self.path):
            found = list(named(self._db.execute(query, parameters)))
            if found and "block" in found[0]:
                vectors.attach(self._db, self.identity.dim, found)
            return found

    def thumbnail(self, id: int, size: str) -> bytes | None:
        """JPEG of a photo, or None where there is no such entry or it has none.

        Parameters
        ----------
        id : int
            Of its entry, as a `gallery.pictures.Picture` has it.
        size : str
            ``"small"`` for lists, ``"large"`` to look at; the same where an earlier version kept one size.

        Raises
        ------
        GalleryError
            It is damaged.
        """
        columns = {"small": "coalesce(small, large)", "large": "large"}
        with database.explained(self.path):
            row = self._db.execute(f"SELECT {columns[size]} FROM thumbnails WHERE entry = ?", (id,)).fetchone()
            if row is not None and not isinstance(row[0], bytes):
                raise DamagedRowError(f"the thumbnail of entry {id} is no picture")
        return None if row is None else row[0]


@contextmanager
def build(path: str | Path, identity: EncoderIdentity) -> Iterator[Gallery]:
    """Make a gallery from nothing and, when the block ends without an error, put it in the place of `path`.

    Raises
    ------
    GalleryError
        The folder is missing or cannot be written, or another program is editing the gallery that would be replaced.
    """
    target = Path(path).resolve()
    database.check_folder(target)
    with files.replacing(target) as part:
        try:
            with database.explained(target):
                gallery = Gallery._started(part, target, identity)
                # Nobody else knows this file and a failed build deletes it: no journal on disk, one sync at the end.
                gallery._db.execute("PRAGMA journal_mode = MEMORY")
                gallery._db.execute("PRAGMA synchronous = OFF")
            with gallery:
                yield gallery
        finally:
            database.remove_side_files(part)
        database.drop_journals(target)
