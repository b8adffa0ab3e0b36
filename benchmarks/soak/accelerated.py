"""Accelerated mode: sound as fast as the station processes it, one window at a time, with faults in between."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.soak import stepped, tree
from benchmarks.soak.disk import Disk
from benchmarks.soak.plan import (
    AHEAD,
    BEFORE_DST_S,
    CLOCK_SETTLES_S,
    DRAIN_S,
    DST_UTC,
    LONG_LOCK_S,
    MARGIN_S,
    NIGHT_S,
    OUTAGE,
    OUTAGE_S,
    STEPS_S,
    TOLD,
    TOLD_AGAIN,
    UNREAD,
    UNSET_S,
    ZONE,
    Fault,
    Plan,
    Soaked,
)
from benchmarks.soak.power import MISSING, Power, compiler
from benchmarks.soak.process import POWER_CUT, Listener, Told, listen
from benchmarks.soak.receivers import Broker, Webhook, mosquitto, until
from benchmarks.soak.sound import RATE_HZ, Programme, Song


class Soak:
    """One run in accelerated mode."""

    def __init__(self, plan: Plan, folder: Path, songs: Sequence[Song], say: Callable[[str], None]) -> None:
        self.plan = plan
        self.folder = folder
        self.programme = Programme(songs, plan.seed)
        self.disk = Disk(folder / "disk")
        self.clock_file = folder / "clock"
        self.log = folder / "station.log"
        self.done = Soaked(self.disk.folder / "journal.sqlite")
        self.webhook = Webhook()
        self.broker = Broker(folder / "broker") if mosquitto() else None
        self._say = say
        self._random = random.Random(plan.seed)
        self._ahead_s = 0.0
        self._clock_set = True
        self._back: tuple[int, Callable[[], None]] | None = None  # windows left, and what to restore after them
        self._set_clock(0.0, True)
        if "clock" in plan.kinds:  # the board has no clock of its own, and no network for a minute
            self._set_clock(UNSET_S, False)
            self._back = (OUTAGE, lambda: self._set_clock(0.0, True))
        self.power: Power | None = None
        if "power" in plan.kinds:
            if compiler():
                self.power = Power(self.disk.folder, folder / "power")
            else:
                self.done.skipped.append(f"power: {MISSING}")
        self._nights = 0
        self.done.boot_utc = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        if self.broker is None:
            self.done.skipped.append("broker: no mosquitto (Debian: mosquitto)")

    def soak(self) -> Soaked:
        """Play all sound, then wait until all queues are empty."""
        began = time.monotonic()
        total_s = self.plan.hours * 3600.0
        kinds = self._order()
        next_fault_s = self._gap_s()
        self._start()
        while self.programme.position_s < total_s:
            self._hear()
            if "disk" in self.plan.kinds and self.programme.position_s // NIGHT_S > self._nights:
                self._nights += 1
                self._strike("disk")
            if self.programme.position_s >= next_fault_s and self._back is None:
                young = self.programme.position_s < self.plan.kills_until * total_s
                kind = next(kinds)
                if kind not in ("kill", "power") or young:
                    self._strike(kind)
                next_fault_s = self.programme.position_s + self._gap_s()
        self._come_back(0)
        self._drain()
        code = self.listener.finish(self._ahead_s)
        self._note_stream()
        if code != 0:
            self.done.errors.append(f"the last process exited with {code}")
        self.done.wall_s = time.monotonic() - began
        return self.done

    def close(self) -> None:
        """Stop all processes."""
        if self.listener.process.poll() is None:
            self.listener.process.kill()
        self.webhook.close()
        if self.broker is not None:
            self.broker.close()
        self.disk.close()

    # sound

    def _start(self) -> None:
        plan = self.plan
        words: list[object] = ["-", "--journal", self.done.journal, "--format", "ndjson", "--hop", plan.hop_s]
        words += ["--clips", self.folder / "clips", "--disk-share", "0.99", "--webhook-url", self.webhook.url]
        words += ["--name", "soak", "--pcm-rate", RATE_HZ, *plan.words]
        if plan.pack is not None:
            words += ["--pack", plan.pack]
        if self.broker is not None:
            words += ["--mqtt-host", "127.0.0.1", "--mqtt-port", self.broker.port]
            if self.broker.authority is not None:
                words += ["--mqtt-tls", "--mqtt-ca-file", self.broker.authority]
        if self.power is not None:
            self.power.settle()
        extra = {"TZ": ZONE, **(self.power.environment if self.power is not None else {})}
        self.listener = Listener(listen(self.clock_file, *words), self.log, self.programme.position_s, extra)
        self.done.runs.append(self.listener.run)
        self._feed(plan.window_s + MARGIN_S)
        self._owed = 1

    def _feed(self, seconds: float) -> None:
        self.listener.feed(self.programme.next(seconds), RATE_HZ)

    def _hear(self) -> None:
        """Wait for the pending window, and feed the next hop."""
        self._rest()
        if self._back is not None:
            self._come_back(self._back[0] - 1)
        self._feed(self.plan.hop_s)
        self._owed = 1

    def _rest(self) -> None:
        """Wait for the pending window, and feed nothing."""
        for _ in range(self._owed):
            self._told()
        self._owed = 0

    def _told(self) -> Told:
        told = self.listener.hears(self._ahead_s)
        run = self.listener.run
        if len(run.told) % 10 == 0:
            self._note_use()
        return told

    def _note_use(self) -> None:
        run = self.listener.run
        if self.programme.position_s >= self.plan.kills_until * self.plan.hours * 3600.0 or self._never_killed():
            self.done.memory.append((run.fed_s, tree.pss_mb(self.listener.pid)))
            self.done.cpu.append((run.fed_s, tree.cpu_s(self.listener.pid)))

    def _never_killed(self) -> bool:
        return not {"kill", "power"} & {*self.plan.kinds}

    # faults

    def _order(self) -> Iterator[str]:
        """Each kind once in every round."""
        without = {"broker": self.broker is None, "power": self.power is None}
        kinds = [kind for kind in self.plan.kinds if not without.get(kind)]
        while True:
            self._random.shuffle(kinds)
            yield from kinds

    def _gap_s(self) -> float:
        return self._random.uniform(0.5, 1.5) * self.plan.every * self.plan.hop_s

    def _strike(self, kind: str) -> None:
        fault = Fault(kind, self.programme.position_s, len(self.done.runs))
        self.done.faults.append(fault)
        self.listener.run.faults.append(kind)
        self._say(f"{fault.at_s:9.0f} s  {kind}")
        told = self.log.stat().st_size
        getattr(self, f"_{kind.replace('-', '_')}")(fault)
        before = [one for one in self.done.faults if one.run == fault.run and one.told is not None]
        if kind in TOLD and len(before) < TOLD_AGAIN:
            fault.told = "buffered in memory" in self.log.read_bytes()[told:].decode(errors="replace")

    def _kill(self, fault: Fault) -> None:
        """Kill the process while a window is processed, written or reported, or right after the start."""
        if self._random.random() < 0.2:
            self._end_by_kill(0.0)
            self._start()
            fault.what = "twice, the second time in its first two seconds"
            self._end_by_kill(self._random.uniform(0.0, 2.0))
        elif self._random.random() < 0.5:
            fault.what = "when it reported the window"
            self.listener.kill_when_it_tells(self._ahead_s, 10.0 * self.listener.latency_s + 0.5)
            self._note_stream()
        else:
            self._end_by_kill(self._random.uniform(0.0, 2.0) * self.listener.latency_s)
        first = not self.done.unset
        if self._clock_set and (first or self._random.random() < 0.5):
            fault.what = (fault.what + "; the clock is not set after it").lstrip("; ")
            self._set_clock(UNSET_S, False)
            self._back = (OUTAGE, lambda: self._set_clock(0.0, True))
        self._start()

    def _power(self, fault: Fault) -> None:
        """Cut the power: what was not synchronised is lost, or there in part."""
        assert self.power is not None
        time.sleep(self._random.uniform(0.0, 2.0) * self.listener.latency_s)
        self.listener.kill(self._ahead_s)
        self.listener.run.ended = POWER_CUT
        unsure, arrived = self.power.cut(self._random)  # before anybody opens the journal, which would repair it
        self._note_stream()
        fault.what = f"{unsure // 1024} kB were not synchronised, {arrived // 1024} kB of them arrived"
        self._start()

    def _dst(self, fault: Fault) -> None:
        """Set the clock to just before summer time begins or ends, so that it does in the next windows."""
        self._rest()
        change = self._random.choice(DST_UTC)
        ahead_s = change.timestamp() - BEFORE_DST_S - time.time()
        fault.what = f"{change:%Y-%m-%d %H:%M} UTC in {ZONE}"
        self._set_clock(ahead_s, True)
        self._feed(self.plan.hop_s)
        self._owed = 1

    def _end_by_kill(self, after_s: float) -> None:
        time.sleep(after_s)
        self.listener.kill(self._ahead_s)
        self._note_stream()

    def _lock(self, fault: Fault) -> None:
        """Lock the journal for some seconds."""
        self._locked(fault, self._random.uniform(0.5, 4.0))

    def _lock_long(self, fault: Fault) -> None:
        self._locked(fault, LONG_LOCK_S)

    def _locked(self, fault: Fault, seconds: float) -> None:
        self._rest()
        with closing(sqlite3.connect(self.done.journal, timeout=30.0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            before = self.listener.windows
            self._ahead(fault)
            time.sleep(seconds)
            early = self.listener.windows - before
            other.execute("ROLLBACK")
        if early:
            self.done.errors.append(
                f"{early} windows were reported at {fault.at_s:.0f} s, while nothing could be written"
            )
        fault.what = f"{seconds:.1f} s"

    def _disk(self, fault: Fault) -> None:
        """Fill the disk."""
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)")  # otherwise the next rows may still fit into the WAL
        if self.power is not None:
            self.power.settle()
        self.disk.fill(self.listener.pid)
        self._ahead(fault)
        time.sleep(3.0)
        self.disk.free(self.listener.pid)
        fault.what = self.disk.how

    def _ahead(self, fault: Fault) -> None:
        for _ in range(AHEAD):
            self._feed(self.plan.hop_s)
        self._owed += AHEAD
        fault.waited = AHEAD

    def _broker(self, fault: Fault) -> None:
        assert self.broker is not None
        self.broker.kill()
        fault.waited = OUTAGE
        self._back = (OUTAGE, self.broker.start)

    def _outage(self, fault: Fault) -> None:
        """Stop the receivers, and set the clock forward by more than the retention of messages."""
        if self.broker is not None:
            self.broker.kill()
        self.webhook.failing = True
        self._ahead(fault)
        self._rest()
        self._set_clock(self._ahead_s + 40 * 86_400.0, True)
        time.sleep(OUTAGE_S)
        if self.broker is not None:
            self.broker.start()
        self.webhook.failing = False
        self._feed(self.plan.hop_s)
        self._owed = 1
        fault.what = f"{OUTAGE_S:g} s; the clock is set forward by 40 days"

    def _webhook(self, fault: Fault) -> None:
        self.webhook.failing = True
        fault.waited = OUTAGE
        self._back = (OUTAGE, lambda: setattr(self.webhook, "failing", False))

    def _clock(self, fault: Fault) -> None:
        """Set the wall clock."""
        self._rest()  # so that no window gets a time meanwhile
        step_s = self._random.choice(STEPS_S)
        fault.what = f"{step_s:+.0f} s"
        self._set_clock(self._ahead_s + step_s, True)
        self._feed(self.plan.hop_s)
        self._owed = 1

    def _slow(self, fault: Fault) -> None:
        """Stop reading standard output."""
        self.listener.reading.clear()
        for _ in range(UNREAD):
            self._feed(self.plan.hop_s)
        self._owed += UNREAD
        fault.waited = UNREAD
        time.sleep(1.0)
        self.listener.reading.set()

    def _come_back(self, windows: int) -> None:
        if self._back is None:
            return
        self._back = (windows, self._back[1])
        if windows <= 0:
            self._back[1]()
            self._back = None

    def _set_clock(self, ahead_s: float, clock_set: bool) -> None:
        here_s = self.programme.position_s
        if not clock_set:
            self.done.unset.append((here_s, float("inf")))
        elif not self._clock_set:
            self.done.unset[-1] = (self.done.unset[-1][0], here_s)
        self._ahead_s, self._clock_set = ahead_s, clock_set
        self.done.steps_s.append(ahead_s)
        stepped.write(self.clock_file, ahead_s, clock_set)

    # the end

    def _drain(self) -> None:
        self._rest()
        if self.done.unset:
            time.sleep(CLOCK_SETTLES_S)
        if not until(lambda: self._waiting() == 0, DRAIN_S):
            self.done.errors.append(f"{self._waiting()} messages were not sent within {DRAIN_S:g} s")
        self._note_use()

    def _waiting(self) -> int:
        [(n,)] = self._rows("SELECT count(*) FROM messages WHERE sent_utc IS NULL AND dropped_utc IS NULL")
        return n

    def _note_stream(self) -> None:
        """Record the row of the journal that the process wrote, if any."""
        try:
            [(newest,)] = self._rows("SELECT max(id) FROM streams")
        except sqlite3.OperationalError:  # killed before it created its tables
            return
        if newest is not None and all(run.stream != newest for run in self.done.runs):
            self.listener.run.stream = newest

    def _rows(self, sql: str) -> list[tuple]:
        with closing(sqlite3.connect(self.done.journal, timeout=30.0)) as connection:
            return connection.execute(sql).fetchall()
