"""The recording process speaks a small language, keeps the libraries' chatter out of it, and outlives nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from edgeapp.audio.microphones.capture import Capture
from edgeapp.audio.microphones.messages import COUNTS, ERROR, HEAD, HELLO, SAMPLES
from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.errors import DeviceError
from tests.conftest import PROJECT

# One microphone that gives two blocks, loses 300 samples between them, and then nothing more.
SOUNDDEVICE = """
import os, types
import numpy as np
class PortAudioError(Exception): pass
default = types.SimpleNamespace(device=(0, 0))
def query_hostapis(): return [{"name": "ALSA"}]
def query_devices():
    print("chatter on standard output", flush=True)
    return [{"name": "Toy (hw:7,0)", "hostapi": 0, "max_input_channels": 1, "default_samplerate": 16000.0}]
def check_input_settings(device, channels, dtype, samplerate):
    if samplerate != 16000: raise PortAudioError("Invalid sample rate")
class InputStream:
    def __init__(self, callback, **settings): self.callback = callback
    def start(self):
        if os.environ.get("TOY") == "busy": raise PortAudioError("Device unavailable")
        for at, overflow in ((0.0, False), (0.1 + 300 / 16000, True)):
            sound = np.full((1600, 1), 0.5, np.float32)
            self.callback(sound, 1600, types.SimpleNamespace(inputBufferAdcTime=at),
                          types.SimpleNamespace(input_overflow=overflow))
    def abort(self, ignore_errors): pass
    def close(self, ignore_errors): pass
"""
TOY = SoundDevice("Toy (hw:7,0)", index=0, alsa="hw:7,0", card=7, pcm=0)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text(SOUNDDEVICE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(PROJECT))))


@pytest.fixture
def recording(toy):
    command = [sys.executable, "-m", "edgeapp.audio.microphones.record", "--device", "toy"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        yield process
        process.kill()


def message(process) -> tuple[bytes, bytes]:
    kind, size = HEAD.unpack(process.stdout.read(HEAD.size))
    return kind, process.stdout.read(size)


def test_it_says_what_it_opened_and_then_gives_samples_with_their_counts(recording):
    kind, content = message(recording)
    assert (kind, json.loads(content)) == (HELLO, {"name": "Toy (hw:7,0)", "rate_hz": 16000, "channels": 1})

    starts = []
    for _ in range(3):
        kind, content = message(recording)
        start, lost, captured = COUNTS.unpack_from(content)
        sound = np.frombuffer(content, "<f4", offset=COUNTS.size)
        starts.append((kind, start, len(sound), float(sound[0]), lost, captured))
    assert starts == [
        (SAMPLES, 0, 1600, 0.5, 300, 3500),
        (SAMPLES, 1600, 300, 0.0, 300, 3500),
        (SAMPLES, 1900, 1600, 0.5, 300, 3500),
    ]


def test_it_ends_when_its_input_ends_though_no_sample_comes(recording):
    for _ in range(4):
        message(recording)
    recording.stdin.close()

    assert recording.wait(timeout=60) == 0


def test_ctrl_c_does_not_end_it(recording):
    for _ in range(4):
        message(recording)
    recording.send_signal(signal.SIGINT)

    with pytest.raises(subprocess.TimeoutExpired):
        recording.wait(timeout=0.5)


def test_a_device_that_refuses_is_told_as_a_message(toy, monkeypatch):
    monkeypatch.setenv("TOY", "busy")
    command = [sys.executable, "-m", "edgeapp.audio.microphones.record"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert message(process)[0] == HELLO
        kind, content = message(process)
        status = process.wait(timeout=60)  # before its input is closed, which ends it as well

    assert kind == ERROR
    assert json.loads(content)["what"] == "microphone Toy (hw:7,0) does not open (Device unavailable)"
    assert status == 2


def test_a_recorder_that_is_killed_is_told_with_its_signal(toy):
    capture = Capture("toy", "portaudio", listing=lambda: [TOY])
    os.kill(capture.pid, signal.SIGSEGV)

    with pytest.raises(DeviceError, match=r"is gone \(its recording process was killed by SIGSEGV\)"):
        list(capture.blocks())


def test_a_capture_carries_its_counts_and_its_errors(toy, monkeypatch):
    capture = Capture("toy", "portaudio", listing=lambda: [TOY])
    blocks = capture.blocks()
    heard = [next(blocks) for _ in range(3)]
    blocks.close()
    assert [(block.start, len(block.samples)) for block in heard] == [(0, 1600), (1600, 300), (1900, 1600)]
    assert (capture.rate_hz, capture.captured_samples, capture.dropped_samples) == (16000, 3500, 300)

    monkeypatch.setenv("TOY", "busy")
    with pytest.raises(DeviceError, match=r"Toy .* does not open \(Device unavailable\); close other programs"):
        Capture("toy", "portaudio", listing=lambda: [TOY])
