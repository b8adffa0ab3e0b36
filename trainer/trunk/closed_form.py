"""The text tower in closed form: a ridge regression from the words of the prompts to class vectors.

With some thousand names and a thousand numbers to predict for each, what generalises is shrinkage; gradient
steps from random weights fit the names they see and miss the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.bank import TextBank, trim
from trainer.models.text import END
from trainer.models.trunk import WordTower
from trainer.models.vita import Tower

PENALTY = 10.0  # of the squared weights; 3 to 30 do alike on names left out
ROWS = 1024  # prompts at once


@torch.no_grad()
def start_words(tower: Tower, bank: TextBank, targets: Tensor, penalty: float = PENALTY) -> None:
    """Set the tokens and the projection of a text tower to the best ridge regression of its rank.

    Every prompt of a taxon is to give the taxon's target. The regression's weights [vocabulary, dim] are cut to the
    tower's width by their singular vectors.

    Parameters
    ----------
    tower : of a `WordTower`
    bank : prompts of the taxa to learn from
    targets : [taxa, dim] unit vectors
    penalty : of the squared weights
    """
    words = tower.get_submodule("trunk")
    assert isinstance(words, WordTower)
    size, width = words.config.vocabulary, words.config.width
    gram = torch.zeros(size, size)
    moment = torch.zeros(size, targets.shape[1])
    goal = targets.cpu().float()
    for tokens in bank.tokens:
        for part, goals in zip(tokens.split(ROWS), goal.split(ROWS), strict=True):
            part = trim(part)
            kept = (part > END).float()
            share = kept / kept.sum(dim=1, keepdim=True).clamp_min(1.0).sqrt()  # as `WordTower` weighs them
            pairs = part[:, :, None] * size + part[:, None, :]
            gram.view(-1).scatter_add_(0, pairs.flatten(), (share[:, :, None] * share[:, None, :]).flatten())
            counts = torch.zeros(len(part), size).scatter_add_(1, part, share)
            moment += counts.t() @ goals
    gram.diagonal().add_(penalty)
    weights = torch.cholesky_solve(moment, torch.linalg.cholesky(gram))
    _, vectors = torch.linalg.eigh(weights.t() @ weights)
    basis = vectors[:, -min(width, vectors.shape[1]) :]  # [dim, width], the strongest directions
    words.tokens.weight.zero_()
    words.tokens.weight[:, : basis.shape[1]] = weights @ basis
    projection = tower.get_submodule("projection").get_parameter("weight")
    projection.zero_()
    projection[:, : basis.shape[1]] = basis.to(projection.device)
