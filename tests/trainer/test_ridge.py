"""Stage 1 starts from the projections of ridge regression."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.trainer.tiny import RATE_HZ, Tiny
from trainer.manifest import Manifest
from trainer.models.vita import Branch
from trainer.presets import STARTER, build
from trainer.ridge import set_projection, start_projections
from trainer.sounds import SoundStore


def branch() -> Branch:
    torch.manual_seed(0)
    return build(STARTER).audio.general


def test_features_are_standardised_and_projected_to_their_targets():
    torch.manual_seed(1)
    one = branch().eval()
    maps = [torch.randn(4, 16, 32, 20) * 3, torch.randn(2, 16, 32, 20) * 3]
    targets = F.normalize(torch.randn(6, STARTER.dim), dim=-1)
    with torch.no_grad():
        set_projection(one, maps, targets)
        features = one.norm(torch.cat([one.features(batch) for batch in maps]))
        vectors = torch.cat([one(batch) for batch in maps])
    assert features.mean(dim=0).abs().max() < 1e-3
    assert (vectors @ targets.t()).argmax(dim=1).tolist() == list(range(6))


def test_both_branches_start_alike_and_know_the_training_recordings(tiny: Tiny, manifest: Manifest):
    sounds = SoundStore(manifest.recordings, STARTER.mel.rate_hz)
    torch.manual_seed(0)
    tower = build(STARTER).audio
    texts = torch.eye(STARTER.dim)[: len(manifest.taxa)]
    start_projections(tower, sounds, texts, 2 * RATE_HZ, seed=0)
    assert torch.equal(tower.general.projection.weight, tower.special.projection.weight)
    taxa = [sample.taxon for sample in sounds.samples]
    crops = torch.stack([torch.from_numpy(sounds.whole(row)[: 2 * RATE_HZ]) for row in range(len(sounds))])
    with torch.no_grad():
        nearest = (tower.eval()(crops) @ texts.t()).argmax(dim=1).tolist()
    assert sum(a == b for a, b in zip(nearest, taxa)) > 0.8 * len(taxa)
