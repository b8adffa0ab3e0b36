"""Delivery to a webhook: JSON in the body of a POST."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime, timezone
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlunsplit

from edgeapp.delivery.addresses import header, web_address
from edgeapp.delivery.target import NotSent, Refused
from edgeapp.errors import UsageError

TIMEOUT_S = 15.0
KEY_DIGITS = 16
# These speak of the address or of the key, not of the message: it waits until a person has repaired them.
OF_THE_ADDRESS = frozenset({401, 402, 403, 404, 405, 407, 410, 451})
LATER = frozenset({408, 421, 423, 425, 429})


class WebhookTarget:
    """See `edgeapp.delivery.target.Target`. A message is sent when the answer is 2xx.

    Parameters
    ----------
    url : str
        http or https; ``user:password@`` before the host becomes a header. Only scheme and host are ever shown, since
        the rest is often a secret.
    headers : Mapping[str, str]
        Sent along, for instance ``Authorization``; never shown.
    timeout_s : float
        For the connection and for each read.
    ca_file : path or None
        Certificates to trust instead of the system's. They are always checked.

    Raises
    ------
    UsageError
        When the address, a header or the file of certificates cannot be used.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
        ca_file: str | None = None,
    ) -> None:
        parts = web_address(url)
        host, port = parts.hostname or "", parts.port
        address = f"[{host}]" if ":" in host else host
        netloc = address if port is None else f"{address}:{port}"
        self.label = f"{parts.scheme}://{netloc}"
        self._url = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
        self._headers = {"Content-Type": "application/json", "User-Agent": "biovita-edge"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        self._headers |= dict(header(f"{name}: {value}") for name, value in (headers or {}).items())
        self._timeout_s = timeout_s
        handlers: list[urllib.request.BaseHandler] = [_StayHere()]
        if parts.scheme == "https":
            try:
                context = ssl.create_default_context(cafile=ca_file)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"{ca_file}: no certificates: {error}", "give a file in PEM format") from error
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def ready(self) -> bool:
        """False: only a message tells."""
        return False

    def send(self, payload: Mapping[str, Any]) -> None:
        """POST one message, its id also as ``Idempotency-Key``; an update has a key of its own."""
        body = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
        key = str(payload.get("id", ""))
        if payload.get("updated"):
            key += f"-{hashlib.sha256(body).hexdigest()[:KEY_DIGITS]}"  # a receiver would drop what it has a key of
        headers = self._headers | {"Idempotency-Key": key}
        request = urllib.request.Request(self._url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return
        except urllib.error.HTTPError as error:
            answer = error  # closed below; the name `error` ends with this block
        except urllib.error.URLError as error:
            raise self._unreachable(error.reason) from None  # a chained error would show the address
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        with answer:
            raise self._answered(answer.code, answer.headers)

    def close(self) -> None:
        """Nothing is open between messages."""

    def _unreachable(self, reason: object) -> NotSent:
        if isinstance(reason, TimeoutError):
            return NotSent(f"{self.label} does not answer in {self._timeout_s:g} s")
        if isinstance(reason, ssl.SSLCertVerificationError):
            return NotSent(f"{self.label}: {reason.verify_message}", "give its certificate as ca_file, or renew it")
        why = (reason.strerror if isinstance(reason, OSError) else None) or type(reason).__name__
        return NotSent(f"{self.label} cannot be reached: {why}")

    def _answered(self, code: int, headers: Message) -> NotSent:
        # The standard phrase, not the server's: that is its text, of any length.
        what = f"{self.label} answers {code} {http.client.responses.get(code, '')}".rstrip()
        if 300 <= code < 400:
            return NotSent(what, "give the new URL; a redirected POST would lose its body")
        if code in OF_THE_ADDRESS:
            return NotSent(what, "check the URL, and the key in its headers", _retry_after_s(headers))
        if 400 <= code < 500 and code not in LATER:
            return Refused(what)
        return NotSent(what, retry_after_s=_retry_after_s(headers))


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Turn a redirect into an error: urllib would follow with a GET, and its 200 would look like a delivery."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None


def _retry_after_s(headers: Message) -> float | None:
    """``Retry-After`` in seconds; a date is compared with the server's own clock where it tells it."""
    text = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        until = _aware(parsedate_to_datetime(text))
        now = _aware(parsedate_to_datetime(headers["Date"])) if headers.get("Date") else datetime.now(timezone.utc)
    except (TypeError, ValueError, IndexError):
        return None
    return max(0.0, (until - now).total_seconds())


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
