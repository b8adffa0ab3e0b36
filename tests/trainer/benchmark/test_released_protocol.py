"""The published protocol gives what the released script gives: compared with a slow reading of its description."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer.benchmark import small_bench as bench
from trainer.benchmark import layout, protocols
from trainer.benchmark.features import Features, Vectors, read_features
from trainer.benchmark.layout import read_benchmark
from trainer.benchmark.protocols import ABSENT, EMPTY, PUBLISHED, SCORED, Lineage, Score, published


def by_hand(path: Path, text_index: Path, given: Features) -> dict:
    """One task after the description of the released script: a loop over queries, and dictionaries.

    A taxon's score is its best sample's dot product; what has no feature is a zero vector; a candidate without samples
    has the score -inf; the ranking is that of `torch.topk` on the scores of one query.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with text_index.open(newline="") as file:
        names = list(csv.DictReader(file))
    level = rows[0]["taxon_level"]
    query, target = bench.DIRECTIONS[rows[0]["task"]]
    feature = {}
    for modality in (query, target):
        part = given.parts.get(f"text_{level}" if modality == "text" else modality)
        feature[modality] = {int(i): torch.from_numpy(v) for i, v in zip(part.ids, part.vectors)} if part else {}
    classes = defaultdict(set)
    for row in names:
        classes[row[level]].add(row.get("class", ""))
    parents = {row["species"]: (row["genus"], row["family"]) for row in names}
    zero = torch.zeros(bench.DIM)
    result: dict = {"n": 0, "hits": {1: 0, 5: 0, 10: 0}, "classes": {}, "errors": [0, 0, 0], "outside": 0}
    for row in rows:
        q = feature[query].get(int(row["query_payload_id"]), zero)
        scores = []
        for ids in json.loads(row["candidates_target_ids"]):
            dots = [float(torch.dot(feature[target].get(int(i), zero), q)) for i in ids]
            scores.append(max(dots) if dots else float("-inf"))
        taxa = json.loads(row["candidates_taxa"])
        right = row["correct_taxon"]
        if right not in taxa:
            result["outside"] += 1
            continue
        order = torch.topk(torch.tensor(scores), k=min(10, len(scores)), sorted=True).indices.tolist()
        result["n"] += 1
        of_class = row.get("taxon_class") or (min(classes[right]) if len(classes[right]) == 1 else "")
        if of_class:
            counted = result["classes"].setdefault(of_class, {"n": 0, 1: 0, 5: 0, 10: 0})
            counted["n"] += 1
        for k in (1, 5, 10):
            if taxa.index(right) in order[:k]:
                result["hits"][k] += 1
                if of_class:
                    counted[k] += 1
        if level == "species" and taxa[order[0]] != right:
            genus, family = parents[taxa[order[0]]]
            same = (genus == parents[right][0], genus == parents[right][0] or family == parents[right][1] != "")
            result["errors"] = [a + b for a, b in zip(result["errors"], (1, *same))]
    return result


def as_told(score: Score) -> dict:
    classes = {name: {"n": tally.queries, **tally.hits} for name, tally in score.classes.items()}
    return {
        "n": score.tally.queries,
        "hits": dict(score.tally.hits),
        "classes": classes,
        "errors": [score.errors, score.in_genus, score.in_family],
        "outside": sum(score.left_out.values()),
    }


def compare_all(root: Path, given: Features) -> list[Score]:
    """Every task of a benchmark scored both ways."""
    (split,) = read_benchmark(root)
    scores = []
    for (level, query, target), path in split.tasks.items():
        score = published(split, given, Lineage.of(split), level, query, target)
        assert as_told(score) == by_hand(path, split.indexes["text"].path, given), path
        scores.append(score)
    assert len(scores) == 18
    return scores


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("candidates", [5, 12], ids=["few", "all"])
def test_every_scenario_is_what_the_script_says_ties_included(tmp_path: Path, seed: int, candidates: int) -> None:
    root = bench.make(tmp_path, seed, candidates)
    scores = compare_all(root, bench.features(seed, largest=1))
    assert sum(score.tied for score in scores) > 20  # vectors of -1, 0 and 1 tie often, or nothing is shown here
    assert 0 < sum(score.tally.hits[1] for score in scores) < sum(score.tally.queries for score in scores)


def test_the_size_of_a_block_and_the_way_to_multiply_change_nothing(tmp_path: Path, monkeypatch) -> None:
    root = bench.make(tmp_path, 1, 12)
    before = compare_all(root, bench.features(1))
    monkeypatch.setattr(protocols, "DENSE", 0)
    monkeypatch.setattr(layout.read_queries, "__defaults__", (3,))
    assert compare_all(root, bench.features(1)) == before


def test_a_sample_without_a_vector_counts_as_a_zero_vector_and_is_named(tmp_path: Path) -> None:
    root = bench.make(tmp_path, 2)
    part_of = bench.features(2, leave_out=lambda part, i: i % 3 == 0)
    scores = compare_all(root, part_of)
    found = bench.samples(2)
    for score in scores:
        if (score.level, score.query, score.target) == ("species", "audio", "image"):
            assert score.missing == {
                name: tuple(sorted(i for i, *_ in found[name] if i % 3 == 0)) for name in ("audio", "image")
            }
    whole = compare_all(root, bench.features(2))
    assert not any(score.missing for score in whole)
    assert [score.tally.queries for score in whole] == [score.tally.queries for score in scores]  # none is skipped


def test_a_query_without_a_vector_ties_with_everything(tmp_path: Path) -> None:
    root = bench.make(tmp_path, 0, 12)
    (split,) = read_benchmark(root)
    ids = split.indexes["audio"].ids
    given = bench.features(0, leave_out=lambda part, i: part == "audio" and i != ids[0])
    score = published(split, given, Lineage.of(split), "species", "audio", "text")
    assert score.tied >= len(ids) - 1 and score.tally.queries == len(ids)


def test_a_candidate_without_samples_comes_last(tmp_path: Path) -> None:
    root = bench.make(tmp_path, 3, 12)
    path = root / "unseen" / "benchmark" / "species" / "test_audio_to_image.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        groups = json.loads(row["candidates_target_ids"])
        taxa = json.loads(row["candidates_taxa"])
        row["candidates_target_ids"] = json.dumps([[] if name == "Avus alter" else g for name, g in zip(taxa, groups)])
    bench.write(path, list(rows[0]), [list(row.values()) for row in rows])
    scores = compare_all(root, bench.features(3))
    lost = next(score for score in scores if score.level == "species" and score.target == "image")
    assert lost.tally.queries == len(rows)


def changed(root: Path, level: str, name: str, change) -> None:
    path = root / "unseen" / "benchmark" / level / name
    with path.open(newline="") as file:
        rows = [change(dict(row)) for row in csv.DictReader(file)]
    bench.write(path, list(rows[0]), [list(row.values()) for row in rows])


def test_a_query_whose_taxon_is_no_candidate_is_left_out_and_counted(tmp_path: Path) -> None:
    root = bench.make(tmp_path, 4)
    wrong = {"Ranus primus": "Nobody knows"}
    changed(
        root,
        "species",
        "test_image_to_text.csv",
        lambda row: {**row, "correct_taxon": wrong.get(row["correct_taxon"], row["correct_taxon"])},
    )
    scores = compare_all(root, bench.features(4))
    (told,) = [score.left_out for score in scores if score.left_out]
    of_it = sum(names[1] == "Ranus primus" for names in bench.samples(4)["image"])
    assert told == {"right taxon not among the candidates": of_it}


def test_the_class_column_of_a_task_wins_over_the_text_index(tmp_path: Path) -> None:
    root = bench.make(tmp_path, 5)
    changed(
        root,
        "genus",
        "test_audio_to_text.csv",
        lambda row: {**row, "taxon_class": "Insecta" if row["correct_taxon"] == "Avus" else ""},
    )
    (split,) = read_benchmark(root)
    score = published(split, bench.features(5), Lineage.of(split), "genus", "audio", "text")
    assert set(score.classes) == {"Insecta"}
    assert score.classes["Insecta"].queries == sum(names[2] == "Avus" for names in bench.samples(5)["audio"])


def test_a_name_that_stands_in_two_classes_belongs_to_none(tmp_path: Path) -> None:
    root = bench.make(tmp_path, 6)
    index = root / "unseen" / "benchmark" / "text_index.csv"
    text = index.read_text().replace("Avus alter,Avus,Avidae,Aves", "Avus alter,Avus,Avidae,Mammalia")
    index.write_text(text)
    (split,) = read_benchmark(root)
    lineage = Lineage.of(split)
    assert lineage.classes["species"]["Avus alter"] == "Mammalia"
    assert "Avus" not in lineage.classes["genus"] and "Avidae" not in lineage.classes["family"]
    assert lineage.classes["genus"]["Bavus"] == "Aves"
    compare_all(root, bench.features(6))


def test_errors_are_followed_to_genus_and_family(tmp_path: Path) -> None:
    """Every recording of Avus primus is nearest to its sister, every other to a species of another family."""
    root = bench.make(tmp_path, 7, 12)
    (split,) = read_benchmark(root)
    order = [name for name, *_ in bench.SPECIES]
    nearest = {name: "Ranus alter" for name in order} | {"Avus primus": "Avus alter", "Avus alter": "Bavus alter"}
    eye = np.eye(12, dtype=np.float32)
    audio, text = split.indexes["audio"], split.indexes["text"]
    by_id = {"audio": {}, "text": {}}
    for i, name in zip(audio.ids, audio.names["species"]):
        by_id["audio"][int(i)] = eye[order.index(nearest[name])]
    for i, name in zip(text.ids, text.names["species"]):
        by_id["text"][int(i)] = eye[order.index(name)]
    parts = {name: Vectors(np.array(sorted(of)), np.stack([of[i] for i in sorted(of)])) for name, of in by_id.items()}
    score = published(split, Features("made", parts), Lineage.of(split), "species", "audio", "text")
    heard = {name: int((audio.names["species"] == name).sum()) for name in order}
    assert score.text == "text" and score.tally.hits[1] == heard["Ranus alter"]
    assert score.errors == len(audio) - heard["Ranus alter"]
    assert score.in_genus == heard["Avus primus"] + heard["Ranus primus"]
    assert score.in_family == heard["Avus primus"] + heard["Avus alter"] + heard["Ranus primus"]


def test_what_is_empty_or_absent_is_said_and_has_no_score(tmp_path: Path) -> None:
    root = bench.make(tmp_path)
    folder = root / "unseen" / "benchmark"
    for path in (folder / "family").iterdir():
        path.write_text(path.read_text().splitlines()[0] + "\n")
    (folder / "genus" / "test_text_to_image.csv").unlink()
    (split,) = read_benchmark(root)
    scores = list(protocols.evaluate(split, bench.features(), (PUBLISHED,)))
    assert len(scores) == 18
    states = {(score.level, score.query, score.target): score.state for score in scores}
    assert {state for (level, *_), state in states.items() if level == "family"} == {EMPTY}
    assert states["genus", "text", "image"] == ABSENT
    assert sum(state == SCORED for state in states.values()) == 11
    assert all(score.tally.share(1) is None for score in scores if score.state != SCORED)


def test_a_model_without_a_modality_is_asked_only_what_it_can_answer(tmp_path: Path) -> None:
    (split,) = read_benchmark(bench.make(tmp_path))
    whole = bench.features()
    deaf = Features("deaf", {name: part for name, part in whole.parts.items() if name != "audio"})
    scores = list(protocols.evaluate(split, deaf, size=5))
    assert {score.state for score in scores if "audio" in (score.query, score.target)} == {"no audio vectors"}
    assert {score.state for score in scores if "audio" not in (score.query, score.target)} == {SCORED}


def test_zero_vectors_of_a_file_score_as_in_the_script_and_are_named(tmp_path: Path) -> None:
    root = bench.make(tmp_path, 2)
    whole = bench.arrays(bench.features(2, largest=3))
    lost = whole["image_ids"][::3].tolist()
    whole["image"][::3] = 0.0
    np.savez(tmp_path / "zeros.npz", **whole)
    scores = compare_all(root, read_features(tmp_path / "zeros.npz"))
    (one,) = [score for score in scores if (score.level, score.query, score.target) == ("species", "image", "text")]
    assert one.missing == {"image": tuple(lost)} and one.tally.queries == len(whole["image"])
