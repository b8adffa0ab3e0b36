"""How much sound there is and how long it takes, from a few of many recordings."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeapp.archive.recognition import Loaded
from edgeapp.audio.file import FileSource
from edgeapp.audio.microphones.complaints import overheard
from edgeapp.errors import AudioError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_FILES = 500  # whose headers are read
MOST_S = 10.0
TRIED_FILES, TRIED_S = 5, 1.5  # heard to see how long it takes, and for how long each
# Bytes of a row in Parquet, as measured on a garden's recordings; a vector takes two for each of its numbers.
FILE_BYTES, DETECTION_BYTES, WINDOW_BYTES, VECTOR_BYTES = 150, 40, 90, 12


@dataclass(frozen=True)
class Sampled:
    """What the headers of some recordings say.

    Attributes
    ----------
    n_read : int
        Recordings that were looked into.
    n_unreadable : int
        Of those.
    examples : tuple of str
        Why, for the first of them.
    sound_s : float
        Seconds of sound of all recordings, from the bytes of those that were looked into.
    """

    n_read: int
    n_unreadable: int
    examples: tuple[str, ...]
    sound_s: float


@dataclass(frozen=True)
class Speed:
    """What hearing a little took.

    Attributes
    ----------
    times_real_time : float
        Of one thread.
    windows, detections : float
        A second of sound.
    """

    times_real_time: float
    windows: float
    detections: float


def sampled(table: pa.Table, n_bytes: int) -> Sampled:
    """Look into the headers of recordings that are spread evenly over an archive.

    Parameters
    ----------
    table : pyarrow.Table
        With ``file`` and ``size``, as of `edgeapp.archive.plan.Plan`.
    n_bytes : int
        Of all of them.
    """
    step = max(1, table.num_rows // MOST_FILES)
    began = time.monotonic()
    reasons: list[str] = []
    n_read = seen_bytes = 0
    seen_s = 0.0
    for row in range(0, table.num_rows, step):
        if time.monotonic() - began > MOST_S:
            break
        path, size = os.fsdecode(table["file"][row].as_py()), table["size"][row].as_py()
        n_read += 1
        try:
            with overheard(), closing(FileSource(path)) as source:
                if source.duration_s is not None:  # a header that tells
                    seen_s += source.duration_s
                    seen_bytes += size or 0
        except AudioError as error:
            reasons.append(str(error))
    return Sampled(n_read, len(reasons), tuple(reasons[:3]), seen_s / seen_bytes * n_bytes if seen_bytes else 0.0)


def tried(table: pa.Table, loaded: Loaded) -> Speed | None:
    """Hear a little of some recordings with one thread; None where none can be heard."""
    spent = sound_s = 0.0
    windows = detections = heard = 0
    step = max(1, table.num_rows // (TRIED_FILES * 4))
    for row in range(0, table.num_rows, step):
        try:
            with overheard():
                source = FileSource(os.fsdecode(table["file"][row].as_py()))
                began, last_s = time.monotonic(), 0.0
                with closing(loaded.recogniser.windows(source, loaded.hop_s)) as results:
                    for result in results:
                        windows += 1
                        detections += len(result.detections)
                        last_s = result.end_s
                        if time.monotonic() - began > TRIED_S:
                            break
        except AudioError:
            continue
        spent += time.monotonic() - began
        sound_s += last_s
        heard += 1
        if heard == TRIED_FILES:
            break
    if not sound_s:
        return None
    return Speed(sound_s / max(spent, 1e-9), windows / sound_s, detections / sound_s)


def results_bytes(n_files: int, sound_s: float, speed: Speed, tables: tuple[str, ...], dim: int) -> float:
    """About how much space the results take."""
    n_windows = max(speed.windows * sound_s, n_files)
    n_bytes = n_files * FILE_BYTES + speed.detections * sound_s * DETECTION_BYTES
    if "windows" in tables:
        n_bytes += n_windows * WINDOW_BYTES
    if "embeddings" in tables:
        n_bytes += n_windows * (2 * dim + VECTOR_BYTES)
    return n_bytes
