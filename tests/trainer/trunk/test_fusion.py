"""How recordings are made to count beside class vectors: the regression, and what its choice rests on."""

import numpy as np

from gallery import Index, Vocabulary
from gallery.search import ClassVectors
from tests.trainer.trunk import classes
from trainer.trunk.fusion import REST, best_windows, fair, likelier, logistic, pooled_of_others, starting
from trainer.trunk.held_out import Query


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
