"""Features of an encoder for a benchmark, cached on disk; an interrupted extraction resumes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.audio.microphones.complaints import overheard
from trainer.benchmark.encoders import BenchmarkEncoder
from trainer.benchmark.features import TEXT_FORMS, Features, Vectors, read_features, write_features
from trainer.benchmark.files import Embed, embedded
from trainer.benchmark.layout import Split, media
from trainer.data.manifest import Sample
from trainer.errors import DataError

BATCH = 16  # files given to the encoder at once
SAVE_EVERY = 4096  # files between two writes of the cache
AHEAD = 2  # batches at a time: one is decoded while the other is embedded


@dataclass(frozen=True)
class Extracted:
    """Features, and a line for each file without any."""

    features: Features
    undecodable: tuple[str, ...]
    notes: tuple[str, ...]


def extract(
    encoder: BenchmarkEncoder, split: Split, cache: Path, tell: Callable[[str], None] = lambda line: None
) -> Extracted:
    """Features of all samples of a split.

    Cached features of the same model, preprocessing and index are reused; others are rebuilt. Files that could not be
    decoded are tried again.

    Parameters
    ----------
    cache : folder; the file in it is named after the model and the split
    """
    origin = {**encoder.origin, "index": split.digest()}
    path = cache / f"{slug(encoder.name)}.{split.name}.npz"
    kept = Features(encoder.name, {}, origin, split.name)
    if path.exists():
        found = read_features(path)
        if found.origin == origin:
            kept = replace(found, model=encoder.name)
        else:
            tell(f"{path}: is of another model, benchmark or excerpt, and is rebuilt")
    undecodable: list[str] = []
    notes: list[str] = []
    for modality, embed in (("audio", encoder.audio), ("image", encoder.images)):
        if modality not in split.indexes:
            continue
        files, renamed = media(split, modality)
        notes += renamed
        for more, faults in extended(embed, modality, split.indexes[modality].ids, files, kept, tell):
            undecodable += faults
            if more.parts:
                write_features(path, more)
            kept = more
    kept = with_names(encoder, split, kept, tell)
    if kept.parts:
        write_features(path, kept)
    notes += getattr(encoder, "damaged", [])
    return Extracted(kept, tuple(undecodable), tuple(notes))


def extended(
    embed: Embed,
    modality: str,
    ids: np.ndarray,
    files: Sequence[Path | Sample],
    kept: Features,
    tell: Callable[[str], None],
) -> Iterator[tuple[Features, list[str]]]:
    """Yields the features after every `SAVE_EVERY` more files, and a line for each file that cannot be used."""
    known = kept.parts[modality].ids if modality in kept.parts else np.zeros(0, dtype=np.int64)
    rows = np.flatnonzero(~np.isin(ids, known))
    for start in range(0, len(rows), SAVE_EVERY):
        tell(
            f"{kept.model}, {kept.split}: {modality} {start + 1} to {min(start + SAVE_EVERY, len(rows))} of {len(rows)}"
        )
        several = rows[start : start + SAVE_EVERY].tolist()
        batches = [several[at : at + BATCH] for at in range(0, len(several), BATCH)]
        faults: list[str] = []
        found: list[np.ndarray] = []
        of: list[int] = []
        with overheard(), ThreadPoolExecutor(AHEAD) as pool:  # an MP3 decoder reports damage that it skips
            for rows_of, result in zip(batches, pool.map(lambda batch: embedded(embed, files, batch), batches)):
                if result is None:
                    return
                vectors, broken = result
                faults += broken.values()
                found += vectors
                of += [row for row in rows_of if row not in broken]
        if found:
            kept = with_part(kept, modality, ids[of], np.stack(found))
        yield kept, faults


def with_names(encoder: BenchmarkEncoder, split: Split, kept: Features, tell: Callable[[str], None]) -> Features:
    """The features with those of all names; each name is embedded once."""
    index = split.indexes.get("text")
    if index is None:
        return kept
    for form in TEXT_FORMS:
        names = index.text(form)
        rows = np.flatnonzero(names != "")
        if f"text_{form}" in kept.parts or not len(rows):
            continue
        once, of = np.unique(names[rows].astype(str), return_inverse=True)
        tell(f"{kept.model}, {kept.split}: {len(once)} names ({form})")
        vectors = encoder.texts(once.tolist())
        if vectors is None:
            break
        kept = with_part(kept, f"text_{form}", index.ids[rows], np.asarray(vectors)[of])
    return kept


def with_part(kept: Features, name: str, ids: np.ndarray, vectors: np.ndarray) -> Features:
    """The features with more vectors of one part.

    Raises
    ------
    DataError
        When a vector is not finite, which is the fault of the model, not of the file.
    """
    if not np.isfinite(vectors).all():
        lost = ids[~np.isfinite(vectors).all(axis=1)][0]
        raise DataError(f"{kept.model}: its vector of {name} {lost} is not finite", "the model is damaged")
    before = kept.parts.get(name)
    if before is not None:
        ids, vectors = np.concatenate([before.ids, ids]), np.concatenate([before.vectors, vectors])
    order = np.argsort(ids)
    parts: dict[str, Any] = {**kept.parts, name: Vectors(ids[order], vectors[order].astype(np.float32))}
    return replace(kept, parts=parts)


def slug(name: str) -> str:
    """A name as a file name."""
    return re.sub(r"[^A-Za-z0-9.@+-]+", "_", name).strip("_") or "model"
