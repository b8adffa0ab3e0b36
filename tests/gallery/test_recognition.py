"""Several species in a window: each is judged by itself, and what none explains is told at a higher rank."""

from dataclasses import replace

import numpy as np
import pytest

from gallery import (
    RANKS,
    DecisionParameters,
    GalleryError,
    Index,
    Pool,
    Recognition,
    Taxon,
    Vocabulary,
    likeliest,
    pooled,
    ranked,
    recognise,
)

LOUD = -20.0
SEEDS = range(20)


@pytest.fixture
def parameters(parameters: DecisionParameters) -> DecisionParameters:
    return replace(parameters, null_logit=6.0)


@pytest.fixture
def vocabulary(taxa: list[Taxon], parameters: DecisionParameters, unit) -> Vocabulary:
    """Every taxon along an axis of its own."""
    return Vocabulary(Index(taxa, {"text": np.stack([unit(row) for row in range(6)])}), parameters)


def window(*parts: float) -> np.ndarray:
    """A window [1, 8] that holds so much of each taxon."""
    vector = np.zeros(8, np.float32)
    vector[: len(parts)] = parts
    return (vector / np.linalg.norm(vector))[None]


def one(vector: np.ndarray, vocabulary: Vocabulary, level: float = LOUD) -> Recognition:
    [found] = recognise(vector, [level], vocabulary)
    return found


def named(found: Recognition) -> list[str]:
    return [detection.scientific_name for detection in found.detections]


class TestSpecies:
    def test_one_song_is_one_detection(self, vocabulary):
        found = one(window(1), vocabulary)
        [detection] = found.detections
        assert (detection.taxon_rank, detection.scientific_name, detection.common_name) == (
            "species",
            "Parus major",
            "Great Tit",
        )
        assert detection.path[-1] == "Parus major" and detection.path[0] == "Animalia"
        assert detection.confidence > 0.99 == pytest.approx(found.confidences[0], abs=0.01)
        assert [c.scientific_name for c in detection.candidates] == ["Parus major"]
        assert detection.candidates[0].similarity == pytest.approx(1.0)

    def test_two_songs_are_two_detections(self, vocabulary):
        found = one(window(1, 0, 0.9), vocabulary)
        assert named(found) == ["Parus major", "Erithacus rubecula"]
        assert min(detection.confidence for detection in found.detections) > 0.99

    def test_three_songs_are_three_detections(self, vocabulary):
        assert set(named(one(window(1, 0, 0.9, 0.8), vocabulary))) == {
            "Parus major",
            "Erithacus rubecula",
            "Morus bassanus",
        }

    @pytest.mark.parametrize("other", [0.5, 0.8, 1.0])
    def test_another_species_does_not_lower_a_confidence(self, vocabulary, other):
        alone, together = one(window(1), vocabulary), one(window(1, 0, other), vocabulary)
        assert together.confidences[0] == pytest.approx(alone.confidences[0], abs=1e-6)

    def test_a_relative_that_sounds_alike_does_lower_it(self, taxa, parameters, unit):
        near = np.stack([unit(row) for row in range(6)])
        near[1] = 0.95 * unit(0) + np.sqrt(1 - 0.95**2) * unit(1)
        alike = Vocabulary(Index(taxa, {"text": near}), replace(parameters, threshold=0.6))
        between = window(1, 0.16)
        assert one(between, alike).confidences[:2].max() < 0.9
        [group] = one(between, alike).detections
        assert (group.taxon_rank, group.scientific_name) == ("genus", "Parus")

    def test_the_most_confident_comes_first(self, vocabulary):
        parameters = replace(vocabulary.parameters, null_logit=14.0)
        flat = Vocabulary(Index(vocabulary.taxa, {"text": vocabulary.directions / 20}), parameters)
        found = one(window(0.6, 0, 1), flat)
        confidences = [detection.confidence for detection in found.detections]
        assert confidences == sorted(confidences, reverse=True)

    def test_below_the_threshold_nothing_is_detected(self, vocabulary, taxa):
        unsure = replace(vocabulary.parameters, null_logit=21.0)
        shy = Vocabulary(Index(taxa, {"text": vocabulary.directions / 20}), unsure)
        found = one(window(1), shy)
        assert 0.1 < found.confidences[0] < 0.5 and found.detections == ()
        sure = Vocabulary(Index(taxa, {"text": vocabulary.directions / 20}), replace(unsure, threshold=0.2))
        assert named(one(window(1), sure)) == ["Parus major"]

    def test_slope_and_offset_make_confidences_of_log_odds(self, vocabulary, taxa):
        plain = one(window(1), vocabulary).confidences[0]
        odds = np.log(plain / (1 - plain))
        flatter = replace(vocabulary.parameters, slope=0.5, offset=-1.0)
        scaled = one(window(1), Vocabulary(Index(taxa, {"text": vocabulary.directions / 20}), flatter))
        assert scaled.confidences[0] == pytest.approx(1 / (1 + np.exp(-(0.5 * odds - 1.0))), abs=1e-3)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_what_is_detected_does_not_depend_on_the_order_of_the_taxa(self, taxa, parameters, seed):
        rng = np.random.default_rng(seed)
        centroids = rng.standard_normal((6, 8)).astype(np.float32)
        vectors = rng.standard_normal((4, 8)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        order = rng.permutation(6)
        here = Vocabulary(Index(taxa, {"text": centroids}), parameters)
        there = Vocabulary(Index([taxa[row] for row in order], {"text": centroids[order]}), parameters)
        for a, b in zip(recognise(vectors, [LOUD] * 4, here), recognise(vectors, [LOUD] * 4, there), strict=True):
            assert [(d.path, round(d.confidence, 5)) for d in a.detections] == [
                (d.path, round(d.confidence, 5)) for d in b.detections
            ]
            np.testing.assert_allclose(a.confidences[order], b.confidences, atol=1e-5)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_confidences_are_probabilities_and_batches_change_nothing(self, taxa, parameters, seed):
        rng = np.random.default_rng(seed)
        vocabulary = Vocabulary(Index(taxa, {"text": rng.standard_normal((6, 8)).astype(np.float32)}), parameters)
        vectors = rng.standard_normal((5, 8)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        together = recognise(vectors, [LOUD] * 5, vocabulary)
        for vector, found in zip(vectors, together, strict=True):
            assert found.confidences.dtype == np.float32 and ((found.confidences >= 0) & (found.confidences <= 1)).all()
            np.testing.assert_allclose(one(vector[None], vocabulary).confidences, found.confidences, atol=1e-5)
            for detection in found.detections:
                assert vocabulary.parameters.threshold <= detection.confidence or detection.taxon_rank != "species"


class TestGroups:
    @pytest.mark.parametrize(
        ("parts", "rank", "name"),
        [
            ((1, 1), "genus", "Parus"),
            ((1, 1, 1), "order", "Passeriformes"),
            ((1, 0, 0, 0, 0, 1), "phylum", "Chordata"),
        ],
    )
    def test_what_no_species_explains_is_told_at_the_deepest_sure_rank(self, taxa, parameters, parts, rank, name):
        # One direction between the taxa: none of them explains it, and together they do.
        between = window(*parts)
        centroids = np.tile(between, (6, 1)).astype(np.float32)
        for row in range(6):
            if row >= len(parts) or not parts[row]:
                centroids[row] = np.eye(8)[7]
        wary = replace(parameters, floor=0.8)
        [group] = one(between, Vocabulary(Index(taxa, {"text": centroids}), wary)).detections
        assert (group.taxon_rank, group.scientific_name, group.common_name) == (rank, name, "")
        assert group.path[-1] == name and len(group.path) == RANKS.index(rank) + 1
        inside = {taxon.scientific_name for taxon, part in zip(taxa, parts) if part}
        assert {c.scientific_name for c in group.candidates[: len(inside)]} == inside
        assert all(c.confidence < group.confidence for c in group.candidates)

    def test_a_group_that_holds_a_detected_species_is_explained(self, vocabulary):
        low = Vocabulary(
            Index(vocabulary.taxa, {"text": vocabulary.directions / 20}), replace(vocabulary.parameters, floor=0.01)
        )
        found = one(window(1), low)
        assert found.detections[0].scientific_name == "Parus major"
        above = set(found.detections[0].path)
        assert not above & {d.scientific_name for d in found.detections[1:]}

    def test_a_group_must_say_more_than_its_share_of_the_gallery(self, taxa, parameters):
        everything = Index(taxa, {"text": np.tile(window(1), (6, 1))})
        keen = replace(parameters, floor=0.5, null_logit=2.0)
        assert one(window(1), Vocabulary(everything, keen)).detections
        assert one(window(1), Vocabulary(everything, replace(keen, evidence=3.0))).detections == ()

    def test_a_kingdom_alone_and_unknown_ranks_are_not_told(self, parameters, unit):
        two = [Taxon("Apis mellifera", "Animalia", "Arthropoda", "", "", "", "Apis", {})]
        two.append(Taxon("Parus major", "Animalia", "Chordata", "", "", "", "Parus", {}))
        bare = [Taxon(f"Species {n}", "Animalia", "", "", "", "", "", {}) for n in ("alba", "nigra")]
        for taxa in (two, bare):
            same = Index(taxa, {"text": np.stack([unit(0), unit(0)])})
            assert one(window(1), Vocabulary(same, parameters)).detections == ()

    def test_namesakes_in_different_families_do_not_add_up(self, taxa, parameters):
        centroids = np.tile(np.eye(8, dtype=np.float32)[7], (6, 1))
        centroids[[3, 4]] = window(1)  # a gannet and a mulberry, both Morus
        assert one(window(1), Vocabulary(Index(taxa, {"text": centroids}), parameters)).detections == ()


class TestSilence:
    def test_a_window_below_the_level_of_silence_is_not_looked_at(self, vocabulary):
        nonsense = np.full((1, 8), np.nan, np.float32)
        found = one(nonsense, vocabulary, level=-70.1)
        assert (found.heard, found.detections) == (False, ()) and not found.confidences.any()
        assert found.anything == -np.inf
        assert one(window(1), vocabulary, level=-70.0).heard

    def test_digital_silence_is_silence(self, vocabulary):
        assert not one(window(1), vocabulary, level=-np.inf).heard

    def test_noise_is_nothing(self, vocabulary):
        found = one(np.eye(8, dtype=np.float32)[[7]], vocabulary)
        assert found.heard and found.detections == () and found.anything < 0
        assert found.confidences.max() < 0.05

    def test_a_broken_encoder_is_refused(self, vocabulary):
        with pytest.raises(GalleryError, match="not finite"):
            one(np.full((1, 8), np.nan, np.float32), vocabulary)
        with pytest.raises(ValueError, match="1 vectors and 2 levels"):
            recognise(window(1), [LOUD, LOUD], vocabulary)


class TestPool:
    def recording(self, vocabulary: Vocabulary, *rows: list[float]) -> list[Recognition]:
        return [Recognition(True, np.array(row, np.float32), (), 0.0) for row in rows]

    def test_a_taxon_counts_with_the_mean_of_its_best_windows(self, vocabulary):
        windows = self.recording(vocabulary, [0.9, 0, 0, 0, 0, 0], [0.1, 0.2, 0, 0, 0, 0], [0.5, 0, 0, 0, 0, 0])
        assert pooled(windows, vocabulary)[:2].tolist() == pytest.approx([0.7, 0.1])

    def test_taxa_that_are_sure_in_different_windows_stay_sure(self, vocabulary):
        windows = self.recording(vocabulary, *[[1.0, 0, 0, 0, 0, 0]] * 2, *[[0, 1.0, 0, 0, 0, 0]] * 2)
        assert pooled(windows, vocabulary)[:2].tolist() == [1.0, 1.0]

    def test_silent_windows_do_not_count(self, vocabulary):
        silent = Recognition(False, np.zeros(6, np.float32), (), -np.inf)
        windows = [silent, *self.recording(vocabulary, [0.9, 0, 0, 0, 0, 0]), silent]
        assert pooled(windows, vocabulary)[0] == pytest.approx(0.9)
        assert not pooled([silent], vocabulary).any() and not pooled([], vocabulary).any()

    @pytest.mark.parametrize("seed", SEEDS)
    def test_windows_may_come_in_any_order(self, vocabulary, seed):
        rng = np.random.default_rng(seed)
        windows = self.recording(vocabulary, *rng.random((9, 6)).tolist())
        pieces = Pool(6, vocabulary.parameters)
        for place in rng.permutation(9):
            pieces.add(windows[place])
        np.testing.assert_allclose(pieces.confidences(), pooled(windows, vocabulary), atol=1e-6)
        assert pieces.heard == 9
        best = np.sort([window.confidences for window in windows], axis=0)[-2:]
        np.testing.assert_allclose(pieces.confidences(), best.mean(axis=0), atol=1e-6)


class TestRanked:
    def test_the_most_confident_come_first_with_names_and_cosines(self, taxa):
        got = ranked(np.array([0.2, 0.5, 0.1, 0, 0, 0]), np.arange(6) / 10, taxa, top=2)
        assert [(c.scientific_name, c.common_name, c.confidence, c.similarity) for c in got] == [
            ("Parus minor", "Japanese Tit", 0.5, 0.1),
            ("Parus major", "Great Tit", 0.2, 0.0),
        ]
        assert type(got[0].confidence) is float

    def test_equal_ones_are_ordered_by_name_even_at_the_cut(self, taxa):
        got = ranked(np.array([0.1, 0.1, 0.1, 0.3, 0.1, 0.1]), np.zeros(6), taxa, top=3)
        assert [c.scientific_name for c in got] == ["Morus bassanus", "Carassius auratus", "Erithacus rubecula"]

    def test_those_of_no_confidence_are_left_out(self, taxa):
        assert len(ranked(np.array([0.2, 0.5, 0.1, 0, 0, 0]), np.zeros(6), taxa, top=99)) == 3
        assert ranked(np.zeros(6), np.zeros(6), taxa, top=5) == ()

    def test_the_likeliest_of_a_window_are_those_of_its_confidences(self, vocabulary):
        vector = window(1, 0, 0.9)
        found = one(vector, vocabulary)
        got = likeliest(found.confidences, vector[0], vocabulary, 2)
        assert {c.scientific_name for c in got} == {"Parus major", "Erithacus rubecula"}
        assert [c.similarity for c in got if c.scientific_name == "Parus major"] == pytest.approx([vector[0, 0]])
