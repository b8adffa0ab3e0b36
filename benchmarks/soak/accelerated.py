"""Sound of several sources, one window of each at a time: as fast as the station processes it, or in real time."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak import stepped, tree
from benchmarks.soak.disk import Disk
from benchmarks.soak.faults import FAULTS
from benchmarks.soak.feeds import MICROPHONES, Feed, Microphone, Piped, Radio, sound_server
from benchmarks.soak.pieces import Left, left_by
from benchmarks.soak.plan import (
    CLOCK_SETTLES_S,
    DRAIN_S,
    MARGIN_S,
    NIGHT_S,
    OUTAGE,
    PART_S,
    RECEIVED_S,
    TOLD,
    TOLD_AGAIN,
    TRICKLE_EVERY_S,
    TRICKLE_S,
    UNSET_S,
    ZONE,
    Fault,
    Piece,
    Plan,
    Soaked,
    Use,
    due,
)
from benchmarks.soak.power import MISSING, Power, compiler
from benchmarks.soak.process import LOST, PATIENCE_S, Gone, Listener, Stream, listen
from benchmarks.soak.receivers import Broker, Webhook, mosquitto
from benchmarks.soak.sound import Programme, Song
from edgeapp.commands.listen import NOT_HEARD

USES = 400  # times that memory and CPU time are noted


@dataclass
class Source:
    """A source of the station, with what is played to it.

    Attributes
    ----------
    stream : Stream or None
        The one that goes on; None while the source is away.
    hops : int
        Fed to it after its first window.
    """

    feed: Feed
    programme: Programme
    stream: Stream | None = None
    hops: int = 0


class Soak:
    """One run, or one more piece of a run that an earlier one has left in `folder`."""

    def __init__(self, plan: Plan, folder: Path, songs: Sequence[Song], say: Callable[[str], None]) -> None:
        self.plan = plan
        self.folder = folder
        self.disk = Disk(folder / "disk")
        self.clock_file = folder / "clock"
        self.log = folder / "station.log"
        left = left_by(folder)
        radio_port, web_port, broker_port = left.ports if left is not None else (0, 0, 0)
        self.done = left.done if left is not None else Soaked(self.disk.folder / "journal.sqlite")
        self.webhook = Webhook(web_port)
        self.broker = Broker(folder / "broker", broker_port) if mosquitto() else None
        self.random = random.Random(plan.seed)
        self.ahead_s = 0.0
        self.clock_set = True
        self.back: tuple[int, Callable[[], None]] | None = None  # windows left, and what to restore after them
        self.position_s = 0.0
        self.ending = False
        self._say = say
        self._ending = ExitStack()
        self._environment: dict[str, str] = {}
        self.server = None
        feeds: list[Feed] = [Piped()]
        if plan.microphones:
            self.server = self._ending.enter_context(sound_server(folder / "pulse"))
            self._environment = {"PULSE_SERVER": self.server.environment["PULSE_SERVER"]}
            feeds = [*(Microphone(self.server, name, folder) for name in MICROPHONES), Radio(radio_port)]
        for feed in feeds:
            self._ending.callback(feed.close)
        self.ports = [
            next((feed.port for feed in feeds if isinstance(feed, Radio)), 0),
            self.webhook.port,
            self.broker.port if self.broker is not None else 0,
        ]
        self.sources = [
            Source(feed, Programme(songs, plan.seed + number, plan.between_s)) for number, feed in enumerate(feeds)
        ]
        if left is not None:
            self._go_on(left)
        self.piece = Piece(self.position_s, len(self.done.runs))
        self.done.pieces.append(self.piece)
        self.set_clock(0.0, True)
        if "clock" in plan.kinds:  # the board has no clock of its own, and no network for a minute
            self.set_clock(UNSET_S, False)
            self.back = (OUTAGE, lambda: self.set_clock(0.0, True))
        self.power: Power | None = None
        if "power" in plan.kinds:
            if compiler():
                self.power = Power(self.disk.folder, folder / "power")
            else:
                self.done.skipped.add(f"power: {MISSING}")
        self._nights = int(self.position_s // NIGHT_S)
        if self.broker is None:
            self.done.skipped.add("broker: no mosquitto (Debian: mosquitto)")

    def _go_on(self, left: Left) -> None:
        for source, programme in zip(self.sources, left.programmes, strict=True):
            source.programme = programme
        self.position_s = left.position_s
        self.random.setstate(left.random_state)
        for receiver, ids in zip((self.webhook, self.broker), left.received):
            if receiver is not None:
                receiver.ids.update(ids)

    def soak(self) -> Soaked:
        """Play all sound, then wait until all queues are empty."""
        self._began = time.monotonic()
        kinds = self._order()
        next_fault_s = self._gap_s()
        self.start()
        while self._progress() < 1.0:
            self._hear()
            if "disk" in self.plan.kinds and self.position_s // NIGHT_S > self._nights:
                self._nights += 1
                self._strike("disk")
            if self.position_s >= next_fault_s and self.back is None:
                kind = next(kinds)
                if kind not in ("kill", "power") or self._progress() < self.plan.kills_until:
                    self._strike(kind)
                next_fault_s = self.position_s + self._gap_s()
        self._come_back(0)
        self._drain()
        code = self.listener.finish(self.ahead_s)
        self.note_streams()
        # Whoever plays to microphones stops before the station: one may have stalled by then, which its exit code says.
        if code not in ((0, NOT_HEARD) if self.plan.microphones else (0,)):
            self.done.errors.append(f"the last process exited with {code}")
        self.piece.wall_s = time.monotonic() - self._began
        self.piece.ended_s = self.position_s
        return self.done

    def close(self) -> None:
        """Stop all processes."""
        if self.listener.process.poll() is None:
            self.listener.process.kill()
        self.webhook.close()
        if self.broker is not None:
            self.broker.close()
        self._ending.close()
        self.disk.close()

    def _progress(self) -> float:
        """Share of the piece: of its sound, or of its time."""
        if self.ending:
            return 1.0
        began_s = self.piece.began_s
        sound = (self.position_s - began_s) / max(1.0, self.plan.hours * 3600.0 - began_s)
        return max(sound, (time.monotonic() - self._began) / self.plan.at_most_s)

    # sound

    @property
    def present(self) -> list[Source]:
        """The sources that are not away."""
        return [source for source in self.sources if source.stream is not None]

    def start(self) -> None:
        """Start a station, and give it its first window."""
        plan = self.plan
        words: list[object] = ["--journal", self.done.journal, "--format", "ndjson", "--hop", plan.hop_s]
        words += ["--clips", self.folder / "clips", "--disk-share", "0.99", "--webhook-url", self.webhook.url]
        words += ["--name", "soak", *plan.words]
        if plan.pack is not None:
            words += ["--pack", plan.pack]
        if self.broker is not None:
            words += ["--mqtt-host", "127.0.0.1", "--mqtt-port", self.broker.port]
            if self.broker.authority is not None:
                words += ["--mqtt-tls", "--mqtt-ca-file", self.broker.authority]
        if self.power is not None:
            self.power.settle()
        for source in self.sources:
            source.feed.renew(lambda: self.listener)
            words += source.feed.words
        extra = {**self._environment, "TZ": ZONE, **(self.power.environment if self.power is not None else {})}
        self.listener = Listener(listen(self.clock_file, *words), self.log, extra, self.position_s)
        self.done.runs.append(self.listener.run)
        for source in self.sources:
            self.begin(source)
        self.position_s += plan.window_s

    def begin(self, source: Source) -> None:
        """A stream of a source begins, with its first window."""
        source.stream = self.listener.run.begin(source.feed.name, source.programme.position_s)
        source.hops = 0
        self._give(source, self.plan.window_s + MARGIN_S)

    def feed(self) -> None:
        """Feed the next hop to all sources that are there."""
        for source in self.present:
            source.hops += 1
        if self.plan.real_time:
            self._pace()
        for source in self.present:
            self._give(source, self._aligned_s(source) - source.stream.fed_s)  # type: ignore[union-attr]
        self.position_s += self.plan.hop_s

    def _pace(self) -> None:
        """Feed a hop but for its last part at the speed of time."""
        pieces = round(self.plan.hop_s / PART_S)
        for number in range(1, pieces + 1):
            self._next = max(self._next, time.monotonic() - PART_S) + PART_S
            time.sleep(max(0.0, self._next - time.monotonic()))
            left_s = self.plan.hop_s - number * PART_S
            for source in self.present if left_s > 0 else ():
                assert source.stream is not None
                seconds = self._aligned_s(source) - left_s - source.stream.fed_s
                if seconds > 0:  # what kept it alive may have come before
                    self._give(source, seconds)

    _next = 0.0  # when the next part of a hop is due

    def lose(self, sources: Sequence[Source], how: Callable[[], object]) -> None:
        """Lose sources in the middle of a window, of which they end with a part."""
        self.rest()
        for source in sources:
            self._give(source, self.random.uniform(0.1, 0.4) * self.plan.hop_s)
        time.sleep(RECEIVED_S)
        how()
        for source in sources:
            assert source.stream is not None
            source.stream.ended = LOST
        self.rest()
        for source in sources:
            source.stream = None

    def rest(self) -> None:
        """Wait for the windows that are due, and feed nothing but what keeps a microphone alive."""
        began = time.monotonic()
        while any(due(source.stream, self.plan) > len(source.stream.told) for source in self.present):  # type: ignore
            told = self.listener.hears(self.ahead_s, TRICKLE_EVERY_S)
            if told is None:
                self._trickle()
                if time.monotonic() - began > PATIENCE_S:
                    raise Gone(f"reported nothing for {PATIENCE_S:g} s")
        took_s = time.monotonic() - began
        self.listener.latency_s += 0.2 * (min(took_s, 1.0) - self.listener.latency_s)

    def wait(self, seconds: float) -> None:
        """Let time pass without more sound than keeps a microphone alive."""
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            time.sleep(min(left_s, TRICKLE_EVERY_S))
            if time.monotonic() - self._trickled >= TRICKLE_EVERY_S:
                self._trickle()

    def _give(self, source: Source, seconds: float) -> None:
        assert source.stream is not None
        source.feed.write(source.programme.next(seconds))
        source.stream.fed_s += seconds

    def _trickle(self) -> None:
        self._trickled = time.monotonic()
        for source in self.present:
            ahead_s = source.stream.fed_s - self._aligned_s(source)  # type: ignore[union-attr]
            if source.feed.live and not source.stream.ended and ahead_s < self.plan.hop_s / 2:  # type: ignore
                self._give(source, TRICKLE_S)

    def _aligned_s(self, source: Source) -> float:
        """Sound of a stream that ends with a hop."""
        return self.plan.window_s + MARGIN_S + source.hops * self.plan.hop_s

    def _hear(self) -> None:
        """Wait for the windows that are due, and feed the next hop."""
        self.rest()
        if self.position_s - self._noted_s > self.plan.hours * 3600.0 / USES:
            self._note_use()
        for _ in range(self.plan.at_once):
            if self.back is not None:
                self._come_back(self.back[0] - 1)
            self.feed()

    _noted_s = 0.0
    _trickled = 0.0  # when sound came last that only keeps microphones alive
    _log_before = 0

    def _note_use(self) -> None:
        self._noted_s = self.position_s
        pid = self.listener.pid
        heard_s = self.position_s - self.listener.run.began_s
        self.done.use.append(Use(len(self.done.runs), heard_s, tree.cpu_s(pid), tree.pss_mb(pid)))

    # faults

    def _order(self) -> Iterator[str]:
        """Each kind once in every round."""
        without = {"broker": self.broker is None, "power": self.power is None}
        kinds = [kind for kind in self.plan.kinds if not without.get(kind)]
        while True:
            self.random.shuffle(kinds)
            yield from kinds

    def _gap_s(self) -> float:
        return self.random.uniform(0.5, 1.5) * self.plan.every * self.plan.hop_s

    def _strike(self, kind: str) -> None:
        fault = Fault(kind, self.position_s, len(self.done.runs))
        self.done.faults.append(fault)
        self.listener.run.faults.append(kind)
        self._say(f"{fault.at_s:9.0f} s  {kind}")
        self._log_before = self.log.stat().st_size
        FAULTS[kind](self, fault)
        if self.is_to_be_told(fault):
            fault.told = self.has_told(fault)

    def is_to_be_told(self, fault: Fault) -> bool:
        """Whether the log has to tell of a fault."""
        before = [one for one in self.done.faults if one.run == fault.run and one.told is not None]
        return fault.kind in TOLD and len(before) < TOLD_AGAIN

    def has_told(self, fault: Fault) -> bool:
        """Whether the log has told of the fault that goes on."""
        return TOLD[fault.kind] in self.log.read_bytes()[self._log_before :].decode(errors="replace")

    def _come_back(self, windows: int) -> None:
        if self.back is None:
            return
        self.back = (windows, self.back[1])
        if windows <= 0:
            self.back[1]()
            self.back = None

    def set_clock(self, ahead_s: float, clock_set: bool) -> None:
        """Set the station's clock."""
        if not clock_set:
            self.done.unset.append((self.position_s, float("inf")))
        elif not self.clock_set:
            self.done.unset[-1] = (self.done.unset[-1][0], self.position_s)
        self.ahead_s, self.clock_set = ahead_s, clock_set
        self.done.steps_s.append(ahead_s)
        stepped.write(self.clock_file, ahead_s, clock_set)

    # the end

    def _drain(self) -> None:
        self.rest()
        if self.done.unset:
            self.wait(CLOCK_SETTLES_S)
        end = time.monotonic() + DRAIN_S
        while self.rows("SELECT 1 FROM detections WHERE clock_set = 0 LIMIT 1") and time.monotonic() < end:
            self.wait(1.0)
        while self._waiting() and time.monotonic() < end:
            self.wait(0.2)
        if self._waiting():
            self.done.errors.append(f"{self._waiting()} messages were not sent within {DRAIN_S:g} s")
        self._note_use()

    def _waiting(self) -> int:
        [(n,)] = self.rows("SELECT count(*) FROM messages WHERE sent_utc IS NULL AND dropped_utc IS NULL")
        return n

    def note_streams(self) -> None:
        """Record the rows of the journal that the process wrote, which has ended."""
        try:
            rows = self.rows("SELECT id, source FROM streams ORDER BY id")
        except sqlite3.OperationalError:  # killed before it created its tables
            return
        known = {stream.row for run in self.done.runs for stream in run.streams}
        for source in self.sources:
            mine = [stream for stream in self.listener.run.streams if stream.source == source.feed.name]
            new = [row for row, name in rows if name == source.feed.name and row not in known]
            for stream, row in zip(mine, new):
                stream.row = row

    def rows(self, sql: str) -> list[tuple]:
        """What the journal answers."""
        with closing(sqlite3.connect(self.done.journal, timeout=30.0)) as connection:
            return connection.execute(sql).fetchall()
