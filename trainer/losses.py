"""Contrastive losses over a matrix of similarities with soft targets.

ATC, AIC and ITC, one or several positives per row, and candidates of a batch or of all taxa share one function and
differ only in the target matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def same_taxon(rows: Tensor, columns: Tensor) -> Tensor:
    """Targets in which all pairs of the same taxon are positives.

    Parameters
    ----------
    rows : [n] taxon of each row; columns : [m] taxon of each column

    Returns
    -------
    [n, m] float, ones and zeros
    """
    return (rows[:, None] == columns[None, :]).float()


def in_batch_targets(targets: Tensor, taxa: Tensor, positives: str) -> Tensor:
    """Targets [n, n] of samples against the prompts or photos drawn for the samples of their batch.

    Parameters
    ----------
    targets : [n, taxa] taxa of each sample
    taxa : [n] taxon of the prompt or photo of each sample
    positives : `taxon`, all pairs of the same taxon, or `diagonal`, only a sample's own (the papers)
    """
    if positives == "diagonal":
        return torch.eye(len(taxa), device=targets.device)
    return targets[:, taxa]


def soft_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the rows that have a target; each target row is normalised to sum to one.

    Parameters
    ----------
    logits, targets : [n, m]; rows without a target are ignored, and without rows or candidates the loss is zero
    smoothing : share of the target that is spread over all candidates
    """
    if not logits.numel():
        return logits.sum()
    total = targets.sum(dim=1, keepdim=True)
    rows = total[:, 0] > 0
    share = targets / total.clamp_min(1e-9)
    share = share * (1.0 - smoothing) + smoothing / logits.shape[1]
    each = -(share * F.log_softmax(logits, dim=1)).sum(dim=1)
    return (each * rows).sum() / rows.sum().clamp_min(1)


def contrastive(similarity: Tensor, targets: Tensor, scale: Tensor, smoothing: float = 0.0) -> Tensor:
    """Symmetric contrastive loss: mean of the cross-entropies along rows and along columns (BioVITA, section 3; CLIP).

    With the identity as `targets` this is the paper's loss; with `same_taxon`, recordings of one species in a batch are
    positives of each other instead of negatives.

    Parameters
    ----------
    similarity : [n, m] cosines
    targets : [n, m] non-negative; rows and columns without a target are ignored
    scale : scalar, the exponential of the logit scale
    """
    logits = similarity * scale
    return (soft_cross_entropy(logits, targets, smoothing) + soft_cross_entropy(logits.t(), targets.t(), smoothing)) / 2


def linear_ramp(epoch: float, epochs: float, top: float) -> float:
    """Weight of a loss that rises linearly from 0 to `top` over the first `epochs` epochs (lambda of stage 2)."""
    return top if epochs <= 0 else top * min(1.0, max(0.0, epoch / epochs))


def accuracy(similarity: Tensor, targets: Tensor) -> float:
    """Share of rows whose most similar column has the largest target."""
    with torch.no_grad():
        return float((similarity.argmax(dim=1) == targets.argmax(dim=1)).float().mean())
