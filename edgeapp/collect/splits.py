"""Which media are held out: by source, so that no test shares a recorder's day with the training, and by species.

The source of a medium is its observer, day and place; where these are not known, its encounter. A file that is given
for two species has one source. Species with fewest recordings are unseen: all of theirs is held out, as in BioVITA,
where these are 325 of 14,133.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from edgeapp.collect.curation import PLACE_DECIMALS
from edgeapp.collect.defaults import TEST_SHARE
from edgeapp.collect.identity import FIRST_HAND, encounter_of, hashed, linked
from edgeapp.collect.row import Row
from edgeapp.errors import UsageError

TRAIN, TEST, UNSEEN = SPLITS = ("train", "test", "unseen")
UNSEEN_SHARE = 325 / 14_133  # of the species that have recordings
FEWEST_SOURCES = 3  # of a species; with fewer, all of them are trained on
DAY = len("2026-05-22")


@dataclass(frozen=True)
class Division:
    """How a collection is divided.

    Attributes
    ----------
    test_share : float
        Of the sources of the species that are trained on, 0 to 0.5.
    unseen_below : int or None
        Species with fewer recordings are unseen; None for the share of BioVITA, those with fewest.
    seed : int
    """

    test_share: float = TEST_SHARE
    unseen_below: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.test_share <= 0.5:
            raise UsageError(f"--test-share {self.test_share:g} is outside 0 .. 0.5", "0.1 holds out a tenth")
        if self.unseen_below is not None and self.unseen_below < 0:
            raise UsageError(f"--unseen-below must not be {self.unseen_below}", "0 makes no species unseen")


def source_of(row: Row) -> tuple[str, str]:
    """Archive and source of a row; media of one source are never on both sides of a split."""
    medium = row.medium
    encounter = encounter_of(medium)
    archive = encounter.partition(" ")[0]
    archive = archive if archive in FIRST_HAND else medium.source
    if (
        medium.observer
        and len(medium.recorded_at) >= DAY
        and medium.latitude is not None
        and medium.longitude is not None
    ):
        place = f"{medium.latitude:.{PLACE_DECIMALS}f} {medium.longitude:.{PLACE_DECIMALS}f}"
        return archive, f"{medium.observer} {medium.recorded_at[:DAY]} {place}"
    return archive, encounter


@dataclass
class Divider:
    """Gathers rows one by one and divides them: 21 bytes a row in memory, and some more while dividing."""

    division: Division
    taxa: dict[str, int] = field(default_factory=dict)  # name to number
    _taxon: array = field(default_factory=lambda: array("i"))
    _audio: array = field(default_factory=lambda: array("b"))
    _source: array = field(default_factory=lambda: array("Q"))
    _content: array = field(default_factory=lambda: array("q"))  # -1 where it is not known

    def add(self, row: Row) -> None:
        """Remember a row."""
        self._taxon.append(self.taxa.setdefault(row.taxon, len(self.taxa)))
        self._audio.append(row.medium.modality == "audio")
        self._source.append(hashed(self.division.seed, *source_of(row)))
        self._content.append(hashed(row.sha256) >> 1 if row.sha256 else -1)

    def divided(self) -> np.ndarray:
        """Split of each row in the order of `add`, [rows] int8, an index into `SPLITS`."""
        taxon, audio = np.frombuffer(self._taxon, np.int32), np.frombuffer(self._audio, np.int8)
        splits = np.zeros(len(taxon), np.int8)
        if not len(taxon):
            return splits
        unseen = self._unseen(np.bincount(taxon[audio == 1], minlength=len(self.taxa)))
        each = np.frombuffer(self._source, np.uint64)
        of_source = np.unique(each, return_inverse=True)[1].reshape(-1)
        each = each[linked(of_source, np.frombuffer(self._content, np.int64))]
        hashes, source = np.unique(each, return_inverse=True)
        source = source.reshape(-1)
        held = _held_out(hashes, 2 * taxon.astype(np.int64) + audio, source, unseen[taxon], self.division.test_share)
        splits[held[source]] = SPLITS.index(TEST)
        splits[unseen[taxon]] = SPLITS.index(UNSEEN)
        return splits

    def counted(self, splits: np.ndarray) -> tuple[dict[tuple[str, str], int], dict[str, int], tuple[str, ...]]:
        """Files by split and modality, species by split, and the names of those that are unseen."""
        taxon, audio = np.frombuffer(self._taxon, np.int32), np.frombuffer(self._audio, np.int8)
        files, species = {}, {}
        for number, split in enumerate(SPLITS):
            for is_audio, modality in ((1, "audio"), (0, "image")):
                files[split, modality] = int(((splits == number) & (audio == is_audio)).sum())
            species[split] = len(np.unique(taxon[splits == number]))
        names = list(self.taxa)
        unseen = np.unique(taxon[splits == SPLITS.index(UNSEEN)])
        return files, species, tuple(sorted(names[one] for one in unseen))

    def _unseen(self, recordings: np.ndarray) -> np.ndarray:
        """Which taxa are unseen [taxa] bool, by their numbers of recordings."""
        below = self.division.unseen_below
        if below is not None:
            return (recordings > 0) & (recordings < below)
        tie = np.array([hashed(self.division.seed, name) for name in self.taxa], np.uint64)
        heard = np.flatnonzero(recordings > 0)
        fewest = heard[np.lexsort((tie[heard], recordings[heard]))]
        chosen = np.zeros(len(recordings), bool)
        chosen[fewest[: round(UNSEEN_SHARE * len(heard))]] = True
        return chosen


def _held_out(
    hashes: np.ndarray, group: np.ndarray, source: np.ndarray, unseen: np.ndarray, share: float
) -> np.ndarray:
    """Which sources are held out [sources] bool.

    Parameters
    ----------
    hashes : [sources] uint64, in ascending order; those of the smallest hashes are drawn
    group : [rows] int64, taxon and modality
    source : [rows] int64, into `hashes`
    unseen : [rows] bool, of a taxon that is held out
    share : of the sources
    """
    drawn = hashes.astype(np.float64) < share * 2.0**64
    forced = np.zeros(len(hashes), bool)
    forced[source[unseen]] = True
    pairs = np.unique(group[~unseen] * len(hashes) + source[~unseen])
    of_group, of_source = np.divmod(pairs, len(hashes))
    _, at, sources = np.unique(of_group, return_index=True, return_counts=True)
    few = np.repeat(sources < FEWEST_SOURCES, sources)
    drawn[of_source[few]] = False  # a species of one or two sources is trained on
    held = drawn | forced
    if len(at):
        trained = np.add.reduceat((~held[of_source]).astype(np.int64), at)
        last = at + sources - 1  # pairs are in ascending order: the source of the largest hash
        back = of_source[last[trained == 0]]
        held[back[~forced[back]]] = False
    return held
