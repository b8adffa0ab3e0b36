"""Many taxa in 8 bits: the same detections as in float32, and float32 where rounding would show."""

from __future__ import annotations

import math
from dataclasses import replace
from threading import Barrier, Thread

import numpy as np
import pytest

from gallery import DecisionParameters, Index, Recognition, Taxon, Vocabulary, recognise
from gallery.parameters import INDEPENDENT, SHARED
from gallery.products import MOST_ERROR
from gallery.rounded import OF_TAXON, OF_WINDOW, ZERO, Rounded
from gallery.search import ClassVectors
from gallery.vocabulary import MANY
from tests.gallery.conftest import make_taxon

N_TAXA, DIM, SCALE = MANY + 100, 96, 40.0
LOUD = -20.0


class ByNumPy:
    """Products of whole numbers, counted."""

    def __init__(self) -> None:
        self.made = 0
        self.windows = 0

    def __call__(self, taxa, steps):
        assert taxa.dtype == np.int8 and steps.dtype == np.float32 and taxa.shape[1:] == steps.shape
        self.made += 1

        def products(windows):
            assert windows.dtype == np.uint8
            assert np.abs(windows.astype(int) - ZERO).max() <= OF_WINDOW
            self.windows += len(windows)
            sums = (windows.astype(np.int32) - ZERO) @ taxa.astype(np.int32)
            return sums.astype(np.float32) * steps

        return products


def directions(n: int, seed: int = 1) -> np.ndarray:
    """Unit vectors [n, DIM], each fifth of a kind near to those before it."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, DIM)) + np.repeat(rng.standard_normal((-(-n // 5), DIM)), 5, axis=0)[:n]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def windows(of: np.ndarray, n: int = 64) -> np.ndarray:
    """Unit vectors [n, DIM] of one or two taxa in noise, and some of noise alone."""
    rng = np.random.default_rng(2)
    first, second = (of[rng.integers(len(of), size=n)] for _ in range(2))
    sounding = np.where(np.arange(n) % 8 == 0, 0.0, 1.0)[:, None]
    vectors = sounding * (first + 0.8 * second * (rng.random((n, 1)) < 0.4))
    vectors = vectors + rng.standard_normal((n, DIM)) * (0.6 / np.sqrt(DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def named(found: Recognition) -> dict[tuple[str, str], float]:
    return {(one.taxon_rank, one.scientific_name): one.confidence for one in found.detections}


def probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


@pytest.fixture(scope="module")
def many() -> list[Taxon]:
    return [make_taxon(f"Animalia Chordata Aves Ordo Familia{n // 40} Genus{n // 5} species{n}") for n in range(N_TAXA)]


@pytest.fixture
def parameters(parameters: DecisionParameters) -> DecisionParameters:
    return replace(
        parameters, scale={"image": SCALE}, bias={"image": 0.0}, weight={"image": 1.0}, null_logit=20.0, floor=0.6
    )


class TestProducts:
    def test_errors_are_as_large_as_said(self):
        taxa, heard = directions(500) * SCALE, windows(directions(500))
        products, errors = Rounded(taxa, ByNumPy()).products(heard)
        off = products - heard @ taxa.T
        assert 0.2 * errors.max() < off.std() < errors.max()
        assert np.abs(off).max() < 6 * errors.max()
        assert abs(off.mean()) < errors.max() / 50  # of either sign

    def test_a_window_is_the_same_alone_and_among_others(self):
        taxa, heard = directions(300) * SCALE, windows(directions(300))
        rounded = Rounded(taxa, ByNumPy())
        together, _ = rounded.products(heard)
        assert all((rounded.products(heard[n : n + 1])[0][0] == together[n]).all() for n in range(len(heard)))

    def test_the_largest_number_takes_all_steps(self):
        seen = {}

        def integers(taxa, steps):
            seen["taxa"] = taxa
            return ByNumPy()(taxa, steps)

        Rounded(np.array([[3.0, -1.5, 0.0], [0.01, 0.0, -0.04]], np.float32), integers)
        assert seen["taxa"].T.tolist() == [[OF_TAXON, -64, 0], [32, 0, -OF_TAXON]]

    def test_zeros_have_products_of_zero(self):
        rounded = Rounded(np.zeros((4, DIM), np.float32), ByNumPy())
        products, _ = rounded.products(np.zeros((2, DIM), np.float32))
        assert products.tolist() == [[0.0] * 4] * 2


class TestDecisions:
    @pytest.fixture(params=[0.0, 1.5], ids=["alike", "biased"])
    def both(self, request, many, parameters) -> tuple[Vocabulary, Vocabulary, ByNumPy]:
        """All in float32, and rounded; with biases that differ between taxa in the second case."""
        rng = np.random.default_rng(5)
        names = directions(N_TAXA, seed=4) * (rng.random((N_TAXA, 1)) < 0.5)
        centroids = {"image": directions(N_TAXA), "text": names}
        used = replace(
            parameters,
            scale={"image": SCALE, "text": SCALE},
            bias={"image": 0.0, "text": request.param},
            weight={"image": 1.0, "text": 0.3},
        )
        index, integers = Index(many, centroids), ByNumPy()
        return Vocabulary(index, used), Vocabulary(index, used, integers=integers), integers

    def test_detections_are_those_of_float32(self, both):
        exact, rounded, integers = both
        heard = windows(exact.directions)
        found = [recognise(heard, np.full(len(heard), LOUD), one) for one in (exact, rounded)]
        assert integers.windows >= len(heard)
        assert sum(len(one.detections) for one in found[0]) > len(heard) / 2
        for one, other in zip(*found):
            named, known = (
                {(a.taxon_rank, a.scientific_name): a.confidence for a in x.detections} for x in (other, one)
            )
            assert named == pytest.approx(known, abs=1e-3)
            assert np.abs(one.confidences - other.confidences).max() < 2e-3
            assert probability(one.anything) == pytest.approx(probability(other.anything), abs=1e-3)

    def test_logits_that_matter_are_exact(self, both):
        exact, rounded, _ = both
        heard = windows(exact.directions)
        logits, known = rounded.logits(heard), exact.logits(heard)
        assert np.abs(logits - known).max() > 1e-3  # those far below, or nothing was rounded
        likely = known > np.maximum(known.max(axis=1, keepdims=True), exact.parameters.null_logit) - 4.5
        assert likely.any() and np.abs(logits - known)[likely].max() < 1e-4

    def test_all_logits_are_exact_where_none_is_far_below(self, many, parameters):
        index, integers = Index(many, {"image": directions(N_TAXA)}), ByNumPy()
        used = replace(parameters, scale={"image": 4.0}, bias={"image": 1.0}, null_logit=0.0)
        heard = windows(directions(N_TAXA))
        exact, rounded = Vocabulary(index, used), Vocabulary(index, used, integers=integers)
        assert np.abs(rounded.logits(heard) - exact.logits(heard)).max() < 1e-5
        assert integers.windows == len(heard)

    def test_a_window_is_decided_alone_as_among_others(self, both):
        _, rounded, _ = both
        heard = windows(rounded.directions)
        together = recognise(heard, np.full(len(heard), LOUD), rounded)
        for n in range(0, len(heard), 7):
            [alone] = recognise(heard[n : n + 1], [LOUD], rounded)
            assert np.abs(alone.confidences - together[n].confidences).max() < 1e-5


class TestWhere:
    def test_directions_of_a_large_number_are_not_rounded(self, many, parameters):
        vectors = directions(N_TAXA)
        vectors[:, 0] += 30.0  # all of a window and of a taxon is in this one: the others take few steps
        heard, integers = windows(vectors), ByNumPy()
        index = Index(many, {"image": vectors})
        rounded = Vocabulary(index, replace(parameters, scale={"image": 4 * SCALE}), integers=integers)
        exact = Vocabulary(index, rounded.parameters)
        assert rounded.compared.rounded().products(heard)[1].min() > MOST_ERROR
        assert np.abs(rounded.logits(heard) - exact.logits(heard)).max() < 1e-3

    def test_only_windows_that_take_many_steps_are_exact(self, many, parameters):
        vectors, integers = directions(N_TAXA), ByNumPy()
        heard = windows(vectors)
        heard[0] = 0.01
        heard[0, 0] = 1.0
        heard[0] /= np.linalg.norm(heard[0])
        index = Index(many, {"image": vectors})
        rounded, exact = Vocabulary(index, parameters, integers=integers), Vocabulary(index, parameters)
        errors = rounded.compared.rounded().products(heard)[1]
        assert errors[0] > MOST_ERROR > errors[1:].max()
        off = np.abs(rounded.logits(heard) - exact.logits(heard)).max(axis=1)
        assert off[0] < 1e-4 < off[1:].min()

    def test_few_taxa_are_not_rounded(self, many, parameters):
        few = Index(many[:100], {"image": directions(100)})
        assert Vocabulary(few, parameters, integers=ByNumPy()).compared.rounded() is None

    def test_logits_that_are_confidences_are_not_rounded(self, many, parameters):
        index = Index(many, {"image": directions(N_TAXA)})
        for rule in (INDEPENDENT, SHARED):
            assert Vocabulary(index, replace(parameters, rule=rule), integers=ByNumPy()).compared.rounded() is None

    def test_rows_of_a_classifier_are_not_rounded(self, many, parameters):
        rows = np.arange(N_TAXA)
        classes = ClassVectors(rows, directions(N_TAXA) * 9, np.zeros(N_TAXA, np.float32))
        used = replace(parameters, scale={"audio": SCALE}, bias={"audio": 0.0}, weight={"audio": 1.0})
        assert Vocabulary(Index(many, {}, classes), used, integers=ByNumPy()).compared.rounded() is None

    def test_without_whole_numbers_all_is_float32(self, many, parameters):
        assert Vocabulary(Index(many, {"image": directions(N_TAXA)}), parameters).compared.rounded() is None

    def test_they_are_made_once_and_when_needed(self, many, parameters):
        integers, start = ByNumPy(), Barrier(4)
        vocabulary = Vocabulary(Index(many, {"image": directions(N_TAXA)}), parameters, integers=integers)
        assert integers.made == 0
        heard = windows(vocabulary.directions)

        def decide() -> None:
            start.wait()
            vocabulary.logits(heard)

        threads = [Thread(target=decide) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert integers.made == 1 and integers.windows == 4 * len(heard)
