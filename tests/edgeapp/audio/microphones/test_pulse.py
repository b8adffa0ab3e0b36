"""Sources of a real sound server, listed and chosen by name, and recorded with all their channels."""

from __future__ import annotations

import shutil
import subprocess
import threading

import numpy as np
import pytest
import soundfile

from edgeapp.audio.channels import Channel
from edgeapp.audio.microphones import devices, pulse
from edgeapp.audio.microphones.capture import Capture
from edgeapp.audio.microphones.recording import Recordings
from edgeapp.errors import DeviceError
from tests.edgeapp import pulse_server

LACKING = pulse_server.missing() or ("" if shutil.which("parec") else "parec is not installed")
pytestmark = pytest.mark.skipif(bool(LACKING), reason=LACKING)
RATE_HZ = pulse_server.RATE_HZ


@pytest.fixture
def server(sound_server, monkeypatch):
    """A speaker of the test's own on the shared server; nothing but `--device` says which source is meant."""
    own = sound_server.another()
    for name, value in own.environment.items():
        if name not in ("PULSE_SINK", "PULSE_SOURCE"):
            monkeypatch.setenv(name, value)
    return own


@pytest.fixture
def source(server) -> str:
    return server.environment["PULSE_SOURCE"]


def play(server, *channels: np.ndarray, folder) -> threading.Thread:
    soundfile.write(folder / "played.wav", np.stack(channels, axis=1), RATE_HZ, subtype="FLOAT")
    player = threading.Thread(target=server.play, args=(folder / "played.wav",))
    player.start()
    return player


def tone(hz: float, seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def strongest_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples))[1:].argmax() + 1) * RATE_HZ / len(samples)


def listened(capture: Capture, seconds: float) -> np.ndarray:
    blocks = []
    for block in capture.blocks():
        blocks.append(block.samples)
        if block.end >= seconds * capture.rate_hz:
            capture.close()
    return np.concatenate(blocks)


def test_a_source_is_listed_and_chosen_by_its_name(server, source):
    found = {device.server: device for device in devices.listing()}
    assert found[f"pulse:{source}"].channels == 2 and found[f"pulse:{source}"].rate_hz == RATE_HZ
    assert found["pulse:speaker.monitor"].default and not found[f"pulse:{source}"].default
    assert any(f"pulse:{source}" in line for line in devices.table(list(found.values())))

    for wanted in (f"pulse:{source}", f"PULSE:{source[10:30]}"):
        capture = Capture(wanted)
        capture.close()
        assert (capture.device_id, capture.backend) == (f"pulse:{source}", "pulse")
        assert (capture.rate_hz, capture.channels) == (RATE_HZ, 2)


def test_a_named_backend_takes_the_default_source_of_its_server(server):
    capture = Capture(None, "pulse")
    capture.close()

    assert capture.device_id == "pulse:speaker.monitor"


def test_each_channel_of_a_source_is_heard_through_one_recorder(server, source, tmp_path):
    shared = Recordings()
    captures = [Capture(f"pulse:{source}", channel=Channel("", n), recordings=shared) for n in (1, 2)]
    assert captures[0].pid == captures[1].pid
    heard: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda n=n, one=one: heard.__setitem__(n, listened(one, 2.5)))
        for n, one in enumerate(captures, 1)
    ]
    for thread in threads:
        thread.start()
    play(server, tone(1000, 2.0), tone(3000, 2.0), folder=tmp_path).join()
    for thread in threads:
        thread.join()

    assert round(strongest_hz(heard[1]), -2) == 1000 and round(strongest_hz(heard[2]), -2) == 3000
    assert not captures[0].recording.thread.is_alive()


def test_a_source_that_ends_is_not_exchanged_for_another_one(server, source):
    capture = Capture(f"pulse:{source}", stall_s=5.0)
    blocks = capture.blocks()
    next(blocks)
    for line in subprocess.run(["pactl", "list", "short", "modules"], capture_output=True, text=True).stdout.split(
        "\n"
    ):
        if source.removesuffix(".monitor") in line:
            subprocess.run(["pactl", "unload-module", line.split("\t")[0]], check=True)

    with pytest.raises(DeviceError, match="is gone"):
        list(blocks)


def test_a_channel_that_a_source_does_not_have_is_refused(server, source):
    with pytest.raises(DeviceError, match="has only 2 channels, no channel 3"):
        Capture(f"pulse:{source}", channel=Channel("", 3), listing=lambda: told_two(source))


def told_two(source: str) -> list[devices.SoundDevice]:
    return [devices.SoundDevice(source, server=f"pulse:{source}", channels=2, rate_hz=RATE_HZ)]


def test_an_unknown_source_and_a_missing_server_are_told_apart(server, monkeypatch, tmp_path):
    with pytest.raises(DeviceError, match=r"no source is called pulse:owl \(there is pulse:.*biovita-edge devices"):
        Capture("pulse:owl")
    with pytest.raises(DeviceError, match=r"pulse:monitor fits \d+ sources"):
        Capture("pulse:monitor")

    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nobody")
    with pytest.raises(DeviceError, match=r"no sound server answers \(.*run the station as that user .*hw:") as error:
        Capture("pulse:owl")
    assert "\n" not in str(error.value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="pulseaudio-utils"):
        pulse.sources()
