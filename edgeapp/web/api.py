"""The API. Every endpoint is one row of `ENDPOINTS`, from which routes and description are made."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import IO, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from edgeapp.clock.zones import zone_of
from edgeapp.detections.pictures import picture_fields
from edgeapp.journal import browsing
from edgeapp.outputs.ebird import Site as EBirdSite
from edgeapp.outputs.export import DOCUMENTS, FORMATS, export, export_documents
from edgeapp.outputs.journal_records import Galleries, birds, record_of
from edgeapp.outputs.records import Record
from edgeapp.web import asking, days, health, reviewing
from edgeapp.web.asking import Wrong
from edgeapp.web.feed import Feed
from edgeapp.web.openapi import PREFIX, TEXT, Endpoint, Parameter, description
from edgeapp.web.pictures import pictures_of, thumbnails_of
from edgeapp.web.settings import change, described_settings
from edgeapp.web.site import Site

EVENT_STREAM = "text/event-stream"
MEDIA_TYPES = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv", "ebird": "text/csv"}
ROWS = 500  # of an export that are read at a time
PIECE_BYTES = 65_536


def detections(request: Request) -> Response:
    site = _site(request)
    asked = request.query_params
    limit = asking.limit_of(asked)
    with site.reading() as reader:
        rows = browsing.page_of(reader, asking.filter_of(site, asked), limit + 1, asking.place_of(asked))
        documents = [_document(reader, row) for row in rows[:limit]]
    following = asking.place_text((rows[limit - 1]["time_utc"], rows[limit - 1]["id"])) if len(rows) > limit else None
    return JSONResponse({"detections": documents, "next": following})


def detection(request: Request) -> Response:
    site, number = _site(request), asking.number_in_path(request, "number")
    with site.reading() as reader:
        row = reader.in_full(number)
        if row is None:
            raise Wrong(f"there is no detection {number}", status=404)
        document = _document(reader, row)
        document["reviews"] = reader.reviews(number)
    return JSONResponse(document)


async def review(request: Request) -> Response:
    site, sent = _site(request), await _sent(request)
    numbers = sent.get("detections")
    if not isinstance(numbers, list):
        raise Wrong("detections is not a list of numbers")
    texts = {key: sent.get(key) or "" for key in ("verdict", "name", "note", "reviewer")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise Wrong("verdict, name, note and reviewer are texts")
    asked = reviewing.asked_of(asking.numbers_of(numbers), **texts, new=sent.get("new") is True)
    written, states = await run_in_threadpool(reviewing.review, site, asked)
    return JSONResponse({"reviews": written, "states": states}, 201)


async def undo(request: Request) -> Response:
    site, sent = _site(request), await _sent(request)
    reviews = sent.get("reviews")
    if not isinstance(reviews, list):
        raise Wrong("reviews is not a list of numbers")
    states = await run_in_threadpool(reviewing.undo, site, asking.numbers_of(reviews))
    return JSONResponse({"undone": len(reviews), "states": states})


def day(request: Request) -> Response:
    site = _site(request)
    with site.reading() as reader:
        summary = days.summary_of(site, reader, asking.day_of(request.path_params["day"]))
    return JSONResponse(asdict(summary))


def species(request: Request) -> Response:
    site = _site(request)
    with site.reading() as reader:
        rows = browsing.species_list(reader)
    return JSONResponse({"species": [{**row, "common_name": site.common_name(row["scientific_name"])} for row in rows]})


def taxon(request: Request) -> Response:
    site, name = _site(request), " ".join(request.path_params["name"].split())
    with site.reading() as reader:
        history = days.history_of(reader, name)
    for key in ("first", "last"):
        history[key] = history[key] and history[key].isoformat()
    history["days"] = {day.isoformat(): n for day, n in history["days"].items()}
    return JSONResponse(
        {
            "scientific_name": name,
            "common_name": site.common_name(name) or None,
            "history": history,
            "expected": days.expected_in(site, name),
            "pictures": picture_fields(pictures_of(site, name)),
        }
    )


def photos(request: Request) -> Response:
    site, name = _site(request), " ".join(request.query_params.get("taxon", "").split())
    if not name:
        raise Wrong("no taxon is named", "give taxon, a scientific name")
    shown = list(thumbnails_of(site, [name]).values())
    told = {"pictures": picture_fields(pictures_of(site, name)), "thumbnail": None}
    return JSONResponse({**told, "thumbnail": picture_fields(shown)[0]} if shown else told)


def names(request: Request) -> Response:
    return JSONResponse({"names": _site(request).suggest(request.query_params.get("q", "")[:100])})


def status(request: Request) -> Response:
    return JSONResponse(health.status_of(_site(request)))


def examination(request: Request) -> Response:
    found = health.examined(_site(request), anew="check" in request.query_params)
    return JSONResponse({"findings": [{**asdict(one), "state": one.state.value} for one in found]})


def settings(request: Request) -> Response:
    site = _site(request)
    return JSONResponse({"settings": described_settings(site), "thresholds": dict(site.settings.thresholds)})


async def change_settings(request: Request) -> Response:
    site, sent = _site(request), await _sent(request)
    if not all(isinstance(value, str) for value in sent.values()):
        raise Wrong("values of settings are sent as texts")
    waits = await run_in_threadpool(change, site, sent)
    return JSONResponse({"at_the_next_start": waits})


def exported(request: Request) -> Response:
    site, asked = _site(request), request.query_params
    format = asked.get("format", "csv")
    if format not in FORMATS:
        raise Wrong(f"format {format[:20]!r} is unknown", f"use {', '.join(FORMATS)}")
    zone = zone_of(asked.get("zone") or None)
    place = asked.get("location", "").strip()
    if format == "ebird" and not place:
        raise Wrong("eBird needs the name of the location", "give location")
    wanted = asking.filter_of(site, asked)
    ebird = EBirdSite(place, zone, asked.get("state", ""), asked.get("country", "")) if format == "ebird" else None

    # Closed once it was sent.
    out = tempfile.TemporaryFile(  # noqa: SIM115
        "w+", encoding="utf-8", errors="replace", newline=""
    )
    try:
        rows = _rows(site, wanted)
        if format in DOCUMENTS:
            with site.reading() as reader:
                export_documents((_document(reader, row) for row in rows), format, out)
        else:
            galleries = Galleries()
            share = site.settings.station.share_location
            records: Iterator[Record] = (record_of(row, galleries, site.naming, share) for row in rows)
            records = records if ebird is None else birds(records, galleries, Counter())
            export(records, format, out, zone, ebird)
    except BaseException:
        out.close()
        raise
    ending = {"raven": "txt", "audacity": "txt", "kaleidoscope": "csv", "ebird": "csv"}.get(format, format)
    headers = {"Content-Disposition": f'attachment; filename="detections.{ending}"', "Content-Length": str(out.tell())}
    return StreamingResponse(_pieces(out), media_type=MEDIA_TYPES.get(format, "text/plain"), headers=headers)


async def events(request: Request) -> Response:
    feed: Feed = request.app.state.feed
    last = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
    return StreamingResponse(feed.follow(last), media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


async def sound(request: Request) -> Response:
    site = _site(request)
    if site.station is None:
        raise Wrong("no station listens in this program", "use `biovita-edge listen --web`", 404)
    return StreamingResponse(site.station.live.sound(), media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


def openapi(request: Request) -> Response:
    return JSONResponse(description(ENDPOINTS))


FILTER = (
    Parameter("taxon", "Any name of a taxon, at any rank.", example="Paridae"),
    Parameter("since", "Start: a day, or a time.", example="2026-05-22"),
    Parameter("until", "End: a day, which is included, or a time, which is not.", example="2026-05-22T10:30:00Z"),
    Parameter("min_confidence", "0 to 1.", "number", 0.5),
    Parameter("source", "Name of a microphone or recording.", example="USB microphone"),
    Parameter("review", "any, unreviewed, confirmed, rejected or corrected.", example="unreviewed"),
    Parameter("clip", "1: only those with a clip.", example="1"),
)
PAGING = (
    Parameter("limit", f"At most so many, up to {asking.MOST}.", "integer", asking.PAGE),
    Parameter("before", "`next` of the page before.", example="2026-05-22T05:00:12.000Z_17"),
)
_NUMBERS = {"type": "array", "items": {"type": "integer"}}
REVIEW = {
    "type": "object",
    "required": ["detections", "verdict"],
    "properties": {
        "detections": _NUMBERS,
        "verdict": {"enum": ["confirmed", "rejected", "corrected"]},
        "name": TEXT,
        "new": {"type": "boolean", "description": "Take a name that no list of taxa has."},
        "note": TEXT,
        "reviewer": TEXT,
    },
    "example": {"detections": [1], "verdict": "corrected", "name": "Kohlmeise", "reviewer": "Ann"},
}
UNDO = {"type": "object", "required": ["reviews"], "properties": {"reviews": _NUMBERS}, "example": {"reviews": [1]}}
CHANGES = {
    "type": "object",
    "additionalProperties": TEXT,
    "example": {"detections.min_confidence": "0.4", "thresholds.Parus major": "0.6"},
}

ENDPOINTS = (
    Endpoint("GET", "/detections", detections, "Detection documents by filter, newest first.", (*FILTER, *PAGING)),
    Endpoint("GET", "/detections/{number}", detection, "One detection, with its reviews and pictures."),
    Endpoint("POST", "/reviews", review, "Review detections, all or none.", body=REVIEW),
    Endpoint("POST", "/reviews/undo", undo, "Take reviews back.", body=UNDO),
    Endpoint("GET", "/days/{day}", day, "Species by hour of a day."),
    Endpoint("GET", "/species", species, "Every taxon that was detected."),
    Endpoint("GET", "/species/{name:path}", taxon, "One taxon: history, occurrence, pictures."),
    Endpoint(
        "GET",
        "/pictures",
        photos,
        "Pictures of a taxon or of its relatives, and the one that stands for it in lists.",
        (Parameter("taxon", "Scientific name.", example="Parus major"),),
    ),
    Endpoint(
        "GET",
        "/names",
        names,
        "Completion of names in every language.",
        (Parameter("q", "What was typed.", example="kohlm"),),
    ),
    Endpoint("GET", "/status", status, "State of the station, as in its status file; null without one."),
    Endpoint(
        "GET", "/health", examination, "What `doctor` finds.", (Parameter("check", "Examine anew.", example="1"),)
    ),
    Endpoint("GET", "/settings", settings, "All settings with their help."),
    Endpoint("PATCH", "/settings", change_settings, "Change settings.", body=CHANGES),
    Endpoint(
        "GET",
        "/export",
        exported,
        "Detections in the format of another program, newest first.",
        (
            *FILTER,
            Parameter("format", f"{', '.join(FORMATS)}.", example="csv"),
            Parameter("zone", "Time zone of the output.", example="Europe/Berlin"),
            Parameter("location", "Name of the place, for eBird.", example="My garden"),
            Parameter("state", "Code of the state, for eBird.", example="NY"),
            Parameter("country", "Code of the country, for eBird.", example="US"),
        ),
        gives="text/plain",
    ),
    Endpoint(
        "GET",
        "/events",
        events,
        "Server-sent events: window, detection, microphone, review, problem; `missed` after too long an absence.",
        (Parameter("last_event_id", "Goes on after this one; as the header Last-Event-ID.", example="0a1b2c3d-17"),),
        gives=EVENT_STREAM,
    ),
    Endpoint("GET", "/sound", sound, "Server-sent events: columns of each source's spectrogram.", gives=EVENT_STREAM),
    Endpoint("GET", "/openapi.json", openapi, "This description."),
)
ROUTES = tuple(Route(f"{PREFIX}{one.path}", one.answer, methods=[one.method]) for one in ENDPOINTS)


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def _rows(site: Site, wanted: browsing.Filter) -> Iterator[Mapping[str, Any]]:
    """All detections of a filter, newest first."""
    before = None
    while True:
        with site.reading() as reader:
            page = browsing.page_of(reader, wanted, ROWS, before)
        yield from page
        if len(page) < ROWS:
            return
        before = page[-1]["time_utc"], page[-1]["id"]


def _pieces(file: IO[str]) -> Iterator[bytes]:
    with file:
        raw = file.buffer  # type: ignore[attr-defined]
        raw.seek(0)
        while piece := raw.read(PIECE_BYTES):
            yield piece


def _document(reader: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """The detection document, with the numbers of the row and of its clip."""
    document: dict[str, Any] = reader.document(row)
    has_clip = row["clip_path"] is not None
    return {"number": row["id"], "clip_number": row["clip"] if has_clip else None, **document}


async def _sent(request: Request) -> dict[str, Any]:
    try:
        sent = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Wrong("the request is not JSON") from None
    if not isinstance(sent, dict):
        raise Wrong("the request is not a JSON object")
    return sent
