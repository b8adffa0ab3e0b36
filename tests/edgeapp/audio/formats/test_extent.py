"""Files that were joined are heard one after the other, and one that ends before its sizes do is cut."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgeapp.audio.formats import foreign
from edgeapp.audio.formats.view import read_at
from tests.edgeapp.audio.formats.sounds import RATE_HZ as HZ
from tests.edgeapp.audio.formats.sounds import encoded, example, garbage, heard, whole

FIRST, SECOND = example(2.0), example(4.0)[2 * HZ :]
WRITTEN = [
    ("WAV", "PCM_16"),
    ("WAV", "ULAW"),
    ("WAV", "IMA_ADPCM"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("CAF", "PCM_16"),
    ("AU", "PCM_16"),
]
FOREIGN = {
    "aac.m4a": ("-c:a", "aac"),
    "fragments.mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
    "begun.m4a": ("-c:a", "aac", "-movflags", "+faststart"),
    "web.webm": ("-c:a", "libopus"),
    "live.webm": ("-c:a", "libopus", "-live", "1"),
    "windows.wma": ("-c:a", "wmav2"),
    "camera.avi": ("-c:a", "pcm_s16le"),
    "flash.flv": ("-c:a", "aac"),
    "apple.caf": ("-c:a", "alac"),
    "true.tta": ("-c:a", "tta"),
}
CUT_BY_SIZE = ["begun.m4a", "web.webm", "windows.wma", "camera.avi"]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, tuple[bytes, bytes]]:
    folder: Path = tmp_path_factory.mktemp("joined")
    both = []
    for number, sound in enumerate((FIRST, SECOND)):
        (folder / f"{number}.wav").write_bytes(encoded(sound, "WAV"))
        command = ["ffmpeg", "-v", "error", "-y", "-i", folder / f"{number}.wav"]
        for name, options in FOREIGN.items():
            command += [*options, folder / name]
        subprocess.run(command, check=True)
        both.append({name: (folder / name).read_bytes() for name in FOREIGN})
    return {name: (both[0][name], both[1][name]) for name in FOREIGN}


@pytest.mark.parametrize(("format", "subtype"), WRITTEN)
def test_joined_files_are_heard_one_after_the_other(format, subtype):
    one, other = (encoded(sound, format, subtype=subtype) for sound in (FIRST, SECOND))
    given, source = heard(one + other + one)
    np.testing.assert_array_equal(given, np.concatenate([whole(one), whole(other), whole(one)]))
    assert source.fault is None and "3 streams in one file, one after the other" in source.notes
    part, _ = heard(one + other, 2.5)
    np.testing.assert_array_equal(part, np.concatenate([whole(one), whole(other)])[round(2.5 * HZ) :])


@pytest.mark.parametrize("decoder", ["ffmpeg", "no-such-program"])
@pytest.mark.parametrize("name", FOREIGN)
def test_joined_files_of_phones_and_the_web_are_all_heard(made, monkeypatch, decoder, name):
    monkeypatch.setattr(foreign, "FFMPEG", decoder)
    one, other = made[name]
    given, source = heard(one + other)
    expected = np.concatenate([whole(one), whole(other)])
    assert abs(len(given) - len(expected)) <= 0.1 * HZ and source.fault is None
    n = len(whole(one)) + HZ
    np.testing.assert_allclose(given[n : n + HZ], expected[n : n + HZ], atol=1e-3)
    if decoder != "ffmpeg" or name == "aac.m4a":  # each part is a process more, whatever its format
        part, _ = heard(one + other, n / source.rate_hz, 0.5)
        np.testing.assert_array_equal(part, given[n : n + source.rate_hz // 2])


def test_each_part_of_a_joined_file_is_opened_once_to_seek_in_it(made, monkeypatch):
    started = []

    def start(*args: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **options))
        return started[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(foreign.subprocess, "Popen", start)
    heard(b"".join(made["aac.m4a"]), 2.5, 0.1)
    assert len(started) == 1 + 2  # and the first to look what the file is
    assert all(process.returncode is not None for process in started)


def test_files_of_several_formats_and_rates_can_be_joined():
    odd = encoded(SECOND[::2], "WAV", HZ // 2)
    given, source = heard(encoded(FIRST, "WAV") + odd + encoded(FIRST, "FLAC"))
    first = FIRST.astype(np.float32) / 32768
    np.testing.assert_array_equal(given[: 2 * HZ], first)
    np.testing.assert_array_equal(given[-2 * HZ :], first)
    assert len(given) == pytest.approx(6 * HZ, abs=100) and source.fault is None


@pytest.mark.parametrize("other", ["WAV", "FLAC", "MP3", "OGG", "AIFF"])
@pytest.mark.parametrize("format", ["WAV", "MP3", "OGG", "AIFF"])
def test_formats_whose_end_is_known_can_be_joined_with_any(format, other):
    one, two = encoded(FIRST, format), encoded(SECOND, other)
    given, source = heard(one + two)
    np.testing.assert_array_equal(given, np.concatenate([whole(one), whole(two)]))
    assert source.fault is None and source.notes == ["2 streams in one file, one after the other"]
    # What decodes MP3 rounds the last bit by where it began.
    np.testing.assert_allclose(heard(one + two, 2.5)[0], given[round(2.5 * HZ) :], rtol=0, atol=2**-23)


def test_what_follows_and_is_no_sound_is_noted():
    for format, subtype in (("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")):
        data = encoded(FIRST, format, subtype=subtype)
        given, source = heard(data + garbage(200_000))
        np.testing.assert_array_equal(given, whole(data))
        assert "kB are something else and were left out" in str(source.notes)
        assert heard(data + bytes(200_000))[1].notes == []


def test_a_joined_file_that_cannot_be_read_costs_itself_alone():
    broken = b"RIFF" + struct.pack("<I", 100_000) + b"WAVE" + bytes(99_996)
    given, source = heard(encoded(FIRST, "WAV") + broken)
    np.testing.assert_array_equal(given, FIRST.astype(np.float32) / 32768)
    assert "the last 100 kB are something else and were left out (its header does not say" in str(source.notes)


@pytest.mark.parametrize("decoder", ["ffmpeg", "no-such-program"])
@pytest.mark.parametrize("name", CUT_BY_SIZE)
def test_a_file_that_ends_before_its_sizes_do_is_a_fault(made, monkeypatch, decoder, name):
    monkeypatch.setattr(foreign, "FFMPEG", decoder)
    data = made[name][0]
    for share in (0.5, 0.9):
        assert heard(data[: int(share * len(data))])[1].fault is not None


@pytest.mark.parametrize("subtype", ["ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_a_compressed_wav_file_that_is_cut_is_a_fault(subtype):
    data = encoded(example(4.0)[::6], "WAV", 8000, subtype=subtype)
    assert heard(data)[1].fault is None
    assert "announces" in str(heard(data[: len(data) // 2])[1].fault)


@pytest.mark.parametrize("decoder", ["ffmpeg", "no-such-program"])
def test_other_tracks_of_sound_are_noted(tmp_path, monkeypatch, decoder):
    monkeypatch.setattr(foreign, "FFMPEG", decoder)
    one, film = tmp_path / "one.wav", tmp_path / "film.mov"
    one.write_bytes(encoded(FIRST, "WAV"))
    command = ["ffmpeg", "-v", "error", "-i", one, "-map", "0:a", "-map", "0:a", "-c:a", "pcm_s16le", film]
    subprocess.run(command, check=True)
    assert "it has 2 tracks of sound, of which the first was used" in heard(film.read_bytes())[1].notes


def test_a_film_that_goes_on_without_sound_is_not_cut(tmp_path, monkeypatch):
    one, film = tmp_path / "one.wav", tmp_path / "film.mkv"
    one.write_bytes(encoded(FIRST, "WAV"))
    picture = ["-f", "lavfi", "-i", "color=c=black:s=32x32:r=5:d=6"]
    command = ["ffmpeg", "-v", "error", *picture, "-i", one, "-c:v", "mpeg4", "-c:a", "flac", film]
    subprocess.run(command, check=True)
    for decoder in ("ffmpeg", "no-such-program"):
        monkeypatch.setattr(foreign, "FFMPEG", decoder)
        assert heard(film.read_bytes())[1].fault is None


def test_an_mp3_without_a_count_that_ends_within_a_frame_is_noted():
    data = encoded(FIRST, "MP3")
    bare = data[data.index(b"\xff\xfb", 200) :]
    assert heard(bare)[1].notes == []
    assert "ends within a frame, so its end may be missing" in heard(bare[: len(bare) // 2])[1].notes


def test_a_position_that_no_file_can_have_is_empty(tmp_path):
    """Damaged sizes lead there; some file systems end at 4 GiB, and refuse to look further."""
    (tmp_path / "a").write_bytes(b"RIFF")
    with open(tmp_path / "a", "rb") as file:
        assert read_at(file, 1 << 62, 4) == read_at(file, 1 << 64, 4) == b""
