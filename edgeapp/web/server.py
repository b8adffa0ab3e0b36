"""The server: a socket, an event loop and bounds, in this thread or in one of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio.to_thread
import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeapp.errors import UsageError
from edgeapp.web.access import access_of
from edgeapp.web.app import application
from edgeapp.web.feed import Feed
from edgeapp.web.site import Site

log = logging.getLogger(__name__)

THREADS = 4  # that read the journal; each has its own connection and its own memory
CLIENTS = 400  # connections at once, streams of events included
HEADERS_S = 10.0  # within which the head of a request must have come
IDLE_S = 20
CLOSING_S = 3.0


class _Protocol(H11Protocol):
    """HTTP that does not wait for ever for a request that does not come."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._end = self.loop.call_later(HEADERS_S, self._give_up)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Bound the time of a head that has begun, and of a body that nobody waits for, its answer being sent."""
        has_begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        is_left = self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE
        if not (has_begun or is_left):
            self._wait_no_more()
        elif self._end is None:
            self._end = self.loop.call_later(HEADERS_S, self._give_up)

    def _wait_no_more(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def _give_up(self) -> None:
        self.transport.close()


class _Uvicorn(uvicorn.Server):
    """A server that leaves the signals to the command, which ends the streams of events first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Serves a page.

    Parameters
    ----------
    site : Site

    Raises
    ------
    UsageError
        An address that is no loopback needs a password, or the port is taken.
    """

    def __init__(self, site: Site) -> None:
        web = site.settings.web
        self._site = site
        self._feed = Feed(site)
        self._access = access_of(web)
        self._socket = _bound(web.address, web.port)
        self._server = _Uvicorn(
            uvicorn.Config(
                application(site, self._access, self._feed),
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(web.proxy),
                forwarded_allow_ips=list(web.proxy),
                limit_concurrency=CLIENTS,
                timeout_keep_alive=IDLE_S,
                timeout_graceful_shutdown=int(CLOSING_S),
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def run(self) -> None:
        """Serve in this thread until `close`."""
        asyncio.run(self._serve())

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End. Safe in a signal handler; waits for a thread of its own."""
        self._server.should_exit = True
        self._feed.close()
        if self._site.station is not None:
            self._site.station.live.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSING_S + 2)

    def _run(self) -> None:
        try:
            self.run()
        except Exception as error:  # the station goes on without its page
            log.error("the page ended: %s", error)

    async def _serve(self) -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        preparing = asyncio.create_task(asyncio.to_thread(self._site.prepare))
        await self._server.serve(sockets=[self._socket])
        await preparing


def _bound(address: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address, port), family=family, reuse_port=False)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise UsageError(
            f"the page cannot be served at {address}, port {port} ({reason})", "choose another --web-port or address"
        ) from error
