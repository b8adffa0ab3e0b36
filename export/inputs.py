"""Real inputs of the graphs, for calibration and for checks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from edgeapp.audio.file import FileSource
from edgeapp.audio.memory import MemorySource
from edgeapp.errors import AudioError
from edgeapp.examples.synthesise import RATE_HZ, SONGS, synthesise
from edgeapp.paths import EXAMPLE
from edgeapp.progress_bar import each, progress
from edgeapp.runtime.inputs import image_pixels
from export.errors import ExportError
from export.integers import spread_rows
from gallery import Taxon, prompts
from trainer.data.manifest import Manifest, Sample
from trainer.data.media import called, opened
from trainer.data.pictures import PictureStore
from trainer.errors import DataError
from trainer.presets import Preset

RECORDINGS, PHOTOS, TAXA = 200, 48, 500  # maximum numbers, evenly spaced in the manifest
EXAMPLE_PICTURES = 6
WINDOWS = 4  # per recording, from its start
CALIBRATING_SOURCES = 4  # every fourth source is for calibration, the others for checks

T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """Windows of recordings, and pictures, each with its label.

    Attributes
    ----------
    windows : label and [n, samples] of each recording
    pictures : label and [1, 3, size, size] of each photo
    taxa : whose prompts are encoded, and which recordings are identified among
    failed : one line for each file that could not be read
    """

    windows: list[tuple[str, np.ndarray]]
    pictures: list[tuple[str, np.ndarray]]
    taxa: list[Taxon]
    failed: tuple[str, ...] = ()

    def texts(self) -> list[list[str]]:
        """The prompts of each taxon."""
        return [list(prompts(taxon).values()) for taxon in self.taxa]


def read_inputs(manifest: Manifest, preset: Preset) -> Inputs:
    """Evenly spaced samples of a manifest as inputs of the encoders of a preset."""
    failed: list[str] = []
    windows = []
    for sample in each("recordings", spread(manifest.recordings, RECORDINGS)):
        try:
            with opened(sample) as file, closing(FileSource(file)) as source:
                cut = [window.samples for window in islice(preset.cutting.windows(source), WINDOWS)]
        except (AudioError, DataError) as error:
            failed.append(str(error))
            continue
        windows.append((name_of(sample), np.stack(cut)))
    chosen = spread(manifest.photos, PHOTOS)
    with progress("photos", len(chosen)) as done:
        photos = PictureStore(chosen, preset.image_size, lambda: done(1))
    pictures = [(name_of(sample), photos.centre([row]).numpy()) for row, sample in enumerate(photos.samples)]
    return Inputs(windows, pictures, spread(manifest.taxa, TAXA), (*failed, *photos.undecodable))


def example_inputs(preset: Preset, taxa: list[Taxon]) -> Inputs:
    """The bundled example, synthetic songs and synthetic pictures, for machines without a data set."""
    rng = np.random.default_rng(0)
    with closing(FileSource(EXAMPLE)) as source:
        windows = [(EXAMPLE.name, [window.samples for window in preset.cutting.windows(source)])]
    for seed, (name, song) in enumerate(SONGS.items()):
        sung = MemorySource(synthesise(song, preset.window_s, RATE_HZ, seed), RATE_HZ)
        windows.append((f"synthetic {name}", [window.samples for window in preset.cutting.windows(sung)]))
    pictures = []
    for number in range(EXAMPLE_PICTURES):
        coarse = rng.uniform(0, 255, (2 + 3 * number, 2 + 3 * number, 3)).astype(np.uint8)
        drawn = Image.fromarray(coarse).resize((preset.image_size, preset.image_size), Image.Resampling.BICUBIC)
        pictures.append((f"synthetic picture {number + 1}", image_pixels(drawn, preset.image_size)[None]))
    return Inputs([(name, np.stack(cut[:WINDOWS])) for name, cut in windows], pictures, taxa)


def name_of(sample: Sample) -> str:
    """Name of a recording or photo for messages: its file, and its position inside a shard."""
    return called(replace(sample, path=Path(sample.path.name)))


def calibration_split(manifest: Manifest) -> tuple[Manifest, Manifest]:
    """Split a manifest by source for calibration and for checks.

    Raises
    ------
    ExportError
        When there are too few sources for both.
    """

    def part(calibrates: bool) -> Manifest:
        recordings, photos = (
            samples[(samples.source_codes() % CALIBRATING_SOURCES == 0) == calibrates]
            for samples in (manifest.recordings, manifest.photos)
        )
        if not len(recordings) or not len(photos):
            raise ExportError(
                f"{manifest.path}: too few recordings or photos for calibration and checks",
                "name a larger manifest with --data, or export in fp32",
            )
        return replace(manifest, recordings=recordings, photos=photos)

    return part(True), part(False)


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` items, evenly spaced."""
    return [items[int(row)] for row in spread_rows(len(items), count)]
