"""The account of a run through PulseAudio: sound played and recorded, and every second in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from benchmarks.soak.account import Account
from benchmarks.soak.process import Told
from benchmarks.soak.pulse import BACK_S, STALL_S, PulseSoak, Struck

TAIL_S = 0.6  # the resampler and the last block
UNCOUNTED_S = 0.5  # late arrivals shift a stream's clock by less
EARLY_S = 1.0


def account(soak: PulseSoak, window_s: float, hop_s: float) -> Account:
    """Compare the record of the run with the journal."""
    made = Account()
    with closing(sqlite3.connect(soak.done.journal)) as journal:
        journal.row_factory = sqlite3.Row
        streams = journal.execute(
            "SELECT s.*, coalesce((SELECT sum(n) FROM window_counts c WHERE c.stream = s.id), 0) n"
            " FROM streams s ORDER BY id"
        ).fetchall()
        detections = journal.execute("SELECT * FROM detections").fetchall()
        verdicts = journal.execute("SELECT verdict, sum(n) FROM window_counts GROUP BY 1").fetchall()
        [(verdict,)] = journal.execute("PRAGMA integrity_check(1)").fetchall()
        clips = journal.execute("SELECT count(*) FROM detections WHERE clip IS NOT NULL").fetchone()[0]
    told = soak.listener.run.told
    if verdict != "ok":
        made.losses.append(f"the journal is damaged: {verdict}")
    if soak.done.exit_code != 0:
        made.losses.append(f"the station exited with {soak.done.exit_code}")
    made.figures["time listened (s)"] = round(streams[-1]["ended_boottime_s"] - streams[0]["started_boottime_s"], 1)
    made.figures["streams"] = len(streams)
    _streams(streams, told, window_s, hop_s, made)
    gaps = _gaps(streams, soak, made)
    made.figures["windows reported"] = len(told)
    made.figures["windows in the journal"] = sum(row["n"] for row in streams)
    made.figures.update({f"  {name}": n for name, n in verdicts})
    heard, written = sum(len(one.taxa) for one in told), sum(row["windows"] for row in detections)
    if heard != written:
        made.losses.append(f"taxa were reported in {heard} windows, the detections of the journal have {written}")
    over = len(soak.listener.run.detections)
    if over != len(detections):
        made.losses.append(f"{over} detections were reported, {len(detections)} are in the journal")
    made.figures["detections"] = over
    if clips != len(detections):
        made.losses.append(f"{len(detections) - clips} detections have no clip")
    made.figures["detections with a clip"] = clips
    _songs(soak, detections, gaps, made)
    _use(soak, made)
    made.faults = [_fault(one, gaps) for one in soak.done.faults]
    for one, told_of in zip(soak.done.faults, made.faults):
        if one.kind != "stall" and not told_of["not_heard_s"]:
            made.losses.append(f"{one.kind} left nothing in the journal")
        if not one.back_s:
            made.losses.append(f"after {one.kind} it did not record again within {BACK_S:g} s")
    return made


def _streams(streams: list[sqlite3.Row], told: list[Told], window_s: float, hop_s: float, made: Account) -> None:
    """Check that every window of every stream was reported and stored, and that no sound is missing inside one."""
    left = list(told)
    due = 0
    for row in streams:
        mine, left = left[: row["n"]], left[row["n"] :]
        length_s = row["ended_boottime_s"] - row["started_boottime_s"]
        where = f"stream {row['id']} ({length_s:.0f} s)"
        expected = _due(length_s, window_s, hop_s)
        due += expected
        if abs(expected - row["n"]) > 1:  # the end of a stream is known to a few hundredths of a second
            made.losses.append(f"{where}: {expected} windows were due, {row['n']} are in the journal")
        if not mine:
            if length_s > 1.5:
                made.losses.append(f"{where}: has no window")
            continue
        regular = [n * hop_s for n in range(len(mine))]
        if any(abs(one.start_s - start) > 0.002 for one, start in zip(mine[:-1], regular)):
            made.losses.append(f"{where}: windows are missing or out of order")
        if mine[-1].start_s > regular[-1] + 0.002:
            made.losses.append(f"{where}: a window is missing before {mine[-1].start_s:.1f} s")
        beyond_s = length_s - mine[-1].end_s
        if beyond_s > TAIL_S + UNCOUNTED_S:
            made.losses.append(f"{where}: {beyond_s:.1f} s of it are in no window and were not counted as lost")
    made.figures["windows due, one more or less per stream"] = due
    if left:
        made.losses.append(f"{len(left)} windows were reported and are in no stream of the journal")


def _due(length_s: float, window_s: float, hop_s: float) -> int:
    """Number of windows in a length of sound; the last one ends at its end."""
    if length_s < window_s:
        return int(length_s >= 1.0)
    return int((length_s - window_s) // hop_s) + 2


def _gaps(streams: list[sqlite3.Row], soak: PulseSoak, made: Account) -> list[tuple[float, float]]:
    """Gaps between streams, each of which a fault has to explain."""
    gaps = [(before["ended_boottime_s"], after["started_boottime_s"]) for before, after in zip(streams, streams[1:])]
    for start_s, end_s in gaps:
        near = [one for one in soak.done.faults if one.start_s - EARLY_S <= end_s and start_s <= one.over_s + STALL_S]
        if not near:
            made.losses.append(f"{end_s - start_s:.1f} s were not recorded without any fault")
    lost_s = sum(row["lost_samples"] / row["rate_hz"] for row in streams)
    made.figures["seconds not recorded while the microphone was unavailable"] = round(
        sum(end - start for start, end in gaps), 1
    )
    made.figures["seconds lost inside streams, counted"] = round(lost_s, 2)
    if not any(one.kind == "stall" for one in soak.done.faults) and lost_s > 0:
        made.named.append(f"{lost_s:.2f} s the card or its server overran; counted, replaced by zeros")
    late_s = soak.done.asked_to_end_s - streams[-1]["ended_boottime_s"]
    if late_s > EARLY_S + TAIL_S:
        made.losses.append(f"the last {late_s:.1f} s before its end were not recorded")
    return gaps


def _songs(soak: PulseSoak, detections: list[sqlite3.Row], gaps: list[tuple[float, float]], made: Account) -> None:
    found = disturbed = 0
    away = gaps + [(one.start_s, one.back_s or one.over_s) for one in soak.done.faults]
    for song in soak.player.played:
        names = {
            row["scientific_name"]
            for row in detections
            if row["boottime_s"] + row["end_s"] - row["start_s"] > song.start_s and row["boottime_s"] < song.end_s
        }
        if song.taxon in names:
            found += 1
        elif any(start_s < song.end_s and song.start_s < end_s for start_s, end_s in away):
            disturbed += 1
        else:
            made.losses.append(f"{song.taxon} sang for {song.end_s - song.start_s:.0f} s and was not reported")
    made.figures["sound played (s)"] = round(soak.player.seconds, 1)
    made.figures["songs played"] = len(soak.player.played)
    made.figures["songs detected"] = found
    made.figures["songs not detected, microphone unavailable"] = disturbed
    made.figures["songs interrupted by a fault"] = soak.player.cut


def _use(soak: PulseSoak, made: Account) -> None:
    use = soak.done.use
    (began_s, first_cpu, _), (ended_s, last_cpu, last_mb) = use[0], use[-1]
    made.figures["CPU, share of one core (%)"] = round(100 * (last_cpu - first_cpu) / (ended_s - began_s), 2)
    tenth = next(mb for at_s, _, mb in use if at_s >= began_s + 0.1 * (ended_s - began_s))
    made.figures["memory (MB, PSS) at 10 %"] = round(tenth, 1)
    made.figures["memory (MB, PSS) at 100 %"] = round(last_mb, 1)
    made.figures["memory (MB, PSS) most"] = round(max(mb for _, _, mb in use), 1)


def _fault(one: Struck, gaps: list[tuple[float, float]]) -> dict[str, object]:
    mine = [end - start for start, end in gaps if start <= one.over_s + STALL_S and one.start_s - EARLY_S <= end]
    return {
        "kind": one.kind,
        "away_s": round(one.over_s - one.start_s, 1),
        "not_heard_s": round(sum(mine), 1),
        "heard_again_after_s": round(one.back_s - one.start_s, 1) if one.back_s else None,
    }


def lines(made: Account) -> Iterator[str]:
    """The account as lines of text."""
    wide = max(map(len, made.figures))
    yield from (f"{name:<{wide}}  {value}" for name, value in made.figures.items())
    yield ""
    yield f"{'fault':<14}  {'unavailable (s)':>8}  {'not recorded (s)':>13}  {'recorded again after (s)':>21}"
    for fault in made.faults:
        again = fault["heard_again_after_s"]
        yield f"{fault['kind']:<14}  {fault['away_s']:8}  {fault['not_heard_s']:13}  {again!s:>21}"
    yield ""
    yield from (f"named: {one}" for one in made.named)
    yield from (f"LOST: {one}" for one in made.losses)
    yield f"{len(made.losses)} losses"
