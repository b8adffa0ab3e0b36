"""The text tower in closed form: a ridge regression from the words of the prompts to class vectors.

With some thousand names and a thousand target values for each, regularisation is what generalises; gradient descent
from random weights overfits the training names.
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

# L2 penalty of a token by its role: words shared by relatives predict the sound best, epithets worst.
PENALTIES = {"ranks": 5.0, "noun": 10.0, "adjectives": 30.0, "epithet": 60.0}
BATCH = 1024  # prompts

# Strong directions of the class vectors separate groups of animals, weak ones relatives; a regression shrinks the weak
# ones most. Dividing by the root of the spectrum restores them; exponents of 0.25 to 0.6 give the same results.
SHARPENING = 0.5
UNKNOWN = 1e-3  # value in each direction for a name without known words, negligible for others
FLOOR = 0.05  # share of the mean of the spectrum below which directions are noise


@torch.no_grad()
def start_words(tower: Tower, bank: TextBank, targets: Tensor, penalty: Tensor) -> None:
    """Initialise the tokens and the projection of a text tower with the best ridge regression of its rank.

    The target of every prompt is that of its taxon. The weights [vocabulary, dim] of the regression are sharpened and
    truncated to the tower's width by their singular vectors.

    Parameters
    ----------
    tower : with a `WordTower`
    bank : prompts of the training taxa
    targets : [taxa, dim] unit vectors
    penalty : [vocabulary] L2 penalty of each token, see `penalties`
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
    """Weights [vocabulary, dim] of the ridge regression from prompts, with word weights of `WordTower`, to targets."""
    size = len(penalty)
    gram = torch.zeros(size, size)
    moment = torch.zeros(size, targets.shape[1])
    for tokens in bank.tokens:
        for part, goals in zip(tokens.split(BATCH), targets.split(BATCH), strict=True):
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
    """Map [dim, dim] that divides each direction by a power of the variance of the targets [taxa, dim] along it."""
    spectrum, vectors = torch.linalg.eigh(targets.t() @ targets / len(targets))
    gain = (spectrum.clamp_min(0.0) / spectrum.mean() + FLOOR) ** -SHARPENING
    return (vectors * gain) @ vectors.t()


def penalties(taxa: Sequence[Taxon], tokenizer: Tokenizer) -> Tensor:
    """Penalty [vocabulary] of each token: the mean over its roles in `taxa`, or the largest without any."""
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
    """Words of a taxon's names by their role, a key of `PENALTIES`."""
    yield "ranks", [taxon.class_, taxon.order, taxon.family, taxon.genus]
    yield "epithet", taxon.scientific_name.split()[1:]
    *adjectives, noun = taxon.common_name.replace("-", " ").split() or [""]
    yield "noun", [noun]
    yield "adjectives", adjectives
