"""HTML from templates. Whatever is shown is escaped, and cannot change the look of what stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from edgeapp.clock.utc import utc_of
from edgeapp.web.access import COOKIE, Access
from edgeapp.web.site import Site

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Controls but tab and line feed, and what turns the direction of text around: they say nothing, and hide much.
_UNSEEN = {
    **dict.fromkeys((*range(0x09), 0x0B, 0x0C, *range(0x0D, 0x20), *range(0x7F, 0xA0)), REPLACEMENT),
    **dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF), REPLACEMENT),
    **dict.fromkeys(range(0xD800, 0xE000), REPLACEMENT),  # halves of characters, which UTF-8 cannot carry
}
SECTIONS = (
    ("now", "/", "Now"),
    ("day", "/day", "Day"),
    ("detections", "/detections", "Detections"),
    ("species", "/species", "Species"),
    ("health", "/health", "Health"),
    ("settings", "/settings", "Settings"),
)


def seen(text: object) -> object:
    """A value as a page shows it: text without unseen characters."""
    return text.translate(_UNSEEN) if type(text) is str else text


class Renderer:
    """Makes pages.

    Parameters
    ----------
    site : Site
    access : Access
    """

    def __init__(self, site: Site, access: Access) -> None:
        self._site = site
        self._access = access
        compiled()

    def page(
        self,
        request: Request,
        template: str,
        context: Mapping[str, Any],
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> HTMLResponse:
        """A page from a template of this name."""
        station = self._site.station
        made = compiled().get_template(f"{template}.html.j2")
        text = made.render(
            **context,
            site=self._site,
            sections=SECTIONS,
            section=template,
            is_live=station is not None,
            last_event=station.live.events.last_id if station is not None else "",
            logged_in=self._access.password is not None and self._access.allows(request.cookies.get(COOKIE)),
            offset_min=offset_min(),
            here=_here(request),
            said=request.query_params.get("said", "")[:300],
            undo=request.query_params.get("undo", "")[:3000],
        )
        return HTMLResponse(text, status, headers)


@cache
def compiled() -> Environment:
    """All templates, compiled: the first who asks for a page should not wait for it."""
    # Not `seen` for what templates have made already, which is `Markup`.
    templates = Environment(
        loader=PackageLoader("edgeapp.web"),
        autoescape=True,
        finalize=seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "local": local,
        "clock": clock,
        "percent": percent,
        "path": lambda text: quote(str(text), safe=""),
        "query": lambda pairs: urlencode({key: value for key, value in pairs.items() if value not in (None, "")}),
        "number": lambda value: f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}"),
        "short": lambda source: source.rsplit("/", 1)[-1] or source,
    }
    for template in templates.list_templates():
        templates.get_template(template)
    return templates


def local(text: str | None, clock_set: int | str | None = 1) -> str:
    """A stored time as local time, with a question mark where the clock was not set."""
    if text is None:
        return "\N{EN DASH}"
    told = utc_of(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return told if clock_set not in (0, "unset") else f"{told} ?"


def clock(text: str) -> str:
    """The time of the day of a stored time."""
    return utc_of(text).astimezone().strftime("%H:%M:%S")


def percent(confidence: float | None) -> str:
    """A confidence."""
    return "\N{EN DASH}" if confidence is None else f"{100 * confidence:.0f}\N{NARROW NO-BREAK SPACE}%"


def offset_min() -> int:
    """Minutes by which the local time is ahead of UTC."""
    return round((datetime.now().astimezone().utcoffset() or timedelta()) / timedelta(minutes=1))


def _here(request: Request) -> str:
    """Path and query of a request, to come back to; without what was said last."""
    kept = [(key, value) for key, value in request.query_params.multi_items() if key not in ("said", "undo")]
    path = quote(request.url.path)
    return f"{path}?{urlencode(kept)}" if kept else path
