"""The pages for reading. They are whole without JavaScript."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edgeapp.config.settings import SECTIONS as SETTING_SECTIONS
from edgeapp.config.settings import SETTINGS
from edgeapp.journal import browsing
from edgeapp.journal.documents import document_of
from edgeapp.outputs.export import FORMATS
from edgeapp.web import asking, days, health
from edgeapp.web.asking import Wrong
from edgeapp.web.pictures import pictures_of, pictures_of_row, thumbnails_of
from edgeapp.web.rendering import Renderer
from edgeapp.web.settings import described_settings
from edgeapp.web.site import Site
from gallery.taxon import RANKS

NEWEST = 20  # detections on the first page
BEST = 6  # clips of a species


def now(request: Request) -> Response:
    """What is heard at this moment."""
    site: Site = request.app.state.site
    with site.reading() as reader:
        newest = views(site, reader, browsing.page_of(reader, browsing.Filter(), NEWEST))
    told = health.status_of(site)
    return _page(request, "now", {"newest": newest, "status": told})


def today(request: Request) -> Response:
    """To the page of the day that the form names, or of this day."""
    named = request.query_params.get("day", "").strip()
    which = asking.day_of(named) if named else date.today()
    return RedirectResponse(f"/day/{which.isoformat()}", 307)


def day(request: Request) -> Response:
    """Species by hour of one day."""
    site: Site = request.app.state.site
    which = asking.day_of(request.path_params["day"])
    with site.reading() as reader:
        summary = days.summary_of(site, reader, which)
    shown = thumbnails_of(site, [one.scientific_name for one in summary.taxa])
    near = {"before": which - timedelta(days=1), "after": which + timedelta(days=1)}
    return _page(request, "day", {"day": which, "summary": summary, "thumbnails": shown, **near})


def detections(request: Request) -> Response:
    """A list of detections by filter."""
    site: Site = request.app.state.site
    asked = request.query_params
    limit = asking.limit_of(asked)
    with site.reading() as reader:
        rows = browsing.page_of(reader, asking.filter_of(site, asked), limit + 1, asking.place_of(asked))
        found = views(site, reader, rows[:limit])
        names = browsing.sources(reader)
    following = ""
    if len(rows) > limit:
        following = asking.place_text((rows[limit - 1]["time_utc"], rows[limit - 1]["id"]))
    keys = ("taxon", "since", "until", "min_confidence", "source", "review", "clip", "limit")
    chosen = {key: asked.get(key, "") for key in keys}
    context = {"rows": found, "next": following, "chosen": chosen, "sources": names, "formats": FORMATS}
    return _page(request, "detections", {**context, "states": list(browsing.ReviewState)})


def detection(request: Request) -> Response:
    """One detection, with its clip, its pictures and its reviews."""
    site: Site = request.app.state.site
    number = asking.number_in_path(request, "number")
    with site.reading() as reader:
        row = reader.in_full(number)
        if row is None:
            raise Wrong(f"there is no detection {number}", status=404)
        [view] = views(site, reader, [row])
        others = views(site, reader, browsing.of_clip(reader, row["clip"])) if view["clip_id"] is not None else []
        reviews = reader.reviews(number)
        shown = pictures_of_row(site, reader, row, [one["scientific_name"] for one in view["candidates"]])
        document = reader.document(row)
    context = {"one": view, "others": others, "reviews": reviews, "pictures": shown}
    context["thumbnails"] = thumbnails_of(site, [one["scientific_name"] for one in view["candidates"]])
    return _page(request, "detection", {**context, "document": json.dumps(document, indent=2, ensure_ascii=False)})


def species_list(request: Request) -> Response:
    """Every taxon that was detected."""
    site: Site = request.app.state.site
    order = request.query_params.get("order", "last")
    with site.reading() as reader:
        rows = browsing.species_list(reader)
    for row in rows:
        row["common_name"] = site.common_name(row["scientific_name"])
    keys = {
        "last": lambda row: row["last_utc"],
        "first": lambda row: row["first_utc"],
        "count": lambda row: row["n"],
    }
    if order in keys:
        rows.sort(key=keys[order], reverse=True)
    else:
        rows.sort(key=lambda row: row["scientific_name"])
    shown = thumbnails_of(site, [row["scientific_name"] for row in rows])
    return _page(request, "species", {"rows": rows, "order": order, "thumbnails": shown})


def taxon(request: Request) -> Response:
    """One taxon: pictures, history, best clips, what the range says."""
    site: Site = request.app.state.site
    name = " ".join(request.path_params["name"].split())
    known = site.heard_taxon(name)
    name = known.scientific_name if known is not None else name
    ranks = [(rank, known.at(rank)) for rank in RANKS if known.at(rank)] if known is not None else []
    with site.reading() as reader:
        history = days.history_of(reader, name)
        best = views(site, reader, browsing.best(reader, name, BEST))
    if not history["n"] and not site.names.is_rank(name):
        raise Wrong(f"{name} is neither in the gallery nor in the journal", status=404)
    context = {
        "name": name,
        "common_name": site.common_name(name),
        "ranks": ranks,
        "history": history,
        "best": best,
        "pictures": pictures_of(site, name),
        "expected": days.expected_in(site, name),
    }
    return _page(request, "taxon", context)


def health_page(request: Request) -> Response:
    """State of the station, and what was found; an examination takes seconds, so the page is there before it."""
    site: Site = request.app.state.site
    found = health.examined(site, anew=True) if "check" in request.query_params else health.known(site)
    return _page(request, "health", {"status": health.status_of(site), "findings": found, "log": health.log_of(site)})


def settings_page(request: Request) -> Response:
    """All settings with their help."""
    site: Site = request.app.state.site
    about = {section: (kind.__doc__ or "").strip() for section, kind in SETTING_SECTIONS.items()}
    context = {"settings": described_settings(site, SETTINGS), "about": about}
    return _page(request, "settings", {**context, "file": str(site.settings.file or "")})


def views(site: Site, reader: Any, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the journal as templates show them, each with the photo of its taxon."""
    found = [view_of(site, row, reader.candidates(row["id"])) for row in rows]
    shown = thumbnails_of(site, [one["taxon"]["scientific_name"] for one in found])
    return [{**one, "thumbnail": shown.get(one["taxon"]["scientific_name"])} for one in found]


def view_of(site: Site, row: Mapping[str, Any], candidates: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the journal as templates show it."""
    document = document_of(row, candidates, site.naming)
    has_clip = row["clip_path"] is not None
    length = (row["clip_end_s"] - row["clip_start_s"]) if has_clip else 0.0
    corrected = row["review_name"] or ""
    return {
        "number": row["id"],
        "time": row["time_utc"],
        "clock_set": row["clock_set"],
        "taxon": document["taxon"],
        "confidence": row["confidence"],
        "candidates": document["candidates"],
        "source": row["source"],
        "start_s": row["start_s"],
        "end_s": row["end_s"],
        "level_dbfs": row["level_dbfs"],
        "review": row["review"] or "",
        "corrected": corrected,
        "corrected_common": site.common_name(corrected) if corrected else "",
        "reviewer": row["reviewer"],
        "clip_id": row["clip"] if has_clip else None,
        "clip_s": length,
        "from_s": max(0.0, row["start_s"] - row["clip_start_s"]) if has_clip else 0.0,
        "to_s": min(length, row["end_s"] - row["clip_start_s"]) if has_clip else 0.0,
    }


def _page(request: Request, template: str, context: dict[str, Any]) -> Response:
    renderer: Renderer = request.app.state.renderer
    return renderer.page(request, template, context)


ROUTES = (
    Route("/", now),
    Route("/day", today),
    Route("/day/{day}", day),
    Route("/detections", detections),
    Route("/detections/{number}", detection),
    Route("/species", species_list),
    Route("/species/{name:path}", taxon),
    Route("/health", health_page),
    Route("/settings", settings_page),
)
