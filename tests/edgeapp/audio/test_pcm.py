"""Raw PCM from a pipe is the sound that was put into it."""

from __future__ import annotations

import io
import os
import threading

import numpy as np
import pytest

from edgeapp.audio.pcm import PcmSource
from edgeapp.audio.resample import resampled
from edgeapp.errors import AudioError, UsageError

TONE = np.sin(np.arange(1000) * 0.1).astype(np.float32) * 0.9


def raw(samples: np.ndarray, format: str) -> bytes:
    if format == "f32le":
        return samples.astype("<f4").tobytes()
    bits = int(format[1:3])
    values = np.round(samples.astype(np.float64) * 2 ** (bits - 1)).astype("<i4")
    if format == "s24le":
        return values.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return values.astype(f"<i{bits // 8}").tobytes()


def heard(source: PcmSource) -> np.ndarray:
    blocks = list(source.blocks())
    assert [block.start for block in blocks] == [0, *np.cumsum([len(block.samples) for block in blocks])[:-1]]
    return np.concatenate([block.samples for block in blocks])


@pytest.mark.parametrize("format, step", [("s16le", 2**-15), ("s24le", 2**-23), ("s32le", 2**-23), ("f32le", 0.0)])
def test_every_format_gives_the_sound_to_its_own_precision(format, step):
    source = PcmSource(io.BytesIO(raw(TONE, format)), 48000, format=format)

    np.testing.assert_allclose(heard(source), TONE, atol=step)
    assert source.fault is None


@pytest.mark.parametrize("format", ["s16le", "s24le"])
def test_full_scale_keeps_its_sign(format):
    edges = np.array([-1.0, -0.5, 0.0, 0.5], np.float32)

    np.testing.assert_array_equal(heard(PcmSource(io.BytesIO(raw(edges, format)), 48000, format=format)), edges)


def test_channels_are_averaged():
    both = np.stack([TONE, -TONE], axis=1).reshape(-1)

    assert not heard(PcmSource(io.BytesIO(raw(both, "f32le")), 48000, 2, "f32le")).any()


def test_a_pipe_that_cuts_inside_samples_loses_nothing():
    receiver, sender = os.pipe()
    content = raw(np.tile(TONE, 2), "s16le")

    def send():
        for at in range(0, len(content), 7):
            os.write(sender, content[at : at + 7])
        os.close(sender)

    thread = threading.Thread(target=send)
    thread.start()
    with open(receiver, "rb") as file:
        source = PcmSource(file, 48000, 2, live=True)
        samples = heard(source)
    thread.join()

    np.testing.assert_allclose(samples, np.tile(TONE, 2).reshape(-1, 2).mean(axis=1), atol=2**-15)
    assert len(samples) == 1000


def test_bytes_that_make_no_sample_are_named():
    source = PcmSource(io.BytesIO(raw(TONE, "s16le") + b"x"), 48000)

    assert len(heard(source)) == len(TONE)
    assert source.fault == "ends inside a sample: 1 bytes are left over that 1 x s16le does not explain"


def test_closing_ends_a_pipe_on_which_nothing_arrives():
    receiver, sender = os.pipe()
    with open(receiver, "rb") as file:
        source = PcmSource(file, 48000, live=True)
        threading.Timer(0.1, source.close).start()
        assert list(source.blocks()) == []
    os.close(sender)


def test_floats_that_are_no_numbers_are_refused_with_their_place():
    samples = TONE.copy()
    samples[480] = np.nan

    with pytest.raises(AudioError, match=r"standard input: the sample at 0.010 s is not a number; check .* f32le"):
        heard(PcmSource(io.BytesIO(raw(samples, "f32le")), 48000, format="f32le"))


@pytest.mark.parametrize("rate_hz, channels, format", [(0, 1, "s16le"), (48000, 0, "s16le"), (48000, 1, "mp3")])
def test_settings_that_make_no_sound_are_refused(rate_hz, channels, format):
    with pytest.raises(UsageError, match="raw PCM of"):
        PcmSource(io.BytesIO(b""), rate_hz, channels, format)


def test_what_is_wrong_with_a_source_is_known_at_every_rate():
    source = PcmSource(io.BytesIO(bytes(32_001)), 16_000)
    seen = resampled(source, 32_000)
    assert (seen.notes, seen.fault) == ([], None)
    assert sum(len(block.samples) for block in seen.blocks()) == 32_000
    assert seen.fault == source.fault and "ends inside a sample" in str(seen.fault)
