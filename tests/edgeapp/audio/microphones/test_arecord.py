"""What `arecord` is asked and what its words mean; the refusals and overruns are those of a stand-in program."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgeapp.audio.microphones.arecord import Asked, lost_samples, rate_of, reason
from edgeapp.audio.microphones.capture import Capture
from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.errors import DeviceError

CARD = SoundDevice("USB PnP (hw:2,0)", alsa="hw:CARD=Device,DEV=0", card=2, pcm=0, usb_path="usb-path:1-1.2")

STAND_IN = f"""#!{sys.executable}
import os, sys, time
words = dict(zip(sys.argv[1:], sys.argv[2:]))
format, channels, rate = words["-f"], int(words["-c"]), int(words["-r"])
def tell(text):
    os.write(2, text.encode())
def samples(values, width):
    os.write(1, b"".join(round(v).to_bytes(width, "little", signed=True) * channels for v in values))
"""
SETUP = 'tell(f"Its setup is:\\n  channels     : {channels}\\n  rate         : {rate}\\n  buffer_size  : 2400\\n")\n'
HEAR = "samples([1000] * 4800, 2)\n"
STAY = "time.sleep(60)\n"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    def install(behaviour: str) -> None:
        program = tmp_path / "bin" / "arecord"
        program.parent.mkdir(exist_ok=True)
        program.write_text(STAND_IN + behaviour)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return install


def capture(**settings) -> Capture:
    return Capture("usb-path:1-1.2", "arecord", listing=lambda: [CARD], **settings)


def test_a_card_without_16_bits_is_asked_for_what_it_offers(stand_in):
    stand_in(
        'if format != "S24_3LE":\n'
        '    tell("arecord: set_params:1358: Sample format non available\\nAvailable formats:\\n- S24_3LE\\n")\n'
        "    sys.exit(1)\n" + SETUP + "samples([-(2 ** 22)] * 4800, 3)\n" + STAY
    )
    microphone = capture()
    block = next(microphone.blocks())

    np.testing.assert_array_equal(block.samples, np.full(4800, -0.5, np.float32))


def test_a_card_that_has_only_stereo_is_recorded_in_stereo_and_averaged(stand_in):
    stand_in(
        'if channels < 2:\n    tell("arecord: set_params:1363: Channels count non available\\n")\n    sys.exit(1)\n'
        + SETUP
        + HEAR
        + STAY
    )
    block = next(capture().blocks())

    np.testing.assert_allclose(block.samples, np.full(4800, 1000 / 2**15))


def test_a_card_at_another_rate_is_taken_at_the_rate_it_runs_at(stand_in):
    stand_in(
        'tell("Warning: rate is not accurate (requested = 48000Hz, got = 44100Hz)\\n")\n'
        'tell("         please, try the plug plugin\\n")\n' + HEAR + STAY
    )
    microphone = capture()
    microphone.close()

    assert microphone.rate_hz == microphone.timeline._rate_hz == 44100


def test_an_overrun_is_counted_and_keeps_its_place_on_the_clock(stand_in):
    stand_in(SETUP + HEAR + 'time.sleep(0.3)\ntell("overrun!!! (at least 12.500 ms long)\\n")\n' + HEAR + STAY)
    microphone = capture()
    blocks = microphone.blocks()
    first, hole, second = next(blocks), next(blocks), next(blocks)
    blocks.close()

    lost = 600 + 2400  # 12.5 ms, and the buffer that was full
    assert (first.start, hole.start, second.start) == (0, 4800, 4800 + lost)
    assert len(hole.samples) == lost and not hole.samples.any()
    assert microphone.dropped_samples == lost
    assert microphone.captured_samples == 2 * 4800 + lost


def test_a_card_that_is_busy_is_told_in_its_own_words_without_chatter(stand_in, capfd):
    stand_in(
        'tell("ALSA lib pcm_dsnoop.c:641:(snd_pcm_dsnoop_open) unable to open slave\\n'
        'arecord: main:831: audio open error: Device or resource busy\\n")\nsys.exit(1)\n'
    )
    with pytest.raises(DeviceError) as error:
        capture()

    assert str(error.value) == (
        "microphone USB PnP (hw:2,0) does not open (audio open error: Device or resource busy); "
        "close other programs that record, or choose another --device"
    )
    assert capfd.readouterr().err == ""


def test_a_card_that_is_pulled_out_ends_the_sound_with_its_last_words(stand_in):
    stand_in(SETUP + HEAR + 'tell("arecord: pcm_read:2221: read error: No such device\\n")\nsys.exit(1)\n')
    blocks = capture().blocks()
    assert len(next(blocks).samples) == 4800

    with pytest.raises(DeviceError, match=r"is gone \(read error: No such device\); check its cable"):
        list(blocks)


def test_a_card_that_falls_silent_is_a_stall_and_the_wait_for_it_is_told(stand_in, monkeypatch):
    monkeypatch.setattr("edgeapp.audio.microphones.capture.WAITING_S", 0.1)
    stand_in(SETUP + HEAR + STAY)
    microphone = capture(stall_s=0.45)
    waited = []
    microphone.on_waiting = lambda: waited.append(1)
    blocks = microphone.blocks()
    next(blocks)

    with pytest.raises(DeviceError, match="no samples for 0.45 s"):
        next(blocks)
    assert 3 <= len(waited) <= 6


def test_a_consumer_that_is_too_slow_loses_counted_samples(stand_in):
    stand_in(SETUP + "for _ in range(5):\n    samples([1000] * 4800, 2)\n    time.sleep(0.05)\n" + STAY)
    microphone = capture(queue_s=0.2)
    microphone.recording.thread.join(timeout=1.5)  # nobody takes anything meanwhile
    microphone.close()
    blocks = list(microphone.blocks())

    assert microphone.captured_samples == 5 * 4800
    assert microphone.dropped_samples == 3 * 4800
    assert sum(len(block.samples) for block in blocks) == 2 * 4800


def test_a_machine_without_arecord_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DeviceError, match="arecord is missing; .*alsa-utils"):
        capture()


def test_the_words_of_arecord():
    told = "Its setup is:\n  rate         : 44100\n  exact rate   : 44100 (44100/1)\n  buffer_size  : 22050\n"

    assert rate_of(told, Asked("hw:1")) == 44100
    assert rate_of("", Asked("hw:1")) == 48000
    assert lost_samples("overrun!!! (at least 1.000 ms long)", told, 44100) == 44 + 22050
    assert lost_samples("Recording raw data 'stdin'", told, 44100) == 0
    assert reason([]) == "no output"
    verbose = [
        "Recording raw data 'stdin'",
        "Its setup is:",
        "  stream       : CAPTURE",
        "  boundary     : 675539944105574400",
    ]
    assert reason(verbose) == "no output"
    assert reason([*verbose, "arecord: pcm_read:2221: read error: No such device"]) == "read error: No such device"
    assert Path(Asked("hw:1").command()[0]).name == "arecord"
