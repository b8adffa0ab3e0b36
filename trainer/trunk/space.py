"""The audio space of a pack: the classifier's embedding, whitened by the covariance within species.

Within-class covariance normalisation (Hatch, Kajarekar and Stolcke, "Within-class covariance normalization for
SVM-based speaker recognition", Interspeech 2006): directions in which recordings of one species differ (the place, the
microphone, the individual) count less in a cosine. The covariance is shrunk towards a multiple of the identity, because
there are fewer recordings than dimensions. The map is invertible, so the rows of the classifier can be mapped into the
space and still give the classifier's own logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gallery.files import replacing
from trainer.errors import DataError

SPACE = "space.npz"
SHRINKAGE = 1.0  # relative to the mean variance; 0.3 to 3 differ by less than a point on held-out sources
MIN_TAXA = 2  # with several recordings, to estimate the covariance


@dataclass(frozen=True, eq=False)
class Whitening:
    """The map of an embedding to the space, `matrix @ (embedding - mean)`.

    Attributes
    ----------
    mean : [dim] float32
    matrix : [dim, dim] float32, symmetric and invertible
    """

    mean: np.ndarray
    matrix: np.ndarray

    def vectors(self, embeddings: np.ndarray) -> np.ndarray:
        """Map embeddings [n, dim] to the space."""
        return (embeddings - self.mean) @ self.matrix.T

    def embeddings(self, vectors: np.ndarray) -> np.ndarray:
        """Map vectors of the space [n, dim] back to embeddings."""
        back = np.linalg.solve(self.matrix.astype(np.float64), vectors.astype(np.float64).T).T
        return (back + self.mean).astype(np.float32)

    def rows(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A linear layer over embeddings ([classes, dim], [classes]) as one over vectors of the space."""
        moved = np.linalg.solve(self.matrix.astype(np.float64).T, weights.astype(np.float64).T).T
        return moved.astype(np.float32), (bias + weights.astype(np.float64) @ self.mean).astype(np.float32)

    def layer(self, rows: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The layer over embeddings that `rows` maps to these; the inverse of `rows`."""
        weights = rows.astype(np.float64) @ self.matrix
        return weights.astype(np.float32), (bias - weights @ self.mean).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `SPACE` in half precision."""
        with replacing(folder / SPACE) as path, path.open("wb") as file:
            np.savez(file, mean=self.mean.astype(np.float16), matrix=self.matrix.astype(np.float16))

    @classmethod
    def load(cls, folder: Path) -> Whitening:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            It is missing or cannot be read.
        """
        try:
            with np.load(folder / SPACE) as file:
                return cls(file["mean"].astype(np.float32), file["matrix"].astype(np.float32))
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{folder / SPACE}: cannot be read ({error})", "name the folder of the towers") from error


def fit_space(windows: list[np.ndarray], taxon: np.ndarray, shrinkage: float = SHRINKAGE) -> Whitening:
    """Fit the map on recordings.

    Parameters
    ----------
    windows : embeddings [n_windows, dim] of the windows of each recording
    taxon : [recordings]
    shrinkage : added to every variance, relative to the mean variance

    Raises
    ------
    DataError
        Fewer than `MIN_TAXA` taxa have several recordings.
    """
    means = np.stack([of_one.mean(axis=0) for of_one in windows]).astype(np.float64)
    differences, several = [], 0
    for one in np.unique(taxon):
        own = means[taxon == one]
        if len(own) > 1:
            several += 1
            differences.append((own - own.mean(axis=0)) * np.sqrt(len(own) / (len(own) - 1)))
    if several < MIN_TAXA:
        raise DataError(f"{several} taxa have several recordings, fewer than {MIN_TAXA}", "add recordings")
    found = np.concatenate(differences)
    variances, axes = np.linalg.eigh(found.T @ found / len(found))
    relative = np.maximum(variances, 0.0) / variances.mean()
    matrix = (axes / np.sqrt(relative + shrinkage)) @ axes.T
    matrix *= np.sqrt(len(matrix)) / np.linalg.norm(matrix)  # keeps lengths about the same
    mean = np.concatenate(windows).mean(axis=0)
    return Whitening(mean.astype(np.float32), matrix.astype(np.float32))
