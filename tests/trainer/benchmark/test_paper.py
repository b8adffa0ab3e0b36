"""The paper's protocol: what its databases hold, and that the shares are those of a slow reading of its description."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.trainer.benchmark import small_bench as bench
from trainer.benchmark.draws import Drawn, distinct, draw
from trainer.benchmark.features import Features, Vectors
from trainer.benchmark.layout import DIRECTIONS, LEVELS, Split, read_benchmark
from trainer.benchmark.protocols import PAPER, SCORED, Lineage, evaluate, paper

SIZE = 6


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    (split,) = read_benchmark(bench.make(tmp_path_factory.mktemp("bench")))
    return split


def drawn(split: Split, level: str, query: str, target: str, size: int = SIZE, seed: int = 0) -> Drawn:
    return draw(split.indexes[query], split.indexes[target], level, "common_name", size, (seed,))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("query", "target"), DIRECTIONS)
def test_a_database_has_one_positive_among_samples_of_other_groups(split, level, query, target) -> None:
    found = drawn(split, level, query, target)
    asked, answers = split.indexes[query].names, split.indexes[target].names
    assert len(found.rows)
    for row, positive, distractors in zip(found.rows, found.positive, found.distractors):
        there = distractors[distractors >= 0]
        assert len(there) >= SIZE - 1 and len({*there.tolist(), int(positive)}) == len(there) + 1
        assert answers[level][positive] == asked[level][row]
        assert (answers["species"][positive] == asked["species"][row]) == (level == "species")
        assert asked[level][row] not in answers[level][there] and "" not in answers[level][there]


def test_who_has_no_positive_is_left_out_and_counted(split: Split) -> None:
    found = drawn(split, "genus", "audio", "image")
    names, pictured = split.indexes["audio"].names, set(split.indexes["image"].names["species"])
    sister = {
        name: next(n for n, g, _ in bench.SPECIES if g == genus and n != name) for name, genus, _ in bench.SPECIES
    }
    expected = [row for row, name in enumerate(names["species"]) if sister[name] in pictured]
    assert found.rows.tolist() == expected
    assert sum(found.left_out.values()) == len(names["species"]) - len(expected)
    family = drawn(split, "family", "audio", "image")
    assert "Sanus" not in names["genus"][family.rows]  # its family is unknown


def test_the_same_seed_draws_the_same_and_another_does_not(split: Split) -> None:
    one, same, other = (drawn(split, "species", "audio", "image", seed=seed) for seed in (1, 1, 2))
    assert (one.positive == same.positive).all() and (one.distractors == same.distractors).all()
    assert (one.distractors != other.distractors).any()


def test_every_positive_and_every_distractor_is_drawn_some_time(split: Split) -> None:
    answers = split.indexes["image"].names["species"]
    seen: dict[int, set[int]] = {}
    for seed in range(60):
        found = drawn(split, "species", "audio", "image", seed=seed)
        for row, positive in zip(found.rows.tolist(), found.positive.tolist()):
            seen.setdefault(row, set()).add(positive)
    for row, positives in seen.items():
        name = split.indexes["audio"].names["species"][row]
        assert positives == set(np.flatnonzero(answers == name).tolist())


def test_numbers_drawn_are_distinct_below_their_bound_and_even() -> None:
    rng = np.random.default_rng(0)
    below = np.array([3, 10, 40, 41, 60, 1000, 0])
    count = np.zeros(60, dtype=int)
    for _ in range(600):
        numbers = distinct(rng, below, 10)
        for row, bound in zip(numbers, below):
            there = row[row >= 0]
            assert len(there) == min(bound, 10) == len(set(there.tolist())) and (there < bound).all()
        count[numbers[4]] += 1
    assert count.sum() == 6000 and (abs(count - 100) < 50).all()  # each of 60 is drawn 100 times, give or take 9
    first = np.bincount(distinct(rng, np.full(6000, 60), 10)[:, -1], minlength=60)
    assert (abs(first - 100) < 50).all()  # and stands anywhere in the row


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other) / float(np.linalg.norm(one) * np.linalg.norm(other))


def slow(split: Split, given: Features, level: str, query: str, target: str, size: int, seed: int) -> tuple[int, dict]:
    """Number of queries and hits, by a loop over the databases; a distractor without a vector gives way to the next."""
    place = (1, LEVELS.index(level), DIRECTIONS.index((query, target)))
    found = draw(split.indexes[query], split.indexes[target], level, "common_name", size, (seed, *place))
    vector = {}
    for modality in (query, target):
        part = given.parts["text_common_name" if modality == "text" else modality]
        vector[modality] = {int(i): v for i, v in zip(part.ids, part.vectors) if v.any()}
    asked, hits = 0, {1: 0, 5: 0, 10: 0}
    for row, positive, distractors in zip(found.rows, found.positive, found.distractors):
        q = vector[query].get(int(split.indexes[query].ids[row]))
        right = vector[target].get(int(split.indexes[target].ids[positive]))
        ids = [int(split.indexes[target].ids[other]) for other in distractors if other >= 0]
        others = [vector[target][i] for i in ids if i in vector[target]][: size - 1]
        if q is None or right is None or len(others) < size - 1:
            continue
        asked += 1
        before = sum(cosine(q, v) > cosine(q, right) for v in others)
        for k in hits:
            hits[k] += before < k
    return asked, hits


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "with gaps"])
def test_shares_are_those_of_the_description(split: Split, gaps: bool) -> None:
    rng = np.random.default_rng(0)
    some = bench.features(0, 3, lambda part, i: gaps and i % 5 == 0)
    parts = {name: Vectors(p.ids, rng.normal(size=p.vectors.shape).astype("f4")) for name, p in some.parts.items()}
    given = Features("without ties", parts)
    scores = list(evaluate(split, given, (PAPER,), seed=3, size=SIZE))
    assert len(scores) == 18 and {score.state for score in scores} == {SCORED}
    for score in scores:
        asked, hits = slow(split, given, score.level, score.query, score.target, SIZE, 3)
        assert (score.tally.queries, score.tally.hits) == (asked, hits) and asked
        assert score.candidates == (SIZE, SIZE)
    assert any(score.replaced for score in scores) == gaps
    assert any("query without a vector" in score.left_out for score in scores) == gaps
    assert any("positive without a vector" in score.left_out for score in scores) == gaps


def test_who_is_left_out_for_want_of_a_vector_is_counted_and_named(split: Split) -> None:
    lost = int(split.indexes["audio"].ids[0])
    given = bench.features(0, 3, lambda part, i: part == "audio" and i == lost)
    score = paper(split, given, Lineage.of(split), "species", "audio", "text", seed=0, size=SIZE)
    assert score.left_out == {"query without a vector": 1}
    assert score.missing == {"audio": (lost,)}
    assert score.tally.queries == len(split.indexes["audio"]) - 1


def test_vectors_need_not_be_of_unit_length(split: Split) -> None:
    given = bench.features(0, 3)
    longer = Features(
        "longer", {n: Vectors(p.ids, p.vectors * (1 + p.ids[:, None] % 7)) for n, p in given.parts.items()}
    )
    one, other = (list(evaluate(split, each, (PAPER,), size=SIZE)) for each in (given, longer))
    assert [score.tally for score in one] == [score.tally for score in other]


def test_equal_vectors_are_no_hit(split: Split) -> None:
    given = bench.features(0)
    same = {name: Vectors(part.ids, np.ones_like(part.vectors)) for name, part in given.parts.items()}
    scores = list(evaluate(split, Features("constant", same), (PAPER,), size=SIZE))
    assert {score.tally.hits[5] for score in scores} == {0}


def test_text_is_the_common_name_unless_another_is_asked_for(split: Split) -> None:
    given = bench.features(0)
    lineage = Lineage.of(split)
    told = [
        paper(split, given, lineage, "genus", "text", "audio", 0, SIZE, form).text
        for form in (None, "species", "genus")
    ]
    assert told == ["common_name", "species", "genus"]
    nameless = Features("n", {name: part for name, part in given.parts.items() if name != "text_common_name"})
    assert paper(split, nameless, lineage, "species", "text", "audio", 0, SIZE).text == "species"


def test_a_taxon_without_a_common_name_is_neither_query_nor_target(split: Split) -> None:
    index = split.indexes["text"]
    nameless = np.where(index.names["species"] == "Avus alter", "", index.common)
    some = replace(split, indexes={**split.indexes, "text": replace(index, common=nameless)})
    names = index.names["species"]
    asks = drawn(some, "species", "text", "audio")
    assert "Avus alter" not in names[asks.rows] and len(asks.rows) == len(index) - 1
    answers = drawn(some, "species", "audio", "text")
    there = answers.distractors[answers.distractors >= 0]
    assert "Avus alter" not in {*names[there], *names[answers.positive]}


def test_too_small_an_index_is_said_and_not_scored(split: Split) -> None:
    scores = list(evaluate(split, bench.features(), (PAPER,), size=100))
    assert not any(score.state == SCORED for score in scores)
    assert all("for a database of 100" in score.state for score in scores)


def test_without_an_index_there_is_no_database(split: Split) -> None:
    half = replace(split, indexes={name: index for name, index in split.indexes.items() if name != "audio"})
    scores = list(evaluate(half, bench.features(), (PAPER,), size=SIZE))
    assert {score.state for score in scores if "audio" in (score.query, score.target)} == {"no audio index"}
    assert {score.state for score in scores if "audio" not in (score.query, score.target)} == {SCORED}
