"""Contrastive losses over a matrix of similarities with soft targets.

One function serves ATC, AIC and ITC, the paper's diagonal and several positives in a batch, a batch of candidates and a
whole bank of them: what differs is the target matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def same_taxon(rows: Tensor, columns: Tensor) -> Tensor:
    """Targets in which every pair of one taxon is a positive.

    Parameters
    ----------
    rows : [n] taxon of each row; columns : [m] taxon of each column

    Returns
    -------
    [n, m] float, ones and zeros
    """
    return (rows[:, None] == columns[None, :]).float()


def in_batch_targets(targets: Tensor, taxa: Tensor, positives: str) -> Tensor:
    """Targets [n, n] of samples against what was drawn for the samples of their batch.

    Parameters
    ----------
    targets : [n, taxa] what each sample holds
    taxa : [n] of which taxon the prompt or photo of each sample is
    positives : `taxon` makes all of one taxon positives of each other, `diagonal` only a sample's own (the papers)
    """
    if positives == "diagonal":
        return torch.eye(len(taxa), device=targets.device)
    return targets[:, taxa]


def soft_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the rows that have a target; each target row is scaled to sum to one.

    Parameters
    ----------
    logits, targets : [n, m]; a row of zeros takes no part, and without rows or candidates the loss is zero
    smoothing : share of the target that is spread over all candidates
    """
    if not logits.numel():
        return logits.sum()
    mass = targets.sum(dim=1, keepdim=True)
    rows = mass[:, 0] > 0
    share = targets / mass.clamp_min(1e-9)
    share = share * (1.0 - smoothing) + smoothing / logits.shape[1]
    each = -(share * F.log_softmax(logits, dim=1)).sum(dim=1)
    return (each * rows).sum() / rows.sum().clamp_min(1)


def contrastive(similarity: Tensor, targets: Tensor, scale: Tensor, smoothing: float = 0.0) -> Tensor:
    """Symmetric contrastive loss: mean of the cross-entropies along rows and along columns (BioVITA, section 3; CLIP).

    With `targets` the identity this is the paper's loss; with `same_taxon` the recordings of one species in a batch are
    positives of each other instead of negatives.

    Parameters
    ----------
    similarity : [n, m] cosines
    targets : [n, m] non-negative; rows and columns without a target take no part
    scale : scalar, the exponential of the logit scale
    """
    logits = similarity * scale
    return (soft_cross_entropy(logits, targets, smoothing) + soft_cross_entropy(logits.t(), targets.t(), smoothing)) / 2


def linear_ramp(epoch: float, epochs: float, top: float) -> float:
    """Weight of a loss that grows linearly from 0 to `top` over the first `epochs` epochs (lambda of stage 2)."""
    return top if epochs <= 0 else top * min(1.0, max(0.0, epoch / epochs))


def accuracy(similarity: Tensor, targets: Tensor) -> float:
    """Share of rows whose nearest column is the one with the largest target."""
    with torch.no_grad():
        return float((similarity.argmax(dim=1) == targets.argmax(dim=1)).float().mean())
