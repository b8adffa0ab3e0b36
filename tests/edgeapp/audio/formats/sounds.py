"""Sound for the tests of formats, and what is done to files of it."""

from __future__ import annotations

import functools
import io
import struct

import numpy as np
import soundfile

from edgeapp.audio.file import FileSource
from edgeapp.audio.formats import foreign
from edgeapp.paths import EXAMPLE

RATE_HZ = 48_000


def example(seconds: float = 6.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """The begin of the project's recording [n] int16, with a little noise, so that no two places sound alike."""
    sound, own_hz = soundfile.read(EXAMPLE, round(seconds * RATE_HZ), dtype="int16")
    noise = np.random.default_rng(1).integers(-200, 200, len(sound), dtype=np.int16)
    return (sound + noise)[:: own_hz // rate_hz]


def encoded(sound: np.ndarray, format: str, rate_hz: int = RATE_HZ, **options: str) -> bytes:
    """A file of a sound."""
    file = io.BytesIO()
    soundfile.write(file, sound, rate_hz, format=format, **options)
    return file.getvalue()


def heard(data: bytes, start_s: float = 0.0, duration_s: float | None = None) -> tuple[np.ndarray, FileSource]:
    """All that is heard of a file, and the source once it has ended."""
    source = FileSource(io.BytesIO(data), start_s, duration_s)
    pieces = [block.samples for block in source.blocks()]
    source.close()
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32), source


def whole(data: bytes) -> np.ndarray:
    """All that is heard of a file without damage, decoded once by each program; not to be changed."""
    sound, source = heard_once(data)
    assert source.fault is None
    return sound


def heard_once(data: bytes) -> tuple[np.ndarray, FileSource]:
    """What `heard` gives of a file, decoded once by each program; not to be changed."""
    return _heard(data, foreign.FFMPEG)


@functools.lru_cache(maxsize=64)
def _heard(data: bytes, program: str) -> tuple[np.ndarray, FileSource]:
    return heard(data)


def by_libsndfile(data: bytes) -> np.ndarray:
    """What libsndfile gives of a file, mixed as ever."""
    sound, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return sound.mean(axis=1, dtype=np.float32)


def differs(one: np.ndarray, other: np.ndarray, tolerance: float = 0.0) -> tuple[float, float] | None:
    """Seconds between which two sounds of one length differ."""
    assert len(one) == len(other)
    found = np.flatnonzero(np.abs(one - other) > tolerance)
    return (found[0] / RATE_HZ, found[-1] / RATE_HZ) if len(found) else None


def riff(fmt: bytes, chunks: list[tuple[bytes, bytes]], head: bytes = b"RIFF") -> bytes:
    """A WAV file of chunks that are as they should be."""
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + body
    return head + struct.pack("<I", len(body)) + body


def pcm_format(rate_hz: int = RATE_HZ, channels: int = 1, bits: int = 16, tag: int = 1) -> bytes:
    """Body of a ``fmt`` chunk."""
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame, frame, bits)


def garbage(size: int) -> bytes:
    """Random bytes, the same ones each time."""
    return np.random.default_rng(2).bytes(size)
