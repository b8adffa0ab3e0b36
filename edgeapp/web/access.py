"""Who may see and change what: password, sessions, origin of requests, and the headers of every answer.

On a loopback address nobody needs a password. Any other address needs one, made by `biovita-edge web password`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeapp.config.sections import Web
from edgeapp.errors import UsageError
from edgeapp.terminal import complain
from gallery import files

SCHEME = b"scrypt$"  # how a stored password begins
LEAST_LETTERS = 10  # of a password
_N, _R, _P = 2**14, 8, 1  # scrypt: 16 MB and some 50 ms on a laptop
_KEY_BYTES, _SALT_BYTES = 32, 16
SESSION_S = 30 * 86_400.0
SESSIONS = 1_000  # the oldest go first
FREE_TRIES = 3  # before log-ins slow down
LONGEST_WAIT_S = 300.0
CLIENTS = 10_000  # addresses whose failures are remembered
COOKIE = "biovita_session"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # without any, browsers hide the origin of forms too
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def write_password(path: Path, password: str) -> None:
    """Keep a password as its scrypt hash, readable by its owner only.

    Raises
    ------
    UsageError
        It is too short, or the file cannot be written.
    """
    if len(password) < LEAST_LETTERS:
        raise UsageError(f"the password has fewer than {LEAST_LETTERS} letters", "choose a longer one")
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _hash(password, salt, _N, _R, _P)
    _check_own(path)
    text = "$".join(("scrypt", str(_N), str(_R), str(_P), salt.hex(), key.hex())) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as part:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(text)
            os.chmod(part, 0o600)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})", "check the folder") from error


def remove_password(path: Path) -> None:
    """Remove a stored password, if there is one.

    Raises
    ------
    UsageError
        The file is another one, or cannot be removed.
    """
    _check_own(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be removed ({error.strerror})", "check the folder") from error


def _check_own(path: Path) -> None:
    """Raise UsageError where a file is there that holds no password, such as settings."""
    try:
        is_own = not path.exists() or path.read_bytes()[: len(SCHEME)] in (b"", SCHEME)
    except OSError:
        is_own = False
    if not is_own:
        raise UsageError(f"{path}: is there, and no password of the page", "correct web.password_file")


@dataclass(frozen=True)
class Password:
    """A stored password."""

    salt: bytes
    key: bytes
    n: int
    r: int
    p: int

    @classmethod
    def read(cls, path: Path) -> Password:
        """Read what `write_password` wrote.

        Raises
        ------
        UsageError
            The file cannot be read, or is no password.
        """
        try:
            name, n, r, p, salt, key = path.read_text(encoding="ascii").strip().split("$")
            if name != "scrypt":
                raise ValueError(name)
            return cls(bytes.fromhex(salt), bytes.fromhex(key), int(n), int(r), int(p))
        except OSError as error:
            raise UsageError(
                f"{path}: cannot be read ({error.strerror})", "set a password with `biovita-edge web password`"
            ) from error
        except ValueError as error:
            raise UsageError(f"{path}: is not a stored password", "set one with `biovita-edge web password`") from error

    def matches(self, password: str) -> bool:
        """Whether this is the password; takes its time."""
        return hmac.compare_digest(_hash(password, self.salt, self.n, self.r, self.p), self.key)


def _hash(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode("utf-8"), salt=salt, n=n, r=r, p=p, dklen=_KEY_BYTES, maxmem=256 * n * r * p)


class Throttle:
    """Slows down log-ins: after some failures an address waits, twice as long after each one."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, client: str) -> float:
        """How long an address has to wait."""
        with self._lock:
            n, last = self._failures.get(client, (0, 0.0))
        if n < FREE_TRIES:
            return 0.0
        return max(0.0, last + min(LONGEST_WAIT_S, 2.0 ** (n - FREE_TRIES)) - time.monotonic())

    def failed(self, client: str) -> None:
        """An address gave a wrong password."""
        with self._lock:
            n, _ = self._failures.pop(client, (0, 0.0))
            self._failures[client] = n + 1, time.monotonic()
            while len(self._failures) > CLIENTS:
                del self._failures[next(iter(self._failures))]

    def succeeded(self, client: str) -> None:
        """An address gave the right one."""
        with self._lock:
            self._failures.pop(client, None)


class Access:
    """Decides about requests.

    Parameters
    ----------
    password : Password or None
        None lets everybody in, which only a loopback address may do.
    hosts : frozenset of str
        Names under which the page may be asked for, besides loopback names and the server's own address: a page of
        somebody else that lets its own name point here must not get in.
    """

    def __init__(self, password: Password | None, hosts: frozenset[str] = frozenset()) -> None:
        self.password = password
        self.throttle = Throttle()
        self._hosts = frozenset(host.lower() for host in hosts)
        self._sessions: dict[str, float] = {}
        self._known: dict[str, float] = {}  # digests of headers that had the right password
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()  # 16 MB each

    def knows_host(self, header: str, server: str | None) -> bool:
        """Whether a ``Host`` header names this server."""
        host = _host_of(header)
        if is_loopback(host) or host in self._hosts or (server is not None and host == server.lower()):
            return True
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return False
        return True  # an address cannot be made to point elsewhere, as a name can

    @staticmethod
    def same_origin(headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from a page of this server, or from no page at all."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return False
        if origin is None:
            return True
        return origin != "null" and origin.partition("://")[2].lower() == headers.get("host", "").lower()

    def begin(self, password: str, client: str) -> str | None:
        """Begin a session; its token, or None for a wrong password."""
        if not self._right(password, client):
            return None
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[token] = time.monotonic() + SESSION_S
            while len(self._sessions) > SESSIONS:
                del self._sessions[next(iter(self._sessions))]
        return token

    def end(self, token: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(token, None)

    def allows(self, token: str | None) -> bool:
        """Whether nobody needs to log in, or the session is open."""
        if self.password is None:
            return True
        with self._lock:
            return token is not None and self._sessions.get(token, 0.0) > time.monotonic()

    def basic(self, header: str, client: str) -> bool:
        """Whether an ``Authorization: Basic`` header of a program has the password; any user name does."""
        digest = hashlib.sha256(header.encode("utf-8", "replace")).hexdigest()
        with self._lock:
            if self._known.get(digest, 0.0) > time.monotonic():
                return True
        try:
            given = base64.b64decode(header.partition(" ")[2], validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            given = ""
        if not self._right(given, client):
            return False
        with self._lock:
            self._known = {digest: time.monotonic() + SESSION_S}
        return True

    def _right(self, password: str, client: str) -> bool:
        """Whether it is the password; one at a time, so that many tries at once are slowed down as well."""
        with self._one_at_a_time:
            if self.throttle.wait_s(client) > 0:
                return False
            right = self.password is None or self.password.matches(password)
            (self.throttle.succeeded if right else self.throttle.failed)(client)
            return right


def _host_of(header: str) -> str:
    host = header.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.rpartition(":")[0] if ":" in host else host


def required_password(web: Web) -> Password | None:
    """The password of the page, None where it may do without.

    Raises
    ------
    UsageError
        An address that others reach needs a password, or a proxy is not an address.
    """
    for proxy in web.proxy:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            raise UsageError(
                f"web.proxy {proxy!r} is neither an address nor a network", "write it as 127.0.0.1 or 172.16.0.0/12"
            ) from None
    path = web.password_path
    password = Password.read(path) if path.is_file() else None
    if password is None and not is_loopback(web.address):
        raise UsageError(
            f"the page at {web.address} could be used by everybody",
            "set a password with `biovita-edge web password`, or leave --web-address out",
        )
    return password


def access_of(web: Web) -> Access:
    """Who may use the page; raises as `required_password` does."""
    password = required_password(web)
    if password is None and (web.host or web.proxy):
        complain("the page has no password, and a reverse proxy may pass others on to it: `biovita-edge web password`")
    return Access(password, frozenset(web.host))
