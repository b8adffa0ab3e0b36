"""What comes through a pipe is read as the file it is, or as raw sound, and never as the other."""

from __future__ import annotations

import errno
import io
import os
import threading

import numpy as np
import pytest

from edgeapp.audio import piped
from edgeapp.audio.file import FileSource
from edgeapp.audio.pcm import PcmSource
from edgeapp.audio.piped import identified, spooled
from edgeapp.errors import AudioError
from tests.edgeapp.audio.formats.sounds import RATE_HZ, encoded, example, garbage, heard

SOUND = example(3.0)
AS_FLOAT = SOUND.astype(np.float32) / 32768


def given(stream: io.RawIOBase | io.BytesIO) -> np.ndarray:
    source = identified(
        stream,
        lambda file: PcmSource(file, RATE_HZ),
        lambda file: FileSource(file, name="standard input", close_file=True),
        "standard input",
    )
    pieces = [block.samples for block in source.blocks()]
    source.close()
    return np.concatenate(pieces)


@pytest.mark.parametrize("format", ["WAV", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "CAF", "AU"])
def test_a_file_gives_what_it_gives_from_the_disk(format):
    data = encoded(SOUND, format)
    np.testing.assert_array_equal(given(io.BytesIO(data)), heard(data)[0])


def test_raw_sound_stays_raw_sound():
    np.testing.assert_array_equal(given(io.BytesIO(SOUND.tobytes())), AS_FLOAT)
    short = SOUND[:1000]
    np.testing.assert_array_equal(given(io.BytesIO(short.tobytes())), AS_FLOAT[:1000])


def test_what_is_neither_is_refused():
    with pytest.raises(AudioError, match="standard input: is an HTML page"):
        given(io.BytesIO(b"<html><body>error</body></html>" * 1000))
    with pytest.raises(AudioError, match="standard input: is not readable audio"):
        given(io.BytesIO(b"fLaC" + garbage(50_000)))


def test_nothing_is_left_of_what_was_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    file = spooled(io.BytesIO(garbage(100_000)), "standard input")
    assert len(file.read()) == 100_000 and not list(tmp_path.iterdir())
    file.close()


def test_a_full_disk_is_told_with_its_remedy(monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(piped.tempfile, "TemporaryFile", lambda dir: Full())
    with pytest.raises(AudioError, match=r"standard input: no space left in .*; set TMPDIR"):
        spooled(io.BytesIO(b"x"), "standard input", b"head")


def test_a_named_pipe_is_read(tmp_path):
    path, data = tmp_path / "pipe.wav", encoded(SOUND, "WAV")
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    source = FileSource(path)
    np.testing.assert_array_equal(np.concatenate([block.samples for block in source.blocks()]), AS_FLOAT)
    source.close()
    writer.join()


def test_a_named_pipe_that_nobody_writes_into_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(piped, "WRITER_S", 0.1)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="is a named pipe into which nobody writes"):
        FileSource(tmp_path / "pipe.wav")


@pytest.mark.parametrize(("subtype", "format"), [("PCM_16", "s16le"), ("PCM_24", "s24le"), ("PCM_32", "s32le")])
def test_live_sound_with_a_header_that_says_what_was_asked_for(subtype, format):
    data = encoded(SOUND, "WAV", subtype=subtype)
    source = PcmSource(io.BytesIO(data), RATE_HZ, format=format, live=True)
    np.testing.assert_array_equal(np.concatenate([block.samples for block in source.blocks()]), AS_FLOAT)


def test_live_sound_with_another_header_is_refused():
    data = encoded(SOUND, "WAV")
    for rate_hz, channels, format in ((44_100, 1, "s16le"), (RATE_HZ, 2, "s16le"), (RATE_HZ, 1, "f32le")):
        source = PcmSource(io.BytesIO(data), rate_hz, channels, format, live=True)
        with pytest.raises(AudioError, match=r"is a WAV file \(48000 Hz, 1 channels, s16le\).*give --pcm-rate"):
            list(source.blocks())
    source = PcmSource(io.BytesIO(encoded(SOUND, "FLAC")), RATE_HZ, live=True)
    with pytest.raises(AudioError, match=r"is a file \(FLAC\), not raw sound; give it to `biovita-edge identify -`"):
        list(source.blocks())
