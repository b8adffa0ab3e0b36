"""Photos in memory: as the device sees them, and the random views of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgeapp.runtime.inputs import image_pixels
from trainer.data.manifest import Sample
from trainer.data.pictures import PictureStore

SIZE = 32


@pytest.fixture
def photos(tmp_path: Path) -> PictureStore:
    """A red photo with a white left edge, four times."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, :, 0] = 180
    pixels[:, :30] = 255
    Image.fromarray(pixels).save(tmp_path / "red.png")
    return PictureStore([Sample(tmp_path / "red.png", 0, ("", ""))] * 4, SIZE)


def views(photos: PictureStore, seed: int = 1) -> torch.Tensor:
    return photos.views([0, 1, 2, 3], torch.Generator().manual_seed(seed))


def test_the_centre_is_what_the_device_sees(photos: PictureStore) -> None:
    centre = photos.centre([0, 2])
    assert centre.shape == (2, 3, SIZE, SIZE) and centre.dtype == torch.float32
    assert np.array_equal(centre[0].numpy(), image_pixels(photos.samples[0].path, SIZE))


def test_a_photo_that_vanishes_is_seen_from_memory_and_named(photos: PictureStore) -> None:
    before = photos.centre([1])
    photos.samples[1].path.unlink()
    after = photos.centre([1, 1])
    assert after.shape == (2, 3, SIZE, SIZE) and (after[0] - before[0]).abs().mean() < 3.0
    assert photos.undecodable == [f"{photos.samples[1].path}: does not exist; restore the file or remove the row"]


def test_views_differ_stay_in_range_and_keep_the_colour(photos: PictureStore) -> None:
    seen = views(photos)
    assert seen.shape == (4, 3, SIZE, SIZE)
    assert seen.min() >= 0.0 and seen.max() <= 255.0
    assert not torch.equal(seen[0], seen[1])
    assert (seen[:, 0].mean(dim=(1, 2)) > seen[:, 1].mean(dim=(1, 2)) + 20).all()


def test_some_views_are_mirrored(photos: PictureStore) -> None:
    white = torch.cat([views(photos, seed)[:, 1] for seed in range(8)])
    left, right = white[:, :, : SIZE // 4].mean(dim=(1, 2)), white[:, :, -SIZE // 4 :].mean(dim=(1, 2))
    assert (left > right + 20).any() and (right > left + 20).any()


def test_views_follow_their_generator(photos: PictureStore) -> None:
    assert torch.equal(views(photos, 1), views(photos, 1))
    assert not torch.equal(views(photos, 1), views(photos, 2))


def test_what_is_no_picture_is_named_and_the_rest_is_kept(tmp_path: Path, photos: PictureStore) -> None:
    (tmp_path / "text.png").write_text("no picture")
    whole = photos.samples[0].path.read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    broken = [Sample(tmp_path / name, 0, ("", "")) for name in ("text.png", "cut.png", "gone.png")]
    mixed = PictureStore([broken[0], photos.samples[0], *broken[1:]], SIZE)
    assert [sample.path.name for sample in mixed.samples] == ["red.png"] and len(mixed) == 1
    assert len(mixed.undecodable) == 3
    for sample, line in zip(broken, mixed.undecodable):
        assert str(sample.path) in line and "remove the row" in line and "\n" not in line


def test_no_photos_are_no_error() -> None:
    assert len(PictureStore([], SIZE)) == 0
