"""Checklist archives as usages: Darwin Core (GBIF Backbone, Catalogue of Life) and ColDP (Catalogue of Life).

Sources: the Darwin Core text guide and its taxon core; the ColDP specification, whose files may be spelled with or
without dashes and whose columns may have the prefix ``col:``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeapp.collect.taxonomy.text_tables import META, REMEDY, Archive, Table, described
from edgeapp.collect.taxonomy.usages import CommonName, Usage, language_of, standing_of
from edgeapp.errors import CollectError
from gallery.taxon import RANKS

HIGHER = RANKS[:-1]
TRUE = ("true", "1", "t", "yes", "y")
_SUFFIXES = (".tsv", ".txt", ".csv")


@dataclass(frozen=True)
class Checklist:
    """A checklist whose tables are known."""

    archive: Archive
    kind: str
    usages: Table
    names: Table | None = None  # ColDP with names and taxa apart
    synonyms: Table | None = None
    common_names: Table | None = None

    def read_usages(self) -> Iterator[Usage]:
        """All names in the checklist; of ColDP with three tables, the names have to be in memory."""
        if self.kind == "dwc":
            yield from map(_dwc_usage, self.archive.rows(self.usages))
        elif self.names is None:
            yield from map(_coldp_usage, self.archive.rows(self.usages))
        else:
            yield from _coldp_apart(self.archive, self.usages, self.names, self.synonyms)

    def read_common_names(self) -> Iterator[CommonName]:
        """Common names in all languages."""
        if self.common_names is None:
            return
        dwc = self.kind == "dwc"
        for row in self.archive.rows(self.common_names):
            usage = row.get("id") or row.get("taxonID", "")
            name = row.get("vernacularName" if dwc else "name", "")
            preferred = (row.get("isPreferredName") or row.get("preferred") or "").casefold() in TRUE
            if usage and name:
                yield CommonName(usage, language_of(row.get("language", "")), " ".join(name.split()), preferred)


def opened(path: Path) -> Checklist:
    """The checklist in a ZIP or folder.

    Raises
    ------
    CollectError
        There is none in it.
    """
    archive = Archive(path)
    meta = archive.find(META)
    if meta is not None:
        tables = described(archive, meta)
        taxa = next((one for one in tables if one.row_type == "taxon"), None)
        if taxa is not None:
            common = next((one for one in tables if one.row_type == "vernacularname"), None)
            return Checklist(archive, "dwc", taxa, common_names=common)
        if archive.find(*_spellings("NameUsage")) is None:
            raise CollectError(
                f"{path}: {meta} describes no table of taxa", "name a checklist, not an archive of occurrences"
            )
    found = {name: _table(archive, name) for name in ("NameUsage", "Name", "Taxon", "Synonym", "VernacularName")}
    if (usages := found["NameUsage"]) is not None:
        return Checklist(archive, "coldp", usages, common_names=found["VernacularName"])
    taxa = found["Taxon"]
    if taxa is not None and found["Name"] is not None:
        return Checklist(archive, "coldp", taxa, found["Name"], found["Synonym"], found["VernacularName"])
    if taxa is not None:  # GBIF's Taxon.tsv without its meta.xml
        return Checklist(archive, "dwc", taxa, common_names=found["VernacularName"])
    raise CollectError(f"{path}: has neither {META} nor NameUsage.tsv", REMEDY)


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
        ranks={rank: row[rank] for rank in HIGHER if row.get(rank)},
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
        ranks={rank: row[rank] for rank in HIGHER if row.get(rank)},
    )


def _coldp_apart(archive: Archive, taxa: Table, names: Table, synonyms: Table | None) -> Iterator[Usage]:
    named = {
        row.get("ID", ""): (row.get("scientificName", ""), row.get("rank", "").casefold(), row.get("authorship", ""))
        for row in archive.rows(names)
    }
    for row in archive.rows(taxa):
        name, rank, author = named.get(row.get("nameID", ""), ("", "", ""))
        status = "doubtful" if row.get("provisional", "").casefold() in TRUE else ""
        ranks = {one: row[one] for one in HIGHER if row.get(one)}
        own = row.get("ID", "")
        yield Usage(own, name, rank, row.get("parentID", ""), "", standing_of(status, False), author, ranks)
    for at, row in enumerate(archive.rows(synonyms) if synonyms is not None else ()):
        name, rank, author = named.get(row.get("nameID", ""), ("", "", ""))
        accepted = row.get("taxonID", "")
        standing = standing_of(row.get("status", ""), True)
        yield Usage(f"synonym {at} of {accepted}", name, rank, accepted, accepted, standing, author)
