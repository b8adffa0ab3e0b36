import json
from dataclasses import replace

import numpy as np
import pytest

from gallery import (
    RANKS,
    Decision,
    DecisionParameters,
    GalleryError,
    Pool,
    Similarities,
    Taxon,
    decide,
    logits,
    pool,
    probabilities,
    ranked,
    similarity,
)

RNG_SEEDS = range(20)


def random_p(seed: int, n: int, n_taxa: int, sharpness: float = 4.0) -> np.ndarray:
    z = np.random.default_rng(seed).standard_normal((n, n_taxa + 1)) * sharpness
    p = np.exp(z)
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def similarities(taxa: list[Taxon]) -> Similarities:
    """Both kinds for the first taxon, text only for the second, image only for the third, none for the rest."""
    by_kind = {"text": np.zeros((2, 6), np.float32), "image": np.zeros((2, 6), np.float32)}
    by_kind["text"][:, :2] = [[0.5, 0.2], [0.0, 0.1]]
    by_kind["image"][:, [0, 2]] = [[0.3, 0.4], [0.6, -0.1]]
    present = {
        "text": np.array([True, True, False, False, False, False]),
        "image": np.array([True, False, True, False, False, False]),
    }
    return Similarities(taxa, by_kind, present)


class TestParameters:
    def test_they_pass_through_json_unchanged(self, parameters: DecisionParameters):
        assert DecisionParameters.from_dict(json.loads(json.dumps(parameters.to_dict()))) == parameters

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"floor": ...}, "floor is missing; give scale, bias"),
            ({"flor": 1.0}, "flor is unknown"),
            ({"floor": "0.5"}, "floor is '0.5'; give a number"),
            ({"floor": True}, "floor is True"),
            ({"floor": 0.0}, "floor must be above 0"),
            ({"floor": 1.5}, "at most 1"),
            ({"scale": 3.0}, "scale is 3.0; give a number for each kind"),
            ({"scale": {"text": 1.0}}, "same kinds"),
            ({"scale": {"text": 0.0, "image": 1.0}}, "scale must be above 0"),
            ({"bias": {"text": float("nan"), "image": 1.0}}, "finite"),
            ({"weight": {"text": -1.0, "image": 1.0}}, "no weight may be below 0"),
            ({"weight": {"text": 0.0, "image": 0.0}}, "one weight must be above 0"),
            ({"pool_windows": 0}, "at least 1"),
            ({"evidence": -1.0}, "at least 0"),
            ({"pool_windows": 1.5}, "whole number"),
        ],
    )
    def test_what_cannot_be_right_is_refused(self, parameters: DecisionParameters, change, message: str):
        values = {**parameters.to_dict(), **change}
        values = {name: value for name, value in values.items() if value is not ...}
        with pytest.raises(GalleryError, match=message):
            DecisionParameters.from_dict(values)


class TestLogits:
    def test_they_are_the_weighted_mean_over_the_kinds_a_taxon_has(self, similarities, parameters):
        got = logits(similarities, parameters)
        assert got[0, 0] == pytest.approx((1 * 20 * 0.5 + 3 * (20 * 0.3 + 1)) / 4)
        assert got[0, 1] == pytest.approx(20 * 0.2)
        assert got[1, 2] == pytest.approx(20 * -0.1 + 1)
        assert np.isneginf(got[:, 3:]).all()

    def test_only_the_asked_kinds_count(self, similarities, parameters):
        got = logits(similarities, parameters, kinds=["text"])
        assert got[0, 0] == pytest.approx(10)
        assert np.isneginf(got[:, 2]).all()

    def test_a_kind_of_no_weight_counts_for_nothing(self, similarities, parameters):
        got = logits(similarities, replace(parameters, weight={"text": 1.0, "image": 0.0}))
        assert got[0, 0] == pytest.approx(10)
        assert np.isneginf(got[0, 2])

    @pytest.mark.parametrize("compute", [logits, similarity])
    def test_a_kind_without_similarities_or_parameters_is_refused(self, similarities, parameters, compute):
        with pytest.raises(GalleryError, match="no similarities of kind 'audio'; use text or image"):
            compute(similarities, parameters, kinds=["audio"])
        text_only = replace(parameters, scale={"text": 1.0}, bias={"text": 0.0}, weight={"text": 1.0})
        with pytest.raises(GalleryError, match="no decision parameters for entries of kind 'image'; use text"):
            compute(similarities, text_only)

    def test_the_similarity_shown_is_the_weighted_cosine(self, similarities, parameters):
        got = similarity(similarities, parameters)
        assert got[0, :3].tolist() == pytest.approx([(0.5 + 3 * 0.3) / 4, 0.2, 0.4])
        assert not got[:, 3:].any()


class TestProbabilities:
    def test_rows_sum_to_one_with_nothing_in_the_last_column(self, parameters):
        z = np.random.default_rng(1).standard_normal((5, 6)) * 50
        p = probabilities(z, parameters)
        assert p.shape == (5, 7) and p.dtype == np.float32
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)

    def test_nothing_competes_with_its_own_logit(self, parameters):
        assert probabilities(np.array([[8.0, -np.inf]]), parameters)[0].tolist() == pytest.approx([0.5, 0, 0.5])

    def test_no_evidence_at_all_is_nothing(self, parameters):
        assert probabilities(np.full((1, 3), -np.inf), parameters)[0].tolist() == [0, 0, 0, 1]

    def test_large_logits_do_not_overflow(self, parameters):
        assert probabilities(np.array([[1e4, -1e4]]), parameters)[0].tolist() == [1, 0, 0]


class TestDecide:
    @pytest.mark.parametrize(
        ("p", "expected"),
        [
            ([0.7, 0.1, 0, 0, 0, 0, 0.2], ("species", "Parus major", 0.7)),
            ([0.5, 0.3, 0, 0, 0, 0, 0.2], ("genus", "Parus", 0.8)),
            ([0.3, 0.2, 0.3, 0, 0, 0, 0.2], ("order", "Passeriformes", 0.8)),
            ([0.3, 0, 0, 0, 0, 0.4, 0.3], ("phylum", "Chordata", 0.7)),
            ([0.1, 0.1, 0.1, 0, 0, 0, 0.7], None),
            ([0, 0, 0, 0, 0, 0, 1.0], None),
        ],
    )
    def test_the_deepest_rank_that_clears_the_floor_is_named(self, taxa, parameters, p, expected):
        got = decide(np.array(p), taxa, parameters)
        assert got == (expected and Decision(expected[0], expected[1], pytest.approx(expected[2])))

    def test_a_group_must_say_more_than_its_share_of_the_gallery_does(self, taxa, parameters):
        wary = replace(parameters, evidence=3.0)  # all six are vertebrates, two of them are of the genus Parus
        assert decide(np.array([0.45, 0.4, 0, 0, 0, 0, 0.15]), taxa, wary).name == "Parus"
        assert decide(np.full(7, 1 / 7), taxa, replace(wary, floor=0.5)) is None
        assert decide(np.full(7, 1 / 7), taxa, replace(parameters, floor=0.5)).name == "Passeriformes"
        assert decide(np.array([0.7, 0.1, 0, 0, 0, 0, 0.2]), taxa, wary).rank == "species"

    def test_namesakes_in_different_families_do_not_add_up(self, taxa, parameters):
        assert decide(np.array([0, 0, 0, 0.4, 0.4, 0, 0.2]), taxa, parameters) is None

    def test_a_kingdom_alone_is_not_worth_telling(self, parameters):
        two = [Taxon("Apis mellifera", "Animalia", "Arthropoda", "", "", "", "Apis", {})]
        two.append(Taxon("Parus major", "Animalia", "Chordata", "", "", "", "Parus", {}))
        assert decide(np.array([0.5, 0.5, 0]), two, parameters) is None

    def test_unknown_ranks_never_win(self, parameters):
        bare = [Taxon(f"Species {n}", "Animalia", "", "", "", "", "", {}) for n in ("alba", "nigra")]
        assert decide(np.array([0.5, 0.5, 0]), bare, parameters) is None

    def test_equal_masses_are_decided_by_the_alphabet(self, taxa, parameters):
        low = replace(parameters, floor=0.3)
        p = np.array([0.4, 0.4, 0, 0, 0, 0, 0.2])
        assert decide(p, taxa, low).name == "Parus major"
        assert decide(p[[1, 0, 2, 3, 4, 5, 6]], [taxa[1], taxa[0], *taxa[2:]], low).name == "Parus major"

    def test_another_list_of_the_same_length_is_not_taken_for_the_last_one(self, taxa, parameters):
        p = np.array([0.9, 0, 0, 0, 0, 0, 0.1])
        assert decide(p, taxa, parameters).name == "Parus major"
        assert decide(p, taxa[::-1], parameters).name == "Carassius auratus"
        taxa[0], taxa[1] = taxa[1], taxa[0]
        assert decide(p, taxa, parameters).name == "Parus minor"

    @pytest.mark.parametrize("seed", RNG_SEEDS)
    def test_it_agrees_with_adding_up_by_hand(self, taxa, parameters, seed):
        (p,) = random_p(seed, 1, len(taxa), sharpness=1.5)
        expected = None
        for rank in RANKS[1:]:
            sums: dict[tuple[str, ...], float] = {}
            for taxon, mass in zip(taxa, p[:-1], strict=True):
                if taxon.at(rank):
                    sums[taxon.path(rank)] = sums.get(taxon.path(rank), 0.0) + float(mass)
            best = max(sums, key=sums.__getitem__)
            if sums[best] >= parameters.floor:
                expected = (rank, best[-1], pytest.approx(sums[best]))
        got = decide(p, taxa, parameters)
        assert (got and (got.rank, got.name, got.mass)) == expected

    @pytest.mark.parametrize("seed", RNG_SEEDS)
    def test_a_higher_floor_never_gives_a_deeper_rank(self, taxa, parameters, seed):
        (p,) = random_p(seed, 1, len(taxa), sharpness=1.5)
        decisions = [decide(p, taxa, replace(parameters, floor=floor)) for floor in (0.2, 0.4, 0.6, 0.8, 0.99)]
        depths = [RANKS.index(decision.rank) if decision else 0 for decision in decisions]
        assert depths == sorted(depths, reverse=True)


class TestPool:
    def test_a_species_counts_with_the_mean_of_its_best_windows(self, parameters):
        p = np.array([[0.9, 0.0, 0.1], [0.1, 0.2, 0.7], [0.5, 0.0, 0.5]])
        assert pool(p, parameters).tolist() == pytest.approx([0.7, 0.1, 0.2])

    def test_a_recording_of_fewer_windows_uses_all_of_them(self, parameters):
        assert pool(np.array([[0.9, 0.0, 0.1]]), parameters).tolist() == pytest.approx([0.9, 0, 0.1])

    def test_species_sure_in_different_windows_share_the_recording(self, parameters):
        p = np.repeat([[1.0, 0, 0], [0, 1.0, 0]], 2, axis=0)
        assert pool(p, parameters).tolist() == pytest.approx([0.5, 0.5, 0])

    def test_nothing_heard_is_nothing(self, parameters):
        assert pool(np.zeros((0, 4)), parameters).tolist() == [0, 0, 0, 1]
        assert pool(np.array([[0, 0, 0, 1.0]] * 3), parameters).tolist() == [0, 0, 0, 1]

    @pytest.mark.parametrize("seed", RNG_SEEDS)
    def test_pooled_probabilities_are_probabilities(self, parameters, seed):
        p = pool(random_p(seed, 1 + seed, 6), parameters)
        assert p.shape == (7,) and (p >= 0).all() and p.sum() == pytest.approx(1, abs=1e-6)

    @pytest.mark.parametrize("seed", RNG_SEEDS)
    def test_windows_may_come_in_any_order_and_in_pieces(self, parameters, seed):
        p = random_p(seed, 9, 6)
        pieces = Pool(6, parameters)
        for window in np.random.default_rng(seed).permutation(p):
            pieces.add(window[None])
        np.testing.assert_allclose(pieces.probabilities(), pool(p, parameters), atol=1e-6)

    @pytest.mark.parametrize("seed", RNG_SEEDS)
    def test_a_window_that_is_surer_of_a_species_never_makes_it_less_likely(self, parameters, seed):
        p = random_p(seed, 5, 6, sharpness=1.0)
        surer = p.copy()
        gain = 0.5 * surer[2, -1]
        surer[2, 0] += gain
        surer[2, -1] -= gain
        assert pool(surer, parameters)[0] >= pool(p, parameters)[0] - 1e-6


class TestRanked:
    def test_the_most_probable_come_first_with_names_and_cosines(self, taxa):
        got = ranked(np.array([0.2, 0.5, 0.1, 0, 0, 0, 0.2]), np.arange(6) / 10, taxa, top=2)
        assert [(s.rank, s.scientific_name, s.common_name) for s in got] == [
            (1, "Parus minor", "Japanese Tit"),
            (2, "Parus major", "Great Tit"),
        ]
        assert [(s.probability, s.similarity) for s in got] == [(0.5, 0.1), (0.2, 0.0)]
        assert type(got[0].probability) is float

    def test_equal_ones_are_ordered_by_name_even_at_the_cut(self, taxa):
        p = np.array([0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.2])
        assert [s.scientific_name for s in ranked(p, np.zeros(6), taxa, top=3)] == [
            "Morus bassanus", "Carassius auratus", "Erithacus rubecula",
        ]  # fmt: skip

    def test_more_than_there_are_gives_those_with_a_chance(self, taxa):
        assert len(ranked(np.array([0.2, 0.5, 0.1, 0, 0, 0, 0.2]), np.zeros(6), taxa, top=99)) == 3

    def test_silence_is_never_a_species(self, taxa):
        assert ranked(np.array([0, 0, 0, 0, 0, 0, 1.0]), np.zeros(6), taxa, top=5) == []

    def test_probabilities_of_another_gallery_are_refused(self, taxa):
        with pytest.raises(ValueError, match="for 6 taxa and nothing"):
            ranked(np.zeros(5), np.zeros(4), taxa, top=1)
