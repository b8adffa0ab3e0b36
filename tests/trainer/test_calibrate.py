"""Decision parameters on vectors made by hand: modalities together help, songs are named, noise is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gallery import DecisionParameters, Index, Taxon, Vocabulary, recognise
from trainer.calibrate import AUDIO_WEIGHTS, MIN_SLOPE, SingleRecordings, fit, platt, report, too_few
from trainer.heard import Heard, identified

N, DIM, RECORDINGS, MIXTURES = 24, 32, 72, 40
LOUD = -20.0


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class World:
    """Taxa whose texts and photos lie near what is heard of them, each off in its own way; six have no photo.

    With `audio` the gallery has recordings too, off by that; it may have no photos.
    """

    def __init__(self, spread: float, audio: float | None = None, photos: bool = True) -> None:
        rng = np.random.default_rng(1)
        centre = unit(rng.standard_normal((N, DIM)))
        centroids = {
            "text": unit(centre + 0.15 * rng.standard_normal((N, DIM))),
            "image": unit(centre + 0.15 * rng.standard_normal((N, DIM))),
        }
        centroids["image"][:6] = 0.0
        if audio is not None:
            centroids["audio"] = unit(centre + audio * rng.standard_normal((N, DIM)))
        if not photos:
            del centroids["image"]
        taxa = [Taxon(f"Species n{n:02}", *[""] * 6, common_names={}) for n in range(N)]
        self.index = Index(taxa, centroids)
        taxon = rng.integers(0, N, RECORDINGS)
        self.heard = of([unit(centre[t] + spread * rng.standard_normal((1 + n % 3, DIM))) for n, t in enumerate(taxon)])
        self.heard = Heard(self.heard.windows, self.heard.levels, taxon)
        self.mixtures, self.others = (self.mixed(centre, spread, rng) for _ in range(2))
        noise = of([row[None] for row in unit(rng.standard_normal((64, DIM)))])
        self.noise = Heard(noise.windows, noise.levels, np.zeros((64, 0), np.int64))

    def mixed(self, centre: np.ndarray, spread: float, rng: np.random.Generator) -> Heard:
        pairs = np.stack([rng.permutation(N)[:2] for _ in range(MIXTURES)])
        sounds = [unit(centre[pair].sum(axis=0) + spread * rng.standard_normal((1, DIM))) for pair in pairs]
        return Heard(sounds, of(sounds).levels, pairs)

    def fit(self) -> DecisionParameters:
        return fit(self.index, self.heard, self.mixtures, self.noise)

    def report(self, parameters: DecisionParameters) -> dict:
        return report(self.index, parameters, self.heard, self.others, self.noise)


def of(windows: list[np.ndarray]) -> Heard:
    return Heard(windows, [np.full(len(rows), LOUD) for rows in windows], np.zeros(len(windows), np.int64))


@pytest.fixture(scope="module")
def world() -> World:
    """Recordings that are hard to tell."""
    return World(spread=0.22)


@pytest.fixture(scope="module")
def fitted(world: World) -> DecisionParameters:
    return world.fit()


@pytest.fixture(scope="module")
def reported(world: World, fitted: DecisionParameters) -> dict:
    return world.report(fitted)


def test_texts_and_pictures_together_are_not_worse_than_either(reported) -> None:
    ranks = reported["held_out"]
    for k in (1, 5):
        assert ranks[f"together_top{k}"] >= max(ranks[f"text_top{k}"], ranks[f"image_top{k}"])
    assert 0.5 < ranks["text_top1"] < 1.0  # a world in which there is something to gain


def test_recordings_are_given_more_say_the_nearer_they_are() -> None:
    near, far = World(spread=0.22, audio=0.1), World(spread=0.22, audio=2.0)
    right, wrong = near.fit(), far.fit()
    assert right.weight["audio"] > wrong.weight["audio"] == min(AUDIO_WEIGHTS)
    ranks = near.report(right)["held_out"]
    assert ranks["all_top1"] > ranks["together_top1"] and ranks["all_top5"] >= ranks["together_top5"]


def test_recordings_count_beside_names_without_any_photo() -> None:
    near, far = (World(spread=0.22, audio=audio, photos=False) for audio in (0.1, 2.0))
    right, wrong = near.fit(), far.fit()
    assert right.weight["audio"] > wrong.weight["audio"] == min(AUDIO_WEIGHTS)
    ranks = near.report(right)["held_out"]
    assert ranks["all_top1"] > ranks["together_top1"] == ranks["text_top1"]


def test_noise_is_no_species_and_clear_songs_are_named() -> None:
    clear = World(spread=0.08)
    parameters = clear.fit()
    told = clear.report(parameters)
    assert told["held_out"]["noise_is_no_species"] == 1.0
    assert told["calibration"]["noise"]["named"] == 0
    assert told["calibration"]["single"]["recall"] > 0.9 < told["calibration"]["single"]["precision"]
    assert told["calibration"]["mixture"]["recall"] > 0.7 and told["calibration"]["mixture"]["precision"] > 0.9


def test_both_songs_of_a_mixture_come_first(reported) -> None:
    mixture = reported["calibration"]["mixture"]
    assert mixture["recall_among_2"] > 0.5 and mixture["recall_among_5"] > mixture["recall_among_2"]


def test_confidences_can_be_believed(reported) -> None:
    for name in ("single", "mixture", "noise"):
        assert reported["calibration"][name]["expected_calibration_error"] < 0.1


def test_most_hard_recordings_stay_something(world, fitted) -> None:
    vocabulary = Vocabulary(world.index, fitted)
    best = [
        max(one.anything for one in recognise(w, level, vocabulary))
        for w, level in zip(world.heard.windows, world.heard.levels)
    ]
    assert np.mean(np.array(best) > 0) >= 0.85


def test_surer_is_righter(world, fitted) -> None:
    confidences = identified(world.heard, Vocabulary(world.index, fitted))
    sure = confidences.max(axis=1)
    right = confidences.argmax(axis=1) == world.heard.taxon
    assert right[sure > 0.8].mean() > 0.9 > right[sure < 0.5].mean()


def test_the_scale_of_a_modality_is_the_likeliest(world, fitted) -> None:
    single = SingleRecordings(world.index, world.heard, most=1)
    plain = replace(fitted, null_logit=-1e3, pool_windows=3, slope=1.0, offset=0.0)
    for modality in ("text", "image"):
        losses = [
            single.loss(replace(plain, scale={**plain.scale, modality: factor * plain.scale[modality]}), (modality,))
            for factor in (0.6, 1.0, 1.7)
        ]
        assert losses[1] < losses[0] and losses[1] < losses[2]


def test_a_taxon_without_an_entry_counts_as_missed(world, fitted) -> None:
    single = SingleRecordings(world.index, world.heard)
    pictured = (world.heard.taxon >= 6).mean()
    assert single.asked(("image",)).mean() == pytest.approx(pictured)
    assert single.top(single.confidences(fitted, ("image",)), N) <= pictured


def test_platt_scaling_finds_the_slope_and_offset_it_was_made_with() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 3, 20_000)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-(0.6 * odds - 1.0)))
    assert platt(odds, truth, np.ones(20_000)) == pytest.approx((0.6, -1.0), abs=0.05)


@pytest.mark.parametrize(
    "odds",
    [[-5.0, 0.1, 0.2, 0.3], [9.0, -9.0, -9.5, -8.0], [0.0, 0.0, 0.0, 0.0], [-40.0, 80.0, 80.0, 90.0]],
    ids=["the wrong way round", "separable", "equal", "far the wrong way round"],
)
def test_platt_scaling_of_one_recording_stays_finite(odds: list[float]) -> None:
    truth = np.array([True, False, False, False])
    slope, offset = platt(np.array(odds), truth, np.full(4, 0.5))
    assert slope >= MIN_SLOPE and abs(offset) < 20
    confidence = 1 / (1 + np.exp(-(slope * np.array(odds) + offset)))
    targets = np.array([2 / 3, 0.2, 0.2, 0.2])
    assert confidence.mean() == pytest.approx(targets.mean(), abs=1e-3)  # what the offset alone can reach


def test_few_recordings_are_said_to_be_too_few() -> None:
    assert too_few(np.array([0, 1, 1])) == "3 recordings of 2 species, too few to calibrate on (20 of 2)"
    assert too_few(np.zeros(30, int)) and not too_few(np.arange(30) % 2)


def test_parameters_can_be_stored(fitted) -> None:
    assert DecisionParameters.from_dict(fitted.to_dict()) == fitted
    assert set(fitted.scale) == set(fitted.weight) == {"text", "image", "audio"}
