"""Addresses of targets: what the settings and the targets themselves both refuse. Nothing secret is ever told."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from edgeapp.errors import UsageError

HEAD, POST, NO_PROBE = "head", "post", "none"
PROBES = (HEAD, POST, NO_PROBE)  # how a webhook is tried without a message
RETAIN_NONE, RETAIN_STATES, RETAIN_ALL = "none", "states", "all"
RETAINS = (RETAIN_STATES, RETAIN_ALL, RETAIN_NONE)  # what a broker keeps for those who subscribe later
MOST_TOPIC_BYTES = 60_000
_APART = ", and the port apart"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"  # of a host name, in any alphabet; an underscore inside is met in practice
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def web_address(url: str, whose: str = "the webhook") -> SplitResult:
    """The parts of the URL of a webhook, or of another server.

    Raises
    ------
    UsageError
        It is not one of http or https.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not url.isascii():
        raise UsageError(f"the URL of {whose} is not ASCII", "write its host as xn--..., other letters as %C3%BC")
    if not host or parts.scheme not in ("http", "https") or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise UsageError(f"invalid URL of {whose}", "give https://host/path, without spaces")
    return parts


def header(text: str) -> tuple[str, str]:
    """Name and value of an HTTP header, written ``Name: value``.

    Raises
    ------
    UsageError
        It has no colon, or has what no header may have.
    """
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not colon:
        raise UsageError("a header has no colon", 'write "Name: value"')
    if not _HEADER_NAME.fullmatch(name) or re.search(r"[\r\n\x00]", value) or not value.isascii():
        raise UsageError("a header of the webhook cannot be sent", "give name and value in ASCII")
    return name, value


def check_host(host: str) -> None:
    """Raise UsageError unless a text is the name or the address of a host, and nothing more."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if "://" in host or "/" in host:
            raise UsageError(
                "the MQTT broker is given as a URL", "give the name of its host, and the port apart"
            ) from None
        if not _HOST.fullmatch(host) or len(host) > 253:
            raise UsageError("the MQTT broker is not a host's name", f"give one like broker.example{_APART}") from None


def check_topic(topic: str) -> None:
    """Raise UsageError unless messages can be published under a topic."""
    if topic.endswith("/"):
        raise UsageError(f"MQTT topic {topic!r} ends with a slash", "leave that out")
    if not topic or topic[0] in "/$" or re.search(r"[+#\x00-\x1f]", topic) or len(topic.encode()) > MOST_TOPIC_BYTES:
        raise UsageError(f"MQTT topic {topic!r} cannot be used", "give one like biovita/garden/detections")
