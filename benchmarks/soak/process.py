"""A real `biovita-edge listen` process, its events, and the CPU time and memory it used."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
PIPE_BYTES = 4_096  # of standard output: a paused reader blocks the station after four windows
PATIENCE_S = 600.0  # a busy machine takes minutes to start a station
PIPED = "standard input"
KILLED, POWER_CUT, CLOSED, LOST = "killed", "power cut", "closed", "lost"
KEPT = ("detection", "unconfirmed")  # verdicts with a row in the journal


class Gone(Exception):
    """The process ended unexpectedly."""


@dataclass
class Told:
    """One window as the process reported it."""

    start_s: float
    end_s: float
    verdict: str
    taxa: tuple[str, ...]  # stored ones, confirmed or not
    ahead_s: float  # offset of the wall clock at the time of the report


@dataclass
class Stream:
    """Sound of one source on one unbroken clock.

    Attributes
    ----------
    source : str
        As the station calls it.
    first_s : float
        Where it begins in the sound of the source.
    fed_s : float
        Sound fed to it.
    ended : str
        ``killed`` or ``power cut`` with its process, ``lost`` with its source, ``closed``, or empty while it runs.
    row : int or None
        Its row in the journal.
    told : list of Told
    """

    source: str
    first_s: float = 0.0
    fed_s: float = 0.0
    ended: str = ""
    row: int | None = None
    told: list[Told] = field(default_factory=list)

    @property
    def killed(self) -> bool:
        """Whether it could not end as it should."""
        return self.ended in (KILLED, POWER_CUT)

    @property
    def cut(self) -> bool:
        """Whether it ended in the middle."""
        return self.ended in (KILLED, POWER_CUT, LOST)


@dataclass
class Run:
    """One run of the process.

    Attributes
    ----------
    began_s : float
        Position in all that was played.
    ended : str
        ``killed``, ``power cut``, ``closed``, or empty while it runs.
    streams : list of Stream
        In their order.
    told : list of Told
        Windows of all sources, in their order.
    detections : list of str
        Ids of the reported detections, each after its end.
    faults : list
        Faults injected into it.
    """

    began_s: float = 0.0
    ended: str = ""
    streams: list[Stream] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    detections: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    boot_utc: float = 0.0  # of the machine

    @property
    def killed(self) -> bool:
        """Whether it could not end as it should."""
        return self.ended in (KILLED, POWER_CUT)

    def begin(self, source: str, first_s: float) -> Stream:
        """A stream begins."""
        self.streams.append(Stream(source, first_s))
        return self.streams[-1]

    def newest(self, source: str) -> Stream | None:
        """The stream of a source that began last."""
        return next((one for one in reversed(self.streams) if one.source == source), None)

    def forgotten(self, stream: Stream) -> int:
        """Windows that a power cut may take from the counts: those since the last that a detection was written with."""
        if self.ended != POWER_CUT:
            return 0
        kept = [number for number, one in enumerate(self.told, start=1) if one.verdict in KEPT]
        since = {id(one) for one in self.told[kept[-1] if kept else 0 :]}
        return sum(id(one) in since for one in stream.told)


def environment(folder: Path) -> dict[str, str]:
    """Environment of a process that uses this project and none of the user's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BIOVITA_")}
    return {**clean, "PYTHONPATH": str(PROJECT), "XDG_CONFIG_HOME": str(folder / "config")}


class Listener:
    """A process with NDJSON as output.

    Parameters
    ----------
    command : sequence of str
    log : Path
        For its standard error.
    extra : mapping
        Added to its environment.
    began_s : float
        As `Run` has it.

    Attributes
    ----------
    reading : threading.Event
        While cleared, its standard output is not read.
    latency_s : float
        From the sound to its event, a running mean.
    windows : int
        Reported so far, recorded here or not.
    states : list
        Of its microphone: seconds since boot, state, why.
    """

    def __init__(
        self, command: Sequence[str], log: Path, extra: Mapping[str, str] | None = None, began_s: float = 0.0
    ) -> None:
        with open(log, "ab") as err:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                start_new_session=True,  # Ctrl-C is for the run, which ends the station
                env={**environment(log.parent), **(extra or {})},
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.run = Run(began_s, boot_utc=time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
        self.reading = threading.Event()
        self.reading.set()
        self.latency_s = 0.1
        self.states: list[tuple[float, str, str]] = []
        self.windows = 0
        self._deadly = False
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    def hears(self, ahead_s: float, patience_s: float) -> Told | None:
        """Its next window; None if it reports none in time.

        Raises
        ------
        Gone
        """
        end = time.monotonic() + patience_s
        while True:
            try:
                event = self._events.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return None
            if event is None:
                raise Gone(f"ended unexpectedly with {self.process.poll()}")
            told = self._note(event, ahead_s)
            if told is not None:
                return told

    def kill_when_it_tells(self, ahead_s: float, patience_s: float) -> None:
        """Kill it at the moment it reports a window: a reported window has to be in the journal already."""
        self._deadly = True
        self._reader.join(patience_s)
        self.kill(ahead_s)

    def kill(self, ahead_s: float, how: str = KILLED) -> None:
        """Kill it; what it reported before is recorded."""
        os.kill(self.pid, signal.SIGKILL)
        self._end(how, ahead_s)

    def finish(self, ahead_s: float = 0.0, patience_s: float = PATIENCE_S) -> int:
        """End it regularly, and return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        if all(stream.source != PIPED for stream in self.run.streams):
            self.process.send_signal(signal.SIGTERM)
        ending = threading.Timer(patience_s, self.process.kill)
        ending.start()
        self._end(CLOSED, ahead_s)
        ending.cancel()
        return self.process.returncode

    def _end(self, how: str, ahead_s: float) -> None:
        self.reading.set()
        _, status, used = os.wait4(self.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self._reader.join()
        while (event := self._events.get()) is not None:
            self._note(event, ahead_s)
        self.run.ended = how
        for stream in self.run.streams:
            stream.ended = stream.ended or how
        self.run.cpu_s = used.ru_utime + used.ru_stime
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _note(self, event: dict[str, Any], ahead_s: float) -> Told | None:
        if event["event"] == "detection":
            self.run.detections.append(event["id"])
        if event["event"] != "window":
            return None
        kept = [one["taxon"]["scientific_name"] for one in event["detections"] if one["verdict"] in KEPT]
        told = Told(event["start_s"], event["end_s"], event["verdict"], tuple(kept), ahead_s)
        self.run.told.append(told)
        stream = self.run.newest(event["source"])
        if stream is not None:
            stream.told.append(told)
        return told

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.reading.wait()
            if not line.endswith(b"\n"):
                continue  # a killed process leaves an incomplete line
            if self._deadly:
                os.kill(self.pid, signal.SIGKILL)  # not send_signal, which would reap it and lose its times
            event = json.loads(line)
            self.windows += event["event"] == "window"
            if event["event"] == "microphone":
                now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
                self.states.append((now_s, event["state"], event["why"] or ""))
            self._events.put(event)
        self._events.put(None)


def listen(clock_file: Path, *words: object) -> list[str]:
    """The command of a `listen` whose wall clock is set by a file."""
    command = [sys.executable, "-m", "benchmarks.soak.stepped", clock_file, "listen", *words]
    return [str(word) for word in command]
