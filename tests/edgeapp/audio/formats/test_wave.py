"""The sound of a WAV file is heard to its end, whatever its sizes say."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from edgeapp.audio.file import FileSource
from edgeapp.audio.formats.wave import layout
from edgeapp.errors import AudioError
from tests.edgeapp.audio.formats.sounds import RATE_HZ, by_libsndfile, encoded, example, heard, pcm_format, riff

SOUND = example(2.0)
PCM = SOUND.tobytes()
WHOLE = riff(pcm_format(), [(b"data", PCM)])
AS_FLOAT = SOUND.astype(np.float32) / 32768


def with_size(data: bytes, size: int) -> bytes:
    """A WAV file whose ``data`` says another size."""
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", size & 0xFFFF_FFFF) + data[at + 4 :]


SUBTYPES = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "MS_ADPCM", "IMA_ADPCM"]
WRITTEN = [
    (format, subtype, channels)
    for format in ("WAV", "WAVEX", "RF64", "W64")
    for subtype in SUBTYPES
    for channels in ((1, 2) if "ADPCM" in subtype else (1, 2, 3))
    if soundfile.check_format(format, subtype)
]


@pytest.mark.parametrize(("format", "subtype", "channels"), WRITTEN)
def test_samples_are_the_numbers_of_libsndfile(format, subtype, channels):
    sound = np.stack([np.roll(AS_FLOAT, 999 * channel) for channel in range(channels)], axis=1)
    data = encoded(sound, format, subtype=subtype)
    given, source = heard(data)
    np.testing.assert_array_equal(given, by_libsndfile(data))
    assert source.fault is None and "announce" not in str(source.notes)
    assert source.duration_s == len(given) / RATE_HZ


def test_big_endian_samples_are_those_of_libsndfile():
    for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        data = encoded(AS_FLOAT, "WAV", subtype=subtype, endian="BIG")
        assert data[:4] == b"RIFX"
        np.testing.assert_array_equal(heard(data)[0], by_libsndfile(data))


@pytest.mark.parametrize(
    "size", [0, 10, 1000, len(PCM) - 4000, 0xFFFF_FFFF, 0xFFFF_FFFE, 0x7FFF_FFFF, 0x7FFF_FFDB, 0x8000_0000 - 36]
)
def test_a_size_that_is_too_small_or_unknown_ends_nothing(size):
    given, source = heard(with_size(WHOLE, size))
    np.testing.assert_array_equal(given, AS_FLOAT)
    assert source.fault is None and source.duration_s == 2.0
    noted = "announces no sound" if not size else "announces" if size < len(PCM) - 10_000 else ""
    assert noted in str(source.notes) and bool(noted) == bool(source.notes)
    assert "2.0 s were found and used" in str(source.notes) or not noted


def test_sound_that_is_announced_and_missing_is_a_fault():
    for share in (0.2, 0.9):
        source = heard(WHOLE[: int(share * len(WHOLE))])[1]
        assert "announces 2.0 s but only" in str(source.fault)
    assert heard(WHOLE[:-200])[1].fault is None  # a hundredth of a second


@pytest.mark.parametrize("unknown", [0, 2**64 - 1, 1000])
@pytest.mark.parametrize("head", [b"RF64", b"BW64"])
def test_the_large_size_is_not_believed_either(head, unknown):
    large = b"ds64" + struct.pack("<IQQQI", 28, unknown, unknown, unknown, 0)
    data = head + b"\xff" * 4 + b"WAVE" + large + b"fmt " + struct.pack("<I", 16) + pcm_format()
    given, source = heard(data + b"data" + b"\xff" * 4 + PCM)
    np.testing.assert_array_equal(given, AS_FLOAT)
    assert source.fault is None


@pytest.mark.parametrize("between", [(b"LIST", b"INFOodd"), (b"odd ", b"x" * 63), (b"bext", b"y" * 601)])
def test_an_odd_chunk_without_its_padding_hides_nothing(between):
    name, body = between
    chunk = name + struct.pack("<I", len(body)) + body
    for chunks in (chunk, chunk + b"\0"):
        data = WHOLE[:36] + chunks + WHOLE[36:]
        np.testing.assert_array_equal(heard(data)[0], AS_FLOAT)


def test_what_comes_after_the_sound_is_not_heard():
    for name in (b"LIST", b"guan", b"xyz "):
        data = riff(pcm_format(), [(b"data", PCM), (name, b"Key: value")])
        np.testing.assert_array_equal(heard(data)[0], AS_FLOAT)
    empty = riff(pcm_format(), [(b"data", b""), (b"LIST", b"INFO" + bytes(60_000))])
    assert not len(heard(empty)[0])


def test_two_stretches_of_sound_are_both_heard():
    half = len(PCM) // 2
    data = riff(pcm_format(), [(b"data", PCM[:half]), (b"note", b"pause"), (b"data", PCM[half:])])
    given, source = heard(data)
    np.testing.assert_array_equal(given, AS_FLOAT)
    np.testing.assert_array_equal(heard(data, 1.5)[0], AS_FLOAT[72_000:])
    assert source.fault is None and source.notes == []


def test_a_chunk_with_a_size_beyond_the_file_does_not_hide_the_sound():
    data = WHOLE[:36] + b"LIST" + struct.pack("<I", 0x0100_0000) + b"INFOabcd" + WHOLE[36:]
    np.testing.assert_array_equal(heard(data)[0], AS_FLOAT)


class Sparse(io.RawIOBase):
    """A file with a begin and an end, and zeros between them; as large as it shall be, and in no memory."""

    def __init__(self, begin: bytes, size: int, end: bytes) -> None:
        self._begin, self._size, self._end, self._at = begin, size, end, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        view = memoryview(buffer).cast("B")
        n = max(0, min(len(view), self._size - self._at))
        view[:n] = bytes(n)
        for piece, start in ((self._begin, 0), (self._end, self._size - len(self._end))):
            first, last = max(self._at, start), min(self._at + n, start + len(piece))
            if first < last:
                view[first - self._at : last - self._at] = piece[first - start : last - start]
        self._at += n
        return n

    def read(self, size: int = -1) -> bytes:
        buffer = bytearray(size if size >= 0 else self._size - self._at)
        return bytes(buffer[: self.readinto(buffer)])


@pytest.mark.parametrize("over", [2**32, 2 * 2**32])
@pytest.mark.parametrize("after", [b"", b"guan" + struct.pack("<I", 6) + b"a: b\r\n"])
def test_a_size_that_wrapped_at_4_gib_is_unwrapped(over, after):
    size = over + len(PCM)
    begin = with_size(WHOLE, size)[:44]
    source = FileSource(Sparse(begin, 44 + size + len(after), PCM + after), start_s=over / 2 / RATE_HZ)
    given = np.concatenate([block.samples for block in source.blocks()])
    np.testing.assert_array_equal(given, AS_FLOAT)
    assert source.fault is None
    assert layout(Sparse(begin, 44 + size + len(after), PCM + after)).spans == ((44, 44 + size),)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"RIFF\0\0\0\0WAVE", "does not say how the sound is written"),
        (riff(pcm_format(), []), "has a header and no sound"),
        (riff(pcm_format(channels=0), [(b"data", PCM)]), "announces 0 channels"),
        (riff(pcm_format(0), [(b"data", PCM)]), "0 Hz"),
    ],
)
def test_a_wav_file_without_sound_says_what_it_lacks(data, words):
    with pytest.raises(AudioError, match=words):
        FileSource(io.BytesIO(data))


def test_mp3_inside_a_wav_file_is_heard():
    mp3 = encoded(SOUND, "MP3")
    data = riff(pcm_format(bits=0, tag=0x55)[:14] + b"\0\0", [(b"data", mp3)])
    np.testing.assert_array_equal(heard(data)[0], by_libsndfile(mp3))
