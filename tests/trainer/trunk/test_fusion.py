"""How recordings are made to count beside class vectors: the regression, and what its choice rests on."""

from dataclasses import replace

import numpy as np

from gallery import Index, Vocabulary
from gallery.search import ClassVectors
from tests.trainer.trunk import classes
from trainer.trunk.fusion import (
    REST,
    best_windows,
    fair,
    likelier,
    logistic,
    pooled_of_others,
    read,
    starting,
)
from trainer.trunk.held_out import NONE, Query, evidence, odds


def test_the_regression_finds_what_truth_was_drawn_from():
    rng = np.random.default_rng(3)
    inputs = np.stack([rng.normal(size=20_000), rng.normal(size=20_000), np.ones(20_000)])
    wanted = np.array([1.5, -0.7, -1.0])
    truth = rng.random(20_000) < 1.0 / (1.0 + np.exp(-wanted @ inputs))
    np.testing.assert_allclose(logistic(inputs, truth, np.full(20_000, 1e-3)), wanted, atol=0.1)


def test_every_taxon_counts_alike():
    truth = np.zeros((4, 3), bool)
    truth[[0, 1, 2], 0] = truth[3, 1] = True
    weight = fair(truth)
    assert weight[:3].sum() == weight[3] and weight.mean() == 1.0
    np.testing.assert_array_equal(fair(np.zeros((2, 3), bool)), [1.0, 1.0])


def test_other_taxa_are_pooled_each_by_itself():
    confidences = np.full((4, 8), 0.01)
    confidences[[0, 1, 2, 3], [0, 1, 2, 3]] = 0.9  # four taxa, each in one window
    query = Query(np.zeros((4, 2)), np.zeros(4), (0,), None, confidences)  # type: ignore[arg-type]
    [pooled] = pooled_of_others([query])
    one = best_windows(np.log(confidences / (1 - confidences)))
    np.testing.assert_allclose(pooled, np.sort(one)[-REST:])
    assert pooled.max() < 0.0  # the best of each window, whoever it is, would be sure


def test_likelier_adds_as_much_to_every_taxon_with_recordings():
    taxa, axes = classes.taxa()[:4], np.eye(4, dtype=np.float32)
    layer = ClassVectors(np.arange(1, 4), axes[1:], np.full(3, -1.0, np.float32))  # the first has none
    index = Index(taxa, {"audio": axes * [[1], [1], [0], [0]]}, class_vectors=layer)
    plain = starting()
    before, after = (Vocabulary(index, one).logits(np.ones((1, 4)))[0] for one in (plain, likelier(plain, 0.4)))
    np.testing.assert_allclose(after - before, [0.4, 0.4, 0.0, 0.0], atol=1e-3)


def one_query(truth: int) -> Query:
    """Two windows of one taxon; the first of four has no class vector, the last no recording."""
    rng, axes = np.random.default_rng(5), np.eye(4, dtype=np.float32)
    layer = ClassVectors(np.arange(1, 4), axes[1:] * 3, np.full(3, -1.0, np.float32), (axes.mean(axis=0), -2.0))
    sums, counts = axes * [[2], [1], [3], [0]], np.array([2.0, 2.0, 3.0, 0.0], np.float32)
    index = Index(classes.taxa()[:4], {"audio": sums.astype(np.float32)}, layer, counts={"audio": counts})
    windows = rng.normal(size=(2, 4)).astype(np.float32)
    return Query(windows, np.zeros(2), (truth,), index, np.full((2, 6), 0.01))


def test_evidence_is_fused_as_the_gallery_does_it():
    query, entries = one_query(1), 2.0
    parameters = replace(
        starting(), class_entries=entries, class_count=-0.3, quality_mean=0.4, quality_length=0.7, quality_bias=-1.0
    )
    np.testing.assert_allclose(evidence([query], entries).fused(parameters), odds(query, parameters), atol=1e-3)


def test_foreign_sound_has_no_recordings_of_its_own_taxa():
    query, without_class = one_query(1), one_query(0)
    material = read({name: [query, without_class] for name in ("single", "mixture", "noise")})
    found, single = material.sets["foreign"], material.sets["single"]
    assert len(found.truth) == 2 and found.truth[:, 1].all()  # that of a taxon without a class is left out
    assert np.isnan(found.by_recordings[:, 1]).all() and not np.isnan(single.by_recordings[:, 1]).any()
    np.testing.assert_array_equal(found.fused(starting())[:, 1], found.by_class[:, 1])
    assert (found.by_class[:, 1] > NONE).all()
    assert len(material.rest["foreign"]) == 2 and len(material.pooled["foreign"]) == len(material.folds["foreign"]) == 1
