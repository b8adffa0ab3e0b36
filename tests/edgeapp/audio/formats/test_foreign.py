"""Formats of phones and the web are heard by what is installed, and only fail themselves."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgeapp.audio.file import FileSource
from edgeapp.audio.formats import foreign
from edgeapp.errors import AudioError
from edgeapp.paths import EXAMPLE
from tests.edgeapp.audio.formats.sounds import differs, garbage, heard, heard_once, whole

FORMATS = {
    "aac.m4a": ("-c:a", "aac"),
    "alac.m4a": ("-c:a", "alac"),
    "phone.3gp": ("-c:a", "aac"),
    "phone.aac": ("-c:a", "aac"),
    "web.webm": ("-c:a", "libopus"),
    "web.mka": ("-c:a", "libvorbis"),
    "windows.wma": ("-c:a", "wmav2"),
    "apple.caf": ("-c:a", "alac"),
    "old.spx": ("-c:a", "libspeex", "-ar", "16000"),
    "tv.ts": ("-c:a", "aac"),
    "camera.avi": ("-c:a", "pcm_s16le"),
    "pack.wv": ("-c:a", "wavpack"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    command = ["ffmpeg", "-v", "error", "-i", EXAMPLE]
    for name, options in FORMATS.items():
        command += [*options, folder / name]
    subprocess.run(command, check=True)
    film = ["-f", "lavfi", "-i", "testsrc=d=2:s=64x48:r=10", "-c:v", "mpeg4"]
    subprocess.run(["ffmpeg", "-v", "error", *film, folder / "silent.mp4"], check=True)
    subprocess.run(["ffmpeg", "-v", "error", *film[:4], "-i", EXAMPLE, *film[4:], folder / "film.mp4"], check=True)
    return folder


@pytest.fixture(params=["ffmpeg", "PyAV"])
def decoder(request, monkeypatch) -> str:
    if request.param == "PyAV":
        monkeypatch.setattr(foreign, "FFMPEG", "no-such-program")
    return request.param


@pytest.mark.parametrize("name", [*FORMATS, "film.mp4"])
def test_the_whole_sound_is_heard(made, decoder, name):
    given, source = heard_once((made / name).read_bytes())
    assert len(given) == pytest.approx(12 * source.rate_hz, abs=0.05 * source.rate_hz)
    assert 0.2 < np.abs(given).max() < 0.4
    assert source.fault is None and source.notes == []
    path = FileSource(made / name, 5.0, 2.0)
    part = np.concatenate([block.samples for block in path.blocks()])
    path.close()
    np.testing.assert_array_equal(part, given[5 * source.rate_hz : 7 * source.rate_hz])


@pytest.mark.parametrize("name", ["aac.m4a", "alac.m4a", "web.webm", "windows.wma", "old.spx", "tv.ts"])
def test_damage_is_told_and_the_rest_heard_at_its_time(made, decoder, name):
    data = (made / name).read_bytes()
    half = len(data) // 2
    sound = whole(data)
    given, source = heard(data[:half] + garbage(4000) + data[half + 4000 :])
    assert source.fault is not None and source.fault.startswith("is damaged")
    assert abs(len(given) - len(sound)) < 1500
    n = 4 * source.rate_hz
    np.testing.assert_allclose(given[:n], sound[:n], atol=1e-4)
    cut = data[: int(0.6 * len(data))]
    if name.endswith("m4a"):
        with pytest.raises(AudioError, match="it ends before the index"):
            FileSource(io.BytesIO(cut))
    else:
        given, source = heard(cut)
        assert source.fault is not None and 6 * source.rate_hz < len(given) < 9 * source.rate_hz


def test_both_decoders_give_the_same_sound(made, monkeypatch):
    data = (made / "aac.m4a").read_bytes()
    one = whole(data)
    monkeypatch.setattr(foreign, "FFMPEG", "no-such-program")
    assert differs(one, whole(data), 1e-3) is None


def test_a_film_without_sound_says_so(made, decoder):
    with pytest.raises(AudioError, match=r"silent\.mp4: is a video without sound"):
        FileSource(made / "silent.mp4")


def test_without_a_decoder_both_remedies_are_named(made, monkeypatch):
    monkeypatch.setattr(foreign, "FFMPEG", "no-such-program")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(AudioError, match=r"is MP4, which needs ffmpeg or PyAV; .*apt install ffmpeg.*\[formats\]"):
        FileSource(made / "aac.m4a")


def test_ffmpeg_is_ended_with_its_source(made):
    source = FileSource(made / "aac.m4a")
    process = source._decoder._process
    blocks = source.blocks()
    next(blocks)
    assert source._decoder._process is process
    source.close()
    assert process.poll() is not None


def test_a_decoder_that_gives_nothing_is_ended(made, tmp_path, monkeypatch):
    hanging = tmp_path / "ffmpeg"
    hanging.write_text("#!/bin/sh\nexec sleep 1000\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(foreign, "FFMPEG", str(hanging))
    monkeypatch.setattr(foreign, "STALL_S", 0.2)
    with pytest.raises(AudioError, match="ffmpeg cannot decode it"):
        FileSource(made / "aac.m4a")


def test_a_playlist_is_text_and_never_followed(tmp_path):
    other = tmp_path / "list.m4a"
    other.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret\n")
    with pytest.raises(AudioError, match="it is text"):
        FileSource(other)


def test_times_of_packets_that_lead_nowhere_make_no_endless_silence():
    assert foreign._most_s(io.BytesIO(bytes(50_000))) == 1060
