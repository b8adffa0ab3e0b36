"""Fetching files over connections that break, from servers that refuse, and in several runs."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.client import TRIES, Client
from edgeapp.collect.download import SILENT, download, file_name
from edgeapp.collect.medium import Medium
from edgeapp.collect.transfer import UNFINISHED, FullDiskError, Limits
from tests.edgeapp.collect.conftest import photo, sound

HERE = Limits(keep_free=0)


@pytest.fixture
def catalogue(tmp_path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path / "set") as opened:
        yield opened


def chosen(catalogue: Catalogue, *urls: str, modality: str = "audio", **more: object) -> None:
    """Choose one medium for each address."""
    medium = Medium("gbif", "", "", modality, "", "Parus major")
    catalogue.offer(replace(medium, id=str(n), url=url, **more) for n, url in enumerate(urls))
    catalogue.match("Parus major", {}, "Parus major")
    catalogue.choose([row.key for row in catalogue.rows("offered")])


def states(catalogue: Catalogue) -> list[tuple[str, str]]:
    return [(row.state, row.reason) for row in catalogue.rows()]


def test_files_come_with_their_names_and_hashes(archives, client, catalogue):
    content = sound()
    chosen(catalogue, archives.serve("/files/a.mp3", content))
    outcome = download(catalogue, client, HERE)
    [row] = catalogue.rows("downloaded")
    assert (outcome.files, outcome.bytes, outcome.failed) == (1, len(content), 0)
    assert row.path == "audio/Parus_major/gbif_0.wav"  # by what it is, not by what it is called
    assert (catalogue.folder / row.path).read_bytes() == content
    assert (row.sha256, row.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert list((catalogue.folder / UNFINISHED).iterdir()) == []


@pytest.mark.parametrize("breaks", [[1000], [1, 5000, 1], [70_000, 3]])
def test_a_cut_connection_goes_on_byte_for_byte(breaks, archives, client, catalogue):
    content = sound(seconds=6.0)
    url = archives.serve("/files/a.wav", content, breaks=deque(breaks))
    chosen(catalogue, url)
    download(catalogue, client, HERE)
    [row] = catalogue.rows("downloaded")
    assert (catalogue.folder / row.path).read_bytes() == content
    at, asked = 0, []
    for cut in breaks:
        at += cut
        asked.append(("/files/a.wav", f"bytes={at}-"))
    assert archives.ranges == asked


def test_a_server_without_ranges_is_asked_from_the_begin(archives, client, catalogue):
    content = sound()
    chosen(catalogue, archives.serve("/files/a.wav", content, breaks=deque([900, 400]), ranges=False))
    download(catalogue, client, HERE)
    [row] = catalogue.rows("downloaded")
    assert (catalogue.folder / row.path).read_bytes() == content


def test_the_next_run_goes_on_where_one_was_cut(archives, client, catalogue):
    content = sound(seconds=2.0)
    url = archives.serve("/files/a.wav", content)
    served = archives.files["/files/a.wav"]
    chosen(catalogue, url)

    def refuse_after_the_cut() -> None:
        served.statuses.extend([(500, {})] * 10)

    served.breaks = _Telling([5000], refuse_after_the_cut)
    download(catalogue, client, HERE)
    assert states(catalogue) == [("failed", "the server answers 500 (Internal Server Error)")]
    assert (catalogue.folder / UNFINISHED / "gbif_0").stat().st_size == 5000
    served.statuses.clear()
    catalogue.choose([1])
    download(catalogue, client, HERE)
    assert archives.ranges[-1] == ("/files/a.wav", "bytes=5000-")
    [row] = catalogue.rows("downloaded")
    assert (catalogue.folder / row.path).read_bytes() == content


class _Telling(deque):
    """Numbers whose taking is told."""

    def __init__(self, numbers, then) -> None:
        super().__init__(numbers)
        self._then = then

    def popleft(self):
        self._then()
        return super().popleft()


def test_a_file_that_changed_meanwhile_is_begun_anew(archives, client, catalogue):
    first, second = sound(1), sound(2, seconds=0.5)
    url = archives.serve("/files/a.wav", first)
    served = archives.files["/files/a.wav"]

    def change() -> None:
        served.content, served.etag = second, '"two"'

    served.breaks = _Telling([3000], change)
    chosen(catalogue, url)
    download(catalogue, client, HERE)
    [row] = catalogue.rows("downloaded")
    assert (catalogue.folder / row.path).read_bytes() == second


@pytest.mark.parametrize("format", ["OGG", "FLAC", "MP3", "AIFF"])
def test_sound_of_any_format_is_taken_whatever_is_announced(format, archives, client, catalogue):
    url = archives.serve("/files/download", sound(format=format), media_type="text/html")
    chosen(catalogue, url)
    download(catalogue, client, HERE)
    [row] = catalogue.rows("downloaded")
    assert row.path.endswith({"OGG": ".ogg", "FLAC": ".flac", "MP3": ".mp3", "AIFF": ".aiff"}[format])


def test_m4a_and_photos_are_taken(archives, client, catalogue):
    box = b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42isom" + bytes(5000)
    chosen(catalogue, archives.serve("/files/a.m4a", box))
    chosen(catalogue, archives.serve("/files/b.jpg", photo(format="PNG")), modality="image", source="commons")
    download(catalogue, client, HERE)
    assert sorted(row.path for row in catalogue.rows("downloaded")) == [
        "audio/Parus_major/gbif_0.m4a",
        "image/Parus_major/commons_0.png",
    ]


@pytest.mark.parametrize(
    ("content", "modality", "reason"),
    [
        (b"<!DOCTYPE html><html><body>Not any more</body></html>", "audio", "is an HTML page, not sound"),
        (b"<!DOCTYPE html>" + b" " * 200_000, "audio", "is an HTML page, not sound"),
        (b"", "audio", "is empty"),
        (b'{"error": "gone"}', "image", "is a JSON document, not a photo"),
        (photo(), "audio", "is a JPEG picture, not sound"),
        (b"%PDF-1.7" + bytes(3000), "image", "is a PDF document, not a photo"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "image", "is an XML document, not a photo"),
        (bytes(range(7, 250)) * 400, "audio", "is of no format that is known, not sound"),
    ],
)
def test_what_is_no_sound_or_photo_is_named(content, modality, reason, archives, client, catalogue, capsys):
    chosen(catalogue, archives.serve("/files/a.mp3", content), modality=modality)
    outcome = download(catalogue, client, HERE)
    assert states(catalogue) == [("failed", reason)]
    assert outcome.failed == 1
    assert [row.lasting for row in catalogue.rows()] == [True]
    assert f"/files/a.mp3: {reason}" in capsys.readouterr().err
    assert not any(catalogue.folder.glob("*/*/*")) and list((catalogue.folder / UNFINISHED).iterdir()) == []


def test_a_file_that_is_not_there_does_not_end_the_others(archives, client, catalogue):
    chosen(catalogue, f"{archives.url}/files/none.mp3", archives.serve("/files/a.wav", sound()))
    outcome = download(catalogue, client, HERE)
    assert states(catalogue) == [("failed", "the server answers 404 (Not Found)"), ("downloaded", "")]
    assert (outcome.files, outcome.failed) == (1, 1)


def test_an_archive_names_no_files_of_this_machine(archives, client, catalogue, tmp_path):
    (tmp_path / "own.wav").write_bytes(sound())
    chosen(catalogue, str(tmp_path / "own.wav"), (tmp_path / "own.wav").as_uri())
    download(catalogue, client, HERE)
    assert [(state, "no web address" in reason) for state, reason in states(catalogue)] == [("failed", True)] * 2


def test_files_of_ones_own_are_copied(client, catalogue, tmp_path):
    (tmp_path / "own.wav").write_bytes(sound())
    chosen(catalogue, str(tmp_path / "own.wav"), str(tmp_path / "gone.wav"), source="folder")
    download(catalogue, client, HERE)
    assert [state for state, _ in states(catalogue)] == ["downloaded", "failed"]
    assert (tmp_path / "own.wav").exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"checksum": "md5:" + "0" * 32}, "has another md5 than its source says"),
        ({"size": 17}, "has 16,044 bytes, and its source says 17"),
    ],
)
def test_what_differs_from_what_was_published_is_refused(more, reason, archives, client, catalogue):
    chosen(catalogue, archives.serve("/files/a.wav", sound()), **more)
    download(catalogue, client, HERE)
    assert states(catalogue) == [("failed", reason)]
    assert [row.lasting for row in catalogue.rows()] == [False]


def test_what_was_published_is_checked(archives, client, catalogue):
    content = sound()
    chosen(
        catalogue,
        archives.serve("/files/a.wav", content),
        checksum=f"SHA1:{hashlib.sha1(content).hexdigest().upper()}",
        size=len(content),
    )
    download(catalogue, client, HERE)
    assert states(catalogue) == [("downloaded", "")]


@pytest.mark.parametrize("length", [True, False])
def test_a_file_that_is_too_large_is_left(length, archives, client, catalogue):
    chosen(catalogue, archives.serve("/files/a.wav", sound(seconds=30.0), length=length))
    download(catalogue, client, Limits(most_bytes=100_000, keep_free=0))
    assert states(catalogue) == [("failed", "is larger than 0 MB")]


def test_a_full_disk_ends_the_run_and_keeps_the_choice(archives, client, catalogue):
    chosen(catalogue, archives.serve("/files/a.wav", sound()))
    free = shutil.disk_usage(catalogue.folder).free
    with pytest.raises(FullDiskError, match="are to be kept free; make room, or lower --keep-free"):
        download(catalogue, client, Limits(keep_free=2 * free))
    assert states(catalogue) == [("chosen", "")]


def test_many_files_come_at_once_but_not_from_one_host(archives, client, catalogue):
    archives.slow_s = 0.02
    chosen(catalogue, *(archives.serve(f"/files/{n}.wav", sound(n, 0.1)) for n in range(30)))
    download(catalogue, client, HERE, connections=16)
    assert catalogue.counts("state")[0][:2] == ("downloaded", 30)
    assert 1 < archives.most_at_once <= 4


def test_a_host_that_does_not_answer_is_left_for_the_next_run(client, catalogue, capsys):
    chosen(catalogue, *(f"http://127.0.0.1:1/{n}.wav" for n in range(SILENT + 20)))
    outcome = download(catalogue, client, HERE, connections=1)
    assert outcome.silent == {"127.0.0.1"}
    assert catalogue.counts("state")[0][:2] == ("chosen", 20)
    assert "127.0.0.1 does not answer" in capsys.readouterr().err


def test_no_file_is_given_up_for_a_line_that_was_down(archives, client, catalogue):
    chosen(catalogue, *(f"http://127.0.0.1:1/{n}.wav" for n in range(2)))
    for _ in range(TRIES + 1):
        download(catalogue, client, HERE, connections=1)
        assert [row.attempts for row in catalogue.rows()] == [0, 0]
        catalogue.reconsider()
        catalogue.choose([1, 2])
    catalogue.offer([Medium("gbif", "here", "", "audio", archives.serve("/files/a.wav", sound()), "Parus major")])
    catalogue.choose([3])
    download(catalogue, client, HERE, connections=1)
    assert [row.attempts for row in catalogue.rows()] == [1, 1, 0]  # the line is there: these hosts are not


def test_no_file_is_given_up_for_a_host_that_wants_pauses(archives, client, catalogue):
    url = archives.serve("/files/a.wav", sound(), statuses=deque([(429, {"Retry-After": "86400"})]))
    chosen(catalogue, url)
    download(catalogue, client, HERE)
    [row] = catalogue.rows("failed")
    assert row.attempts == 0


def test_a_refused_file_waits_for_its_host(archives, client, catalogue):
    url = archives.serve("/files/a.wav", sound(), statuses=deque([(429, {"Retry-After": "0"}), (503, {})]))
    chosen(catalogue, url)
    download(catalogue, client, HERE)
    assert states(catalogue) == [("downloaded", "")]


def test_an_interrupted_run_leaves_what_the_next_goes_on_with(archives, catalogue):
    chosen(catalogue, *(archives.serve(f"/files/{n}.wav", sound(n)) for n in range(12)))

    class Interrupting:
        done = 0

        def came(self, n_bytes: int) -> None:
            pass

        def finished(self, failed: bool = False) -> None:
            self.done += 1
            if self.done == 3:
                raise KeyboardInterrupt

        def tell(self) -> None:
            pass

        clear = tell

    with Client(per_s=2000.0, pause_s=0.01) as one, pytest.raises(KeyboardInterrupt):
        download(catalogue, one, HERE, connections=2, progress=Interrupting())
    here = len(list(catalogue.rows("downloaded")))
    assert 3 <= here < 12
    with Client(per_s=2000.0, pause_s=0.01) as another:
        assert download(catalogue, another, HERE).files == 12 - here


def test_names_of_files_are_safe_and_their_own(catalogue):
    catalogue.offer(
        replace(Medium("gbif", id, "", "audio", "", ""), id=id) for id in ("12/ab", "12?ab", "XC1", "../up", "x" * 300)
    )
    names = [file_name(row) for row in catalogue.rows()]
    assert names == ["gbif_12_ab_1", "gbif_12_ab_2", "gbif_XC1_3", "gbif_up_4", f"gbif_{'x' * 60}_5"]


def test_a_host_that_wants_a_long_pause_is_left_for_the_next_run(archives, client, catalogue, capsys):
    urls = [archives.serve(f"/files/{n}.wav", sound(n)) for n in range(6)]
    archives.files["/files/0.wav"].statuses.append((429, {"Retry-After": "86400"}))
    chosen(catalogue, *urls)
    outcome = download(catalogue, client, HERE, connections=1)
    assert (outcome.failed, outcome.silent) == (1, {"127.0.0.1"})
    assert [state for state, _ in states(catalogue)] == ["failed", *["chosen"] * 5]
    assert "asks for a long pause; its other files are left for the next run" in capsys.readouterr().err


@pytest.mark.parametrize("told", [{"version": '"two"'}, {"total": 99_999}, {"start": 7}])
def test_a_part_of_another_version_is_never_put_behind_the_first(told, archives, client, catalogue):
    content = sound()
    url = archives.serve("/files/a.wav", content, breaks=deque([3000]))
    archives.files["/files/a.wav"].part = dict(told)
    chosen(catalogue, url)
    download(catalogue, client, HERE)
    [row] = catalogue.rows("downloaded")
    assert (catalogue.folder / row.path).read_bytes() == content


NO_HOSTS = [f"http://{'a' * 64}.example/a.wav", "http://a..b/a.wav", "http://xn--/a.wav", "http://.com/a.wav"]


@pytest.mark.parametrize("url", NO_HOSTS, ids=["long", "empty", "no letters", "begin"])
def test_a_host_that_cannot_be_does_not_end_the_others(url, archives, client, catalogue):
    chosen(catalogue, url, archives.serve("/files/a.wav", sound()))
    download(catalogue, client, HERE)
    (state, reason), (other, _) = states(catalogue)
    assert (state, other) == ("failed", "downloaded")
    assert "is no web address" in reason


@pytest.mark.parametrize("headers", [{"Content-Range": "bytes */0"}, {}], ids=["empty", "nothing said"])
def test_a_range_that_was_not_asked_for_and_is_refused_is_told(headers, archives, client, catalogue):
    url = archives.serve("/files/a.wav", sound(), statuses=deque([(416, headers)]))
    chosen(catalogue, url, archives.serve("/files/b.wav", sound(1)))
    download(catalogue, client, HERE)
    assert states(catalogue)[0] == ("failed", "the server answers 416, and was not asked for a part")
    assert states(catalogue)[1][0] == "downloaded"


def test_a_version_that_cannot_be_said_back_is_none(archives, client, catalogue):
    content = sound()
    chosen(catalogue, archives.serve("/files/a.wav", content, etag='"\xe4\xff"', breaks=deque([5000])))
    download(catalogue, client, HERE)
    [row] = catalogue.rows("downloaded")
    assert (catalogue.folder / row.path).read_bytes() == content
    assert archives.ranges == []


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
def test_what_a_server_packs_unasked_is_unpacked(encoding, archives, client, catalogue):
    content = sound()
    packed = zlib.compress(content) if encoding == "deflate" else gzip.compress(content)
    chosen(catalogue, archives.serve("/files/a.wav", packed, encoding=encoding))
    download(catalogue, client, HERE)
    [row] = catalogue.rows("downloaded")
    assert (catalogue.folder / row.path).read_bytes() == content


def test_what_is_packed_and_cut_is_not_taken_for_whole(archives, client, catalogue):
    packed = gzip.compress(sound(seconds=6.0))
    cut = len(packed) // 2
    url = archives.serve("/files/a.wav", packed, encoding="gzip", length=False, breaks=deque([cut] * TRIES * 2))
    chosen(catalogue, url)
    download(catalogue, client, HERE)
    assert states(catalogue) == [("failed", "the connection ended before what was packed did")]


def test_an_unknown_packing_is_named(archives, client, catalogue):
    chosen(catalogue, archives.serve("/files/a.wav", sound(), encoding="br"))
    download(catalogue, client, HERE)
    assert states(catalogue) == [("failed", "comes packed as br, which was not asked for")]


def test_a_server_that_always_cuts_at_the_same_byte_is_left(archives, client, catalogue):
    url = archives.serve("/files/a.wav", sound(), ranges=False, breaks=deque([5000] * 50))
    chosen(catalogue, url)
    download(catalogue, client, HERE)
    assert [state for state, _ in states(catalogue)] == ["failed"]
    assert len(archives.asked) == TRIES + 1  # the first goes forward


def test_a_file_that_would_never_end_is_left(archives, client, catalogue, monkeypatch):
    content = sound(seconds=6.0)
    chosen(catalogue, archives.serve("/files/a.wav", content), archives.serve("/files/b.wav", sound(1)))
    monkeypatch.setattr("edgeapp.collect.client.SLOW_S", 0.05)
    archives.line_bytes_per_s = 40_000  # of both
    monkeypatch.setattr("edgeapp.collect.client.SLOWEST", 1e6)
    download(catalogue, client, HERE)
    state, reason = states(catalogue)[0]
    assert state == "failed"
    assert re.fullmatch(r"only [\d,]+ bytes came in \d+ s", reason)
    assert len(archives.questions("/files/a.wav")) == TRIES
    monkeypatch.undo()
    archives.line_bytes_per_s = 0
    catalogue.choose([row.key for row in catalogue.rows("failed")])
    download(catalogue, client, HERE)
    [row, _] = catalogue.rows("downloaded")
    assert (catalogue.folder / row.path).read_bytes() == content


def test_a_length_that_the_server_takes_back_begins_anew(archives, client, catalogue):
    content = sound()
    url = archives.serve("/files/a.wav", content, breaks=deque([5000]))
    archives.files["/files/a.wav"].part = {"past": 5000}
    chosen(catalogue, url)
    download(catalogue, client, HERE)
    [row] = catalogue.rows("downloaded")
    assert (catalogue.folder / row.path).read_bytes() == content
