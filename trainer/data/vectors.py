"""Vectors of photos, computed once by a frozen tower and stored on disk.

A store is a folder of three files. `vectors.npy` is a float32 array [photos, dim] that NumPy can map; its rows are
appended in the order of the samples. `undecodable.jsonl` has one line for each photo without a vector. `state.json` has
everything that the vectors depend on and the number of rows that are done. It is replaced last, after the other two are
on disk, so anything an interrupted build left beyond it is cut off and computed again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from gallery.errors import reason_of
from gallery.files import write_text
from trainer.data.samples import Sample, Samples
from trainer.data.stream import PhotoFiles
from trainer.errors import CheckpointError, DataError

VECTORS, UNDECODABLE, STATE = "vectors.npy", "undecodable.jsonl", "state.json"
SAVE_EVERY = 8192  # rows between two states; at most so many are lost by a kill


class Vectors(Protocol):
    """Vectors of photos, in memory or on disk.

    Attributes
    ----------
    rows : [n] int64, ascending, the samples that have a vector
    """

    @property
    def rows(self) -> np.ndarray: ...

    def take(self, rows: np.ndarray) -> Tensor:
        """Vectors [n, dim] float32 of some of them."""
        ...


class VectorStore:
    """Vectors on disk, one row per photo; see `open_or_build`.

    Attributes
    ----------
    rows : [n] int64, the samples that have a vector
    undecodable : one line for each photo without a vector, and a last one on how to retry them
    """

    def __init__(self, folder: Path, total: int, dim: int, marked: dict[int, str]) -> None:
        self.folder, self.dim = folder, dim
        there = np.ones(total, bool)
        there[list(marked)] = False
        self.rows = np.flatnonzero(there)
        self.undecodable = list(marked.values())
        if marked:
            self.undecodable.append(f"{len(marked)} photos have no vector; delete {folder} to retry them")
        self._there, self._marked = there, marked
        self._vectors = np.load(folder / VECTORS, mmap_mode="r") if total else np.zeros((0, dim), np.float32)

    @classmethod
    def open_or_build(
        cls,
        folder: Path,
        key: str,
        samples: Sequence[Sample],
        embed: Callable[[Tensor], Tensor],
        dim: int,
        size: int,
        workers: int,
        batch: int,
        done: Callable[[int], None] = lambda photos: None,
    ) -> VectorStore:
        """Open the store, after computing the vectors that are missing.

        An interrupted build resumes after the rows that were done; a store with another key, other samples or sizes is
        rebuilt. Processes that share a folder must take turns.

        Parameters
        ----------
        folder : created if it does not exist
        key : fingerprint of the weights of the tower
        samples : the photos
        embed : the frozen tower, [n, 3, size, size] float32 0..255 -> [n, dim]; called without gradient
        dim, size : length of a vector, side of a photo
        workers : number of decoding processes; 0 decodes in this process
        batch : photos embedded at once
        done : called after each batch with its number of photos

        Raises
        ------
        DataError
            When the disk is full or not writable, or none of the photos can be decoded.
        CheckpointError
            When the tower gives a vector that is zero or not finite.
        """
        state = {"key": key, "samples": digest_of(samples), "photos": len(samples), "dim": dim, "size": size}
        build = _Build(folder, state)
        build.resume()
        if build.done < len(samples):
            build.run(samples, embed, workers, batch, done)
        return cls(folder, len(samples), dim, build.marked)

    def __len__(self) -> int:
        return len(self._there)

    def take(self, rows: np.ndarray) -> Tensor:
        """Vectors [n, dim] float32 of some rows.

        Raises
        ------
        DataError
            When one of them has no vector.
        """
        rows = np.asarray(rows, np.int64)
        if len(rows) and not self._there[rows].all():
            row = int(rows[~self._there[rows]][0])
            raise DataError(
                f"photo {row} has no vector ({self._marked[row % len(self)]})", "take only rows with a vector"
            )
        vectors = np.array(self._vectors[rows])
        if not _usable(vectors).all():
            raise DataError(f"{self.folder}: is damaged", "delete it; it is rebuilt")
        return torch.from_numpy(vectors)


class _Build:
    """An unfinished store: its progress, and the computation of the rest."""

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        self.folder, self.state = folder, state
        self.total, self.dim = int(state["photos"]), int(state["dim"])
        self.done = 0
        self.marked: dict[int, str] = {}

    def resume(self) -> None:
        """Keep the rows on disk if their state matches."""
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            stored = _json(self.folder / STATE)
            if stored is not None and {**stored, "done": None} == {**self.state, "done": None}:
                self.done = min(int(stored["done"]), self._rows_on_disk())
                self.marked = self._marks_on_disk(self.done)

    def run(
        self,
        samples: Sequence[Sample],
        embed: Callable[[Tensor], Tensor],
        workers: int,
        batch: int,
        report: Callable[[int], None],
    ) -> None:
        """Embed the rows that are not done."""
        with _writing(self.folder):
            self._begin()
        photos = PhotoFiles(samples, workers)
        batches = [range(at, min(at + batch, self.total)) for at in range(self.done, self.total, batch)]
        kept = self.done
        with (
            closing(photos.pixels(batches, int(self.state["size"]))) as decoded,
            open(self.folder / VECTORS, "ab") as file,
            open(self.folder / UNDECODABLE, "a", encoding="utf-8") as marks,
        ):
            for wanted, (rows, pixels) in zip(batches, decoded):
                vectors = np.full((len(wanted), self.dim), np.nan, "<f4")  # a row that stays NaN was not decoded
                if rows:
                    with torch.inference_mode():
                        vectors[np.array(rows) - wanted[0]] = _checked(embed(pixels).float().cpu().numpy())
                self.done = wanted[-1] + 1
                lost = {row: photos.why[row] for row in sorted(set(wanted) - set(rows))}
                self.marked |= lost
                if len(self.marked) == self.total:
                    raise DataError(f"none of {self.total} photos could be decoded", self.marked[0])
                with _writing(self.folder):
                    file.write(vectors.tobytes())
                    marks.write(_lines(lost))
                    # Without any vector so far, the folder of the photos may be missing: do not save that.
                    if (self.done - kept >= SAVE_EVERY or self.done == self.total) and len(self.marked) < self.done:
                        for each in (file, marks):
                            each.flush()
                            os.fsync(each.fileno())
                        self._keep()
                        kept = self.done
                report(len(wanted))

    def _begin(self) -> None:
        """Cut the files to the rows that are done."""
        needed, free = (self.total - self.done) * self.dim * 4, shutil.disk_usage(self.folder).free
        if needed > free:  # fail now rather than after hours
            raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
        path = self.folder / VECTORS
        if self.done:
            os.truncate(path, self._header_bytes() + self.done * self.dim * 4)
            write_text(self.folder / UNDECODABLE, _lines(self.marked))
            self._keep()
        else:
            (self.folder / STATE).unlink(missing_ok=True)
            (self.folder / UNDECODABLE).unlink(missing_ok=True)
            with path.open("wb") as file:
                header = {"descr": "<f4", "fortran_order": False, "shape": (self.total, self.dim)}
                np.lib.format.write_array_header_1_0(file, header)

    def _keep(self) -> None:
        write_text(self.folder / STATE, json.dumps({**self.state, "done": self.done}) + "\n")

    def _header_bytes(self) -> int:
        """Bytes before the first row; 0 if the file has another shape."""
        with (self.folder / VECTORS).open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
            return file.tell() if shape == (self.total, self.dim) else 0

    def _rows_on_disk(self) -> int:
        try:
            header, size = self._header_bytes(), (self.folder / VECTORS).stat().st_size
        except (FileNotFoundError, ValueError):
            return 0
        return (size - header) // (self.dim * 4) if header else 0

    def _marks_on_disk(self, before: int) -> dict[int, str]:
        path = self.folder / UNDECODABLE
        marks: dict[int, str] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                row, why = json.loads(line)
            except ValueError:  # incomplete line of a killed process; its row is not done
                break
            if row < before:
                marks[row] = why
        return marks


def digest_of(samples: Sequence[Sample]) -> str:
    """SHA-256 of the samples in their order."""
    if isinstance(samples, Samples):
        return samples.digest()
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.path}\0{sample.offset}\0{sample.size}\n".encode())
    return digest.hexdigest()


def _usable(vectors: np.ndarray) -> np.ndarray:
    """Whether each row is finite and not zero, [n] bool."""
    return np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)


def _checked(vectors: np.ndarray) -> np.ndarray:
    if not _usable(vectors).all():
        raise CheckpointError(
            "the image tower gave a vector that is zero or not finite", "check the weights it was loaded from"
        )
    return vectors


def _lines(marked: dict[int, str]) -> str:
    return "".join(json.dumps([row, line]) + "\n" for row, line in marked.items())


def _json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn errors of writing into a DataError with the folder's name."""
    try:
        yield
    except OSError as error:
        reason = reason_of(error)
        if error.errno == errno.ENOSPC:
            raise DataError(
                f"{folder}: the disk is full ({reason})", "free disk space, then repeat the command"
            ) from error
        raise DataError(f"{folder}: cannot be written ({reason})", "name another folder with --out") from error
