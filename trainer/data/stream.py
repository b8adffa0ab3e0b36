"""Recordings and photos too large for memory, decoded by worker processes when they are needed.

A draw depends only on the seed, the number of the joint batch and the position in it, so neither the number of workers
nor that of ranks changes the data. The workers are those of torch's DataLoader. They end when the iterator is closed,
dropped or fails, or when this process ends.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edgeapp.audio.centred import REMOVED
from edgeapp.audio.microphones.complaints import overheard
from edgeapp.audio.resample import SOXR
from edgeapp.audio.windows import REPEAT
from gallery.errors import BiovitaError
from trainer.data.crop import Shape, crop, whole
from trainer.data.manifest import Sample
from trainer.data.media import called, opened, photo
from trainer.data.rows import RowsOfTaxon
from trainer.data.samples import taxa_of
from trainer.errors import DataError

PIECE = 8  # crops or photos that a worker returns at once: 15 MB of shared memory at 10 s of 48 kHz
PREFETCH = 2  # pieces that each worker has ready
TRIES = 100  # recordings of the taxon, and then of any taxon, tried in place of one; if all fail, the data is missing

Batches = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Part:
    """Part of a joint batch that a worker decodes at once."""

    batch: int
    first: int  # position of the first row in the joint batch
    rows: list[int]
    last: bool  # of this rank's part of the batch


@dataclass
class Piece:
    """Result of a part."""

    last: bool
    rows: list[int] = field(default_factory=list)  # that were decoded
    data: Tensor | None = None  # [rows, ...]; None without rows
    undecodable: dict[int, str] = field(default_factory=dict)  # row -> reason
    damaged: dict[int, str] = field(default_factory=dict)
    failure: str | None = None  # reason to give up


class SoundFiles:
    """Recordings read from disk as they are needed, mono at one rate; `SoundStore` for data too large for memory.

    Levels are those of the files, full scale 1.0, as on the device; `SoundStore` scales each recording to its own peak.
    A faulty file is found when it is first needed.

    Parameters
    ----------
    samples : the recordings of the manifest
    rate_hz : the rate of the front end
    workers : number of decoding processes; 0 decodes in this process
    pad : how a recording shorter than a window fills it, as on the device
    resampler, native, offset : see `trainer.data.crop.Shape`

    Attributes
    ----------
    samples : the same
    undecodable : one line for each recording that was needed and could not be decoded
    damaged : one line for each that ended before a crop of it did; the part that could be decoded is used
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        rate_hz: int,
        workers: int,
        pad: str = REPEAT,
        resampler: str = SOXR,
        native: bool = False,
        offset: str = REMOVED,
    ) -> None:
        self.samples, self.rate_hz, self.workers = samples, rate_hz, workers
        self._shape = Shape(rate_hz, 0, pad, resampler, native, offset)
        self._undecodable: dict[int, str] = {}
        self._damaged: dict[int, str] = {}
        taxon = taxa_of(samples)
        self._of_taxon = RowsOfTaxon(taxon, int(taxon.max(initial=-1)) + 1)

    @property
    def undecodable(self) -> list[str]:
        """One line for each recording, even if several workers found it."""
        return list(self._undecodable.values())

    @property
    def damaged(self) -> list[str]:
        return list(self._damaged.values())

    def __len__(self) -> int:
        return len(self.samples)

    def whole(self, row: int) -> np.ndarray:
        """A recording [samples] float32.

        Raises
        ------
        DataError
            When it cannot be decoded or is too short.
        """
        try:
            with overheard(), opened(self.samples[row]) as file:
                sound, fault = whole(file, self.rate_hz, self._shape.resampler, self._shape.offset)
        except BiovitaError as error:
            self._undecodable.setdefault(row, str(error))
            raise DataError(error.what, error.remedy) from error
        if fault:
            self._damaged.setdefault(row, fault)
        return sound

    def crops(
        self, batches: Batches, samples: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generator[tuple[list[int], np.ndarray], None, None]:
        """Random windows of this rank's part of each joint batch.

        A shorter recording is repeated from a random position, or padded with zeros, as on the device. A recording that
        cannot be decoded is replaced by another of its taxon, or of any taxon if there is none.

        Parameters
        ----------
        batches : rows of the samples; the part of a rank is contiguous, and the parts of all ranks are the batch
        samples : length of a window
        seed : not negative

        Yields
        ------
        The rows that were used, and their windows [n, samples] float32.

        Raises
        ------
        DataError
            When no recording can be decoded, or a worker died.
        """
        job = _Crops(self.samples, self._of_taxon, replace(self._shape, samples=samples), seed)
        with closing(_made(job, _parts(batches, rank, world), self.workers)) as made:
            for pieces in made:
                for piece in pieces:
                    for known, found in ((self._undecodable, piece.undecodable), (self._damaged, piece.damaged)):
                        for row, line in found.items():
                            known.setdefault(row, line)
                    if piece.failure:
                        tried = f"none of {len(piece.undecodable)} recordings that were tried could be decoded"
                        raise DataError(tried, piece.failure)
                rows, windows = _joined(pieces)
                yield rows, np.zeros((0, samples), np.float32) if windows is None else windows.numpy()


class PhotoFiles:
    """Photos read from disk as they are needed, preprocessed as on the device.

    Attributes
    ----------
    why : row of each photo that could not be decoded -> message
    """

    def __init__(self, samples: Sequence[Sample], workers: int) -> None:
        self.samples, self.workers = samples, workers
        self.why: dict[int, str] = {}

    @property
    def undecodable(self) -> list[str]:
        return list(self.why.values())

    def __len__(self) -> int:
        return len(self.samples)

    def pixels(
        self, batches: Batches, size: int, rank: int = 0, world: int = 1
    ) -> Generator[tuple[list[int], Tensor], None, None]:
        """Photos of this rank's part of each joint batch.

        Yields
        ------
        The rows that could be decoded, and their pixels [n, 3, size, size] float32 0..255.

        Raises
        ------
        DataError
            When a worker died.
        """
        with closing(_made(_Photos(self.samples, size), _parts(batches, rank, world), self.workers)) as made:
            for pieces in made:
                for piece in pieces:
                    self.why |= piece.undecodable
                rows, pixels = _joined(pieces)
                yield rows, torch.zeros((0, 3, size, size)) if pixels is None else pixels.float()


class _Crops(Dataset[Piece]):
    """Crops decoded by a worker."""

    def __init__(self, samples: Sequence[Sample], of_taxon: RowsOfTaxon, shape: Shape, seed: int) -> None:
        self.samples, self.of_taxon, self.shape, self.seed = samples, of_taxon, shape, seed

    def __getitem__(self, part: Part) -> Piece:
        piece = Piece(part.last)
        windows = []
        with overheard():  # an MP3 decoder reports damage that it skips
            for place, row in enumerate(part.rows, part.first):
                window = self._heard(row, np.random.default_rng([self.seed, part.batch, place]), piece)
                if window is None:
                    piece.failure = piece.undecodable[row]
                    return piece
                windows.append(window)
        piece.data = torch.from_numpy(np.stack(windows)) if windows else None
        return piece

    def _heard(self, row: int, rng: np.random.Generator, piece: Piece) -> np.ndarray | None:
        """A window of the recording or of its replacement, whose row is added to the piece."""
        moment = rng.random()
        for tried in self._candidates(row, rng):
            sample = self.samples[tried]
            try:
                with opened(sample) as file:
                    window, fault = crop(file, self.shape, moment)
            except BiovitaError as error:
                piece.undecodable[tried] = str(error)
            except Exception as error:  # one file in millions must not end the run, whatever the cause
                piece.undecodable[tried] = _unexpected(sample, error)
            else:
                piece.rows.append(tried)
                if fault:
                    piece.damaged[tried] = fault
                return window
        return None

    def _candidates(self, row: int, rng: np.random.Generator) -> Iterator[int]:
        """The recording, then others of its taxon, then any others, each at most once."""
        yield row
        met = {row}
        for others in (
            lambda: rng.permutation(self.of_taxon.of(self.samples[row].taxon))[:TRIES],
            lambda: rng.choice(len(self.samples), min(TRIES, len(self.samples)), replace=False),
        ):
            for other in others().tolist():
                if other not in met:
                    met.add(other)
                    yield other


class _Photos(Dataset[Piece]):
    """Photos decoded by a worker."""

    def __init__(self, samples: Sequence[Sample], size: int) -> None:
        self.samples, self.size = samples, size

    def __getitem__(self, part: Part) -> Piece:
        piece = Piece(part.last)
        decoded = []
        for row in part.rows:
            try:
                decoded.append(photo(self.samples[row], self.size).astype(np.uint8))
            except DataError as error:
                piece.undecodable[row] = str(error)
            else:
                piece.rows.append(row)
        piece.data = torch.from_numpy(np.stack(decoded)) if decoded else None
        return piece


def _unexpected(sample: Sample, error: Exception) -> str:
    line = f"{called(sample)}: failed unexpectedly ({type(error).__name__}: {error}); please report it with the file"
    return " ".join(line.split())


def _parts(batches: Batches, rank: int, world: int) -> Iterator[Part]:
    """This rank's share of each batch in parts; at least one part per batch."""
    for number, batch in enumerate(batches):
        begin, end = len(batch) * rank // world, len(batch) * (rank + 1) // world
        for first in range(begin, max(end, begin + 1), PIECE):
            after = min(first + PIECE, end)
            yield Part(number, first, [int(row) for row in batch[first:after]], after >= end)


def _made(job: Dataset[Piece], parts: Iterator[Part], workers: int) -> Generator[list[Piece], None, None]:
    """The pieces of each batch, in order."""
    loader = DataLoader(
        job,
        batch_size=None,
        sampler=parts,  # type: ignore[arg-type]  # the data set takes any type
        num_workers=workers,
        collate_fn=_identity,  # type: ignore[arg-type]  # of one piece, as there is no batch size
        worker_init_fn=_ignore_interrupts,
        prefetch_factor=PREFETCH if workers else None,
        generator=torch.Generator(),  # keep the default generator for dropout and augmentation
    )
    pieces: list[Piece] = []
    arriving: Iterator[Piece] = iter(())
    try:
        with _keep_sigchld_handler():
            arriving = iter(loader)
        for piece in arriving:
            pieces.append(piece)
            if piece.last:
                yield pieces
                pieces = []
    except (RuntimeError, EOFError, OSError) as error:  # which one a dead worker raises depends on timing
        if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    else:
        return
    finally:
        del arriving  # ends the workers
    # Raised outside of the handler: as its cause, `error` would keep the iterator and the other workers alive.
    raise DataError(
        f"the processes that decode the data failed ({reason})",
        "use fewer workers, or give more memory and a larger /dev/shm",
    )


@contextmanager
def _keep_sigchld_handler() -> Iterator[None]:
    """Undo torch's SIGCHLD handler, which raises anywhere in this process when a worker dies.

    The iterator also raises when it is next used, where the error can be turned into one line.
    """
    ours = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) if ours else None
    yield
    if before is not None:
        signal.signal(signal.SIGCHLD, before)


def _identity(piece: Piece) -> Piece:
    return piece


def _ignore_interrupts(worker: int) -> None:
    """Leave Ctrl-C to the main process, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _joined(pieces: list[Piece]) -> tuple[list[int], Tensor | None]:
    data = [piece.data for piece in pieces if piece.data is not None]
    return [row for piece in pieces for row in piece.rows], torch.cat(data) if data else None
