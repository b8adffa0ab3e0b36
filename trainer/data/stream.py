"""Recordings and photos that do not fit into memory, decoded by worker processes when they are needed.

What is drawn depends on the seed, the number of the joint batch and the place in it alone, so that neither the number
of workers nor that of ranks changes what is heard. The workers are those of torch's DataLoader. They end when the
iterator is closed, dropped or fails, or when this process is gone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edgeapp.audio.complaints import overheard
from edgeapp.audio.windows import REPEAT
from gallery.errors import BiovitaError
from trainer.data.crop import crop, whole
from trainer.data.manifest import Sample
from trainer.data.media import called, opened, photo
from trainer.data.rows import RowsOfTaxon
from trainer.errors import DataError

PIECE = 8  # crops or photos that a worker gives at once: 15 MB of shared memory at 10 s of 48 kHz
PREFETCH = 2  # pieces that each worker has ready
TRIES = 100  # recordings of the taxon, and then of any, tried in place of one; if all fail, the data is not there

Batches = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Part:
    """Places of a joint batch that a worker does at once."""

    batch: int
    first: int  # place of the first row in the joint batch
    rows: list[int]
    last: bool  # of this rank's part of the batch


@dataclass
class Piece:
    """What a worker made of a part."""

    last: bool
    rows: list[int] = field(default_factory=list)  # what was decoded
    data: Tensor | None = None  # [rows, ...]; None when there are none
    undecodable: dict[int, str] = field(default_factory=dict)  # row -> why
    damaged: dict[int, str] = field(default_factory=dict)
    failure: str | None = None  # why there is no going on


class SoundFiles:
    """Recordings read from disk as they are needed, mono at one rate; `SoundStore` for data too large for memory.

    Levels are those of the files, full scale 1.0, which is what the device hears; `SoundStore` scales each recording
    to its own peak. What is wrong with a file is known once it was needed.

    Parameters
    ----------
    samples : the recordings of the manifest
    rate_hz : the rate of the front end
    workers : processes that decode; with none, this process does
    pad : how a recording shorter than a window fills it, as on the device

    Attributes
    ----------
    samples : the same
    undecodable : one line for each recording that was needed and could not be decoded
    damaged : one line for each that ended before a crop of it did; what could be decoded of it is used
    """

    def __init__(self, samples: Sequence[Sample], rate_hz: int, workers: int, pad: str = REPEAT) -> None:
        self.samples, self.rate_hz, self.workers, self.pad = samples, rate_hz, workers, pad
        self._undecodable: dict[int, str] = {}
        self._damaged: dict[int, str] = {}
        known = getattr(samples, "taxon", None)
        taxon = np.array([sample.taxon for sample in samples], np.int64) if known is None else known
        self._of_taxon = RowsOfTaxon(taxon, int(taxon.max(initial=-1)) + 1)

    @property
    def undecodable(self) -> list[str]:
        """Each recording once, whichever worker met it how often."""
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
                sound, fault = whole(file, self.rate_hz)
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

        A shorter recording is repeated from a random moment, or followed by silence, as on the device. In place of one
        that cannot be decoded another of its taxon is heard, or any when its taxon has none.

        Parameters
        ----------
        batches : rows of the samples; the part of a rank is contiguous, and the parts of all ranks are the batch
        samples : length of a window
        seed : not negative

        Yields
        ------
        The rows that were heard, and their windows [n, samples] float32.

        Raises
        ------
        DataError
            When nothing can be decoded, or a worker died.
        """
        job = _Crops(self.samples, self._of_taxon, self.rate_hz, samples, seed, self.pad)
        with closing(_made(job, _parts(batches, rank, world), self.workers)) as made:
            for pieces in made:
                for piece in pieces:
                    for known, found in ((self._undecodable, piece.undecodable), (self._damaged, piece.damaged)):
                        for row, line in found.items():
                            known.setdefault(row, line)
                    if piece.failure:
                        tried = f"not one of {len(piece.undecodable)} recordings that were tried could be decoded"
                        raise DataError(tried, piece.failure)
                rows, windows = _joined(pieces)
                yield rows, np.zeros((0, samples), np.float32) if windows is None else windows.numpy()


class PhotoFiles:
    """Photos read from disk as they are needed, as the device sees them.

    Attributes
    ----------
    why : row of each photo that was needed and could not be decoded -> one line
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
    """Crops as a worker makes them."""

    def __init__(
        self, samples: Sequence[Sample], of_taxon: RowsOfTaxon, rate_hz: int, length: int, seed: int, pad: str
    ) -> None:
        self.samples, self.of_taxon, self.pad = samples, of_taxon, pad
        self.rate_hz, self.length, self.seed = rate_hz, length, seed

    def __getitem__(self, part: Part) -> Piece:
        piece = Piece(part.last)
        windows = []
        with overheard():  # MP3 damage that decodes all the same is not told
            for place, row in enumerate(part.rows, part.first):
                window = self._heard(row, np.random.default_rng([self.seed, part.batch, place]), piece)
                if window is None:
                    piece.failure = piece.undecodable[row]
                    return piece
                windows.append(window)
        piece.data = torch.from_numpy(np.stack(windows)) if windows else None
        return piece

    def _heard(self, row: int, rng: np.random.Generator, piece: Piece) -> np.ndarray | None:
        """A window of the recording or of one in its place, which is noted in the piece."""
        moment = rng.random()
        for tried in self._candidates(row, rng):
            sample = self.samples[tried]
            try:
                with opened(sample) as file:
                    window, fault = crop(file, self.rate_hz, self.length, moment, self.pad)
            except BiovitaError as error:
                piece.undecodable[tried] = str(error)
            except Exception as error:  # one file in millions must not end the job, whatever is wrong with it or us
                piece.undecodable[tried] = _unexpected(sample, error)
            else:
                piece.rows.append(tried)
                if fault:
                    piece.damaged[tried] = fault
                return window
        return None

    def _candidates(self, row: int, rng: np.random.Generator) -> Iterator[int]:
        """The recording, others of its taxon, any others; each at most once."""
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
    """Photos as a worker decodes them."""

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
    """This rank's part of each batch in pieces; at least one of each batch."""
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
        sampler=parts,  # type: ignore[arg-type]  # any iterable, of whatever the data set takes
        num_workers=workers,
        collate_fn=_as_it_is,  # type: ignore[arg-type]  # of one piece, as there is no batch size
        worker_init_fn=_deaf_to_interrupts,
        prefetch_factor=PREFETCH if workers else None,
        generator=torch.Generator(),  # so that it draws nothing from the one that dropout and augmentation use
    )
    pieces: list[Piece] = []
    arriving: Iterator[Piece] = iter(())
    try:
        with _no_surprise():
            arriving = iter(loader)
        for piece in arriving:
            pieces.append(piece)
            if piece.last:
                yield pieces
                pieces = []
    except (RuntimeError, EOFError, OSError) as error:  # as which of them a dead worker shows is a matter of moments
        if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    else:
        return
    finally:
        del arriving  # ends the workers
    # Raised out here because `error`, were it the cause, would hold the iterator and with it the other workers.
    raise DataError(
        f"the processes that decode the data failed ({reason})",
        "use fewer workers, or give more memory and a larger /dev/shm",
    )


@contextmanager
def _no_surprise() -> Iterator[None]:
    """Take back the handler by which torch raises, wherever this process is, when a worker dies.

    The iterator notices as well, when it is next asked, where the error can be turned into one line.
    """
    ours = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) if ours else None
    yield
    if before is not None:
        signal.signal(signal.SIGCHLD, before)


def _as_it_is(piece: Piece) -> Piece:
    return piece


def _deaf_to_interrupts(worker: int) -> None:
    """Ctrl-C is for the main process, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _joined(pieces: list[Piece]) -> tuple[list[int], Tensor | None]:
    data = [piece.data for piece in pieces if piece.data is not None]
    return [row for piece in pieces for row in piece.rows], torch.cat(data) if data else None
