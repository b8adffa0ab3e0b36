"""Which of the detections of an archive are asked for: by taxon, confidence, time and folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from edgeapp.archive.results.dataset import DETECTIONS, DataSet
from edgeapp.clock.system import Moment
from edgeapp.detections.document import CLOCK_UNSET, cleaned
from edgeapp.pack.names import names_of, shipped_names, shipped_species
from gallery.errors import TaxonError, UnknownNameError
from gallery.taxon import RANKS, Names, Taxon, key_of

if TYPE_CHECKING:
    import pyarrow.dataset as pads

FILE_OF = {"files": "file"}  # column with the path of the recording; `source_file` in the other tables


@dataclass(frozen=True)
class Selection:
    """What is asked for.

    Attributes
    ----------
    taxa : frozenset of (str, str) or None
        Rank and scientific name of those that are; every one when None.
    least : float
        Confidence.
    since, until : datetime or None
        Of the time at which a detection began; the second is not in it.
    folders : tuple of str
        Beginnings of the paths of recordings, of which one must hold; every recording where there are none.
    """

    taxa: frozenset[tuple[str, str]] | None = None
    least: float = 0.0
    since: datetime | None = None
    until: datetime | None = None
    folders: tuple[str, ...] = ()

    @property
    def of_recordings_alone(self) -> bool:
        """Whether it leaves out whole recordings alone, never one of their detections."""
        return self.taxa is None and self.least == 0 and not self.timed

    @property
    def timed(self) -> bool:
        """Whether it has a beginning or an end."""
        return self.since is not None or self.until is not None

    def recordings(self, table: str) -> pads.Expression | None:
        """Condition on the rows of a table: that their recording is asked for."""
        import pyarrow.compute as pc

        column = pc.field(FILE_OF.get(table, "source_file"))
        found = [pc.starts_with(column, folder) for folder in self.folders]
        return _joined(found, any_of=True)

    def detections(self) -> pads.Expression | None:
        """Condition on the rows of `detections`."""
        return _joined([one for one in (self._untimed(), self._time()) if one is not None])

    def without_time(self, data: DataSet) -> int:
        """How many detections are left out for that alone that their time is not known."""
        import pyarrow.compute as pc

        if not self.timed:
            return 0
        unknown, other = pc.is_null(pc.field("time")) | (pc.field("clock") == CLOCK_UNSET), self._untimed()
        return data.count(DETECTIONS, unknown if other is None else other & unknown)

    def has(self, confidence: float, moment: Moment | None) -> bool:
        """Whether a detection is asked for, as far as its confidence and its time say."""
        if confidence < self.least:
            return False
        if not self.timed:
            return True
        if moment is None or not moment.clock_set:
            return False
        return (self.since is None or moment.utc >= self.since) and (self.until is None or moment.utc < self.until)

    def _untimed(self) -> pads.Expression | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        found = [self.recordings(DETECTIONS)]
        if self.taxa is not None:
            by_rank: dict[str, list[str]] = {}
            for rank, name in sorted(self.taxa):
                by_rank.setdefault(rank, []).append(name)
            of_rank = [
                (pc.field("taxon_rank") == rank) & pc.field("taxon_scientific_name").isin(pa.array(names, pa.string()))
                for rank, names in by_rank.items()
            ]
            found.append(_joined(of_rank, any_of=True))
        if self.least > 0:
            found.append(pc.field("confidence") >= self.least)
        return _joined([one for one in found if one is not None])

    def _time(self) -> pads.Expression | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        time, kind = pc.field("time"), pa.timestamp("ms", "UTC")
        found = [pc.field("clock") != CLOCK_UNSET] if self.timed else []
        if self.since is not None:
            found.append(time >= pa.scalar(self.since, kind))
        if self.until is not None:
            found.append(time < pa.scalar(self.until, kind))
        return _joined(found)


def _joined(conditions: Iterable[pads.Expression], any_of: bool = False) -> pads.Expression | None:
    joined = None
    for one in conditions:
        joined = one if joined is None else (joined | one if any_of else joined & one)
    return joined


def folder_prefixes(folder: str, base: str, common: str = "") -> tuple[str, ...]:
    """Beginnings of the paths of recordings that lie in a folder.

    Parameters
    ----------
    folder : str
        As a person names it: from where he is, from the folder that relative paths of the archive begin at, or from
        that which all its recordings lie in.
    base, common : str
        Those two folders; the second as the archive has it.
    """
    whole = os.path.abspath(folder)
    spellings = [whole, folder]
    if base:
        spellings.append(os.path.relpath(whole, base) if _same_drive(whole, base) else whole)
        spellings.append(os.path.normpath(os.path.join(base, folder)))
    if common:
        spellings.append(os.path.join(common, folder))
    ends = [os.path.normpath(one) for one in spellings]
    if os.curdir in ends:
        return ()  # all of them
    return tuple(dict.fromkeys(str(cleaned(one)).rstrip(os.sep) + os.sep for one in ends))


def _same_drive(one: str, other: str) -> bool:
    return os.path.splitdrive(one)[0] == os.path.splitdrive(os.path.abspath(other))[0]


def taxa_called(asked: Sequence[str], lists: Sequence[Sequence[Taxon]]) -> tuple[frozenset[tuple[str, str]], list[str]]:
    """Rank and scientific name of taxa, of all that lie in them, and of their synonyms.

    Parameters
    ----------
    asked : sequence of str
        Names at any rank, common names in any language.
    lists : sequence of sequences of Taxon
        Taxa whose names are known.

    Returns
    -------
    found : frozenset of (str, str)
        A name that is not known stands in it as it is, at every rank.
    unknown : list of str
        A line for each name that is not known.

    Raises
    ------
    TaxonError
        Several species share a common name.
    """
    names = [(shipped_names() if taxa is shipped_species() else names_of(taxa), taxa) for taxa in lists]
    found: set[tuple[str, str]] = set()
    unknown = []
    for name in asked:
        errors, known = [], set[tuple[str, str]]()
        for of_list, taxa in names:
            try:
                known |= _below(name, of_list, taxa)
            except TaxonError as error:
                errors.append(error)
        ambiguous = [error for error in errors if not isinstance(error, UnknownNameError)]
        if not known and ambiguous:
            raise ambiguous[0]
        if not known:
            known = {(rank, name) for rank in RANKS}
            unknown.append(f"{errors[-1]}; searched as written" if errors else f"{name}: searched as written")
        found |= known
    return frozenset(found), unknown


def _below(name: str, names: Names, taxa: Sequence[Taxon]) -> set[tuple[str, str]]:
    found = set()
    for row in names.rows(name):
        taxon = taxa[row]
        depth = next((n for n, rank in enumerate(RANKS) if key_of(taxon.at(rank)) == key_of(name)), len(RANKS) - 1)
        found |= {(rank, taxon.at(rank)) for rank in RANKS[depth:] if taxon.at(rank)}
        found |= {(RANKS[-1], synonym) for synonym in taxon.synonyms}
    return found
