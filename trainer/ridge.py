"""Projections from features to names by ridge regression.

With few recordings a linear map from pretrained features is hard to beat and needs no training. Stage 1 initialises
both branches of the audio tower with it. Stage 2 ends by refitting the general branch to the trained names, which is
better on held-out recordings than training it by gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trainer.augment import AugmentConfig, augment
from trainer.data.sounds import Sounds
from trainer.errors import ConfigError
from trainer.frontend import LogMelConfig
from trainer.models.vita import AudioTower, Branch, Vita

PENALTY = 3000.0  # L2, on standardised features; 1000 to 10000 give the same results on held-out recordings
MIN_DEVIATION = 1e-4  # keeps constant features at zero
BATCH = 16
VIEWS = 5  # augmented windows per recording for the last fit
MILD = AugmentConfig(speed=0.05, mixup_share=0.0, only_noise_share=0.0, time_masks=0, mel_masks=0)

Change = Callable[[Tensor], Tensor]


@torch.no_grad()
def start_projections(tower: AudioTower, sounds: Sounds, texts: Tensor, samples: int, seed: int) -> None:
    """Standardise the features of both branches and fit their projections, on one window of each recording.

    Parameters
    ----------
    sounds : training recordings
    texts : [taxa, dim] vector of each taxon
    samples : length of a window
    """
    maps = feature_maps(tower, sounds, samples, seed, lambda log_mel: log_mel, texts.device)
    targets = texts[[sample.taxon for sample in sounds.samples]]
    for branch in (tower.general, tower.special):
        set_projection(branch, torch.cat([branch.features(batch) for batch in maps]), targets)


@torch.no_grad()
def refit_general(tower: AudioTower, sounds: Sounds, texts: Tensor, samples: int, mel: LogMelConfig, seed: int) -> None:
    """Refit the general branch on `VIEWS` slightly augmented windows of each recording; parameters as above."""
    generator = torch.Generator(device=texts.device).manual_seed(seed)

    def change(log_mel: Tensor) -> Tensor:
        no_target = torch.zeros((len(log_mel), 1), device=log_mel.device)
        return augment(log_mel, no_target, MILD, mel, generator)[0]

    features = []
    for view in range(VIEWS):
        maps = feature_maps(tower, sounds, samples, seed + view, change, texts.device)
        features += [tower.general.features(batch) for batch in maps]
    targets = texts[[sample.taxon for sample in sounds.samples] * VIEWS]
    set_projection(tower.general, torch.cat(features), targets, weight=1 / VIEWS)


def branched(model: Vita) -> AudioTower:
    """The audio tower of a model, which must have two branches.

    Raises
    ------
    ConfigError
        When it has only one.
    """
    tower = model.audio.branched()
    if tower is None:
        raise ConfigError("ridge=true needs an audio tower with two branches", "leave the setting out")
    return tower


def feature_maps(
    tower: AudioTower, sounds: Sounds, samples: int, seed: int, change: Change, device: torch.device
) -> list[Tensor]:
    """Output of the shared blocks for one random window of each recording, in batches."""
    tower.eval()
    batches = [list(range(start, min(start + BATCH, len(sounds)))) for start in range(0, len(sounds), BATCH)]
    windows = (torch.from_numpy(sound).to(device) for _, sound in sounds.crops(batches, samples, seed))
    return [tower.stem(change(tower.log_mel(sound))[:, None]) for sound in windows]


def set_projection(branch: Branch, features: Tensor, targets: Tensor, weight: float = 1.0) -> None:
    """Standardise features and set the projection by ridge regression.

    Parameters
    ----------
    features : [n, out_features]
    targets : [n, dim]
    weight : of each row, relative to the penalty
    """
    branch.norm.mean.copy_(features.mean(dim=0))
    branch.norm.deviation.copy_(features.std(dim=0).clamp_min(MIN_DEVIATION))
    known = branch.norm(features).double()
    weights = ridge(known, targets.double(), PENALTY / weight)
    branch.projection.weight.copy_(weights.t() / weights.norm(dim=0).mean())


def ridge(known: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """The weights [k, dim] that minimise |known @ weights - targets|² + penalty |weights|².

    Their equations are solved in whichever of n and k is smaller.

    Parameters
    ----------
    known : [n, k]
    targets : [n, dim]
    """
    n, k = known.shape
    eye = torch.eye(min(n, k), dtype=known.dtype, device=known.device)
    if n < k:
        return known.t() @ torch.linalg.solve(known @ known.t() + penalty * eye, targets)
    return torch.linalg.solve(known.t() @ known + penalty * eye, known.t() @ targets)
