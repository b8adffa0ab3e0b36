"""A microphone behind a child process hears what is played, and whatever becomes of the process is noticed.

Everything here is real: the sound server, both recorders, the processes and the signals.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio.microphones import devices
from edgeapp.audio.microphones.capture import Capture
from edgeapp.audio.source import Block
from edgeapp.errors import DeviceError
from tests.conftest import PROJECT
from tests.edgeapp import pulse_server
from tests.edgeapp.held_up import HeldUp

LACKING = pulse_server.missing() or ("" if shutil.which("arecord") else "arecord is not installed (Debian: alsa-utils)")
pytestmark = pytest.mark.skipif(bool(LACKING), reason=LACKING)

BACKENDS = ("portaudio", "arecord")
ATTEMPTS = 3
RATE_HZ = pulse_server.RATE_HZ


@pytest.fixture
def server(sound_server: pulse_server.PulseServer, monkeypatch) -> pulse_server.PulseServer:
    """The server that the recorders of this process find, with a speaker of the test's own."""
    own = sound_server.another()
    for name, value in own.environment.items():
        monkeypatch.setenv(name, value)
    return own


@functools.cache
def listed() -> list[devices.SoundDevice]:
    """The devices of every server here, asked once: to list them takes longer than to record."""
    return devices.listing()


def processes(session: int) -> list[int]:
    """Processes of a session that live or wait to be reaped."""
    found = []
    for place in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                found.append(int(place.name))
    return found


def recorder(capture: Capture) -> int:
    """The process that holds the microphone: the one the shell started, or the only one."""
    return max(processes(capture.pid))


def gone(session: int, within_s: float = 60.0) -> bool:
    end = time.monotonic() + within_s
    while processes(session) and time.monotonic() < end:
        time.sleep(0.02)
    return not processes(session)


def chirps(seconds: float) -> np.ndarray:
    """A sound that is nowhere like itself: a sweep under a slow beat."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.4 * np.sin(2 * np.pi * (500 + 300 * t) * t) * (1 + np.sin(2 * np.pi * 0.7 * t)) / 2).astype(np.float32)


def recorded(server: pulse_server.PulseServer, backend: str, path: Path) -> tuple[Capture, list[Block]]:
    """What a microphone hears of a file from before it is played until after."""
    capture = Capture("pulse", backend, listing=listed)
    player = threading.Thread(target=server.play, args=(path,))
    heard = []
    for block in capture.blocks():
        heard.append(block)
        if block.start == 0:
            player.start()
        if block.end > 7 * capture.rate_hz:
            capture.close()
    player.join()
    return capture, heard


def what_is_missing(sound: np.ndarray, heard: np.ndarray) -> str:
    """How a recording differs from the sound that is to be in it; empty where it does not."""
    size = 1 << int(np.ceil(np.log2(len(heard) + len(sound))))
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sound, size)), size)
    at = int(match.argmax())
    part = heard[at : at + len(sound)]
    if len(part) < len(sound):
        return f"it ends {len(sound) - len(part)} samples early"
    other = np.abs(part - sound) > 1e-3
    return f"{other.sum()} samples differ, the first at {other.argmax()}" if other.any() else ""


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_played_is_heard_sample_by_sample(server, backend, tmp_path, capfd):
    sound = chirps(4.0)
    # The server may render the first tenth of a second of a stream after its monitor was heard.
    played = np.concatenate([np.zeros(RATE_HZ, np.float32), sound])
    soundfile.write(tmp_path / "sound.wav", played, RATE_HZ, subtype="FLOAT")
    for _ in range(ATTEMPTS):  # one is enough, but on a machine that had no time for what is played or recorded
        with HeldUp() as machine:
            capture, heard = recorded(server, backend, tmp_path / "sound.wav")
        wrong = what_is_missing(sound, np.concatenate([block.samples for block in heard]))
        if capture.dropped_samples:
            wrong = f"{capture.dropped_samples} samples were lost, and counted"
        assert not wrong or capture.dropped_samples or machine.starved, wrong
        if not wrong:
            break
    else:
        pytest.skip(f"the machine is too busy, late by {machine.late_s:.2f} s: {wrong}")

    assert (capture.rate_hz, capture.backend, capture.name, capture.device_id) == (RATE_HZ, backend, "pulse", "pulse")
    assert [block.start for block in heard] == [0, *np.cumsum([len(block.samples) for block in heard])[:-1]]
    assert capfd.readouterr().err == ""
    assert gone(capture.pid)


@pytest.mark.parametrize("backend", BACKENDS)
def test_positions_are_dated_by_the_clock_of_the_machine(server, backend):
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    with HeldUp() as machine:
        capture = Capture("pulse", backend, listing=listed)
        for block in capture.blocks():
            if block.end > 2 * RATE_HZ:
                capture.close()
    after = time.clock_gettime(time.CLOCK_BOOTTIME)

    start = capture.timeline.moment_of(0.0).boottime_s
    late = 3 * machine.late_s  # server, recorder and reader may each have been kept waiting
    assert before - 1.0 < start < after - 1.9
    assert abs(start + capture.captured_samples / RATE_HZ - after) < 0.8 + late


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_recorder_that_is_killed_is_an_error_and_leaves_nothing(server, backend):
    capture = Capture("pulse", backend, listing=listed)
    blocks = capture.blocks()
    next(blocks)
    os.kill(recorder(capture), signal.SIGKILL)

    with pytest.raises(DeviceError, match="microphone pulse is gone .*; check its cable"):
        list(blocks)
    assert gone(capture.pid)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_recorder_that_hangs_is_a_stall_and_is_killed(server, backend):
    capture = Capture("pulse", backend, stall_s=3.0, listing=listed)  # long enough for a busy machine to begin
    blocks = capture.blocks()
    next(blocks)
    os.kill(recorder(capture), signal.SIGSTOP)

    with pytest.raises(DeviceError, match=r"no samples for \d s"):
        list(blocks)
    assert gone(capture.pid)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sound_server_that_dies_ends_the_sound_until_it_returns(tmp_path, monkeypatch, backend):
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        with pulse_server.pulse_server(folder) as server:
            for key in ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "PULSE_SERVER"):
                monkeypatch.setenv(key, server.environment[key])
            capture = Capture("pulse", backend, stall_s=2.0)
            blocks = capture.blocks()
            assert next(blocks).start == 0
        with pytest.raises(DeviceError, match=r"is gone|no samples for 2 s"):
            list(blocks)
        assert gone(capture.pid)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("hung", [False, True])
def test_no_recorder_outlives_a_parent_that_is_killed(server, backend, hung, forks):
    code = (
        "import sys\nfrom edgeapp.audio.microphones.capture import Capture\n"
        f"capture = Capture('pulse', {backend!r})\nblocks = capture.blocks()\nnext(blocks)\n"
        "print(capture.pid, flush=True)\nlist(blocks)"
    )
    environment = {**server.environment, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen([*forks.python(), "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        session = int(parent.stdout.readline())
        assert processes(session)
        if hung and backend == "arecord":  # one of PortAudio that is stopped cannot end itself, nor does it record
            os.kill(max(processes(session)), signal.SIGSTOP)
        parent.kill()

    assert gone(session)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_at_the_terminal_does_not_reach_the_recorder(server, backend):
    code = (
        "import signal\nfrom edgeapp.audio.microphones.capture import Capture\n"
        f"capture = Capture('pulse', {backend!r})\n"
        "wished = []\nsignal.signal(signal.SIGINT, lambda *_: wished.append(capture.captured_samples))\n"
        "blocks = capture.blocks()\nnext(blocks)\nprint('up', flush=True)\n"
        "for block in blocks:\n"
        "    if wished and block.end > wished[0] + capture.rate_hz: capture.close()\n"
        "print(block.end - wished[0])"
    )
    environment = {**server.environment, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout.readline() == "up\n"
        time.sleep(0.5)
        os.killpg(parent.pid, signal.SIGINT)  # what a terminal does
        told, _ = parent.communicate(timeout=300)

    assert parent.returncode == 0
    assert int(told) > RATE_HZ  # a second more was recorded after it


def test_closing_twice_and_before_listening_leaves_no_process(server):
    began = time.monotonic()
    capture = Capture("pulse", "arecord", listing=listed)
    capture.close()
    capture.close()

    assert gone(capture.pid)
    most_s = max(1.0, time.monotonic() - began)
    assert sum(len(block.samples) for block in capture.blocks()) <= most_s * RATE_HZ


def test_the_servers_are_listed_for_both_backends(server):
    found = {device.name: device for device in devices.listing()}

    assert found["pulse"].index is not None and found["pulse"].alsa == "pulse"
    assert found["default"].default


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_that_is_not_there_is_one_clear_line(tmp_path, monkeypatch, backend):
    (tmp_path / ".asoundrc").write_text("pcm.!default { type pulse }\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nobody")
    device = devices.SoundDevice("default", index=0, alsa="default")

    with pytest.raises(DeviceError) as error:
        Capture("default", backend, listing=lambda: [device])

    assert "\n" not in str(error.value)
    assert re.search("microphone default does not open|no microphone (found|is called)", str(error.value))
