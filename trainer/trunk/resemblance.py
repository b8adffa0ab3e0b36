"""Classes that photos are compared with, and the initial head of the image tower, before its trunk is tuned.

The photo network has its own classes. For taxa that it lacks, classes are added: one for each taxon with photos, and
one for each of their families and orders without a class of the network, so that a photo of another frog still
resembles a frog. They are fitted by logistic regression on features of photos. Classes of the network have few photos
or none, so synthetic features represent them: the mean of a class is its weights times the covariance of the features
(the inverse of Fisher's discriminant).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gallery import Taxon
from trainer.models.photo import PhotoTower
from trainer.trunk.closed_form import sharpening
from trainer.trunk.photo_network import PhotoClasses
from trainer.trunk.relatives import Relatives

LARGEST = 6.0  # of a feature (ReLU6)
NEAR, FAR = 4.0, 10.0  # distance of synthetic features from the mean; that of photos is 9 to 10
RIDGE = 0.5  # added to the covariance, relative to the mean variance
OWN = {"species": 0.1, "family": 0.45, "order": 0.45}  # target of a photo over the added classes
STEPS, BATCH, RATE, DECAY = 250, 32, 3e-3, 0.05
BOOST = 8.0  # weight of photos of families that the network lacks, which are few against a thousand classes


@dataclass(frozen=True)
class Group:
    """An added class: a taxon, a family or an order."""

    rank: str
    name: str
    taxon: int  # the taxon, or one of the group


def added_groups(photo_taxa: np.ndarray, known: np.ndarray, taxa: Sequence[Taxon]) -> list[Group]:
    """Added classes for taxa that have photos but are no class of the network.

    Parameters
    ----------
    photo_taxa : [n] taxon of each photo
    known : taxa that are classes of the network
    """
    groups: list[Group] = []
    new = [int(taxon) for taxon in np.unique(photo_taxa) if taxon not in set(known.tolist())]
    for rank in OWN:
        present = {taxa[taxon].at(rank) for taxon in known}
        added: set[str] = set()
        for taxon in new:
            name = taxa[taxon].at(rank)
            if name and name not in present and name not in added:
                added.add(name)
                groups.append(Group(rank, name, taxon))
    return groups


def shares_of(taxon: int, groups: Sequence[Group], taxa: Sequence[Taxon]) -> np.ndarray:
    """Target [groups] of a photo over the added classes; all zero for a taxon of the network."""
    shares = np.array([OWN[g.rank] * (taxa[taxon].at(g.rank) == g.name) for g in groups], np.float32)
    return shares / max(shares.sum(), 1e-9)


class SyntheticFeatures:
    """Synthetic features [n, 1280] of classes of the network.

    Parameters
    ----------
    features : [photos, views, 1280] of real photos
    taxa : [photos] taxon of each
    """

    def __init__(self, classes: PhotoClasses, features: np.ndarray, taxa: np.ndarray) -> None:
        centres = features.mean(axis=1)
        self.mean = centres.mean(axis=0)
        covariance = np.cov((centres - self.mean).T)
        covariance[np.diag_indices_from(covariance)] += RIDGE * np.trace(covariance) / len(covariance)
        axes = (classes.weights - classes.weights.mean(axis=0)) @ covariance
        self.axes = (axes / np.linalg.norm(axes, axis=1, keepdims=True)).astype(np.float32)
        own = {taxon: centres[taxa == taxon].mean(axis=0) for taxon in np.unique(taxa)}
        between = centres - np.stack([own[taxon] for taxon in taxa])
        within = (features - centres[:, None]).reshape(-1, features.shape[2])
        self.between, self.within = between.astype(np.float32), within.astype(np.float32)

    def noise(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Random differences between photos of one taxon and between views of one photo [count, 1280]."""
        return (
            self.between[rng.integers(len(self.between), size=count)]
            + self.within[rng.integers(len(self.within), size=count)]
        )

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Features of the classes `rows` of the network."""
        distance = rng.uniform(NEAR, FAR, (len(rows), 1)).astype(np.float32)
        features = self.mean + distance * self.axes[rows] + self.noise(len(rows), rng)
        return torch.from_numpy(np.clip(features, 0.0, LARGEST).astype(np.float32))


def target_vectors(classes: PhotoClasses, groups: Sequence[Group], relatives: Relatives) -> np.ndarray:
    """Target direction [classes + groups, dim] of each class.

    They are sharpened like the vectors of names: a photo that resembles several classes would otherwise lie near their
    mean, and so near every taxon that is close to the mean of all.
    """
    placed = [relatives.place(int(taxon)) for taxon in classes.taxa]
    for group in groups:
        if group.rank == "species":
            placed.append(relatives.place(group.taxon))
        else:
            placed.append(relatives.means[group.rank][relatives.group[group.rank][group.taxon]])
    vectors = np.stack(placed) @ sharpening(torch.from_numpy(relatives.vectors)).numpy()
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def fit_groups(
    classes: PhotoClasses,
    groups: Sequence[Group],
    synthetic: SyntheticFeatures,
    features: np.ndarray,
    shares: np.ndarray,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Weights [groups, 1280] and bias [groups] of the added classes.

    Parameters
    ----------
    features : [photos, views, 1280]
    shares : [photos, groups] targets; all zero for photos of taxa of the network
    """
    rng = np.random.default_rng(seed)
    weights = torch.zeros((len(groups), features.shape[2]), requires_grad=True)
    bias = torch.full((len(groups),), -2.0, requires_grad=True)
    if not groups:
        return weights.detach(), bias.detach()
    centre = torch.from_numpy(synthetic.mean.astype(np.float32))
    scale = torch.from_numpy(features.std(axis=(0, 1)).astype(np.float32) + 0.05)
    known, known_bias = torch.from_numpy(classes.weights), torch.from_numpy(classes.bias)
    optimizer = torch.optim.AdamW([weights, bias], lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    new = shares.sum(axis=1) > 0
    new_family = shares @ np.array([group.rank != "species" for group in groups], np.float32) > 0
    weight_of = np.where(new_family, BOOST, 1.0).astype(np.float32)
    pools = [np.flatnonzero(new), np.flatnonzero(~new)]
    for _ in range(STEPS):
        drawn = [pool[rng.integers(len(pool), size=BATCH)] for pool in pools if len(pool)]
        rows = np.concatenate(drawn)
        real = features[rows, rng.integers(features.shape[1], size=len(rows))] + synthetic.noise(len(rows), rng)
        real = torch.from_numpy(np.clip(real, 0.0, LARGEST).astype(np.float32))
        x = torch.cat([real, synthetic.draw(rng.integers(len(known), size=BATCH), rng)])
        logits = torch.cat([x @ known.t() + known_bias, ((x - centre) / scale) @ weights.t() + bias], dim=1)
        log_share = F.log_softmax(logits, dim=1)
        own = torch.from_numpy(shares[drawn[0]])
        own = own * torch.from_numpy(weight_of[drawn[0]])[:, None]
        loss = -(own * log_share[: len(own), len(known) :]).sum(dim=1).mean()
        loss = loss - log_share[len(own) :, : len(known)].logsumexp(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        plain = weights / scale
        return plain, bias - plain @ centre


@torch.no_grad()
def begin(tower: PhotoTower, classes: PhotoClasses, rows: tuple[Tensor, Tensor], placed: np.ndarray) -> None:
    """Initialise the head of an image tower: the network's last layer, the added classes, and the targets of both."""
    tower.resemblance.weight.copy_(torch.cat([torch.from_numpy(classes.weights), rows[0]]))
    tower.resemblance.bias.copy_(torch.cat([torch.from_numpy(classes.bias), rows[1]]))
    tower.places.weight.copy_(torch.from_numpy(placed.T))
