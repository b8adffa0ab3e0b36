"""A PulseAudio server of the test's own: what is played into its speaker is what its microphone hears."""

from __future__ import annotations

import ctypes.util
import os
import select
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

PLUGIN = "libasound_module_pcm_pulse.so"
RATE_HZ = 48000
SPEAKER = "speaker"
# Without `norewinds` it renders two seconds at once, and PortAudio asks without a pause until the first ones are there.
NULL_SINK = f"module-null-sink norewinds=1 rate={RATE_HZ} channels=2 format=float32le sink_name="


@cache
def missing() -> str:
    """What this machine lacks for such a server, as a sentence; empty when it lacks nothing."""
    for program, package in (("pulseaudio", "pulseaudio"), ("paplay", "pulseaudio-utils")):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: {package})"
    if not any(Path("/usr/lib").glob(f"**/alsa-lib/{PLUGIN}")):
        return "ALSA cannot talk to PulseAudio (Debian: libasound2-plugins)"
    if ctypes.util.find_library("portaudio") is None:
        return "PortAudio is not installed (Debian: libportaudio2)"
    return ""


class PulseServer:
    """A running server, and one of its speakers.

    Attributes
    ----------
    environment : dict[str, str]
        For programs that shall record from it or play into it.
    """

    def __init__(self, environment: dict[str, str], speaker: str = SPEAKER) -> None:
        self.environment = environment
        self._speaker = speaker

    def another(self) -> PulseServer:
        """The same server, with a new speaker: at its microphone nothing but that is heard."""
        name = f"{SPEAKER}_{uuid.uuid4().hex}"
        command = ["pactl", "load-module", *f"{NULL_SINK}{name}".split()]
        subprocess.run(command, env=self.environment, check=True, capture_output=True)
        return PulseServer({**self.environment, "PULSE_SINK": name, "PULSE_SOURCE": f"{name}.monitor"}, name)

    def play(self, recording: Path) -> None:
        """Play a recording into the speaker, to its end."""
        subprocess.run(["paplay", str(recording)], env=self.environment, check=True, timeout=180)

    def wait_for_listener(self, within_s: float = 120.0) -> None:
        """Return when somebody records from the microphone."""
        told_of = ["pactl", "subscribe"]  # to ask again and again would keep the machine from what is waited for
        with subprocess.Popen(told_of, env=self.environment, stdout=subprocess.PIPE) as changes:
            try:
                assert changes.stdout is not None
                end = time.monotonic() + within_s
                while not self._is_heard():
                    left_s = end - time.monotonic()
                    if left_s <= 0 or changes.poll() is not None:
                        raise TimeoutError(f"waited {within_s:g} s in vain until somebody listens")
                    # The first question may be earlier than the first thing that is told.
                    if select.select([changes.stdout], [], [], min(left_s, 1.0))[0]:
                        os.read(changes.stdout.fileno(), 1 << 16)
            finally:
                changes.kill()

    def wait_until_up(self, socket: Path, within_s: float = 60.0) -> None:
        """Return when the server answers at its socket."""
        end = time.monotonic() + within_s
        while not socket.exists() or not self._ask("info"):
            if end < time.monotonic():
                raise TimeoutError(f"waited {within_s:g} s in vain until the server answers")
            time.sleep(0.05)

    def _is_heard(self) -> bool:
        sources = [line.split("\t") for line in self._ask("list", "short", "sources")]
        own = {number for number, name, *_ in sources if name == f"{self._speaker}.monitor"}
        return any(line.split("\t")[1] in own for line in self._ask("list", "short", "source-outputs"))

    def _ask(self, *question: str) -> list[str]:
        answer = subprocess.run(["pactl", *question], env=self.environment, capture_output=True, text=True)
        return answer.stdout.splitlines() if answer.returncode == 0 else []


@contextmanager
def pulse_server(folder: Path) -> Iterator[PulseServer]:
    """Start a server whose files all lie in ``folder``, and stop it in the end."""
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    socket = runtime / "native"
    script = folder / "speaker.pa"
    script.write_text(
        f"load-module module-native-protocol-unix auth-anonymous=1 socket={socket}\n"
        f"load-module {NULL_SINK}{SPEAKER}\n"
        f"set-default-sink {SPEAKER}\n"
        f"set-default-source {SPEAKER}.monitor\n"
    )
    (folder / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    environment = {
        **os.environ,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(runtime),
        "PULSE_RUNTIME_PATH": str(runtime),
        "PULSE_SERVER": f"unix:{socket}",
    }
    environment.pop("ALSA_CONFIG_PATH", None)
    command = ["pulseaudio", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--realtime=no"]
    with open(folder / "pulseaudio.log", "w") as log:
        daemon = subprocess.Popen([*command, "-n", "-F", str(script)], env=environment, stdout=log, stderr=log)
        try:
            server = PulseServer(environment)
            server.wait_until_up(socket)
            yield server
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)
