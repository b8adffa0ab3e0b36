"""A download is whole, or nothing but one line is left of it."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeapp.errors import PackError
from edgeapp.pack import download as downloads
from edgeapp.pack.download import download
from tests.edgeapp.pack.file_server import FileServer, file_server

CONTENT = np.random.default_rng(0).bytes(1_000_000)
MOST = 1 << 30


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(downloads, "PAUSE_S", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with file_server() as served:
        served.content = CONTENT
        yield served


def got(served: FileServer, tmp_path: Path, most: int = MOST) -> tuple[bytes, str, list[str]]:
    lines: list[str] = []
    digest = download(served.url, tmp_path / "file", most, lines.append)
    return (tmp_path / "file").read_bytes(), digest, lines


def test_a_file_is_downloaded_with_its_hash(served, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TOLD_EVERY_S", 0.0)
    content, digest, lines = got(served, tmp_path)
    assert content == CONTENT and digest == hashlib.sha256(CONTENT).hexdigest()
    assert lines[-1] == "downloaded 1 of 1 MB, 100 %"
    assert served.asked == [None]


def test_a_broken_connection_is_taken_up_where_it_broke(served, tmp_path):
    served.breaks = [300_000, 200_000]
    assert got(served, tmp_path)[0] == CONTENT
    assert served.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_server_without_ranges_begins_anew(served, tmp_path):
    served.breaks, served.ranges = [300_000], False
    assert got(served, tmp_path)[0] == CONTENT


def test_a_file_that_changed_meanwhile_is_begun_anew(served, tmp_path):
    served.breaks, served.after_break = [300_000], CONTENT[::-1]
    assert got(served, tmp_path)[0] == CONTENT[::-1]


def test_a_server_that_breaks_off_every_time_is_given_up(served, tmp_path):
    served.breaks = [10] * 100
    with pytest.raises(PackError, match=r"cannot be downloaded \(ended after 50 of 1000000 bytes\); check the address"):
        got(served, tmp_path)
    assert len(served.asked) == downloads.TRIES


def test_an_overloaded_server_is_asked_again(served, tmp_path):
    served.statuses = [503, 429]
    assert got(served, tmp_path)[0] == CONTENT


def test_a_missing_file_is_told_at_once(served, tmp_path):
    served.statuses = [404] * 9
    with pytest.raises(PackError, match=r"the server answers 404 \(Not Found\)"):
        got(served, tmp_path)
    assert len(served.asked) == 1


def test_no_server_is_told_at_once(served, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        served.url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(PackError, match="cannot be downloaded .*Connection refused"):
            got(served, tmp_path)


def test_a_server_that_says_nothing_is_given_up(tmp_path):
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/"
        with pytest.raises(PackError, match="cannot be downloaded .*timed out"):
            download(url, tmp_path / "file", MOST, print, timeout_s=0.2)


@pytest.mark.parametrize("length", [True, False])
def test_a_file_that_is_too_large_is_refused(served, tmp_path, length):
    served.length = length
    with pytest.raises(PackError, match=r"is larger than 0 MB; make room"):
        got(served, tmp_path, most=400_000)
    assert (tmp_path / "file").stat().st_size <= 400_000


def test_without_a_length_all_is_taken(served, tmp_path):
    served.length = False
    assert got(served, tmp_path)[0] == CONTENT


@pytest.mark.parametrize("location", ["file:///etc/hosts", "ftp://127.0.0.1/pack.zip"])
def test_a_redirection_to_something_else_is_not_followed(served, tmp_path, location):
    served.location = location
    with pytest.raises(PackError):
        got(served, tmp_path)
    assert (tmp_path / "file").read_bytes() == b""


def test_a_part_that_was_not_asked_for_is_no_file(served, tmp_path):
    served.part = True
    with pytest.raises(PackError, match="the server answers 206, not with a file; check the address"):
        got(served, tmp_path)
