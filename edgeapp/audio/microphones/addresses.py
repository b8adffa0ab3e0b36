"""Addresses of sources in the network, which may hold a log-in: what is shown of them, and where log-ins come from."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, urlsplit

from edgeapp import read_once
from edgeapp.errors import DeviceError, UsageError

SCHEMES = ("rtsp", "rtsps", "http", "https")
HIDDEN = "***"

_SCHEME = re.compile(r"^\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_USER = re.compile(r"(?<=://)[^/?#]*@")
# Cameras take log-ins in the query, and some in the path: /user=admin_password=secret_channel=1.sdp
_SECRET = re.compile(
    r"(?i)((?:^|[?&;/_])(?:[\w-]*(?:pass|pwd|psw|tok|secret|auth|key|sig|credential|session|jwt)[\w-]*?"
    r"|user(?:name)?|usr|login(?:use|pas)?|account|pw|pin)=)"
    r"(.*?)(?=[&;/#]|_[A-Za-z]+=|$)"
)


def is_address(text: str) -> bool:
    """Whether a device is named by an address."""
    return _SCHEME.match(text) is not None


def redacted(text: str) -> str:
    """An address as it may be shown: without user, password and what else looks like a secret. Other text is kept."""
    if not is_address(text):
        return text
    return _SECRET.sub(rf"\g<1>{HIDDEN}", _USER.sub("", text.strip(), count=1))


def checked(text: str) -> str:
    """An address that can be opened.

    Raises
    ------
    DeviceError
        Another scheme, or no host.
    """
    text = text.strip()
    scheme = text.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise DeviceError(f"{scheme}:// is not supported as a microphone", f"use {', '.join(SCHEMES)}")
    try:
        host, _ = urlsplit(text).hostname, urlsplit(text).port
    except ValueError:
        host = None
    if not host:
        raise DeviceError(f"{redacted(text)}: has no valid host", f"write it as {scheme}://camera.local/path")
    return text


def with_log_in(address: str, netrc_file: Path | None) -> str:
    """The address with the user and password that a netrc file has for its host; unchanged if it has its own.

    Raises
    ------
    UsageError
        The file cannot be read.
    """
    parts = urlsplit(address.strip())
    if netrc_file is None or "@" in parts.netloc or not parts.hostname:
        return address
    import netrc

    try:
        with read_once.opened_by_others(netrc_file) as path:
            found = netrc.netrc(path).authenticators(parts.hostname)
    except netrc.NetrcParseError as error:
        raise UsageError(
            f"{netrc_file}: line {error.lineno} is not understood", "write `machine HOST login USER password PASSWORD`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise UsageError(f"{netrc_file}: cannot be read ({reason})", "correct microphone.netrc") from None
    if found is None:
        return address
    user, password = found[0], found[2] or ""
    return parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}").geturl()
