"""The text tower in closed form: a ridge regression from the words of the prompts to class vectors.

With some thousand names and a thousand numbers to predict for each, what generalises is shrinkage; gradient
steps from random weights fit the names they see and miss the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

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


# Strong directions of the class vectors say which kind of animal sounds, weak ones which of its relatives; a regression
# shrinks the weak ones most. The root of the spectrum gives them back their say; 0.25 to 0.6 do alike.
SHARPENING = 0.5
UNKNOWN = 1e-3  # in each direction, where a name says nothing: too little to turn one that says something
FLOOR = 0.05  # of the mean of the spectrum: what lies below is noise


@torch.no_grad()
def start_words(tower: Tower, bank: TextBank, targets: Tensor, penalty: Tensor) -> None:
    """Set the tokens and the projection of a text tower to the best ridge regression of its rank.

    Every prompt of a taxon is to give the taxon's target. The regression's weights [vocabulary, dim] are sharpened and
    cut to the tower's width by their singular vectors.

    Parameters
    ----------
    tower : of a `WordTower`
    bank : prompts of the taxa to learn from
    targets : [taxa, dim] unit vectors
    penalty : [vocabulary] of the squared weights of each token; see `penalties`
    """
    words = cast(WordTower, tower.get_submodule("trunk"))
    goal = targets.cpu().float()
    weights = regression(bank, goal, penalty) @ sharpening(goal)
    _, vectors = torch.linalg.eigh(weights.t() @ weights)
    basis = vectors[:, -min(words.config.width, vectors.shape[1]) :]  # [dim, width], the strongest directions
    words.tokens.weight.zero_()
    words.tokens.weight[:, : basis.shape[1]] = (weights @ basis).to(words.tokens.weight.device)
    words.unknown.fill_(UNKNOWN)
    projection = tower.get_submodule("projection").get_parameter("weight")
    projection.zero_()
    projection[:, : basis.shape[1]] = basis.to(projection.device)


def regression(bank: TextBank, targets: Tensor, penalty: Tensor) -> Tensor:
    """Weights [vocabulary, dim] of the ridge regression from prompts, as `WordTower` weighs their words, to targets."""
    size = len(penalty)
    gram = torch.zeros(size, size)
    moment = torch.zeros(size, targets.shape[1])
    for tokens in bank.tokens:
        for part, goals in zip(tokens.split(ROWS), targets.split(ROWS), strict=True):
            part = trim(part)
            kept = (part > END).float()
            share = kept / kept.sum(dim=1, keepdim=True).clamp_min(1.0).sqrt()
            pairs = part[:, :, None] * size + part[:, None, :]
            gram.view(-1).scatter_add_(0, pairs.flatten(), (share[:, :, None] * share[:, None, :]).flatten())
            counts = torch.zeros(len(part), size).scatter_add_(1, part, share)
            moment += counts.t() @ goals
    gram.diagonal().add_(penalty)
    return torch.cholesky_solve(moment, torch.linalg.cholesky(gram))


def sharpening(targets: Tensor) -> Tensor:
    """Map [dim, dim] that divides each direction by a power of how much the targets [taxa, dim] vary along it."""
    spectrum, vectors = torch.linalg.eigh(targets.t() @ targets / len(targets))
    gain = (spectrum.clamp_min(0.0) / spectrum.mean() + FLOOR) ** -SHARPENING
    return (vectors * gain) @ vectors.t()


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
