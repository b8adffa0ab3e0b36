"""A constant offset is taken off, by every door, and a sound without one stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from edgeapp.audio.centred import LEAST, centred, offset_of
from edgeapp.audio.file import FileSource, load
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.pcm import PcmSource
from edgeapp.pack.format import Pack
from edgeapp.recognition.recogniser import Recogniser
from tests.edgeapp import toy_pack as toy

RATE_HZ = toy.RATE_HZ
SONG = toy.tone(1000, seconds=12.0)


def whole(source) -> np.ndarray:
    blocks = list(source.blocks())
    assert [block.start for block in blocks[1:]] == [block.end for block in blocks[:-1]]
    return np.concatenate([block.samples for block in blocks])


@pytest.mark.parametrize("block", [100, RATE_HZ, 65_536])
@pytest.mark.parametrize("seconds", [0.3, 1.0, 12.0])
def test_an_offset_is_taken_off_whatever_the_blocks(block, seconds):
    sound = SONG[: round(seconds * RATE_HZ)]
    given = whole(centred(MemorySource(sound + np.float32(0.2), RATE_HZ, block=block)))
    np.testing.assert_allclose(given, sound, atol=2e-3)
    np.testing.assert_array_equal(given, whole(centred(MemorySource(sound + np.float32(0.2), RATE_HZ, block=777))))


def slow(hz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(len(SONG)) / RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize(
    "sound",
    [SONG, SONG + np.float32(0.9 * LEAST), slow(0.3), slow(1.3), np.zeros(RATE_HZ, np.float32), SONG[:2]],
    ids=["no offset", "little", "infrasound", "wind", "silence", "two samples"],
)
def test_a_sound_without_an_offset_stays_as_it_is(sound):
    np.testing.assert_array_equal(whole(centred(MemorySource(sound, RATE_HZ))), sound)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_samples_beyond_reason_are_left_to_who_refuses_them(value):
    sound = SONG.copy()
    sound[10] = value
    assert offset_of(sound[:RATE_HZ]) == 0.0


def test_every_door_hears_the_same_without_it(toy_pack, tmp_path):
    sound = np.round((SONG + np.float32(0.2)) * 32_768).astype(np.int16)
    path = tmp_path / "offset.wav"
    soundfile.write(path, sound, RATE_HZ)
    (tmp_path / "raw").write_bytes(sound.tobytes())
    recogniser = Recogniser(Pack.load(toy_pack), threads=1)
    plain = [window.samples for window in recogniser.cut(MemorySource(SONG, RATE_HZ), 1.0)]
    with open(tmp_path / "raw", "rb") as raw:
        doors = [FileSource(path), MemorySource(sound / np.float32(32_768), RATE_HZ), PcmSource(raw, RATE_HZ)]
        for source in doors:
            given = [window.samples for window in recogniser.cut(source, 1.0)]
            np.testing.assert_allclose(given, plain, atol=2e-3)
            source.close()
    np.testing.assert_allclose(load(path, RATE_HZ), SONG, atol=2e-3)
