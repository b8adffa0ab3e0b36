"""Databases of the paper's protocol: for each query one positive and distractors, drawn from an index with a seed.

The draw does not depend on the model, so all models get the same queries. A few spare distractors are drawn, in the
order in which they replace others that have no vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from trainer.benchmark.layout import BLOCK, Index

SPARE = 28


@dataclass(frozen=True)
class Drawn:
    """Databases of some queries.

    Attributes
    ----------
    query, target : the indexes
    rows : [q] rows of the query index
    positive : [q] rows of the target index
    distractors : [q, size - 1 + spare] rows of the target index, padded with -1
    left_out : number of queries without a database, by reason
    shortage : the reason, if no query has a database
    """

    query: Index
    target: Index
    rows: np.ndarray
    positive: np.ndarray
    distractors: np.ndarray
    left_out: Mapping[str, int] = field(default_factory=dict)
    shortage: str = ""

    def part(self, start: int, end: int) -> Drawn:
        """Queries `start` to `end`."""
        of = slice(start, end)
        return replace(self, rows=self.rows[of], positive=self.positive[of], distractors=self.distractors[of])


def draw(query: Index, target: Index, level: str, form: str, size: int, seed: tuple[int, ...]) -> Drawn:
    """Draw a database of `size` samples for every sample of an index that has a positive.

    Parameters
    ----------
    level : at which the positive has the taxon of the query; above species it is of another species
    form : of text; a taxon without a name in this form is neither query nor target
    """
    asks, answers = usable(query, level, form), usable(target, level, form)
    names = [np.concatenate([query.names[x][asks], target.names[x][answers]]).astype(str) for x in (level, "species")]
    groups, species = (np.unique(each, return_inverse=True)[1] for each in names)
    order = np.lexsort((species[len(asks) :], groups[len(asks) :]))
    group, own_species = groups[len(asks) :][order], species[len(asks) :][order]
    joint = group * (species.max(initial=0) + 1) + own_species  # ascending as well
    own_group = groups[: len(asks)]
    start, end = (np.searchsorted(group, own_group, side) for side in ("left", "right"))
    if level == "species":
        skip_start = skip_end = start
    else:
        own = own_group * (species.max(initial=0) + 1) + species[: len(asks)]
        skip_start, skip_end = (np.searchsorted(joint, own, side) for side in ("left", "right"))
    positives = (end - start) - (skip_end - skip_start)
    others = len(order) - (end - start)
    enough = others >= size - 1
    kept = np.flatnonzero((positives > 0) & enough)
    left_out = {
        "no positive": int((positives <= 0).sum()),
        f"fewer than {size - 1} distractors": int(((positives > 0) & ~enough).sum()),
    }
    shortage = "no query has a positive"
    if (positives > 0).any():
        shortage = f"only {others[positives > 0].max()} distractors for a database of {size}"
    rng = np.random.default_rng(seed)
    positive = np.zeros(len(kept), dtype=np.int64)
    distractors = np.full((len(kept), size - 1 + SPARE), -1, dtype=np.int64)
    for begin in range(0, len(kept), BLOCK):
        rows, of = kept[begin : begin + BLOCK], slice(begin, begin + BLOCK)
        at = start[rows] + rng.integers(0, positives[rows])
        at = np.where(at >= skip_start[rows], at + skip_end[rows] - skip_start[rows], at)
        positive[of] = answers[order[at]]
        among = distinct(rng, others[rows], distractors.shape[1])
        beyond = among >= start[rows, None]
        at = np.where(beyond, among + (end - start)[rows, None], among)
        distractors[of] = np.where(among >= 0, answers[order[np.minimum(at, len(order) - 1)]], -1)
    return Drawn(
        query,
        target,
        asks[kept],
        positive,
        distractors,
        {reason: n for reason, n in left_out.items() if n},
        "" if len(kept) else shortage,
    )


def usable(index: Index, level: str, form: str) -> np.ndarray:
    """Rows of an index whose taxon is known at a level and, for text, has a name."""
    known = (index.names[level] != "") & (index.names["species"] != "")
    if index.modality == "text":
        known &= index.text(form) != ""
    return np.flatnonzero(known)


def distinct(rng: np.random.Generator, below: np.ndarray, count: int) -> np.ndarray:
    """Distinct integers [q, count] less than `below` [q] in random order, padded with -1."""
    drawn = np.full((len(below), count), -1, dtype=np.int64)
    few = below <= 4 * count
    if few.any():  # shuffle all of them
        most = int(below[few].max())
        keys = rng.random((int(few.sum()), most))
        keys[np.arange(most) >= below[few, None]] = 2.0
        order = np.argsort(keys, axis=1)[:, :count]
        drawn[few, : order.shape[1]] = np.where(np.arange(order.shape[1]) < below[few, None], order, -1)
    if not few.all():  # draw, and draw duplicates again
        limit = np.broadcast_to(below[~few, None], (int((~few).sum()), count))
        values = rng.integers(0, limit)
        while True:
            order = np.argsort(values, axis=1, kind="stable")
            inside = np.take_along_axis(values, order, axis=1)
            again = np.zeros(values.shape, dtype=bool)
            np.put_along_axis(again, order[:, 1:], inside[:, 1:] == inside[:, :-1], axis=1)
            if not again.any():
                break
            values[again] = rng.integers(0, limit[again])
        drawn[~few] = values
    return drawn
