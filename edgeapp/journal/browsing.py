"""Queries of the web page: pages of detections by filter, species by hour, first records, history of a species.

They stay fast in a journal of a million detections: each reads an index from one end and stops, or reads nothing but an
index (`detections_in_order`, `detections_by_taxon`). What a reviewer rejected counts nowhere; what was corrected counts
under its corrected name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol

from edgeapp.clock.utc import utc_text
from edgeapp.detections.review import ReviewVerdict

SEASON = timedelta(days=90)  # without a record for so long, the next one is the first of a season
SLOT_LETTERS = 15  # of a UTC text: ten minutes, "2026-05-22T05:1"
_LAST_REVIEW = "(SELECT max(id) FROM reviews WHERE reviews.detection = detections.id)"


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
        Scientific names, one of which was detected; None takes every one.
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


@dataclass(frozen=True)
class Slot:
    """Detections of one taxon within ten minutes.

    Attributes
    ----------
    begins_utc : str
        The first `SLOT_LETTERS` of its UTC text.
    scientific_name : str
    n : int
    """

    begins_utc: str
    scientific_name: str
    n: int


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
    conditions, values = _conditions(asked)
    if before is not None:
        conditions.append("(time_utc, id) < (:before_utc, :before_id)")
        values |= {"before_utc": before[0], "before_id": before[1]}
    index, found = "INDEXED BY detections_in_order", []
    taxa: Sequence[str | None] = [None]
    if asked.taxa is not None:
        there = {row["scientific_name"] for row in taxa_heard(rows)}
        taxa, index = [name for name in asked.taxa if name in there], "INDEXED BY detections_by_taxon"
    for taxon in taxa:
        of_taxon = ["scientific_name = :taxon"] if taxon is not None else []
        where = " AND ".join(["confirmed", *of_taxon, *conditions])
        sql = f"SELECT id, time_utc FROM detections {index} WHERE {where} ORDER BY time_utc DESC, id DESC LIMIT :n"
        found += rows._fetch(sql, {**values, "n": n, "taxon": taxon})
    found.sort(key=lambda row: (row["time_utc"], row["id"]), reverse=True)
    return in_full(rows, [row["id"] for row in found[:n]])


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


def taxa_heard(rows: Rows) -> list[dict[str, Any]]:
    """Each taxon that was ever detected, by its index alone: scientific_name."""
    return rows._fetch(
        """
        WITH RECURSIVE heard (name) AS (
            SELECT min(scientific_name) FROM detections INDEXED BY detections_by_taxon WHERE confirmed
            UNION ALL
            SELECT (SELECT min(scientific_name) FROM detections INDEXED BY detections_by_taxon
                WHERE confirmed AND scientific_name > heard.name)
            FROM heard WHERE heard.name IS NOT NULL
        )
        SELECT name AS scientific_name FROM heard WHERE name IS NOT NULL
        """
    )


def between(rows: Rows, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Detections of a stretch of time under the names they have after review, oldest first.

    Keys: id, time_utc, clock_set, scientific_name, common_name, taxon_rank, confidence, clip (None without sound),
    review.
    """
    return rows._fetch(
        f"""
        SELECT detections.id, detections.time_utc, detections.clock_set, detections.confidence,
            coalesce(corrected.name, detections.scientific_name) AS scientific_name,
            CASE WHEN corrected.name IS NULL THEN common_name END AS common_name,
            CASE WHEN corrected.name IS NULL THEN taxon_rank ELSE 'species' END AS taxon_rank,
            CASE WHEN clips.deleted_utc IS NULL THEN clips.id END AS clip, verdict AS review
        FROM detections INDEXED BY detections_in_order
        LEFT JOIN clips ON clips.id = detections.clip
        LEFT JOIN reviews AS corrected ON corrected.id = {_LAST_REVIEW}
        WHERE confirmed AND detections.time_utc >= :since AND detections.time_utc < :until
            AND coalesce(verdict, '') <> 'rejected'
        ORDER BY detections.time_utc, detections.id
        """,
        {"since": utc_text(since), "until": utc_text(until)},
    )


def firsts(rows: Rows, names: Sequence[str], since: datetime) -> dict[str, str]:
    """Which of the taxa had no record before a moment: "ever", or "season" if none within `SEASON` before it."""
    found = {}
    for name in names:
        [row] = rows._fetch(
            "SELECT max(time_utc) AS last FROM detections INDEXED BY detections_by_taxon"
            " WHERE confirmed AND scientific_name = :name AND time_utc < :since",
            {"name": name, "since": utc_text(since)},
        )
        if row["last"] is None:
            found[name] = "ever"
        elif row["last"] < utc_text(since - SEASON):
            found[name] = "season"
    return found


def species_list(rows: Rows) -> list[dict[str, Any]]:
    """Every taxon with how often, when first and when last it was detected, and its greatest confidence.

    Keys: scientific_name, n, first_utc, last_utc, confidence. Reviews are taken into account for `n` alone.
    """
    found = rows._fetch(
        "SELECT scientific_name, count(*) AS n, min(time_utc) AS first_utc, max(time_utc) AS last_utc,"
        " max(confidence) AS confidence FROM detections INDEXED BY detections_by_taxon WHERE confirmed"
        " GROUP BY scientific_name"
    )
    by_name = {row["scientific_name"]: row for row in found}
    for one in _reviewed(rows):
        if one["scientific_name"] in by_name:
            by_name[one["scientific_name"]]["n"] -= 1
        if one["verdict"] == ReviewVerdict.CORRECTED:
            row = by_name.setdefault(
                one["name"],
                {
                    "scientific_name": one["name"],
                    "n": 0,
                    "first_utc": one["time_utc"],
                    "last_utc": one["time_utc"],
                    "confidence": None,
                },
            )
            row["n"] += 1
            row["first_utc"] = min(row["first_utc"], one["time_utc"])
            row["last_utc"] = max(row["last_utc"], one["time_utc"])
    return [row for row in by_name.values() if row["n"] > 0]


def history(rows: Rows, name: str, since: datetime | None = None) -> Iterator[Slot]:
    """Detections of a taxon in slots of ten minutes, under the names they have after review."""
    begin = "" if since is None else utc_text(since)
    counted: dict[str, int] = {
        row["slot"]: row["n"]
        for row in rows._fetch(
            f"SELECT substr(time_utc, 1, {SLOT_LETTERS}) AS slot, count(*) AS n"
            " FROM detections INDEXED BY detections_by_taxon"
            " WHERE confirmed AND scientific_name = :name AND time_utc >= :begin GROUP BY slot",
            {"name": name, "begin": begin},
        )
    }
    for one in _reviewed(rows):
        if one["time_utc"] < begin:
            continue
        slot = one["time_utc"][:SLOT_LETTERS]
        if one["scientific_name"] == name:
            counted[slot] = counted.get(slot, 0) - 1
        if one["verdict"] == ReviewVerdict.CORRECTED and one["name"] == name:
            counted[slot] = counted.get(slot, 0) + 1
    for slot, n in sorted(counted.items()):
        if n > 0:
            yield Slot(slot, name, n)


def best(rows: Rows, name: str, n: int, tried: int = 500) -> list[dict[str, Any]]:
    """The most confident detections of a taxon whose clip is there, of those with its greatest confidences."""
    found = rows._fetch(
        """
        SELECT likeliest.id FROM (
            SELECT id, clip FROM detections INDEXED BY detections_by_confidence
            WHERE confirmed AND scientific_name = :name ORDER BY confidence DESC LIMIT :tried
        ) AS likeliest JOIN clips ON clips.id = likeliest.clip WHERE deleted_utc IS NULL LIMIT :n
        """,
        {"name": name, "n": n, "tried": tried},
    )
    return in_full(rows, [row["id"] for row in found])


def sources(rows: Rows) -> list[str]:
    """Names of the microphones and recordings that were ever heard, the newest first; at most 200."""
    found = rows._fetch("SELECT source, max(id) AS last FROM streams GROUP BY source ORDER BY last DESC LIMIT 200")
    return [row["source"] for row in found]


def clip(rows: Rows, clip_id: int) -> dict[str, Any] | None:
    """A clip that was not deleted: id, path, format, start_s, end_s, created_utc; None if there is none."""
    sql = "SELECT id, path, format, start_s, end_s, created_utc FROM clips WHERE id = :id AND deleted_utc IS NULL"
    return next(iter(rows._fetch(sql, {"id": clip_id})), None)


def of_clip(rows: Rows, clip_id: int) -> list[dict[str, Any]]:
    """The confirmed detections that a clip has, in their order."""
    return rows._fetch("SELECT * FROM detections_in_full WHERE clip = :id ORDER BY start_s, id", {"id": clip_id})


def _reviewed(rows: Rows) -> list[dict[str, Any]]:
    """Detections that were rejected or corrected: scientific_name, time_utc, verdict, name."""
    return rows._fetch(
        f"""
        SELECT scientific_name, detections.time_utc, verdict, name
        FROM reviews JOIN detections ON detections.id = reviews.detection
        WHERE verdict <> 'confirmed' AND confirmed AND reviews.id = {_LAST_REVIEW}
        """
    )


def _conditions(asked: Filter) -> tuple[list[str], dict[str, Any]]:
    found: dict[str, tuple[str, Any]] = {
        "time_utc >= :since": ("since", asked.since and utc_text(asked.since)),
        "time_utc < :until": ("until", asked.until and utc_text(asked.until)),
        "confidence >= :least": ("least", asked.min_confidence or None),
        "stream IN (SELECT id FROM streams WHERE source = :source)": ("source", asked.source or None),
    }
    asked_for = {condition: pair for condition, pair in found.items() if pair[1] is not None}
    conditions, values = list(asked_for), dict(asked_for.values())
    if asked.clip:
        conditions.append("clip IN (SELECT id FROM clips WHERE deleted_utc IS NULL)")
    if asked.review is ReviewState.NONE:
        conditions.append("NOT EXISTS (SELECT 1 FROM reviews WHERE detection = detections.id)")
    elif asked.review is not ReviewState.ANY:
        conditions.append(f"id IN (SELECT detection FROM reviews WHERE verdict = :verdict AND id = {_OF_DETECTION})")
        values["verdict"] = asked.review.value
    return conditions, values


_OF_DETECTION = "(SELECT max(one.id) FROM reviews AS one WHERE one.detection = reviews.detection)"
