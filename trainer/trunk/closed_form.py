"""The text tower in closed form: a ridge regression from the words of the prompts to class vectors.

With some thousand names and a thousand numbers to predict for each, what generalises is shrinkage; gradient
steps from random weights fit the names they see and miss the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from gallery import Taxon
from trainer.bank import TextBank, trim
from trainer.models.text import END
from trainer.models.trunk import WordTower
from trainer.models.vita import Tower

# Of the squared weights, by what a token names: what relatives share says most about a sound, an epithet least.
PENALTIES = {"ranks": 5.0, "noun": 10.0, "adjectives": 30.0, "epithet": 60.0}
ROWS = 1024  # prompts at once


@torch.no_grad()
def start_words(tower: Tower, bank: TextBank, targets: Tensor, penalty: Tensor) -> None:
    """Set the tokens and the projection of a text tower to the best ridge regression of its rank.

    Every prompt of a taxon is to give the taxon's target. The regression's weights [vocabulary, dim] are cut to the
    tower's width by their singular vectors.

    Parameters
    ----------
    tower : of a `WordTower`
    bank : prompts of the taxa to learn from
    targets : [taxa, dim] unit vectors
    penalty : [vocabulary] of the squared weights of each token; see `penalties`
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


def penalties(taxa: Sequence[Taxon], tokenizer: Tokenizer) -> Tensor:
    """Penalty [vocabulary] of each token: the mean over what it names in `taxa`, the largest where it names nothing."""
    size = tokenizer.get_vocab_size()
    total, count = torch.zeros(size), torch.zeros(size)
    for role, penalty in PENALTIES.items():
        texts = [text for taxon in taxa if (text := " ".join(dict(parts(taxon))[role]))]
        for encoding in tokenizer.encode_batch(texts):
            named = torch.tensor([token for token in encoding.ids if token > END])
            total[named] += penalty
            count[named] += 1
    return torch.where(count > 0, total / count.clamp_min(1), max(PENALTIES.values()))


def parts(taxon: Taxon) -> Iterator[tuple[str, list[str]]]:
    """The words of a taxon's names by their role, the keys of `PENALTIES`."""
    yield "ranks", [taxon.class_, taxon.order, taxon.family, taxon.genus]
    yield "epithet", taxon.scientific_name.split()[1:]
    *adjectives, noun = taxon.common_name.replace("-", " ").split() or [""]
    yield "noun", [noun]
    yield "adjectives", adjectives
