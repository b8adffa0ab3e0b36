"""The two protocols of BioVITA Bench, on the same features.

*published* is what the released evaluation script computes. A query has its own 100 candidate taxa with the ids of
their samples; the score of a taxon is the largest dot product with one of its samples; the taxa are ranked. A sample or
query without a vector counts as a zero vector, and text is the bare name at the level in question. The script ranks
with `torch.topk`, which guarantees no order among equal scores, and so does this module, on the CPU in float32, where
the rows of a matrix are ranked like single vectors. Hits that depend on that order are counted as `tied`. On a GPU the
script computes in float16, where more scores are equal.

*paper* is what the paper describes. A query is compared by cosine with a database of 100 samples, drawn with a seed
from the index: one positive and 99 distractors. At genus and family the positive is of another species of the same
group, and distractors are of other groups. Text is the name of a species, its common name if it has one. A query is
left out if its own vector or that of its positive is missing; a distractor without a vector is replaced by the next one
drawn. A tie counts against the query.

Sources: BioVITA (arXiv 2603.23883), section on the benchmark, and the evaluation script released with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from trainer.benchmark.draws import Drawn, draw
from trainer.benchmark.features import Features, Vectors
from trainer.benchmark.layout import BLOCK, DIRECTIONS, FOLDERS, LEVELS, Queries, Split, code, has_rows, read_queries

PUBLISHED, PAPER = "published", "paper"
PROTOCOLS = (PUBLISHED, PAPER)
TOPS = (1, 5, 10)
SCORED, EMPTY, ABSENT = "scored", "empty", "not released"
DATABASE = 100  # samples of the paper's database, the positive included
NOT_FOUND = 1 << 30  # position beyond the first ones
DENSE = 60  # one matrix product is faster than many small ones up to this ratio of all products to needed ones
DENSE_CELLS = 1 << 26  # and up to this size


@dataclass(frozen=True)
class Tally:
    """Number of queries, and of those with the correct group among the first 1, 5 and 10."""

    queries: int = 0
    hits: Mapping[int, int] = field(default_factory=lambda: dict.fromkeys(TOPS, 0))

    def share(self, top: int) -> float | None:
        return self.hits[top] / self.queries if self.queries else None


@dataclass(frozen=True)
class Score:
    """One model in one scenario under one protocol.

    Attributes
    ----------
    state : scored, empty, not released, or what the model or the benchmark lacks
    text : form of text that was used, "" without text
    candidates : minimum and maximum number of candidates of a query
    classes : hits by taxonomic class of the correct taxon, if it has a single class
    errors, in_genus, in_family : wrong Top-1 answers at species level, and those in the correct genus and family
    missing : ids without a vector that were needed, by part
    left_out : number of queries that were left out, by reason
    replaced : number of replaced distractors (paper)
    tied : number of queries whose hits depend on the order of equal scores (published)
    """

    model: str
    protocol: str
    split: str
    level: str
    query: str
    target: str
    state: str
    text: str = ""
    candidates: tuple[int, int] = (0, 0)
    tally: Tally = Tally()
    classes: Mapping[str, Tally] = field(default_factory=dict)
    errors: int = 0
    in_genus: int = 0
    in_family: int = 0
    missing: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    replaced: int = 0
    tied: int = 0


@dataclass(frozen=True)
class Lineage:
    """Taxonomy in the indexes of a split.

    Attributes
    ----------
    parents : species -> genus and family
    classes : level -> taxon -> its class, without taxa in several classes or none
    """

    parents: Mapping[str, tuple[str, str]]
    classes: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, split: Split) -> Lineage:
        parents: dict[str, tuple[str, str]] = {}
        for modality in ("text", "image", "audio"):
            if index := split.indexes.get(modality):
                for species, genus, family in zip(*(index.names[level] for level in LEVELS)):
                    parents.setdefault(species, (genus, family))
        classes: dict[str, dict[str, str]] = {level: {} for level in LEVELS}
        index = split.indexes.get("text")
        if index is not None and index.classes is not None:
            for level in LEVELS:
                among: dict[str, set[str]] = {}
                for name, class_ in zip(index.names[level], index.classes):
                    among.setdefault(name, set()).add(class_)
                only = {name: next(iter(several)) for name, several in among.items() if len(several) == 1}
                classes[level] = {name: class_ for name, class_ in only.items() if class_}
        return cls(parents, classes)


class Count:
    """Counts hits over blocks of queries."""

    def __init__(self, lineage: Lineage, level: str) -> None:
        self.lineage, self.level = lineage, level
        self.position: list[np.ndarray] = []
        self.classes: list[str] = []
        self.errors = self.in_genus = self.in_family = 0
        self.few, self.many = NOT_FOUND, 0

    def add(
        self, position: np.ndarray, candidates: np.ndarray, right: list[str], named: list[str], classes: list[str]
    ) -> None:
        """Add positions [q] of the correct candidate, numbers of candidates [q], correct and first taxon, and class."""
        self.position.append(position)
        self.classes += classes
        if len(candidates):
            self.few, self.many = min(self.few, int(candidates.min())), max(self.many, int(candidates.max()))
        if self.level == "species":
            for row in np.flatnonzero(position > 0):
                self.errors += 1
                genus, family = self.lineage.parents.get(right[row], ("", ""))
                other = self.lineage.parents.get(named[row], ("", ""))
                in_genus = bool(genus) and genus == other[0]
                self.in_genus += in_genus
                self.in_family += in_genus or (bool(family) and family == other[1])  # a family may be unknown

    def counted(self) -> dict[str, object]:
        """The counts as fields of a `Score`."""
        position = np.concatenate(self.position) if self.position else np.zeros(0, int)
        of_class = np.array(self.classes, dtype=object)
        return {
            "tally": tally(position),
            "classes": {name: tally(position[of_class == name]) for name in sorted(set(self.classes) - {""})},
            "candidates": (self.few, self.many) if self.many else (0, 0),
            "errors": self.errors,
            "in_genus": self.in_genus,
            "in_family": self.in_family,
        }


def tally(position: np.ndarray) -> Tally:
    """Hits of queries whose correct candidate is at `position` [q], counted from 0."""
    return Tally(len(position), {top: int((position < top).sum()) for top in TOPS})


def evaluate(
    split: Split,
    features: Features,
    protocols: tuple[str, ...] = PROTOCOLS,
    seed: int = 0,
    size: int = DATABASE,
    text: str | None = None,
    done: Callable[[Score], None] = lambda score: None,
) -> Iterator[Score]:
    """All scenarios of a split for one model.

    Parameters
    ----------
    seed, size : of the paper's databases
    text : form of text in the paper's protocol; None for the common name, if there is one
    done : called after each scenario
    """
    lineage = Lineage.of(split)
    for protocol in protocols:
        for level in LEVELS:
            for query, target in DIRECTIONS:
                if protocol == PUBLISHED:
                    score = published(split, features, lineage, level, query, target)
                else:
                    score = paper(split, features, lineage, level, query, target, seed, size, text)
                done(score)
                yield score


def published(split: Split, features: Features, lineage: Lineage, level: str, query: str, target: str) -> Score:
    """One scenario as the released script scores it."""
    names = (features.model, PUBLISHED, split.name, level, query, target)
    path = split.tasks.get((level, query, target))
    if path is None or not has_rows(path):
        return Score(*names, EMPTY if path else ABSENT)
    asking, answering = features.part(query, level), features.part(target, level)
    if asking is None or answering is None:
        return Score(*names, f"no {query if asking is None else target} vectors")
    count = Count(lineage, level)
    absent: dict[str, set[int]] = {asking[0]: set(), answering[0]: set()}
    outside = tied = 0
    for block in read_queries(path, code(query, target), level):
        rows, targets = asking[1].rows(block.payload), answering[1].rows(block.ids)
        absent[asking[0]].update(block.payload[rows < 0].tolist())
        absent[answering[0]].update(block.ids[targets < 0].tolist())
        scores = taxon_scores(block, asking[1], rows, answering[1], targets)
        right = np.array([taxa.index(name) if name in taxa else -1 for taxa, name in zip(block.taxa, block.correct)])
        position, first, equal = ranked(block, scores, right)
        kept = right >= 0
        outside += int((~kept).sum())
        tied += int(equal[kept].sum())
        known = block.classes or [lineage.classes[level].get(name, "") for name in block.correct]
        keep = np.flatnonzero(kept).tolist()
        count.add(
            position[kept],
            np.diff(block.groups)[kept],
            [block.correct[row] for row in keep],
            [block.taxa[row][first[row]] for row in keep],
            [known[row] for row in keep],
        )
    return Score(
        *names,
        SCORED,
        _text_used(asking[0], answering[0]),
        missing=_named(absent),
        left_out={"right taxon not among the candidates": outside} if outside else {},
        tied=tied,
        **count.counted(),  # type: ignore[arg-type]
    )


def taxon_scores(
    block: Queries, asking: Vectors, rows: np.ndarray, answering: Vectors, targets: np.ndarray
) -> np.ndarray:
    """Scores [groups] float32 of all candidates of a block: the best sample's; -inf for one without samples.

    `rows` [q] and `targets` [m] are rows of the vectors, -1 for zero vectors.
    """
    vectors = np.where(rows[:, None] >= 0, asking.vectors[rows], np.float32(0))
    sizes = np.diff(block.starts)
    of_query = np.repeat(np.arange(len(block)), np.diff(block.starts[block.groups]))
    each = similarities(vectors, answering.vectors, of_query, np.maximum(targets, 0))
    each[targets < 0] = 0.0
    scores = np.full(len(sizes), -np.inf, dtype=np.float32)
    filled = sizes > 0
    if filled.any():
        scores[filled] = np.maximum.reduceat(each, block.starts[:-1][filled])
    return scores


def similarities(queries: np.ndarray, targets: np.ndarray, of_query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Dot products [m] of pairs: query `of_query` [m], ascending, with target row `rows` [m]."""
    used = np.zeros(len(targets), dtype=bool)
    used[rows] = True
    unique = np.flatnonzero(used)
    cells = len(queries) * len(unique)
    if cells <= DENSE * len(rows) and cells <= DENSE_CELLS:
        place = np.zeros(len(targets), dtype=np.int64)
        place[unique] = np.arange(len(unique))
        return (queries @ targets[unique].T)[of_query, place[rows]]
    each = np.empty(len(rows), dtype=np.float32)
    edges = np.searchsorted(of_query, np.arange(len(queries) + 1))
    for row, (start, end) in enumerate(zip(edges[:-1], edges[1:])):
        each[start:end] = targets[rows[start:end]] @ queries[row]
    return each


def ranked(block: Queries, scores: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position [q] of the correct candidate, the first candidate [q], and whether a hit depends on a tie [q]."""
    import torch

    counts = np.diff(block.groups)
    position, first = np.full(len(block), NOT_FOUND), np.zeros(len(block), dtype=int)
    tied = np.zeros(len(block), dtype=bool)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        table = scores[block.groups[rows][:, None] + np.arange(count)]
        order = torch.topk(torch.from_numpy(table), k=min(max(TOPS), count), dim=1).indices.numpy()
        found = order == right[rows][:, None]
        position[rows] = np.where(found.any(axis=1), found.argmax(axis=1), NOT_FOUND)
        first[rows] = order[:, 0]
        own = table[np.arange(len(rows)), right[rows]][:, None]
        better, equal = (table > own).sum(axis=1), (table == own).sum(axis=1)
        tied[rows] = np.any([(better < top) & (top < better + equal) for top in TOPS], axis=0)
    return position, first, tied


def paper(
    split: Split,
    features: Features,
    lineage: Lineage,
    level: str,
    query: str,
    target: str,
    seed: int,
    size: int = DATABASE,
    text: str | None = None,
) -> Score:
    """One scenario as the paper describes it."""
    names = (features.model, PAPER, split.name, level, query, target)
    lacking = [modality for modality in (query, target) if modality not in split.indexes]
    if lacking:
        return Score(*names, f"no {lacking[0]} index")
    form = features.text_form(text)
    asking, answering = features.part(query, form), features.part(target, form)
    if asking is None or answering is None:
        return Score(*names, f"no {query if asking is None else target} vectors")
    place = (list(FOLDERS).index(split.name), LEVELS.index(level), DIRECTIONS.index((query, target)))
    drawn = draw(split.indexes[query], split.indexes[target], level, form, size, (seed, *place))
    if not len(drawn.rows):
        return Score(*names, drawn.shortage or EMPTY, left_out=drawn.left_out)
    count = Count(lineage, level)
    absent: dict[str, set[int]] = {asking[0]: set(), answering[0]: set()}
    left_out, replaced = dict(drawn.left_out), 0
    lengths = {name: np.linalg.norm(part.vectors, axis=1) for name, part in (asking, answering)}
    for start in range(0, len(drawn.rows), BLOCK):
        part = drawn.part(start, start + BLOCK)
        missed, stood_in = _score_block(part, level, asking, answering, lengths, size, count, absent)
        replaced += stood_in
        for reason, n in missed.items():
            left_out[reason] = left_out.get(reason, 0) + n
    return Score(
        *names,
        SCORED,
        _text_used(asking[0], answering[0]),
        missing=_named(absent),
        left_out=left_out,
        replaced=replaced,
        **count.counted(),  # type: ignore[arg-type]
    )


def _score_block(
    drawn: Drawn,
    level: str,
    asking: tuple[str, Vectors],
    answering: tuple[str, Vectors],
    lengths: Mapping[str, np.ndarray],
    size: int,
    count: Count,
    absent: dict[str, set[int]],
) -> tuple[dict[str, int], int]:
    """Count the hits of a block of queries; returns the queries left out by reason, and the replaced distractors."""
    questions, answers = drawn.query, drawn.target
    rows = asking[1].rows(questions.ids[drawn.rows])
    rows[rows >= 0] = np.where(lengths[asking[0]][rows[rows >= 0]] > 0, rows[rows >= 0], -1)
    samples = np.concatenate([drawn.positive[:, None], drawn.distractors], axis=1)
    there = samples >= 0
    targets = np.full(samples.shape, -1)
    targets[there] = answering[1].rows(answers.ids[samples[there]])
    targets[targets >= 0] = np.where(lengths[answering[0]][targets[targets >= 0]] > 0, targets[targets >= 0], -1)
    absent[asking[0]].update(questions.ids[drawn.rows[rows < 0]].tolist())
    absent[answering[0]].update(answers.ids[samples[:, :size][there[:, :size] & (targets[:, :size] < 0)]].tolist())

    usable = targets[:, 1:] >= 0
    taken = usable & (np.cumsum(usable, axis=1) < size)  # the first distractors that have a vector
    full = taken.sum(axis=1) == size - 1
    kept = (rows >= 0) & (targets[:, 0] >= 0) & full
    reasons = {
        "query without a vector": int((rows < 0).sum()),
        "positive without a vector": int(((rows >= 0) & (targets[:, 0] < 0)).sum()),
        "too few distractors with a vector": int(((rows >= 0) & (targets[:, 0] >= 0) & ~full).sum()),
    }
    base = np.concatenate([targets[kept, :1], targets[kept, 1:][taken[kept]].reshape(-1, size - 1)], axis=1)
    vectors = asking[1].vectors[rows[kept]] / lengths[asking[0]][rows[kept], None]
    pairs = np.repeat(np.arange(len(base)), size)
    cosine = similarities(vectors, answering[1].vectors, pairs, base.ravel()) / lengths[answering[0]][base.ravel()]
    cosine = cosine.reshape(base.shape)
    position = (cosine[:, 1:] >= cosine[:, :1]).sum(axis=1)
    best = base[np.arange(len(base)), 1 + cosine[:, 1:].argmax(axis=1)] if len(base) else np.zeros(0, int)
    order = np.argsort(answers.ids)
    where = order[np.searchsorted(answers.ids, answering[1].ids[best], sorter=order)]
    right = questions.names[level][drawn.rows[kept]].tolist()
    known = count.lineage.classes[level]
    count.add(
        position,
        np.full(len(base), size),
        right,
        answers.names[level][where].tolist(),
        [known.get(name, "") for name in right],
    )
    stood_in = int((~usable[kept, : size - 1]).sum())
    return {reason: n for reason, n in reasons.items() if n}, stood_in


def _text_used(*parts: str) -> str:
    return next((name.removeprefix("text_") for name in parts if name.startswith("text")), "")


def _named(absent: Mapping[str, set[int]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(sorted(ids)) for name, ids in absent.items() if ids}
