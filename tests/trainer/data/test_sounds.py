"""Recordings in memory: every format, at one rate, repeated and cut as on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio.cutting import Cutting
from edgeapp.audio.file import load
from edgeapp.audio.windows import fill
from tests.trainer.tiny import tone
from trainer.data.manifest import Sample
from trainer.data.sounds import SoundStore
from trainer.data.stream import SoundFiles
from trainer.data.windows import recording_windows
from trainer.errors import DataError

RATE_HZ = 8000


def store(*paths: Path) -> SoundStore:
    return SoundStore([Sample(path, 0, ("tests", path.name)) for path in paths], RATE_HZ)


def strongest_hz(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax() * RATE_HZ / len(sound))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_every_format_is_heard_at_the_rate_of_the_front_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(1000, seconds=2, rate_hz=44_100), 44_100)
    sound = store(path).whole(0)
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(2 * RATE_HZ, abs=0.1 * RATE_HZ)
    assert strongest_hz(sound) == pytest.approx(1000, abs=2)


def test_a_quiet_recording_loses_nothing_and_silence_stays_silence(tmp_path: Path) -> None:
    quiet, silent = tmp_path / "quiet.wav", tmp_path / "silent.wav"
    soundfile.write(quiet, 1e-4 * tone(1000), RATE_HZ, subtype="FLOAT")
    soundfile.write(silent, np.zeros(RATE_HZ), RATE_HZ)
    sounds = store(quiet, silent)
    heard, wanted = sounds.whole(0), load(quiet, RATE_HZ)
    assert np.abs(heard).max() == pytest.approx(1.0)
    assert np.abs(heard - wanted / np.abs(wanted).max()).max() < 1e-4
    assert not sounds.whole(1).any()


def test_what_cannot_be_decoded_is_named_and_the_rest_is_kept_in_order(tmp_path: Path) -> None:
    good = [tmp_path / f"{n}.wav" for n in ("a", "c")]
    for path in good:
        soundfile.write(path, tone(1000), RATE_HZ)
    bad = {name: tmp_path / f"{name}.wav" for name in ("text", "empty", "short", "nan", "folder")}
    bad["text"].write_text("no sound")
    bad["empty"].write_bytes(b"")
    soundfile.write(bad["short"], tone(1000, seconds=0.2), RATE_HZ)
    soundfile.write(bad["nan"], np.full(RATE_HZ, np.nan), RATE_HZ, subtype="FLOAT")
    bad["folder"].mkdir()
    done: list[int] = []
    samples = [Sample(path, 0, ("", "")) for path in (good[0], *bad.values(), good[1])]
    sounds = SoundStore(samples, RATE_HZ, done=lambda: done.append(1))
    assert [sample.path for sample in sounds.samples] == good and len(sounds) == 2
    assert len(sounds.undecodable) == len(bad) and len(done) == len(samples)
    for path, line in zip(bad.values(), sounds.undecodable):
        assert str(path) in line and "; " in line and "\n" not in line


def test_a_recording_that_ends_early_is_used_and_named(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.wav", tmp_path / "cut.wav"
    soundfile.write(whole, tone(1000, seconds=4, rate_hz=RATE_HZ), RATE_HZ)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    sounds = store(whole, cut)
    assert len(sounds) == 2 and not sounds.undecodable
    assert len(sounds.whole(1)) == pytest.approx(2 * RATE_HZ, rel=0.01)
    (line,) = sounds.damaged
    assert str(cut) in line and "announces 4.0 s" in line and "; copy the file again" in line


def test_nothing_decodable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(DataError, match="none of the recordings"):
        store(tmp_path / "text.wav")


@pytest.mark.parametrize("made", [SoundStore, SoundFiles])
def test_a_short_clip_is_followed_by_silence_where_the_device_does_so(tmp_path: Path, made) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.tile(np.array([0.5, -0.5], np.float32), RATE_HZ // 2), RATE_HZ)
    sounds = made(
        [Sample(path, 0, ("tests", path.name))], RATE_HZ, **({"workers": 0} if made is SoundFiles else {}), pad="zero"
    )
    ((_, (window,)),) = sounds.crops([[0]], 3 * RATE_HZ, seed=1)
    assert window[:RATE_HZ].all() and not window[RATE_HZ:].any()


def test_a_short_clip_is_repeated_as_on_the_device(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, tone(1000, seconds=3), RATE_HZ)
    sounds = store(path)
    (window,) = recording_windows(sounds.whole(0), RATE_HZ, Cutting(RATE_HZ, 10.0))
    assert np.array_equal(window, fill(sounds.whole(0), 10 * RATE_HZ))
    crop = sounds.crop(0, 10 * RATE_HZ, np.random.default_rng(1))
    turns = [np.array_equal(crop, fill(np.roll(sounds.whole(0), -n), 10 * RATE_HZ)) for n in range(3 * RATE_HZ)]
    assert sum(turns) == 1


def test_a_crop_is_a_piece_of_the_recording_from_a_random_moment(tmp_path: Path) -> None:
    path = tmp_path / "ramp.wav"
    soundfile.write(path, np.linspace(0, 1, 4 * RATE_HZ, endpoint=False), RATE_HZ, subtype="FLOAT")
    sounds, rng = store(path), np.random.default_rng(1)
    starts = set()
    for _ in range(50):
        crop = sounds.crop(0, RATE_HZ, rng)
        start = int(np.abs(sounds.whole(0) - crop[0]).argmin())
        assert len(crop) == RATE_HZ and np.array_equal(crop, sounds.whole(0)[start : start + RATE_HZ])
        starts.add(start)
    assert min(starts) < RATE_HZ / 2 and max(starts) > 2.5 * RATE_HZ
    assert np.array_equal(*(sounds.crop(0, RATE_HZ, np.random.default_rng(7)) for _ in range(2)))


def test_windows_of_a_recording_overlap_and_reach_its_end() -> None:
    sound = np.arange(22 * 100, dtype=np.float32)
    cut = recording_windows(sound, 100, Cutting(100, 10.0))
    assert [int(window[0]) for window in cut] == [0, 500, 1000, 1200]
    assert cut[-1][-1] == sound[-1] and cut.shape == (4, 1000)
