"""A collection with files: generated sounds and photos, as if they had been fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.curation import Rules, curate
from tests.edgeapp.collect.offers import medium, resolve

RATE_HZ = 22_050


def tone(path: Path, seconds: float = 2.0, level: float = 0.3, pitch_hz: float = 3000.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    soundfile.write(path, (level * np.sin(2 * np.pi * pitch_hz * time)).astype(np.float32), RATE_HZ)
    return path


def picture(path: Path, width: int = 320, height: int = 240, shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (shade, 80, 40)).save(path)
    return path


def take(catalogue: Catalogue, paths: Sequence[Path], **told: Any) -> None:
    """Offer files that lie in the collection's folder, and have them fetched."""
    for path in paths:
        modality = "audio" if path.suffix in (".wav", ".mp3") else "image"
        inside = path.relative_to(catalogue.folder).as_posix()
        catalogue.offer([medium(inside, "folder", modality, url=inside, **{"observation": inside, **told})])
    resolve(catalogue)
    curate(catalogue, Rules(burst=None))
    for row in list(catalogue.rows("chosen")):
        path = catalogue.folder / row.medium.id
        data = path.read_bytes()
        catalogue.downloaded(row.key, row.medium.id, hashlib.sha256(data).hexdigest(), len(data))
