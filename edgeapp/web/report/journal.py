"""The report of a journal: species, activity, effort, reviews, and the clips of the best detections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone, tzinfo
from typing import Any

from edgeapp.clock.utc import utc_of
from edgeapp.detections import counting
from edgeapp.detections.review import ReviewVerdict
from edgeapp.file_names import name_of
from edgeapp.journal import Reader, browsing
from edgeapp.journal.documents import FILE
from edgeapp.web.report.activity import Activity, effort
from edgeapp.web.report.attachments import Attachments
from edgeapp.web.report.model import Heard, Report, Table, local
from edgeapp.web.report.name import SPECIES, Name
from edgeapp.web.report.parts import Pictures, taxon_parts
from edgeapp.web.report.stretches import BEST_S, Detail, ReportAudio, chosen, details
from edgeapp.web.report.tally import Tally

HIGH_HZ = 24_000.0  # upper end of the frequency axes, if the clip has as much
MOST_REVIEWS = 200  # listed, the newest
MOST_DEPLOYMENTS = 100  # listed, the newest
UNREVIEWED = "not reviewed"
SOUND_WORDS = {ReportAudio.NONE: "none", ReportAudio.BEST: "of the best clips", ReportAudio.ALL: "of the clips shown"}


@dataclass(frozen=True)
class Selection:
    """Which detections of a journal a report is of.

    Attributes
    ----------
    since, until : datetime or None
    names : sequence of str or None
        Spellings of the only taxon.
    least : float
        Confidence.
    words : sequence of (str, str)
        The same for a person.
    """

    since: datetime | None
    until: datetime | None
    names: Sequence[str] | None
    least: float
    words: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Look:
    """How a report shows it.

    Attributes
    ----------
    audio : ReportAudio
    zone : tzinfo or None
        Of all times; the machine's own clock for None.
    common_name : callable
        Scientific name to common name, for corrections.
    licences : sequence of (str, str)
    version : str
        Of this program.
    """

    audio: ReportAudio
    zone: tzinfo | None
    common_name: Callable[[str], str]
    licences: Sequence[tuple[str, str]]
    version: str


def journal_report(
    reader: Reader,
    selection: Selection,
    look: Look,
    store: Attachments,
    pictures: Pictures,
    tell: Callable[[str], None],
) -> Report:
    """Put the report of a journal together.

    Parameters
    ----------
    reader : Reader
    selection : Selection
    look : Look
    store : Attachments
        Gets pictures and sounds.
    pictures : callable
        Detection to pictures of its taxon.
    tell : callable
        Takes one line for each clip that cannot be read.
    """
    tally, activity, reviews = Tally(), Activity(look.zone), _Reviews(look)
    deployments: set[int] = set()
    for row in reader.detections(selection.since, selection.until, selection.names):
        if row["confidence"] < selection.least:
            continue
        deployments.add(row["deployment"])
        reviews.add(row)
        if row["review"] != ReviewVerdict.REJECTED:
            heard = _heard(row, reader, look)
            tally.add(heard)
            activity.add(heard.name, utc_of(row["time_utc"]))
    taxa = tally.taxa()
    for taxon in taxa:
        taxon.best = [_with_candidates(heard, reader) for heard in taxon.best]
    colours = {taxon.name: number for number, taxon in enumerate(taxa)}
    room_s = {ReportAudio.NONE: 0.0, ReportAudio.BEST: BEST_S, ReportAudio.ALL: float("inf")}[look.audio]
    shown = details(chosen(taxa, room_s), HIGH_HZ, store, tell)
    around = {detail.heard.recording: _in_same_file(detail.heard, reader, look) for detail in shown}
    parts = taxon_parts(taxa, colours, shown, around, {key: [] for key in around}, pictures, _Caption(look.zone))
    mine = [one for one in reader.deployments() if not deployments or one["id"] in deployments]
    heard_hours = effort(mine, reader.windows(), selection.since, selection.until, look.zone)
    tables = [heard_hours, _deployments(reader, mine, look.zone), reviews.counts(), reviews.listed()]
    return Report(
        title=", ".join(dict.fromkeys(one["station"] for one in mine if one["station"])) or reader.path.name,
        subtitle="Species identified by sound",
        facts=[
            ("species", str(sum(taxon.name.taxon_rank == SPECIES for taxon in taxa))),
            ("detections", str(sum(taxon.count for taxon in taxa))),
            ("reviewed", str(reviews.reviewed)),
        ],
        taxa=parts,
        settings=[("journal", str(reader.path)), *selection.words, ("time zone", str(look.zone or "local"))],
        licences=look.licences,
        made=datetime.now(timezone.utc),
        version=look.version,
        sound=SOUND_WORDS[look.audio],
        grids=activity.grids([taxon.name for taxon in taxa]),
        tables=[table for table in tables if table is not None],
    )


def _name(row: Mapping[str, Any], reader: Reader, look: Look) -> Name:
    """The taxon of a detection, after its review."""
    if row["review"] == ReviewVerdict.CORRECTED:
        return Name(SPECIES, row["review_name"], look.common_name(row["review_name"]))
    name, rank = row["scientific_name"], row["taxon_rank"]
    return Name(rank, name, reader.naming.of(name, row["common_name"] or "") if rank == SPECIES else "")


def _heard(row: Mapping[str, Any], reader: Reader, look: Look) -> Heard:
    """A detection on the clock of its clip, or of the recording that it was heard in."""
    file, begun_s = row["clip_path"] or "", row["clip_start_s"] or 0.0
    key = f"clip-{row['clip']}" if file else f"stream-{row['stream']}"
    if not file and row["backend"] == FILE:
        file, begun_s = name_of(row["source"]), 0.0
    start_s = max(0.0, row["start_s"] - begun_s)
    end_s = row["end_s"] if not row["clip_path"] else min(row["end_s"], row["clip_end_s"])
    return Heard(
        _name(row, reader, look),
        row["confidence"],
        key,
        start_s,
        max(end_s - begun_s, start_s),
        start_s,
        file,
        row["id"],
        row["source"],
        utc_of(row["time_utc"]),
        not row["clock_set"],
        review=row["review"] or "",
    )


def _with_candidates(heard: Heard, reader: Reader) -> Heard:
    """The same with what is stored apart."""
    assert heard.number is not None, "it is in a journal"
    candidates = reader.candidates(heard.number)
    likeliest = ""
    if heard.name.taxon_rank != SPECIES and candidates:
        first = candidates[0]
        likeliest = reader.naming.of(first["scientific_name"], first["common_name"] or "") or first["scientific_name"]
    names = tuple(one["scientific_name"] for one in candidates)
    return replace(heard, likeliest=likeliest, candidates=names, vector=reader.vector(heard.number))


def _in_same_file(heard: Heard, reader: Reader, look: Look) -> list[Heard]:
    """The detections of a clip or recording, as far as they were not rejected."""
    kind, _, number = heard.recording.partition("-")
    rows: Iterable[Mapping[str, Any]] = browsing.of_clip(reader, int(number)) if kind == "clip" else ()
    return [_heard(row, reader, look) for row in rows if row["review"] != ReviewVerdict.REJECTED]


class _Caption:
    """Where and when a stretch was heard."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone

    def __call__(self, detail: Detail) -> str:
        heard = detail.heard
        moment = "" if heard.time is None else local(heard.time, self._zone, heard.doubtful)
        return ", ".join(filter(None, (heard.source, moment, heard.review)))


def _deployments(reader: Reader, deployments: Sequence[Mapping[str, Any]], zone: tzinfo | None) -> Table | None:
    rows = []
    for one in deployments[-MOST_DEPLOYMENTS:]:
        ended = local(utc_of(one["ended_utc"]), zone) if one["ended_utc"] else "no end"
        sources = ", ".join(dict.fromkeys(stream["source"] for stream in one["streams"]))
        counts = reader.counts(one["id"])
        ends = [f"{counts[verdict]} {words}" for verdict, words in counting.WORDS.items() if verdict in counts]
        pack = f"{one['pack']} {one['pack_version']}"
        rows.append((str(one["id"]), local(utc_of(one["started_utc"]), zone), ended, pack, sources, ", ".join(ends)))
    head = ("deployment", "from", "to", "pack", "sources", "windows")
    left_out = len(deployments) - len(rows)
    more = f"{left_out} earlier ones are not listed" if left_out else ""
    return Table("Deployments, and how all their windows ended", head, tuple(rows), more) if rows else None


class _Reviews:
    """What reviewers said."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._counts: Counter[str] = Counter()
        self._rows: list[tuple[str, ...]] = []

    @property
    def reviewed(self) -> int:
        return sum(self._counts.values()) - self._counts[UNREVIEWED]

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a detection, and keep its review."""
        self._counts[row["review"] or UNREVIEWED] += 1
        if row["review"] is not None:
            moment = local(utc_of(row["time_utc"]), self._look.zone)
            said = " ".join(filter(None, (row["review"], row["review_name"])))
            who = row["scientific_name"], f"{row['confidence']:.2f}", said, row["reviewer"], row["review_note"]
            self._rows.append((str(row["id"]), moment, *who))
            del self._rows[:-MOST_REVIEWS]

    def counts(self) -> Table | None:
        """How many had which verdict; None without a review."""
        names = (*(verdict.value for verdict in ReviewVerdict), UNREVIEWED)
        rows = tuple((name, str(self._counts[name])) for name in names if self._counts[name])
        return Table("Reviews", ("verdict", "detections"), rows) if self.reviewed else None

    def listed(self) -> Table | None:
        """The reviewed detections, the newest last; None without one."""
        if not self._rows:
            return None
        left_out = self.reviewed - len(self._rows)
        head = ("id", "time", "detected", "confidence", "review", "reviewer", "note")
        more = f"{left_out} earlier ones are not listed" if left_out else ""
        return Table("Reviewed detections", head, tuple(self._rows), more)
