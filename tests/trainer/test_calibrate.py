"""Decision parameters on vectors made by hand: two kinds together help, sound is a species, noise is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from gallery import DecisionParameters, Index, Taxon, logits, pool, probabilities
from trainer.calibrate import AUDIO_WEIGHTS, Fit, Heard, fit

N, DIM, RECORDINGS = 40, 32, 160
World = tuple[Index, Heard, np.ndarray]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def made(spread: float, audio: float | None = None) -> World:
    """Taxa whose texts and photos lie near what is heard of them, each off in its own way; ten have no photo.

    With `audio` the gallery has recordings too, off by that.
    """
    rng = np.random.default_rng(1)
    centre = unit(rng.standard_normal((N, DIM)))
    texts = unit(centre + 0.15 * rng.standard_normal((N, DIM)))
    images = unit(centre + 0.15 * rng.standard_normal((N, DIM)))
    images[:10] = 0.0
    taxa = [Taxon(f"Species n{n:02}", *[""] * 6, common_names={}) for n in range(N)]
    taxon = rng.integers(0, N, RECORDINGS)
    windows = [unit(centre[t] + spread * rng.standard_normal((1 + n % 3, DIM))) for n, t in enumerate(taxon)]
    noise = unit(rng.standard_normal((64, DIM)))
    kinds = {"text": texts, "image": images}
    if audio is not None:
        kinds["audio"] = unit(centre + audio * rng.standard_normal((N, DIM)))
    return Index(taxa, kinds), Heard(windows, taxon), noise


@pytest.fixture(scope="module")
def world() -> World:
    """Recordings that are hard to tell."""
    return made(spread=0.22)


@pytest.fixture(scope="module")
def fitted(world: World) -> tuple[DecisionParameters, dict[str, float]]:
    return fit(*world)


def recordings(world: World, parameters: DecisionParameters) -> np.ndarray:
    index, heard, _ = world
    both = ("text", "image")
    return np.stack(
        [pool(probabilities(logits(index.match(w), parameters, both), parameters), parameters) for w in heard.windows]
    )


def test_texts_and_pictures_together_are_not_worse_than_either(fitted) -> None:
    _, figures = fitted
    for k in (1, 5):
        assert figures[f"together_top{k}"] >= max(figures[f"text_top{k}"], figures[f"image_top{k}"])
    assert 0.5 < figures["text_top1"] < 1.0  # a world in which there is something to gain


def test_recordings_are_given_more_say_the_nearer_they_are() -> None:
    right, wrong = (fit(*made(spread=0.22, audio=off)) for off in (0.1, 2.0))
    assert right[0].weight["audio"] > wrong[0].weight["audio"] == min(AUDIO_WEIGHTS)
    _, figures = right
    assert figures["all_top1"] > figures["together_top1"] and figures["all_top5"] >= figures["together_top5"]


def test_noise_is_nothing_and_recordings_are_something() -> None:
    clear = made(spread=0.1)
    parameters, figures = fit(*clear)
    assert figures["noise_is_nothing"] >= 0.9
    index, _, noise = clear
    empty = probabilities(logits(index.match(noise), parameters), parameters)[:, -1]
    assert (empty > 0.5).mean() >= 0.9
    assert (recordings(clear, parameters)[:, -1] < 0.5).mean() >= 0.9


def test_most_hard_recordings_stay_something_even_if_noise_does_too(world, fitted) -> None:
    assert (recordings(world, fitted[0])[:, -1] < 0.5).mean() >= 0.85


def test_surer_is_righter(world, fitted) -> None:
    p = recordings(world, fitted[0])[:, :-1]
    sure = p.max(axis=1)
    right = p.argmax(axis=1) == world[1].taxon
    assert right[sure > 0.8].mean() > 0.95 > right[sure < 0.5].mean()


def test_the_scale_of_a_kind_is_the_likeliest(world, fitted) -> None:
    index, heard, _ = world
    tables, parameters = Fit(index, heard), fitted[0]
    silent = DecisionParameters.from_dict({**parameters.to_dict(), "null_logit": -1e3, "pool_windows": 3})
    for kind in ("text", "image"):
        losses = [
            tables.loss(
                DecisionParameters.from_dict(
                    {**silent.to_dict(), "scale": {**silent.scale, kind: factor * silent.scale[kind]}}
                ),
                (kind,),
            )
            for factor in (0.7, 1.0, 1.4)
        ]
        assert losses[1] < losses[0] and losses[1] < losses[2]


def test_a_taxon_without_an_entry_counts_as_missed(world, fitted) -> None:
    index, heard, _ = world
    tables = Fit(index, heard)
    pictured = (heard.taxon >= 10).mean()
    assert tables.asked(("image",)).mean() == pytest.approx(pictured)
    assert tables.top(fitted[0], ("image",), N) <= pictured


def test_parameters_can_be_stored(fitted) -> None:
    assert DecisionParameters.from_dict(fitted[0].to_dict()) == fitted[0]
    assert set(fitted[0].scale) == set(fitted[0].weight) == {"text", "image", "audio"}
