"""Taxa: the seven ranks of a species, its names, the species table, and finding a taxon by any of its names."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from gallery.errors import TaxonError, UnknownNameError
from gallery.names_table import NamesTable, key_of

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
HIGHER_RANKS = RANKS[:-1]
KINGDOMS = ("animalia", "plantae", "fungi", "bacteria", "archaea", "chromista", "protozoa", "viruses")
SAME_KINGDOM = {"metazoa": "animalia", "animal": "animalia", "animals": "animalia", "viridiplantae": "plantae"}
SYNONYM_SEPARATOR = "|"
NEAR_MISSES = 3  # names offered when a name is not found
NEAR_LETTERS = 3  # by which a name in another language may be longer or shorter
NEAR_ENOUGH = 0.8  # of `difflib`: of some 150,000 names one always looks a little like any other

_COLUMNS = ("scientific_name", "common_name", *HIGHER_RANKS)
_OPTIONAL_COLUMNS = ("synonyms",)
_LANGUAGE_COLUMN = re.compile(r"common_name_([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*)")


@dataclass(frozen=True)
class Taxon:
    """One species. Its identity is the accepted scientific name; ranks that are not known are empty.

    Attributes
    ----------
    scientific_name : str
        Accepted name, genus and epithet: ``"Parus major"``.
    kingdom, phylum, class_, order, family, genus : str
        Name at each rank above the species, ``""`` when unknown.
    common_names : Mapping[str, str]
        Language tag to name: ``{"en": "Great Tit", "de": "Kohlmeise"}``.
    synonyms : tuple[str, ...]
        Other scientific names the species is or was known by.
    """

    scientific_name: str
    kingdom: str
    phylum: str
    class_: str
    order: str
    family: str
    genus: str
    common_names: Mapping[str, str] = field(hash=False)
    synonyms: tuple[str, ...] = ()

    @property
    def common_name(self) -> str:
        """English name, ``""`` when unknown."""
        return self.common_names.get("en", "")

    def at(self, rank: str) -> str:
        """Name of the taxon at `rank`, ``""`` when unknown; at ``"species"`` the scientific name.

        Raises
        ------
        TaxonError
            `rank` is none of `RANKS`.
        """
        return self.path(rank)[-1]

    def path(self, rank: str = "species") -> tuple[str, ...]:
        """Names from the kingdom down to `rank`: what tells a genus from its namesake in another family."""
        if rank not in RANKS:
            raise TaxonError(f"'{rank}' is not a rank", f"use one of {', '.join(RANKS)}")
        names = (self.kingdom, self.phylum, self.class_, self.order, self.family, self.genus, self.scientific_name)
        return names[: RANKS.index(rank) + 1]


class Names:
    """Every name of a list of taxa, for finding many taxa in one list.

    Names are compared without regard to case, diacritics and the number of blanks.

    Parameters
    ----------
    taxa : iterable of Taxon
    table : NamesTable, optional
        Common names in more languages, looked up, and read, only for names that the taxa themselves do not bear.
    """

    def __init__(self, taxa: Iterable[Taxon], table: NamesTable | None = None) -> None:
        self._taxa = tuple(taxa)
        self._table = table
        self._scientific: dict[str, list[int]] = {}
        self._synonyms: dict[str, list[int]] = {}
        self._common: dict[str, list[int]] = {}
        self._ranks: dict[str, list[int]] = {}
        self._spelling: dict[str, str] = {}
        for row, taxon in enumerate(self._taxa):
            self._note(self._scientific, (taxon.scientific_name,), row)
            self._note(self._synonyms, taxon.synonyms, row)
            self._note(self._common, taxon.common_names.values(), row)
            self._note(self._ranks, taxon.path(), row)

    def find(self, name: str, suggest: bool = True) -> Taxon:
        """Taxon called `name`: an accepted scientific name first, then a synonym, then a common name of any language.

        Parameters
        ----------
        name : str
        suggest : bool
            Whether an error gives names that look like an unknown one, which takes longer than finding it.

        Raises
        ------
        UnknownNameError
            No taxon has this name.
        TaxonError
            Several share it.
        """
        return self._taxa[self._row(name, suggest=suggest)]

    def is_rank(self, name: str) -> bool:
        """Whether it names taxa at some rank: ``"Aves"``, ``"Parus"``, ``"Parus major"``."""
        return key_of(name) in self._ranks

    def rows(self, name: str, suggest: bool = True) -> list[int]:
        """Rows of the taxa at or below `name`: a name at any rank (``"Aves"``, ``"Parus"``), or one that `find` knows.

        Parameters
        ----------
        name : str
        suggest : bool
            As of `find`.

        Raises
        ------
        UnknownNameError
            No taxon has this name.
        TaxonError
            Several share a common name.
        """
        below = self._ranks.get(key_of(name))
        return list(below) if below else [self._row(name, with_ranks=True, suggest=suggest)]

    def _row(self, name: str, with_ranks: bool = False, suggest: bool = True) -> int:
        key = key_of(name)
        for find in (self._scientific.get, self._synonyms.get, self._common.get, self._in_table):
            rows = find(key) or []
            if len(rows) == 1:
                return rows[0]
            if rows:
                sharing = ", ".join(self._taxa[row].scientific_name for row in rows)
                raise TaxonError(f"'{name}' is a name of {sharing}", "use the scientific name of one of them")
        near = self._near(key, with_ranks) if suggest else []
        remedy = f"did you mean {' or '.join(near)}?" if near else "check the spelling"
        raise UnknownNameError(f"no taxon is called '{name}'", remedy)

    def _in_table(self, key: str) -> list[int] | None:
        return self._foreign.get(key)

    @cached_property
    def _foreign(self) -> dict[str, list[int]]:
        """Names of the table for the taxa of the list; one word of two languages may stand for two taxa."""
        if self._table is None:
            return {}
        own_rows: dict[int, int] = {}  # by row of the table: to fold all its names takes a third of a second
        for name, row in self._table.rows.items():  # accepted names first
            own = self._own_row(name)
            if own is not None:
                own_rows.setdefault(row, own)
        rows = sorted(own_rows)
        found: dict[str, list[int]] = {}
        for language in self._table.languages:
            for row, key in zip(rows, self._table.folded_names(language, rows), strict=True):
                if key:
                    known = found.setdefault(key, [])
                    if own_rows[row] not in known:
                        known.append(own_rows[row])
        return found

    def _own_row(self, scientific_name: str) -> int | None:
        key = key_of(scientific_name)
        rows = self._scientific.get(key) or self._synonyms.get(key) or []
        return rows[0] if len(rows) == 1 else None

    def _near(self, key: str, with_ranks: bool) -> list[str]:
        """Names that look like an unknown one, those of the taxa themselves first."""
        known = {*self._scientific, *self._synonyms, *self._common, *(self._ranks if with_ranks else ())}
        near = [self._spelling[one] for one in difflib.get_close_matches(key, sorted(known), n=NEAR_MISSES)]
        if self._table is None:
            return near
        # To compare with all of them takes seconds: those of about the length that begin or end alike.
        length = len(key)
        alike = [
            one
            for one in self._foreign
            if abs(len(one) - length) <= NEAR_LETTERS and (one[:2] == key[:2] or one[-3:] == key[-3:])
        ]
        for one in difflib.get_close_matches(key, sorted(alike), n=NEAR_MISSES, cutoff=NEAR_ENOUGH):
            of = self._taxa[self._foreign[one][0]]
            near.append(f"{self._table.spelled((of.scientific_name, *of.synonyms), one)} ({of.scientific_name})")
        return near[:NEAR_MISSES]

    def _note(self, names: dict[str, list[int]], spellings: Iterable[str], row: int) -> None:
        for spelling in spellings:
            key = key_of(spelling)
            if not key:
                continue
            rows = names.setdefault(key, [])
            if not rows or rows[-1] != row:
                rows.append(row)
            self._spelling.setdefault(key, spelling)


def find(taxa: Iterable[Taxon], name: str, table: NamesTable | None = None) -> Taxon:
    """Taxon called `name` among `taxa`; see `Names.find`, which is the one to keep for many names."""
    return Names(taxa, table).find(name)


def are_namesakes(one: Taxon, other: Taxon) -> bool:
    """Whether two taxa of one name are different ones: of kingdoms that are known to be different."""
    first, second = (SAME_KINGDOM.get(name, name) for name in (one.kingdom.casefold(), other.kingdom.casefold()))
    return first != second and first in KINGDOMS and second in KINGDOMS


def read_taxa(path: str | Path) -> list[Taxon]:
    """Read a species table.

    Parameters
    ----------
    path : str or Path
        CSV file in UTF-8 with the columns ``scientific_name, common_name, kingdom, phylum, class, order, family,
        genus``, optionally ``synonyms`` (separated by ``|``) and names in other languages (``common_name_de``).

    Returns
    -------
    list[Taxon]
        In the order of the file.

    Raises
    ------
    TaxonError
        The file cannot be read or has a defect; the message names the file, the line, the column and the remedy.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return _parse(csv.reader(lines, strict=True), str(path))
    except UnicodeDecodeError as error:
        raise TaxonError(f"species table {path} is not UTF-8 text", "save it as CSV in UTF-8") from error
    except OSError as error:
        raise TaxonError(f"species table {path} cannot be read ({error.strerror})", "check the path") from error


def starter_taxa() -> list[Taxon]:
    """The species table that comes with the project."""
    with resources.as_file(resources.files("gallery").joinpath("taxonomy", "starter.csv")) as path:
        return read_taxa(path)


def _parse(lines: Any, where: str) -> list[Taxon]:
    """Taxa of the lines of a csv reader; `where` names the table in errors."""
    try:
        header = [name.strip() for name in next(lines, [])]
        languages = _languages(header, where)
        taxa: list[Taxon] = []
        line_of: dict[str, int] = {}
        for fields in lines:
            if not any(value.strip() for value in fields):
                continue
            at = f"{where}, line {lines.line_num}"
            if len(fields) != len(header):
                raise TaxonError(
                    f"{at} has {len(fields)} fields instead of {len(header)}",
                    "put names that contain a comma in quotes",
                )
            taxon = _taxon(dict(zip(header, (" ".join(value.split()) for value in fields), strict=True)), languages, at)
            first = line_of.setdefault(taxon.scientific_name.casefold(), lines.line_num)
            if first != lines.line_num:
                raise TaxonError(
                    f"{at}, column scientific_name: '{taxon.scientific_name}' is already on line {first}",
                    "keep one of the two lines",
                )
            taxa.append(taxon)
    except csv.Error as error:
        raise TaxonError(f"{where}, line {lines.line_num} is not CSV ({error})", "close the quotes") from error
    if not taxa:
        raise TaxonError(f"species table {where} has no species", "add one line for each species")
    return taxa


def _languages(header: Sequence[str], where: str) -> dict[str, str]:
    """Column to language tag, for a header that is checked to be a species table's."""
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise TaxonError(
            f"species table {where} has no column {', '.join(missing)}", f"line 1 must name {', '.join(_COLUMNS)}"
        )
    languages = {"common_name": "en"}
    for position, name in enumerate(header):
        if name in header[:position]:
            raise TaxonError(f"species table {where} has the column {name} twice", "remove one of them")
        language = _LANGUAGE_COLUMN.fullmatch(name)
        if language:
            languages[name] = language[1].replace("_", "-")
        elif name not in _COLUMNS and name not in _OPTIONAL_COLUMNS:
            raise TaxonError(
                f"species table {where} has an unknown column '{name}'",
                "remove it; other languages are called common_name_de and the like",
            )
    return languages


def _taxon(row: Mapping[str, str], languages: Mapping[str, str], at: str) -> Taxon:
    name, genus = row["scientific_name"], row["genus"]
    if len(name.split()) < 2:
        raise TaxonError(
            f"{at}, column scientific_name: '{name}' is not the name of a species",
            "write genus and epithet, as Parus major",
        )
    if genus and genus != name.split()[0]:
        raise TaxonError(
            f"{at}, column genus: '{genus}' is not the genus of '{name}'", "correct it, or leave it empty if unknown"
        )
    return Taxon(
        scientific_name=name,
        kingdom=row["kingdom"],
        phylum=row["phylum"],
        class_=row["class"],
        order=row["order"],
        family=row["family"],
        genus=genus,
        common_names={language: row[column] for column, language in languages.items() if row[column]},
        synonyms=tuple(
            synonym for synonym in map(str.strip, row.get("synonyms", "").split(SYNONYM_SEPARATOR)) if synonym
        ),
    )
