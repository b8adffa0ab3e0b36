"""Vectors of photos are computed once, survive a kill, and are never made up."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from edgeapp.runtime.inputs import image_pixels
from tests.trainer.apart import apart, ended
from trainer.data import vectors
from trainer.data.manifest import Sample
from trainer.data.rows import RowsOfTaxon
from trainer.data.vectors import VectorStore
from trainer.errors import CheckpointError, DataError

DIM, SIZE, BATCH = 4, 8, 5
PHOTOS, BAD = 23, (0, 7, 22)


def colours(pixels: Tensor) -> Tensor:
    """A tower whose vector tells which photo it saw."""
    return torch.cat([pixels.mean(dim=(2, 3)), torch.ones(len(pixels), 1)], dim=1)


class Tower:
    """The same, which counts the photos it saw and stops after some of them."""

    def __init__(self, most: int | None = None, factor: float = 1.0) -> None:
        self.seen, self.most, self.factor = 0, most, factor

    def __call__(self, pixels: Tensor) -> Tensor:
        if self.most is not None and self.seen >= self.most:
            raise KeyboardInterrupt
        assert not torch.is_grad_enabled()
        self.seen += len(pixels)
        return colours(pixels) * self.factor


@pytest.fixture
def photos(tmp_path: Path) -> list[Sample]:
    """Photos of one colour each; three cannot be decoded, the first and the last among them."""
    samples = []
    for row in range(PHOTOS):
        path = tmp_path / "photos" / f"{row}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 16), (row + 1, 100, 200 - row)).save(path)
        samples.append(Sample(path, row % 3, ("tests", path.name)))
    samples[0].path.unlink()
    samples[7].path.write_text("no picture")
    samples[22].path.write_bytes(b"")
    return samples


def opened(
    folder: Path, samples: list[Sample], embed: Callable[[Tensor], Tensor], key: str = "tower", **others: int
) -> VectorStore:
    sizes = {"dim": DIM, "size": SIZE, "workers": 0, "batch": BATCH, **others}
    return VectorStore.open_or_build(folder, key, samples, embed, **sizes)  # type: ignore[arg-type]


def wanted(samples: list[Sample], rows: np.ndarray) -> Tensor:
    return colours(torch.from_numpy(np.stack([image_pixels(samples[row].path, SIZE) for row in rows])))


def is_complete(store: VectorStore, samples: list[Sample]) -> bool:
    good = [row for row in range(PHOTOS) if row not in BAD]
    return store.rows.tolist() == good and torch.equal(store.take(store.rows), wanted(samples, store.rows))


@pytest.mark.parametrize("workers", [0, 2])
def test_every_photo_is_embedded_once_and_found_again(tmp_path: Path, photos: list[Sample], workers: int) -> None:
    tower, told = Tower(), []
    VectorStore.open_or_build(tmp_path / "store", "tower", photos, tower, DIM, SIZE, workers, BATCH, told.append)
    assert tower.seen == PHOTOS - len(BAD) and sum(told) == PHOTOS
    again = Tower()
    store = opened(tmp_path / "store", photos, again)
    assert again.seen == 0 and is_complete(store, photos) and len(store) == PHOTOS
    assert isinstance(np.load(tmp_path / "store" / vectors.VECTORS, mmap_mode="r"), np.memmap)
    assert torch.equal(store.take(np.array([5, 3, 5])), wanted(photos, np.array([5, 3, 5])))
    assert store.take(np.array([], int)).shape == (0, DIM)


def test_what_is_no_photo_is_named_and_never_given_out(tmp_path: Path, photos: list[Sample]) -> None:
    for _ in range(2):  # built, and found
        store = opened(tmp_path / "store", photos, colours)
        assert len(store.undecodable) == len(BAD) + 1
        for row, line in zip(BAD, store.undecodable):
            assert line.startswith(str(photos[row].path)) and "\n" not in line
        assert f"delete {tmp_path / 'store'} to retry them" in store.undecodable[-1]
        for row in BAD:
            with pytest.raises(DataError, match=f"photo {row} has no vector"):
                store.take(np.array([3, row]))
    every = np.load(tmp_path / "store" / vectors.VECTORS)
    assert np.isnan(every[list(BAD)]).all() and np.isfinite(np.delete(every, BAD, axis=0)).all()


def test_a_complete_data_set_has_nothing_to_say(tmp_path: Path, photos: list[Sample]) -> None:
    good = [one for row, one in enumerate(photos) if row not in BAD]
    assert opened(tmp_path / "store", good, colours).undecodable == []


@pytest.mark.parametrize("most", [0, 4, 8, 13, 18])
def test_a_build_that_was_stopped_goes_on(
    tmp_path: Path, photos: list[Sample], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "SAVE_EVERY", BATCH)
    first = Tower(most)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path / "store", photos, first)
    second = Tower()
    assert is_complete(opened(tmp_path / "store", photos, second), photos)
    assert first.seen + second.seen == PHOTOS - len(BAD)


def test_a_build_goes_on_as_often_as_it_is_stopped(
    tmp_path: Path, photos: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "SAVE_EVERY", 2 * BATCH)
    stops = 0
    for _ in range(10):
        try:
            store = opened(tmp_path / "store", photos, Tower(BATCH + 1))
        except KeyboardInterrupt:
            stops += 1
    assert stops == 2 and is_complete(store, photos)


def build_and_die(folder: Path, photos: list[Sample]) -> None:
    """A process that is killed in its third batch."""
    vectors.SAVE_EVERY = BATCH
    seen = 0

    def tower(pixels: Tensor) -> Tensor:
        nonlocal seen
        seen += len(pixels)
        if seen > 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return colours(pixels)

    opened(folder, photos, tower, workers=1)


def test_a_killed_process_leaves_a_build_that_goes_on(tmp_path: Path, photos: list[Sample]) -> None:
    with apart(build_and_die, tmp_path / "store", photos) as process:
        assert ended(process) == -signal.SIGKILL
    tower = Tower()
    assert is_complete(opened(tmp_path / "store", photos, tower), photos)
    assert tower.seen == PHOTOS - len(BAD) - 8  # of the first two batches two cannot be decoded


def test_what_was_written_beyond_the_state_is_made_again(
    tmp_path: Path, photos: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "SAVE_EVERY", BATCH)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path / "store", photos, Tower(8))
    with (tmp_path / "store" / vectors.VECTORS).open("ab") as file:
        file.write(b"\1" * (DIM * 4 + 3))
    with (tmp_path / "store" / vectors.UNDECODABLE).open("a") as file:
        file.write('[11, "a photo that is sound"]\n[12, "tor')
    assert is_complete(opened(tmp_path / "store", photos, colours), photos)


@pytest.mark.parametrize("name", [vectors.VECTORS, vectors.STATE])
@pytest.mark.parametrize("left", [None, 0.0, 0.6])
def test_a_damaged_store_is_mended(tmp_path: Path, photos: list[Sample], name: str, left: float | None) -> None:
    opened(tmp_path / "store", photos, colours)
    path = tmp_path / "store" / name
    data = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(data[: int(left * len(data))])
    tower = Tower()
    assert is_complete(opened(tmp_path / "store", photos, tower), photos)
    assert tower.seen > 0


def test_marks_that_are_gone_do_not_make_vectors(tmp_path: Path, photos: list[Sample]) -> None:
    opened(tmp_path / "store", photos, colours)
    (tmp_path / "store" / vectors.UNDECODABLE).unlink()
    with pytest.raises(DataError, match="is damaged; delete it"):
        opened(tmp_path / "store", photos, colours).take(np.array([7]))


def test_another_key_other_photos_or_sizes_make_it_anew(tmp_path: Path, photos: list[Sample]) -> None:
    folder = tmp_path / "store"
    opened(folder, photos, colours)
    for change in (
        lambda: opened(folder, photos, Tower(factor=2.0), key="another tower"),
        lambda: opened(folder, photos[:-1], Tower(factor=2.0), key="another tower"),
        lambda: opened(folder, photos[1:], Tower(factor=2.0), key="another tower"),
        lambda: opened(folder, photos[1:], Tower(factor=2.0), key="another tower", size=SIZE * 2),
    ):
        store = change()
        assert torch.equal(store.take(np.array([9])), 2 * wanted(store_photos(store, photos), np.array([9])))
    assert opened(folder, photos, lambda pixels: colours(pixels)[:, :3], dim=3).take(np.array([9])).shape == (1, 3)


def store_photos(store: VectorStore, photos: list[Sample]) -> list[Sample]:
    """The photos it was made of: all, all but the last, or all but the first."""
    return photos[1:] if store.rows[0] == 0 else photos


def test_no_photos_are_no_error(tmp_path: Path) -> None:
    store = opened(tmp_path / "store", [], colours)
    assert len(store) == 0 and len(store.rows) == 0 and store.take(store.rows).shape == (0, DIM)


def test_photos_that_are_not_there_yet_are_an_error_and_are_tried_again(
    tmp_path: Path, photos: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "SAVE_EVERY", 1)
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=f"none of {PHOTOS} photos could be decoded"):
        opened(tmp_path / "store", photos, colours)
    (tmp_path / "elsewhere").rename(tmp_path / "photos")
    assert is_complete(opened(tmp_path / "store", photos, colours), photos)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_tower_that_gives_no_vector_is_an_error(tmp_path: Path, photos: list[Sample], value: float) -> None:
    with pytest.raises(CheckpointError, match="zero or not finite"):
        opened(tmp_path / "store", photos, lambda pixels: torch.full((len(pixels), DIM), value))
    assert is_complete(opened(tmp_path / "store", photos, colours), photos)


def test_a_disk_that_is_too_small_is_said_before_the_work(
    tmp_path: Path, photos: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = Tower()
    monkeypatch.setattr(vectors.shutil, "disk_usage", lambda folder: _Usage(100))
    with pytest.raises(
        DataError, match=r"store: the disk is full \(0\.0 GB are needed, 0\.0 GB are free\); free disk space"
    ):
        opened(tmp_path / "store", photos, tower)
    assert tower.seen == 0


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_a_disk_that_fills_up_is_one_line_and_the_build_goes_on_later(
    tmp_path: Path, photos: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "SAVE_EVERY", BATCH)
    first, synced = Tower(), []

    def full(file: int) -> None:
        synced.append(file)
        if len(synced) > 4:  # in the middle of the second state
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(vectors.os, "fsync", full)
        with pytest.raises(DataError, match="the disk is full") as caught:
            opened(tmp_path / "store", photos, first)
    assert "\n" not in str(caught.value) and "free disk space, then repeat the command" in str(caught.value)
    second = Tower()
    assert is_complete(opened(tmp_path / "store", photos, second), photos)
    assert second.seen < PHOTOS - len(BAD)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_real_full_disk_is_one_line(tmp_path: Path, photos: list[Sample]) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / vectors.VECTORS).symlink_to("/dev/full")
    with pytest.raises(DataError, match="the disk is full"):
        opened(tmp_path / "store", photos, colours)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, photos: list[Sample]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written .*; name another folder"):
        opened(tmp_path / "file" / "store", photos, colours)


def test_an_embedding_error_is_not_taken_for_one_of_the_disk(tmp_path: Path, photos: list[Sample]) -> None:
    def fails(pixels: Tensor) -> Tensor:
        raise OSError("something else")

    with pytest.raises(OSError, match="^something else$"):
        opened(tmp_path / "store", photos, fails)


def test_the_state_tells_what_the_vectors_depend_on(tmp_path: Path, photos: list[Sample]) -> None:
    opened(tmp_path / "store", photos, colours)
    state = json.loads((tmp_path / "store" / vectors.STATE).read_text())
    assert {name: state[name] for name in ("key", "photos", "dim", "size", "done")} == {
        "key": "tower",
        "photos": PHOTOS,
        "dim": DIM,
        "size": SIZE,
        "done": PHOTOS,
    }


TAXON = np.array([2, 0, 2, 5, 0, 2, 5, 2])


def test_rows_of_taxa_are_found_and_drawn(tmp_path: Path) -> None:
    rows = RowsOfTaxon(TAXON, 7)
    assert rows.has(np.arange(7)).tolist() == [True, False, True, False, False, True, False]
    assert [rows.of(taxon).tolist() for taxon in range(7)] == [[1, 4], [], [0, 2, 5, 7], [], [], [3, 6], []]
    taxa = np.array([2, 5, 2, 0])
    drawn = rows.draw(taxa, np.random.default_rng(1))
    assert drawn.dtype == np.int64 and TAXON[drawn].tolist() == taxa.tolist()
    assert np.array_equal(drawn, rows.draw(taxa, np.random.default_rng(1)))
    assert rows.draw(np.array([], int), np.random.default_rng(1)).tolist() == []


def test_every_row_of_a_taxon_is_as_likely() -> None:
    drawn = RowsOfTaxon(TAXON, 7).draw(np.full(8000, 2), np.random.default_rng(1))
    counts = np.bincount(drawn, minlength=len(TAXON))
    assert counts[TAXON != 2].sum() == 0
    assert (np.abs(counts[TAXON == 2] - 2000) < 200).all()


def test_only_the_rows_that_count_are_drawn() -> None:
    rows = RowsOfTaxon(TAXON, 7, np.array([0, 1, 5, 6]))
    assert rows.of(2).tolist() == [0, 5] and rows.of(5).tolist() == [6]
    assert set(rows.draw(np.full(100, 2), np.random.default_rng(1))) == {0, 5}
    assert not RowsOfTaxon(TAXON, 7, np.array([], int)).has(np.arange(7)).any()


def test_a_taxon_without_rows_or_out_of_range_is_an_error() -> None:
    with pytest.raises(ValueError, match="taxon 3 has no row"):
        RowsOfTaxon(TAXON, 7).draw(np.array([2, 3]), np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"taxa 0 to 5 are not all in 0 \.\. 4"):
        RowsOfTaxon(TAXON, 5)
