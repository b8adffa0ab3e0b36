"""A microphone keeps the clock of its card, says what it lost, and never goes quiet unnoticed."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from edgeapp.audio.microphones.microphone import Microphone, all_devices, find, inputs
from edgeapp.errors import DeviceError
from tests.edgeapp.fake_portaudio import FakePortAudio

BLOCK = 4800  # 0.1 s at 48 kHz


@pytest.fixture
def portaudio(monkeypatch):
    def install(*args, **kwargs) -> FakePortAudio:
        fake = FakePortAudio(*args, **kwargs)
        monkeypatch.setitem(sys.modules, "sounddevice", fake)
        return fake

    return install


def devices(machine: str):
    fake = FakePortAudio(machine)
    return inputs(fake.query_devices(), fake.query_hostapis(), fake.default.device[0])


def tone(n: int, start: int = 0) -> np.ndarray:
    return np.sin(np.arange(start, start + n) * 0.1).astype(np.float32)


# which microphone


def test_devices_that_cannot_record_are_not_listed(portaudio):
    portaudio("raspberry_pi")

    assert [device.name for device in all_devices() if not device.ghost] == [
        "USB PnP Sound Device: Audio (hw:2,0)",
        "pulse",
        "default",
    ]


def test_a_jetson_lists_its_usb_microphone_and_no_internal_link(portaudio):
    portaudio("jetson")

    assert [device.name for device in all_devices() if not device.ghost] == ["OD-WB01: USB Audio (hw:2,0)"]


def test_the_microphone_without_a_name_is_the_default_of_the_system():
    assert find(devices("laptop")).name == "default"


def test_a_default_that_is_an_internal_link_gives_way_to_a_microphone():
    assert find(devices("jetson")).name == "OD-WB01: USB Audio (hw:2,0)"


def test_an_internal_link_can_still_be_chosen_by_its_index():
    assert find(devices("jetson"), 5).ghost


@pytest.mark.parametrize("wanted", ["usb pnp", "USB PnP Sound Device: Audio (hw:2,0)", "hw:2,0", 2, "2"])
def test_a_microphone_is_found_by_index_or_part_of_its_name_in_any_case(wanted):
    assert find(devices("raspberry_pi"), wanted).index == 2


def test_a_whole_name_wins_over_longer_names_that_contain_it():
    assert find(devices("laptop"), "default").index == 11  # and not "sysdefault"


def test_a_name_that_fits_several_microphones_is_refused_with_the_choice():
    with pytest.raises(DeviceError, match=r"'hw:' fits 2 microphones .*0: HDA Intel.*3: HD Pro Webcam.*the index"):
        find(devices("laptop"), "hw:")


@pytest.mark.parametrize("wanted", [99, "99", -1, 0, "loudspeaker"])
def test_a_microphone_that_is_not_there_is_refused_with_those_that_are(wanted):
    with pytest.raises(DeviceError, match=r"2: USB PnP Sound Device.*biovita-edge devices"):
        find(devices("raspberry_pi"), wanted)


def test_a_machine_without_microphone_says_so():
    with pytest.raises(DeviceError, match="no microphone found; plug one in"):
        find([])


# how it is opened


def test_a_card_that_has_48_khz_is_opened_at_it_with_all_its_channels(portaudio):
    fake = portaudio("laptop")
    fake.on_start = lambda stream: stream.feed(tone(BLOCK))

    microphone = Microphone("webcam")
    next(microphone.blocks())

    assert microphone.rate_hz == fake.streams[0].settings["samplerate"] == 48000
    assert fake.streams[0].settings["channels"] == microphone.channels == 2


def test_a_card_without_48_khz_is_opened_at_its_own_default(portaudio):
    portaudio("laptop", takes=lambda rate_hz, channels: rate_hz in (16000, 32000, 44100))

    assert Microphone("webcam").rate_hz == 32000


def test_a_card_that_refuses_its_own_default_is_opened_as_it_allows(portaudio):
    fake = portaudio("laptop", takes=lambda rate_hz, channels: rate_hz == 16000 and channels == 2)
    fake.on_start = lambda stream: stream.feed(np.stack([tone(1600), -tone(1600)], axis=1))

    microphone = Microphone("webcam")
    heard = next(microphone.blocks())

    assert microphone.rate_hz == 16000
    assert not heard.samples.any()  # both channels averaged


def test_a_card_that_refuses_everything_is_named(portaudio):
    portaudio("laptop", takes=lambda rate_hz, channels: False)

    with pytest.raises(DeviceError, match=r"HD Pro Webcam C920.* does not open \(Invalid sample rate.*; close other"):
        Microphone("webcam")


def test_a_missing_portaudio_library_names_the_debian_package(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(DeviceError, match=r"PortAudio library.*sudo apt install libportaudio2"):
        all_devices()


def test_a_missing_python_package_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)

    with pytest.raises(DeviceError, match="pip install sounddevice"):
        Microphone()


def test_portaudio_is_loaded_only_for_a_microphone():
    modules = "edgeapp.audio.microphones.microphone, edgeapp.commands.listen"
    code = f"import sys, {modules}; sys.exit('sounddevice' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_chatter_of_the_sound_libraries_does_not_reach_the_user(portaudio, capfd):
    fake = portaudio(chatter=b"ALSA lib pcm.c:2664: Unknown PCM cards.pcm.rear\njack server is not running\n")
    fake.on_start = lambda stream: stream.feed(tone(BLOCK))

    all_devices()
    next(Microphone().blocks())
    print("our own words", file=sys.stderr)

    assert capfd.readouterr().err == "our own words\n"


# what it hears


def test_what_the_card_heard_comes_out_in_order_and_without_gaps(portaudio):
    def speak(stream):
        for start in range(0, 3 * BLOCK, BLOCK):
            stream.feed(tone(BLOCK, start))
        microphone.close()

    portaudio().on_start = speak
    microphone = Microphone("usb")
    blocks = list(microphone.blocks())

    assert [block.start for block in blocks] == [0, BLOCK, 2 * BLOCK]
    np.testing.assert_array_equal(np.concatenate([block.samples for block in blocks]), tone(3 * BLOCK))
    assert microphone.dropped_samples == 0


def test_samples_the_card_lost_are_counted_and_keep_their_place(portaudio):
    def speak(stream):
        stream.feed(tone(BLOCK))
        stream.overrun(7000, tone(BLOCK, BLOCK + 7000))
        microphone.close()

    portaudio().on_start = speak
    microphone = Microphone("usb")
    blocks = list(microphone.blocks())
    heard = np.concatenate([block.samples for block in blocks])

    assert microphone.dropped_samples == 7000
    assert [block.start for block in blocks] == [0, *np.cumsum([len(block.samples) for block in blocks])[:-1]]
    expected = tone(2 * BLOCK + 7000)
    expected[BLOCK : BLOCK + 7000] = 0.0
    np.testing.assert_array_equal(heard, expected)


def test_a_consumer_that_is_too_slow_loses_counted_samples_and_no_memory(portaudio):
    def speak(stream):
        for start in range(0, 5 * BLOCK, BLOCK):  # nobody listens yet: two blocks fit, three do not
            stream.feed(tone(BLOCK, start))

    fake = portaudio()
    fake.on_start = speak
    microphone = Microphone("usb", queue_s=0.2)
    blocks = microphone.blocks()
    first = [next(blocks), next(blocks)]
    fake.streams[0].feed(tone(BLOCK, 5 * BLOCK))
    microphone.close()
    rest = list(blocks)

    assert microphone.dropped_samples == 3 * BLOCK
    assert microphone.captured_samples == 6 * BLOCK
    assert first[-1].end == rest[0].start == 2 * BLOCK
    assert not np.concatenate([block.samples for block in rest[:3]]).any()
    assert rest[-1].start == 5 * BLOCK
    np.testing.assert_array_equal(rest[-1].samples, tone(BLOCK, 5 * BLOCK))


def test_a_microphone_that_stops_sending_is_an_error_and_is_closed(portaudio):
    fake = portaudio()
    fake.on_start = lambda stream: stream.feed(tone(BLOCK))
    blocks = Microphone("usb", stall_s=0.1).blocks()
    next(blocks)

    begun = time.monotonic()
    with pytest.raises(DeviceError, match=r"microphone USB PnP Sound Device.*: no samples for 0.1 s; check its cable"):
        next(blocks)

    assert time.monotonic() - begun < 2.0
    assert fake.streams[0].closed


def test_a_stream_of_digital_zeros_is_not_a_stall(portaudio):
    def speak(stream):
        for _ in range(3):
            stream.feed(np.zeros(BLOCK))
        microphone.close()

    portaudio().on_start = speak
    microphone = Microphone("usb", stall_s=0.1)

    assert sum(len(block.samples) for block in microphone.blocks()) == 3 * BLOCK


def test_closing_ends_a_microphone_that_waits_and_may_be_done_twice(portaudio):
    fake = portaudio()
    microphone = Microphone("usb")
    microphone.close()
    microphone.close()

    assert list(microphone.blocks()) == []
    assert fake.streams[0].closed


def test_abandoning_the_blocks_closes_the_stream(portaudio):
    fake = portaudio()
    fake.on_start = lambda stream: stream.feed(tone(BLOCK))
    blocks = Microphone("usb").blocks()
    next(blocks)
    blocks.close()

    assert fake.streams[0].closed
