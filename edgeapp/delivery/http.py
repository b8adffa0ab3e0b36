"""One HTTP request and its answer, or one line that says why there is none, without its address or what was sent."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message

from edgeapp.delivery.target import NotSent
from edgeapp.delivery.tls import context as tls_context

TIMEOUT_S = 15.0
MOST_BYTES = 1_000_000  # of an answer that are read
BODY_S = 30.0  # that a body may take


@dataclass(frozen=True)
class Answer:
    """What a server answers, whatever its code."""

    code: int
    headers: Message
    body: bytes


class Http:
    """Asks one server.

    Parameters
    ----------
    label : str
        Scheme and host, which may be shown.
    ca_file : str or None
        Certificates to trust instead of the system's. They are always checked.
    timeout_s : float
        For the connection and for each read.

    Raises
    ------
    UsageError
        There are no certificates in the file.
    """

    def __init__(self, label: str, ca_file: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.label, self._timeout_s = label, timeout_s
        handlers: list[urllib.request.BaseHandler] = [_StayHere()]
        if label.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=tls_context(ca_file)))
        self._opener = urllib.request.build_opener(*handlers)

    def ask(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """Send a request and wait for the answer.

        Raises
        ------
        NotSent
            There is none.
        """
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return Answer(int(answer.status), answer.headers, _body(answer))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, b"")
        except urllib.error.URLError as error:
            raise self._unreachable(error.reason) from None  # a chained error would show the address
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, reason: object) -> NotSent:
        if isinstance(reason, TimeoutError):
            return NotSent(f"{self.label} does not answer in {self._timeout_s:g} s")
        if isinstance(reason, ssl.SSLCertVerificationError):
            return NotSent(f"{self.label}: {reason.verify_message}", "give its CA as ca_file, or renew its certificate")
        why = (reason.strerror if isinstance(reason, OSError) else None) or type(reason).__name__
        return NotSent(f"{self.label} cannot be reached: {why}")


def _body(answer: http.client.HTTPResponse) -> bytes:
    """What comes of a body. A fault in it, or a server that never ends it, does not undo what the code has said."""
    parts: list[bytes] = []
    end_s = time.monotonic() + BODY_S
    with suppress(OSError, http.client.HTTPException):
        while sum(map(len, parts)) < MOST_BYTES and time.monotonic() < end_s and (part := answer.read1(MOST_BYTES)):
            parts.append(part)
    return b"".join(parts)


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Turn a redirect into an error: urllib would follow with a GET, and its 200 would look like a delivery."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None
