"""Sounds and photos for the measurements: from a folder, or synthetic.

They have no labels: speed and the agreement of two packs are measured.
"""

from __future__ import annotations

import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.gpu_steps.plan import Settings, sounds_in
from edgeapp.examples.synthesise import RATE_HZ, SONGS, synthesise

PHOTOS = (".jpg", ".jpeg", ".png")
CALIBRATES = 4  # one recording in this many is for calibration, the others are for the check
PROJECT = Path(__file__).resolve().parents[2]
Recordings = list[tuple[str, np.ndarray]]  # label and windows [n, samples] of each


@dataclass(frozen=True)
class Heard:
    """Windows of recordings, for calibration and for the check; the former come first in the order of file names."""

    calibrating: Recordings
    checking: Recordings
    said: str  # description


def folder_of(settings: Settings) -> Path | None:
    """The folder given, else the starter data beside the project if it exists."""
    if settings.recordings is not None:
        return settings.recordings
    named = os.environ.get("BIOVITA_SHARED")
    starter = (Path(named) if named else PROJECT.parent / "shared") / "starter"
    return starter if starter.is_dir() else None


def spread(found: Sequence[Path], most: int) -> list[Path]:
    """At most `most` files, evenly spaced."""
    return [found[row] for row in np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))] if found else []


def heard(settings: Settings, rate_hz: int, window_s: float, most: int) -> Heard:
    """Windows of at most `most` recordings at the encoder's rate.

    Files with adjacent names may be parts of one recording: the first quarter calibrates, the rest is for the check.

    Raises
    ------
    ValueError
        None of the recordings can be decoded.
    """
    folder = folder_of(settings)
    decoders = [module for module in ("soundfile", "soxr") if find_spec(module) is None]
    paths = spread(sounds_in(folder), most) if folder and not decoders else []
    if paths:
        from benchmarks.precision import decoded
        from edgeapp.audio.cutting import Cutting

        found = decoded(paths, Cutting(rate_hz, window_s))
        said = f"recordings of {folder.name}"  # type: ignore[union-attr]
        if not found:
            raise ValueError(f"{folder}: none of the {len(paths)} recordings tried can be decoded")
    else:
        sung = sorted(SONGS) * max(2, most // len(SONGS))
        samples = round(rate_hz * window_s)
        found = [
            (f"{name} {seed}", synthesise(SONGS[name], window_s, rate_hz, seed)[None, :samples])
            for seed, name in enumerate(sung[:most])
        ]
        said = "synthetic songs" + (f", as {' and '.join(decoders)} is missing" if folder and decoders else "")
    first = max(1, len(found) // CALIBRATES)
    return Heard(found[:first], found[first:] or found, said)


def sound_files(settings: Settings, into: Path, count: int) -> tuple[list[Path], str]:
    """Sound files for training, with a description: those of the folder, else synthetic songs of 20 s."""
    folder = folder_of(settings)
    if folder and (found := spread(sounds_in(folder), count)):
        return found, f"recordings of {folder.name}"
    songs, made = sorted(SONGS), []
    for seed in range(count):
        made.append(into / f"{seed}.wav")
        sound = synthesise(SONGS[songs[seed % len(songs)]], 20.0, RATE_HZ, seed)
        with wave.open(str(made[-1]), "wb") as file:
            file.setparams((1, 2, RATE_HZ, len(sound), "NONE", ""))
            file.writeframes((32767.0 * sound).astype("<i2").tobytes())
    return made, "synthetic songs, WAV"


def photo_files(settings: Settings, into: Path, count: int) -> list[Path]:
    """Photos for training: those of the folder, else 640 x 480 pictures of smooth noise."""
    folder = folder_of(settings)
    there = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOS) if folder else []
    if there:
        return spread(there, count)
    from PIL import Image

    rng, made = np.random.default_rng(0), []
    for number in range(count):
        made.append(into / f"{number}.jpg")
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(made[-1], quality=90)
    return made
