"""Stage 1 starts from the projections of ridge regression."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.trainer.tiny import RATE_HZ, Tiny
from trainer.data.manifest import Manifest
from trainer.data.sounds import SoundStore
from trainer.families.registry import build
from trainer.models.vita import Branch
from trainer.presets import STARTER
from trainer.ridge import refit_general, ridge, set_projection, start_projections


def branch() -> Branch:
    torch.manual_seed(0)
    return build(STARTER.towers).audio.general


def test_features_are_standardised_and_projected_to_their_targets():
    torch.manual_seed(1)
    one = branch().eval()
    features = torch.rand(6, one.projection.in_features) * 3 + 5
    targets = F.normalize(torch.randn(6, STARTER.dim), dim=-1)
    with torch.no_grad():
        set_projection(one, features, targets, weight=100.0)
        known = one.norm(features)
        vectors = one.projection(known)
    assert known.mean(dim=0).abs().max() < 1e-3
    assert (vectors @ targets.t()).argmax(dim=1).tolist() == list(range(6))


@pytest.mark.parametrize("rows", [4, 20], ids=["fewer rows than features", "more rows"])
def test_the_fit_is_the_least_of_the_penalised_squares(rows: int) -> None:
    torch.manual_seed(2)
    known, targets = torch.randn(rows, 10).double(), torch.randn(rows, 3).double()
    weights = ridge(known, targets, penalty=2.0)
    assert weights.shape == (10, 3)
    slope = known.t() @ (known @ weights - targets) + 2.0 * weights  # half the gradient
    assert float(slope.abs().max()) < 1e-10


def test_both_branches_start_alike_and_know_the_training_recordings(tiny: Tiny, manifest: Manifest):
    sounds = SoundStore(manifest.recordings, STARTER.mel.rate_hz)
    torch.manual_seed(0)
    tower = build(STARTER.towers).audio
    texts = torch.eye(STARTER.dim)[: len(manifest.taxa)]
    start_projections(tower, sounds, texts, 2 * RATE_HZ, seed=0)
    assert torch.equal(tower.general.projection.weight, tower.special.projection.weight)
    taxa = [sample.taxon for sample in sounds.samples]
    crops = torch.stack([torch.from_numpy(sounds.whole(row)[: 2 * RATE_HZ]) for row in range(len(sounds))])
    with torch.no_grad():
        nearest = (tower.eval()(crops) @ texts.t()).argmax(dim=1).tolist()
    assert sum(a == b for a, b in zip(nearest, taxa)) > 0.8 * len(taxa)


def test_the_general_branch_is_fitted_to_the_names_as_they_are(tiny: Tiny, manifest: Manifest):
    sounds = SoundStore(manifest.recordings, STARTER.mel.rate_hz)
    torch.manual_seed(0)
    tower = build(STARTER.towers).audio
    before = tower.special.projection.weight.clone()
    texts = torch.eye(STARTER.dim)[: len(manifest.taxa)]
    refit_general(tower, sounds, texts, 2 * RATE_HZ, STARTER.mel, seed=0)
    crops = torch.stack([torch.from_numpy(sounds.whole(row)[: 2 * RATE_HZ]) for row in range(len(sounds))])
    with torch.no_grad():
        general = tower.eval().embed_branches(tower.log_mel(crops))[1]
    taxa = [sample.taxon for sample in sounds.samples]
    assert sum(a == b for a, b in zip((general @ texts.t()).argmax(dim=1).tolist(), taxa)) > 0.8 * len(taxa)
    assert torch.equal(tower.special.projection.weight, before)
