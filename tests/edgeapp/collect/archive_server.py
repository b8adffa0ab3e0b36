"""A web server that speaks the protocols of the archives: those of GBIF, Xeno-canto, iNaturalist and MediaWiki, and
files, with everything that happens to those on the way.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "secret-key-of-a-user"
PACKET = 1 << 14  # bytes of a file that are sent at once
MOST_OF_GBIF, REACHED_OF_GBIF = 300, 100_000


@dataclass
class Served:
    """A file, and what is wrong with it.

    Attributes
    ----------
    breaks : deque of int
        After so many bytes the connection is cut, once each.
    statuses : deque of (int, dict)
        Answers that come first, with their headers.
    ranges, length : bool
        Whether a part can be asked for, and whether the length is told.
    encoding : str
        In which the content is said to be packed.
    part : dict
        What the next part says wrongly of itself: ``start``, ``total``, ``version``; or ``past``, the bytes that the
        file has now.
    """

    content: bytes = b""
    media_type: str = "application/octet-stream"
    etag: str = '"one"'
    location: str = ""
    ranges: bool = True
    length: bool = True
    encoding: str = ""
    part: dict[str, Any] = field(default_factory=dict)
    breaks: deque[int] = field(default_factory=deque)
    statuses: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)


@dataclass
class Archives:
    """What the server has, and what it was asked.

    Attributes
    ----------
    files : dict of str to Served
        By their path, such as ``"/files/a.mp3"``.
    gbif, inaturalist : list of dict
        Records as the interfaces give them.
    xeno_canto : list of dict
    per_page : int
        Most records of a page, whatever is asked for.
    wikipedia : dict of str to str
        Title of an article to its picture.
    redirects : dict of str to str
        Title to the title of the article.
    sections : set of str
        Articles of which redirects lead to a section.
    commons : dict of str to dict
        Title of a file to its `imageinfo`, and ``"category"`` if it has one.
    refusals : deque of (int, dict, dict)
        Status, headers and body that the next questions get.
    asked : list of str
        Paths with their queries.
    slow_s : float
        Before every answer.
    line_bytes_per_s : float
        Of the line that all files share; 0 for no limit.
    busy_every : int
        Each of so many requests for a file is answered by 429; 0 for none.
    """

    url: str = ""
    files: dict[str, Served] = field(default_factory=dict)
    gbif: list[dict[str, Any]] = field(default_factory=list)
    gbif_reached: int = REACHED_OF_GBIF
    xeno_canto: list[dict[str, Any]] = field(default_factory=list)
    inaturalist: list[dict[str, Any]] = field(default_factory=list)
    wikipedia: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    sections: set[str] = field(default_factory=set)
    commons: dict[str, dict[str, Any]] = field(default_factory=dict)
    per_page: int = 10_000
    refusals: deque[tuple[int, dict[str, str], Any]] = field(default_factory=deque)
    asked: list[str] = field(default_factory=list)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0
    slow_s: float = 0.0
    line_bytes_per_s: float = 0.0
    busy_every: int = 0
    files_asked: int = 0
    line_free_s: float = 0.0

    @property
    def addresses(self) -> dict[str, str]:
        """Of every source, for its setting."""
        return {
            "gbif": f"{self.url}/gbif/v1",
            "xeno-canto": f"{self.url}/xc/api/3",
            "inaturalist": f"{self.url}/inat/v1",
            "inaturalist-files": f"{self.url}/open-data",
            "commons": f"{self.url}/commons/api.php",
            "wikipedia": f"{self.url}/wikipedia/api.php",
        }

    def serve(self, path: str, content: bytes, **more: Any) -> str:
        """Serve a file; its address."""
        self.files[path] = Served(content, **more)
        return f"{self.url}{path}"

    def questions(self, begin: str) -> list[str]:
        """What was asked of one interface."""
        return [path for path in self.asked if path.startswith(begin)]


@contextmanager
def archive_server() -> Iterator[Archives]:
    """Serve on a free port of this machine."""
    archives = Archives()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            with lock:
                archives.asked.append(self.path)
                archives.agents.add(self.headers.get("User-Agent", ""))
                archives.at_once += 1
                archives.most_at_once = max(archives.most_at_once, archives.at_once)
                if wanted := self.headers.get("Range"):
                    archives.ranges.append((parts.path, wanted))
            try:
                if archives.slow_s:
                    time.sleep(archives.slow_s)
                self._answer(unquote(parts.path), {name: values for name, values in parse_qs(parts.query).items()})
            finally:
                with lock:
                    archives.at_once -= 1

        def _answer(self, path: str, query: dict[str, list[str]]) -> None:
            if path in archives.files:
                self._file(archives.files[path])
                return
            if archives.refusals:
                status, headers, body = archives.refusals.popleft()
                self._send(status, body, headers)
                return
            one = {name: values[-1] for name, values in query.items()}
            if path == "/gbif/v1/occurrence/search":
                self._send(*gbif(archives, query))
            elif path == "/xc/api/3/recordings":
                self._send(*xeno_canto(archives, one))
            elif path == "/inat/v1/observations":
                self._send(*inaturalist(archives, one))
            elif path == "/wikipedia/api.php":
                self._send(200, wikipedia(archives, one))
            elif path == "/commons/api.php":
                self._send(200, commons(archives, one))
            else:
                self._send(404, b"<!DOCTYPE html><html><body>Not found</body></html>")

        def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response_only(status)
            for name, value in {"Date": self.date_time_string(), **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(raw)

        def _file(self, served: Served) -> None:
            with lock:
                archives.files_asked += 1
                busy = archives.busy_every and archives.files_asked % archives.busy_every == 0
            if busy:
                self._send(429, b"", {"Retry-After": "1"})
                return
            if served.statuses:
                status, headers = served.statuses.popleft()
                self._send(status, b"", headers)
                return
            if served.location:
                self._send(302, b"", {"Location": served.location})
                return
            start, size, etag = 0, len(served.content), served.etag
            wanted = self.headers.get("Range")
            if wanted and served.ranges and self.headers.get("If-Range") == served.etag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= size:
                    self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                    return
                told, served.part = served.part, {}
                if "past" in told:
                    self._send(416, b"", {"Content-Range": f"bytes */{told['past']}"})
                    return
                total, begin, etag = told.get("total", size), told.get("start", start), told.get("version", etag)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{total}")
            else:
                self.send_response(200)
            if served.length:
                self.send_header("Content-Length", str(size - start))
            else:
                self.send_header("Connection", "close")
            self.send_header("ETag", etag)
            self.send_header("Content-Type", served.media_type)
            if served.encoding:
                self.send_header("Content-Encoding", served.encoding)
            self.end_headers()
            if self.command == "HEAD":
                return
            end = start + served.breaks.popleft() if served.breaks else size
            for at in range(start, end, PACKET):
                self._wait_for_the_line(min(PACKET, end - at))
                self.wfile.write(served.content[at : min(at + PACKET, end)])
            if end < size or not served.length:
                self.close_connection = True

        def _wait_for_the_line(self, n_bytes: int) -> None:
            if not archives.line_bytes_per_s:
                return
            with lock:
                begin_s = max(archives.line_free_s, time.monotonic())
                archives.line_free_s = until_s = begin_s + n_bytes / archives.line_bytes_per_s
            time.sleep(max(0.0, until_s - time.monotonic()))

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            pass  # whoever asked has closed the connection

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    archives.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield archives
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def gbif(archives: Archives, query: dict[str, list[str]]) -> tuple[int, Any]:
    """GBIF's search: pages, facets, filters, and its limits."""
    one = {name: values[-1] for name, values in query.items()}
    offset, limit = int(one.get("offset", 0)), min(int(one.get("limit", 20)), MOST_OF_GBIF, archives.per_page)
    if offset + limit > archives.gbif_reached:
        return 400, {"message": f"Max offset of {archives.gbif_reached} exceeded: {offset} + {limit}"}
    kept = [record for record in archives.gbif if _fits(record, query)]
    answer: dict[str, Any] = {
        "offset": offset,
        "limit": limit,
        "endOfRecords": offset + limit >= len(kept),
        "count": len(kept),
        "results": kept[offset : offset + limit],
        "facets": [],
    }
    if facet := one.get("facet"):
        counts = Counter(str(record[facet]) for record in kept if facet in record)
        field_name = {"datasetKey": "DATASET_KEY"}.get(facet, facet.upper())
        answer["facets"] = [
            {"field": field_name, "counts": [{"name": name, "count": n} for name, n in counts.most_common()]}
        ]
    return 200, answer


def _fits(record: dict[str, Any], query: dict[str, list[str]]) -> bool:
    for name, values in query.items():
        if name == "mediaType":
            if not {media.get("type") for media in record.get("media", [])} & set(values):
                return False
        elif name == "scientificName":
            if not any(record["scientificName"].startswith(value) for value in values):
                return False
        elif name in ("datasetKey", "year", "month", "country", "classKey") and str(record.get(name, "")) not in values:
            return False
    return True


def xeno_canto(archives: Archives, one: dict[str, str]) -> tuple[int, Any]:
    """Xeno-canto's search by tags; numbers are texts, as there."""
    if one.get("key") != KEY:
        return 401, {
            "error": "client_error",
            "message": f"Missing or invalid 'key' parameter: {one.get('key')}. Visit your account to retrieve it.",
        }
    kept = archives.xeno_canto
    for tag in one["query"].split():
        name, _, value = tag.partition(":")
        kept = [record for record in kept if str(record.get(name, "")).casefold() == value.casefold()]
    per_page = min(int(one.get("per_page", 100)), archives.per_page)
    page, pages = int(one.get("page", 1)), max(1, -(-len(kept) // per_page))
    return 200, {
        "numRecordings": str(len(kept)),
        "numSpecies": "1",
        "page": page,
        "numPages": pages,
        "recordings": kept[(page - 1) * per_page : page * per_page],
    }


def inaturalist(archives: Archives, one: dict[str, str]) -> tuple[int, Any]:
    """iNaturalist's observations above an identifier."""
    kept = [
        record
        for record in archives.inaturalist
        if record["id"] > int(one.get("id_above", 0))
        and all(record.get(many) for many in ("sounds", "photos") if one.get(many) == "true")
        and record["taxon"]["name"].startswith(one.get("taxon_name", ""))
    ]
    kept.sort(key=lambda record: record["id"])
    per_page = min(int(one.get("per_page", 30)), archives.per_page)
    return 200, {"total_results": len(kept), "page": 1, "per_page": per_page, "results": kept[:per_page]}


def wikipedia(archives: Archives, one: dict[str, str]) -> dict[str, Any]:
    """Pictures of articles."""
    titles = one["titles"].split("|")
    found = [archives.redirects.get(title, title) for title in titles]
    return {
        "batchcomplete": True,
        "query": {
            "redirects": [
                {"from": title, "to": (to := archives.redirects[title])}
                | ({"tofragment": "Species"} if to in archives.sections else {})
                for title in titles
                if title in archives.redirects
            ],
            "pages": [
                {"title": title, "pageimage": archives.wikipedia[title]}
                if title in archives.wikipedia
                else {"title": title, "missing": True}
                for title in found
            ],
        },
    }


def commons(archives: Archives, one: dict[str, str]) -> dict[str, Any]:
    """What is known of files, by their titles or their category."""
    if one.get("generator") == "categorymembers":
        titles = [title for title, info in archives.commons.items() if info.get("category") == one["gcmtitle"]]
    else:
        titles = one["titles"].split("|")
    pages = [
        {"title": title, "imageinfo": [archives.commons[title]]}
        if title in archives.commons
        else {"title": title, "missing": True}
        for title in titles
    ]
    return {"batchcomplete": True, "query": {"pages": pages}} if pages else {"batchcomplete": True}


def http_date(seconds: float) -> str:
    """A time as HTTP writes it."""
    return formatdate(seconds, usegmt=True)
