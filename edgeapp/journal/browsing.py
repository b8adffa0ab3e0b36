"""Queries of the web page: pages of detections by filter, species by hour, first records, history of a species.

They stay fast in a journal of a million detections: each reads an index from one end and stops, or reads counts that
are kept (`edgeapp.journal.schema_of_browsing`). What a reviewer rejected counts nowhere; what was corrected counts
under its corrected name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol

import numpy as np

from edgeapp.clock.utc import utc_text
from edgeapp.detections.review import ReviewVerdict
from edgeapp.journal.records import CLIP_PATH, CLIPS

SEASON = timedelta(days=90)  # without a record for so long, the next one is the first of a season
DIGITS = 6  # of the counts of half an hour
LOOKED_THROUGH = 4_000  # newest detections, before a group of taxa is looked up one taxon after the other


class Rows(Protocol):
    """What answers a query; `edgeapp.journal.Reader` and `edgeapp.journal.Journal`."""

    def _fetch(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]: ...


class ReviewState(str, Enum):
    """Which detections a filter takes by their review."""

    ANY = "any"
    NONE = "unreviewed"
    CONFIRMED = ReviewVerdict.CONFIRMED.value
    REJECTED = ReviewVerdict.REJECTED.value
    CORRECTED = ReviewVerdict.CORRECTED.value


@dataclass(frozen=True)
class Filter:
    """Which detections are asked for.

    Attributes
    ----------
    taxa : tuple of str or None
        Scientific names, one of which it has, after review; None takes every one.
    since, until : datetime or None
        Aware; the first is included.
    min_confidence : float
    source : str
        Name of a microphone or recording; empty takes every one.
    review : ReviewState
    clip : bool
        Only those whose clip is there.
    """

    taxa: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    min_confidence: float = 0.0
    source: str = ""
    review: ReviewState = ReviewState.ANY
    clip: bool = False


Place = tuple[str, int]  # of a detection in the list: its time and its number


def page_of(rows: Rows, asked: Filter, n: int, before: Place | None = None) -> list[dict[str, Any]]:
    """A page of detections, the newest first.

    Parameters
    ----------
    rows : Rows
    asked : Filter
    n : int
        At most so many.
    before : tuple of str and int, optional
        Time and number of the last detection of the page before.

    Returns
    -------
    list of dict
        Rows of the view ``detections_in_full``.
    """
    conditions, values = _conditions(rows, asked)
    if conditions is None:
        return []
    if before is not None:
        conditions.append("(time_utc, id) < (:before_utc, :before_id)")
        values |= {"before_utc": before[0], "before_id": before[1]}
    values["n"] = n
    by_verdict = asked.review not in (ReviewState.ANY, ReviewState.NONE)
    index = "detections_by_verdict" if by_verdict else "detections_in_order"
    if asked.taxa is None or by_verdict:
        if asked.taxa is not None:
            conditions.append("current_name IN (SELECT value FROM json_each(:taxa))")
            values["taxa"] = json.dumps(asked.taxa)
        return in_full(rows, [row["id"] for row in rows._fetch(_page_sql(index, conditions), values)])
    there = {row["name"] for row in taxa_heard(rows)}
    taxa = [name for name in asked.taxa if name in there]
    if len(taxa) > 1:
        found = _among_newest(rows, taxa, conditions, values)
        if len(found) >= n:
            return in_full(rows, [row["id"] for row in found])
    found = []
    for taxon in taxa:
        sql = _page_sql("detections_by_taxon", ["current_name = :taxon", *conditions])
        found += rows._fetch(sql, {**values, "taxon": taxon})
    found.sort(key=lambda row: (row["time_utc"], row["id"]), reverse=True)
    return in_full(rows, [row["id"] for row in found[:n]])


def _page_sql(index: str, conditions: Sequence[str]) -> str:
    where = " AND ".join(["confirmed", *conditions])
    return (
        f"SELECT id, time_utc FROM detections INDEXED BY {index} WHERE {where} ORDER BY time_utc DESC, id DESC LIMIT :n"
    )


def _among_newest(
    rows: Rows, taxa: Sequence[str], conditions: Sequence[str], values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Those of some taxa among the newest detections, for groups that make up much of all."""
    where = " AND ".join(["current_name IN (SELECT value FROM json_each(:taxa))", *conditions])
    begin = "time_utc <= :before_utc AND" if "before_utc" in values else ""
    return rows._fetch(
        f"""
        SELECT id, time_utc FROM (
            SELECT id, time_utc, current_name, confidence, stream, clip, verdict
            FROM detections INDEXED BY detections_in_order WHERE {begin} confirmed
            ORDER BY time_utc DESC, id DESC LIMIT {LOOKED_THROUGH}
        ) WHERE {where} LIMIT :n
        """,
        {**values, "taxa": json.dumps(taxa)},
    )


def in_full(rows: Rows, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of the view ``detections_in_full``, in the order of their numbers as given; unknown ones are left out."""
    wanted = json.dumps(list(ids))
    sql = "SELECT * FROM detections_in_full WHERE id IN (SELECT value FROM json_each(:ids))"
    found = {row["id"]: row for row in rows._fetch(sql, {"ids": wanted})}
    return [found[one] for one in ids if one in found]


def newer_than(rows: Rows, number: int, n: int) -> list[dict[str, Any]]:
    """Confirmed detections with a greater number, oldest first, at most `n`."""
    return rows._fetch(
        "SELECT * FROM detections_in_full WHERE id > :number ORDER BY id LIMIT :n", {"number": number, "n": n}
    )


def last_number(rows: Rows) -> int:
    """The greatest number of a detection, 0 for none."""
    return int(rows._fetch("SELECT coalesce(max(id), 0) AS n FROM detections")[0]["n"])


def last_reviews(rows: Rows, n: int) -> list[dict[str, Any]]:
    """The `n` reviews of the greatest numbers. The number of one that was taken back is given to the next."""
    return rows._fetch("SELECT id, detection, time_utc, verdict FROM reviews ORDER BY id DESC LIMIT :n", {"n": n})


def taxa_heard(rows: Rows) -> list[dict[str, Any]]:
    """Each name that a detection has, by its index alone: name."""
    return rows._fetch(
        """
        WITH RECURSIVE found (name) AS (
            SELECT min(current_name) FROM detections INDEXED BY detections_by_taxon WHERE confirmed
            UNION ALL
            SELECT (SELECT min(current_name) FROM detections INDEXED BY detections_by_taxon
                WHERE confirmed AND current_name > found.name)
            FROM found WHERE found.name IS NOT NULL
        )
        SELECT name FROM found WHERE name IS NOT NULL
        """
    )


def between(rows: Rows, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Detections of a stretch of time under the names they have after review, oldest first.

    Keys: id, time_utc, clock_set, scientific_name, common_name, taxon_rank, confidence, clip (None without sound),
    review.
    """
    return rows._fetch(
        """
        SELECT detections.id, time_utc, detections.clock_set, confidence, current_name AS scientific_name,
            CASE WHEN current_name = scientific_name THEN common_name END AS common_name,
            CASE WHEN current_name = scientific_name THEN taxon_rank ELSE 'species' END AS taxon_rank,
            CASE WHEN deleted_utc IS NULL THEN clips.id END AS clip, verdict AS review
        FROM detections INDEXED BY detections_in_order LEFT JOIN clips ON clips.id = detections.clip
        WHERE confirmed AND time_utc >= :since AND time_utc < :until AND verdict IS NOT 'rejected'
        ORDER BY time_utc, detections.id
        """,
        {"since": utc_text(since), "until": utc_text(until)},
    )


def last_before(rows: Rows, name: str, moment: datetime) -> str | None:
    """Beginning of the last detection of a taxon before a moment, in UTC; None where there was none."""
    [row] = rows._fetch(
        "SELECT max(time_utc) AS last FROM detections INDEXED BY detections_by_taxon"
        " WHERE confirmed AND current_name = :name AND time_utc < :before AND verdict IS NOT 'rejected'",
        {"name": name, "before": utc_text(moment)},
    )
    last: str | None = row["last"]
    return last


def firsts(rows: Rows, names: Sequence[str], since: datetime) -> dict[str, str]:
    """Which of the taxa had no record before a moment: "ever", or "season" if none within `SEASON` before it."""
    found = {}
    for name in names:
        last = last_before(rows, name, since)
        if last is None:
            found[name] = "ever"
        elif last < utc_text(since - SEASON):
            found[name] = "season"
    return found


def species_list(rows: Rows) -> list[dict[str, Any]]:
    """Every taxon with how often, when first and when last it was detected, and its greatest confidence.

    Keys: scientific_name, n, first_utc, last_utc, confidence.
    """
    of_taxon = "FROM detections INDEXED BY {} WHERE confirmed AND current_name = name AND verdict IS NOT 'rejected'"
    by_time, by_confidence = of_taxon.format("detections_by_taxon"), of_taxon.format("detections_by_confidence")
    return rows._fetch(
        f"""
        SELECT name AS scientific_name, n,
            (SELECT time_utc {by_time} ORDER BY time_utc LIMIT 1) AS first_utc,
            (SELECT time_utc {by_time} ORDER BY time_utc DESC LIMIT 1) AS last_utc,
            (SELECT confidence {by_confidence} ORDER BY confidence DESC LIMIT 1) AS confidence
        FROM heard_in_all
        """
    )


def history(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Detections of a taxon by half hours of UTC.

    Returns
    -------
    begins : np.ndarray
        ``[n]`` datetime64 in minutes, ascending.
    counts : np.ndarray
        ``[n]`` int64.
    """
    # One text of fixed width: fifty thousand rows one by one would take a fifth of a second.
    sql = f"SELECT group_concat(slot || printf('%0{DIGITS}d', min(n, {10**DIGITS - 1})), '') AS told FROM heard"
    told = rows._fetch(f"{sql} WHERE name = :name", {"name": name})[0]["told"] or ""
    fields = np.dtype([("hour", "S13"), ("colon", "S1"), ("half", "S1"), ("n", f"S{DIGITS}")])
    found = np.frombuffer(told.encode("ascii"), fields)
    begins = found["hour"].astype("datetime64[h]").astype("datetime64[m]")
    begins = begins + 30 * (found["half"] == b"3").astype("timedelta64[m]")
    order = np.argsort(begins, kind="stable")
    return begins[order], found["n"].astype(np.int64)[order]


def best(rows: Rows, name: str, n: int) -> list[dict[str, Any]]:
    """The most confident detections of a taxon whose clip is there, of those with its greatest confidences."""
    found = rows._fetch(
        """
        SELECT likeliest.id FROM (
            SELECT id, clip FROM detections INDEXED BY detections_by_confidence
            WHERE confirmed AND current_name = :name AND clip IS NOT NULL AND verdict IS NOT 'rejected'
            ORDER BY confidence DESC LIMIT 500
        ) AS likeliest JOIN clips ON clips.id = likeliest.clip WHERE deleted_utc IS NULL LIMIT :n
        """,
        {"name": name, "n": n},
    )
    return in_full(rows, [row["id"] for row in found])


def sources(rows: Rows) -> list[str]:
    """Names of the microphones and recordings that were ever heard, the newest first; at most 200."""
    found = rows._fetch("SELECT source, max(id) AS last FROM streams GROUP BY source ORDER BY last DESC LIMIT 200")
    return [row["source"] for row in found]


def clip(rows: Rows, clip_id: int) -> dict[str, Any] | None:
    """A clip that was not deleted: id, path, format, start_s, end_s, created_utc; None if there is none."""
    sql = (
        f"SELECT clips.id, {CLIP_PATH} AS path, format, start_s, end_s, created_utc FROM {CLIPS}"
        " WHERE clips.id = :id AND deleted_utc IS NULL"
    )
    return next(iter(rows._fetch(sql, {"id": clip_id})), None)


def of_clip(rows: Rows, clip_id: int) -> list[dict[str, Any]]:
    """The confirmed detections that a clip has, in their order."""
    return rows._fetch("SELECT * FROM detections_in_full WHERE clip = :id ORDER BY start_s, id", {"id": clip_id})


def _conditions(rows: Rows, asked: Filter) -> tuple[list[str] | None, dict[str, Any]]:
    """Conditions and their values; None where nothing can match."""
    found: dict[str, tuple[str, Any]] = {
        "time_utc >= :since": ("since", asked.since and utc_text(asked.since)),
        "time_utc < :until": ("until", asked.until and utc_text(asked.until)),
        "confidence >= :least": ("least", asked.min_confidence or None),
    }
    asked_for = {condition: pair for condition, pair in found.items() if pair[1] is not None}
    conditions, values = list(asked_for), dict(asked_for.values())
    if asked.source:
        streams = [row["id"] for row in rows._fetch("SELECT id FROM streams WHERE source = :s", {"s": asked.source})]
        if not streams:
            return None, values
        conditions.append("stream IN (SELECT value FROM json_each(:streams))")
        values["streams"] = json.dumps(streams)
    if asked.clip:
        conditions.append(
            "clip IS NOT NULL AND EXISTS (SELECT 1 FROM clips WHERE clips.id = clip AND deleted_utc IS NULL)"
        )
    if asked.review is ReviewState.NONE:
        conditions.append("verdict IS NULL")
    elif asked.review is not ReviewState.ANY:
        conditions.append("verdict = :verdict AND verdict IS NOT NULL")
        values["verdict"] = asked.review.value
    return conditions, values
