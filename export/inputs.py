"""Real inputs for the graphs: some to calibrate on, others to check on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from edgeapp.audio.file import load
from edgeapp.errors import AudioError
from export.errors import ExportError
from gallery import Taxon, prompts
from trainer.data.manifest import Manifest
from trainer.data.pictures import PictureStore
from trainer.data.windows import recording_windows
from trainer.presets import Preset

RECORDINGS, PHOTOS, TAXA = 200, 48, 500  # at most, spread over the manifest
WINDOWS = 4  # of one recording, from its start
CALIBRATING_SOURCES = 4  # every fourth source calibrates, the others check

T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """Windows of recordings and pictures, each with its label; one line for each file that could not be read.

    Attributes
    ----------
    windows : label and [n, samples] of each recording
    pictures : label and [1, 3, size, size] of each photo
    taxa : those whose prompts are encoded, and that recordings are told apart by
    """

    windows: list[tuple[str, np.ndarray]]
    pictures: list[tuple[str, np.ndarray]]
    taxa: list[Taxon]
    failed: tuple[str, ...] = ()

    def texts(self) -> list[list[str]]:
        """The prompts of each taxon."""
        return [list(prompts(taxon).values()) for taxon in self.taxa]


def read_inputs(manifest: Manifest, preset: Preset) -> Inputs:
    """Inputs spread over a manifest, as the encoders of a preset want them."""
    failed: list[str] = []
    windows = []
    for sample in spread(manifest.recordings, RECORDINGS):
        try:
            sound = load(sample.path, preset.mel.rate_hz)
            cut = recording_windows(sound, preset.mel.rate_hz, preset.window_s, preset.hop_s, preset.pad)
        except AudioError as error:
            failed.append(str(error))
            continue
        windows.append((sample.path.name, cut[:WINDOWS]))
    photos = PictureStore(spread(manifest.photos, PHOTOS), preset.image_size)
    pictures = [(sample.path.name, photos.centre([row]).numpy()) for row, sample in enumerate(photos.samples)]
    return Inputs(windows, pictures, spread(manifest.taxa, TAXA), (*failed, *photos.undecodable))


def calibration_split(manifest: Manifest) -> tuple[Manifest, Manifest]:
    """What calibrates and what checks; no source gives to both.

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
                f"{manifest.path}: too few recordings or photos to calibrate on some and check on others",
                "name a larger manifest with --data, or export in fp32",
            )
        return dataclasses.replace(manifest, recordings=recordings, photos=photos)

    return part(True), part(False)


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` items, evenly over the list."""
    rows = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[row] for row in np.unique(rows)]
