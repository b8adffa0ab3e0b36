"""Real-time mode: a microphone that is unplugged, hangs and fails while songs are played to it."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soak import tree
from benchmarks.soak.process import Listener
from benchmarks.soak.receivers import until
from benchmarks.soak.server import Player, Server, boottime_s
from benchmarks.soak.sound import Programme, Song

KINDS = ("unplug", "server", "stall", "freeze", "kill-recorder")
AWAY_S = 5.0
STALLED_S = 5.0  # longer than the station takes to notice, shorter than its timeout
STALL_S = 10.0  # the station's timeout
BACK_S = 90.0  # its longest delay between two attempts, and one attempt
USE_S = 5.0


@dataclass
class Struck:
    """An injected fault; times are seconds since boot."""

    kind: str
    start_s: float
    over_s: float = 0.0  # when its cause was removed
    back_s: float = 0.0  # when the station recorded again; 0 if never


@dataclass
class Pulsed:
    """Record of the run, for the account."""

    journal: Path
    faults: list[Struck] = field(default_factory=list)
    use: list[tuple[float, float, float]] = field(default_factory=list)  # seconds since boot, CPU seconds, MB
    asked_to_end_s: float = 0.0
    exit_code: int = 0


class PulseSoak:
    """One run.

    Parameters
    ----------
    seconds : float
    words : tuple of str
        Further options of `listen`.
    kinds : tuple of str
        Faults; none for a quiet run.
    every_s : float
        Mean number of seconds between faults.
    """

    def __init__(
        self,
        seconds: float,
        seed: int,
        song: Song,
        folder: Path,
        say: Callable[[str], None],
        words: tuple[str, ...] = (),
        kinds: tuple[str, ...] = KINDS,
        every_s: float = 120.0,
    ) -> None:
        self._seconds = seconds
        self._kinds = list(kinds)
        self._every_s = every_s
        self._random = random.Random(seed)
        self._say = say
        self.done = Pulsed(folder / "journal.sqlite")
        self.log = folder / "station.log"
        self.server = Server(folder / "pulse")
        self.player = Player(self.server, Programme([song], seed), folder)
        command = [sys.executable, "-m", "edgeapp", "listen", "--journal", str(self.done.journal), "--format", "ndjson"]
        self._command = [*command, "--stall", str(STALL_S), "--clips", str(folder / "clips"), *words]

    def soak(self) -> Pulsed:
        """Play, listen and inject faults until the time is over."""
        self.server.start()
        self.player.start()
        self.listener = Listener(self._command, self.log, self.server.environment)
        if not until(self.server.heard, BACK_S) or not until(self._hears, BACK_S):
            raise SystemExit(f"the station does not record: {self.log.read_text()[-500:]}")
        end_s = boottime_s() + self._seconds
        kinds: list[str] = []
        self._note_use()
        while boottime_s() < end_s:
            self._pass(min(self._random.uniform(0.5, 1.5) * self._every_s, end_s - boottime_s()))
            if boottime_s() < end_s - STALLED_S and self._kinds:
                kinds = kinds or self._random.sample(self._kinds, len(self._kinds))
                self._strike(kinds.pop())
        self._note_use()
        self.done.asked_to_end_s = boottime_s()
        self.player.end()
        self.done.exit_code = self.listener.finish()
        return self.done

    def close(self) -> None:
        """Stop all processes."""
        self.player.end()
        if self.listener.process.poll() is None:
            self.listener.process.kill()
        self.server.close()

    def _hears(self) -> bool:
        states = self.listener.states
        return bool(states) and states[-1][1] == "hearing"

    def _strike(self, kind: str) -> None:
        struck = Struck(kind, boottime_s())
        self._say(f"{kind}")
        self.done.faults.append(struck)
        known = len(self.listener.states)
        getattr(self, f"_{kind.replace('-', '_')}")()
        struck.over_s = boottime_s()
        # A restarted recorder is reported at once; a short stall may pass unnoticed.
        noticed = until(lambda: len(self.listener.states) > known, STALL_S + 5.0)
        if until(self._hears, BACK_S):
            struck.back_s = boottime_s() if noticed else struck.over_s

    def _unplug(self) -> None:
        self.server.unplug()
        time.sleep(AWAY_S)
        self.server.plug_in()

    def _server(self) -> None:
        self.server.kill()
        time.sleep(AWAY_S)
        self.server.start()

    def _stall(self) -> None:
        recorder = self._recorder()
        os.kill(recorder, signal.SIGSTOP)
        time.sleep(STALLED_S)
        os.kill(recorder, signal.SIGCONT)

    def _freeze(self) -> None:
        os.kill(self._recorder(), signal.SIGSTOP)

    def _kill_recorder(self) -> None:
        os.kill(self._recorder(), signal.SIGKILL)

    def _recorder(self) -> int:
        commands = {pid: tree.command_of(pid) for pid in tree.tree(self.listener.pid)[1:]}
        recorders = [  # a shell waits beside arecord
            pid
            for pid, command in commands.items()
            if "edgeapp.audio.microphones.record" in command or command.partition(" ")[0].endswith("arecord")
        ]
        if not recorders:
            raise SystemExit("the station has no recorder")
        return recorders[-1]

    def _pass(self, seconds: float) -> None:
        end_s = boottime_s() + seconds
        while (left_s := end_s - boottime_s()) > 0:
            time.sleep(min(USE_S, left_s))
            self._note_use()
            if self.listener.process.poll() is not None:
                raise SystemExit(f"the station ended unexpectedly: {self.log.read_text()[-500:]}")

    def _note_use(self) -> None:
        pid = self.listener.pid
        self.done.use.append((boottime_s(), tree.cpu_s(pid), tree.pss_mb(pid)))
