"""A window cut out of a file is the very part of the recording that decoding all of it would give."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio.centred import KEPT
from edgeapp.audio.file import FileSource, load
from edgeapp.audio.resample import SINC
from edgeapp.audio.source import Block
from edgeapp.audio.windows import fill
from edgeapp.errors import AudioError
from trainer.data import crop as crop_module
from trainer.data.crop import MARGIN_S, Shape, crop, whole
from trainer.data.windows import at_rate

RATE_HZ = 16_000
MOMENTS = (0.0, 0.013, 0.5, 0.77, 0.999999)


def noise(seconds: float, rate_hz: int) -> np.ndarray:
    """Noise without the highest frequencies, of which an MP3 keeps little."""
    white = np.random.default_rng(3).standard_normal(round(seconds * rate_hz))
    return np.convolve(white, np.full(8, 0.05), "same").astype(np.float32)


def record(path: Path, seconds: float, rate_hz: int, **options: str) -> Path:
    soundfile.write(path, noise(seconds, rate_hz), rate_hz, **options)
    return path


def cut(path: Path, moment: float, rate_hz: int = RATE_HZ, seconds: float = 2.0) -> tuple[np.ndarray, str | None]:
    with path.open("rb") as file:
        return crop(file, Shape(rate_hz, round(seconds * rate_hz)), moment)


def shorten(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize(("file_hz", "rate_hz"), [(44_100, 48_000), (48_000, 48_000), (32_000, 16_000)])
def test_a_crop_is_part_of_the_decoded_recording(tmp_path: Path, suffix: str, file_hz: int, rate_hz: int) -> None:
    path = record(tmp_path / f"noise.{suffix}", 9.0, file_hz)
    every = load(path, rate_hz)
    for moment in MOMENTS:
        window, fault = cut(path, moment, rate_hz)
        start = int(moment * (9 * rate_hz - len(window) + 1))
        assert fault is None and window.dtype == np.float32 and len(window) == 2 * rate_hz
        assert np.abs(window - every[start : start + len(window)]).max() < 1e-4


@pytest.mark.parametrize("file_hz", [44_099, 192_000, 22_050])
def test_the_place_is_exact_at_odd_rates_too(tmp_path: Path, file_hz: int) -> None:
    path = record(tmp_path / "odd.wav", 9.0, file_hz)
    every = load(path, RATE_HZ)
    for moment in MOMENTS:
        window, _ = cut(path, moment)
        start = int(moment * (9 * RATE_HZ - len(window) + 1))
        assert np.abs(window - every[start : start + len(window)]).max() < 1e-4


def test_moments_reach_from_the_first_sample_to_the_last(tmp_path: Path) -> None:
    path = record(tmp_path / "noise.wav", 5.0, RATE_HZ, subtype="FLOAT")
    every = load(path, RATE_HZ)
    assert np.array_equal(cut(path, 0.0)[0], every[: 2 * RATE_HZ])
    assert np.array_equal(cut(path, np.nextafter(1.0, 0.0))[0], every[-2 * RATE_HZ :])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_of_a_long_recording_only_the_window_is_decoded(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    class Counted(FileSource):
        def blocks(self) -> Iterator[Block]:
            for block in super().blocks():
                decoded.append(len(block.samples))
                yield block

    path = record(tmp_path / f"long.{suffix}", 60.0, RATE_HZ)
    monkeypatch.setattr(crop_module, "FileSource", Counted)
    cut(path, 0.7)
    assert sum(decoded) <= (2.0 + 2.5 * MARGIN_S) * RATE_HZ


def test_a_shorter_recording_is_repeated_from_the_moment_on(tmp_path: Path) -> None:
    path = record(tmp_path / "short.wav", 1.5, RATE_HZ)
    sound = load(path, RATE_HZ)
    window, fault = cut(path, 0.25)
    assert fault is None and np.array_equal(window, fill(np.roll(sound, -int(0.25 * len(sound))), 2 * RATE_HZ))


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_of_a_cut_file_every_window_lies_in_what_is_left_of_it(tmp_path: Path, suffix: str) -> None:
    path = shorten(record(tmp_path / f"cut.{suffix}", 20.0, RATE_HZ), 0.4)
    left = load(path, RATE_HZ)
    assert 4 * RATE_HZ < len(left) < 9 * RATE_HZ
    faults = set()
    for moment in (0.05, 0.4, 0.5, 0.95):
        window, fault = cut(path, moment)
        near = np.flatnonzero(np.abs(left[: 1 - len(window)] - window[0]) < 1e-3)
        apart = [np.abs(left[start : start + len(window)] - window).max() for start in near]
        assert min(apart) < 1e-3
        faults.add(fault)
    (fault,) = faults
    assert fault is not None and fault.startswith(f"{path}: announces 20.0 s but only")
    assert fault.endswith("; copy the file again")


def test_a_cut_file_that_is_left_shorter_than_a_window_is_repeated(tmp_path: Path) -> None:
    path = shorten(record(tmp_path / "cut.wav", 10.0, RATE_HZ), 0.1)
    window, fault = cut(path, 0.9)
    sound = load(path, RATE_HZ)
    assert np.array_equal(window, fill(np.roll(sound, -int(0.9 * len(sound))), 2 * RATE_HZ))
    assert fault is not None and "announces 10.0 s" in fault


def test_a_sample_that_is_not_a_number_is_named_by_its_second(tmp_path: Path) -> None:
    sound = noise(9.0, RATE_HZ)
    sound[8 * RATE_HZ] = np.nan
    path = tmp_path / "nan.wav"
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")
    assert np.isfinite(cut(path, 0.1)[0]).all()
    with pytest.raises(AudioError, match=r"nan\.wav: the sample at 8\.000 s is not a number"):
        cut(path, 0.999)


def test_what_is_too_short_to_be_heard_is_an_error(tmp_path: Path) -> None:
    path = record(tmp_path / "click.wav", 0.3, RATE_HZ)
    for attempt in (lambda file: crop(file, Shape(RATE_HZ, 2 * RATE_HZ), 0.5), lambda file: whole(file, RATE_HZ)):
        with path.open("rb") as file, pytest.raises(AudioError, match=r"click\.wav: only 0\.30 s; remove the row"):
            attempt(file)


@pytest.mark.parametrize("rate_hz", [44_100, 96_000, 22_050])
def test_as_many_native_frames_as_a_window_has_are_cut_and_resampled(tmp_path: Path, rate_hz: int) -> None:
    """Stage 1 of the released code of BioVITA: 480,000 frames at the rate of the recording, whatever it is."""
    path, samples = tmp_path / "sound.wav", 4_800
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, 30_000).astype(np.float32)
    soundfile.write(path, sound, rate_hz, subtype="FLOAT")
    shape = Shape(48_000, samples, "zero", "sinc", native=True)
    with path.open("rb") as file:
        window, fault = crop(file, shape, 0.5)
    start = int(0.5 * (len(sound) - samples + 1))
    here = at_rate(sound[None, start : start + samples], rate_hz, 48_000, "sinc")[0]
    assert fault is None and np.array_equal(window[: len(here)], here[:samples])
    assert len(window) == samples and not window[len(here) :].any()
    with path.open("rb") as file:
        plain, _ = crop(file, dataclasses.replace(shape, native=False), 0.5)
    assert not np.array_equal(plain, window)


def test_a_recording_with_fewer_native_frames_is_padded_after_them(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, noise(0.5, 96_000), 96_000, subtype="FLOAT")
    with path.open("rb") as file:
        window, _ = crop(file, Shape(48_000, 60_000, "zero", "sinc", native=True), 0.9)
    assert np.flatnonzero(window)[-1] + 1 == 24_000 and len(window) == 60_000


def test_the_filter_and_the_offset_are_those_that_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "raised.wav"
    soundfile.write(path, 0.5 * noise(4.0, 44_100) + 0.2, 44_100, "FLOAT")
    shape = Shape(48_000, 96_000)
    with path.open("rb") as file:
        found = {
            "default": crop(file, shape, 0.5)[0],
            "sinc": crop(file, dataclasses.replace(shape, resampler=SINC), 0.5)[0],
            "kept": crop(file, dataclasses.replace(shape, offset=KEPT), 0.5)[0],
        }
    assert 1e-4 < np.abs(found["sinc"] - found["default"]).max() < 0.5  # another filter, the same sound
    assert abs(found["default"].mean()) < 0.01 and found["kept"].mean() == pytest.approx(0.2, abs=0.01)
