"""What the image encoder sees of photos of any kind."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edgeapp.recognition.photos import thumbnail
from edgeapp.runtime.inputs import LONGEST, image_pixels

GREYS = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_seen_as_of_8(format):
    held = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(GREYS.astype(np.uint16) * 257).save(held, format, exif=exif)
    photo = Image.open(held)
    assert photo.mode.startswith("I")
    turned = Image.fromarray(GREYS).transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(image_pixels(photo, 32), image_pixels(turned, 32))
    small = np.asarray(Image.open(io.BytesIO(thumbnail(photo).large)).convert("L"), float)
    assert small.shape == (64, 48) and np.abs(small - np.asarray(turned, float)).max() < 8


@pytest.mark.parametrize("across", [True, False])
def test_a_line_of_pixels_takes_little_memory(across, monkeypatch):
    scaled: list[tuple[int, int]] = []
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda of, size, *how: scaled.append(size) or resize(of, size, *how))
    line = np.zeros((1, 20_000, 3), np.uint8)
    line[:, 9_000:11_000] = 200
    photo = Image.fromarray(line if across else line.transpose(1, 0, 2))
    seen = image_pixels(photo, 224)
    assert seen.shape == (3, 224, 224) and (seen == 200).all()
    assert max(scaled[0]) <= LONGEST * 224


def test_of_a_long_photo_the_middle_is_seen_alike():
    long = np.random.default_rng(0).integers(0, 255, (4, 4 * LONGEST * 3, 3), np.uint8)
    cut = long[:, 4 * LONGEST : -4 * LONGEST]
    assert np.array_equal(image_pixels(Image.fromarray(long), 16), image_pixels(Image.fromarray(cut), 16))
