"""Sound files give the same blocks as the memory twin, or say in one line why not."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio import file as file_module
from edgeapp.audio.file import FileSource, load
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.windows import windows
from edgeapp.errors import AudioError
from tests.edgeapp.toy_pack import noise, tone


def cut(path: str, share: float) -> str:
    """The same file with its end missing."""
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: int(len(whole) * share)])
    return path


def read(source: FileSource) -> np.ndarray:
    return np.concatenate([block.samples for block in source.blocks()])


def test_a_file_and_the_same_sound_in_memory_give_the_same_windows(record):
    sound = noise(23, 8000)
    from_file = list(windows(FileSource(record("a.wav", sound, subtype="FLOAT"))))
    from_memory = list(windows(MemorySource(sound, 8000)))
    assert len(from_file) == 4
    for one, other in zip(from_file, from_memory, strict=True):
        assert (one.start_s, one.end_s) == (other.start_s, other.end_s)
        assert np.array_equal(one.samples, other.samples)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_every_promised_format_is_read(record, name):
    source = FileSource(record(name, tone(1000, seconds=3, rate_hz=48_000), 48_000))
    sound = read(source)
    assert source.rate_hz == 48_000
    assert source.duration_s == pytest.approx(3.0, abs=0.06)
    assert source.fault is None and source.notes == []
    assert np.abs(np.fft.rfft(sound[48_000:96_000])).argmax() == 1000


def test_channels_are_averaged(record):
    left, right = tone(1000, seconds=1), tone(2000, seconds=1)
    source = FileSource(record("stereo.wav", np.stack([left, right], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(read(source), (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_samples_of_16_bit_are_the_numbers_libsndfile_makes_of_them(record, channels):
    every = np.arange(-32_768, 32_768, dtype=np.int16)
    sound = np.stack([np.roll(every, 1000 * channel) for channel in range(channels)], axis=1)
    path = record("every.wav", sound, subtype="PCM_16")
    wanted, _ = soundfile.read(path, dtype="float32", always_2d=True)
    given = np.concatenate([block.samples for block in FileSource(path).blocks()])
    assert given.dtype == np.float32
    np.testing.assert_array_equal(given, wanted.mean(axis=1, dtype=np.float32))


def test_part_of_a_file_is_the_same_part_of_the_sound(record):
    sound = noise(10, 8000)
    path = record("a.wav", sound, subtype="FLOAT")
    assert np.array_equal(load(path, 8000, start_s=2.0, duration_s=3.0), sound[16_000:40_000])
    assert np.array_equal(load(path, 8000, start_s=9.0), sound[72_000:])
    assert abs(len(load(path, 16_000)) - 160_000) <= 1
    with pytest.raises(AudioError, match="ends before 10 s"):
        load(path, 8000, start_s=10.0)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_an_open_file_gives_what_its_path_gives_and_stays_open(record, name):
    path = record(name, noise(4, 48_000), 48_000)
    with open(path, "rb") as file:
        assert np.array_equal(load(file, 16_000), load(path, 16_000))
        part = load(file, 48_000, start_s=1.0, duration_s=2.0)
        assert len(part) == 96_000 and np.array_equal(part, load(path, 48_000, start_s=1.0, duration_s=2.0))
        assert FileSource(file).name == path and not file.closed


@pytest.mark.parametrize(("data", "words"), [(b"", "is an empty file"), (b"not audio", "is not readable audio")])
def test_what_is_wrong_with_an_open_file_is_said_with_its_name(data, words):
    file = io.BytesIO(data)
    with pytest.raises(AudioError, match=f"the recording: {words}"):
        FileSource(file)
    file.name = "shard.tar, bytes 512 to 1024"
    with pytest.raises(AudioError, match=f"shard.tar, bytes 512 to 1024: {words}"):
        FileSource(file)


@pytest.mark.parametrize("name", ["cut.wav", "cut.flac", "cut.mp3"])
def test_an_open_file_that_is_cut_says_so(record, name):
    with open(cut(record(name, noise(20, 48_000), 48_000), 0.4), "rb") as file:
        source = FileSource(file)
        read(source)
    assert source.fault is not None and "announces 20.0 s but only" in source.fault


@pytest.mark.parametrize("name", ["cut.wav", "cut.flac", "cut.mp3"])
def test_a_cut_file_gives_what_is_there_and_says_so(record, name):
    source = FileSource(cut(record(name, noise(20, 48_000), 48_000), 0.4))
    sound = read(source)
    assert 48_000 * 5 < len(sound) < 48_000 * 9
    assert source.fault is not None and "announces 20.0 s but only" in source.fault


def test_a_part_behind_the_end_of_a_cut_file_is_an_error(record):
    path = cut(record("cut.flac", noise(20, 48_000), 48_000), 0.4)
    with pytest.raises(AudioError, match=r"cut\.flac: cannot be read from 15 s on .*; copy the file again"):
        FileSource(path, start_s=15.0)


@pytest.mark.parametrize("opened", [False, True])
def test_a_whole_mp3_that_does_not_say_its_length_is_not_called_cut(record, opened):
    path = Path(record("untold.mp3", noise(20, 48_000), 48_000))
    path.write_bytes(path.read_bytes().replace(b"Xing", b"Gnix", 1).replace(b"Info", b"Ofni", 1))
    source = FileSource(io.BytesIO(path.read_bytes()) if opened else path)
    read(source)
    assert source.fault is None


def test_a_header_written_to_a_pipe_promises_nothing(record):
    path = Path(record("pipe.wav", noise(5, 8000), 8000))
    raw = bytearray(path.read_bytes())
    at = raw.index(b"data") + 4
    raw[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    source = FileSource(path)
    assert len(read(source)) == 40_000
    assert source.fault is None


@pytest.mark.parametrize(
    ("channels", "rate_hz", "note"),
    [
        (8, 48_000, "8 channels were averaged to one"),
        (1, 8_000, "recorded at 8 kHz, so it has no content above 4 kHz"),
        (1, 192_000, "recorded at 192 kHz, the ultrasound is not used"),
    ],
)
def test_an_unusual_recording_is_read_with_a_note(record, channels, rate_hz, note):
    source = FileSource(record("odd.wav", np.repeat(noise(1, rate_hz)[:, None], channels, axis=1), rate_hz))
    assert source.notes == [note]
    assert len(read(source)) == rate_hz


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_a_number_is_named_by_its_time(record, bad):
    sound = noise(4, 8000)
    sound[20_000] = bad
    with pytest.raises(AudioError, match=r"nan\.wav: the sample at 2\.500 s is not a number"):
        read(FileSource(record("nan.wav", sound, subtype="FLOAT")))


def test_what_is_not_a_recording_is_said_in_words(tmp_path, monkeypatch):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "locked.wav").write_text("secret")
    expected = {
        "empty.wav": "is an empty file",
        "text.wav": "is not readable audio",
        "missing.wav": "does not exist",
        "": "is a folder",
        "locked.wav": "permission denied",
    }

    def guarded(path, *args, **options):
        if os.fspath(path).endswith("locked.wav"):  # permissions do not stop the root user some machines test as
            raise PermissionError(13, "Permission denied")
        return open(path, *args, **options)

    monkeypatch.setattr(file_module, "open", guarded, raising=False)
    for name, words in expected.items():
        path = os.fspath(tmp_path / name) if name else os.fspath(tmp_path)
        with pytest.raises(AudioError) as caught:
            FileSource(path)
        assert str(caught.value).startswith(f"{path}: {words}")
        assert caught.value.remedy
        assert caught.value.exit_code == 1


def test_a_file_name_need_not_be_text(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800, np.float32), 8_000)
    path = os.fsencode(tmp_path) + b"/\xff.wav"
    os.rename(tmp_path / "a.wav", path)
    assert len(load(os.fsdecode(path), 8_000)) == 800
