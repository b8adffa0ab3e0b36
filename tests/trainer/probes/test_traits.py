"""Traits: the 34 labels, the tables that answer them, and what a linear probe makes of vectors."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgeapp.collect.traits.schema import AT, LABELS, NO, UNKNOWN, YES, TraitTable
from trainer.errors import ConfigError, DataError
from trainer.probes.traits import ProbeConfig, f1_score, fit, fold_of, macro, probe, sample_weights

SPECIES = tuple(f"Avis n{n}" for n in range(40))


def table_of(**columns: list[int]) -> TraitTable:
    """A table of `SPECIES` that knows the given labels."""
    values = np.full((len(SPECIES), len(LABELS)), UNKNOWN, np.int8)
    for name, column in columns.items():
        values[:, AT[name]] = column
    return TraitTable(Path("traits.csv"), SPECIES, values)


HALF = [YES, NO] * 20


def vectors(answer: list[int], strength: float = 2.0, seed: int = 0, each: int = 3) -> tuple[np.ndarray, list[str]]:
    """Vectors of samples, the first direction of which tells the answer; every species has a direction of its own."""
    rng = np.random.default_rng(seed)
    names = [name for name in SPECIES for _ in range(each)]
    own = np.repeat(rng.standard_normal((len(SPECIES), 16)), each, axis=0)
    made = own + 0.1 * rng.standard_normal((len(names), 16))
    made[:, 0] += strength * np.repeat(np.where(np.array(answer) == YES, 1.0, -1.0), each)
    return made / np.linalg.norm(made, axis=1, keepdims=True), names


def by_name(scores) -> dict:
    return {score.label: score for score in scores}


def test_a_trait_that_the_vectors_show_is_told_on_species_never_seen() -> None:
    features, names = vectors(HALF, strength=4.0)
    scores = probe(features, names, table_of(forest=HALF), modality="audio")
    assert [score.label for score in scores] == [label.name for label in LABELS]
    forest = by_name(scores)["forest"]
    assert forest.f1 is not None and forest.f1 > 0.95
    assert (forest.modality, forest.group) == ("audio", "Habitat")
    assert (forest.samples, forest.positives, forest.species, forest.positive_species) == (120, 60, 40, 20)
    assert forest.constant_f1 == pytest.approx(2 / 3)


def test_a_trait_that_only_the_species_itself_shows_is_not_told() -> None:
    """Every species has a direction of its own, so that a split by samples would be told without fault."""
    names = [name for name in SPECIES for _ in range(3)]
    features = np.repeat(np.eye(40), 3, axis=0)
    answer = np.random.default_rng(0).permutation(HALF).tolist()
    forest = by_name(probe(features, names, table_of(forest=answer)))["forest"]
    assert forest.f1 is not None and forest.f1 < forest.constant_f1 + 0.1


def test_every_species_is_tested_once_and_not_trained_on_then(monkeypatch: pytest.MonkeyPatch) -> None:
    import trainer.probes.traits as module

    trained: list[set[int]] = []

    def watched(features: torch.Tensor, *others):
        trained.append(set(features.argmax(dim=1).tolist()))
        return fit(features, *others)

    monkeypatch.setattr(module, "fit", watched)
    names = [name for name in SPECIES for _ in range(2)]
    probe(np.repeat(np.eye(40), 2, axis=0), names, table_of(forest=HALF), seed=3, config=ProbeConfig(folds=4))
    assert len(trained) == 4
    assert Counter(one for part in trained for one in part) == dict.fromkeys(range(40), 3)
    for fold, part in enumerate(trained):
        assert part == {row for row, name in enumerate(SPECIES) if fold_of(name, 4, 3) != fold}


def test_the_fold_of_a_species_depends_on_seed_and_name_alone() -> None:
    folds = [fold_of(name, 5, 1) for name in SPECIES]
    assert set(folds) == set(range(5))
    assert folds != [fold_of(name, 5, 2) for name in SPECIES]
    assert fold_of("Parus major", 5, 1) == fold_of(" parus  MAJOR", 5, 1)


def test_named_species_can_be_the_test_in_place_of_folds() -> None:
    features, names = vectors(HALF, strength=4.0)
    forest = by_name(probe(features, names, table_of(forest=HALF), unseen=SPECIES[:12]))["forest"]
    assert (forest.species, forest.samples) == (12, 36)
    assert forest.f1 is not None and forest.f1 > 0.8
    for unseen in (("Bufo bufo",), SPECIES):
        with pytest.raises(DataError, match="samples are of unseen species"):
            probe(features, names, table_of(forest=HALF), unseen=unseen)


def test_the_same_seed_gives_the_same_scores_and_another_one_other_folds() -> None:
    features, names = vectors(HALF, strength=0.5)
    one, again, other = (probe(features, names, table_of(forest=HALF), seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_label_with_too_few_species_of_one_answer_is_not_measured() -> None:
    features, names = vectors(HALF)
    rare, common = [YES] * 4 + [NO] * 36, [YES] * 36 + [NO] * 4
    scores = by_name(probe(features, names, table_of(forest=HALF, polar=rare, urban=common, desert=[NO] * 40)))
    for name in ("polar", "urban", "desert", "diurnal"):
        score = scores[name]
        assert (score.f1, score.precision, score.recall, score.constant_f1) == (None,) * 4
        assert "5 of each are needed" in score.why_not
    assert scores["polar"].positives == 12 and scores["polar"].positive_species == 4
    assert scores["diurnal"].samples == 0
    assert scores["forest"].f1 is not None and scores["forest"].why_not == ""
    few = ProbeConfig(least_species=4, folds=20)
    assert by_name(probe(features, names, table_of(polar=rare), config=few))["polar"].f1 is not None


def test_a_label_that_a_training_part_hardly_holds_is_not_measured() -> None:
    features, names = vectors(HALF)
    answer = [YES] * 8 + [NO] * 32
    polar = by_name(probe(features, names, table_of(polar=answer), unseen=[*SPECIES[:6], *SPECIES[20:30]]))["polar"]
    assert polar.f1 is None and "fewer than 3 species with yes" in polar.why_not


def test_unknown_values_are_neither_trained_on_nor_tested() -> None:
    features, names = vectors(HALF, strength=4.0)
    answer = [UNKNOWN if row % 3 == 0 else value for row, value in enumerate(HALF)]
    forest = by_name(probe(features, names, table_of(forest=answer)))["forest"]
    assert forest.species == 26 and forest.samples == 78
    spoilt = features.copy()
    for row, name in enumerate(names):
        if answer[SPECIES.index(name)] == UNKNOWN:
            spoilt[row] = features[0]
    again = by_name(probe(spoilt, names, table_of(forest=answer)))["forest"]
    assert again.f1 == pytest.approx(forest.f1, abs=0.03)


def test_species_that_the_table_does_not_have_are_left_out() -> None:
    features, names = vectors(HALF)
    more = np.concatenate([features, features[:5]])
    table = table_of(forest=HALF)
    assert probe(more, [*names, *["Bufo bufo"] * 5], table) == probe(features, names, table)
    with pytest.raises(DataError, match="has none of the species"):
        probe(features[:2], ["Bufo bufo"] * 2, table)


def test_balance_lets_a_rare_answer_be_given() -> None:
    answer = [YES] * 6 + [NO] * 34
    features, names = vectors(answer, strength=0.6)
    table = table_of(polar=answer)
    balanced = by_name(probe(features, names, table))["polar"]
    plain = by_name(probe(features, names, table, config=ProbeConfig(balanced=False)))["polar"]
    assert plain.recall < balanced.recall


def test_length_does_not_matter_and_a_vector_without_direction_is_refused() -> None:
    features, names = vectors(HALF)
    table = table_of(forest=HALF)
    longer = features * np.linspace(0.5, 4, len(features))[:, None]
    scores = [by_name(probe(made, names, table))["forest"] for made in (features, longer)]
    assert scores[0].f1 == pytest.approx(scores[1].f1, abs=0.03)
    features[7] = 0.0
    with pytest.raises(DataError, match="1 of 120 vectors are zero or not finite, row 7 first"):
        probe(features, names, table)


@pytest.mark.parametrize("config", [ProbeConfig(folds=1), ProbeConfig(penalty=0.0)])
def test_settings_that_cannot_work_are_refused(config: ProbeConfig) -> None:
    features, names = vectors(HALF)
    with pytest.raises(ConfigError):
        probe(features, names, table_of(forest=HALF), config=config)


def test_as_many_names_as_vectors_are_needed() -> None:
    with pytest.raises(DataError, match="give one vector"):
        probe(np.eye(3), ["Parus major"] * 2, table_of(forest=HALF))


# --- its parts


def slow_f1(truth: list[bool], guess: list[bool]) -> float:
    """2 * precision * recall / (precision + recall), by counting one by one."""
    hits = misses = alarms = 0
    for true, guessed in zip(truth, guess):
        hits += true and guessed
        misses += true and not guessed
        alarms += guessed and not true
    if hits == 0:
        return 0.0
    precision, recall = hits / (hits + alarms), hits / (hits + misses)
    return 2 * precision * recall / (precision + recall)


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        truth, guess = rng.random(12) < 0.4, rng.random(12) < rng.random()
        f1, precision, recall = f1_score(truth, guess)
        assert f1 == pytest.approx(slow_f1(truth.tolist(), guess.tolist()))
        assert precision == pytest.approx((truth & guess).sum() / max(1, guess.sum()))
        assert recall == pytest.approx((truth & guess).sum() / max(1, truth.sum()))


def test_species_weigh_alike_however_many_samples_they_have() -> None:
    names = np.array(["a", "a", "a", "b"])
    answers = np.array([[YES, UNKNOWN], [YES, NO], [YES, NO], [NO, YES]])
    plain = sample_weights(names, answers, balanced=False)
    np.testing.assert_allclose(plain[:, 0], [1 / 6, 1 / 6, 1 / 6, 1 / 2])
    np.testing.assert_allclose(plain.sum(axis=0), 1.0)
    assert plain[0, 1] == 0.0


def test_balanced_answers_weigh_one_half_each() -> None:
    names = np.array(["a", "b", "c", "d", "d"])
    answers = np.array([[YES], [NO], [NO], [NO], [NO]])
    weights = sample_weights(names, answers, balanced=True)[:, 0]
    np.testing.assert_allclose(weights, [1 / 2, 1 / 6, 1 / 6, 1 / 12, 1 / 12])


def test_the_layer_stands_at_the_minimum_of_its_loss() -> None:
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.standard_normal((50, 6))).float()
    answers = torch.from_numpy(rng.choice([YES, NO, UNKNOWN], (50, 3))).to(torch.int8)
    weights = torch.from_numpy(sample_weights(np.arange(50), answers.numpy(), balanced=True))
    config = ProbeConfig(penalty=0.01)
    layer = fit(features, answers, weights, config)
    layer.zero_grad()
    target = (answers == YES).float()
    loss = F.binary_cross_entropy_with_logits(layer(features), target, weights, reduction="sum")
    (loss + config.penalty * layer.weight.square().sum()).backward()
    assert layer.weight.grad.abs().max() < 1e-4 and layer.bias.grad.abs().max() < 1e-4


def test_a_label_is_fitted_as_if_it_were_alone() -> None:
    features, names = vectors(HALF, strength=0.5)
    alone = by_name(probe(features, names, table_of(forest=HALF)))["forest"]
    together = by_name(probe(features, names, table_of(forest=HALF, polar=HALF[::-1], urban=HALF)))["forest"]
    assert alone.f1 == pytest.approx(together.f1, abs=0.03)


def test_the_macro_mean_leaves_out_what_was_not_measured() -> None:
    features, names = vectors(HALF, strength=4.0)
    scores = probe(features, names, table_of(forest=HALF, urban=HALF[::-1], polar=[YES] + [NO] * 39))
    every = by_name(scores)
    mean = macro(scores)
    assert mean.labels == 2
    assert mean.f1 == pytest.approx((every["forest"].f1 + every["urban"].f1) / 2)
    assert mean.constant_f1 == pytest.approx(2 / 3)
    assert macro(scores, only=["forest", "polar"]).f1 == every["forest"].f1
    assert macro(scores, only=["polar"]) == type(mean)(None, None, 0)
