"""Audio augmentation for training.

All functions work on log-mel spectrograms [n, n_mels, frames]: sound powers add, so mixing and noise are sums of
exponentials, another microphone is a curve over the bands, and another playback speed is a shift and a stretch. That
costs a twentieth of the same on waveforms. Every function takes a batch and a `torch.Generator`, and returns a new
batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.frontend import LogMelConfig


@dataclass(frozen=True)
class AugmentConfig:
    """Strength of each augmentation; zero disables it."""

    speed: float = 0.08  # playback 0.92 .. 1.08 times as fast, with the pitch: individuals and dialects differ
    gain_db: float = 6.0  # the level of a window is normalised, that of the animal in it is not
    filter_db: float = 6.0  # smooth random equaliser: microphones and distance differ
    noise_share: float = 0.5  # share of the windows with coloured noise
    noise_snr_db: tuple[float, float] = (0.0, 30.0)
    only_noise_share: float = 0.04  # share of the windows replaced by noise, whose target is uniform over the taxa
    mixup_share: float = 0.6  # share of the windows mixed with another one
    mixup_range: tuple[float, float] = (0.5, 0.95)  # target share of the louder one
    time_masks: int = 2
    time_mask_frames: int = 100  # at most 1 s each
    mel_masks: int = 2
    mel_mask_bands: int = 12


def augment(
    log_mel: Tensor, targets: Tensor, config: AugmentConfig, mel: LogMelConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """All augmentations in order: speed, filter and gain, mixup, noise, noise-only windows, masks.

    Parameters
    ----------
    log_mel : [n, n_mels, frames], scaled as by `LogMel`
    targets : [n, candidates], rows that sum to one

    Returns
    -------
    Spectrograms and targets of the same shapes.
    """
    natural = log_mel * mel.spread - mel.shift  # ln(power)
    natural = equalise(change_speed(natural, config, generator), config, generator)
    natural, targets = mixup(natural, targets, config, generator)
    natural, targets = only_noise(add_noise(natural, config, generator), targets, config, generator)
    natural = mask(natural, config, generator)
    return (natural.clamp_min(math.log(mel.log_floor)) + mel.shift) / mel.spread, targets


def uniform(shape: tuple[int, ...], low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=like.device) * (high - low) + low


def change_speed(log_power: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Stretch time by a factor and shift the bands by its logarithm, as faster playback does."""
    if not config.speed:
        return log_power
    n, bands, frames = log_power.shape
    factor = uniform((n,), 1 - config.speed, 1 + config.speed, log_power, generator)
    bands_per_e = bands / 3.1  # a factor of e in frequency, above the linear part of the mel scale
    theta = torch.zeros((n, 2, 3), device=log_power.device)
    theta[:, 0, 0] = factor
    theta[:, 1, 1] = 1.0
    theta[:, 1, 2] = -2.0 * torch.log(factor) * bands_per_e / bands
    grid = F.affine_grid(theta, [n, 1, bands, frames], align_corners=False)
    return F.grid_sample(log_power[:, None], grid, padding_mode="reflection", align_corners=False)[:, 0]


def equalise(log_power: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Add a gain and a smooth random curve over the bands."""
    n, bands, _ = log_power.shape
    gain = uniform((n, 1), -config.gain_db, config.gain_db, log_power, generator)
    knots = uniform((n, 1, 5), -config.filter_db, config.filter_db, log_power, generator)
    curve = F.interpolate(knots, size=bands, mode="linear", align_corners=True)[:, 0]
    return log_power + ((curve + gain) * (math.log(10) / 10))[:, :, None]


def mixup(
    log_power: Tensor, targets: Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix two windows and their targets (Zhang et al., ICLR 2018)."""
    n = log_power.shape[0]
    share = uniform((n, 1), *config.mixup_range, log_power, generator)
    mixed = torch.rand((n, 1), generator=generator, device=log_power.device) < config.mixup_share
    share = torch.where(mixed, share, torch.ones_like(share))
    partner = torch.randperm(n, generator=generator, device=log_power.device)
    ratio = ((1 - share) / share).clamp_min(1e-9).log()[:, :, None]
    together = torch.logaddexp(log_power, log_power[partner] + ratio)
    return together, share * targets + (1 - share) * targets[partner]


def coloured_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Log power [n, n_mels, frames] of stationary noise from flat (rain) to falling (wind), of mean power 1."""
    n, bands, frames = like.shape
    slope = uniform((n, 1, 1), -6.0, 1.0, like, generator)  # natural log power from the lowest band to the highest
    shape = slope * torch.linspace(0, 1, bands, device=like.device)[None, :, None]
    flutter = 0.4 * torch.randn((n, bands, frames), generator=generator, device=like.device)
    return shape + flutter - (torch.logsumexp(shape, dim=1, keepdim=True) - math.log(bands))


def mean_log_power(log_power: Tensor) -> Tensor:
    """Log of the mean power of each window, [n, 1, 1]."""
    return torch.logsumexp(log_power, dim=(1, 2), keepdim=True) - math.log(log_power.shape[1] * log_power.shape[2])


def drawn_rows(share: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """Rows of a batch, each drawn with probability `share`."""
    return (torch.rand(like.shape[0], generator=generator, device=like.device) < share).nonzero()[:, 0]


def add_noise(log_power: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Add coloured noise to a share of the windows, at a random signal-to-noise ratio."""
    rows = drawn_rows(config.noise_share, log_power, generator)
    chosen = log_power[rows]
    snr_db = uniform((len(rows), 1, 1), *config.noise_snr_db, log_power, generator)
    level = mean_log_power(chosen) - snr_db * (math.log(10) / 10)
    return log_power.index_copy(0, rows, torch.logaddexp(chosen, coloured_noise(chosen, generator) + level))


def only_noise(
    log_power: Tensor, targets: Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Replace a share of the windows by noise with a uniform target (outlier exposure: Hendrycks et al., ICLR 2019)."""
    rows = drawn_rows(config.only_noise_share, log_power, generator)
    noise = coloured_noise(log_power[rows], generator) + mean_log_power(log_power[rows])
    uniform_target = torch.full_like(targets[rows], 1.0 / targets.shape[1])
    return log_power.index_copy(0, rows, noise), targets.index_copy(0, rows, uniform_target)


def mask(log_power: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Mask random spans of time and of bands with the window's mean (SpecAugment, Park et al., 2019)."""
    n, bands, frames = log_power.shape
    fill = log_power.mean(dim=(1, 2), keepdim=True)
    masked = log_power
    for count, most, size, shape in (
        (config.time_masks, config.time_mask_frames, frames, (n, 1, frames)),
        (config.mel_masks, config.mel_mask_bands, bands, (n, bands, 1)),
    ):
        position = torch.arange(size, device=log_power.device)
        for _ in range(count):
            width = uniform((n, 1), 0.0, most, log_power, generator)
            start = uniform((n, 1), 0.0, 1.0, log_power, generator) * (size - width)
            hidden = (position >= start) & (position < start + width)
            masked = torch.where(hidden.reshape(shape), fill, masked)
    return masked
