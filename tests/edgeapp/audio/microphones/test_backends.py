"""A microphone backend is a module and a line in the table; everything else finds it there."""

from __future__ import annotations

import sys
from contextlib import closing

import numpy as np
import pytest

from edgeapp.audio.microphones import backends
from edgeapp.audio.microphones.capture import Capture
from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.config.settings import SETTINGS
from edgeapp.errors import DeviceError

HIDDEN = SoundDevice("hidden microphone")  # neither PortAudio nor ALSA knows it
LISTED = SoundDevice("USB microphone", index=3, alsa="hw:CARD=Mic,DEV=0")
TONE = "import sys, time; sys.stdout.buffer.write(bytes([0, 64]) * 4800); sys.stdout.flush(); time.sleep(60)"


class Newcomer:
    """Records constant sound with a program of its own, at its second try."""

    def unreached(self, device):
        return None

    def reader(self, device, listed, stall_s):
        return NewcomersReader("import sys; sys.exit('refused')")


class NewcomersReader:
    rate_hz = 48_000
    error = None

    def __init__(self, program):
        self.command = [sys.executable, "-c", program]

    def feed(self, raw, lines, told):
        samples = np.frombuffer(raw, "<i2").astype(np.float32) / 32768
        return [backends.Heard(0, samples, 0, len(samples))] if len(samples) else []

    def otherwise(self, told):
        return NewcomersReader(TONE) if "refused" in told else None


def test_a_newcomer_needs_a_module_and_a_line(monkeypatch):
    monkeypatch.setitem(backends.BACKENDS, "newcomer", (__name__, "Newcomer"))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Newcomer.__module__])
    capture = Capture(None, listing=lambda: [SoundDevice("hidden microphone", default=True)])
    with closing(capture.blocks()) as blocks:
        block = next(blocks)
    assert (capture.backend, capture.name) == ("newcomer", "hidden microphone")
    assert block.samples.tolist() == [0.5] * len(block.samples) and len(block.samples)


def test_every_backend_loads_and_can_be_chosen_in_the_settings():
    assert all(backends.load(name) for name in backends.BACKENDS)
    [setting] = [each for each in SETTINGS if (each.section, each.name) == ("microphone", "backend")]
    assert setting.choices == ("auto", *backends.BACKENDS)


def test_the_first_backend_that_reaches_a_device_is_taken():
    assert backends.choose("auto", LISTED) == "portaudio"
    assert backends.choose("auto", SoundDevice("card", alsa="hw:CARD=A,DEV=0")) == "arecord"
    assert backends.choose("arecord", LISTED) == "arecord"


def test_a_device_out_of_reach_and_an_unknown_backend_are_named():
    with pytest.raises(DeviceError, match="hidden microphone"):
        backends.choose("auto", HIDDEN)
    with pytest.raises(
        DeviceError, match="unknown backend 'jack'; give one of auto, portaudio, arecord, pulse, pipewire, network"
    ):
        backends.choose("jack", LISTED)
