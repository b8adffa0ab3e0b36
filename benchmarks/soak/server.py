"""A separate PulseAudio server whose microphone records what is played, and an endless player."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import signal
import subprocess
import threading
import time
from functools import cache
from pathlib import Path

import soundfile

from benchmarks.soak.receivers import until
from benchmarks.soak.sound import RATE_HZ, Played, Programme

UP_S = 20.0
FAILED_S = 1.0  # a player that ends sooner found no server
SINK = ("module-null-sink", "sink_name=speaker", f"rate={RATE_HZ}", "channels=2", "format=float32le")


@cache
def missing() -> str:
    """Message about a missing program or library; empty if none is missing."""
    for program, package in (("pulseaudio", "pulseaudio"), ("paplay", "pulseaudio-utils")):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: {package})"
    if not any(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")):
        return "ALSA cannot talk to PulseAudio (Debian: libasound2-plugins)"
    if ctypes.util.find_library("portaudio") is None:
        return "PortAudio is not installed (Debian: libportaudio2)"
    return ""


def boottime_s() -> float:
    """Seconds since boot, the monotonic clock of the journal."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Server:
    """PulseAudio with one speaker, whose monitor is the microphone.

    Attributes
    ----------
    environment : dict
        Environment for programs that play and record.
    """

    def __init__(self, folder: Path) -> None:
        runtime = folder / "run"
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket = runtime / "native"
        self._script = folder / "start.pa"
        self._script.write_text(f"load-module module-native-protocol-unix auth-anonymous=1 socket={socket}\n")
        self._log = folder / "pulseaudio.log"
        (folder / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(runtime),
            "PULSE_RUNTIME_PATH": str(runtime),
            "PULSE_SERVER": f"unix:{socket}",
        }
        self.environment.pop("ALSA_CONFIG_PATH", None)
        self._daemon: subprocess.Popen[bytes] | None = None
        self._socket = socket

    def start(self) -> None:
        """Start the server with its speaker."""
        command = ["pulseaudio", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--realtime=no"]
        self._socket.unlink(missing_ok=True)
        with open(self._log, "ab") as log:
            self._daemon = subprocess.Popen(
                [*command, "-n", "-F", str(self._script)], env=self.environment, stdout=log, stderr=log
            )
        if not until(lambda: self.ask("info"), UP_S):
            raise SystemExit("PulseAudio does not start")
        self.plug_in()

    def kill(self) -> None:
        """Kill the server, as in a crash."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGKILL)
        self._daemon.wait()

    def plug_in(self) -> None:
        """Add the speaker and its microphone."""
        self.ask("load-module", *SINK)
        self.ask("set-default-source", "speaker.monitor")

    def unplug(self) -> None:
        """Remove the speaker and its microphone."""
        self.ask("unload-module", "module-null-sink")

    def heard(self) -> bool:
        """Whether a program records."""
        return bool(self.ask("list", "short", "source-outputs"))

    def close(self) -> None:
        """Stop the server."""
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.terminate()
            self._daemon.wait(timeout=15)

    def ask(self, *words: str) -> str:
        """What `pactl` answers; empty after an error."""
        done = subprocess.run(["pactl", *words], env=self.environment, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""


class Player(threading.Thread):
    """Plays a programme, piece by piece; an interrupted piece does not count as played.

    Attributes
    ----------
    played : list of Played
        Songs played to their end; times are seconds since boot.
    cut : int
        Number of interrupted songs.
    seconds : float
        Of sound, songs and noise.
    """

    def __init__(self, server: Server, programme: Programme, folder: Path) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._programme = programme
        self._file = folder / "played.wav"
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.played: list[Played] = []
        self.cut = 0
        self.seconds = 0.0

    def run(self) -> None:
        """Play until `end` is called."""
        while not self._ending.is_set():
            for taxon, samples in self._programme.pieces():
                soundfile.write(self._file, samples, RATE_HZ)
                start_s = boottime_s()
                whole = self._play()
                took_s = boottime_s() - start_s
                self.seconds += took_s
                if taxon and whole:
                    self.played.append(Played(taxon, start_s, boottime_s()))
                ended = self._ending.is_set()
                self.cut += bool(taxon) and not whole and not ended and took_s > FAILED_S
                if self._ending.is_set():
                    return
                if not whole:
                    self._ending.wait(0.5)

    def _play(self) -> bool:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            ["paplay", str(self._file)], env=self._server.environment, stdout=quiet, stderr=quiet
        )
        return self._process.wait() == 0

    def end(self) -> None:
        """Stop playing at once."""
        self._ending.set()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self.join(10.0)
