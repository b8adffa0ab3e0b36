"""Channels of a microphone: what is wrong with one costs no sound, and is told once."""

from __future__ import annotations

import numpy as np
import pytest

from edgeapp.audio.channels import Channel
from edgeapp.audio.microphones.channel_health import ChannelFault, Fault, LiveMixer

RATE_HZ = 24_000
SECOND = np.arange(RATE_HZ) / RATE_HZ
RNG = np.random.default_rng(5)


def song(seconds: float, hz: float = 3000.0) -> np.ndarray:
    """Chirps with pauses, over some noise of the microphone."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    chirp = np.sin(2 * np.pi * (hz + 800 * np.sin(2 * np.pi * 5 * t)) * t) * (np.sin(2 * np.pi * 2 * t) > 0.3)
    return (0.2 * chirp + 1e-3 * RNG.standard_normal(len(t))).astype(np.float32)


def noise(seconds: float, level: float = 1e-3) -> np.ndarray:
    return (level * RNG.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


class Heard:
    """What a mixer makes of some channels, in blocks of a tenth of a second, and what it told."""

    def __init__(self, channels: int = 2, channel: str = "mix") -> None:
        self.told: list[tuple[ChannelFault, ...]] = []
        self._mixer = LiveMixer(channels, RATE_HZ, Channel.of(channel), self.told.append)

    def add(self, *channels: np.ndarray) -> np.ndarray:
        frames = np.stack(channels, axis=1)
        blocks = [self._mixer.add(frames[at : at + RATE_HZ // 10]) for at in range(0, len(frames), RATE_HZ // 10)]
        return np.concatenate(blocks)

    @property
    def faults(self) -> list[list[tuple[str, int]]]:
        return [[(one.fault.value, one.channel) for one in faults] for faults in self.told]


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples).mean()))


def test_channels_in_order_are_averaged_as_they_come_and_nothing_is_told():
    heard = Heard()
    left, right = song(15), noise(15)

    np.testing.assert_allclose(heard.add(left, right), (left + right) / 2, atol=1e-6)
    assert heard.told == []


@pytest.mark.parametrize("dead", [1, 2])
def test_a_dead_channel_is_left_out_at_once_and_told_after_ten_seconds(dead):
    heard = Heard()
    sound = song(12)
    given = heard.add(*((silence(12), sound) if dead == 1 else (sound, silence(12))))

    np.testing.assert_allclose(given[-RATE_HZ:], sound[-RATE_HZ:], atol=1e-6)
    assert heard.faults == [[("dead", dead)]]
    assert f"channel {dead} has no sound" in heard.told[0][0].why


def test_a_loose_contact_neither_begins_nor_ends_a_fault():
    heard = Heard()
    for _ in range(4):
        heard.add(song(8), silence(8))
        heard.add(song(2), noise(2))
    assert heard.told == []

    heard.add(song(10), silence(10))
    for _ in range(4):
        heard.add(song(2), noise(2))
        heard.add(song(2), silence(2))
    assert heard.faults == [[("dead", 2)]]

    heard.add(song(4), noise(4))
    assert heard.faults == [[("dead", 2)], []]


def test_a_night_too_quiet_to_tell_does_not_heal_a_dead_channel():
    heard = Heard()
    heard.add(song(11), silence(11))
    quiet = noise(20, 2e-5)
    given = heard.add(quiet, silence(20))

    assert heard.faults == [[("dead", 2)]]
    np.testing.assert_allclose(given[RATE_HZ:], quiet[RATE_HZ:], atol=1e-6)


def test_two_dead_channels_are_no_fault_of_one_of_them():
    heard = Heard()
    heard.add(silence(20), silence(20))

    assert heard.told == []


def test_channels_in_opposite_phase_are_heard_through_one_and_told():
    heard = Heard()
    sound = song(8)
    given = heard.add(sound, -sound)

    assert rms(given[RATE_HZ:]) > 0.95 * rms(sound[RATE_HZ:])
    assert heard.faults == [[("inverted", 0)]]

    sound = song(6)
    given = heard.add(sound, sound)
    assert heard.faults == [[("inverted", 0)], []]
    assert rms(given) > 0.95 * rms(sound)


@pytest.mark.parametrize("channels", [3, 4])
def test_one_inverted_channel_of_several_is_found_and_left_out(channels):
    heard = Heard(channels=channels)
    sound = song(32)
    microphones = [sound + noise(32) for _ in range(channels)]
    microphones[1] = -microphones[1]
    given = heard.add(*microphones)

    assert heard.faults == [[("inverted", 2)]] and "channel 2 is wired" in heard.told[0][0].why
    assert rms(given[2 * RATE_HZ :]) > 0.95 * rms(sound[2 * RATE_HZ :])

    heard.add(*[song(6) + noise(6)] * channels)
    assert heard.faults[-1] == []


def test_several_microphones_apart_are_no_fault():
    """Each hears the bird at another time, over noise of its own."""
    heard = Heard(channels=4)
    sound = song(35)
    heard.add(*[np.roll(sound, 7 * place) + noise(35) for place in range(4)])

    assert heard.told == []


def test_a_noisy_channel_is_told_after_a_minute_and_what_heals_it():
    heard = Heard()
    heard.add(song(60), noise(60, 0.1))
    heard.add(song(60), noise(60, 0.1))

    assert heard.faults == [[("noisy", 2)]]
    assert "best" in heard.told[0][0].why

    heard.add(song(60), noise(60))
    assert heard.faults == [[("noisy", 2)], []]


def test_a_noisy_channel_that_is_dead_in_the_end_is_told_as_that():
    heard = Heard()
    heard.add(song(60), noise(60, 0.1))
    heard.add(song(60), silence(60))

    assert heard.faults == [[("noisy", 2)], [("dead", 2), ("noisy", 2)], [("dead", 2)]]


def test_the_best_channel_is_found_in_ten_seconds_and_kept():
    heard = Heard(channel="best")
    left, right = song(20), noise(20, 0.1)
    given = heard.add(right, left)

    np.testing.assert_allclose(given[11 * RATE_HZ :], left[11 * RATE_HZ :], atol=1e-6)
    left, right = song(60), song(60)  # as good as it
    np.testing.assert_allclose(heard.add(right, left), left, atol=1e-6)


def test_when_the_best_channel_dies_another_one_is_heard():
    heard = Heard(channel="best")
    heard.add(noise(12, 0.1), song(12))
    sound = noise(5, 0.1)
    given = heard.add(sound, silence(5))

    np.testing.assert_allclose(given[2 * RATE_HZ :], sound[2 * RATE_HZ :], atol=1e-6)


def test_a_number_is_that_channel_and_says_nothing_of_the_others():
    heard = Heard(channel="2")
    sound = noise(15)

    np.testing.assert_array_equal(heard.add(song(15), sound), sound)
    assert heard.told == []
    with pytest.raises(ValueError, match="channel 3 of 2"):
        LiveMixer(2, RATE_HZ, Channel.of("3"))


def test_one_channel_goes_through_untouched():
    heard = Heard(channels=1)
    sound = song(3)

    np.testing.assert_array_equal(heard.add(sound), sound)


def test_the_worst_fault_is_told_first():
    assert [fault.value for fault in Fault] == ["inverted", "dead", "noisy"]


def test_a_change_of_channels_does_not_click():
    heard = Heard()
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    tone = (0.3 * np.sin(2 * np.pi * 200 * t)).astype(np.float32)
    given = heard.add(tone, np.zeros_like(tone))  # half the level, then all of it

    assert np.abs(np.diff(given)).max() < 1.2 * np.abs(np.diff(tone)).max()
