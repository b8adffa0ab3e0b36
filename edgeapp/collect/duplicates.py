"""What is offered twice: the same file, or the same encounter by two sources.

Rows are compared by 64 bits of their tokens, so that millions of them fit in memory: 33 bytes each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.identity import encounter_of, file_of, hashed, is_first_hand
from edgeapp.collect.notes import ALSO
from edgeapp.collect.row import Row

SAME_FILE = "duplicate: the same file is offered twice"
SAME_ENCOUNTER = "duplicate: another source has this observation"
SAME_CONTENT = "duplicate: the same content as another file"


class Offered:
    """Identities of rows, gathered one by one."""

    def __init__(self) -> None:
        self._keys, self._files, self._encounters = array("q"), array("Q"), array("Q")
        self._worth, self._sources = array("b"), array("Q")

    def add(self, row: Row) -> None:
        """Remember what a row is."""
        medium = row.medium
        file, encounter = file_of(medium), encounter_of(medium)
        self._keys.append(row.key)
        self._files.append(hashed(file))
        self._encounters.append(hashed(medium.modality, encounter))
        self._worth.append(0 if is_first_hand(encounter, medium.source) else 1)
        self._sources.append(hashed(medium.source))

    def leave_out(self, catalogue: Catalogue) -> None:
        """Leave out the rows that are offered twice."""
        files, encounters = self.duplicates()
        catalogue.leave_out(files, SAME_FILE)
        catalogue.leave_out(encounters, SAME_ENCOUNTER)

    def duplicates(self) -> tuple[list[int], list[int]]:
        """Keys of rows whose file is offered by another row, and of those whose encounter another source has.

        Of several, the rows of the source that an encounter comes from stay; else those of the source with most of
        them, so that an encounter with three photos keeps three.
        """
        keys, files = np.frombuffer(self._keys, np.int64), np.frombuffer(self._files, np.uint64)
        encounters, sources = np.frombuffer(self._encounters, np.uint64), np.frombuffer(self._sources, np.uint64)
        worth = np.frombuffer(self._worth, np.int8)
        if not len(keys):
            return [], []
        order = np.lexsort((keys, worth, files))
        again = np.zeros(len(keys), bool)
        again[order[1:]] = files[order[1:]] == files[order[:-1]]
        rest = np.flatnonzero(~again)
        other = rest[_of_other_sources(encounters[rest], sources[rest], worth[rest])]
        return keys[again].tolist(), keys[other].tolist()


def _of_other_sources(encounters: np.ndarray, sources: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Which rows [n] bool are of an encounter that a better source has."""
    order = np.lexsort((sources, encounters))
    of_encounter, of_source = encounters[order], sources[order]
    begins = np.ones(len(order), bool)  # of rows of one encounter in one source
    begins[1:] = (of_encounter[1:] != of_encounter[:-1]) | (of_source[1:] != of_source[:-1])
    group = np.cumsum(begins) - 1
    first = order[begins]
    sizes = np.bincount(group)
    best = np.lexsort((sources[first], -sizes, worth[first], encounters[first]))
    kept = np.zeros(len(first), bool)
    kept[best[np.concatenate([[True], encounters[first][best][1:] != encounters[first][best][:-1]])]] = True
    found = np.zeros(len(order), bool)
    found[order] = ~kept[group]
    return found


def leave_out_content(catalogue: Catalogue, state: str = "downloaded") -> int:
    """Leave out files with the content of another one of their taxon; how many.

    A file that is given for two taxa stays for both, with a note: it may show both, and which of them is right is not
    known.
    """
    shared = (
        "sha256 <> '' AND sha256 IN (SELECT sha256 FROM media WHERE sha256 <> '' AND state = "
        f"'{state}' GROUP BY sha256 HAVING count(*) > 1)"
    )
    by_content: dict[tuple[str, str], list[Row]] = {}
    for row in catalogue.rows(state, where=shared):
        by_content.setdefault((row.sha256, row.medium.modality), []).append(row)
    left_out: list[int] = []
    for rows in by_content.values():
        stay: dict[str, Row] = {}
        for row in sorted(rows, key=_first_hand_first):
            if row.taxon in stay:
                left_out.append(row.key)
            else:
                stay[row.taxon] = row
        if len(stay) > 1:
            for taxon, row in stay.items():
                _note_others(catalogue, row, (one for one in stay if one != taxon))
    catalogue.leave_out(left_out, SAME_CONTENT)
    return len(left_out)


def _note_others(catalogue: Catalogue, row: Row, others: Iterable[str]) -> None:
    notes = [one for one in row.notes if not one.startswith(ALSO)]
    catalogue.note(row.key, [*notes, *(f"{ALSO}{name}" for name in sorted(others))])


def _first_hand_first(row: Row) -> tuple[bool, int]:
    return not is_first_hand(encounter_of(row.medium), row.medium.source), row.key
