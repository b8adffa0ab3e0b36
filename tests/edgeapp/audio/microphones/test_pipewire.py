"""A real PipeWire: its sources are listed and recorded by name, by its own protocol and by that of PulseAudio."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import soundfile

from edgeapp.audio.microphones import pipewire, pulse
from edgeapp.audio.microphones.capture import Capture
from edgeapp.errors import DeviceError

PROGRAMS = ("pipewire", "pipewire-pulse", "wireplumber", "pw-record", "pw-cli", "dbus-run-session")
LACKING = [program for program in PROGRAMS if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}")

RATE_HZ = 48_000
SERVER = "pipewire & sleep 0.5; wireplumber & pipewire-pulse & read -r _; kill $(jobs -p)"
SPEAKER = (
    "{ factory.name=support.null-audio-sink node.name=%s media.class=Audio/Sink object.linger=true "
    "audio.position=[FL FR] }"
)


def until(condition: Callable[[], object], within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError("PipeWire does not come up")


def names(module=pipewire) -> list[str]:
    try:
        return [source.name for source in module.sources()]
    except DeviceError:
        return []


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[None]:
    """A server of the tests' own, with two speakers; this process and its children find it."""
    folder = tmp_path_factory.mktemp("pipewire")
    folder.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("HOME", str(folder))
        for name in ("PULSE_SERVER", "PULSE_RUNTIME_PATH", "PULSE_SOURCE", "PULSE_SINK"):
            patch.delenv(name, raising=False)
        log = open(folder / "log", "w")  # noqa: SIM115  # as long as the server
        daemon = subprocess.Popen(
            ["dbus-run-session", "--", "sh", "-c", SERVER], stdin=subprocess.PIPE, stdout=log, stderr=log
        )
        try:
            until(lambda: (folder / "pipewire-0").exists() and (folder / "pulse" / "native").exists())
            for name in ("near", "far"):
                subprocess.run(["pw-cli", "create-node", "adapter", SPEAKER % name], check=True, capture_output=True)
            until(lambda: {"near.monitor", "far.monitor"} <= {*names()} & {*names(pulse)})
            yield
        finally:
            daemon.communicate(b"\n", timeout=60)
            log.close()


@pytest.mark.parametrize("wanted", ["pipewire:far.monitor", "pulse:far.monitor"])
def test_what_is_played_into_a_speaker_is_heard_at_its_source(server, tmp_path, wanted):
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    tone = (0.3 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, np.zeros_like(tone)], axis=1), RATE_HZ)
    capture = Capture(wanted)
    assert (capture.device_id, capture.rate_hz, capture.channels) == (wanted, RATE_HZ, 2)
    player = subprocess.Popen(["pw-play", "--target", "far", str(tmp_path / "tone.wav")])
    sound = []
    for block in capture.blocks():
        sound.append(block.samples)
        if player.poll() is not None:
            capture.close()

    heard = np.concatenate(sound)
    assert 0.25 < np.abs(heard).max() < 0.35  # the left channel alone: the right one is dead
    strongest = np.abs(np.fft.rfft(heard)).argmax() * RATE_HZ / len(heard)
    assert strongest == pytest.approx(1000, abs=10)


def test_a_source_that_is_gone_is_not_exchanged_for_another_one(server):
    capture = Capture("pipewire:near.monitor", stall_s=2.0)
    blocks = capture.blocks()
    next(blocks)
    destroy("near")

    with pytest.raises(DeviceError, match="no samples for 2 s|is gone"):
        list(blocks)
    with pytest.raises(DeviceError, match=r"no source is called pipewire:near.monitor \(there is pipewire:far.monitor"):
        Capture("pipewire:near.monitor")


def destroy(name: str) -> None:
    listed = subprocess.run(["pw-cli", "ls", "Node"], capture_output=True, text=True, check=True).stdout
    number = next(part for part in listed.split("\tid ")[1:] if f'node.name = "{name}"' in part).partition(",")[0]
    subprocess.run(["pw-cli", "destroy", number], check=True, capture_output=True)


def test_a_machine_without_a_server_or_its_programs_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(DeviceError, match=r"no PipeWire answers .*run the station as that user") as error:
        Capture("pipewire:far")
    assert "\n" not in str(error.value)

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="pw-dump is missing; .*pipewire-bin"):
        pipewire.sources()


def test_what_a_node_says_of_its_format_may_be_a_choice():
    node = {"params": {"EnumFormat": [{"rate": {"default": 44_100, "min": 1}, "channels": 1}]}}
    form = pipewire._format(node)

    assert (pipewire._number(form["rate"], 0), pipewire._number(form["channels"], 0)) == (44_100, 1)
    assert pipewire._number({"min": 1}, 2) == 2
