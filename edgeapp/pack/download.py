"""Download one file with a size limit, resuming after a broken connection; a failed download leaves no file."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from edgeapp.errors import PackError
from edgeapp.paths import PROGRAM

TIMEOUT_S = 30.0
TRIES = 5
PAUSE_S = 1.0  # before the second try, and twice as long before each further one
CHUNK = 1 << 18
TOLD_EVERY_S = 2.0
RETRIED = (408, 429, 500, 502, 503, 504)
BROKEN = (ConnectionError, TimeoutError, ssl.SSLError)

Tell = Callable[[str], None]


def download(url: str, target: Path, most: int, tell: Tell, timeout_s: float = TIMEOUT_S) -> str:
    """Download a file.

    A connection that breaks is taken up again, where the server can do so and still has the same file, else begun anew.
    A server that never answered is not asked again.

    Parameters
    ----------
    url : str
        http or https. A redirection to anything else is not followed.
    target : Path
        New file.
    most : int
        Bytes that may be written.
    tell : callable
        Told in one line, now and then, how far it is.

    Returns
    -------
    str
        sha256 of the file, hex.

    Raises
    ------
    PackError
        The server cannot be reached or refuses, the file is too large, or the connection breaks again and again.
    OSError
        The file cannot be written.
    """
    transfer = _Transfer(url, most, tell, timeout_s)
    with open(target, "xb+") as out:
        for left in range(TRIES - 1, -1, -1):
            try:
                transfer.read_into(out)
                break
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in RETRIED or not left:
                    raise PackError(f"{url}: the server answers {error.code} ({error.reason})", _CHECK) from None
            except (urllib.error.URLError, http.client.HTTPException, *BROKEN, ValueError) as error:
                if not left or not transfer.answered:
                    reason = getattr(error, "reason", None) or error
                    raise PackError(f"{url}: cannot be downloaded ({reason or type(error).__name__})", _CHECK) from None
            time.sleep(PAUSE_S * 2 ** (TRIES - 1 - left))
        out.seek(0)
        digest = hashlib.sha256()
        while chunk := out.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


_CHECK = "check the address and the network, or download it by hand and install the file"


class _Transfer:
    """One download over several connections."""

    def __init__(self, url: str, most: int, tell: Tell, timeout_s: float) -> None:
        self._url, self._most, self._tell, self._timeout_s = url, most, tell, timeout_s
        self._done = 0
        self._version = ""  # of the file, by which the server knows it again
        self._told_s = time.monotonic()
        self.answered = False
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
        ):
            self._opener.add_handler(handler)

    def read_into(self, out: IO[bytes]) -> None:
        headers = {"User-Agent": PROGRAM, "Accept-Encoding": "identity"}
        if self._done and self._version:
            headers |= {"Range": f"bytes={self._done}-", "If-Range": self._version}
        request = urllib.request.Request(self._url, headers=headers)
        with self._opener.open(request, timeout=self._timeout_s) as answer:
            self.answered = True
            begins = f"bytes {self._done}-"
            goes_on = answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(begins)
            if not goes_on:
                if answer.status != 200:
                    raise PackError(f"{self._url}: the server answers {answer.status}, not with a file", _CHECK)
                self._done = 0
            out.seek(self._done)
            out.truncate()
            etag = answer.headers.get("ETag", "")
            self._version = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")
            length = answer.headers.get("Content-Length", "")
            whole = self._done + int(length) if length.isdigit() else None
            if (whole or 0) > self._most:
                raise self._too_large()
            while chunk := answer.read(CHUNK):
                self._done += len(chunk)
                if self._done > self._most:
                    raise self._too_large()
                out.write(chunk)
                self._progress(whole)
            if whole is not None and self._done < whole:  # http.client does not report this
                raise ConnectionError(f"ended after {self._done} of {whole} bytes")

    def _progress(self, whole: int | None) -> None:
        if time.monotonic() - self._told_s >= TOLD_EVERY_S:
            self._told_s = time.monotonic()
            of = f" of {whole / 1e6:.0f} MB, {100 * self._done / whole:.0f} %" if whole else " MB"
            self._tell(f"downloaded {self._done / 1e6:.0f}{of}")

    def _too_large(self) -> PackError:
        return PackError(
            f"{self._url}: is larger than {self._most / 1e6:.0f} MB", "make room on the disk, or check the address"
        )
