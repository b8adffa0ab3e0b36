"""What forms send: log-in, reviews, settings, learning. Each answer leads back to a page; no JavaScript is needed."""

from __future__ import annotations

import math
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edgeapp.web import asking, reviewing
from edgeapp.web.access import COOKIE, SESSION_S, Access
from edgeapp.web.asking import Wrong
from edgeapp.web.rendering import Renderer
from edgeapp.web.settings import change
from edgeapp.web.site import Site

MOST_FIELDS = 1_200


async def login_page(request: Request) -> Response:
    """The form for the password."""
    return _login(request, "")


async def login(request: Request) -> Response:
    """Begin a session."""
    access: Access = request.app.state.access
    client = request.client.host if request.client else ""
    wait_s = access.throttle.wait_s(client)
    if wait_s > 0:
        return _login(request, f"Too many wrong passwords. Try again in {math.ceil(wait_s)} s.", 429, wait_s)
    form = await _form(request)
    token = await run_in_threadpool(access.begin, _text(form, "password"), client)
    if token is None:
        return _login(request, "Wrong password.", 403)
    answer = RedirectResponse(_inside(request.query_params.get("next", "/")), 303)
    encrypted = request.headers.get("origin", "").startswith("https:")  # as the browser sees it, before a proxy
    answer.set_cookie(COOKIE, token, max_age=int(SESSION_S), httponly=True, samesite="strict", secure=encrypted)
    return answer


async def logout(request: Request) -> Response:
    """End the session."""
    access: Access = request.app.state.access
    access.end(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE)
    return answer


async def review(request: Request) -> Response:
    """Review the chosen detections."""
    site: Site = request.app.state.site
    form = await _form(request)
    numbers = asking.numbers_of([str(value) for value in form.getlist("detection")])
    asked = reviewing.asked_of(
        numbers,
        _text(form, "verdict"),
        _text(form, "name") if _text(form, "verdict") == "corrected" else "",
        _text(form, "note"),
        _text(form, "reviewer"),
        _text(form, "new") != "",
    )
    written, _ = await run_in_threadpool(reviewing.review, site, asked)
    many = f"{len(numbers)} detections" if len(numbers) > 1 else f"Detection {numbers[0]}"
    return _back(form, f"{many}: {asked.verdict.value}", ",".join(map(str, written)))


async def undo(request: Request) -> Response:
    """Take the last reviews back."""
    site: Site = request.app.state.site
    form = await _form(request)
    reviews = asking.numbers_of(_text(form, "reviews").split(","))
    await run_in_threadpool(reviewing.undo, site, reviews)
    return _back(form, "Undone")


async def settings(request: Request) -> Response:
    """Change settings."""
    site: Site = request.app.state.site
    form = await _form(request)
    given = {key: str(value) for key, value in form.multi_items() if "." in key}
    taxon = _text(form, "new_taxon").strip()
    if taxon:
        given[f"thresholds.{taxon}"] = _text(form, "new_threshold")
    waits = await run_in_threadpool(change, site, given)
    said = f"Saved. At the next start: {', '.join(waits)}" if waits else "Saved"
    return _back(form, said)


async def learn(request: Request) -> Response:
    """Learn from the reviews."""
    site: Site = request.app.state.site
    form = await _form(request)
    if site.station is None or site.station.learn is None:
        raise Wrong("no station runs in this program", "use `biovita-edge journal learn`", 409)
    return _back(form, await run_in_threadpool(site.station.learn))


async def _form(request: Request) -> FormData:
    form = await request.form(max_files=0, max_fields=MOST_FIELDS)
    if len(form.multi_items()) > MOST_FIELDS:  # which some versions count in multipart forms only
        raise Wrong(f"a form has at most {MOST_FIELDS} fields")
    return form


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _login(request: Request, said: str, status: int = 200, wait_s: float = 0.0) -> Response:
    renderer: Renderer = request.app.state.renderer
    headers = {"Retry-After": f"{math.ceil(wait_s)}"} if wait_s else {}
    following = _inside(request.query_params.get("next", "/"))
    return renderer.page(request, "login", {"wrong": said, "following": following}, status, headers)


def _back(form: FormData, said: str, undo: str = "") -> Response:
    """Back to the page of the form, with what happened."""
    where = _inside(_text(form, "next"))
    told = urlencode({"said": said, **({"undo": undo} if undo else {})})
    return RedirectResponse(f"{where}{'&' if '?' in where else '?'}{told}", 303)


def _inside(where: str) -> str:
    """A path of this server; the first page for everything else."""
    inside = where.startswith("/") and not where.startswith(("//", "/\\")) and where.isprintable()
    return where if inside else "/"


ROUTES = (
    Route("/login", login_page),
    Route("/login", login, methods=["POST"]),
    Route("/logout", logout, methods=["POST"]),
    Route("/reviews", review, methods=["POST"]),
    Route("/reviews/undo", undo, methods=["POST"]),
    Route("/settings", settings, methods=["POST"]),
    Route("/learn", learn, methods=["POST"]),
)
