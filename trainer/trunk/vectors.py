"""Class vectors of a pack as audio prototypes: one unit vector for each taxon of its classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeapp.pack.format import Pack
from gallery import Gallery, Index, Names, Taxon
from trainer.errors import DataError

MIN_TAXA = 8  # to train on


@dataclass(frozen=True)
class Prototypes:
    """Taxa and the direction of their sound in the space of a pack.

    Attributes
    ----------
    taxa : those with a class vector
    vectors : [taxa, dim] float32, unit length: rows of the classifier without their mean, which only detects whether
        there is an animal
    """

    taxa: tuple[Taxon, ...]
    vectors: np.ndarray


def read_rows(pack: Pack, gallery: Path | None = None) -> tuple[list[Taxon], np.ndarray]:
    """Taxa with a class vector and the rows of the classifier [taxa, dim], not normalised, from a pack's gallery.

    Raises
    ------
    DataError
        When there are too few.
    PackError, GalleryError
        When the pack has no gallery, or it is of another space.
    """
    path = gallery or pack.gallery_path()
    with Gallery.open(path, pack.identity) as opened:
        found = Index.of(opened)
    vectors = found.class_vectors
    if vectors is None or len(vectors.rows) < MIN_TAXA:
        count = 0 if vectors is None else len(vectors.rows)
        raise DataError(
            f"{path}: has {count} class vectors, fewer than {MIN_TAXA}",
            "name a pack built from a classifier with --pack",
        )
    return [found.taxa[row] for row in vectors.rows], vectors.weights


def read_prototypes(pack: Pack, withheld: Sequence[str] = ()) -> tuple[Prototypes, Prototypes]:
    """Prototypes of a pack to train on, and those of withheld taxa.

    Parameters
    ----------
    withheld : scientific or common names of taxa; their rows are not used in the mean either

    Raises
    ------
    DataError
        When too few are left to train on.
    """
    taxa, rows = read_rows(pack)
    places = {taxon.scientific_name: row for row, taxon in enumerate(taxa)}
    names = Names(taxa)
    held = np.zeros(len(taxa), bool)
    for name in withheld:
        held[places[names.find(name, suggest=False).scientific_name]] = True
    if (~held).sum() < MIN_TAXA:
        raise DataError(
            f"{int((~held).sum())} of {len(taxa)} names are left to train on, fewer than {MIN_TAXA}",
            "withhold fewer",
        )
    mean = rows[~held].mean(axis=0)
    parts = []
    for mask in (~held, held):
        rest = rows[mask] - mean
        rest /= np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-9)
        kept = tuple(taxon for taxon, keep in zip(taxa, mask) if keep)
        parts.append(Prototypes(kept, rest.astype(np.float32)))
    return parts[0], parts[1]
