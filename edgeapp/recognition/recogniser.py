"""Recognition on the device: source -> windows -> encoder -> `gallery.recognise` -> window results.

``identify`` and ``listen`` call this; the trainer's evaluation and calibration and the exporter's agreement check call
`gallery.recognise` with vectors of their own, so a recording gives the same detections everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np

from edgeapp.audio.source import AudioSource
from edgeapp.audio.windows import Window
from edgeapp.errors import UsageError
from edgeapp.pack.format import Pack
from edgeapp.pack.hashes import known_sha256
from edgeapp.pack.names import names_table
from edgeapp.recognition.ahead import in_order
from edgeapp.recognition.learned import Learned, read_learned
from edgeapp.recognition.results import Origin, WindowResult
from edgeapp.runtime.allocator import give_memory_back
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.integers import integer_products
from edgeapp.runtime.settings import CPU, RunSettings
from gallery.candidates import Candidate, likeliest, ranked
from gallery.entry import MODALITIES
from gallery.errors import BiovitaError
from gallery.parameters import DecisionParameters
from gallery.pooling import Pool
from gallery.recognition import loud, recognise
from gallery.search import Index
from gallery.store import Gallery
from gallery.taxon import Taxon
from gallery.vocabulary import Vocabulary

BATCH_PROCESSOR_S = 40.0  # seconds of sound answered together by one core; what is small for one window is hardly more
BATCH_PROCESSOR = 8  # windows at most: what waits is in memory
BATCH_ACCELERATOR = 8  # a GPU works on many at once, and its runs come one after the other
WORKERS_ACCELERATOR = 2  # one prepares the next batch while the other's is encoded
DECIDED_TOGETHER = 256  # windows: of 64, each takes a third more
LARGE_GALLERY = 1_000_000  # numbers of its directions, 4 MB: more than a processor's cache keeps for the next window
SHOWN = 0.0005  # least confidence that is not 0.00 % in any output
Answer = Callable[[Sequence[Window]], list[WindowResult]]

AHEAD = 2  # batches answered or being answered for each worker, beyond the one being read


class Recogniser:
    """Recognises taxa in sound with a pack and a gallery.

    Parameters
    ----------
    pack : Pack
    gallery : path or None
        The pack's own gallery when None.
    only : sequence of str
        Keep the taxa at or below these, at any rank ("Aves", "Parus", "Parus major") and in any language.
    modalities : sequence of str or None
        Gallery entries to match: any of text, image, audio. All that are there when None.
    threads : int or None
        Threads that work at once; ``BIOVITA_THREADS``, or as many as this process has cores, when None.
    provider : str or None
        What runs the encoder, see `edgeapp.runtime.encoders.AudioEncoder`.
    learned : path or None
        Learned gallery to lay over the gallery.
    live : bool
        For a microphone: all threads share one window, which is answered sooner. Otherwise each takes a window of its
        own, which answers a recording sooner.

    Attributes
    ----------
    threads : int
    batch, workers : int
        Windows answered together, and how many times that at once, for sources that are not live.

    Raises
    ------
    PackError, GalleryError, TaxonError
        What cannot be loaded, made by other encoders, or found.
    UsageError
        A modality that does not exist, or that leaves no taxon to match.
    """

    def __init__(
        self,
        pack: Pack,
        gallery: str | os.PathLike[str] | None = None,
        only: Sequence[str] = (),
        modalities: Sequence[str] | None = None,
        threads: int | None = None,
        provider: str | None = None,
        live: bool = False,
        learned: str | os.PathLike[str] | None = None,
    ) -> None:
        for modality in modalities or ():
            if modality not in MODALITIES:
                raise UsageError(f"unknown modality {modality!r}", f"use {', '.join(MODALITIES)}")
        give_memory_back()
        self.pack = pack
        self.parameters: DecisionParameters = pack.decision
        self.gallery_path = Path(gallery) if gallery is not None else pack.gallery_path()
        with Gallery.open(self.gallery_path, identity=pack.identity) as opened:
            by_class = modalities is None or "audio" in modalities
            index = Index.of(opened, self.parameters if by_class else None)
        if only:
            index = index.only(list(only), names_table())
        if modalities is not None and not set(modalities) & set(index.modalities):
            asked = " or ".join(modalities) or "usable"
            raise UsageError(f"{self.gallery_path}: has no {asked} entry to match", "choose other --modalities")
        self.index = index
        self.threads = RunSettings.of(provider, threads).threads
        # A graph of small layers shares a window badly; windows side by side leave no core waiting for another.
        of_each = self.threads if live else 1
        self.integers = integer_products(of_each)
        self.vocabulary = Vocabulary(index, self.parameters, modalities, integers=self.integers)
        self._learned_sha256: str | None = None
        if learned is not None:
            self.lay_over(read_learned(Path(learned), pack.identity))
        self.encoder = AudioEncoder(pack, of_each, provider)
        on_processor = self.encoder.provider == CPU
        at_once = max(1, min(BATCH_PROCESSOR, round(BATCH_PROCESSOR_S / pack.audio.window_s)))
        self.batch = at_once if on_processor else BATCH_ACCELERATOR
        self.workers = self.threads if on_processor else WORKERS_ACCELERATOR
        self._turn: AbstractContextManager[object] = nullcontext() if on_processor else Lock()

    @property
    def taxa(self) -> tuple[Taxon, ...]:
        """The taxa that can be detected."""
        return self.vocabulary.taxa

    @property
    def origin(self) -> Origin:
        """The pack and the galleries, for detection documents."""
        return Origin(self.pack.name, self.pack.version, self._gallery_sha256, self._learned_sha256)

    @cached_property
    def _gallery_sha256(self) -> str:
        return known_sha256(self.gallery_path)

    def lay_over(self, learned: Learned | None) -> None:
        """Lay what reviews taught over the gallery from now on, or nothing; from any thread."""
        self.vocabulary.reviewed = None if learned is None else learned.reviewed
        self._learned_sha256 = None if learned is None else learned.sha256

    def windows(
        self, source: AudioSource, hop_s: float | None = None, answer: Answer | None = None
    ) -> Generator[WindowResult, None, None]:
        """Recognise every window of a source, in order, as a stream.

        A live source is answered one window at a time in the caller's thread. Any other is decoded, resampled and
        answered by `workers` threads, a few windows ahead of the caller. Closes the source when done or abandoned.

        Parameters
        ----------
        source : AudioSource
            At any rate.
        hop_s : float or None
            Seconds between window starts; the pack's when None.
        answer : callable or None
            In the place of `answer`, which it calls; from several threads at once.

        Raises
        ------
        AudioError
            From the source or the cutting; what was already given stays valid.
        """
        try:
            cut = self.cut(source, hop_s)
            if source.live:
                for window in cut:
                    yield from (answer or self.answer)([window])
            else:
                batches = _batches(cut, self.batch)
                if answer is not None:
                    with in_order(batches, answer, self.workers, AHEAD * self.workers) as answers:
                        for answered in answers:
                            yield from answered
                else:
                    with in_order(batches, self.encoded, self.workers, AHEAD * self.workers) as encoded:
                        for some in _together(encoded, self._decided_together):
                            yield from self._decided(some)
        finally:
            source.close()

    def cut(self, source: AudioSource, hop_s: float | None = None) -> Iterator[Window]:
        """The windows of a source at the encoder's rate, as `answer` takes them: one source, in order.

        Raises
        ------
        UsageError
            A hop that is not greater than 0.
        AudioError
            From the source or the cutting, while it is read.
        """
        if hop_s is not None and not 0 < hop_s < float("inf"):
            raise UsageError(f"--hop must be greater than 0, not {hop_s:g}", "give the seconds between windows")
        return self.encoder.sharing(self.pack.audio.cutting.windows(source, hop_s))

    def answer(self, batch: Sequence[Window]) -> list[WindowResult]:
        """Recognise windows whose samples are at the encoder's rate."""
        return self._decided([self.encoded(batch)])

    def encoded(self, batch: Sequence[Window]) -> Encoded:
        """Encode windows whose samples are at the encoder's rate; those that are not loud enough are zeros."""
        levels = np.array([window.level.dbfs for window in batch])
        heard = np.flatnonzero(loud(levels, self.parameters)).tolist()
        vectors = np.zeros((len(batch), self.pack.dim), np.float32)
        if heard:
            with self._turn:
                vectors[heard] = self.encoder.hear([batch[row] for row in heard])
        return Encoded([(window.start_s, window.end_s) for window in batch], levels, vectors)

    @property
    def _decided_together(self) -> int:
        """Windows, so that a large gallery is gone through once for all of them; as they come with a small one."""
        return DECIDED_TOGETHER if len(self.taxa) * self.pack.dim >= LARGE_GALLERY else 1

    def _decided(self, batches: Sequence[Encoded]) -> list[WindowResult]:
        times = [time for batch in batches for time in batch.times]
        levels = np.concatenate([batch.levels_dbfs for batch in batches])
        return self.recognised(times, levels, np.concatenate([batch.vectors for batch in batches]))

    def recognised(
        self, times: Sequence[tuple[float, float]], levels_dbfs: np.ndarray, vectors: np.ndarray
    ) -> list[WindowResult]:
        """Recognise windows that were encoded, now or before.

        Parameters
        ----------
        times : sequence of (float, float)
            Start and end of each, in seconds.
        levels_dbfs : numpy.ndarray
            [n]
        vectors : numpy.ndarray
            [n, dim], as the pack's encoder gives them.
        """
        found = recognise(vectors, levels_dbfs, self.vocabulary)
        return [
            WindowResult(
                start_s,
                end_s,
                float(level),
                one.heard,
                one.confidences,
                one.detections,
                vector if one.heard else None,
            )
            for (start_s, end_s), level, one, vector in zip(times, levels_dbfs, found, vectors, strict=True)
        ]

    def species(self, result: WindowResult, top: int, among: np.ndarray | None = None) -> tuple[Candidate, ...]:
        """The first ``top`` species of a window, of those in `among` [n_taxa] bool; none when it was not heard."""
        if result.vector is None:
            return ()
        confidences = result.confidences if among is None else result.confidences * among
        return likeliest(confidences, result.vector, self.vocabulary, top)


@dataclass(frozen=True, eq=False)
class Encoded:
    """Windows that were encoded together.

    Attributes
    ----------
    times : list of (float, float)
        Start and end of each, in seconds.
    levels_dbfs : numpy.ndarray
        [n]
    vectors : numpy.ndarray
        [n, dim]
    """

    times: list[tuple[float, float]]
    levels_dbfs: np.ndarray
    vectors: np.ndarray


def _together(batches: Iterator[Encoded], windows: int) -> Iterator[list[Encoded]]:
    """Batches of at least so many windows; what came before an error comes before it."""
    found: list[Encoded] = []
    try:
        for batch in batches:
            found.append(batch)
            if sum(len(one.times) for one in found) >= windows:
                yield found
                found = []
    except BiovitaError:
        if found:
            yield found
        raise
    if found:
        yield found


def _batches(cut: Iterator[Window], size: int) -> Iterator[list[Window]]:
    while batch := list(islice(cut, size)):
        yield batch


class Tally:
    """Running summary of a recording, in constant memory.

    Parameters
    ----------
    vocabulary : Vocabulary
        What its windows were compared with.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._pool = Pool(len(vocabulary), vocabulary.parameters)
        self._surest = np.zeros(len(vocabulary), np.float32)  # confidence of each taxon in its most confident window
        self._similarities = np.zeros(len(vocabulary), np.float32)  # and its similarity there
        self.end_s = 0.0
        self.n_windows = 0

    @property
    def heard(self) -> bool:
        """Whether any window was loud enough."""
        return self._pool.heard > 0

    def add(self, result: WindowResult) -> None:
        """Count one more window; silent windows are ignored."""
        self.end_s = max(self.end_s, result.end_s)
        self.n_windows += 1
        self._pool.add(result)
        if result.vector is not None:
            surer = np.flatnonzero(result.confidences > np.maximum(self._surest, SHOWN)).tolist()
            self._surest[surer] = result.confidences[surer]
            self._similarities[surer] = self._vocabulary.similarity(result.vector, surer)

    def species(self, top: int, among: np.ndarray | None = None) -> tuple[Candidate, ...]:
        """The first ``top`` species of the recording, of those in `among` [n_taxa] bool.

        Each has the similarity that it had in its most confident window.
        """
        confidences = self._pool.confidences()
        if among is not None:
            confidences = confidences * among
        return ranked(confidences, self._similarities, self._vocabulary.taxa, top)
