"""What stands before every route: host and origin, log-in, bounds on bodies, and the headers of every answer."""

from __future__ import annotations

import asyncio
import math
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeapp.web.access import COOKIE, HEADERS, Access

MOST_BYTES = 1_000_000  # of a body
BODY_S = 10.0  # within which all of it must have come
OPEN_TO_ALL = ("/login", "/static/")
SAFE = ("GET", "HEAD")


class TooLarge(Exception):
    """A body that is too large or too slow."""


class Guard:
    """ASGI middleware.

    Parameters
    ----------
    app : ASGIApp
    access : Access
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refused = await self._refused(scope)
        if refused is not None:
            await refused(scope, receive, _with_headers(send, scope["path"]))
            return
        await self._app(scope, _bounded(receive), _with_headers(send, scope["path"]))

    async def _refused(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        server = scope.get("server")
        if not self._access.knows_host(headers.get("host", ""), server[0] if server else None):
            return PlainTextResponse("unknown host name; give the name with --web-host, or ask by the address\n", 421)
        if scope["method"] not in SAFE and not self._access.same_origin(headers):
            return PlainTextResponse("the request comes from another page\n", 403)
        if path.startswith(OPEN_TO_ALL):
            return None
        connection = HTTPConnection(scope)
        if self._access.allows(connection.cookies.get(COOKIE)):
            return None
        client = connection.client.host if connection.client else ""
        authorization = headers.get("authorization", "")
        if path.startswith("/api/"):
            if authorization.lower().startswith("basic ") and await asyncio.to_thread(
                self._access.basic, authorization, client
            ):
                return None
            wait_s = self._access.throttle.wait_s(client)
            if wait_s > 0:
                return JSONResponse(
                    {"error": "too many wrong passwords", "remedy": "wait"},
                    429,
                    {"Retry-After": f"{math.ceil(wait_s)}"},
                )
            return JSONResponse(
                {"error": "the password is missing", "remedy": "log in, or send it by Basic authorization"}, 401
            )
        if scope["method"] in SAFE:
            query = scope["query_string"].decode("latin-1")
            target = quote(path) + (f"?{query}" if query else "")
            return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)
        return RedirectResponse("/login", 303)


def _with_headers(send: Send, path: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            if "cache-control" not in headers:
                headers["Cache-Control"] = "max-age=3600" if path.startswith("/static/") else "no-store"
        await send(message)

    return sending


def _bounded(receive: Receive) -> Receive:
    """`receive` that gives a body up which is too large or does not come to its end."""
    taken = 0
    whole = False
    loop = asyncio.get_running_loop()
    end = loop.time() + BODY_S

    async def receiving() -> Message:
        nonlocal taken, whole
        if whole:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, end - loop.time()))
        except asyncio.TimeoutError:
            raise TooLarge from None
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > MOST_BYTES:
                raise TooLarge
        return message

    return receiving
