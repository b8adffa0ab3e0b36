"""Fetching one file: byte for byte from where it was cut, and checked before it gets its name.

On disk: ``.unfinished/NAME`` has the bytes that came so far, ``.unfinished/NAME.json`` from where and of which version
they are; the bytes are cut off before another version is written down. Only a whole file that is what was wanted is
moved to its place, flushed to the disk. A run may end anywhere: the next goes on if the server still has the same
version, else it begins again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeapp import file_names
from edgeapp.collect.client import Again, Client, FetchError, Flow, Trickle, host_of
from edgeapp.collect.content import HEAD, extension, extension_of
from edgeapp.collect.defaults import KEEP_FREE_MB, MB, MOST_MB
from edgeapp.collect.pace import Stopped
from edgeapp.errors import OutputError
from gallery import files

if TYPE_CHECKING:
    import httpx

UNFINISHED = ".unfinished"
CHUNK = 1 << 16
DISK_ASKED_EVERY = 16 << 20  # bytes
RANGE_WRONG = 416
GZIP, GZIP_OR_ZLIB = ("gzip", "x-gzip", "deflate"), 47  # encodings, and the `wbits` that tells them apart
CHECKSUMS = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True)
class Limits:
    """What may be written.

    Attributes
    ----------
    most_bytes : int
        Of a file.
    keep_free : int
        Bytes of the disk that stay free.
    """

    most_bytes: int = int(MOST_MB * MB)
    keep_free: int = int(KEEP_FREE_MB * MB)


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched.

    Attributes
    ----------
    url : str
        Address, or the path of a file that lies here if `local`.
    target : Path
        Where it goes, without its extension, which its content decides.
    unfinished : Path
        Where it lies until it is whole.
    modality : str
    size : int or None
    checksum : str
        ``"md5:…"`` and the like, as published.
    local : bool
        Only a folder of one's own names files: an archive that does so is not obeyed.
    """

    url: str
    target: Path
    unfinished: Path
    modality: str
    size: int | None = None
    checksum: str = ""
    local: bool = False


@dataclass(frozen=True)
class Fetched:
    """A file that is here.

    Attributes
    ----------
    path : Path
    sha256 : str
    n_bytes : int
    """

    path: Path
    sha256: str
    n_bytes: int


class FullDiskError(OutputError):
    """The disk has no more room than is to be kept free: the run ends, and goes on when there is."""


def fetch(client: Client, wanted: Wanted, limits: Limits, came: Callable[[int], None] = lambda n: None) -> Fetched:
    """Fetch a file, check it, and put it in place.

    Parameters
    ----------
    came : callable
        Told how many bytes came.

    Raises
    ------
    FetchError
        It does not come, or is not what was wanted; then nothing of it is kept, unless the connection broke.
    FullDiskError
    Stopped
        What came is kept for the next run.
    OSError
        It cannot be written.
    """
    check_room(wanted.unfinished.parent, limits, wanted.size or 0)
    if wanted.local:
        _copy(wanted, limits, came)
    else:
        transfer = _Transfer(client, wanted, limits, came)
        client.persist(wanted.url, transfer.once)
    try:
        ending, sha256, n_bytes = _checked(wanted)
    except FetchError:
        _forget(wanted)
        raise
    path = wanted.target.with_name(wanted.target.name + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.put_in_place(wanted.unfinished, path)
    _forget(wanted)
    return Fetched(path, sha256, n_bytes)


def check_room(folder: Path, limits: Limits, n_bytes: int) -> None:
    """Raise FullDiskError where so many bytes more would leave less free than is to be kept."""
    free = shutil.disk_usage(folder).free
    if free - n_bytes < limits.keep_free:
        raise FullDiskError(
            f"{folder.parent}: {free / 1e9:.1f} GB are free, and {limits.keep_free / 1e9:.1f} GB are to be kept free",
            "make room, or lower --keep-free; the same command goes on",
        )


class _Transfer:
    """One file over several connections."""

    def __init__(self, client: Client, wanted: Wanted, limits: Limits, came: Callable[[int], None]) -> None:
        self._client, self._wanted, self._limits, self._came = client, wanted, limits, came
        self._host = host_of(wanted.url)
        self._about = _about(wanted.unfinished)
        self._furthest = 0  # bytes that any attempt had

    def once(self) -> None:
        """One attempt, from where the last one ended."""
        done, headers = self._resumable()
        self._furthest = max(self._furthest, done)
        try:
            with self._client.open(self._wanted.url, headers) as answer:
                if answer.status_code == RANGE_WRONG:
                    self._past_the_end(answer, done)
                    return
                goes_on = answer.status_code == 206 and _begins_at(answer, done)
                if answer.status_code == 206 and not goes_on:
                    _forget(self._wanted)
                    raise Again("the server sent another part of the file than it was asked for")
                if goes_on and done and (version := _version(answer)) and version != headers.get("If-Range"):
                    _forget(self._wanted)
                    raise Again("the file has changed at the server")
                if not goes_on:
                    done = 0
                whole = self._whole(answer, done)
                with self._wanted.unfinished.open("ab" if goes_on else "wb") as out:
                    if not goes_on:
                        self._remember(answer, whole)
                    flow = Flow()
                    for chunk in _unpacked(answer, flow):
                        out.write(chunk)
                        done += len(chunk)
                        self._take(len(chunk), done)
                        if done - len(chunk) < HEAD:
                            self._sniff(out, done)
                if whole is not None and done < whole:
                    raise Again(f"the connection ended after {done:,} of {whole:,} bytes")
        except Trickle:
            raise
        except Again as again:
            forward, self._furthest = done > self._furthest, max(self._furthest, done)
            if forward and not again.asked_s:
                raise Again(again.reason, again.asked_s, False, again.unreachable) from None
            raise
        except FetchError:
            _forget(self._wanted)
            raise

    def _resumable(self) -> tuple[int, dict[str, str]]:
        """Bytes that are here of what the server may still have, and the headers that ask for the rest."""
        told = _read(self._about)
        done = self._wanted.unfinished.stat().st_size if self._wanted.unfinished.exists() else 0
        version = told.get("version")
        if not done or not version or told.get("url") != self._wanted.url:
            return 0, {}
        return done, {"Range": f"bytes={done}-", "If-Range": version}

    def _past_the_end(self, answer: httpx.Response, done: int) -> None:
        if not done:
            raise FetchError("the server answers 416, and was not asked for a part", lasting=True)
        whole = _read(self._about).get("whole") or done
        if answer.headers.get("Content-Range", "").strip() != f"bytes */{done}" or whole != done:
            _forget(self._wanted)
            raise Again("the file has changed at the server")

    def _whole(self, answer: httpx.Response, done: int) -> int | None:
        """Bytes that the file will have, as far as the server says."""
        length = answer.headers.get("Content-Length", "")
        if not length.isdigit() or _packed(answer):
            return None
        total = answer.headers.get("Content-Range", "").rpartition("/")[2] if answer.status_code == 206 else ""
        whole = int(total) if total.isdecimal() else done + int(length)
        if whole > self._limits.most_bytes:
            raise self._too_large()
        check_room(self._wanted.unfinished.parent, self._limits, int(length))
        return whole

    def _remember(self, answer: httpx.Response, whole: int | None) -> None:
        version = "" if _packed(answer) else _version(answer)
        told = {"url": self._wanted.url, "version": version, "whole": whole}
        self._about.write_text(json.dumps(told), encoding="utf-8")

    def _take(self, n_bytes: int, done: int) -> None:
        pace = self._client.pace
        pace.took(self._host, n_bytes)
        self._came(n_bytes)
        if done > self._limits.most_bytes:
            raise self._too_large()
        if done // DISK_ASKED_EVERY != (done - n_bytes) // DISK_ASKED_EVERY:
            check_room(self._wanted.unfinished.parent, self._limits, 0)
        if pace.stop.is_set():
            raise Stopped

    def _sniff(self, out: Any, done: int) -> None:
        """End a transfer whose first bytes say that it is something else."""
        out.flush()
        with self._wanted.unfinished.open("rb") as file:
            extension(file.read(HEAD), self._wanted.modality, whole=False)

    def _too_large(self) -> FetchError:
        return FetchError(f"is larger than {self._limits.most_bytes / 1e6:.0f} MB", lasting=True)


def _copy(wanted: Wanted, limits: Limits, came: Callable[[int], None]) -> None:
    path = Path(file_names.name_of(wanted.url))
    try:
        size = path.stat().st_size
        if size > limits.most_bytes:
            raise FetchError(f"is larger than {limits.most_bytes / 1e6:.0f} MB", lasting=True)
        check_room(wanted.unfinished.parent, limits, size)
        with path.open("rb") as file, wanted.unfinished.open("wb") as out:
            shutil.copyfileobj(file, out, CHUNK)
    except OSError as error:
        if error.filename is not None and Path(error.filename) == path:
            raise FetchError(f"cannot be read ({error.strerror or error})") from None
        raise
    came(size)


def _checked(wanted: Wanted) -> tuple[str, str, int]:
    """Extension, sha256 and size of a whole file that is what was wanted."""
    algorithm, _, published = wanted.checksum.partition(":")
    algorithm = algorithm.lower().replace("-", "")
    digests = [hashlib.sha256()]
    if published and algorithm in CHECKSUMS:
        digests.append(hashlib.new(algorithm, usedforsecurity=False))
    n_bytes = 0
    with wanted.unfinished.open("rb") as file:
        while chunk := file.read(1 << 20):
            n_bytes += len(chunk)
            for digest in digests:
                digest.update(chunk)
    ending = extension_of(wanted.unfinished, wanted.modality)
    if len(digests) > 1 and digests[1].hexdigest() != published.strip().lower():
        raise FetchError(f"has another {algorithm} than its source says")
    if wanted.size is not None and n_bytes != wanted.size:
        raise FetchError(f"has {n_bytes:,} bytes, and its source says {wanted.size:,}")
    return ending, digests[0].hexdigest(), n_bytes


def _packed(answer: httpx.Response) -> str:
    """How the server packed a file, though it was asked not to; ``""`` for one that comes as it is."""
    encoding = str(answer.headers.get("Content-Encoding", "")).strip().lower()
    return "" if encoding == "identity" else encoding


def _unpacked(answer: httpx.Response, flow: Flow) -> Iterator[bytes]:
    """The bytes of a file as they come: none is lost where it is cut.

    Raises
    ------
    FetchError
        It is packed in a way that was not asked for and is not known.
    Again
        It came too slowly, or what is packed is damaged or has no end.
    """
    packed = _packed(answer)
    if packed not in ("", *GZIP):
        raise FetchError(f"comes packed as {packed}, which was not asked for", lasting=True)
    unpacker = zlib.decompressobj(wbits=GZIP_OR_ZLIB)
    try:
        for chunk in answer.iter_raw():
            flow.came(len(chunk))
            yield unpacker.decompress(chunk) if packed else chunk
    except zlib.error as error:
        raise Again(f"comes packed and damaged ({error})") from None
    if packed and not unpacker.eof:
        raise Again("the connection ended before what was packed did")


def _version(answer: httpx.Response) -> str:
    """What tells two versions of a file apart; ``""`` where the server says nothing that can be said back to it."""
    etag = answer.headers.get("ETag", "")
    version = str(etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", ""))
    return version if version.isascii() else ""


def _begins_at(answer: httpx.Response, done: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {done}-")


def _about(unfinished: Path) -> Path:
    return unfinished.with_name(f"{unfinished.name}.json")


def _read(about: Path) -> dict[str, Any]:
    try:
        told = json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _forget(wanted: Wanted) -> None:
    wanted.unfinished.unlink(missing_ok=True)
    _about(wanted.unfinished).unlink(missing_ok=True)
