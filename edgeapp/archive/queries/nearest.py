"""The windows of an archive whose embeddings are nearest to those of a sound, a photo or words.

What is given is a cosine, which orders windows; it is no confidence, and cosines with photos, words and sounds cannot
be compared with each other.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeapp.archive.queries.calendar import times_ms
from edgeapp.archive.queries.replay import recording_of
from edgeapp.archive.queries.selection import Selection
from edgeapp.archive.results.dataset import EMBEDDINGS, FILES, DataSet
from edgeapp.archive.results.vectors import Vectors, vectors_of
from edgeapp.outputs.writer import Recording
from gallery.products import unit


@dataclass(frozen=True)
class Near:
    """A window that is near.

    Attributes
    ----------
    recording : Recording
    duration_s : float
        Of the recording.
    start_s, end_s : float
    similarity : float
        Cosine.
    """

    recording: Recording
    duration_s: float
    start_s: float
    end_s: float
    similarity: float


def nearest(data: DataSet, queries: np.ndarray, most: int, selection: Selection) -> list[Near]:
    """The windows nearest to any of some embeddings, the nearest first; of windows that overlap the nearest alone.

    Parameters
    ----------
    data : DataSet
        With embeddings.
    queries : numpy.ndarray
        [n, dim]
    most : int
    selection : Selection
        Of recordings and times.
    """
    best: list[tuple[float, int, Near]] = []
    count = 0
    for number in data.numbers:
        vectors = vectors_of(data, number, selection.recordings(EMBEDDINGS))
        if not len(vectors):
            continue
        similarity = np.where(_inside(vectors, data, number, selection), cosines(vectors, queries), -np.inf)
        similarity[_beside_a_nearer(vectors, similarity)] = -np.inf
        order = np.argsort(-similarity, kind="stable")[:most]
        for near in _rows(data, number, vectors.at(order), similarity[order]):
            count += 1
            heapq.heappush(best, (near.similarity, -count, near))
            if len(best) > most:
                heapq.heappop(best)
    return [near for _, _, near in sorted(best, key=lambda one: (-one[0], -one[1]))]


def cosines(vectors: Vectors, queries: np.ndarray) -> np.ndarray:
    """Cosine of each window with the nearest of some embeddings: [n, dim] -> [windows]."""
    directions = unit(np.asarray(queries, np.float32)).T
    found = [(unit(piece.vectors.astype(np.float32)) @ directions).max(axis=1) for piece in vectors.pieces()]
    return np.concatenate([*found, np.zeros(0, np.float32)])


def _inside(vectors: Vectors, data: DataSet, number: int, selection: Selection) -> np.ndarray:
    """Which windows began in the time that is asked for: [n] bool."""
    if not selection.timed:
        return np.ones(len(vectors), bool)
    files = data.part(FILES, number, ["file_id", "recorded_at", "clock"]).sort_by("file_id").combine_chunks()
    place = np.searchsorted(files["file_id"].to_numpy(), vectors.file_ids)
    ms, known = times_ms(files["recorded_at"].combine_chunks(), files["clock"].combine_chunks())
    at, inside = ms[place] + 1000 * vectors.start_s, known[place]
    if selection.since is not None:
        inside = inside & (at >= 1000 * selection.since.timestamp())
    if selection.until is not None:
        inside = inside & (at < 1000 * selection.until.timestamp())
    return inside


def _beside_a_nearer(vectors: Vectors, similarity: np.ndarray) -> np.ndarray:
    """Which windows overlap one before or after them that is nearer: [n] bool."""
    same = vectors.file_ids[1:] == vectors.file_ids[:-1]
    overlap = same & (vectors.start_s[1:] < vectors.end_s[:-1])
    after = np.r_[overlap & (similarity[1:] > similarity[:-1]), False]
    before = np.r_[False, overlap & (similarity[1:] <= similarity[:-1])]
    found: np.ndarray = after | before
    return found


def _rows(data: DataSet, number: int, vectors: Vectors, similarity: np.ndarray) -> Iterator[Near]:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(np.unique(vectors.file_ids))
    files: dict[int, dict[str, Any]] = {
        row["file_id"]: row for row in data.part(FILES, number, where=pc.field("file_id").isin(wanted)).to_pylist()
    }
    times: Sequence[tuple[float, float]] = vectors.times
    for file_id, (start_s, end_s), cosine in zip(vectors.file_ids.tolist(), times, similarity.tolist(), strict=True):
        if np.isfinite(cosine):
            row = files[file_id]
            yield Near(recording_of(row), row["duration_s"], start_s, end_s, cosine)
