"""The microphone is judged by what comes out of it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeapp.audio.channels import Channel
from edgeapp.audio.microphones.channel_health import faults_in
from edgeapp.audio.microphones.microphone import Microphone, all_devices
from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.config.sections import Input
from edgeapp.config.settings import Microphone as MicrophoneSettings
from edgeapp.doctor import hearing
from edgeapp.doctor.finding import State
from tests.conftest import PROJECT
from tests.edgeapp import pulse_server
from tests.edgeapp.fake_portaudio import FakePortAudio, FakeStream
from tests.edgeapp.forks import Forks

RATE_HZ = 48_000


def noise(level: float, n: int = 4 * RATE_HZ) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(n)).astype(np.float32)


def of_the_card(device: str | None, backend: str, stall_s: float, channel: Channel) -> Microphone:
    """The card itself, in place of a child process that records from it."""
    return Microphone(device, stall_s=stall_s)


@pytest.fixture
def card(monkeypatch) -> Callable[[np.ndarray], FakePortAudio]:
    """A card that gives these samples as soon as it is opened."""

    def install(samples: np.ndarray) -> FakePortAudio:
        fake = FakePortAudio()

        def feed(stream: FakeStream) -> None:
            def run() -> None:
                for at in range(0, len(samples), RATE_HZ // 10):
                    stream.feed(samples[at : at + RATE_HZ // 10])

            threading.Thread(target=run).start()

        fake.on_start = feed
        monkeypatch.setitem(sys.modules, "sounddevice", fake)
        # In this process, where the card in memory is: a child would look for a real one.
        monkeypatch.setattr(hearing, "listing", all_devices)
        monkeypatch.setattr(hearing, "Capture", of_the_card)
        return fake

    return install


@pytest.mark.parametrize(
    ("samples", "state", "words"),
    [
        (noise(0.01), State.OK, "level -40 dBFS"),
        (noise(1e-4), State.OK, "level -80 dBFS"),  # a quiet night
        (np.zeros(4 * RATE_HZ, np.float32), State.ERROR, "only one constant value"),
        (np.full(4 * RATE_HZ, 0.25, np.float32), State.ERROR, "only one constant value"),
        (np.clip(noise(2.0), -1, 1), State.WARNING, "of samples at full scale"),
        (noise(1e-5), State.WARNING, "nearly silent"),
        (noise(0.01) + np.float32(0.3), State.WARNING, "offset 30 % of full scale"),
    ],
    ids=["sound", "quiet", "zeros", "flat", "clipping", "deaf", "offset"],
)
def test_a_microphone_is_judged_by_its_sound(context, card, samples, state, words):
    fake = card(samples)
    [told] = hearing.microphone(context())
    assert told.state is state
    assert words in told.what
    assert fake.streams[0].closed


def test_the_click_of_a_card_that_wakes_up_is_not_counted(context, card):
    samples = noise(0.01)
    samples[: RATE_HZ // 4] = 1.0
    card(samples)
    [told] = hearing.microphone(context())
    assert told.state is State.OK


def test_a_microphone_that_gives_no_sample_is_an_error_in_one_line(context, card, monkeypatch):
    monkeypatch.setattr(hearing, "STALL_S", 0.05)
    card(np.zeros(0, np.float32))
    [told] = hearing.microphone(context())
    assert told.state is State.ERROR
    assert "no samples for" in told.what


def test_each_named_microphone_is_heard_and_a_missing_one_is_an_error(context, card):
    card(noise(0.01))
    told = list(hearing.microphone(context(microphone=MicrophoneSettings(device=("USB", "Neumann")))))
    assert [one.state for one in told] == [State.OK, State.ERROR]
    assert "Neumann" in told[1].what


CALLS = 0.02 * np.sin(2 * np.pi * 3000 * np.arange(2 * RATE_HZ) / RATE_HZ, dtype=np.float32)
CALLS *= np.arange(len(CALLS)) % (RATE_HZ // 4) < RATE_HZ // 8


@pytest.mark.parametrize(
    ("left", "right", "told", "remedy"),
    [
        (CALLS, CALLS, None, None),
        (0 * CALLS, CALLS, "USB: channel 1 has no sound", "--channel NUMBER"),
        (CALLS, -CALLS, "USB: channels cancel each other: one is wired the other way round", "swap the wires"),
        (CALLS, noise(0.1, len(CALLS)), "USB: channel 2 is far noisier than another one", "--channel best"),
    ],
    ids=["in order", "dead", "inverted", "noisy"],
)
def test_what_is_wrong_with_a_channel_is_named(left, right, told, remedy):
    quiet = [noise(1e-3, len(CALLS)), 0.7 * noise(1e-3, len(CALLS))[::-1]]
    dead = [not np.any(side) for side in (left, right)]
    sides = [side + (0 if gone else hiss) for side, gone, hiss in zip((left, right), dead, quiet, strict=True)]
    found = list(hearing.judged_channels("USB", faults_in(np.stack(sides, axis=1).astype(np.float32), RATE_HZ)))
    assert [one.what.partition(": choose")[0] for one in found] == ([told] if told else [])
    assert all(one.state is State.WARNING and remedy in one.remedy for one in found)


def test_no_microphone_at_all_is_one_clear_line_and_no_crash(context, monkeypatch):
    ghost = SoundDevice("tegra-dlink-0", index=1, ghost=True)
    monkeypatch.setattr(hearing, "listing", lambda: [ghost])
    [told] = hearing.microphone(context())
    assert (told.state, told.what) == (State.WARNING, "none found")


def test_it_is_left_alone_where_it_is_not_to_be_opened(context, journal, tmp_path, monkeypatch):
    monkeypatch.setattr(hearing, "Capture", None)  # whoever opens one fails
    (journal.parent / "journal.status.json").write_text('{"pid": 5}')
    for one in (context(may_record=False), context(alive=True), context(input=Input(watch=tmp_path))):
        assert [told.state for told in hearing.microphone(one)] == [State.SKIPPED]


@pytest.mark.skipif(bool(pulse_server.missing()), reason=pulse_server.missing())
def test_it_really_hears_through_a_sound_server(tmp_path: Path, forks: Forks):
    """A null sink gives zeros until somebody plays: the doctor must see the difference."""
    code = (
        "from edgeapp.doctor.hearing import microphone; from edgeapp.doctor.context import Context;"
        "from edgeapp.config.load import examine;"
        "print(*[f'{f.state.value} {f.what}' for f in microphone(Context(examine(environment={})))], sep='\\n')"
    )
    import soundfile

    soundfile.write(tmp_path / "noise.wav", noise(0.05, 20 * RATE_HZ), RATE_HZ)
    folder = tmp_path / "pulse"
    folder.mkdir()
    with pulse_server.pulse_server(folder) as server:
        environment = {**server.environment, "PYTHONPATH": str(PROJECT)}

        def examined() -> str:
            done = subprocess.run(
                [*forks.python(), "-c", code], env=environment, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert examined().startswith("error ")
        with subprocess.Popen(["paplay", str(tmp_path / "noise.wav")], env=environment) as player:
            try:
                assert examined().startswith("ok "), "noise is played"
            finally:
                player.terminate()
