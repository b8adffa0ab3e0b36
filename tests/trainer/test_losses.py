"""Losses: the paper's on the diagonal, one species as a positive of itself, and what takes no part."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.losses import accuracy, contrastive, linear_ramp, same_taxon, soft_cross_entropy

SCALE = torch.tensor(10.0)


@pytest.fixture
def similarity() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    one, other = (F.normalize(torch.randn((6, 8), generator=generator), dim=1) for _ in range(2))
    return one @ other.t()


def test_on_the_diagonal_it_is_the_plain_clip_loss(similarity: Tensor) -> None:
    rows = torch.arange(6)
    plain = (F.cross_entropy(similarity * SCALE, rows) + F.cross_entropy(similarity.t() * SCALE, rows)) / 2
    assert contrastive(similarity, torch.eye(6), SCALE) == pytest.approx(plain.item(), rel=1e-5)


def test_smoothing_is_that_of_the_library(similarity: Tensor) -> None:
    theirs = F.cross_entropy(similarity, torch.arange(6), label_smoothing=0.1)
    assert soft_cross_entropy(similarity, torch.eye(6), 0.1) == pytest.approx(theirs.item(), rel=1e-5)


def test_recordings_of_one_species_are_positives_of_each_other() -> None:
    taxon = torch.tensor([0, 0, 1])
    targets = same_taxon(taxon, taxon)
    assert targets.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    alike = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=1)
    similarity = alike @ alike.t()
    assert contrastive(similarity, targets, SCALE) == pytest.approx(2 / 3 * math.log(2), abs=1e-3)
    pulled = similarity.clone().requires_grad_()
    contrastive(pulled, targets, SCALE).backward()
    diagonal = similarity.clone().requires_grad_()
    contrastive(diagonal, torch.eye(3), SCALE).backward()
    assert pulled.grad is not None and diagonal.grad is not None
    assert diagonal.grad[0, 1] > 0.1  # pushed apart as negatives
    assert abs(pulled.grad[0, 1]) < 1e-3


def test_drawing_the_same_species_together_lowers_the_loss() -> None:
    taxon = torch.tensor([0, 0, 1])
    apart = torch.tensor([[1.0, 0.2, 0.0], [0.2, 1.0, 0.0], [0.0, 0.0, 1.0]])
    together = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    targets = same_taxon(taxon, taxon)
    assert contrastive(together, targets, SCALE) < contrastive(apart, targets, SCALE)
    assert contrastive(together, torch.eye(3), SCALE) > contrastive(apart, torch.eye(3), SCALE)


def test_rows_and_columns_without_a_target_take_no_part(similarity: Tensor) -> None:
    targets = torch.eye(6)
    targets[4:] = 0
    rows = torch.arange(4)
    wanted = (F.cross_entropy(similarity[:4] * SCALE, rows) + F.cross_entropy(similarity.t()[:4] * SCALE, rows)) / 2
    assert contrastive(similarity, targets, SCALE) == pytest.approx(wanted.item(), rel=1e-5)
    assert contrastive(similarity, torch.zeros((6, 6)), SCALE) == 0.0
    smoothed = soft_cross_entropy(similarity, targets, 0.1)
    assert smoothed == pytest.approx(soft_cross_entropy(similarity[:4], targets[:4], 0.1).item(), rel=1e-5)


def test_targets_are_shares_whatever_their_sum(similarity: Tensor) -> None:
    soft = torch.rand((6, 6), generator=torch.Generator().manual_seed(2))
    assert soft_cross_entropy(similarity, soft) == pytest.approx(soft_cross_entropy(similarity, 3 * soft).item())


def test_lambda_grows_linearly_over_its_epochs_and_stays() -> None:
    assert [linear_ramp(epoch, 2.0, 0.1) for epoch in (0.0, 0.5, 1.0, 2.0, 9.0)] == pytest.approx(
        [0, 0.025, 0.05, 0.1, 0.1]
    )
    assert linear_ramp(0.0, 0.0, 0.1) == 0.1


def test_accuracy_counts_rows_whose_nearest_is_the_target() -> None:
    similarity = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.7], [0.3, 0.2]])
    targets = torch.tensor([[1.0, 0.0], [0.2, 0.8], [0.0, 1.0], [0.6, 0.4]])
    assert accuracy(similarity, targets) == 0.75


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (0, 0)])
def test_a_batch_none_of_whose_taxa_has_a_photo_costs_nothing(shape: tuple[int, int]) -> None:
    similarity = torch.zeros(shape, requires_grad=True)
    loss = contrastive(similarity, torch.zeros(shape), torch.tensor(10.0))
    loss.backward()
    assert float(loss.detach()) == 0.0 and similarity.grad is not None
