"""What fetched files turn out to be: how long and loud a recording is, whether somebody speaks, how large a photo is.

Found once for each content and kept as notes. Only what cannot be decoded is left out; a collection may be told to do
without some of the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.audio.resample import resampled
from edgeapp.audio.windows import level_dbfs
from edgeapp.board.machine import available_cores
from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.notes import ALSO, INSPECTED, SHORT, SILENCE, SMALL, SPEECH, UNREADABLE, numbers, objection
from edgeapp.collect.row import DOWNLOADED, Row
from edgeapp.detections.speech import RATE_HZ, SpeechDetector
from edgeapp.errors import AudioError
from edgeapp.recognition.photos import UnusablePhoto, opened

SHORT_S = 1.0
SILENCE_DBFS = -60.0  # of the loudest second
SMALL_PIXELS = 224  # shorter side: what image encoders see
PIECE_S = 30  # in memory at a time
BATCH = 64
HASH_DIGITS = 12


def inspect(
    catalogue: Catalogue,
    speech: bool = True,
    without: Sequence[str] = (),
    done: Callable[[int], None] = lambda files: None,
) -> int:
    """Look at every file that was not looked at yet; how many are left out by what was found.

    Parameters
    ----------
    catalogue : Catalogue
    speech : bool
        Listen for speech, which takes most of the time.
    without : sequence of str
        Of `edgeapp.collect.notes.WORDS`: files of which this is found are left out.
    done : callable
        Called with the number of files looked at, after some of them.
    """
    local = threading.local()

    def look(row: Row) -> list[str]:
        if speech and not hasattr(local, "speech"):
            local.speech = SpeechDetector()
        return _found(catalogue.folder / row.path, row.medium.modality, getattr(local, "speech", None))

    rows = (row for row in catalogue.rows(DOWNLOADED) if not _is_known(row, speech))
    with ThreadPoolExecutor(available_cores()) as pool:
        while batch := list(islice(rows, BATCH)):
            for row, found in zip(batch, pool.map(look, batch), strict=True):
                others = [note for note in row.notes if note.startswith(ALSO)]
                catalogue.note(row.key, [*others, f"{INSPECTED}={row.sha256[:HASH_DIGITS]}", *found])
            done(len(batch))
    left_out: dict[str, list[int]] = {}
    for row in catalogue.rows(DOWNLOADED):
        if reason := objection(row.notes, without):
            left_out.setdefault(reason, []).append(row.key)
    for reason, keys in left_out.items():
        catalogue.leave_out(keys, reason)
    return sum(map(len, left_out.values()))


def _is_known(row: Row, speech: bool) -> bool:
    if f"{INSPECTED}={row.sha256[:HASH_DIGITS]}" not in row.notes:
        return False
    if not speech or row.medium.modality != "audio" or objection(row.notes, ()):
        return True
    return "speech_score" in numbers(row.notes)


def _found(path: Path, modality: str, speech: SpeechDetector | None) -> list[str]:
    try:
        return _heard(path, speech) if modality == "audio" else _seen(path)
    except (AudioError, UnusablePhoto, OSError) as error:
        return [f"{UNREADABLE}: {' '.join(str(error).split())}"]


def _heard(path: Path, speech: SpeechDetector | None) -> list[str]:
    samples, loudest, score = 0, -np.inf, 0.0
    with closing(FileSource(path)) as source:
        for piece in _pieces(source):
            samples += len(piece)
            for second in range(0, len(piece), RATE_HZ):
                loudest = max(loudest, level_dbfs(piece[second : second + RATE_HZ]))
            if speech is not None:
                score = max(score, speech.probability(piece, RATE_HZ))
        fault = source.fault
    if not samples and not source.duration_s:
        return [f"{UNREADABLE}: has no sound"]
    duration_s = samples / RATE_HZ
    notes = [f"duration_s={duration_s:.2f}", f"level_dbfs={max(loudest, -200.0):.1f}"]
    if speech is not None:
        notes += [f"speech_score={score:.2f}", *([SPEECH] if score >= speech.threshold else [])]
    notes += [SHORT] if duration_s < SHORT_S else []
    notes += [SILENCE] if loudest < SILENCE_DBFS else []
    return [*notes, f"damaged: {' '.join(str(fault).split())}"] if fault else notes


def _pieces(source: FileSource) -> Iterator[np.ndarray]:
    """Sound at 16 kHz, at most `PIECE_S` at a time."""
    held: list[np.ndarray] = []
    n = 0
    for block in resampled(source, RATE_HZ).blocks():
        held.append(block.samples)
        n += len(block.samples)
        if n >= PIECE_S * RATE_HZ:
            yield np.concatenate(held)
            held, n = [], 0
    if n:
        yield np.concatenate(held)


def _seen(path: Path) -> list[str]:
    image: Any = opened(path)
    width, height = image.size
    return [f"width={width}", f"height={height}", *([SMALL] if min(width, height) < SMALL_PIXELS else [])]
