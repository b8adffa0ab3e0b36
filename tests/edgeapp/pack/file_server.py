"""A web server for one file, which can break off, refuse, redirect, and forget what it can."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What is served, how, and what was asked for.

    Attributes
    ----------
    breaks : list of int
        For each answer so many bytes, after which the connection is closed; answers after that are whole.
    statuses : list of int
        Statuses that come first, instead of the file.
    ranges, length : bool
        Whether a part can be asked for, and whether the length is told.
    part : bool
        Whether a part is sent that was not asked for.
    asked : list of str or None
        The Range header of each request.
    paths : list of str
        The path of each request.
    """

    content: bytes = b""
    etag: str = '"one"'
    breaks: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    length: bool = True
    location: str = ""
    part: bool = False
    paths: list[str] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""
    after_break: bytes | None = None


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Serve on a free port of this machine."""
    served = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            served.asked.append(wanted)
            served.paths.append(self.path)
            if served.location:
                self.send_response(302)
                self.send_header("Location", served.location)
                self.end_headers()
                return
            if served.statuses:
                self.send_error(served.statuses.pop(0))
                return
            start = 0
            if wanted and served.ranges and self.headers.get("If-Range") == served.etag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
            else:
                self.send_response(206 if served.part else 200)
            if served.length:
                self.send_header("Content-Length", str(len(served.content) - start))
            self.send_header("ETag", served.etag)
            self.end_headers()
            end = start + served.breaks.pop(0) if served.breaks else len(served.content)
            self.wfile.write(served.content[start:end])
            if end < len(served.content) and served.after_break is not None:
                served.content, served.etag = served.after_break, '"two"'

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/pack.zip"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
