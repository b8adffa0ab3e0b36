"""Triplets that are drawn once and used in every epoch, as in the released code of BioVITA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.bank import FORMS
from trainer.data.rows import RowsOfTaxon

NONE = -1  # photo of a species without photos


@dataclass(frozen=True)
class FixedTriplets:
    """As many triplets of every species; a species with fewer recordings or photos has some of them several times.

    Attributes
    ----------
    recording, photo, taxon : [n] rows of recordings and photos, and their taxon; the photo is NONE if there is none
    forms : [taxa] prompt form of each taxon
    """

    recording: np.ndarray
    photo: np.ndarray
    taxon: np.ndarray
    forms: np.ndarray

    @classmethod
    def drawn(
        cls, taxon: np.ndarray, photos: RowsOfTaxon, taxa: int, each: int, drop: bool, seed: int
    ) -> FixedTriplets:
        """Draw the triplets.

        Parameters
        ----------
        taxon : [recordings] taxon of each recording
        photos : rows of the photos of each taxon
        each : triplets of a species
        drop : leave out species without photos
        """
        rng = np.random.default_rng([seed, each])
        forms = rng.integers(FORMS, size=taxa)
        recordings = RowsOfTaxon(taxon, taxa)
        columns: list[np.ndarray] = []
        for one in np.unique(taxon).tolist():
            heard, seen = recordings.of(one), photos.of(one)
            if drop and not len(seen):
                continue
            sounds = rng.choice(heard, each, replace=len(heard) < each)
            pictures = rng.choice(seen, each, replace=len(seen) < each) if len(seen) else np.full(each, NONE)
            columns.append(np.stack([sounds, pictures, np.full(each, one)]))
        recording, photo, of = np.concatenate(columns, axis=1) if columns else np.zeros((3, 0), np.int64)
        return cls(recording, photo, of, forms)

    def __len__(self) -> int:
        return len(self.recording)


def first_rows(taxon: np.ndarray, rows: np.ndarray, most: int) -> np.ndarray:
    """The first `most` of the rows of each taxon, in order; all of them if `most` is 0."""
    if not most:
        return rows
    order = np.argsort(taxon[rows], kind="stable")
    sorted_taxon = taxon[rows][order]
    begins = np.searchsorted(sorted_taxon, sorted_taxon)
    return np.sort(rows[order[np.arange(len(order)) - begins < most]])
