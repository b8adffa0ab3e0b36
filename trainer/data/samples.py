"""Recordings and photos as columns: millions of them in little memory, each made into an object when accessed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from trainer.data.tables import arrow, codes

ITERATED_AT_ONCE = 4096  # samples
IDENTIFYING = ("path", "source_repo", "source_id", "author", "licence")  # columns of `Samples.digest`
TEXTS = (*IDENTIFYING, "source_path")


@dataclass(frozen=True)
class Sample:
    """One recording or photo.

    `source` is the recording or file it was cut from: samples of one source stay on one side of a split. The sample is
    the whole file at `path` or, with a `size`, the bytes [offset, offset + size) of the tar shard at `path`. `page` is
    where its archive shows it, for credits.
    """

    path: Path
    taxon: int  # row in Manifest.taxa
    source: tuple[str, str]
    author: str = ""
    licence: str = ""
    offset: int = 0
    size: int | None = None
    page: str = ""


@dataclass(frozen=True)
class Columns:
    """All samples of a manifest; subsets share the columns."""

    folders: tuple[Path, ...]
    folder: np.ndarray  # [rows] uint8, the folder that a path is relative to
    texts: dict[str, Any]  # name of TEXTS, or sha256 -> Arrow array [rows]
    taxon: np.ndarray  # [rows] int32
    offset: np.ndarray | None = None  # [rows] int64
    size: np.ndarray | None = None  # [rows] int64, -1 for a whole file
    held_out: np.ndarray | None = None  # [rows] bool, held out by the manifest itself


class Samples(Sequence[Sample]):
    """Rows of a manifest as a sequence of samples.

    Attributes
    ----------
    taxon : [n] int32, row in Manifest.taxa of each sample
    """

    def __init__(self, columns: Columns, rows: np.ndarray) -> None:
        self._columns, self._rows = columns, rows
        self.taxon: np.ndarray = columns.taxon[rows]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice | np.ndarray | list[int]) -> Samples: ...
    def __getitem__(self, index: int | slice | np.ndarray | list[int]) -> Sample | Samples:
        """One sample, or the samples of a slice, of an array of rows or of a mask."""
        if isinstance(index, (int, np.integer)):
            row = int(self._rows[index])
            return self._sample(row, *(self._columns.texts[name][row].as_py() for name in TEXTS))
        return Samples(self._columns, self._rows[np.asarray(index, dtype=int) if isinstance(index, list) else index])

    def __iter__(self) -> Iterator[Sample]:
        for start in range(0, len(self), ITERATED_AT_ONCE):
            yield from self._made(self._rows[start : start + ITERATED_AT_ONCE])

    @property
    def held_out(self) -> np.ndarray | None:
        """[n] bool, those that the manifest holds out with its column `split`; None when it does not split them."""
        return None if self._columns.held_out is None else self._columns.held_out[self._rows]

    def columns(self) -> Columns:
        """Columns of these samples alone."""
        every, rows = self._columns, self._rows

        def own(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]

        texts = {name: self._text(name) for name in every.texts}
        kept = own(every.offset), own(every.size), self.held_out
        return Columns(every.folders, every.folder[rows], texts, self.taxon, *kept)

    def source_codes(self) -> np.ndarray:
        """[n] int64 from 0 on, the same for samples of one source, ordered as the sources are as text."""
        repo, within = (_text_order(self._text(name)) for name in ("source_repo", "source_id"))
        return np.unique(repo * (within.max(initial=0) + 1) + within, return_inverse=True)[1].reshape(-1)

    def counts(self, name: str) -> dict[str, int]:
        """Number of samples for each value of a column (`source_repo`, `author`, `licence`), most frequent first."""
        of_row, values = codes(self._text(name))
        counted: dict[str, int] = {}
        for value, count in zip(values, np.bincount(of_row, minlength=len(values)).tolist()):
            counted[value] = counted.get(value, 0) + count
        return dict(sorted(((v, n) for v, n in counted.items() if n), key=lambda pair: (-pair[1], pair[0])))

    def digest(self) -> str:
        """SHA-256 of the samples in their order, without their folder."""
        digest = hashlib.sha256(f"{len(self)}".encode())
        for name in IDENTIFYING:
            _, ends, text = self._text(name).cast(arrow().large_string()).buffers()
            ends = np.frombuffer(ends, np.int64)[: len(self) + 1]
            digest.update(ends.tobytes())
            digest.update(memoryview(text)[: int(ends[-1])] if text else b"")
        digest.update(self.taxon.tobytes())
        for numbers in (self._columns.offset, self._columns.size):
            if numbers is not None:
                digest.update(numbers[self._rows].tobytes())
        return digest.hexdigest()

    def _text(self, name: str) -> Any:
        return self._columns.texts[name].take(arrow().array(self._rows))

    def _made(self, rows: np.ndarray) -> Iterator[Sample]:
        at, text = arrow().array(rows), arrow().large_string()  # many times faster if decoded before `to_pylist`
        texts = (self._columns.texts[name].take(at).cast(text).to_pylist() for name in TEXTS)
        return map(self._sample, rows.tolist(), *texts)

    def _sample(self, row: int, path: str, repo: str, within: str, author: str, licence: str, page: str) -> Sample:
        columns = self._columns
        folder, taxon = columns.folders[columns.folder[row]], int(columns.taxon[row])
        if columns.size is None or columns.offset is None or columns.size[row] < 0:
            return Sample(folder / path, taxon, (repo, within), author, licence, page=page)
        span = int(columns.offset[row]), int(columns.size[row])
        return Sample(folder / path, taxon, (repo, within), author, licence, *span, page)


class Concatenated(Sequence[Sample]):
    """Two sequences of samples as one, without creating their objects."""

    def __init__(self, first: Sequence[Sample], second: Sequence[Sample]) -> None:
        self.parts = first, second
        self.taxon = np.concatenate([taxa_of(part) for part in self.parts])

    def __len__(self) -> int:
        return len(self.taxon)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        first, second = self.parts
        index = range(len(self))[index]
        return first[index] if index < len(first) else second[index - len(first)]


def taxa_of(samples: Sequence[Sample]) -> np.ndarray:
    """Taxon of each sample [n], without creating the objects of a long table."""
    if isinstance(samples, (Samples, Concatenated)):
        return samples.taxon
    return np.array([sample.taxon for sample in samples], np.int32)


def _text_order(column: Any) -> np.ndarray:
    """[rows] int64: position of each value in the sorted list of values."""
    coded = column if isinstance(column, arrow().DictionaryArray) else column.dictionary_encode()
    order = arrow("compute").array_sort_indices(coded.dictionary).to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place[coded.indices.to_numpy(zero_copy_only=False)]
