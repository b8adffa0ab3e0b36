"""A PulseAudio server of the test's own: what is played into its speaker is what its microphone hears."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLUGIN = "libasound_module_pcm_pulse.so"
RATE_HZ = 48000


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
    """A running server.

    Attributes
    ----------
    environment : dict[str, str]
        For programs that shall record from it or play into it.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def play(self, recording: Path) -> None:
        """Play a recording into the speaker, to its end."""
        subprocess.run(["paplay", str(recording)], env=self.environment, check=True, timeout=180)

    def wait_for_listener(self, within_s: float = 60.0) -> None:
        """Return when somebody records from the microphone."""
        self._wait("somebody listens", within_s, "list", "short", "source-outputs")

    def wait_until_up(self, within_s: float = 15.0) -> None:
        """Return when the server answers."""
        self._wait("the server answers", within_s, "info")

    def _wait(self, what: str, within_s: float, *question: str) -> None:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            answer = subprocess.run(["pactl", *question], env=self.environment, capture_output=True, text=True)
            if answer.returncode == 0 and answer.stdout.strip():
                return
            time.sleep(0.05)
        raise TimeoutError(f"waited {within_s:g} s in vain until {what}")


@contextmanager
def pulse_server(folder: Path) -> Iterator[PulseServer]:
    """Start a server whose files all lie in ``folder``, and stop it in the end."""
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    socket = runtime / "native"
    script = folder / "speaker.pa"
    script.write_text(
        f"load-module module-native-protocol-unix auth-anonymous=1 socket={socket}\n"
        f"load-module module-null-sink sink_name=speaker rate={RATE_HZ} channels=2 format=float32le\n"
        "set-default-sink speaker\n"
        "set-default-source speaker.monitor\n"
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
            server.wait_until_up()
            yield server
        finally:
            daemon.terminate()
            daemon.wait(timeout=15)
