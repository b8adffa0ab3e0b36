"""Augmentation: each does what it says, a strength of zero switches it off, and the generator decides everything."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trainer.augment import AugmentConfig, add_noise, augment, change_speed, equalise, mask, mixup, only_noise
from trainer.frontend import LogMelConfig

MEL = LogMelConfig()
OFF = AugmentConfig(
    speed=0.0,
    gain_db=0.0,
    filter_db=0.0,
    noise_share=0.0,
    only_noise_share=0.0,
    mixup_share=0.0,
    time_masks=0,
    mel_masks=0,
)
N, BANDS, FRAMES, TAXA = 16, 128, 200, 5
DB = math.log(10) / 10


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def log_power() -> Tensor:
    return torch.randn((N, BANDS, FRAMES), generator=generator(0)) - 3.0


@pytest.fixture
def targets() -> Tensor:
    return torch.eye(TAXA)[torch.arange(N) % TAXA]


def test_shapes_are_kept_values_are_finite_and_targets_sum_to_one(log_power: Tensor, targets: Tensor) -> None:
    out, shared = augment(log_power, targets, AugmentConfig(), MEL, generator())
    assert out.shape == log_power.shape and shared.shape == targets.shape
    assert out.isfinite().all()
    assert torch.allclose(shared.sum(dim=1), torch.ones(N))
    assert out.min() >= (math.log(MEL.log_floor) + MEL.shift) / MEL.spread - 1e-6


def test_the_generator_decides_everything(log_power: Tensor, targets: Tensor) -> None:
    one, same, other = (augment(log_power, targets, AugmentConfig(), MEL, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one[0], same[0]) and torch.equal(one[1], same[1])
    assert not torch.equal(one[0], other[0])


def test_strengths_of_zero_change_nothing(log_power: Tensor, targets: Tensor) -> None:
    scaled = (log_power + MEL.shift) / MEL.spread
    out, shared = augment(scaled, targets, OFF, MEL, generator())
    assert torch.allclose(out, scaled, atol=1e-5) and torch.equal(shared, targets)


@pytest.mark.parametrize(
    "on",
    [
        {"speed": 0.1},
        {"gain_db": 6.0},
        {"filter_db": 6.0},
        {"noise_share": 1.0},
        {"only_noise_share": 1.0},
        {"mixup_share": 1.0},
        {"time_masks": 2},
        {"mel_masks": 2},
    ],
)
def test_each_strength_changes_something(log_power: Tensor, targets: Tensor, on: dict[str, float]) -> None:
    scaled = (log_power + MEL.shift) / MEL.spread
    out, _ = augment(scaled, targets, replace(OFF, **on), MEL, generator())
    assert (out - scaled).abs().max() > 0.01


def test_gain_moves_the_whole_window_and_stays_within_its_bounds(log_power: Tensor) -> None:
    change = equalise(log_power, replace(OFF, gain_db=6.0), generator()) - log_power
    assert torch.allclose(change, change[:, :1, :1].expand_as(change), atol=1e-5)
    assert change.abs().max() <= 6.0 * DB + 1e-5 and change.std() > 0.1


def test_the_equaliser_is_smooth_over_bands_and_the_same_at_all_times(log_power: Tensor) -> None:
    change = equalise(log_power, replace(OFF, filter_db=6.0), generator()) - log_power
    assert torch.allclose(change, change[:, :, :1].expand_as(change), atol=1e-5)
    assert change[:, 1:].sub(change[:, :-1]).abs().max() < 2 * 6.0 * DB / 30
    assert change[:, :, 0].std(dim=1).min() > 0.01


def test_faster_playback_moves_a_tone_up_and_slower_down() -> None:
    tone = torch.full((64, BANDS, FRAMES), -10.0)
    tone[:, 60] = 5.0
    moved = change_speed(tone, replace(OFF, speed=0.2), generator()).mean(dim=2).argmax(dim=1)
    factor = torch.rand((64,), generator=generator()) * 0.4 + 0.8
    assert (moved[factor > 1.05] > 60).all() and (moved[factor < 0.95] < 60).all()
    assert (moved - 60).abs().max() <= 12


def test_mixup_adds_powers_and_shares_the_target(targets: Tensor) -> None:
    powers = torch.zeros((N, 2, 3)) + torch.arange(N)[:, None, None] * 0.1
    mixed, shared = mixup(powers, targets, replace(OFF, mixup_share=1.0), generator())
    top = shared.max(dim=1).values
    assert torch.allclose(shared.sum(dim=1), torch.ones(N))
    assert (top >= 0.5).all() and ((shared > 0).sum(dim=1) <= 2).all()
    assert (mixed >= powers - 1e-6).all() and (mixed > powers + 0.01).all()
    kept = shared.argmax(dim=1) == targets.argmax(dim=1)
    assert kept.all()  # the louder one is the window itself


def test_mixup_takes_about_the_share_it_is_told(targets: Tensor) -> None:
    many = torch.eye(TAXA)[torch.arange(2000) % TAXA]
    _, shared = mixup(torch.zeros((2000, 1, 1)), many, replace(OFF, mixup_share=0.6), generator())
    touched = (shared.max(dim=1).values < 1).float().mean()
    assert touched == pytest.approx(0.6 * (1 - 1 / TAXA), abs=0.05)


def test_noise_is_added_at_the_ratio_it_is_told(log_power: Tensor) -> None:
    config = replace(OFF, noise_share=1.0, noise_snr_db=(10.0, 10.0))
    noisy = add_noise(log_power, config, generator())
    assert (noisy >= log_power - 1e-6).all()
    added = (noisy.exp() - log_power.exp()).mean(dim=(1, 2)) / log_power.exp().mean(dim=(1, 2))
    assert torch.allclose(10 * torch.log10(added), torch.full((N,), -10.0), atol=1.0)


def test_windows_of_noise_alone_point_at_every_taxon_alike(log_power: Tensor, targets: Tensor) -> None:
    out, shared = only_noise(log_power, targets, replace(OFF, only_noise_share=0.5), generator())
    noise = (out != log_power).flatten(1).any(dim=1)
    assert 0 < noise.sum() < N
    assert torch.allclose(shared[noise], torch.full_like(shared[noise], 1 / TAXA))
    assert torch.equal(shared[~noise], targets[~noise])
    loudness = [x.exp().mean(dim=(1, 2)).log() for x in (out[noise], log_power[noise])]
    assert torch.allclose(*loudness, atol=0.5)


def test_masks_blank_spans_with_the_mean_and_no_wider_than_told(log_power: Tensor) -> None:
    config = replace(OFF, time_masks=1, time_mask_frames=40)
    hidden = (mask(log_power, config, generator()) != log_power).all(dim=1)  # [n, frames]
    assert 0 < hidden.sum(dim=1).max() <= 41
    for row in hidden:
        places = row.nonzero().flatten()
        assert len(places) == 0 or places[-1] - places[0] + 1 == len(places)
    out = mask(log_power, replace(OFF, mel_masks=1, mel_mask_bands=12), generator())
    bands = (out != log_power).all(dim=2)
    assert 0 < bands.sum(dim=1).max() <= 13
    assert torch.allclose(out[bands], log_power.mean(dim=(1, 2))[bands.nonzero()[:, 0], None].expand(-1, FRAMES))


def test_the_given_batch_is_left_as_it_is(log_power: Tensor, targets: Tensor) -> None:
    before = log_power.clone(), targets.clone()
    augment(log_power, targets, AugmentConfig(), MEL, generator())
    assert torch.equal(log_power, before[0]) and torch.equal(targets, before[1])
