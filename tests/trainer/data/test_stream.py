"""Recordings and photos from disk: the same for any number of workers and ranks, and nothing bad is ever heard."""

from __future__ import annotations

import multiprocessing
import os
import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from edgeapp.audio.file import load
from edgeapp.audio.windows import fill
from edgeapp.runtime.inputs import image_pixels
from tests.trainer.tiny import FORMATS, tone
from trainer.data import stream
from trainer.data.manifest import Sample
from trainer.data.stream import PhotoFiles, SoundFiles
from trainer.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
RATE_HZ = 8000
WINDOW = 2 * RATE_HZ
SIZE = 24
BATCHES = [[0, 5, 3, 3, 1, 7, 2, 4, 6, 0], [6, 2, 1], [4, 4, 7, 5, 0, 1, 2, 3, 6, 7, 5, 1, 0, 2, 3, 4, 6, 7]]

Heard = list[tuple[list[int], np.ndarray]]


def sample(path: Path, taxon: int = 0) -> Sample:
    return Sample(path, taxon, ("tests", path.name))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Eight recordings of two taxa in four formats, each with a pitch of its own; the last is shorter than a window."""
    folder = tmp_path_factory.mktemp("recordings")
    samples = []
    for row in range(8):
        path = folder / f"{row}.{FORMATS[row % 4]}"
        soundfile.write(path, tone(pitch_of(row), seconds=1.0 if row == 7 else 5.0, rate_hz=16_000, seed=row), 16_000)
        samples.append(sample(path, row % 2))
    return samples


def pitch_of(row: int) -> float:
    return 500.0 + 300.0 * row


def pitch(window: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(window * np.hanning(len(window)))).argmax() * RATE_HZ / len(window))


def heard(
    samples: list[Sample], workers: int = 0, seed: int = 1, batches: list[list[int]] = BATCHES, **place: int
) -> Heard:
    return list(SoundFiles(samples, RATE_HZ, workers).crops(batches, WINDOW, seed, **place))


def alike(one: Heard, other: Heard) -> bool:
    return len(one) == len(other) and all(
        a[0] == b[0] and a[1].shape == b[1].shape and np.array_equal(a[1], b[1]) for a, b in zip(one, other)
    )


def broken(folder: Path) -> dict[str, Path]:
    """Files of which no window can be made, each in its own way."""
    paths = {name: folder / f"{name}.wav" for name in ("text", "empty", "short", "nan", "folder", "missing", "header")}
    paths["text"].write_text("no sound")
    paths["empty"].write_bytes(b"")
    soundfile.write(paths["short"], tone(1000, seconds=0.2), RATE_HZ)
    soundfile.write(paths["nan"], np.full(RATE_HZ, np.nan), RATE_HZ, subtype="FLOAT")
    paths["folder"].mkdir()
    soundfile.write(paths["header"], tone(1000), RATE_HZ)
    paths["header"].write_bytes(paths["header"].read_bytes()[:44])
    return paths


def children() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid is not None}


def gone(pids: set[int]) -> bool:
    """Whether processes end; they need a moment to."""
    for _ in range(200):
        if not pids & children():
            return True
        time.sleep(0.05)
    return False


def test_every_window_is_of_the_recording_its_row_names(recordings: list[Sample]) -> None:
    for batch, (rows, windows) in zip(BATCHES, heard(recordings)):
        assert rows == batch
        assert windows.shape == (len(batch), WINDOW) and windows.dtype == np.float32
        for row, window in zip(rows, windows):
            assert pitch(window) == pytest.approx(pitch_of(row), abs=2)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(recordings: list[Sample], workers: int) -> None:
    assert alike(heard(recordings, workers), heard(recordings))


@pytest.mark.parametrize("world", [2, 3])
def test_the_parts_of_the_ranks_are_the_joint_batch(recordings: list[Sample], world: int) -> None:
    ranks = [heard(recordings, rank=rank, world=world) for rank in range(world)]
    parts = [(sum((r[n][0] for r in ranks), []), np.concatenate([r[n][1] for r in ranks])) for n in range(len(BATCHES))]
    assert alike(parts, heard(recordings))
    assert [len(rank[0][0]) for rank in ranks] == ([5, 5] if world == 2 else [3, 3, 4])


def test_a_rank_without_a_part_still_gets_every_batch(recordings: list[Sample]) -> None:
    (first, second) = heard(recordings, batches=[[3], [1, 2]], rank=0, world=2)
    assert first[0] == [] and first[1].shape == (0, WINDOW)
    assert second[0] == [1]


def test_moments_depend_on_seed_batch_and_place(recordings: list[Sample]) -> None:
    rows = [[0] * 4, [0] * 4]
    one, other = heard(recordings, batches=rows), heard(recordings, seed=2, batches=rows)
    windows = np.concatenate([windows for _, windows in one + other])
    assert len(np.unique(windows, axis=0)) == 16
    assert alike(one, heard(recordings, batches=rows))


def test_a_batch_is_the_same_whatever_the_others_are(recordings: list[Sample]) -> None:
    assert alike(
        heard(recordings, batches=[[5], BATCHES[1]])[1:], heard(recordings, batches=[[2, 3, 4], BATCHES[1]])[1:]
    )


def test_levels_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "quiet.wav"
    soundfile.write(path, 1e-3 * tone(1000, seconds=2.0, rate_hz=RATE_HZ), RATE_HZ, subtype="FLOAT")
    ((_, windows),) = heard([sample(path)], batches=[[0]])
    assert np.abs(windows).max() == np.abs(load(path, RATE_HZ)).max() < 1e-3


def test_a_short_recording_is_repeated_from_a_random_moment(recordings: list[Sample]) -> None:
    sound = load(recordings[7].path, RATE_HZ)
    ((_, windows),) = heard(recordings, batches=[[7, 7]])
    for window in windows:
        turns = [np.array_equal(window, fill(np.roll(sound, -n), WINDOW)) for n in range(len(sound))]
        assert sum(turns) == 1
    assert not np.array_equal(*windows)


def test_the_whole_recording_is_what_the_device_hears(recordings: list[Sample]) -> None:
    sounds = SoundFiles(recordings, RATE_HZ, 0)
    assert len(sounds) == 8 and sounds.samples is recordings
    for row, one in enumerate(recordings):
        assert np.array_equal(sounds.whole(row), load(one.path, RATE_HZ))


def test_recordings_in_a_shard_are_heard_like_files(tmp_path: Path, recordings: list[Sample]) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for one in recordings:
            tar.add(one.path, one.path.name)
    with tarfile.open(tmp_path / "shard.tar") as tar:
        inside = [
            Sample(tmp_path / "shard.tar", one.taxon, one.source, offset=member.offset_data, size=member.size)
            for one, member in zip(recordings, tar.getmembers(), strict=True)
        ]
    assert alike(heard(inside), heard(recordings))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_decoded_is_named_once_and_another_stands_in(
    tmp_path: Path, recordings: list[Sample], workers: int
) -> None:
    bad = broken(tmp_path)
    samples = [*recordings, *(sample(path, 1) for path in bad.values())]
    first = len(recordings)
    batches = [list(range(first, len(samples))), [0, first, first + 1, 2], [first] * 12]
    sounds = SoundFiles(samples, RATE_HZ, workers)
    result = list(sounds.crops(batches, WINDOW, seed=1))
    for batch, (rows, windows) in zip(batches, result):
        assert len(rows) == len(batch) == len(windows)
        for wanted, row, window in zip(batch, rows, windows):
            assert row == wanted if wanted < first else row in (1, 3, 5, 7)
            assert pitch(window) == pytest.approx(pitch_of(row), abs=2)
    assert len(set(result[2][0])) > 1  # not always the same one
    assert len(sounds.undecodable) == len(bad)
    for path, line in zip(sorted(bad.values()), sorted(sounds.undecodable)):
        assert line.startswith(str(path)) and "; " in line and "\n" not in line
    assert alike(result, list(SoundFiles(samples, RATE_HZ, 1).crops(batches, WINDOW, seed=1)))


def test_without_another_of_its_taxon_any_other_is_heard(tmp_path: Path, recordings: list[Sample]) -> None:
    samples = [*recordings, sample(tmp_path / "missing.wav", 2)]
    ((rows, windows),) = heard(samples, batches=[[8] * 6])
    assert set(rows) <= set(range(8)) and len(set(rows)) > 1
    for row, window in zip(rows, windows):
        assert pitch(window) == pytest.approx(pitch_of(row), abs=2)


def test_a_failure_nobody_expected_is_named_and_does_not_end_the_job(
    recordings: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stream.crop

    def fails(file, *rest):  # type: ignore[no-untyped-def]
        if file.name == str(recordings[2].path):
            raise ZeroDivisionError("a fault\nof ours")
        return whole(file, *rest)

    monkeypatch.setattr(stream, "crop", fails)
    sounds = SoundFiles(recordings, RATE_HZ, 0)
    ((rows, _),) = sounds.crops([[2]], WINDOW, seed=1)
    assert rows[0] in (0, 4, 6)
    (line,) = sounds.undecodable
    assert line.startswith(f"{recordings[2].path}: failed unexpectedly (ZeroDivisionError: a fault of ours); ")


def test_a_recording_that_ends_early_is_used_and_named_once(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, tone(1000, seconds=20.0, rate_hz=RATE_HZ), RATE_HZ)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    sounds = SoundFiles([sample(path)], RATE_HZ, 0)
    for rows, windows in sounds.crops([[0] * 8, [0] * 8], WINDOW, seed=1):
        assert rows == [0] * 8
        assert all(pitch(window) == pytest.approx(1000, abs=2) for window in windows)
    (line,) = sounds.damaged
    assert line.startswith(f"{path}: announces 20.0 s but only 10.0 s") and not sounds.undecodable
    assert 9.9 * RATE_HZ < len(sounds.whole(0)) < 10 * RATE_HZ and len(sounds.damaged) == 1


def test_a_recording_that_cannot_be_decoded_is_an_error_and_named(tmp_path: Path) -> None:
    bad = broken(tmp_path)
    sounds = SoundFiles([sample(path) for path in bad.values()], RATE_HZ, 0)
    for row, path in enumerate(bad.values()):
        for _ in range(2):
            with pytest.raises(DataError, match=re.escape(str(path))):
                sounds.whole(row)
    assert len(sounds.undecodable) == len(bad)


@pytest.mark.parametrize("workers", [0, 2])
def test_when_nothing_can_be_decoded_the_end_is_an_error(tmp_path: Path, workers: int) -> None:
    bad = broken(tmp_path)
    sounds = SoundFiles([sample(path, row % 3) for row, path in enumerate(bad.values())], RATE_HZ, workers)
    with pytest.raises(DataError, match=f"none of {len(bad)} recordings that were tried") as caught:
        next(sounds.crops([[1, 2]], WINDOW, seed=1))
    assert str(bad["empty"]) in str(caught.value)
    assert len(sounds.undecodable) == len(bad) and gone(children())


def test_a_data_set_that_is_not_there_is_soon_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TRIES", 4)
    sounds = SoundFiles([sample(tmp_path / f"{row}.wav", row // 50) for row in range(500)], RATE_HZ, 0)
    with pytest.raises(DataError, match="none of"):
        next(sounds.crops([[1]], WINDOW, seed=1))
    assert 5 <= len(sounds.undecodable) <= 9


@pytest.mark.parametrize("way", ["close", "drop", "break", "all"])
def test_workers_end_with_the_iterator(recordings: list[Sample], way: str) -> None:
    before = children()
    crops = SoundFiles(recordings, RATE_HZ, 2).crops([[0, 1]] * 20, WINDOW, seed=1)
    next(crops)
    workers = children() - before
    assert len(workers) == 2
    if way == "close":
        crops.close()
    elif way == "break":
        for _ in crops:
            break
    elif way == "all":
        assert len(list(crops)) == 19
    del crops
    assert gone(workers)


def test_a_worker_that_is_killed_is_one_line_and_takes_the_others_with_it(recordings: list[Sample]) -> None:
    before = children()
    crops = SoundFiles(recordings, RATE_HZ, 2).crops([[0, 1]] * 200, WINDOW, seed=1)
    next(crops)
    workers = children() - before
    os.kill(min(workers), 9)
    with pytest.raises(DataError, match="the processes that decode the data failed") as caught:
        list(crops)
    assert "\n" not in str(caught.value) and "fewer workers" in str(caught.value)
    assert gone(workers)


def test_each_worker_is_single_threaded(recordings: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_Photos", _Threads)
    ((_, counted),) = PhotoFiles(recordings, 1).pixels([[0]], SIZE)
    assert counted.tolist() == [1.0]


class _Threads(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __init__(self, samples: list[Sample], size: int) -> None: ...

    def __getitem__(self, part: stream.Part) -> stream.Piece:
        return stream.Piece(True, [0], torch.tensor([torch.get_num_threads()]))


@pytest.fixture
def spawned() -> Iterator[None]:
    """Processes that start from nothing, as on macOS."""
    usual = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(usual, force=True)


@pytest.mark.usefixtures("spawned")
def test_workers_that_start_from_nothing_give_the_same(recordings: list[Sample]) -> None:
    assert alike(heard(recordings, 1, batches=BATCHES[:2]), heard(recordings, batches=BATCHES[:2]))


def test_the_generator_of_the_training_is_left_alone(recordings: list[Sample]) -> None:
    before = torch.get_rng_state()
    heard(recordings, 1, batches=[[0]])
    heard(recordings, batches=[[0]])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    samples = []
    for row in range(12):
        path = folder / f"{row}.{('png', 'jpg', 'webp')[row % 3]}"
        Image.fromarray(rng.integers(0, 255, (30 + row, 40, 3), np.uint8)).save(path)
        samples.append(sample(path))
    return samples


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_photos_are_what_the_device_sees(photos: list[Sample], workers: int) -> None:
    batches = [list(range(10)), [11, 3]]
    for batch, (rows, pixels) in zip(batches, PhotoFiles(photos, workers).pixels(batches, SIZE), strict=True):
        assert rows == batch and pixels.dtype == torch.float32
        wanted = np.stack([image_pixels(photos[row].path, SIZE) for row in batch])
        assert np.array_equal(pixels.numpy(), wanted)


def test_photos_of_the_ranks_are_the_joint_batch(photos: list[Sample]) -> None:
    files = PhotoFiles(photos, 0)
    ranks = [list(files.pixels([range(11)], SIZE, rank, 2))[0] for rank in range(2)]
    assert ranks[0][0] + ranks[1][0] == list(range(11))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_no_photo_is_named_once_and_left_out(tmp_path: Path, photos: list[Sample], workers: int) -> None:
    (tmp_path / "text.png").write_text("no picture")
    data = photos[0].path.read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "folder.png").mkdir()
    bad = [sample(tmp_path / f"{name}.png") for name in ("text", "cut", "folder", "gone")]
    files = PhotoFiles([*photos, *bad], workers)
    result = list(files.pixels([[0, 12, 13, 1], [12, 14], [15, 2, 3]], SIZE))
    assert [rows for rows, _ in result] == [[0, 1], [], [2, 3]]
    assert [tuple(pixels.shape) for _, pixels in result] == [(n, 3, SIZE, SIZE) for n in (2, 0, 2)]
    assert sorted(files.why) == [12, 13, 14, 15]
    for one, line in zip(bad, files.undecodable, strict=True):
        assert line.startswith(f"{one.path}: ") and "; " in line and "\n" not in line
