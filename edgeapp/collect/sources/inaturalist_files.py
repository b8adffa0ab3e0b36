"""iNaturalist's open data: photos, observations, taxa and observers in four tables, with tabs and without quotes.

https://github.com/inaturalist/inaturalist-open-data. The tables are as large as a disk allows: taxa, observers and the
observations that are wanted go to a temporary database, and the photos are read once, in their order.
"""

from __future__ import annotations

import gzip
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from edgeapp.collect.medium import Medium, Page
from edgeapp.collect.scratch import scratch
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.sources.words import coordinates
from edgeapp.errors import CollectError
from gallery.taxon import HIGHER_RANKS

TABLES = ("taxa", "observers", "observations", "photos")
ENDINGS = (".csv.gz", ".csv", ".tsv.gz", ".tsv")
NULL = ("\\N", "NULL", "null")  # as databases write what is not there
LINEAGES = 100_000  # kept in memory
_COLUMNS = {
    "taxa": ("taxon_id", "ancestry", "rank", "name"),
    "observers": ("observer_id", "login", "name"),
    "observations": (
        *("observation_uuid", "observer_id", "latitude", "longitude", "taxon_id", "quality_grade", "observed_on"),
    ),
    "photos": ("photo_id", "observation_uuid", "observer_id", "extension", "license"),
}


class INaturalistFiles:
    """Photos of a folder with the four tables, packed or not."""

    name = "inaturalist"

    def __init__(self, what: str, setting: Setting) -> None:
        self._folder, self._setting = Path(what), setting
        self._address = setting.addresses["inaturalist-files"].rstrip("/")
        self._paths = {table: self._path(table) for table in TABLES}

    def queries(self) -> Iterable[str]:
        """The tables, known again by their size and time; and what is taken from them."""
        if "image" not in self._setting.modalities:
            return []
        known = [f"{path.stat().st_size} {path.stat().st_mtime_ns}" for path in self._paths.values()]
        wanted = sorted((*self._setting.species, *self._setting.groups))
        return [" ".join([str(self._folder.resolve()), *known, self._setting.photo_size, *wanted])]

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        """All of the tables."""
        yield Page(self._media())

    def _path(self, table: str) -> Path:
        for ending in ENDINGS:
            if (path := self._folder / f"{table}{ending}").is_file():
                return path
        packed = " (unpack the .tar.gz first)" if any(self._folder.glob("*.tar.gz")) else ""
        raise CollectError(
            f"{self._folder}: no table {table}.csv.gz{packed}",
            f"name a folder with the four tables of iNaturalist's open data: {', '.join(TABLES)}",
        )

    def _media(self) -> Iterator[Medium]:
        lost, unnamed = 0, 0
        with tempfile.TemporaryDirectory(prefix="biovita-") as folder:
            try:
                tables = _Tables(Path(folder), self._rows, {*self._setting.species, *self._setting.groups})
            except sqlite3.Error as error:
                raise CollectError(
                    f"{self._folder}: its tables cannot be sorted in {Path(folder).parent} ({error})",
                    "make room there, or name another folder with TMPDIR",
                ) from None
            try:
                for photo, uuid, observer, extension, licence in self._rows("photos"):
                    found = tables.observation(uuid)
                    if found is None:
                        lost += 1
                        continue
                    if not extension:
                        unnamed += 1
                        continue
                    person, north, east, taxon, grade, day = found
                    login, name = tables.observer(observer or person)
                    scientific_name, ranks = tables.lineage(taxon)
                    latitude, longitude = coordinates(north, east)
                    yield Medium(
                        source=self.name,
                        id=f"photo-{photo}",
                        observation=f"https://www.inaturalist.org/observations/{uuid}",
                        modality="image",
                        url=f"{self._address}/photos/{photo}/{self._setting.photo_size}.{extension}",
                        scientific_name=scientific_name,
                        ranks=ranks,
                        licence=licence,
                        author=name or login,
                        page=f"https://www.inaturalist.org/photos/{photo}",
                        observer=login,
                        recorded_at=day,
                        latitude=latitude,
                        longitude=longitude,
                        quality=grade,
                    )
            finally:
                tables.close()
        if lost and not (self._setting.species or self._setting.groups):
            self._setting.tell(f"{self._paths['photos']}: {lost:,} photos have no observation, and are left out")
        if unnamed:
            self._setting.tell(f"{self._paths['photos']}: {unnamed:,} photos have no extension, and are left out")

    def _rows(self, table: str) -> Iterator[Sequence[str]]:
        """The columns of a table that are used, in the order of `_COLUMNS`."""
        path, columns = self._paths[table], _COLUMNS[table]
        try:
            # gzip splits lines at line feeds alone, as `newline` says: names may hold other separators.
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="\n") as lines:
                header = lines.readline().rstrip("\r\n").split("\t")
                missing = [column for column in columns if column not in header]
                if missing:
                    raise CollectError(f"{path}: no column {missing[0]}", "is it a table of iNaturalist's open data?")
                places, most = [header.index(column) for column in columns], len(header)
                for line in lines:
                    fields = line.rstrip("\r\n").split("\t")
                    if len(fields) < most:
                        fields += [""] * (most - len(fields))
                    yield ["" if fields[place] in NULL else fields[place] for place in places]
        except (OSError, EOFError, zlib.error) as error:
            raise CollectError(f"{path}: is damaged or cannot be read ({error})", "download it again") from None


class _Tables:
    """Taxa, observers and the wanted observations, by their identifiers."""

    def __init__(self, folder: Path, rows: Callable[[str], Iterator[Sequence[str]]], wanted: set[str]) -> None:
        self._db = scratch(folder / "tables.db")
        self._wanted = {name.casefold() for name in wanted}
        self.lineage = lru_cache(LINEAGES)(self._lineage)
        self._is_wanted = lru_cache(LINEAGES)(self._of_interest)
        for table in ("taxa", "observers", "observations"):
            columns = _COLUMNS[table]
            self._db.execute(f"CREATE TABLE {table} ({columns[0]} PRIMARY KEY, {', '.join(columns[1:])}) WITHOUT ROWID")
            at = columns.index("taxon_id") if table == "observations" else -1
            self._db.execute("BEGIN")
            self._db.executemany(
                f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(columns))})",
                (row for row in rows(table) if at < 0 or self._is_wanted(row[at])),
            )
            self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()

    def observation(self, uuid: str) -> tuple[str, ...] | None:
        return self._db.execute(
            "SELECT observer_id, latitude, longitude, taxon_id, quality_grade, observed_on FROM observations "
            "WHERE observation_uuid = ?",
            (uuid,),
        ).fetchone()

    def observer(self, number: str) -> tuple[str, str]:
        found = self._db.execute("SELECT login, name FROM observers WHERE observer_id = ?", (number,)).fetchone()
        return found or ("", "")

    def _lineage(self, taxon: str) -> tuple[str, dict[str, str]]:
        """Name of a taxon, and those of its higher taxa by rank."""
        found = self._db.execute("SELECT ancestry, name FROM taxa WHERE taxon_id = ?", (taxon,)).fetchone()
        if found is None:
            return "", {}
        ancestry, name = found
        ranks = {}
        for rank, ancestor in self._ancestors(ancestry):
            if rank in HIGHER_RANKS:
                ranks[rank] = ancestor
        return name, ranks

    def _of_interest(self, taxon: str) -> bool:
        if not self._wanted:
            return True
        found = self._db.execute("SELECT ancestry, name FROM taxa WHERE taxon_id = ?", (taxon,)).fetchone()
        if found is None:
            return False
        names = [found[1], *(name for _, name in self._ancestors(found[0]))]
        return any(name.casefold() in self._wanted for name in names)

    def _ancestors(self, ancestry: str) -> Iterator[tuple[str, str]]:
        for number in ancestry.replace("\\", "/").split("/"):
            found = self._db.execute("SELECT rank, name FROM taxa WHERE taxon_id = ?", (number,)).fetchone()
            if found is not None:
                yield found
