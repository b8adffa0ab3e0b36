"""What is no recording is called what it is, by its bytes."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from edgeapp.audio.file import FileSource
from edgeapp.audio.formats.sniff import container_of
from edgeapp.errors import AudioError, PassedOverError
from tests.edgeapp.audio.formats.sounds import encoded, example, garbage


def picture(format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("a.wav", "sound")
    return file.getvalue()


OTHERS = {
    "is an HTML page": b"\n <!DOCTYPE html><html><body>404 Not Found</body></html>",
    "is an HTML page ": b"\xef\xbb\xbf<HTML>\n<head>",
    "is an XML document": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "is a JSON document": b'{"error": "quota exceeded"}',
    "is a ZIP archive": archive(),
    "is a PDF document": b"%PDF-1.4\n" + bytes(100),
    "is a gzip archive": b"\x1f\x8b\x08" + garbage(100),
    "is a JPEG picture": picture("JPEG"),
    "is a PNG picture": picture("PNG"),
    "is a WebP picture": picture("WEBP"),
    "is a HEIF picture": b"\0\0\0\x18ftypheic" + bytes(100),
    "is a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "is nothing but zeros": bytes(300_000),
    "is not readable audio (it is text)": b"Date,Time,Temperature\n2019-05-22,05:00,8\n",
    "is not readable audio (it is text) ": "Größe".encode("utf-16"),
    "is not readable audio": garbage(5000),
    "is an empty file": b"",
}


@pytest.mark.parametrize("words", OTHERS)
def test_what_is_no_recording_is_said_in_words(tmp_path, words):
    path = tmp_path / "20190522_050000.WAV"
    path.write_bytes(OTHERS[words])
    with pytest.raises(AudioError) as caught:
        FileSource(path)
    assert str(caught.value).startswith(f"{path}: {words.strip()}") and caught.value.remedy


def test_a_companion_file_of_macos_is_passed_over(tmp_path):
    path = tmp_path / "renamed.wav"
    path.write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000))
    with pytest.raises(PassedOverError, match=r"companion file of macOS.*passed over") as caught:
        FileSource(path)
    assert caught.value.exit_code == 0


@pytest.mark.parametrize("name", ["a.txt", "a.mp3", "a"])
@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF", "AU", "W64"])
def test_a_recording_is_known_whatever_its_name(tmp_path, format, name):
    path = tmp_path / name
    path.write_bytes(encoded(example(1.0), format))
    source = FileSource(path)
    assert sum(len(block.samples) for block in source.blocks()) == pytest.approx(48_000, abs=2500)
    source.close()


@pytest.mark.parametrize("format", ["WAV", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "CAF", "AU"])
def test_a_file_on_a_pipe_is_no_raw_sound(format):
    assert container_of(encoded(example(1.0), format)[:16_384]) is not None


def test_raw_sound_is_no_file_whatever_its_first_samples_are():
    soft = np.random.default_rng(0).integers(-3, 4, 8192, dtype="<i2")
    for first in (-1, -1025, -3, 0, 1, 0x770B, 0x4747, 256):
        soft[0] = first
        assert container_of(soft.tobytes()) is None
    for seed in range(300):
        assert container_of(np.random.default_rng(seed).bytes(8192)) is None
