"""Search of all entries of a gallery: those nearest to a vector, by cosine.

Exact search reads every vector. The index is an inverted file (Jégou, Douze and Schmid, IEEE TPAMI, 2011) whose cells
are the taxa: only those whose centroids are nearest are read, until so many of their entries have added nothing to what
was found. Both read the vectors in the file, so there is nothing to build and nothing that could be out of date.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gallery.database import DAMAGED
from gallery.entry import MODALITIES
from gallery.errors import GalleryError
from gallery.rows import hash_of
from gallery.store import Gallery
from gallery.vectors import of_taxon, pieces

LEAST = 4_000  # entries that are read, whatever they add
PATIENCE = 2_000  # entries in a row that add nothing before the search ends
THREADS = 2  # of exact search: more wait for the disk or memory


@dataclass(frozen=True)
class Neighbour:
    """An entry near a vector.

    Attributes
    ----------
    id : int
        Of the entry, for `gallery.store.Gallery.thumbnail`.
    modality, scientific_name : str
    label, author, licence, source, sha256 : str
        As of an `gallery.entry.Entry`.
    similarity : float
        Cosine.
    """

    id: int
    modality: str
    scientific_name: str
    label: str
    author: str
    licence: str
    source: str
    sha256: str
    similarity: float


_Place = tuple[float, int, int]  # cosine, row of the block, place in it


class Nearest:
    """Finds the nearest entries in one gallery, for one thread; the means of its taxa are read once.

    Parameters
    ----------
    gallery : Gallery
    modalities : sequence of str, optional
        Of the entries to find; all when not given. Class vectors are never found.

    Raises
    ------
    GalleryError
        The gallery has no entries of them, or cannot be read.
    """

    def __init__(self, gallery: Gallery, modalities: Sequence[str] | None = None) -> None:
        self._gallery = gallery
        asked = [one for one in MODALITIES if modalities is None or one in modalities]
        self._cells: list[tuple[str, np.ndarray, np.ndarray]] = []  # modality, rows of taxa, their directions
        ids = np.array([row["id"] for row in gallery.rows("SELECT id FROM taxa ORDER BY id")], np.int64)
        for modality in asked:
            sums = gallery.sums(modality)
            if sums is not None:
                lengths = np.linalg.norm(sums.totals, axis=1, keepdims=True)
                sums.totals[:] /= np.where(lengths > 0, lengths, 1.0)
                self._cells.append((modality, ids[sums.rows], sums.totals))
        if not self._cells:
            raise GalleryError(f"gallery {gallery.path} has no {' or '.join(asked)} vectors", "add entries to it")

    def find(self, vector: np.ndarray, n: int = 10, exact: bool = False) -> list[Neighbour]:
        """The nearest entries, the nearest first.

        Parameters
        ----------
        vector : numpy.ndarray
            [dim], of any length above 0.
        n : int
            At most so many.
        exact : bool
            Compare with every vector.

        Raises
        ------
        GalleryError
            The vector is of another dim or has no direction, or the gallery cannot be read.
        """
        direction = np.asarray(vector, np.float32)
        length = float(np.linalg.norm(direction))
        if direction.shape != (self._gallery.identity.dim,) or not 0 < length < np.inf:
            raise GalleryError(
                f"a vector of shape {list(direction.shape)} and length {length:g} cannot be searched for in gallery "
                f"{self._gallery.path}",
                "use the encoders that made the gallery",
            )
        direction = direction / length
        best = self._exact(direction, n) if exact else self._nearest(direction, n)
        return [self._neighbour(*one) for one in sorted(best, reverse=True)]

    def _nearest(self, direction: np.ndarray, n: int) -> list[_Place]:
        cosines = [directions @ direction for _, _, directions in self._cells]
        order = np.argsort(-np.concatenate(cosines), kind="stable")
        ends = np.cumsum([len(one) for one in cosines])
        best: list[_Place] = []
        read = idle = 0
        for at in order.tolist():
            if read >= LEAST and idle >= PATIENCE and len(best) == n:
                break
            cell = int(np.searchsorted(ends, at, side="right"))
            modality, rows, _ = self._cells[cell]
            taxon = int(rows[at - (ends[cell - 1] if cell else 0)])
            piece = self._gallery.read(of_taxon, modality, taxon)
            if piece is not None:
                size = len(piece[2])
                read += size
                idle = 0 if _take(best, piece, direction, n) else idle + size
        return best

    def _exact(self, direction: np.ndarray, n: int) -> list[_Place]:
        found: list[list[_Place]] = []
        errors: list[BaseException] = []
        modalities = [modality for modality, _, _ in self._cells]

        def search(part: int) -> None:
            best: list[_Place] = []
            try:
                with Gallery.open(self._gallery.path) as opened:
                    for piece in opened.each(pieces, modalities, part, THREADS):
                        _take(best, piece, direction, n)
            except BaseException as error:  # carried to the caller
                errors.append(error)
            found.append(best)

        threads = [threading.Thread(target=search, args=(part,)) for part in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return heapq.nlargest(n, [one for best in found for one in best])

    def _neighbour(self, similarity: float, block: int, place: int) -> Neighbour:
        found = self._gallery.rows(
            """
            SELECT entries.id, entries.modality, scientific_name, label, author, licence, source, sha256
            FROM vectors JOIN taxa ON taxa.id = vectors.taxon
            JOIN entries ON entries.taxon = vectors.taxon AND entries.modality = vectors.modality
                AND entries.block = vectors.id AND entries.place = ?
            WHERE vectors.id = ?
            """,
            (place, block),
        )
        if len(found) != 1:
            raise GalleryError(
                f"gallery {self._gallery.path} is damaged (a vector belongs to {len(found)} entries)", DAMAGED
            )
        [row] = found
        return Neighbour(**{**row, "sha256": hash_of(row["sha256"])}, similarity=similarity)


def _take(best: list[_Place], piece: tuple[list[int], list[int], np.ndarray], direction: np.ndarray, n: int) -> bool:
    """Put what is nearer than the least of the best `n`, a heap, in its place; whether anything was."""
    blocks, sizes, vectors = piece
    cosines = vectors @ direction
    rows = np.flatnonzero(cosines > best[0][0]).tolist() if len(best) >= n else range(len(cosines))
    ends = np.cumsum(sizes)
    for row in rows:
        at = int(np.searchsorted(ends, row, side="right"))
        one = (float(cosines[row]), blocks[at], row - int(ends[at] - sizes[at]))
        if len(best) < n:
            heapq.heappush(best, one)
        elif one > best[0]:
            heapq.heapreplace(best, one)
    return bool(rows)
