"""Asking servers: politely, again where that helps, and without telling anybody a key.

Loads httpx, which is in the extra `collect`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from edgeapp.board.machine import installed
from edgeapp.clock.retry_after import asked_pause_s
from edgeapp.collect.pace import PAUSE_S, LongPause, Pace
from edgeapp.errors import CollectError, UsageError
from edgeapp.file_names import printable
from edgeapp.paths import PROGRAM

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 30.0
CONNECTIONS = 32  # kept open in all
TRIES = 5  # that fail without a byte of progress
SILENT_TRIES = 3  # without an answer at all
LONGEST_WAIT_S = 900.0  # for one answer, in all its pauses
MOST_REDIRECTS = 5
MOST_ANSWER = 64 << 20  # bytes of an answer of an API
SLOW_S, SLOWEST = 60.0, 100.0  # seconds in which fewer bytes a second come than from any line
RETRIED = frozenset((408, 425, 429, 500, 502, 503, 504))
SLOW_DOWN = frozenset((429, 503))  # statuses that say when to come again, and do not count as tries
MESSAGE_LETTERS = 200

Result = TypeVar("Result")


class FetchError(CollectError):
    """What was asked for does not come.

    Attributes
    ----------
    lasting : bool
        Asking again will not help: the file is not there, or is something else.
    unreachable : bool
        Nobody answered at all.
    paused : bool
        The host wants a longer pause than is waited for, whatever it is asked for.
    """

    def __init__(
        self, what: str, remedy: str = "", lasting: bool = False, unreachable: bool = False, paused: bool = False
    ) -> None:
        super().__init__(what, remedy)
        self.lasting, self.unreachable, self.paused = lasting, unreachable, paused


class Again(Exception):
    """An attempt that failed in a way that may be better next time.

    Parameters
    ----------
    reason : str
    asked_s : float, optional
        Pause that the server asks for, seconds.
    counts : bool
        Whether it is one of `TRIES`.
    unreachable : bool
        There was no answer.
    """

    def __init__(
        self, reason: str, asked_s: float | None = None, counts: bool = True, unreachable: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.asked_s, self.counts, self.unreachable = reason, asked_s, counts, unreachable


class Trickle(Again):
    """Bytes come so slowly that a file would never end: not progress, but one of `TRIES`."""


class Flow:
    """Watches how fast one answer comes.

    Parameters
    ----------
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began_s, self._bytes = clock, clock(), 0

    def came(self, n_bytes: int) -> None:
        """Count bytes.

        Raises
        ------
        Trickle
            Fewer than `SLOWEST` a second came in `SLOW_S`.
        """
        self._bytes += n_bytes
        passed_s = self._clock() - self._began_s
        if passed_s < SLOW_S:
            return
        if self._bytes < SLOWEST * passed_s:
            raise Trickle(f"only {self._bytes:,} bytes came in {passed_s:.0f} s")
        self._began_s, self._bytes = self._clock(), 0


class Client:
    """A pool of connections; for several threads, and closed as a context manager.

    Parameters
    ----------
    per_s : float, optional
        Requests a second to every host; see `edgeapp.collect.pace`.
    timeout_s : float
        Seconds without a byte.
    stop : threading.Event, optional
        Ends what waits and what transfers with `Stopped`.
    pause_s : float
        First pause after a refusal, seconds.
    """

    def __init__(
        self,
        per_s: float | None = None,
        timeout_s: float = TIMEOUT_S,
        stop: threading.Event | None = None,
        pause_s: float = PAUSE_S,
    ) -> None:
        httpx = _library()
        self.pace = Pace(per_s, stop, pause_s)
        self._secrets: set[str] = set()
        try:
            self._http = httpx.Client(
                headers={"User-Agent": f"{PROGRAM}/{installed() or 0}", "Accept-Encoding": "identity"},
                timeout=httpx.Timeout(timeout_s),
                limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
                follow_redirects=False,
                verify=_certificates(),
            )
        except (ValueError, ImportError) as error:  # of HTTP_PROXY and its like
            raise UsageError(f"the proxy of the environment cannot be used ({error})", "check HTTPS_PROXY") from None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def keep_secret(self, text: str) -> None:
        """Never show this text in a message, such as a key."""
        if text:
            self._secrets.add(text)

    def json(self, url: str, query: Mapping[str, Any] | None = None) -> Any:
        """The answer of an API, as values.

        Raises
        ------
        FetchError
            No answer, a refusal (with what the server says about it), or an answer that is no JSON.
        Stopped
        """

        def once() -> Any:
            with self.open(url, query=query) as answer:
                body = self._body(answer)
            try:
                return json.loads(body)
            except (ValueError, RecursionError):
                raise FetchError(f"the answer is {_begin(body)}, not JSON", "check the address") from None

        try:
            return self.persist(url, once)
        except FetchError as error:
            what = f"{self.shown(url)}: {error.what}"
            raise FetchError(what, error.remedy, error.lasting, error.unreachable, error.paused) from None

    def persist(self, url: str, once: Callable[[], Result]) -> Result:
        """Call `once` until it succeeds, with the pauses that the host wants.

        Raises
        ------
        FetchError
            It raised one itself, or `Again` too often or for too long.
        """
        host, tries, waited_s = host_of(url), 0, 0.0
        while True:
            try:
                result = once()
            except Again as again:
                tries += again.counts
                pause_s = self.pace.refused(host, again.asked_s)
                waited_s += pause_s
                paused = waited_s > LONGEST_WAIT_S
                if tries >= (SILENT_TRIES if again.unreachable else TRIES) or paused:
                    long = f", and asks for a pause of {pause_s:.0f} s" if paused else ""
                    what = f"{self.hidden(again.reason)}{long}"
                    raise FetchError(what, "try again later", False, again.unreachable, paused) from None
            else:
                self.pace.answered(host)
                return result

    @contextmanager
    def open(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        verb: str = "GET",
    ) -> Iterator[httpx.Response]:
        """One request, through its redirections; the body is still to be read.

        Statuses that may be better next time, and broken connections here or in the block, are `Again`; other statuses
        from 400 on are FetchError, except 416, which is the caller's.
        """
        httpx = _library()
        try:
            answer = self._answer(url, headers, query, verb)
            try:
                self._judge(answer)
                yield answer
            finally:
                answer.close()
        except (httpx.InvalidURL, UnicodeError) as error:  # of a host that no name service can be asked for
            raise FetchError(f"{self.shown(url)} is no web address ({error})", lasting=True) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Again(f"cannot be reached ({_words(error)})", unreachable=True) from None
        except httpx.RequestError as error:
            raise Again(f"the connection broke ({_words(error)})") from None

    def shown(self, url: str) -> str:
        """An address for messages: without its query, which may hold a key, and without a password."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return self.hidden(printable(url))
        host = parts.netloc.rpartition("@")[2]
        return self.hidden(printable(f"{parts.scheme}://{host}{parts.path}" if host else url))

    def _answer(
        self, url: str, headers: Mapping[str, str] | None, query: Mapping[str, Any] | None, verb: str
    ) -> httpx.Response:
        request = self._http.build_request(verb, url, headers=headers, params=query or None)
        for _ in range(MOST_REDIRECTS + 1):
            if request.url.scheme not in ("http", "https") or not request.url.host:
                raise FetchError(f"{self.shown(str(request.url))} is no web address", lasting=True)
            try:
                self.pace.wait(request.url.host, LONGEST_WAIT_S)
            except LongPause as pause:
                what = f"the server asks for a pause of {pause.left_s:.0f} s"
                raise FetchError(what, "try again later", paused=True) from None
            answer = self._http.send(request, stream=True)
            if answer.next_request is None:
                return answer
            answer.close()
            request = answer.next_request
        raise FetchError(f"is redirected more than {MOST_REDIRECTS} times", lasting=True)

    def _judge(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status < 400 or status == 416:
            return
        words = f"the server answers {status} ({answer.reason_phrase or 'no reason'})"
        if status in RETRIED:
            asked_s = asked_pause_s(answer.headers.get("Retry-After", ""), answer.headers.get("Date", ""))
            raise Again(words, asked_s, counts=asked_s is None or status not in SLOW_DOWN)
        message = _message(self._body(answer, 1 << 16))
        raise FetchError(self.hidden(f"{words}{f': {message}' if message else ''}"), lasting=status < 500)

    def _body(self, answer: httpx.Response, most: int = MOST_ANSWER) -> bytes:
        body, flow = bytearray(), Flow()
        for chunk in answer.iter_bytes():
            body += chunk
            flow.came(len(chunk))
            if len(body) > most:
                raise FetchError(f"the answer is larger than {most >> 20} MB")
        return bytes(body)

    def hidden(self, text: str) -> str:
        """A text for messages: without what is to be kept secret."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def host_of(url: str) -> str:
    """Host of an address; ``""`` where it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _library() -> Any:
    try:
        import httpx
    except ImportError:
        raise UsageError(
            "collecting from public archives needs httpx, which is not installed",
            "install it with pip install 'biovita-edge[collect]'",
        ) from None
    return httpx


@cache
def _certificates() -> Any:
    """Those that servers are trusted by, read once: it takes longer than to ask one on this machine."""
    return _library().create_ssl_context()


def _words(error: Exception) -> str:
    return message(str(error)) or type(error).__name__  # some repeat what a server sent


def _begin(body: bytes) -> str:
    import io

    from edgeapp.audio.formats.sniff import description

    return description(io.BytesIO(body)) or (f"{len(body)} bytes" if body else "nothing")


def _message(body: bytes) -> str:
    """What a server says about its refusal, in JSON or in one line of text; ``""`` where it says nothing."""
    try:
        text = _words_of(json.loads(body))
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        text = "" if text.startswith(("<", "{", "[")) or len(text.splitlines()) > 1 else text
    return message(text)


def message(text: str) -> str:
    """Words of a server, as short as a message bears."""
    return printable(" ".join(text.split()))[:MESSAGE_LETTERS]


def _words_of(said: Any) -> str:
    if isinstance(said, dict):
        found = (_words_of(said[name]) for name in ("message", "detail", "info", "error", "original") if name in said)
        return next(filter(None, found), "")
    return said.strip() if isinstance(said, str) else ""
