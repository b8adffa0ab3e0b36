"""The application: every route, and what stands before it."""

from __future__ import annotations

import logging
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from edgeapp.errors import BiovitaError, OutputError, UsageError
from edgeapp.journal import JournalError
from edgeapp.journal.database import NoSuchRowError
from edgeapp.web import api, forms, media, pages
from edgeapp.web.access import Access
from edgeapp.web.asking import Wrong
from edgeapp.web.feed import Feed
from edgeapp.web.guard import Guard, TooLarge
from edgeapp.web.rendering import Renderer
from edgeapp.web.site import Site

log = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
# The first kind that an error is of.
STATUS = {NoSuchRowError: 404, JournalError: 503, OutputError: 503, UsageError: 400}


def application(site: Site, access: Access, feed: Feed) -> ASGIApp:
    """The pages and the API of a journal.

    Parameters
    ----------
    site : Site
    access : Access
    feed : Feed
    """
    app = Starlette(
        routes=[
            *pages.ROUTES,
            *forms.ROUTES,
            *media.ROUTES,
            *api.ROUTES,
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ],
        exception_handlers={
            TooLarge: _too_large,  # type: ignore[dict-item]
            BiovitaError: _explained,  # type: ignore[dict-item]  # Starlette types handlers by Exception
            HTTPException: _http,  # type: ignore[dict-item]
            OSError: _full,  # type: ignore[dict-item]
            Exception: _unexpected,
        },
    )
    app.state.site = site
    app.state.access = access
    app.state.renderer = Renderer(site, access)
    app.state.feed = feed
    return Guard(app, access)


def _explained(request: Request, error: BiovitaError) -> Response:
    status = _status(error)
    if status >= 500:
        log.warning("%s", error)
    return _problem(request, status, error.what, error.remedy)


def _status(error: BiovitaError) -> int:
    if isinstance(error, Wrong):
        return error.status
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            return status
    return 500


def _too_large(request: Request, error: TooLarge) -> Response:
    return _problem(request, 413, "the request is too large or too slow", "")


def _full(request: Request, error: OSError) -> Response:
    log.warning("%s %s: %s", request.method, request.url.path, error)
    return _problem(request, 503, f"the disk does not take or give it ({error.strerror})", "check the free space")


def _http(request: Request, error: HTTPException) -> Response:
    what = "there is no such page" if error.status_code == 404 else str(error.detail)
    return _problem(request, error.status_code, what, "", dict(error.headers or {}))


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s: %r", request.method, request.url.path, error, exc_info=error)
    return _problem(request, 500, "the page failed", "see the log of the program")


def _problem(request: Request, status: int, what: str, remedy: str, headers: dict[str, str] | None = None) -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": what, "remedy": remedy or None}, status, headers)
    renderer: Renderer = request.app.state.renderer
    return renderer.page(request, "problem", {"what": what, "remedy": remedy, "status": status}, status, headers)
