"""Delivery to a webhook: JSON in the body of a POST."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from collections.abc import Mapping
from email.message import Message
from typing import Any
from urllib.parse import quote, unquote, urlunsplit

from edgeapp.clock.retry_after import asked_pause_s
from edgeapp.delivery.addresses import HEAD, NO_PROBE, POST, header, web_address
from edgeapp.delivery.http import TIMEOUT_S, Http
from edgeapp.delivery.target import NotSent, Probed, Refused
from edgeapp.delivery.template import Template, examples
from edgeapp.errors import UsageError
from edgeapp.paths import PROGRAM

KEY_DIGITS = 16
_KEPT = "".join(map(chr, range(32, 127)))  # printable ASCII
# These speak of the address or of the key, not of the message: it waits until a person has repaired them.
OF_THE_ADDRESS = frozenset({401, 402, 403, 404, 405, 407, 410, 451})
OF_THE_KEY = frozenset({401, 402, 403, 407})
WITHOUT_HEAD = frozenset({400, 404, 405, 411, 415, 422, 501})
LATER = frozenset({408, 421, 423, 425, 429})
TOO_LARGE = 413


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
    probe : str
        How `probe` asks, of `edgeapp.delivery.addresses.PROBES`.
    template, template_name : str or None, str
        Template of the body, and what it is called in errors; the detection document when None. Values of headers may
        be templates as well.

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
        probe: str = HEAD,
        template: str | None = None,
        template_name: str = "the template",
    ) -> None:
        parts = web_address(url)
        host, port = parts.hostname or "", parts.port
        address = f"[{host}]" if ":" in host else host
        netloc = address if port is None else f"{address}:{port}"
        self.label = f"{parts.scheme}://{netloc}"
        if ca_file is not None and parts.scheme != "https":
            raise UsageError("the URL of the webhook is without TLS, so that nothing checks its CA", "write https://")
        self._url = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
        self._headers = {"Content-Type": "application/json", "User-Agent": PROGRAM}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        given = dict(header(f"{name}: {value}") for name, value in (headers or {}).items())
        self._headers |= {name: value for name, value in given.items() if not _is_template(value)}
        self._made = {
            name: Template(value, f"the header {name}", secret=True)
            for name, value in given.items()
            if _is_template(value)
        }
        kinds = [value for name, value in given.items() if name.lower() == "content-type"]
        if kinds:
            del self._headers["Content-Type"]  # a header is the same in any case of its letters
            self._headers["Content-Type"] = kinds[-1]
        is_json = "json" in self._headers["Content-Type"].lower()
        self._template = None if template is None else Template(template, template_name, is_json)
        for document in examples():
            self._headers_of(document)
        self._probe = probe
        self._http = Http(self.label, ca_file, timeout_s)

    def ready(self) -> bool:
        """False: only a message tells."""
        return False

    def send(self, payload: Mapping[str, Any]) -> None:
        """POST one message, its id also as ``Idempotency-Key``; an update has a key of its own."""
        try:
            headers = self._headers_of(payload)
            body = self._body_of(payload).encode()
        except UsageError as error:
            raise Refused(error.what, error.remedy) from None
        key = str(payload.get("id", ""))
        if payload.get("updated"):
            key += f"-{hashlib.sha256(body).hexdigest()[:KEY_DIGITS]}"  # a receiver would drop what it has a key of
        headers["Idempotency-Key"] = key
        answer = self._http.ask("POST", self._url, body, headers)
        if answer.code >= 300:
            raise self._answered(answer.code, answer.headers)

    def probe(self) -> Probed:
        """HEAD, which many webhooks do not know, or POST a message that says that it is a probe."""
        if self._probe == NO_PROBE:
            return Probed(f"{self.label} is only tried by messages")
        body = json.dumps({"probe": True}).encode() if self._probe == POST else None
        method = POST if self._probe == POST else HEAD
        answer = self._http.ask(method.upper(), self._url, body, self._headers)
        code = answer.code
        what = f"{self.label} answers a {method.upper()} with {code}"
        if code < 300 and answer.headers.get_content_type() == "text/html" and self._probe == HEAD:
            return Probed(what, "answers with a web page", "look whether it is the webhook, and not a page to log in")
        if code < 300:
            return Probed(what)
        error = self._answered(code, answer.headers)
        if code < 400 or code in OF_THE_KEY or (code in OF_THE_ADDRESS and method == POST):
            raise error
        if code in WITHOUT_HEAD and method == HEAD:
            return Probed(f"{what}: it is there, and does not know this method; only a message tells more")
        remedy = error.remedy or f"look at what the webhook logs, or set webhook.probe to {POST}"
        return Probed(f"{self.label} is there", what, remedy)

    def close(self) -> None:
        """Nothing is open between messages."""

    def _body_of(self, document: Mapping[str, Any]) -> str:
        if self._template is not None:
            return self._template.of(document)
        return json.dumps(document, ensure_ascii=False, allow_nan=False)

    def _headers_of(self, document: Mapping[str, Any]) -> dict[str, str]:
        """The headers of one message.

        Raises
        ------
        UsageError
            A template makes what no header can hold.
        """
        made = {}
        for name, template in self._made.items():
            text = template.of(document)
            # A header is ASCII: what a name or a note has beside it is written as in a URL.
            made[name] = header(f"{name}: {quote(text, safe=_KEPT)}")[1]
        return self._headers | made

    def _answered(self, code: int, headers: Message) -> NotSent:
        asked_s = asked_pause_s(headers.get("Retry-After", ""), headers.get("Date", ""))
        # The standard phrase, not the server's: that is its text, of any length.
        what = f"{self.label} answers {code} {http.client.responses.get(code, '')}".rstrip()
        if 300 <= code < 400:
            return NotSent(what, "give the new URL; a redirected POST would lose its body")
        if code in OF_THE_ADDRESS:
            return NotSent(what, "check the URL, and the key in its headers", asked_s)
        if 400 <= code < 500 and code not in LATER:
            if code == TOO_LARGE:
                return Refused(what, "raise its limit for the size of a body, or set station.pictures to 0")
            return Refused(what, "look at what it logs; webhook.template gives messages another body")
        return NotSent(what, retry_after_s=asked_s)


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text
