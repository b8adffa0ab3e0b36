"""Damaged recordings: small valid ones of every format, and mutations of them that a seed decides."""

from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from tests.edgeapp import toy_pack as toy

RATE_HZ = 16_000
SECONDS = 3.0

_SNDFILE = {  # name -> format and subtype of libsndfile
    "pcm16.wav": ("WAV", "PCM_16"),
    "pcm24.wav": ("WAV", "PCM_24"),
    "float.wav": ("WAV", "FLOAT"),
    "ulaw.wav": ("WAV", "ULAW"),
    "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "extensible.wav": ("WAVEX", "PCM_16"),
    "rf64.wav": ("RF64", "PCM_16"),
    "w64.w64": ("W64", "PCM_16"),
    "aiff.aiff": ("AIFF", "PCM_16"),
    "caf.caf": ("CAF", "PCM_16"),
    "au.au": ("AU", "PCM_16"),
    "flac.flac": ("FLAC", "PCM_16"),
    "vorbis.ogg": ("OGG", "VORBIS"),
    "opus.opus": ("OGG", "OPUS"),
    "mp3.mp3": ("MP3", "MPEG_LAYER_III"),
}
_FFMPEG = {  # name -> options
    "aac.m4a": ("-c:a", "aac"),
    "alac.m4a": ("-c:a", "alac"),
    "fragments.m4a": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "500000"),
    "adts.aac": ("-c:a", "aac"),
    "opus.webm": ("-c:a", "libopus", "-ar", "48000"),
    "live.mka": ("-c:a", "flac", "-live", "1"),
    "pack.wv": ("-c:a", "wavpack"),
    "wma.wma": ("-c:a", "wmav2"),
    "vbr.mp3": ("-c:a", "libmp3lame", "-q:a", "2"),
    "flac.ogg": ("-c:a", "flac"),
}
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF)


def valid() -> dict[str, bytes]:
    """A valid recording of each format that can be written here."""
    sound = toy.tone(1000, 3000, seconds=SECONDS, rate_hz=RATE_HZ) + toy.noise(SECONDS, RATE_HZ, 0.01)
    made = {}
    for name, (container, subtype) in _SNDFILE.items():
        out = io.BytesIO()
        soundfile.write(out, np.stack([sound, sound], axis=1), RATE_HZ, subtype, format=container)
        made[name] = out.getvalue()
    return made


def with_ffmpeg(folder: Path) -> dict[str, bytes]:
    """Those of formats that libsndfile does not write; none without ffmpeg."""
    if shutil.which("ffmpeg") is None:
        return {}
    source = folder / "source.wav"
    source.write_bytes(valid()["pcm16.wav"])
    made = {}
    for name, options in _FFMPEG.items():
        command = ["ffmpeg", "-nostdin", "-loglevel", "quiet", "-i", source, *options, folder / name]
        if subprocess.run(command).returncode == 0:
            made[name] = (folder / name).read_bytes()
        (folder / name).unlink(missing_ok=True)
    source.unlink()
    return made


def flipped(data: bytearray, rng: random.Random) -> None:
    """Some bits are the other way round."""
    for _ in range(rng.choice((1, 1, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def flipped_in_head(data: bytearray, rng: random.Random) -> None:
    """As `flipped`, near the beginning."""
    for _ in range(rng.choice((1, 2, 8))):
        data[rng.randrange(min(len(data), 128))] ^= 1 << rng.randrange(8)


def overwritten(data: bytearray, rng: random.Random) -> None:
    """A run of bytes is random, zero or ones."""
    at, length = rng.randrange(len(data)), rng.choice((1, 16, 512, 5000))
    fill = rng.choice((rng.randbytes, bytes, lambda n: b"\xff" * n))
    data[at : at + length] = fill(len(data[at : at + length]))


def cut(data: bytearray, rng: random.Random) -> None:
    """The end is missing."""
    del data[rng.choice((rng.randrange(len(data)), rng.randrange(min(len(data), 200)))) :]


def beheaded(data: bytearray, rng: random.Random) -> None:
    """The beginning is missing."""
    del data[: rng.randrange(min(len(data), 2000))]


def inserted(data: bytearray, rng: random.Random) -> None:
    """Bytes stand in between that do not belong there."""
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 3, 100, 4096)))


def doubled(data: bytearray, rng: random.Random) -> None:
    """A part is there twice."""
    at = rng.randrange(len(data))
    end = at + rng.choice((1, 100, 4096))
    data[at:at] = data[at:end]


def extreme(data: bytearray, rng: random.Random) -> None:
    """Fields of the header hold numbers that are much too large, or 0."""
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
        size = struct.calcsize(kind)
        at = rng.randrange(max(1, min(len(data), 160) - size))
        value = rng.choice(EXTREMES) & ((1 << 8 * size) - 1)
        data[at : at + size] = struct.pack(kind, value)


def resized(data: bytearray, rng: random.Random) -> None:
    """The size of a chunk, box or block is another."""
    ids = [at for at in range(min(len(data) - 8, 4096)) if data[at : at + 4].isalnum()]
    at = rng.choice(ids or [0])
    value = rng.choice((*EXTREMES, rng.randrange(1 << 32), len(data), len(data) - at)) & 0xFFFF_FFFF
    data[at + 4 : at + 8] = struct.pack(rng.choice(("<I", ">I")), value)


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flipped,
    flipped_in_head,
    overwritten,
    cut,
    beheaded,
    inserted,
    doubled,
    extreme,
    extreme,
    resized,
)


def damaged(made: dict[str, bytes], seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """So many mutations: names that say what was done, and contents; each depends on the seed and its number alone."""
    names = sorted(made)
    for n in range(count):
        rng = random.Random(f"{seed} {n}")
        name = names[n % len(names)]
        data = bytearray(made[name])
        done = [rng.choice(MUTATIONS) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        for mutate in done:
            if len(data) > 16:
                mutate(data, rng)
        what = [mutate.__name__ for mutate in done]
        if rng.random() < 0.08:
            other = rng.choice(names)
            data += made[other]
            what.append(f"joined_with_{other.replace('.', '_')}")
        stem, _, ending = name.partition(".")
        yield f"{n:04d}_{stem}_{'_'.join(what)}.{ending}", bytes(data)
