"""The one way through: source -> windows -> silence gate -> encoder -> match -> probabilities -> decision.

``identify``, ``listen``, the trainer's evaluation and the exporter's parity check all call this, so a recording gives
the same decisions whichever door it comes through.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np

from edgeapp.audio.resample import resampled
from edgeapp.audio.source import AudioSource
from edgeapp.audio.windows import HOP_S, Window, windows
from edgeapp.errors import UsageError
from edgeapp.pack.format import Pack
from edgeapp.recognition.ahead import in_order
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.settings import CPU, RunSettings
from gallery.decision import (
    Decision,
    DecisionParameters,
    Pool,
    RankedSpecies,
    decide,
    logits,
    probabilities,
    ranked,
    similarity,
)
from gallery.entry import KINDS
from gallery.search import Index
from gallery.store import Gallery
from gallery.taxon import Taxon

BATCH_PROCESSOR = 4  # windows answered together, by one core: what is small for one is hardly more for four
BATCH_ACCELERATOR = 8  # a GPU works on many at once, and its runs come one after the other
WORKERS_ACCELERATOR = 2  # one prepares the next batch while the other's is encoded
AHEAD = 2  # batches answered or being answered for each worker, beyond the one being read


@dataclass(frozen=True)
class WindowResult:
    """What one window is.

    Attributes
    ----------
    start_s, end_s : float
        On the source's clock.
    level_dbfs : float
        ``-inf`` for digital silence.
    probabilities : np.ndarray
        ``[n_taxa + 1]``; the last member is "nothing known here". Sums to 1.
    similarities : np.ndarray
        ``[n_taxa]`` cosine with each taxon, over its kinds as the decision weighs them; NaN when not heard.
    decision : Decision or None
    vector : np.ndarray or None
        ``[dim]`` unit length; None for a window that was not heard.
    heard : bool
        False when the window is below the pack's silence level: it was not encoded and is "nothing".
    """

    start_s: float
    end_s: float
    level_dbfs: float
    probabilities: np.ndarray
    similarities: np.ndarray
    decision: Decision | None
    vector: np.ndarray | None
    heard: bool


@dataclass(frozen=True)
class WindowSummary:
    """A window as it is written.

    Attributes
    ----------
    start_s, end_s : float
    species : tuple of RankedSpecies
        The first few, none when nothing was heard.
    decision : Decision or None
    inside : tuple of RankedSpecies
        The first few inside the decided taxon, none without a decision.
    """

    start_s: float
    end_s: float
    species: tuple[RankedSpecies, ...]
    decision: Decision | None = None
    inside: tuple[RankedSpecies, ...] = ()


@dataclass(frozen=True)
class Identification:
    """What one recording is; the JSON document of ``identify``.

    ``inside`` are the first few species inside the decided taxon. ``heard`` is False when no window was loud enough to
    be encoded. ``windows`` is empty where they were already written one by one.
    """

    file: str
    duration_s: float
    pack: str
    pack_version: str
    hop_s: float
    species: tuple[RankedSpecies, ...]
    decision: Decision | None
    inside: tuple[RankedSpecies, ...] = ()
    heard: bool = True
    windows: tuple[WindowSummary, ...] = ()


class Recogniser:
    """A pack and a gallery, ready to name what they hear.

    Parameters
    ----------
    pack : Pack
    gallery : path or None
        The pack's own gallery when None.
    only : sequence of str
        Keep the taxa at or below these, at any rank ("Aves", "Parus", "Parus major").
    kinds : sequence of str or None
        Gallery entries to match: any of text, image, audio. All that are there when None.
    threads : int or None
        Threads that work at once; ``BIOVITA_THREADS``, or as many as this process has cores, when None.
    provider : str or None
        What runs the encoder, see `edgeapp.runtime.encoders.AudioEncoder`.
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
        A kind that does not exist, or that leaves no taxon to match.
    """

    def __init__(
        self,
        pack: Pack,
        gallery: str | os.PathLike[str] | None = None,
        only: Sequence[str] = (),
        kinds: Sequence[str] | None = None,
        threads: int | None = None,
        provider: str | None = None,
        live: bool = False,
    ) -> None:
        for kind in kinds or ():
            if kind not in KINDS:
                raise UsageError(f"there is no kind {kind!r} of gallery entry", f"use {', '.join(KINDS)}")
        self.pack = pack
        self.parameters: DecisionParameters = pack.decision
        self.gallery_path = Path(gallery) if gallery is not None else pack.gallery_path()
        with Gallery.open(self.gallery_path, identity=pack.identity) as opened:
            index = Index.of(opened)
        if only:
            index = index.only(list(only))
        weighed = [kind for kind in index.kinds if self.parameters.weight.get(kind, 0.0) > 0]
        self.kinds = tuple(dict.fromkeys(kinds)) if kinds is not None else tuple(weighed)
        self.index = _matchable(index, self.kinds, self.gallery_path)
        self.taxa: list[Taxon] = list(self.index.taxa)
        self.threads = RunSettings.of(provider, threads).threads
        # A graph of small layers shares a window badly; windows side by side leave no core waiting for another.
        self.encoder = AudioEncoder(pack, self.threads if live else 1, provider)
        on_processor = self.encoder.provider == CPU
        self.batch = BATCH_PROCESSOR if on_processor else BATCH_ACCELERATOR
        self.workers = self.threads if on_processor else WORKERS_ACCELERATOR
        self._turn: AbstractContextManager[object] = nullcontext() if on_processor else Lock()
        self._below: dict[tuple[str, str], list[int]] = {}

    def windows(self, source: AudioSource, hop_s: float = HOP_S) -> Generator[WindowResult, None, None]:
        """Name every window of a source, in order, as it goes.

        A live source is answered one window at a time in the caller's thread. Any other is decoded, resampled and
        answered by `workers` threads, a few windows ahead of the caller. Closes the source when done or abandoned.

        Parameters
        ----------
        source : AudioSource
            At any rate.
        hop_s : float
            Seconds between window starts.

        Raises
        ------
        AudioError
            From the source or the cutting; what was already given stays valid.
        """
        try:
            cut = self.cut(source, hop_s)
            if source.live:
                for window in cut:
                    yield from self.answer([window])
            else:
                with in_order(_batches(cut, self.batch), self.answer, self.workers, AHEAD * self.workers) as answers:
                    for answered in answers:
                        yield from answered
        finally:
            source.close()

    def cut(self, source: AudioSource, hop_s: float = HOP_S) -> Iterator[Window]:
        """The windows of a source at the encoder's rate, as `answer` takes them: one source, in order.

        Raises
        ------
        UsageError
            A hop that goes nowhere.
        AudioError
            From the source or the cutting, while it is read.
        """
        if not 0 < hop_s < float("inf"):
            raise UsageError(f"a hop of {hop_s:g} s goes nowhere", "give --hop more than 0 seconds")
        spec = self.pack.audio
        return self.encoder.sharing(windows(resampled(source, spec.rate_hz), spec.window_s, hop_s))

    def answer(self, batch: Sequence[Window]) -> list[WindowResult]:
        """Name some windows, whose samples are already at the encoder's rate."""
        levels = [window.level.dbfs for window in batch]
        heard = [i for i, level in enumerate(levels) if level >= self.parameters.silence_dbfs]
        results: list[WindowResult | None] = [None] * len(batch)
        if heard:
            with self._turn:
                vectors = self.encoder.hear([batch[i] for i in heard])
            p, cosines = self.match(vectors)
            for row, i in enumerate(heard):
                decision = decide(p[row], self.taxa, self.parameters)
                results[i] = WindowResult(
                    batch[i].start_s, batch[i].end_s, levels[i], p[row], cosines[row], decision, vectors[row], True
                )
        return [
            result if result is not None else self._unheard(window, level)
            for result, window, level in zip(results, batch, levels, strict=True)
        ]

    def match(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compare vectors ``[n, dim]`` with the gallery.

        Returns
        -------
        probabilities : np.ndarray
            ``[n, n_taxa + 1]``.
        similarities : np.ndarray
            ``[n, n_taxa]``, see `WindowResult`.
        """
        found = self.index.match(vectors, self.kinds)
        p = probabilities(logits(found, self.parameters, self.kinds), self.parameters)
        return p, similarity(found, self.parameters, self.kinds)

    def _unheard(self, window: Window, level: float) -> WindowResult:
        nothing = np.zeros(len(self.taxa) + 1, np.float32)
        nothing[-1] = 1.0
        unknown = np.full(len(self.taxa), np.nan, np.float32)
        return WindowResult(window.start_s, window.end_s, level, nothing, unknown, None, None, False)

    def summary(self, result: WindowResult, top: int) -> WindowSummary:
        """A window as it is written, with at most ``top`` species; none when it was not heard."""
        inside = self.inside(result.decision, result.probabilities, result.similarities, top)
        return WindowSummary(result.start_s, result.end_s, self.species(result, top), result.decision, inside)

    def species(self, result: WindowResult, top: int) -> tuple[RankedSpecies, ...]:
        """The first ``top`` species of a window; none when it was not heard."""
        return tuple(ranked(result.probabilities, result.similarities, self.taxa, top)) if result.heard else ()

    def inside(
        self, decision: Decision | None, p: np.ndarray, similarities: np.ndarray, top: int
    ) -> tuple[RankedSpecies, ...]:
        """The first species of the decided taxon, which need not be the first of all; none without a decision."""
        if decision is None:
            return ()
        rows = self._members(decision)
        return tuple(ranked(p[[*rows, -1]], similarities[rows], [self.taxa[i] for i in rows], top))

    def path(self, decision: Decision) -> tuple[str, ...]:
        """Names of the decided taxon and of what it lies in, from the kingdom down."""
        return self.taxa[self._members(decision)[0]].path(decision.rank)

    def _members(self, decision: Decision) -> list[int]:
        key = decision.rank, decision.name
        if key not in self._below:
            self._below[key] = [i for i, taxon in enumerate(self.taxa) if taxon.at(decision.rank) == decision.name]
        return self._below[key]


def _batches(cut: Iterator[Window], size: int) -> Iterator[list[Window]]:
    while batch := list(islice(cut, size)):
        yield batch


def _matchable(index: Index, kinds: Sequence[str], path: Path) -> Index:
    """Leave out taxa without an entry of the kinds asked for: they could only ever be ranked by accident."""
    has = np.zeros(len(index.taxa), bool)
    for kind in kinds:
        if kind in index.present:
            has |= index.present[kind]
    if not has.any():
        raise UsageError(f"{path}: has no {' or '.join(kinds) or 'usable'} entry to match", "choose other --kinds")
    if has.all():
        return index
    return index.only([taxon.scientific_name for taxon, keep in zip(index.taxa, has, strict=True) if keep])


class Tally:
    """The running summary of a recording, in memory that does not grow with its length.

    Parameters
    ----------
    recogniser : Recogniser
        The one that names the windows.
    """

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser
        self._pool = Pool(len(recogniser.taxa), recogniser.parameters)
        self._similarities = np.full(len(recogniser.taxa), -1.0, np.float32)
        self.end_s = 0.0
        self.n_windows = 0
        self.n_heard = 0

    def add(self, result: WindowResult) -> None:
        """Count one more window; silent ones say nothing about what the others hold."""
        self.end_s = max(self.end_s, result.end_s)
        self.n_windows += 1
        if result.heard:
            self.n_heard += 1
            self._pool.add(result.probabilities[None])
            self._similarities = np.maximum(self._similarities, result.similarities)

    def identification(
        self, file: str, hop_s: float, top: int, windows: Iterable[WindowSummary] = ()
    ) -> Identification:
        """The summary as it is written: pooled probabilities, and the best similarity each species reached."""
        pack = self._recogniser.pack
        species: tuple[RankedSpecies, ...] = ()
        inside: tuple[RankedSpecies, ...] = ()
        decision = None
        if self.n_heard:
            p = self._pool.probabilities()
            species = tuple(ranked(p, self._similarities, self._recogniser.taxa, top))
            decision = decide(p, self._recogniser.taxa, self._recogniser.parameters)
            inside = self._recogniser.inside(decision, p, self._similarities, top)
        return Identification(
            file=file,
            duration_s=self.end_s,
            pack=pack.name,
            pack_version=pack.version,
            hop_s=hop_s,
            species=species,
            decision=decision,
            inside=inside,
            heard=self.n_heard > 0,
            windows=tuple(windows),
        )


def summarise(
    results: Iterable[WindowResult], recogniser: Recogniser, file: str, hop_s: float = HOP_S, top: int = 5
) -> Identification:
    """Sum up a recording, its windows included.

    Parameters
    ----------
    results : iterable of WindowResult
        From `Recogniser.windows`.
    recogniser : Recogniser
        The one that made them.
    file : str
        Name of the recording.
    hop_s : float
        Seconds between windows.
    top : int
        Species kept per window and for the recording.
    """
    tally = Tally(recogniser)
    kept = []
    for result in results:
        tally.add(result)
        kept.append(recogniser.summary(result, top))
    return tally.identification(file, hop_s, top, kept)
