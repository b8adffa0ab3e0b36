"""The account of an accelerated run: sound played and windows reported, compared with the journal and the receivers."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.soak.accelerated import Soak
from benchmarks.soak.plan import TOUCH_S, UNSET_S, Plan, Soaked, Use, due
from benchmarks.soak.process import KEPT, Run, Stream, Told
from benchmarks.soak.sound import Played
from edgeapp.journal.documents import id_of

CLOCK_S = 2.0  # tolerance of a time against the station's clock
CLIP_AFTER_S = 4.0  # pre- and post-roll of the defaults
CUT = "songs interrupted by a kill or a lost source and not detected"
STRANGERS = "other names during songs"


@dataclass
class Account:
    """Result of the comparison.

    Attributes
    ----------
    losses : list of str
        Losses that are failures; empty on success.
    named : list of str
        Losses that a fault may cost.
    """

    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)


def account(soak: Soak) -> Account:
    """Compare the record of the run with journal and receivers."""
    done, plan = soak.done, soak.plan
    made = Account(losses=list(done.errors))
    with closing(sqlite3.connect(done.journal)) as journal:
        journal.row_factory = sqlite3.Row
        _whole(journal, made)
        _windows(journal, done, plan, made)
        for source in soak.sources:
            _songs(done, source.feed.name, source.programme.songs(), plan, made)
        _times(journal, done, made)
        _messages(journal, soak, made)
        _clips(journal, done, plan, made)
    _resources(done, soak, made)
    made.faults = [_fault(number, soak) for number in range(len(done.faults))]
    made.losses += [
        f"the log does not report {fault.kind} at {fault.at_s:.0f} s" for fault in done.faults if fault.told is False
    ]
    return made


def _whole(journal: sqlite3.Connection, made: Account) -> None:
    [(verdict,)] = journal.execute("PRAGMA integrity_check(1)").fetchall()
    if verdict != "ok":
        made.losses.append(f"the journal is damaged: {verdict}")
    if journal.execute("PRAGMA foreign_key_check").fetchall():
        made.losses.append("rows of the journal have dangling references")


def _windows(journal: sqlite3.Connection, done: Soaked, plan: Plan, made: Account) -> None:
    counts = {
        row["stream"]: row["n"] for row in journal.execute("SELECT stream, sum(n) n FROM window_counts GROUP BY 1")
    }
    lost = 0
    for number, run in enumerate(done.runs, start=1):
        for stream in run.streams:
            lost += _stream(journal, run, stream, f"process {number}, {_where(stream)}", counts, plan, made)
        _told(journal, run, f"process {number}", made)
    streams = [stream for run in done.runs for stream in run.streams]
    made.figures["streams"] = len(streams)
    made.figures["windows due"] = sum(due(stream, plan) for stream in streams)
    made.figures["windows reported"] = sum(len(run.told) for run in done.runs)
    made.figures["windows in the journal"] = sum(counts.values())
    for row in journal.execute("SELECT verdict, sum(n) n FROM window_counts GROUP BY 1 HAVING sum(n) ORDER BY 1"):
        made.figures[f"  {row['verdict']}"] = row["n"]
    made.figures["windows lost by kills and power cuts"] = lost
    away = sum(fault.waited * len(fault.source.split(", ")) for fault in done.faults if fault.source)
    made.figures["windows not heard while a source was away"] = away
    rows = journal.execute("SELECT count(*) n, sum(windows) windows FROM detections").fetchone()
    made.figures["detections in the journal"] = rows["n"]
    made.figures["  windows in them"] = rows["windows"] or 0


def _where(stream: Stream) -> str:
    return f"{stream.source}, {stream.first_s:.0f} to {stream.first_s + stream.fed_s:.0f} s"


def _stream(
    journal: sqlite3.Connection,
    run: Run,
    stream: Stream,
    where: str,
    counts: dict[int, int],
    plan: Plan,
    made: Account,
) -> int:
    """Compare the windows of one stream; the number of lost ones."""
    expected, counted, told = due(stream, plan), counts.get(stream.row or 0, 0), len(stream.told)
    killed, forgotten = stream.killed, run.forgotten(stream)
    missing, waiting = expected - counted, killed * plan.at_once
    if killed and missing == 1:
        made.named.append(f"{where}: the window being processed ({stream.ended})")
    elif 0 < missing <= waiting:
        made.named.append(f"{where}: {missing} windows being processed, or waiting for it ({stream.ended})")
    elif 0 < missing <= forgotten + waiting:
        made.named.append(f"{where}: {missing} windows without a detection, counted since the last one was written")
    elif missing:
        made.losses.append(f"{where}: {expected} windows were due, {counted} are in the journal")
    if not counted - killed <= told <= counted + forgotten:
        made.losses.append(f"{where}: {told} windows were reported, {counted} are in the journal")
    starts = [one.start_s for one in stream.told]
    wanted = [round(n * plan.hop_s, 3) for n in range(len(starts))]
    if [round(start, 3) for start in starts[: expected - 1]] != wanted[: expected - 1]:
        made.losses.append(f"{where}: windows were reported out of order, twice, or not at all")
    _detections(journal, stream, where, made)
    return max(0, missing)


def stretches(told: list[Told]) -> dict[tuple[str, float], tuple[float, int]]:
    """Merged detections by name and start: their end and number of windows; adjacent windows are merged."""
    made: dict[tuple[str, float], tuple[float, int]] = {}
    going_on: dict[str, float] = {}  # name to where it began
    for one in told:
        for name in one.taxa:
            start_s = going_on.get(name)
            if start_s is None or made[name, start_s][0] < one.start_s - TOUCH_S:
                start_s = going_on[name] = round(one.start_s, 3)
            windows = made.get((name, start_s), (0.0, 0))[1] + 1
            made[name, start_s] = one.end_s, windows
    return made


def _detections(journal: sqlite3.Connection, stream: Stream, where: str, made: Account) -> None:
    """Compare stored with reported detections; a kill may leave one unreported window in the journal."""
    killed = stream.killed
    rows = journal.execute("SELECT * FROM detections WHERE stream IS ?", (stream.row,)).fetchall()
    written = {
        (row["scientific_name"], round(row["start_s"], 3)): (row["end_s"], row["windows"], row["confirmed"])
        for row in rows
    }
    if len(written) < len(rows):
        made.losses.append(f"{where}: a detection is in the journal twice")
    told = stretches(stream.told)
    for (name, start_s), (end_s, windows) in told.items():
        if (name, start_s) not in written:
            made.losses.append(f"{where}: {name} at {start_s:g} s was reported and is not in the journal")
            continue
        more = written[name, start_s][1] - windows
        if not 0 <= more <= killed or (not more and abs(written[name, start_s][0] - end_s) > TOUCH_S):
            made.losses.append(f"{where}: {name} at {start_s:g} s is in the journal with {windows + more} windows")
    last_s = stream.told[-1].start_s if stream.told else -1.0
    untold = [key for key in written if key not in told and not (killed and key[1] > last_s)]
    if untold:
        made.losses.append(f"{where}: {len(untold)} detections are in the journal and were never reported")
    counted = dict(journal.execute("SELECT verdict, n FROM window_counts WHERE stream IS ?", (stream.row,)).fetchall())
    windows = sum(one.verdict in KEPT for one in stream.told)
    kept = sum(counted.get(verdict, 0) for verdict in KEPT)
    if not 0 <= kept - windows <= killed:
        made.losses.append(f"{where}: {windows} windows with detections were reported, {kept} are counted")


def _told(journal: sqlite3.Connection, run: Run, where: str, made: Account) -> None:
    """Compare the reported detections of one process with the confirmed ones."""
    ids = {one for stream in run.streams for one in _ids(journal, "stream IS ?", stream.row)}
    twice = len(run.detections) - len(set(run.detections))
    if twice or set(run.detections) - ids or (not run.killed and ids - set(run.detections)):
        made.losses.append(f"{where}: {len(run.detections)} detections were reported, {len(ids)} are confirmed")


def _ids(journal: sqlite3.Connection, where: str = "1", *values: Any) -> set[str]:
    """Ids of the confirmed detections, as in every output."""
    rows = journal.execute(f"SELECT * FROM detections_in_full WHERE {where}", values)
    return {id_of(row) for row in rows}


def _songs(done: Soaked, source: str, songs: list[Played], plan: Plan, made: Account) -> None:
    heard = cut = 0
    strangers: Counter[str] = Counter(made.figures.get(STRANGERS, {}))
    streams = [stream for run in done.runs for stream in run.streams if stream.source == source]
    told = [(stream, one) for stream in streams for one in stream.told if one.verdict == "detection"]
    for song in songs:
        during = [
            name
            for stream, one in told
            for name in one.taxa
            if stream.first_s + one.start_s + plan.window_s > song.start_s and stream.first_s + one.start_s < song.end_s
        ]
        strangers.update(name for name in during if name != song.taxon)
        if song.taxon in during:
            heard += 1
        elif any(song.start_s < stream.first_s + stream.fed_s < song.end_s for stream in streams if stream.cut):
            cut += 1
        else:
            made.losses.append(
                f"{source}: {song.taxon} sang from {song.start_s:.0f} to {song.end_s:.0f} s and was not reported"
            )
    for name, n in (("songs played", len(songs)), ("songs detected", heard), (CUT, cut)):
        made.figures[name] = made.figures.get(name, 0) + n
    if strangers:
        made.figures[STRANGERS] = dict(strangers)


def _times(journal: sqlite3.Connection, done: Soaked, made: Account) -> None:
    """Check that every detection has the time of the station's clock, or the corrected time."""
    wrong = marked = corrected = 0
    ahead = {
        (stream.row, round(one.start_s, 3)): one.ahead_s
        for run in done.runs
        for stream in run.streams
        for one in stream.told
        if stream.row is not None
    }
    boot_utc = {stream.row: run.boot_utc for run in done.runs for stream in run.streams}
    offsets = {one for one in (*ahead.values(), *done.steps_s) if one != UNSET_S}
    for row in journal.execute("SELECT stream, start_s, time_utc, boottime_s, clock_set FROM detections"):
        time_s = datetime.fromisoformat(row["time_utc"].replace("Z", "+00:00")).timestamp()
        off_s = time_s - row["boottime_s"] - boot_utc.get(row["stream"], done.runs[-1].boot_utc)
        expected = ahead.get((row["stream"], round(row["start_s"], 3)))
        corrected += row["clock_set"] == 2
        marked += row["clock_set"] == 0
        right = offsets if expected is None else {expected} if row["clock_set"] == 1 else offsets
        wrong += row["clock_set"] != 0 and min(abs(off_s - one) for one in right) > CLOCK_S
    made.figures["times corrected"] = corrected
    if marked:
        made.losses.append(f"{marked} detections still carry a time from before the clock was set")
    if wrong:
        made.losses.append(f"{wrong} detections carry a time that no clock had")


def _messages(journal: sqlite3.Connection, soak: Soak, made: Account) -> None:
    targets = {"webhook": soak.webhook.ids} | ({"mqtt": soak.broker.ids} if soak.broker is not None else {})
    of_rows = {row["id"]: id_of(row) for row in journal.execute("SELECT * FROM detections_in_full")}
    confirmed = set(of_rows.values())
    rows = journal.execute("SELECT target, detection, sent_utc FROM messages").fetchall()
    for target, received in targets.items():
        mine = [row for row in rows if row["target"] == target]
        ids = {of_rows[row["detection"]] for row in mine}
        made.figures[f"{target}: queued"] = len(mine)
        made.figures[f"{target}: received"] = len(received)
        made.figures[f"{target}: received again"] = sum(received.values()) - len(received)
        _all_there(f"{target}: detections without a message", confirmed - ids, made)
        _all_there(f"{target}: messages that were not received", ids - set(received), made)
        _all_there(f"{target}: messages without a detection in the journal", set(received) - ids, made)
        unsent = {of_rows[row["detection"]] for row in mine if row["sent_utc"] is None}
        _all_there(f"{target}: messages given up or still waiting", unsent, made)


def _all_there(what: str, missing: set[Any], made: Account) -> None:
    if missing:
        made.losses.append(f"{what}: {len(missing)}, such as {sorted(map(str, missing))[0][:60]}")


def _clips(journal: sqlite3.Connection, done: Soaked, plan: Plan, made: Account) -> None:
    """Compare clips with detections; a kill loses clips that wait for the sound after them."""
    there = missing = cut = 0
    rows = journal.execute("SELECT stream, end_s, clip_path AS path FROM detections_in_full").fetchall()
    ends = {stream.row: stream for run in done.runs for stream in run.streams if stream.killed}
    for row in rows:
        if row["path"] is not None and Path(row["path"]).is_file():
            there += 1
            continue
        stream = ends.get(row["stream"])
        # The longest clip, then one more window that may be adjacent.
        if stream is not None and row["end_s"] + 60.0 + CLIP_AFTER_S + plan.window_s + plan.hop_s >= stream.fed_s:
            cut += 1
        else:
            missing += 1
    made.figures["clips wanted (detections)"] = len(rows)
    made.figures["clips present (detections)"] = there
    made.figures["clips pending at a kill"] = cut
    if missing:
        made.losses.append(f"{missing} detections have no clip")


def _resources(done: Soaked, soak: Soak, made: Account) -> None:
    hours = soak.position_s / 3600.0
    faults = Counter(fault.kind for fault in done.faults)
    made.figures = {
        "sound played to each source (h)": round(hours, 3),
        **({"pieces": len(done.pieces)} if len(done.pieces) > 1 else {}),
        "sources": len(soak.sources),
        "processes": len(done.runs),
        "faults": len(done.faults),
        **{f"  {kind}": n for kind, n in sorted(faults.items())},
        **made.figures,
    }
    wall_s = sum(piece.wall_s for piece in done.pieces)
    made.figures["times real time"] = round(soak.position_s / wall_s, 1)
    made.figures["time passed (h)"] = round(wall_s / 3600.0, 3)
    made.figures["CPU seconds per hour of sound, start-up included"] = round(
        sum(run.cpu_s for run in done.runs) / hours, 1
    )
    ends = [piece.run for piece in done.pieces[1:]] + [len(done.runs)]
    for number, run in enumerate(ends, start=1):
        of = "last process" if len(ends) == 1 else f"last process of piece {number}"
        _grown_old([one for one in done.use if one.run == run], of, made)


def _grown_old(use: list[Use], of: str, made: Account) -> None:
    if len(use) < 2:
        return
    first, last = use[0], use[-1]
    if last.heard_s > first.heard_s:
        made.figures[f"{of}: CPU seconds per hour of sound"] = round(
            (last.cpu_s - first.cpu_s) / (last.heard_s - first.heard_s) * 3600.0, 1
        )
    made.figures[f"{of}: sound (h)"] = round(last.heard_s / 3600.0, 3)
    tenths = [next(one for one in use if one.heard_s >= tenth / 10 * last.heard_s) for tenth in range(1, 11)]
    made.figures[f"{of}: memory (MB, PSS) at each tenth"] = " ".join(f"{one.memory_mb:.0f}" for one in tenths)
    made.figures[f"{of}: memory (MB, PSS) most"] = round(max(one.memory_mb for one in use), 1)


def _fault(number: int, soak: Soak) -> dict[str, Any]:
    fault = soak.done.faults[number]
    run = soak.done.runs[fault.run - 1]
    return {
        "at_s": round(fault.at_s, 1),
        "kind": fault.kind,
        "what": fault.what,
        "windows_meanwhile": fault.waited,
        "told_in_log": fault.told,
        "process": fault.run,
        "ended": run.ended if fault.kind in ("kill", "power") else "",
        "source": fault.source,
    }


def lines(made: Account, skipped: Iterable[str]) -> Iterator[str]:
    """The account as lines of text."""
    wide = max(map(len, made.figures))
    yield from (f"{name:<{wide}}  {value}" for name, value in made.figures.items())
    yield ""
    yield f"{'at (s)':>9}  {'fault':<12}  {'windows meanwhile':>17}  what"
    for fault in made.faults:
        what = fault["source"] or fault["what"]
        yield f"{fault['at_s']:9.0f}  {fault['kind']:<12}  {fault['windows_meanwhile']:>17}  {what}"
    yield ""
    yield from (f"skipped: {one}" for one in skipped)
    yield from (f"named: {one}" for one in made.named)
    yield from (f"LOST: {one}" for one in made.losses)
    yield f"{len(made.losses)} losses, {len(made.named)} windows named"
