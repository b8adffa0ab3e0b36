"""A microphone that hears nothing is never taken for a quiet night, nor a quiet night for a dead microphone."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from edgeapp.audio.microphones.channel_health import ChannelFault, Fault
from edgeapp.delivery.home_assistant import MICROPHONE_STATES
from edgeapp.delivery.station_state import HEARD
from edgeapp.doctor.service import OF_CHANNEL
from edgeapp.station.microphone_health import (
    BAD_S,
    DEAF,
    FLAT_S,
    IMPAIRED,
    RECOVERED_S,
    MicrophoneHealth,
    State,
    Transition,
)

RATE_HZ = 48000
RNG = np.random.default_rng(5)


def sixteen_bits(samples: np.ndarray) -> np.ndarray:
    return (np.clip(np.round(samples * 2**15), -(2**15), 2**15 - 1) / 2**15).astype(np.float32)


def noise(seconds: float, dbfs: float = -60.0) -> np.ndarray:
    return sixteen_bits(RNG.normal(0.0, 10 ** (dbfs / 20), round(seconds * RATE_HZ)))


def hum(seconds: float, mains_hz: float = 50.0, dbfs: float = -25.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (10 ** (dbfs / 20) * sum(np.sin(2 * np.pi * mains_hz * k * t + k) / k for k in (1, 2, 3, 5, 7))).astype(
        np.float32
    )


class Station:
    """The health of a microphone with a clock that runs with the sound."""

    def __init__(self) -> None:
        self.told: list[Transition] = []
        self.now_s = 100.0
        self.health = MicrophoneHealth(RATE_HZ, self.now_s, self.told.append)

    def hear(self, samples: np.ndarray, rate_hz: int = RATE_HZ) -> None:
        step = rate_hz // 10
        for start in range(0, len(samples), step):
            piece = samples[start : start + step]
            self.now_s += len(piece) / rate_hz
            self.health.observe(piece, self.now_s)
            self.health.tick(self.now_s)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            self.health.tick(self.now_s)

    @property
    def states(self) -> list[str]:
        return [transition.state.value for transition in self.told]


@pytest.fixture
def station() -> Station:
    return Station()


def test_a_microphone_starts_and_hears_with_its_first_second(station):
    assert station.health.state is State.STARTING

    station.hear(noise(1.0))

    assert station.told == [Transition(pytest.approx(101.0), State.STARTING, State.HEARING, "sound at -60 dBFS")]
    assert station.health.level_dbfs == pytest.approx(-60.0, abs=0.5)


@pytest.mark.parametrize("dbfs", [-40.0, -70.0, -90.0, -94.0])
def test_a_quiet_night_is_hearing(station, dbfs):
    station.hear(noise(90.0, dbfs))

    assert station.states == ["hearing"]


def test_a_night_that_is_quieter_than_16_bits_is_hearing_on_a_card_of_24(station):
    station.hear((np.round(RNG.normal(0.0, 10 ** (-112 / 20), 30 * RATE_HZ) * 2**23) / 2**23).astype(np.float32))

    assert station.states == ["hearing"]


@pytest.mark.parametrize(
    "dead",
    [
        pytest.param(np.zeros(12 * RATE_HZ, np.float32), id="zeros"),
        pytest.param(np.full(12 * RATE_HZ, 0.25, np.float32), id="a constant offset"),
        pytest.param(sixteen_bits(RNG.integers(-1, 2, 12 * RATE_HZ) / 2**15), id="the last bit toggles"),
        pytest.param(np.full(12 * RATE_HZ, -1.0, np.float32), id="stuck at full scale"),
    ],
)
def test_a_microphone_that_never_heard_is_silent_after_ten_seconds(station, dead):
    station.hear(dead)

    assert station.states == ["silent"]
    assert station.told[0].at_s == pytest.approx(100.0 + FLAT_S, abs=0.11)
    assert station.health.why == "constant value for 10 s"


@pytest.mark.parametrize("mains_hz", [50.0, 60.0, 49.9])
def test_nothing_but_hum_is_silent_after_a_minute(station, mains_hz):
    station.hear(hum(BAD_S + 2, mains_hz) + noise(BAD_S + 2, -88.0))

    assert station.states == ["silent"]
    assert station.health.why == "mains hum only for 60 s"


def test_a_bird_beside_hum_is_heard(station):
    seconds = 70
    song = np.zeros(seconds * RATE_HZ, np.float32)
    for start in range(0, seconds, 20):  # a second of song each twenty
        t = np.arange(RATE_HZ) / RATE_HZ
        song[start * RATE_HZ : (start + 1) * RATE_HZ] = 0.002 * np.sin(2 * np.pi * 4000 * t)

    station.hear(hum(seconds) + song)

    assert "silent" not in station.states


@pytest.mark.parametrize("hum_dbfs, night_dbfs", [(-12.0, -60.0), (-80.0, -88.0)])
def test_a_night_beside_loud_or_faint_hum_is_heard(station, hum_dbfs, night_dbfs):
    station.hear(hum(70, dbfs=hum_dbfs) + noise(70, night_dbfs))

    assert station.states == ["hearing"]


def test_rumble_that_is_nearly_as_faint_as_the_hum_beside_it_is_heard(station):
    low = np.convolve(RNG.normal(0.0, 1.0, 70 * RATE_HZ + 199), np.ones(200) / 200, "valid")

    station.hear((hum(70, dbfs=-70.0) + low / low.std() * 10 ** (-80 / 20)).astype(np.float32))

    assert station.states == ["hearing"]


def test_a_tone_that_is_no_mains_is_heard(station):
    t = np.arange(70 * RATE_HZ) / RATE_HZ

    station.hear((0.1 * np.sin(2 * np.pi * 440 * t)).astype(np.float32))

    assert station.states == ["hearing"]


def test_a_signal_that_stands_at_full_scale_is_silent_after_a_minute(station):
    station.hear(np.clip(noise(62.0, -20.0) * 20, -1, 1))

    assert station.states == ["silent"]
    assert station.health.why == "clipping at full scale for 60 s"


def test_gusts_that_clip_for_seconds_are_weather(station):
    for _ in range(3):
        station.hear(np.clip(noise(20.0, -20.0) * 20, -1, 1))
        station.hear(noise(2.0))

    assert "silent" not in station.states


def test_a_silence_ends_with_three_good_seconds_in_a_row(station):
    station.hear(np.zeros(12 * RATE_HZ, np.float32))
    for _ in range(3):
        station.hear(noise(1.0))
        station.hear(np.zeros(RATE_HZ, np.float32))
    assert station.states == ["silent"]

    station.hear(noise(RECOVERED_S))

    assert station.states == ["silent", "hearing"]


def test_no_samples_are_a_stall_and_their_return_is_back_and_then_hearing(station):
    station.hear(noise(2.0))
    station.wait(5.0)
    assert station.told[-1].state is State.STALLED
    assert station.told[-1].at_s == pytest.approx(105.0, abs=0.11)

    station.hear(noise(1.5))

    assert station.states == ["hearing", "stalled", "back", "hearing"]


def test_a_microphone_that_never_gives_a_sample_is_stalled(station):
    station.wait(4.0)

    assert station.states == ["stalled"]


def test_a_microphone_that_is_lost_and_comes_back_mute_is_not_hearing(station):
    station.hear(noise(2.0))
    station.health.lost("No such device", station.now_s)
    station.wait(30.0)
    assert station.health.state is State.LOST  # and not stalled: somebody knows better
    station.health.reopened(station.now_s)
    station.hear(np.zeros(12 * RATE_HZ, np.float32))

    assert station.states == ["hearing", "lost", "back", "silent"]
    assert station.told[1].why == "No such device"


def test_tries_that_fail_for_another_reason_tell_the_reason_alone(station):
    station.health.lost("No such device", 110.0)
    station.health.lost("Device or resource busy", 120.0)

    assert station.states == ["lost"]
    assert (station.health.why, station.health.since_s) == ("Device or resource busy", 110.0)


def test_a_microphone_that_comes_back_at_another_rate_is_judged_at_it(station):
    station.hear(noise(3.0))
    station.health.lost("gone", station.now_s)
    station.health.reopened(station.now_s, 16000)
    station.hear(noise(2.0)[:16000], rate_hz=16000)

    assert station.states == ["hearing", "lost", "back", "hearing"]
    assert station.health.good_s == 1.0


def test_no_field_recording_is_taken_for_a_dead_microphone(shared):
    recordings = sorted((shared / "field_recordings").glob("*.[fw][la][av]*"))
    assert len(recordings) >= 10
    for path in recordings:
        samples, rate_hz = soundfile.read(path, dtype="float32")
        told: list[Transition] = []
        MicrophoneHealth(rate_hz, 0.0, told.append).observe(samples, 1.0)

        assert (path.name, [transition.state for transition in told]) == (path.name, [State.HEARING])


DEAD = ChannelFault(Fault.DEAD, 2, "channel 2 has no sound")
NOISY = ChannelFault(Fault.NOISY, 1, "channel 1 is far noisier")


def test_a_fault_of_a_channel_is_a_state_that_is_told_once_and_ended_once():
    told = []
    health = MicrophoneHealth(RATE_HZ, 0.0, told.append)
    sound = np.random.default_rng(0).normal(0, 0.01, RATE_HZ).astype(np.float32)
    for second in range(5):
        health.observe(sound, second + 1.0)
    health.channels([DEAD], 5.0)
    for second in range(5, 20):
        health.observe(sound, second + 1.0)
    health.channels([], 20.0)
    health.observe(sound, 21.0)

    assert [one.state.value for one in told] == ["hearing", "dead channel", "hearing"]
    assert [one.why for one in told][1:] == ["channel 2 has no sound", "all channels are in order"]


def test_faults_of_channels_are_told_when_the_microphone_hears_again():
    told = []
    health = MicrophoneHealth(RATE_HZ, 0.0, told.append)
    health.channels([DEAD, NOISY], 0.5)
    assert told == []
    health.observe(np.random.default_rng(0).normal(0, 0.01, RATE_HZ).astype(np.float32), 1.0)

    assert health.state is State.DEAD_CHANNEL
    assert health.why == "channel 2 has no sound; channel 1 is far noisier"
    health.lost("unplugged", 2.0)
    health.reopened(3.0)
    health.observe(np.random.default_rng(0).normal(0, 0.01, RATE_HZ).astype(np.float32), 4.0)
    assert health.state is State.HEARING  # another recorder has not found it yet


def test_every_state_is_a_problem_or_none_for_all_who_tell_of_it():
    assert {*DEAF, *IMPAIRED} | {*HEARD} == {*State} == {*MICROPHONE_STATES}
    assert not {*DEAF, *IMPAIRED} & {*HEARD}
    assert set(OF_CHANNEL) == {*IMPAIRED}  # the doctor has a remedy for each of them
