"""Requests that are large, slow or many: each has its bound, and pages still answer."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from edgeapp.config.sections import Station, Web
from edgeapp.config.settings import Settings
from edgeapp.pack.names import shipped_names
from edgeapp.web import guard, server
from edgeapp.web.of_journal import page_of
from tests.edgeapp.web.conftest import client_of, serving, until_true


@pytest.fixture
def client(served) -> Iterator[httpx.Client]:
    with client_of(served.url) as client:
        yield client


def test_a_body_that_is_too_large_is_refused(served, client):
    large = b"x" * (guard.MOST_BYTES + 1)
    for path in ("/reviews", "/api/v1/reviews", "/login"):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.post(path, content=large, headers=headers).status_code == 413
        assert client.post(path, content=iter([large]), headers=headers).status_code == 413  # no length is told
    many = "&".join(f"f{n}=1" for n in range(5_000))
    assert client.post("/settings", content=many, headers=headers).status_code == 400


@pytest.fixture
def impatient(monkeypatch, recorded, starter_pack, gallery, tmp_path) -> Iterator[tuple[str, int]]:
    """Host and port of a server that waits for half a second."""
    monkeypatch.setattr(server, "HEADERS_S", 0.5)
    monkeypatch.setattr(guard, "BODY_S", 0.5)
    with serving(tmp_path, recorded, starter_pack, gallery) as served:
        address = urlsplit(served.url)
        assert address.hostname and address.port
        yield address.hostname, address.port


def ends(connection: socket.socket, drop: bytes = b"") -> bytes:
    """What a server says until it ends a connection, to which a drop is sent now and then."""
    connection.settimeout(0.1)
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            connection.sendall(drop)
            piece = connection.recv(65_536)
        except TimeoutError:
            continue
        except ConnectionError:
            return said
        if not piece:
            return said
        said += piece
    raise TimeoutError("the server waits for ever")


@pytest.mark.parametrize(
    "begins",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"GET /static/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\nX: ",
    ],
)
def test_a_slow_head_is_cut(impatient, begins):
    with socket.create_connection(impatient) as connection:
        connection.sendall(begins)
        ends(connection, b"x" if begins else b"")


@pytest.mark.parametrize("path", [b"/reviews", b"/no/such/page", b"/api/v1/reviews"])
def test_a_slow_body_is_cut(impatient, path):
    with socket.create_connection(impatient) as connection:
        head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        connection.sendall(head % path + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n")
        assert re.match(rb"HTTP/1.1 4\d\d", ends(connection, b"x"))


def test_a_hundred_streams_of_events_leave_room_for_pages(served, client):
    address = urlsplit(served.url)
    streams = [socket.create_connection((address.hostname, address.port), timeout=60) for _ in range(100)]
    try:
        for stream in streams:
            stream.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for stream in streams:
            assert stream.recv(4096).startswith(b"HTTP/1.1 200")
        for path in ("/", "/day/2026-05-22", "/detections", "/species", "/health", "/settings", "/api/v1/status"):
            assert client.get(path).status_code == 200
    finally:
        for stream in streams:
            stream.close()


def test_names_are_read_before_somebody_asks_for_them(recorded, starter_pack, tmp_path):
    journal = tmp_path / "journal.sqlite"
    journal.write_bytes((recorded / "journal.sqlite").read_bytes())
    settings = Settings(station=Station(journal=journal, pack=str(starter_pack)), web=Web(port=0))
    shipped_names.cache_clear()
    with page_of(settings) as page:
        page.start()
        until_true(lambda: {"names", "by_name", "_completion"} <= vars(page._site).keys())
        assert shipped_names.cache_info().currsize == 1
        page.close()
