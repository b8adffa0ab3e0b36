"""Where stage 1 starts: projections from pretrained features to text that ridge regression gives in closed form.

With few recordings a linear map from good features is hard to beat and takes no epochs; training then only has to
improve on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainer.models.vita import AudioTower, Branch
from trainer.sounds import SoundStore

PENALTY = 3000.0  # of the squared weights, on standardised features; 1000 to 10000 do alike on held-out recordings
LEAST_DEVIATION = 1e-4  # a feature that never moves stays at zero
BATCH = 16


@torch.no_grad()
def start_projections(tower: AudioTower, sounds: SoundStore, texts: Tensor, samples: int, seed: int) -> None:
    """Standardise the features of both branches and set their projections.

    Parameters
    ----------
    sounds : training recordings; one window of each is heard, without augmentation
    texts : [taxa, dim] vector of each taxon
    samples : length of a window
    """
    tower.eval()
    rng = np.random.default_rng(seed)
    device = texts.device
    targets = texts[[sample.taxon for sample in sounds.samples]]
    maps = []
    for start in range(0, len(sounds), BATCH):
        rows = range(start, min(start + BATCH, len(sounds)))
        crops = np.stack([sounds.crop(row, samples, rng) for row in rows])
        maps.append(tower.stem(tower.log_mel(torch.from_numpy(crops).to(device))[:, None]))
    for branch in (tower.general, tower.special):
        set_projection(branch, maps, targets)


def set_projection(branch: Branch, maps: Sequence[Tensor], targets: Tensor) -> None:
    """Ridge regression of one branch, through its dual: there are fewer recordings than features.

    Parameters
    ----------
    maps : feature maps of the shared blocks, in batches
    targets : [recordings, dim]
    """
    features = torch.cat([branch.features(batch) for batch in maps])
    branch.norm.mean.copy_(features.mean(dim=0))
    branch.norm.deviation.copy_(features.std(dim=0).clamp_min(LEAST_DEVIATION))
    known = branch.norm(features).double()
    gram = known @ known.t() + PENALTY * torch.eye(len(known), dtype=known.dtype, device=known.device)
    weights = torch.linalg.solve(gram, targets.double()).t() @ known  # [dim, features]
    branch.projection.weight.copy_(weights / weights.norm(dim=1).mean())
