"""The report of an archive: species, activity, effort, failed recordings, and the stretches of the best detections.

It takes no more than some megabytes, however large the archive is: what is left out is said.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import PurePath
from typing import Any

from edgeapp.archive.queries.best import Row, best, paths_of
from edgeapp.archive.queries.calendar import UNKNOWN
from edgeapp.archive.queries.replay import dicts, file_of
from edgeapp.archive.queries.selection import Selection
from edgeapp.archive.queries.summary import Effort, Sites, Summary, TaxonName, summary
from edgeapp.archive.results.dataset import DETECTIONS, FILES, DataSet
from edgeapp.detections.document import CLOCK_UNSET
from edgeapp.errors import UsageError
from edgeapp.outputs.words import clock
from edgeapp.web.report.activity import Activity
from edgeapp.web.report.attachments import Attachments
from edgeapp.web.report.model import Heard, Report, Table, local
from edgeapp.web.report.name import SPECIES, Name
from edgeapp.web.report.parts import Pictures, taxon_parts
from edgeapp.web.report.stretches import BEST_S, Detail, ReportAudio, chosen, details
from edgeapp.web.report.tally import BEST_OF_TAXON, TaxonTally
from gallery.utc import date_of

HIGH_HZ = 24_000.0  # upper end of the frequency axes, if the recording has as much
MOST_TAXA = 150  # shown with stretches and pictures, the most frequent; the others are in a table
MOST_PICTURED = 80  # of these, with pictures
MOST_IN_TABLE = 1000
MOST_ROWS = 60  # of effort, by site and by day
MOST_FAILED = 200
LEFT_OUT_AT_MOST = 3 * BEST_OF_TAXON  # detections looked at for one whose recording is there
SOUND_WORDS = {ReportAudio.NONE: "none", ReportAudio.BEST: "of the best stretches"}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Look:
    """How a report shows an archive.

    Attributes
    ----------
    audio : ReportAudio
        Not all: that has no end.
    zone : tzinfo or None
        Of all times; the machine's own clock for None.
    site_depth : int or None
        See `edgeapp.archive.queries.summary.Sites`.
    words : sequence of (str, str)
        What was selected, for a person.
    licences : sequence of (str, str)
    version : str
        Of this program.
    """

    audio: ReportAudio
    zone: tzinfo | None
    site_depth: int | None
    words: Sequence[tuple[str, str]]
    licences: Sequence[tuple[str, str]]
    version: str


def archive_report(
    data: DataSet,
    selection: Selection,
    look: Look,
    store: Attachments,
    pictures: Pictures,
    tell: Callable[[str], None],
) -> Report:
    """Put the report of an archive together.

    Parameters
    ----------
    data : DataSet
    selection : Selection
    look : Look
    store : Attachments
        Gets pictures and sounds.
    pictures : callable
        Detection to pictures of its taxon.
    tell : callable
        Takes one line for each recording that cannot be read any more, a few at most.

    Raises
    ------
    UsageError
        No recording is selected.
    """
    sites = summary(data, ("site",), selection, look.zone, Sites(data, look.site_depth))
    if not sites.effort and not sites.counts:
        raise UsageError(f"{data.folder}: no recording is selected", "select more, or hear some with `archive`")
    days = summary(data, ("day",), selection, look.zone)
    hours = summary(data, ("hour",), selection, look.zone)
    taxa, gone = _taxa(data, sites, selection)
    shown_taxa = taxa[:MOST_TAXA]
    colours = {taxon.name: number for number, taxon in enumerate(taxa)}
    stretches = chosen(shown_taxa, 0.0 if look.audio is ReportAudio.NONE else BEST_S)
    shown = details(stretches, HIGH_HZ, store, tell)
    around = _around(data, [detail.heard.recording for detail in shown], selection)
    pictured = {taxon.name for taxon in shown_taxa[:MOST_PICTURED]}
    parts = taxon_parts(
        shown_taxa,
        colours,
        shown,
        around,
        {key: [] for key in around},
        lambda heard: pictures(heard) if heard.name in pictured else (),
        _Caption(look.zone),
    )
    total = sites.total
    tables = (
        _more_taxa(taxa[MOST_TAXA:], look.zone),
        _effort(sites, "site"),
        _effort(days, "day"),
        _not_shown(taxa, shown, gone),
    )
    return Report(
        title=data.folder.resolve().name,
        subtitle="Species identified by sound",
        facts=[
            ("species", str(sum(taxon.name.taxon_rank == SPECIES for taxon in taxa))),
            ("detections", f"{sites.detections:,}"),
            ("recordings", f"{total.recordings:,}"),
            ("hours heard", f"{total.hours:,.1f}"),
            ("without sound", f"{total.silent:,}"),
            ("failed", f"{total.failed:,}"),
        ],
        taxa=parts,
        settings=[*_settings(data), *look.words, ("time zone", str(look.zone or "local"))],
        licences=look.licences,
        made=datetime.now(timezone.utc),
        version=look.version,
        sound=SOUND_WORDS[look.audio],
        failed=_failed(data, selection),
        grids=_activity(days, hours, look.zone).grids([taxon.name for taxon in taxa]),
        tables=[table for table in tables if table is not None],
        counts_recordings=True,
    )


def _taxa(data: DataSet, sites: Summary, selection: Selection) -> tuple[list[TaxonTally], int]:
    """All taxa, species first, the most frequent first; and how many recordings of their best detections are gone."""
    rows = best(data, selection, LEFT_OUT_AT_MOST)
    paths = paths_of(data, [row["file_id"] for mine in rows.values() for row in mine])
    there = {file_id: os.path.isfile(path) for file_id, (_, path) in paths.items()}
    totals: dict[TaxonName, TaxonTally] = {}
    for (_, name), count in sites.counts.items():
        heard = [_heard(row, paths[row["file_id"]]) for row in rows[name] if there[row["file_id"]]]
        any_heard = _heard(rows[name][0], paths[rows[name][0]["file_id"]])
        one = totals.setdefault(name, TaxonTally(any_heard, any_heard, best=heard[:BEST_OF_TAXON] or [any_heard]))
        one.count += count.detections
        one.confidence = max(one.confidence, count.confidence)
        one.seconds += count.seconds
        one.elsewhere += count.recordings
        if count.first_ms is not None and count.last_ms is not None:
            first, last = (_at(any_heard, ms) for ms in (count.first_ms, count.last_ms))
            one.first = first if one.first.recording or _time(first) < _time(one.first) else one.first
            one.last = last if one.last.recording or _time(last) > _time(one.last) else one.last
    gone = sum(not found for found in there.values())
    ordered = sorted(
        totals.values(),
        key=lambda one: (one.name.taxon_rank != SPECIES, -one.count, -one.confidence, one.name.scientific_name),
    )
    for one in ordered:
        one.best = [heard if os.path.isfile(heard.file) else _without_file(heard) for heard in one.best]
    return ordered, gone


def _heard(row: Row, path: tuple[str, str]) -> Heard:
    """A detection, on the clock of its recording."""
    rank, name = row["taxon_rank"], row["taxon_scientific_name"]
    candidates = row["candidates"] or []
    likeliest = ""
    if rank != SPECIES and candidates:
        likeliest = candidates[0]["common_name"] or candidates[0]["scientific_name"]
    return Heard(
        Name(rank, name, row["taxon_common_name"] or ""),
        row["confidence"],
        f"file-{row['file_id']}",
        row["start_s"],
        row["end_s"],
        row["start_s"],
        path[1],
        source=path[0],
        time=row["time"],
        doubtful=row["clock"] == CLOCK_UNSET,
        likeliest=likeliest,
        candidates=tuple(one["scientific_name"] for one in candidates),
        channel=row["source_channel"] or 0,
    )


def _at(heard: Heard, ms: int) -> Heard:
    """The first or last detection of a taxon, of which its time alone is known."""
    moment = EPOCH + timedelta(milliseconds=ms)
    return Heard(heard.name, 0.0, "", 0.0, 0.0, 0.0, time=moment, likeliest=heard.likeliest)


def _time(heard: Heard) -> datetime:
    assert heard.time is not None  # of what `_at` made
    return heard.time


def _without_file(heard: Heard) -> Heard:
    return replace(heard, file="")


def _around(data: DataSet, recordings: Iterable[str], selection: Selection) -> dict[str, list[Heard]]:
    """The detections of recordings, by their keys."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[str, list[Heard]] = {key: [] for key in recordings}
    ids = [int(key.partition("-")[2]) for key in found]
    if not ids:
        return found
    condition, chosen_ones = pc.field("file_id").isin(pa.array(ids, pa.int64())), selection.detections()
    where = condition if chosen_ones is None else condition & chosen_ones
    for batch in data.batches(DETECTIONS, None, where):
        for row in batch.to_pylist():
            found[f"file-{row['file_id']}"].append(_heard(row, (row["source_file"], "")))
    return found


class _Caption:
    """Where and when a stretch was heard."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone

    def __call__(self, detail: Detail) -> str:
        heard = detail.heard
        moment = local(heard.time, self._zone, heard.doubtful) if heard.time is not None else ""
        at = f"{PurePath(heard.source).name} at {clock(round(heard.start_s, 1))}"
        return ", ".join(filter(None, (at, moment, f"confidence {heard.confidence:.2f}")))


def _activity(days: Summary, hours: Summary, zone: tzinfo | None) -> Activity:
    counting = Activity(zone)
    for ((day,), name), count in days.counts.items():
        if day != UNKNOWN:
            counting.count_day(_name(name), date_of(day), count.detections)
    for ((hour,), name), count in hours.counts.items():
        if hour != UNKNOWN:
            counting.count_hour(_name(name), int(hour), count.detections)
    return counting


def _name(name: TaxonName) -> Name:
    return Name(name.rank, name.scientific_name, name.common_name)


def _effort(found: Summary, what: str) -> Table | None:
    """Sound heard at each site or on each day; the days in their order, of sites those with the most sound."""
    per_key: Counter[str] = Counter()
    species: Counter[str] = Counter()
    for ((key,), name), count in found.counts.items():
        per_key[key] += count.detections
        species[key] += name.rank == SPECIES
    efforts: list[tuple[str, Effort]] = [(key, effort) for (key,), effort in sorted(found.effort.items())]
    if not efforts:
        return None
    kept = efforts[-MOST_ROWS:] if what == "day" else sorted(efforts, key=lambda one: -one[1].seconds)[:MOST_ROWS]
    rows = tuple(
        (
            key,
            f"{effort.hours:.2f}",
            str(effort.recordings),
            str(effort.silent),
            str(effort.failed),
            str(species[key]),
            str(per_key[key]),
            f"{per_key[key] / effort.hours:.1f}" if effort.seconds else "-",
        )
        for key, effort in (kept if what == "day" else sorted(kept))
    )
    head = (what, "hours heard", "recordings", "without sound", "failed", "species", "detections", "per hour")
    left_out = len(efforts) - len(kept)
    others = "earlier" if what == "day" else "with less sound"
    return Table(f"Effort by {what}", head, rows, f"not shown: {left_out} {others}" if left_out else "")


def _more_taxa(taxa: Sequence[TaxonTally], zone: tzinfo | None) -> Table | None:
    if not taxa:
        return None

    def when(heard: Heard) -> str:
        return "-" if heard.time is None else local(heard.time, zone)

    rows = tuple(
        (
            one.name.shown,
            one.name.scientific_name,
            str(one.count),
            f"{one.confidence:.2f}",
            when(one.first),
            when(one.last),
        )
        for one in taxa[:MOST_IN_TABLE]
    )
    head = ("taxon", "scientific name", "detections", "highest confidence", "first", "last")
    left_out = len(taxa) - len(rows)
    return Table("Further taxa", head, rows, f"not listed: {left_out} with fewer detections" if left_out else "")


def _not_shown(taxa: Sequence[TaxonTally], shown: Sequence[Detail], gone: int) -> Table | None:
    """What one might look for in vain."""
    with_stretch = {detail.heard.name for detail in shown}
    without = sum(taxon.name not in with_stretch for taxon in taxa)
    rows = []
    if without:
        rows.append(("taxa without a stretch", str(without)))
    if gone:
        rows.append(("recordings of best detections that are not there any more", str(gone)))
    return Table("Not shown", ("what", "number"), tuple(rows)) if rows else None


def _failed(data: DataSet, selection: Selection) -> list[tuple[str, str]]:
    import pyarrow.compute as pc

    condition, chosen_ones = pc.is_valid(pc.field("error")), selection.recordings(FILES)
    where = condition if chosen_ones is None else condition & chosen_ones
    found: list[tuple[str, str]] = []
    count = 0
    for number in data.numbers:
        table = data.part(FILES, number, ["file", "path", "error"], where)
        count += len(table)
        for row in dicts(table.slice(0, MOST_FAILED - len(found))):
            found.append((file_of(row), row["error"]))
    if count > len(found):
        found.append((f"{count - len(found):,} more", "the table files of the archive has them all"))
    return found


def _settings(data: DataSet) -> list[tuple[str, str]]:
    """What the archive was heard with, in words."""
    record = data.record

    def word(value: Any) -> str:
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    given: Mapping[str, Any] = record.settings
    asked = [(name, word(value)) for name, value in given.items() if value not in (None, [], False)]
    windows = f"{record.window_s:g} s, one every {record.hop_s:g} s"
    return [("archive", str(data.folder)), ("begun", record.started), ("windows", windows), *asked]
