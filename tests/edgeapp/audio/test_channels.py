"""Channels are mixed as they always were, except where that would lose the sound."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from edgeapp.audio.channels import Channel, ChannelMixer, best_of, check_piped, mean_of
from edgeapp.errors import UsageError

RATE_HZ = 16_000
SECONDS = 6


def fixed(samples: np.ndarray) -> np.ndarray:
    """Samples that are made once, for many tests."""
    samples.flags.writeable = False
    return samples


@cache
def noise(seed: int, level: float, seconds: float = SECONDS, rate_hz: int = RATE_HZ) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))
    return fixed((level * made).astype(np.float32))


@cache
def song(hz: float = 3_000.0, level: float = 0.2, seconds: float = SECONDS, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A tone that warbles, in notes with pauses between them."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    notes = np.sin(2 * np.pi * 2.5 * time) > 0
    warbled = np.sin(2 * np.pi * (hz * time + 20 * np.sin(2 * np.pi * 5 * time)))
    return fixed((level * notes * warbled).astype(np.float32))


def hum(level: float, seconds: float = SECONDS) -> np.ndarray:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (level * sum(np.sin(2 * np.pi * 50 * n * time) / n for n in range(1, 12))).astype(np.float32)


def stereo(*channels: np.ndarray, dtype: str = "float32") -> np.ndarray:
    frames = np.stack(channels, axis=1)
    return np.round(frames * 32_767).astype(np.int16) if dtype == "int16" else frames


def mixed(frames: np.ndarray, number: int = 0, block: int = 4_096) -> tuple[np.ndarray, list[str]]:
    mixer = ChannelMixer(frames.shape[1], RATE_HZ, number)
    given = [mixer.add(frames[at : at + block]) for at in range(0, len(frames), block)] + [mixer.finish()]
    return np.concatenate(given), mixer.notes


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples.astype(np.float64)).mean()))


ORDINARY = {
    "the same": (song() + noise(1, 0.01), song() + noise(1, 0.01)),
    "own noise": (song() + noise(1, 0.01), song() + noise(2, 0.01)),
    "panned": (song() + noise(1, 0.01), 0.1 * song() + noise(2, 0.01)),
    "later in one": (song() + noise(1, 0.01), np.roll(song(), 11) + noise(2, 0.01)),
    "only noise": (noise(1, 0.05), noise(2, 0.05)),
    "quiet": (noise(1, 2e-5), noise(2, 2e-5)),
    "a voice in each": (song(2_000), song(5_000)),
    "hum in opposite phase": (hum(0.1) + song() + noise(1, 0.01), song() - hum(0.1) + noise(2, 0.01)),
    "silence": (np.zeros(RATE_HZ, np.float32), np.zeros(RATE_HZ, np.float32)),
}


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_channels_are_averaged_to_the_last_bit(kind, dtype):
    frames = stereo(*ORDINARY[kind], dtype=dtype)
    unit = 1 / 32_768 if dtype == "int16" else 1.0
    given, notes = mixed(frames)
    np.testing.assert_array_equal(given, frames.mean(axis=1, dtype=np.float32) * np.float32(unit))
    assert notes == []


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_the_mean_is_that_of_numpy(channels, dtype):
    frames = stereo(*(noise(n, 0.1) for n in range(channels)), dtype=dtype)
    unit = np.float32(1 / 32_768 if dtype == "int16" else 1.0)
    np.testing.assert_array_equal(mean_of(frames), frames.mean(axis=1, dtype=np.float32) * unit)


@pytest.mark.parametrize("channels", [3, 4, 8, 16])
def test_many_channels_with_their_own_noise_do_not_cancel(channels):
    frames = stereo(*(noise(n, 0.05) for n in range(channels)))
    given, notes = mixed(frames)
    assert notes == [] and np.array_equal(given, frames.mean(axis=1, dtype=np.float32))


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("block", [333, 4_096, RATE_HZ, 10 * RATE_HZ])
def test_nothing_depends_on_the_blocks(dtype, block):
    good = stereo(song(seconds=2.5), song(seconds=2.5))
    frames = np.concatenate([good, stereo(song(), -song()), stereo(song(), np.zeros(len(song())))]).astype(np.float32)
    frames = np.round(frames * 32_767).astype(np.int16) if dtype == "int16" else frames
    given, notes = mixed(frames, block=block)
    whole, told = mixed(frames, block=len(frames))
    np.testing.assert_array_equal(given, whole)
    assert notes == told and len(given) == len(frames)


CANCELLING = {
    "inverted": (song(), -song()),
    "inverted, own noise": (song() + noise(1, 0.01), -song() + noise(2, 0.01)),
    "inverted, weaker": (song() + noise(1, 0.005), -0.7 * song() + noise(2, 0.005)),
    "inverted, in wind": (
        song(level=0.05) + 2 * np.convolve(noise(1, 0.05), np.ones(64) / 8, "same").astype(np.float32),
        -song(level=0.05) + 2 * np.convolve(noise(2, 0.05), np.ones(64) / 8, "same").astype(np.float32),
    ),
    "inverted owl": (song(400) + noise(1, 0.005), -song(400) + noise(2, 0.005)),
    "inverted noise": (noise(1, 0.05), -noise(1, 0.05)),
}


@pytest.mark.parametrize("kind", CANCELLING)
def test_of_channels_that_cancel_one_is_used(kind):
    first, second = CANCELLING[kind]
    given, notes = mixed(stereo(first, second))
    np.testing.assert_array_equal(given, first)
    assert notes == ["channels cancel each other: one of them is used instead"]


def test_channels_that_cancel_for_a_time_are_told_and_mixed_elsewhere():
    good, bad = song(seconds=4), song(seconds=3)
    first = np.concatenate([good, bad, good])
    second = np.concatenate([good, -bad, good])
    given, notes = mixed(stereo(first, second))
    assert notes == ["channels cancel each other for 3.0 of 11.0 s: one of them is used instead"]
    apart = np.flatnonzero(~np.isclose(given, first, atol=1e-6)) / RATE_HZ
    assert apart.min() >= 4.0 and apart.max() < 4.01  # one is faded into the other


def test_a_cancelled_voice_stays_heard_through_its_pauses():
    """Between the notes there is only noise, of which nothing cancels."""
    voice = np.concatenate([song(seconds=2), np.zeros(3 * RATE_HZ, np.float32), song(seconds=2)])
    first, second = voice + noise(1, 0.002, 7), noise(2, 0.002, 7) - voice
    given, _ = mixed(stereo(first, second))
    np.testing.assert_array_equal(given, first)


@pytest.mark.parametrize("dead", [np.zeros(len(song()), np.float32), np.full(len(song()), 0.1, np.float32)])
@pytest.mark.parametrize("side", [0, 1])
def test_a_dead_channel_is_left_out_so_that_the_level_stays(dead, side):
    live = song() + noise(1, 0.01)
    given, notes = mixed(stereo(*((dead, live) if side == 0 else (live, dead))))
    np.testing.assert_array_equal(given, live)
    assert notes == [f"channel {side + 1} is silent and was left out"]


def test_a_plug_that_slips_out_changes_no_level_and_clicks_nowhere():
    first = hum(0.1) + noise(1, 0.001)
    second = first.copy()
    second[3 * RATE_HZ :] = 0
    given, notes = mixed(stereo(first, second))
    assert notes == ["channel 2 is silent for 3.0 of 6.0 s and was left out"]
    apart = np.flatnonzero(~np.isclose(given, first, atol=1e-6)) / RATE_HZ
    assert apart.min() >= 3.0 and apart.max() < 3.01
    assert np.abs(np.diff(given)).max() < 1.1 * np.abs(np.diff(first)).max()


def test_of_four_channels_the_dead_one_is_left_out():
    live = song() + noise(1, 0.01)
    given, notes = mixed(stereo(live, np.zeros_like(live), live, live))
    np.testing.assert_allclose(given, live, atol=1e-6)
    assert notes == ["channel 2 is silent and was left out"]


@pytest.mark.parametrize("bad", [song() + noise(2, 0.3), song() + noise(2, 0.005) + hum(0.4)], ids=["noise", "hum"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_noisy_channel_is_told_and_the_best_is_the_other(bad, side):
    good = song() + noise(1, 0.005)
    frames = stereo(*((bad, good) if side == 0 else (good, bad)))
    _, notes = mixed(frames)
    [note] = notes
    assert note.startswith(f"channel {side + 1} is noisy, ") and note.endswith("try --channel best")
    assert best_of([frames], 2, RATE_HZ) == (2 if side == 0 else 1)


@pytest.mark.parametrize("level", [2e-5, 3e-4])
def test_a_channel_without_a_microphone_has_noise_of_its_own_and_is_told(level):
    good = song() + noise(1, 0.003)
    _, notes = mixed(stereo(good, noise(2, level)))
    [note] = notes
    assert note.startswith("channel 2 hears next to nothing, ") and note.endswith("try --channel best")
    assert mixed(stereo(good, 0.05 * song() + noise(2, 0.003)))[1] == []  # 26 dB: a bird beside the other one


@pytest.mark.parametrize(
    ("channels", "best"),
    [
        ((song(), song()), 1),
        ((song() + noise(1, 0.02), song() + noise(2, 0.02)), 1),
        ((0.2 * song() + noise(1, 0.02), song() + noise(2, 0.02)), 2),
        ((np.zeros(len(song()), np.float32), song()), 2),
        ((noise(1, 0.1), noise(2, 0.05), song() + noise(3, 0.01)), 3),
        ((song() + noise(1, 0.01), 4 * noise(2, 1e-5)), 1),
        ((noise(1, 0.01), np.sin(np.arange(len(song()))).astype(np.float32) * 0.1 + noise(2, 0.01)), 2),  # a cricket
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_the_best_channel_stands_out_of_its_noise(channels, best, dtype):
    frames = stereo(*channels, dtype=dtype)
    for n in (999, len(frames)):
        pieces = (frames[at : at + n] for at in range(0, len(frames), n))
        assert best_of(pieces, len(channels), RATE_HZ) == best


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_number_gives_that_channel_alone(number, dtype):
    frames = stereo(song(), noise(1, 0.1), np.zeros(len(song()), np.float32), dtype=dtype)
    given, notes = mixed(frames, number)
    np.testing.assert_array_equal(given, frames[:, number - 1] * np.float32(1 / 32_768 if dtype == "int16" else 1))
    assert notes == []


@pytest.mark.parametrize("n", [0, 1, 100, 15_999, 16_000, 16_001])
def test_a_sound_of_any_length_keeps_it(n):
    frames = stereo(song()[:n], -song()[:n])
    assert len(mixed(frames)[0]) == n


def test_samples_beyond_reason_are_no_matter_of_the_mixer(recwarn):
    frames = stereo(noise(1, 1e30), noise(2, 1e30))
    assert len(mixed(frames)[0]) == len(frames) and not recwarn.list


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("mix", Channel("mix")),
        ("LEFT", Channel("", 1)),
        ("right", Channel("", 2)),
        ("each", Channel("each")),
        ("best", Channel("best")),
        ("1", Channel("", 1)),
        ("12", Channel("", 12)),
    ],
)
def test_a_channel_is_chosen_by_a_word_or_a_number(text, channel):
    assert Channel.of(text) == channel


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "both", "²", "1,2"])
def test_any_other_channel_is_refused(text):
    with pytest.raises(UsageError, match="there is no channel"):
        Channel.of(text)


@pytest.mark.parametrize("text", ["each", "best"])
def test_a_pipe_is_read_only_once(text):
    with pytest.raises(UsageError):
        check_piped(Channel.of(text))
