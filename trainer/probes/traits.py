"""Trait prediction: a linear probe on frozen vectors, F1 of each label on species it was not trained on.

Follows AnimalCLAP's protocol, on which BioVITA's is based: frozen encoder, vectors of unit length, one linear layer,
yes above a sigmoid of 0.5, F1 for each label. Three things differ, because vectors are computed once:

- there, 30 crops of each species are drawn per epoch, with replacement; here each species has the same weight in the
  loss, which has the same effect;
- there, 5 epochs at a learning rate of 1e-4 and batches of 128; on a small data set that is a few dozen steps, which
  hardly change a linear layer. Here the loss has an L2 penalty and is minimised;
- there, a label with several values is one question, measured as accuracy; here each value is a label of its own.

The split is by species: each is tested once, by a probe trained on the species of the other folds, and F1 is computed
over the answers of all folds. The fold of a species depends only on the seed and its name, so sound and pictures are
probed on the same split. Close relatives may be in other folds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeapp.collect.traits.schema import LABELS, NO, UNKNOWN, YES, TraitTable
from trainer.errors import ConfigError, DataError
from trainer.probes.labelled import unit

HISTORY = 20  # steps of L-BFGS
MIN_TRAINED = 3  # species with yes, and with no, in every training part


@dataclass(frozen=True)
class ProbeConfig:
    """Settings of the probe.

    Attributes
    ----------
    folds : number of folds of the species
    penalty : weight of the sum of squared weights, relative to the mean loss; 1e-2 to 1e-4 give the same results on
        the starter data
    balanced : whether yes and no have equal total weight in training; if not, as in the protocol, a probe with few
        species hardly ever predicts a rare label
    least_species : minimum number of tested species with yes, and with no, for a label to be measured
    iterations : maximum number of iterations of L-BFGS
    """

    folds: int = 5
    penalty: float = 1e-3
    balanced: bool = True
    least_species: int = 5
    iterations: int = 200


@dataclass(frozen=True)
class TraitScore:
    """Prediction of one label from one modality, on species not trained on.

    Attributes
    ----------
    f1, precision, recall : None if the label cannot be measured
    constant_f1 : F1 of always predicting yes, 2p / (1 + p) for a share p of yes; always predicting no has 0
    samples, positives : number of tested samples with a known value, and of those with yes
    species, positive_species : number of their species
    why_not : reason if it cannot be measured
    """

    label: str
    group: str
    modality: str
    f1: float | None
    precision: float | None
    recall: float | None
    constant_f1: float | None
    samples: int
    positives: int
    species: int
    positive_species: int
    why_not: str = ""


@dataclass(frozen=True)
class Macro:
    """Means over the labels that could be measured; None if there are none."""

    f1: float | None
    constant_f1: float | None
    labels: int


def probe(
    features: np.ndarray,
    species: Sequence[str],
    table: TraitTable,
    seed: int = 1,
    modality: str = "",
    config: ProbeConfig = ProbeConfig(),
    unseen: Collection[str] = (),
    device: str | torch.device = "cpu",
) -> list[TraitScore]:
    """Train and test a linear probe for every label.

    Parameters
    ----------
    features : [n, dim] vectors of recordings or of photos, which are normalised to unit length
    species : [n] scientific name of each; samples of species that are not in the table are left out
    table : values of the labels; unknown values are neither trained on nor tested
    seed : of the folds
    modality : name in the scores
    unseen : species to test on, in place of folds; all others are trained on

    Returns
    -------
    One score for each of the 34 labels, in the order of the schema.

    Raises
    ------
    DataError
        The vectors are invalid, or none belongs to a species of the table.
    ConfigError
        Fewer than two folds, or a penalty that is not positive.
    """
    if config.folds < 2 or config.penalty <= 0:
        raise ConfigError(
            f"{config.folds} folds, penalty {config.penalty:g}: invalid", "give at least 2 folds and a penalty above 0"
        )
    if features.ndim != 2 or len(features) != len(species) or not len(species):
        shape = list(features.shape)
        raise DataError(f"features {shape} of {len(species)} samples", "give one vector [dim] for each sample")
    features = unit("features", features)
    names = np.array([" ".join(name.split()).casefold() for name in species])
    answers = table.of(list(species))
    known = (answers != UNKNOWN).any(axis=1)
    if not known.any():
        raise DataError(f"{table.path} has none of the species", "check that it has the scientific names of the data")
    features, names, answers = features[known], names[known], answers[known]
    parts = _parts(names, config.folds, seed, unseen)
    guesses = np.full(answers.shape, UNKNOWN, np.int8)
    for tested in parts:
        layer = fit(
            torch.from_numpy(features[~tested]).to(device, torch.float32),
            torch.from_numpy(answers[~tested]).to(device),
            torch.from_numpy(sample_weights(names[~tested], answers[~tested], config.balanced)).to(device),
            config,
        )
        with torch.no_grad():
            logits = layer(torch.from_numpy(features[tested]).to(device, torch.float32))
        guesses[tested] = np.where(logits.cpu().numpy() > 0, YES, NO)
    return [
        _score(row, modality, names, answers[:, row], guesses[:, row], parts, config.least_species)
        for row in range(len(LABELS))
    ]


def fit(features: Tensor, answers: Tensor, weights: Tensor, config: ProbeConfig = ProbeConfig()) -> nn.Linear:
    """The linear layer, with a row per label, that minimises the weighted binary cross-entropy plus the penalty.

    Parameters
    ----------
    features : [n, dim] float32
    answers : [n, labels] YES, NO or UNKNOWN
    weights : [n, labels] of each answer, zero if it is unknown
    """
    layer = nn.Linear(features.shape[1], answers.shape[1]).to(features.device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    target, weights = (answers == YES).float(), weights.float()
    optimizer = torch.optim.LBFGS(
        layer.parameters(),
        max_iter=config.iterations,
        history_size=HISTORY,
        tolerance_grad=1e-6,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = F.binary_cross_entropy_with_logits(layer(features), target, weights, reduction="sum")
        loss = losses + config.penalty * layer.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)
    return layer


def sample_weights(names: np.ndarray, answers: np.ndarray, balanced: bool) -> np.ndarray:
    """Weights [n, labels] of the answers in the loss: equal for all species, summing to one for each label.

    With `balanced`, yes and no of a label have a total weight of one half each. Unknown answers have weight zero.
    """
    _, row, count = np.unique(names, return_inverse=True, return_counts=True)
    weights = (1.0 / count[row])[:, None] * (answers != UNKNOWN)
    sides = [answers == YES, answers == NO] if balanced else [answers != UNKNOWN]
    for side in sides:
        total = (weights * side).sum(axis=0)
        weights = weights / np.where(side, np.where(total > 0, total, 1.0) * len(sides), 1.0)
    return weights.astype(np.float32)


def fold_of(name: str, folds: int, seed: int) -> int:
    """Fold of a species, which depends only on the seed and its name."""
    digest = hashlib.sha256(f"{seed} {' '.join(name.split()).casefold()}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % folds


def f1_score(truth: np.ndarray, guess: np.ndarray) -> tuple[float, float, float]:
    """F1, precision and recall of yes, from truth and guess [n] bool; zero if no yes is correct."""
    right = int((truth & guess).sum())
    guessed, true = int(guess.sum()), int(truth.sum())
    return (
        2 * right / (guessed + true) if guessed + true else 0.0,
        right / guessed if guessed else 0.0,
        right / true if true else 0.0,
    )


def macro(scores: Sequence[TraitScore], only: Collection[str] | None = None) -> Macro:
    """Mean F1 over the measured labels, or those of them in `only`."""
    measured = [s for s in scores if s.f1 is not None and (only is None or s.label in only)]
    if not measured:
        return Macro(None, None, 0)
    mean = [float(np.mean([getattr(s, name) for s in measured])) for name in ("f1", "constant_f1")]
    return Macro(mean[0], mean[1], len(measured))


def measured_in_all(scores: Mapping[str, Sequence[TraitScore]]) -> set[str]:
    """Labels that were measured in every modality; only means over these can be compared."""
    return set.intersection(*({score.label for score in own if score.f1 is not None} for own in scores.values()))


def _parts(names: np.ndarray, folds: int, seed: int, unseen: Collection[str]) -> list[np.ndarray]:
    """Tested samples [n] bool of each part."""
    if unseen:
        tested = np.isin(names, [" ".join(name.split()).casefold() for name in unseen])
        if not tested.any() or tested.all():
            where = "all" if tested.any() else "none"
            raise DataError(f"{where} of the samples are of unseen species", "name some of the species, not all")
        return [tested]
    unique, row = np.unique(names, return_inverse=True)
    fold = np.array([fold_of(name, folds, seed) for name in unique])[row]
    return [fold == one for one in np.unique(fold)]


def _score(
    row: int,
    modality: str,
    names: np.ndarray,
    answers: np.ndarray,
    guesses: np.ndarray,
    parts: Sequence[np.ndarray],
    least: int,
) -> TraitScore:
    """Score of one label over the parts that test it."""
    label = LABELS[row]

    def counted(where: np.ndarray) -> tuple[int, int]:
        return tuple(len(np.unique(names[where & (answers == value)])) for value in (YES, NO))  # type: ignore[return-value]

    asked = np.logical_or.reduce(parts) & (answers != UNKNOWN)
    truth = answers[asked] == YES
    yes, no = counted(asked)
    trained = [counted(~part) for part in parts if (part & asked).any()]
    why_not = ""
    if min(yes, no) < least:
        why_not = f"{yes} tested species with yes and {no} with no; {least} of each are needed"
    elif min(min(pair) for pair in trained) < MIN_TRAINED:
        why_not = f"a training part has fewer than {MIN_TRAINED} species with yes, or with no"
    f1, precision, recall = (None, None, None) if why_not else f1_score(truth, guesses[asked] == YES)
    constant = None if why_not else f1_score(truth, np.ones(len(truth), bool))[0]
    return TraitScore(
        label.name,
        label.group,
        modality,
        f1,
        precision,
        recall,
        constant,
        len(truth),
        int(truth.sum()),
        len(np.unique(names[asked])),
        yes,
        why_not,
    )
