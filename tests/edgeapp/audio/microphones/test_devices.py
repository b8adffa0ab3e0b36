"""A microphone has names that survive a restart, and a name means one microphone or is refused."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from edgeapp.audio.microphones.devices import capture_devices, find, listing, portaudio_inputs, sound_servers, table
from edgeapp.audio.microphones.microphone import inputs
from edgeapp.errors import DeviceError
from tests.edgeapp.audio.microphones.sound_cards import lay_out
from tests.edgeapp.fake_portaudio import FakePortAudio


def no_portaudio():
    raise DeviceError("the PortAudio library is missing")


def heard_on(machine: str):
    fake = FakePortAudio(machine)
    devices = inputs(fake.query_devices(), fake.query_hostapis(), fake.default.device[0])
    return lambda: [asdict(device) for device in devices]


@pytest.fixture
def machine(tmp_path):
    """The devices of a machine, with or without PortAudio."""

    def call(name: str, portaudio: bool = True, servers=()):
        source = heard_on(name) if portaudio else no_portaudio
        return listing(lay_out(name, tmp_path), source, lambda: servers, list)

    return call


# what there is


def test_cards_that_only_play_are_not_listed(tmp_path):
    assert [device.alsa for device in capture_devices(lay_out("raspberry_pi", tmp_path))] == [
        "hw:CARD=Device,DEV=0",
        "hw:CARD=Device_1,DEV=0",
    ]


def test_two_equal_microphones_differ_in_their_path_and_not_in_their_id(tmp_path):
    one, other = capture_devices(lay_out("raspberry_pi", tmp_path))

    assert (one.usb_path, other.usb_path) == ("usb-path:1-1.2", "usb-path:1-1.4")
    assert one.usb_id == other.usb_id == "usb-id:0d8c:013c"
    assert one.device_id == "usb-path:1-1.2"


def test_a_serial_number_is_part_of_the_id_and_has_no_blanks(machine):
    (device,) = [device for device in machine("jetson", portaudio=False) if not device.ghost]

    assert device.usb_id == "usb-id:1b3f:2008:2019_0527A"


def test_a_jetson_s_internal_links_are_ghosts_with_and_without_portaudio(machine, tmp_path):
    (tmp_path / "again").mkdir()
    for devices in (machine("jetson"), listing(tmp_path, no_portaudio, list)):
        assert [device.card for device in devices if not device.ghost] == [2]
        assert sum(device.ghost for device in devices) >= 20


def test_a_card_on_the_main_board_has_its_long_name_and_no_usb_id(machine):
    device = machine("laptop", portaudio=False)[0]

    assert (device.name, device.alsa) == ("HDA Intel PCH (hw:0,0)", "hw:CARD=PCH,DEV=0")
    assert device.usb_path is device.usb_id is None
    assert device.device_id == "hw:CARD=PCH,DEV=0"


def test_portaudio_and_alsa_are_one_listing(machine):
    devices = machine("laptop", servers=("default", "pulse"))

    webcam = [device for device in devices if device.usb_id == "usb-id:046d:082d:A1B2C3DF"]
    assert [(device.index, device.card, device.usb_path) for device in webcam] == [(3, 1, "usb-path:1-6")]
    assert [device.alsa for device in devices].count("default") == 1


def test_a_card_that_portaudio_does_not_list_is_there_for_arecord(machine):
    devices = machine("raspberry_pi")  # its PortAudio was asked before the second microphone was plugged in

    assert [(device.index, device.usb_path) for device in devices if device.usb_path] == [
        (2, "usb-path:1-1.2"),
        (None, "usb-path:1-1.4"),
    ]


def test_exactly_one_device_is_the_default_and_it_is_no_ghost(machine):
    (default,) = [device for device in machine("jetson", portaudio=False) if device.default]

    assert default.usb_path == "usb-path:1-2.1"


def test_without_portaudio_the_sound_server_s_default_goes_first(tmp_path):
    devices = listing(lay_out("raspberry_pi", tmp_path), no_portaudio, lambda: ["pulse", "default"])

    assert [device.name for device in devices if device.default] == ["default"]


def test_a_machine_without_sound_has_an_empty_listing_and_says_what_to_do(tmp_path):
    devices = listing(tmp_path, no_portaudio, list)

    assert devices == []
    with pytest.raises(DeviceError, match="no microphone found; plug one in"):
        find(None, "auto", devices)


def test_the_table_shows_every_stable_name_and_no_ghost(machine):
    lines = table(machine("jetson"))

    assert lines[0] == " 24  OD-WB01: USB Audio (hw:2,0)  2 channels, 48000 Hz, default"
    assert "usb-path:1-2.1  usb-id:1b3f:2008:2019_0527A  hw:CARD=ODWB01,DEV=0" in lines[1]
    assert len(lines) == 2


# which one is meant


@pytest.mark.parametrize(
    "wanted",
    ["usb-path:1-6", "usb-id:046d:082d", "usb-id:046D:082D:a1b2c3df", "hw:1,0", "hw:1", "hw:CARD=C920,DEV=0", "hw:C920"]
    + ["c920", 3, " 3 "],
)
def test_a_microphone_is_found_by_any_of_its_names(machine, wanted):
    device, backend = find(wanted, "auto", machine("laptop"))

    assert (device.card, backend) == (1, "portaudio")


def test_an_id_that_two_microphones_share_is_refused_with_their_paths(machine):
    devices = machine("raspberry_pi")

    with pytest.raises(
        DeviceError, match=r"fits 2 microphones .*usb-path:1-1\.2 .*usb-path:1-1\.4 .*; give its usb-path"
    ):
        find("usb-id:0d8c:013c", "auto", devices)
    assert find("usb-path:1-1.4", "auto", devices)[0].card == 3


@pytest.mark.parametrize(
    "wanted", ["usb-path:1-1", "usb-path:1-1.22", "usb-id:0d8c", "usb-id:0d8c:013", "hw:7", "hw:2,1", "owl", 99]
)
def test_what_is_not_there_is_refused_with_what_is(machine, wanted):
    with pytest.raises(DeviceError, match=r"no microphone .*usb-path:1-1\.2.*biovita-edge devices"):
        find(wanted, "auto", machine("raspberry_pi"))


def test_the_backend_is_arecord_where_portaudio_does_not_reach(machine):
    devices = machine("raspberry_pi", portaudio=False)

    assert find("usb-path:1-1.2", "auto", devices)[1] == "arecord"
    with pytest.raises(DeviceError, match="PortAudio does not list .*; give `--backend arecord`"):
        find("usb-path:1-1.2", "portaudio", devices)


def test_the_backend_that_is_asked_for_is_taken(machine):
    devices = machine("laptop")

    assert find("c920", "arecord", devices)[1] == "arecord"
    with pytest.raises(DeviceError, match="unknown backend 'jack'; give one of auto, portaudio, arecord"):
        find("c920", "jack", devices)


def test_an_alsa_name_with_a_plug_in_is_given_to_arecord_as_it_is(machine):
    device, backend = find("plughw:1,0", "auto", machine("laptop"))

    assert (device.alsa, backend) == ("plughw:1,0", "arecord")


# the real programs


def test_a_portaudio_that_prints_and_dies_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text(
        "import os\nprint('chatter')\nos.write(2, b'Segmentation\\n')\nos._exit(3)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(DeviceError, match="PortAudio cannot list its devices"):
        portaudio_inputs()


def test_a_portaudio_that_hangs_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("edgeapp.audio.microphones.devices.LIST_S", 1.5)

    with pytest.raises(DeviceError, match=r"did not list its devices within 1.5 s; try `--backend arecord`"):
        portaudio_inputs()


def test_a_machine_without_arecord_has_no_sound_servers(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert sound_servers() == []
