"""The data of a session: a manifest split by source, its recordings and photos, in memory or read as needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edgeapp.progress_bar import progress
from gallery import read_taxa, starter_taxa
from trainer.checkpoint import digest
from trainer.data.manifest import Manifest, Sample, default_manifest, hold_out, read_manifest
from trainer.data.pictures import MemoryVectors, PictureStore, embed_pictures
from trainer.data.samples import Concatenated, taxa_of
from trainer.data.sounds import Sounds, SoundStore
from trainer.data.vectors import Vectors, VectorStore
from trainer.errors import DataError
from trainer.evaluate import Embedded
from trainer.models.vita import Vita
from trainer.presets import Preset

MAX_EVALUATED = 1000  # held-out samples that the metrics during training are computed on (released code)
MAX_RANKED = 100_000  # photos in memory at once
PHOTO_BATCH = 64  # for the frozen image tower
PHOTO_VECTORS = "photo_vectors"


@dataclass(frozen=True)
class Data:
    """A manifest, split by source.

    Attributes
    ----------
    unlabelled : recordings of unknown taxa, for a student
    """

    manifest: Manifest
    recordings: Sequence[Sample]
    photos: Sequence[Sample]
    held_recordings: Sequence[Sample]
    held_photos: Sequence[Sample]
    unlabelled: Sequence[Sample] = ()


def open_data(
    paths: Sequence[Path], media: Path | None, taxa: Path | None, held_out: float, seed: int, names: str = "accepted"
) -> Data:
    """Read and split a manifest; a share of the sources of every taxon with three or more is held out.

    Without a species table, taxa are taken from the ranks in the manifest, or from the project's table if it has none.
    """
    table = read_taxa(taxa) if taxa else None if paths else starter_taxa()
    manifest = read_manifest(paths or default_manifest(), table, media, names == "given")
    recordings, held_recordings = hold_out(manifest.recordings, held_out, seed)
    photos, held_photos = hold_out(manifest.photos, held_out, seed)
    return Data(manifest, recordings, photos, held_recordings, held_photos)


class Material:
    """Recordings and photos of one session; each part is decoded when it is first used.

    Parameters
    ----------
    folder : where photo vectors are stored by a preset that reads its data from disk
    workers : decoding processes of such a preset
    report : called with one line for each input that could not be used
    """

    def __init__(
        self,
        data: Data,
        preset: Preset,
        folder: Path,
        threads: int,
        workers: int,
        report: Callable[[Sequence[str]], None],
    ) -> None:
        self.data, self.preset, self.folder = data, preset, folder
        self.threads, self.workers, self.report = threads, workers, report
        self.native_frames = False  # see StageConfig
        self._reported: set[str] = set()
        self._sounds: dict[tuple[str, int], Sounds] = {}
        self._pictures: dict[str, PictureStore] = {}

    def sounds(self, which: str, rate_hz: int = 0) -> Sounds:
        """Recordings at a sampling rate; that of the front end by default.

        `which` is train, held, every (train and unlabelled), or few (a sample of train, enough for a fit).
        """
        rate_hz = rate_hz or self.preset.mel.rate_hz
        if (which == "few" and not self.preset.streamed) or (which == "every" and not len(self.data.unlabelled)):
            which = "train"
        if (which, rate_hz) not in self._sounds:
            self._sounds[which, rate_hz] = self._opened(which, rate_hz)
            self.report_skipped()
        return self._sounds[which, rate_hz]

    def _opened(self, which: str, rate_hz: int) -> Sounds:
        data = self.data
        samples = data.held_recordings if which == "held" else data.recordings
        if self.preset.streamed:
            from trainer.data.stream import SoundFiles

            if which == "every":
                samples = Concatenated(samples, data.unlabelled)
            elif which != "train":
                samples = some(samples, MAX_EVALUATED)
            preset, native = self.preset, self.native_frames
            return SoundFiles(samples, rate_hz, self.workers, preset.pad, preset.resampler, native, preset.offset)
        if which != "every":
            return self._decoded(samples, rate_hz, which)
        beside = self._decoded(data.unlabelled, rate_hz, "unlabelled")
        labelled = self.sounds("train", rate_hz) if len(samples) else None
        return labelled.joined(beside) if isinstance(labelled, SoundStore) else beside

    def _decoded(self, samples: Sequence[Sample], rate_hz: int, which: str) -> SoundStore:
        """Recordings in memory."""
        preset = self.preset
        with progress(f"recordings ({which})", len(samples)) as done:
            return SoundStore(
                samples, rate_hz, lambda: done(1), self.threads, preset.pad, preset.resampler, preset.offset
            )

    def report_skipped(self) -> None:
        """Report recordings and photos that could not be used since the last call."""
        of_sounds = [(*sounds.undecodable, *sounds.damaged) for sounds in self._sounds.values()]
        for found in (*of_sounds, *(pictures.undecodable for pictures in self._pictures.values())):
            lines = [line for line in found if line not in self._reported]
            self._reported.update(lines)
            self.report(lines)

    def pictures(self, which: str) -> PictureStore:
        """Photos in memory; `which` is train or held."""
        if which not in self._pictures:
            samples = self.data.photos if which == "train" else self.data.held_photos
            with progress(f"photos ({which})", len(samples)) as done:
                store = PictureStore(samples, self.preset.image_size, lambda: done(1))
            self._pictures[which] = store
            self.report_skipped()
            if which == "train" and not len(store):
                raise DataError(f"{self.data.manifest.path}: no photo to train on", "add rows with modality image")
        return self._pictures[which]

    def photo_vectors(self, model: Vita, which: str, device: torch.device) -> tuple[Vectors, np.ndarray]:
        """Vectors by the frozen image tower, and the taxon of each row."""
        if not self.preset.streamed:
            pictures = self.pictures(which)
            return MemoryVectors(embed_pictures(model, pictures, device)), taxa_of(pictures.samples)
        samples = self.data.photos if which == "train" else some(self.data.held_photos, MAX_EVALUATED)
        if which == "train" and not len(samples):
            raise DataError(f"{self.data.manifest.path}: no photo to train on", "add rows with modality image")
        model.image.eval()
        with progress(f"photos ({which})", len(samples)) as done:
            store = VectorStore.open_or_build(
                self.folder / PHOTO_VECTORS / which,
                key=digest(model.image),
                samples=samples,
                embed=lambda pixels: model.image(pixels.to(device)),
                dim=model.dim,
                size=self.preset.image_size,
                workers=self.workers,
                batch=PHOTO_BATCH,
                done=done,
            )
        self.report(store.undecodable)
        return store, taxa_of(samples)

    def embedded_photos(self, model: Vita, which: str, device: torch.device) -> Embedded:
        """The same as arrays, for ranking."""
        vectors, taxon = self.photo_vectors(model, which, device)
        rows = vectors.rows
        if len(rows) > MAX_RANKED:
            rows = rows[np.linspace(0, len(rows) - 1, MAX_RANKED).round().astype(int)]
        return Embedded(vectors.take(rows).cpu().numpy(), taxon[rows])


def some(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """At most `most` samples, evenly spaced."""
    if len(samples) <= most:
        return samples
    return [samples[int(row)] for row in np.linspace(0, len(samples) - 1, most).round()]
