"""A device that does not open: who holds it decides what helps."""

from __future__ import annotations

from edgeapp.audio.microphones.remedies import refused
from edgeapp.audio.microphones.sound_device import SoundDevice

CARD = SoundDevice("USB PnP (hw:2,0)", alsa="hw:CARD=Device,DEV=0", card=2, pcm=0)
BUSY = "audio open error: Device or resource busy"


def held_by(root, program: str) -> None:
    (root / "proc/asound/card2/pcm0c/sub0").mkdir(parents=True)
    (root / "proc/asound/card2/pcm0c/sub0/status").write_text("state: RUNNING\nowner_pid   : 4711\ntrigger_time: 1\n")
    (root / "proc/4711").mkdir()
    (root / "proc/4711/comm").write_text(f"{program}\n")


def test_a_card_that_a_sound_server_holds_is_recorded_through_it(tmp_path):
    held_by(tmp_path, "pipewire")
    error = refused(CARD, BUSY, tmp_path)

    assert error.what == "microphone USB PnP (hw:2,0) does not open: pipewire (process 4711) holds it"
    assert "--device pulse:NAME" in error.remedy and "close other programs" not in error.remedy


def test_a_card_that_another_program_holds_names_it(tmp_path):
    held_by(tmp_path, "audacity")

    assert refused(CARD, BUSY, tmp_path).remedy == "end audacity, or choose another --device"


def test_a_card_whose_holder_is_unknown_keeps_the_general_remedy(tmp_path):
    error = refused(CARD, BUSY, tmp_path)

    assert error.what == f"microphone USB PnP (hw:2,0) does not open ({BUSY})"
    assert error.remedy == "close other programs that record, or choose another --device"


def test_a_service_without_a_sound_server_is_told_whose_it_would_be(tmp_path):
    error = refused(SoundDevice("default", alsa="default"), "audio open error: Connection refused", tmp_path)

    assert "logged-in user" in error.remedy and "without --system" in error.remedy
