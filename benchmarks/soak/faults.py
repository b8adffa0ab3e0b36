"""The faults of accelerated mode."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from benchmarks.soak import tree
from benchmarks.soak.feeds import Microphone, Radio
from benchmarks.soak.plan import (
    AHEAD,
    BEFORE_DST_S,
    DST_UTC,
    LONG_LOCK_S,
    OUTAGE,
    OUTAGE_S,
    STEPS_S,
    UNREAD,
    UNSET_S,
    ZONE,
    Fault,
    ahead,
)
from benchmarks.soak.process import KILLED, POWER_CUT

if TYPE_CHECKING:
    from benchmarks.soak.accelerated import Soak, Source

FULL_S = 3.0
SAID_S = 60  # for the log to tell of a full disk
UNREAD_S = 1.0


def kill(soak: Soak, fault: Fault) -> None:
    """Kill the process while a window is processed, written or reported, or right after the start."""
    if soak.random.random() < 0.2:
        _end(soak, 0.0)
        soak.start()
        fault.what = "twice, the second time in its first two seconds"
        _end(soak, soak.random.uniform(0.0, 2.0))
    elif soak.random.random() < 0.5:
        fault.what = "when it reported the window"
        soak.listener.kill_when_it_tells(soak.ahead_s, 10.0 * soak.listener.latency_s + 0.5)
        soak.note_streams()
    else:
        _end(soak, soak.random.uniform(0.0, 2.0) * soak.listener.latency_s)
    first = not soak.done.unset
    if soak.clock_set and (first or soak.random.random() < 0.5):
        fault.what = (fault.what + "; the clock is not set after it").lstrip("; ")
        soak.set_clock(UNSET_S, False)
        soak.back = (OUTAGE, lambda: soak.set_clock(0.0, True))
    soak.start()


def power(soak: Soak, fault: Fault) -> None:
    """Cut the power: what was not synchronised is lost, or there in part."""
    assert soak.power is not None
    time.sleep(soak.random.uniform(0.0, 2.0) * soak.listener.latency_s)
    soak.listener.kill(soak.ahead_s, POWER_CUT)
    unsure, arrived = soak.power.cut(soak.random)  # before anybody opens the journal, which would repair it
    soak.note_streams()
    fault.what = f"{unsure // 1024} kB were not synchronised, {arrived // 1024} kB of them arrived"
    soak.start()


def dst(soak: Soak, fault: Fault) -> None:
    """Set the clock to just before summer time begins or ends, so that it does in the next windows."""
    soak.rest()
    change = soak.random.choice(DST_UTC)
    fault.what = f"{change:%Y-%m-%d %H:%M} UTC in {ZONE}"
    soak.set_clock(change.timestamp() - BEFORE_DST_S - time.time(), True)
    soak.feed()


def lock(soak: Soak, fault: Fault) -> None:
    """Lock the journal for some seconds."""
    _locked(soak, fault, soak.random.uniform(0.5, 4.0))


def lock_long(soak: Soak, fault: Fault) -> None:
    """Lock it for longer than the station waits."""
    _locked(soak, fault, LONG_LOCK_S)


def disk(soak: Soak, fault: Fault) -> None:
    """Fill the disk."""
    soak.rest()
    soak.rows("PRAGMA wal_checkpoint(TRUNCATE)")  # otherwise the next rows may still fit into the WAL
    if soak.power is not None:
        soak.power.settle()
    soak.disk.fill(soak.listener.pid)
    _ahead(soak, fault, AHEAD)
    soak.wait(FULL_S)
    for _ in range(SAID_S if soak.is_to_be_told(fault) else 0):  # a busy machine takes long to write at all
        if soak.has_told(fault):
            break
        soak.wait(1.0)
    soak.disk.free(soak.listener.pid)
    fault.what = soak.disk.how


def broker(soak: Soak, fault: Fault) -> None:
    """Kill the broker."""
    assert soak.broker is not None
    soak.broker.kill()
    fault.waited = OUTAGE
    soak.back = (OUTAGE, soak.broker.start)


def outage(soak: Soak, fault: Fault) -> None:
    """Stop the receivers, and set the clock forward by more than the retention of messages."""
    soak.rest()
    if soak.broker is not None:
        soak.broker.kill()
    soak.webhook.failing = True
    _ahead(soak, fault, AHEAD)
    soak.rest()
    soak.set_clock(soak.ahead_s + 40 * 86_400.0, True)
    soak.wait(OUTAGE_S)
    if soak.broker is not None:
        soak.broker.start()
    soak.webhook.failing = False
    soak.feed()
    fault.what = f"{OUTAGE_S:g} s; the clock is set forward by 40 days"


def webhook(soak: Soak, fault: Fault) -> None:
    """Have the webhook answer 503."""
    soak.webhook.failing = True
    fault.waited = OUTAGE
    soak.back = (OUTAGE, lambda: setattr(soak.webhook, "failing", False))


def clock(soak: Soak, fault: Fault) -> None:
    """Set the wall clock."""
    soak.rest()  # so that no window gets a time meanwhile
    step_s = soak.random.choice(STEPS_S)
    fault.what = f"{step_s:+.0f} s"
    soak.set_clock(soak.ahead_s + step_s, True)
    soak.feed()


def slow(soak: Soak, fault: Fault) -> None:
    """Stop reading standard output."""
    soak.rest()
    soak.listener.reading.clear()
    _ahead(soak, fault, -(-UNREAD // len(soak.sources)))
    soak.wait(UNREAD_S)
    soak.listener.reading.set()


def unplug(soak: Soak, fault: Fault) -> None:
    """Unplug one of the microphones."""
    source = soak.random.choice(_microphones(soak))
    _away(soak, fault, [source], source.feed.take_away)


def drop(soak: Soak, fault: Fault) -> None:
    """Close the connection of the source in the network, whose server then answers 503."""
    source = next(source for source in soak.sources if isinstance(source.feed, Radio))
    _away(soak, fault, [source], source.feed.take_away)


def sound_server(soak: Soak, fault: Fault) -> None:
    """Kill the sound server, with all its microphones."""
    server = soak.server
    assert server is not None
    _away(
        soak,
        fault,
        [source for source in soak.sources if isinstance(source.feed, Microphone)],
        server.kill,
        server.start,
    )


def recorder(soak: Soak, fault: Fault) -> None:
    """Kill the process that records a source, which the station starts again."""
    source = soak.random.choice(soak.sources)

    def end() -> None:
        for pid in tree.tree(soak.listener.pid)[1:]:
            if source.feed.recorder in tree.command_of(pid):
                os.kill(pid, signal.SIGKILL)

    fault.source = source.feed.name
    soak.lose([source], end)
    if isinstance(source.feed, Radio):  # its connection may not know yet that nobody receives
        source.feed.renew(lambda: soak.listener)
    soak.begin(source)


FAULTS: dict[str, Callable[[Soak, Fault], None]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        *(kill, power, dst, lock, lock_long, disk, broker, outage, webhook, clock, slow),
        *(unplug, drop, sound_server, recorder),
    )
}


def _microphones(soak: Soak) -> list[Source]:
    return [source for source in soak.sources if isinstance(source.feed, Microphone)]


def _end(soak: Soak, after_s: float) -> None:
    time.sleep(after_s)
    soak.listener.kill(soak.ahead_s, KILLED)
    soak.note_streams()


def _locked(soak: Soak, fault: Fault, seconds: float) -> None:
    soak.rest()
    with closing(sqlite3.connect(soak.done.journal, timeout=30.0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = soak.listener.windows
        _ahead(soak, fault, AHEAD)
        soak.wait(seconds)
        early = soak.listener.windows - before
        other.execute("ROLLBACK")
    if early:
        soak.done.errors.append(f"{early} windows were reported at {fault.at_s:.0f} s, while nothing could be written")
    fault.what = f"{seconds:.1f} s"


def _ahead(soak: Soak, fault: Fault, hops: int) -> None:
    hops = ahead(soak.plan, hops)
    for _ in range(hops):
        soak.feed()
    fault.waited = hops


def _away(
    soak: Soak,
    fault: Fault,
    sources: Sequence[Source],
    take_away: Callable[[], object],
    restore: Callable[[], object] = lambda: None,
) -> None:
    """Lose sources, and have them back after some windows of the others."""

    def bring_back() -> None:
        restore()
        for source in sources:
            source.feed.renew(lambda: soak.listener)
            soak.begin(source)
        soak.rest()  # a sound server drops what is more than it has room for

    fault.source = ", ".join(source.feed.name for source in sources)
    fault.waited = OUTAGE
    soak.lose(sources, take_away)
    soak.back = (OUTAGE, bring_back)
