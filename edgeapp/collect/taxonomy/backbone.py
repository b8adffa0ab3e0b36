"""Which accepted species a name stands for, by one backbone for a whole collection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from edgeapp.collect.taxonomy.cache import KEPT, Origin, up_to_date
from edgeapp.collect.taxonomy.names import Name, NoSpecies, epithet_stem, parsed
from edgeapp.collect.taxonomy.usages import DOUBTFUL, SYNONYM
from gallery import sqlite
from gallery.names_table import key_of
from gallery.taxon import HIGHER_RANKS, KINGDOMS, RANKS, SAME_KINGDOM, Taxon

FILE = "backbone.db"  # beside a collection
HOMONYM = "homonym: name of several taxa"
ANOTHER = "homonym: the backbone has this name in another group"
NOT_THERE = "not in the taxonomy"
AS_ACCEPTED, AS_SYNONYM, AS_SUBSPECIES, AS_SPELLING = "accepted name", "synonym", "subspecies", "spelling variant"

TOLD = ("kingdom", "phylum", "class")  # in which another name is a contradiction, and no other classification

MOST_SYNONYMS = 20  # of synonyms of synonyms
MOST_PARENTS = 60  # the deepest classifications have some 40 ranks
REMEMBERED = 50_000

_SAME = {**SAME_KINGDOM, "bird": "aves"}
# What some classifications have as one class and others divide: iNaturalist says Reptilia, GBIF Squamata.
_CLASSES = {
    **dict.fromkeys(("squamata", "testudines", "crocodylia", "sphenodontia", "rhynchocephalia"), "reptilia"),
    **dict.fromkeys(
        ("teleostei", "actinopteri", "cladistii", "cladistia", "holostei", "chondrostei"), "actinopterygii"
    ),
}
_COLUMNS = "id, parent, accepted, standing, rank, name, authorship, ranks"
_INDEXED = {"id": "id = ?", "key": "key = ? AND key <> ''", "stem": "stem = ? AND stem <> ''"}


@dataclass(frozen=True)
class Match:
    """What became of a name.

    Attributes
    ----------
    taxon : Taxon or None
        The accepted species, or None.
    how : str
        ``"accepted name"``, ``"synonym"``, ``"subspecies"``, ``"spelling variant"``; ``""`` without a taxon.
    reason : str
        Why there is no taxon; one of few, so that they can be counted.
    """

    taxon: Taxon | None
    how: str = ""
    reason: str = ""

    @property
    def ranks(self) -> dict[str, str]:
        """Names of the taxon at all ranks that are known, lower case; empty without a taxon."""
        if self.taxon is None:
            return {}
        return {rank: name for rank, name in zip(RANKS, self.taxon.path(), strict=True) if name}


@dataclass(frozen=True)
class _Usage:
    id: str
    parent: str
    accepted: str
    standing: int
    rank: str
    name: str
    authorship: str
    ranks: str


@dataclass(frozen=True)
class _Candidate:
    """A species that a name may stand for, by one usage of the name."""

    usage: _Usage
    species: _Usage
    ranks: Mapping[str, str]


class Backbone:
    """One taxonomy, opened for looking up names. Closed as a context manager.

    One connection, for one thread at a time.
    """

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._db, self.name = connection, name
        self._match = lru_cache(maxsize=REMEMBERED)(self._matched)
        self._taxon = lru_cache(maxsize=REMEMBERED)(self._made)

    @classmethod
    def open(cls, source: Path | None, folder: Path, told: Callable[[int], None] = lambda names: None) -> Backbone:
        """Open a backbone; the first time it is read into a file in `folder`.

        Parameters
        ----------
        source : Path or None
            A checklist (ZIP or folder with Darwin Core or ColDP), a species table (CSV) or eBird's taxonomy (CSV or
            JSON); None for the species that come with the program.
        folder : Path
            That of the collection.
        told : callable
            Called with the number of names read so far.

        Raises
        ------
        CollectError
            The source cannot be read, or the file cannot be written.
        """
        origin = Origin(source)
        file = up_to_date(folder / FILE, origin, told)
        return cls(sqlite.connect(file, "ro", any_thread=True), origin.name)

    def __enter__(self) -> Backbone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def match(self, scientific_name: str, ranks: Mapping[str, str] | None = None) -> Match:
        """The accepted species that a name stands for.

        Parameters
        ----------
        scientific_name : str
            As archives write it: with authorship, subspecies, qualifiers.
        ranks : mapping of str to str, optional
            Names of higher taxa by rank, lower case, which tell homonyms apart.
        """
        given = tuple(
            sorted((rank, name) for rank, name in (ranks or {}).items() if rank in HIGHER_RANKS and name.strip())
        )
        return self._match(scientific_name, given)

    def has(self, name: str) -> bool:
        """Whether there is a taxon of this name, at any rank."""
        key = key_of(name)
        ranks = ", ".join("?" * len(KEPT))
        if self._db.execute(f"SELECT 1 FROM higher WHERE rank IN ({ranks}) AND key = ?", (*KEPT, key)).fetchone():
            return True
        of_genus = "SELECT 1 FROM usage WHERE key <> '' AND (key = ? OR key > ? AND key < ?) LIMIT 1"
        return bool(key) and bool(self._db.execute(of_genus, (key, f"{key} ", f"{key}!")).fetchone())

    def _matched(self, scientific_name: str, given: tuple[tuple[str, str], ...]) -> Match:
        name, ranks = parsed(scientific_name), dict(given)
        if isinstance(name, NoSpecies):
            return Match(None, reason=name.value)
        best = Match(None, reason=NOT_THERE if name.certain else NoSpecies.ABOVE_SPECIES.value)
        for column, value in _ways(name):
            found = self._decided(self._candidates(column, value), name, ranks)
            if found is None:
                continue
            if found.taxon is None:
                return found
            how = AS_SPELLING if column == "stem" else found.how
            if name.domestic and (how == AS_SUBSPECIES or found.taxon.scientific_name == name.species):
                break
            if name.subspecies and how == AS_ACCEPTED:
                how = AS_SUBSPECIES
            return Match(found.taxon, how)
        return Match(None, reason=NoSpecies.DOMESTIC.value) if name.domestic else best

    def _decided(self, candidates: Sequence[_Candidate], name: Name, ranks: Mapping[str, str]) -> Match | None:
        """The one candidate that is meant; None without any."""
        if not candidates:
            return None
        fitting = [one for one in candidates if not self._contradicts(one.ranks, ranks)]
        if not fitting:
            return Match(None, reason=ANOTHER)
        for worth in (
            lambda one: _agreement(one.ranks, ranks),
            lambda one: -one.usage.standing,
            lambda one: _same_author(one.usage.authorship, name.authorship),
            lambda one: _group(one.ranks.get("kingdom", ""), "kingdom") == "animalia",
        ):
            if len({one.species.id for one in fitting}) > 1:
                best = max(map(worth, fitting))
                fitting = [one for one in fitting if worth(one) == best]
        if len({one.species.id for one in fitting}) > 1:
            return Match(None, reason=HOMONYM)
        one = min(fitting, key=lambda one: one.usage.standing)
        if one.usage.id != one.species.id and one.usage.standing < SYNONYM:
            how = AS_SUBSPECIES
        else:
            how = AS_SYNONYM if one.usage.standing >= SYNONYM else AS_ACCEPTED
        return Match(self._taxon(one.species.id), how)

    def _candidates(self, column: str, value: str) -> list[_Candidate]:
        found = []
        for usage in self._usages(column, value):
            species = self._species_of(usage)
            if species is not None:
                found.append(_Candidate(usage, species, self._ranks(species)))
        return found

    def _species_of(self, usage: _Usage) -> _Usage | None:
        """The accepted species of a usage; None where the backbone leads nowhere, or round in a circle."""
        seen = {usage.id}
        while usage.accepted:
            following = self._usage(usage.accepted)
            if following is None or following.id in seen or len(seen) > MOST_SYNONYMS:
                return None
            usage = following
            seen.add(usage.id)
        if usage.standing > DOUBTFUL:
            return None
        if usage.rank in ("species", "") and len(usage.name.split()) == 2:
            return usage
        for above in self._parents(usage):
            if above.rank == "species":
                return above if not above.accepted else None
        return self._binomial(usage.name)

    def _binomial(self, name: str) -> _Usage | None:
        """The species of a subspecies whose parents are missing, by its name."""
        words = name.split()
        if len(words) < 3:
            return None
        own = [one for one in self._usages("key", key_of(" ".join(words[:2]))) if one.standing <= DOUBTFUL]
        return own[0] if len(own) == 1 else None

    def _parents(self, usage: _Usage) -> list[_Usage]:
        """Higher taxa from the next on, as far as they are there."""
        found: list[_Usage] = []
        seen = {usage.id}
        while usage.parent and len(found) < MOST_PARENTS:
            above = self._usage(usage.parent)
            if above is None or above.id in seen:
                break
            if above.accepted:  # the parent of a name may be a synonym itself
                seen.add(above.id)
                above = self._usage(above.accepted)
                if above is None or above.id in seen:
                    break
            seen.add(above.id)
            found.append(above)
            usage = above
        return found

    def _ranks(self, species: _Usage) -> dict[str, str]:
        own = json.loads(species.ranks) if species.ranks else {}
        ranks = {rank: own[rank] for rank in HIGHER_RANKS if own.get(rank)}
        if len(ranks) < len(HIGHER_RANKS):
            for above in self._parents(species):
                if above.rank in HIGHER_RANKS:
                    ranks.setdefault(above.rank, above.name)
                for rank, name in (json.loads(above.ranks) if above.ranks else {}).items():
                    ranks.setdefault(rank, name)
        ranks.setdefault("genus", species.name.partition(" ")[0])
        return ranks

    def _made(self, id: str) -> Taxon:
        species = self._usage(id)
        assert species is not None
        ranks = self._ranks(species)
        return Taxon(
            scientific_name=species.name,
            **{f"{rank}_" if rank == "class" else rank: ranks.get(rank, "") for rank in HIGHER_RANKS},
            common_names=self._common_names(id),
            synonyms=self._synonyms(id, species.name),
        )

    def _common_names(self, id: str) -> dict[str, str]:
        names: dict[str, str] = {}
        query = "SELECT language, name FROM common_name WHERE usage = ? ORDER BY preferred DESC, rowid"
        for language, name in self._db.execute(query, (id,)):
            if language:
                names.setdefault(language, name)
        return names

    def _synonyms(self, id: str, name: str) -> tuple[str, ...]:
        # SQLite takes the index only for what it was made for: names that have an accepted one.
        query = "SELECT DISTINCT name FROM usage WHERE accepted = ? AND accepted <> '' AND standing = ? ORDER BY name"
        found = (one for (one,) in self._db.execute(query, (id, SYNONYM)))
        return tuple(one for one in found if one != name and len(one.split()) == 2)

    def _contradicts(self, have: Mapping[str, str], given: Mapping[str, str]) -> bool:
        """Whether a record's kingdom, phylum or class is another one that the backbone knows too."""
        for rank in TOLD:
            if rank in given and rank in have:
                own, theirs = _group(have[rank], rank), _group(given[rank], rank)
                another = rank == "kingdom" and own in KINGDOMS and theirs in KINGDOMS
                if theirs != own and (another or self._knows(rank, key_of(given[rank]))):
                    return True
        return False

    def _knows(self, rank: str, key: str) -> bool:
        return bool(self._db.execute("SELECT 1 FROM higher WHERE rank = ? AND key = ?", (rank, key)).fetchone())

    def _usage(self, id: str) -> _Usage | None:
        found = self._usages("id", id)
        return found[0] if found else None

    def _usages(self, column: str, value: Any) -> list[_Usage]:
        query = f"SELECT {_COLUMNS} FROM usage WHERE {_INDEXED[column]} ORDER BY standing, rowid"
        return [_Usage(*row) for row in self._db.execute(query, (value,))]


def _ways(name: Name) -> list[tuple[str, str]]:
    """Where a name is looked for, one after the other."""
    ways = [("key", key_of(name.subspecies))] if name.subspecies else []
    species = key_of(name.species)
    return [*ways, ("key", species), *([("stem", epithet_stem(species))] if name.certain else [])]


def _agreement(have: Mapping[str, str], given: Mapping[str, str]) -> int:
    """Ranks that agree, less those that do not."""
    shared = [rank for rank in given if rank in have]
    return sum(1 if _group(given[rank], rank) == _group(have[rank], rank) else -1 for rank in shared)


def _group(name: str, rank: str) -> str:
    key = key_of(name)
    key = _SAME.get(key, key)
    return _CLASSES.get(key, key) if rank == "class" else key


def _same_author(one: str, other: str) -> bool:
    """Whether two authorships are the same, by the first letters of the author and the year."""
    if not one or not other:
        return False
    letters, digits = (
        ["".join(filter(test, key_of(text))) for text in (one, other)] for test in (str.isalpha, str.isdigit)
    )
    shorter = min(len(letters[0]), len(letters[1]))
    return shorter > 0 and letters[0][:shorter] == letters[1][:shorter] and (not all(digits) or digits[0] == digits[1])
