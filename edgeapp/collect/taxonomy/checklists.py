"""Checklist archives as usages: Darwin Core (GBIF Backbone, Catalogue of Life) and ColDP (Catalogue of Life).

Sources: the Darwin Core text guide and its taxon core; the ColDP specification, whose files may be spelled with or
without dashes and whose columns may have the prefix ``col:``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeapp.collect.sources import darwin_core
from edgeapp.collect.taxonomy.text_tables import REMEDY, Archive, Table
from edgeapp.collect.taxonomy.usages import CommonName, Usage, language_of, standing_of
from edgeapp.errors import CollectError
from gallery.taxon import HIGHER_RANKS

META = darwin_core.META
DWC_TERMS = (
    *("taxonID", "parentNameUsageID", "acceptedNameUsageID", "scientificName", "scientificNameAuthorship"),
    *("canonicalName", "taxonRank", "taxonomicStatus", *HIGHER_RANKS),
)
TRUE = ("true", "1", "t", "yes", "y")
_SUFFIXES = (".tsv", ".txt", ".csv")


class Checklist(Protocol):
    """A checklist whose tables are known."""

    def read_usages(self) -> Iterator[Usage]:
        """All names in the checklist."""
        ...

    def read_common_names(self) -> Iterator[CommonName]:
        """Common names in all languages."""
        ...

    def close(self) -> None:
        """Close its file."""
        ...


class DarwinCore:
    """The taxa of a Darwin Core Archive."""

    def __init__(self, archive: darwin_core.Archive) -> None:
        self._archive = archive
        tables = {one.kind: one for one in (*archive.extensions, archive.core)}
        taxa = tables.get("taxon")
        if taxa is None:
            raise CollectError(
                f"{archive.path}: {META} describes no table of taxa", "name a checklist, not an archive of occurrences"
            )
        self._taxa, self._common = taxa, tables.get("vernacularname")

    def read_usages(self) -> Iterator[Usage]:
        """All names in the archive."""
        for key, values in self._archive.rows(self._taxa, DWC_TERMS):
            yield _dwc_usage({"id": key, **dict(zip(DWC_TERMS, values, strict=True))})

    def read_common_names(self) -> Iterator[CommonName]:
        """Common names in all languages."""
        if self._common is None:
            return
        terms = ("vernacularName", "language", "isPreferredName")
        for key, (name, language, preferred) in self._archive.rows(self._common, terms):
            if key and name:
                yield _common_name(key, name, language, preferred)

    def close(self) -> None:
        """Close its file."""
        self._archive.__exit__()


@dataclass(frozen=True)
class HeadedTables:
    """ColDP, in one table of usages or in names, taxa and synonyms; or GBIF's table of taxa without a description."""

    archive: Archive
    usages: Table
    names: Table | None = None
    synonyms: Table | None = None
    common_names: Table | None = None
    dwc: bool = False

    def read_usages(self) -> Iterator[Usage]:
        """All names in the checklist; of three tables, the names have to be in memory."""
        if self.dwc:
            yield from map(_dwc_usage, self.archive.rows(self.usages))
        elif self.names is None:
            yield from map(_coldp_usage, self.archive.rows(self.usages))
        else:
            yield from _coldp_apart(self.archive, self.usages, self.names, self.synonyms)

    def read_common_names(self) -> Iterator[CommonName]:
        """Common names in all languages."""
        for row in self.archive.rows(self.common_names) if self.common_names is not None else ():
            name = row.get("vernacularName") or row.get("name", "")
            if row.get("taxonID") and name:
                preferred = row.get("isPreferredName") or row.get("preferred", "")
                yield _common_name(row["taxonID"], name, row.get("language", ""), preferred)

    def close(self) -> None:
        """Close its file."""
        self.archive.close()


def opened(path: Path) -> Checklist:
    """The checklist in a ZIP or folder.

    Raises
    ------
    CollectError
        There is none in it.
    """
    archive = Archive(path)
    try:
        found = _found(archive)
    except BaseException:
        archive.close()
        raise
    if found is None:
        archive.close()
        described = darwin_core.Archive.open(path)
        try:
            return DarwinCore(described)
        except BaseException:
            described.__exit__()
            raise
    return found


def _found(archive: Archive) -> HeadedTables | None:
    """The tables of an archive by their names; None for one that its own description describes."""
    found = {name: _table(archive, name) for name in ("NameUsage", "Name", "Taxon", "Synonym", "VernacularName")}
    usages, taxa, common = found["NameUsage"], found["Taxon"], found["VernacularName"]
    if usages is not None:
        return HeadedTables(archive, usages, common_names=common)
    if archive.find(META) is not None:
        return None
    if taxa is not None and found["Name"] is not None:
        return HeadedTables(archive, taxa, found["Name"], found["Synonym"], common)
    if taxa is not None:
        return HeadedTables(archive, taxa, common_names=common, dwc=True)
    raise CollectError(f"{archive.path}: has neither {META} nor NameUsage.tsv", REMEDY)


def _common_name(usage: str, name: str, language: str, preferred: str) -> CommonName:
    return CommonName(usage, language_of(language), " ".join(name.split()), preferred.casefold() in TRUE)


def _table(archive: Archive, name: str) -> Table | None:
    file = archive.find(*_spellings(name))
    return archive.with_header(file) if file is not None else None


def _spellings(name: str) -> list[str]:
    dashed = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
    return [f"{one}{suffix}" for one in (name, dashed, dashed.replace("-", "_")) for suffix in _SUFFIXES]


def _dwc_usage(row: Mapping[str, str]) -> Usage:
    own = row.get("taxonID") or row.get("id", "")
    accepted = row.get("acceptedNameUsageID", "")
    accepted = "" if accepted == own else accepted
    full = row.get("scientificName", "")
    return Usage(
        id=own,
        name=full if "×" in full else row.get("canonicalName") or full,
        rank=row.get("taxonRank", "").casefold(),
        parent=row.get("parentNameUsageID", ""),
        accepted=accepted,
        standing=standing_of(row.get("taxonomicStatus", ""), bool(accepted)),
        authorship=row.get("scientificNameAuthorship", ""),
        ranks={rank: row[rank] for rank in HIGHER_RANKS if row.get(rank)},
    )


def _coldp_usage(row: Mapping[str, str]) -> Usage:
    status = row.get("status", "")
    synonym = "synonym" in status.casefold() or "misapplied" in status.casefold()
    return Usage(
        id=row.get("ID", ""),
        name=row.get("scientificName", ""),
        rank=row.get("rank", "").casefold(),
        parent=row.get("parentID", ""),
        accepted=row.get("parentID", "") if synonym else "",
        standing=standing_of(status, synonym),
        authorship=row.get("authorship", ""),
        ranks={rank: row[rank] for rank in HIGHER_RANKS if row.get(rank)},
    )


def _coldp_apart(archive: Archive, taxa: Table, names: Table, synonyms: Table | None) -> Iterator[Usage]:
    named = {
        row.get("ID", ""): (row.get("scientificName", ""), row.get("rank", "").casefold(), row.get("authorship", ""))
        for row in archive.rows(names)
    }
    for row in archive.rows(taxa):
        name, rank, author = named.get(row.get("nameID", ""), ("", "", ""))
        status = "doubtful" if row.get("provisional", "").casefold() in TRUE else ""
        ranks = {one: row[one] for one in HIGHER_RANKS if row.get(one)}
        own = row.get("ID", "")
        yield Usage(own, name, rank, row.get("parentID", ""), "", standing_of(status, False), author, ranks)
    for at, row in enumerate(archive.rows(synonyms) if synonyms is not None else ()):
        name, rank, author = named.get(row.get("nameID", ""), ("", "", ""))
        accepted = row.get("taxonID", "")
        standing = standing_of(row.get("status", ""), True)
        yield Usage(f"synonym {at} of {accepted}", name, rank, accepted, accepted, standing, author)
