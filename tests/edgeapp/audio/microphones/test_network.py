"""Sources in the network: real servers of RTSP and HTTP, whose connections drop, stall, jump and ask for a log-in."""

from __future__ import annotations

import base64
import io
import os
import signal
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio.channels import Channel
from edgeapp.audio.microphones.capture import Capture
from edgeapp.errors import DeviceError
from tests.edgeapp.rtsp_server import RtspServer, missing, rtsp_server

av = pytest.importorskip("av")

RATE_HZ = 16_000
ICY_EVERY = 4_000  # bytes between the titles of an Icecast stream
needs_rtsp = pytest.mark.skipif(bool(missing()), reason=missing())


def tone(seconds: float, hz: float = 1000.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def encoded(samples: np.ndarray, container: str = "OGG", rate_hz: int = RATE_HZ) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container)
    return file.getvalue()


def transported(samples: np.ndarray, format: str, at_s: float = 0.0, hole: tuple[float, float] = (0.0, 0.0)) -> bytes:
    """Sound in a container with time stamps, which begin at a time; packets of a stretch of it are missing."""
    file = io.BytesIO()
    with av.open(file, "w", format=format) as made:
        stream = made.add_stream("mp2", rate=RATE_HZ, layout="mono")
        size = 1152
        for at in range(0, len(samples) - size, size):
            if hole[0] <= at / RATE_HZ < hole[1]:
                continue
            frame = av.AudioFrame.from_ndarray(
                (samples[None, at : at + size] * 32767).astype(np.int16), format="s16", layout="mono"
            )
            frame.rate, frame.pts = RATE_HZ, at + round(at_s * RATE_HZ)
            for packet in stream.encode(frame):
                made.mux(packet)
        for packet in stream.encode(None):
            made.mux(packet)
    return file.getvalue()


class Radio:
    """A small server of HTTP: what each path answers, and what was asked of it."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.then: Callable[[socket.socket], None] = lambda connection: None
        radio = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                request = b""
                while b"\r\n\r\n" not in request and (more := self.request.recv(4096)):
                    request += more
                radio.asked.append(request.decode())
                path = request.split()[1].decode() if request else ""
                body = radio.pages.get(path)
                if body is None:
                    self.request.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")
                elif path.startswith("/closed") and b"Authorization: Basic" not in request:
                    self.request.sendall(b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="r"\r\n\r\n')
                elif path == "/icy":
                    self.request.sendall(
                        b"ICY 200 OK\r\nConnection: close\r\nContent-Type: audio/mpeg\r\nicy-metaint:%d\r\n\r\n"
                        % ICY_EVERY
                    )
                    self.request.sendall(with_titles(body))
                else:
                    self.request.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    radio.then(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, path: str, log_in: str = "") -> str:
        return f"http://{log_in}127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def with_titles(body: bytes) -> bytes:
    """As Icecast sends it, with a title in between."""
    title = b"StreamTitle='dawn';".ljust(32, b"\0")
    pieces = [body[at : at + ICY_EVERY] for at in range(0, len(body), ICY_EVERY)]
    return b"".join(piece + bytes([2]) + title for piece in pieces[:-1]) + pieces[-1]


@pytest.fixture
def radio() -> Iterator[Radio]:
    made = Radio()
    yield made
    made.close()


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspServer]:
    with rtsp_server(user="anna", password="se:cret") as server:
        yield server


def heard(capture: Capture) -> tuple[np.ndarray, str]:
    """All that is heard, and why it ended."""
    parts = []
    try:
        for block in capture.blocks():
            assert block.start == sum(map(len, parts))
            parts.append(block.samples)
    except DeviceError as error:
        return np.concatenate(parts), str(error)
    return np.concatenate(parts), ""


def strongest_hz(samples: np.ndarray, rate_hz: int) -> float:
    return float(np.abs(np.fft.rfft(samples))[1:].argmax() + 1) * rate_hz / len(samples)


# cameras


@needs_rtsp
def test_a_camera_is_heard_without_pictures_and_no_password_is_in_sight(camera):
    capture = Capture(f"rtsp://anna:se%3Acret@127.0.0.1:{camera.port}/both")
    shown = f"rtsp://127.0.0.1:{camera.port}/both"
    assert (capture.name, capture.device_id, capture.backend) == (shown, shown, "network")
    assert (capture.rate_hz, capture.channels) == (RATE_HZ, 2)
    for line in ("cmdline", "environ"):
        assert b"cret" not in Path(f"/proc/{capture.pid}/{line}").read_bytes()

    blocks = capture.blocks()
    sound = np.concatenate([next(blocks).samples for _ in range(8)])
    assert round(strongest_hz(sound, RATE_HZ), -2) == 1000

    camera.drop()
    with pytest.raises(DeviceError, match="has ended|is gone") as error:
        list(blocks)
    assert "cret" not in str(error.value) and "anna" not in str(error.value)


@needs_rtsp
@pytest.mark.parametrize(
    ("log_in", "path", "said"),
    [
        ("anna:wrong@", "/tone", "401 Unauthorized.*check user and password"),
        ("anna:se%3Acret@", "/nothing", "404 Not Found.*check the path"),
        ("anna:se%3Acret@", "/video", "has no sound.*turn its microphone on"),
    ],
)
def test_what_a_camera_refuses_is_told_with_what_helps(camera, log_in, path, said):
    with pytest.raises(DeviceError, match=said) as error:
        Capture(f"rtsp://{log_in}127.0.0.1:{camera.port}{path}")
    assert "anna" not in str(error.value) and "\n" not in str(error.value)


def test_a_host_that_nobody_knows_is_told():
    with pytest.raises(DeviceError, match="the name of its host is unknown"):
        Capture("http://nobody.invalid/1")


@needs_rtsp
def test_a_camera_that_hangs_is_a_stall_and_heard_again_after_a_reboot():
    with rtsp_server() as server:
        address = f"rtsp://127.0.0.1:{server.port}/tone"
        blocks = Capture(address, stall_s=1.5).blocks()
        next(blocks)
        os.kill(server._process.pid, signal.SIGSTOP)
        with pytest.raises(DeviceError, match=r"no samples for 1.5 s; check the network"):
            list(blocks)
    with pytest.raises(DeviceError, match="does not open .*refused"):
        Capture(address)
    with rtsp_server(server.port):
        capture = Capture(address)
        assert len(next(capture.blocks()).samples)
        capture.close()


# radio


def test_a_web_radio_is_heard_without_the_titles_in_its_stream(radio):
    radio.pages["/icy"] = encoded(tone(4.0), "MP3")
    sound, why = heard(Capture(radio.url("/icy")))

    assert abs(len(sound) / RATE_HZ - 4.0) < 0.2 and round(strongest_hz(sound, RATE_HZ), -2) == 1000
    assert np.abs(np.diff(sound[RATE_HZ // 2 : -RATE_HZ // 2])).max() < 0.2  # a title that is decoded clicks
    assert "is gone (the connection ended); check the address" in why


def test_a_log_in_is_sent_and_a_missing_one_is_told(radio, tmp_path):
    radio.pages["/closed?key=abcdef"] = encoded(tone(1.0))
    capture = Capture(radio.url("/closed?key=abcdef", "anna:secret@"))
    sound, why = heard(capture)
    assert len(sound) and "secret" not in why and "abcdef" not in why and "abcdef" not in capture.name
    assert base64.b64encode(b"anna:secret").decode() in radio.asked[-1]

    with pytest.raises(DeviceError, match="401 Unauthorized.*check user and password"):
        Capture(radio.url("/closed?key=abcdef"))


def test_a_stream_whose_rate_and_channels_change_keeps_its_clock(radio):
    stereo = np.stack([tone(2.0, rate_hz=24_000)] * 2, axis=1)
    radio.pages["/songs"] = encoded(tone(2.0), "MP3") + encoded(stereo, "MP3", rate_hz=24_000)
    capture = Capture(radio.url("/songs"))
    sound, _ = heard(capture)

    assert capture.rate_hz == RATE_HZ and abs(len(sound) / RATE_HZ - 4.0) < 0.2  # frames are padded
    assert round(strongest_hz(sound[: 2 * RATE_HZ], RATE_HZ), -2) == 1000
    assert round(strongest_hz(sound[round(2.2 * RATE_HZ) :], RATE_HZ), -2) == 1000


def test_a_gap_in_the_time_stamps_is_lost_and_keeps_its_place(radio):
    radio.pages["/gap"] = transported(tone(6.0), "mpegts", hole=(2.0, 3.5))
    capture = Capture(radio.url("/gap"))
    sound, _ = heard(capture)

    assert abs(capture.dropped_samples / RATE_HZ - 1.5) < 0.2
    assert abs(len(sound) / RATE_HZ - 6.0) < 0.3
    assert not sound[round(2.4 * RATE_HZ) : round(3.2 * RATE_HZ)].any()
    assert round(strongest_hz(sound[4 * RATE_HZ :], RATE_HZ), -2) == 1000


def test_a_clock_that_is_set_in_the_middle_loses_nothing(radio):
    radio.pages["/jump"] = transported(tone(2.0), "mpegts", at_s=500.0) + transported(tone(2.0), "mpegts")
    capture = Capture(radio.url("/jump"))
    sound, _ = heard(capture)

    assert capture.dropped_samples < 0.1 * RATE_HZ and abs(len(sound) / RATE_HZ - 4.0) < 0.3


def test_segments_of_hls_are_one_stream_and_a_missing_one_is_lost(radio):
    for number in (0, 1, 2):
        radio.pages[f"/{number}.ts"] = transported(tone(2.0), "mpegts", at_s=2.0 * number)
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2"]
    lines += [line for number in (0, 2) for line in ("#EXTINF:2.0,", f"{number}.ts")]
    radio.pages["/live.m3u8"] = "\n".join([*lines, "#EXT-X-ENDLIST", ""]).encode()
    capture = Capture(radio.url("/live.m3u8"))
    sound, _ = heard(capture)

    assert abs(capture.dropped_samples / RATE_HZ - 2.0) < 0.3 and abs(len(sound) / RATE_HZ - 6.0) < 0.4


def test_a_server_that_sends_faster_than_real_time_is_not_outrun(radio, monkeypatch):
    """What would not fit into the queue of a busy station waits at the server."""
    radio.pages["/hour"] = encoded(tone(60.0), "MP3")
    began = time.monotonic()
    capture = Capture(radio.url("/hour"))
    end = time.monotonic() + 3.0
    while time.monotonic() < end:
        time.sleep(0.1)
    capture.close()

    assert capture.dropped_samples == 0
    assert capture.captured_samples / RATE_HZ < time.monotonic() - began + 11.0


def test_a_playlist_cannot_name_files_of_the_machine(radio, tmp_path):
    (tmp_path / "private.ts").write_bytes(transported(tone(2.0), "mpegts"))
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:2.0,", f"file://{tmp_path}/private.ts", "#EXT-X-ENDLIST"]
    radio.pages["/evil.m3u8"] = "\n".join(lines).encode()

    with pytest.raises(DeviceError, match="does not open|has ended|no samples"):
        Capture(radio.url("/evil.m3u8"))


def test_a_page_is_no_sound_and_a_channel_may_be_chosen(radio):
    radio.pages["/page"] = b"<html><body>no sound here</body></html>" * 100
    with pytest.raises(DeviceError, match=r"does not open \(Invalid data"):
        Capture(radio.url("/page"))

    radio.pages["/stereo"] = encoded(np.stack([tone(2.0), tone(2.0, 3000.0)], axis=1))
    sound, _ = heard(Capture(radio.url("/stereo"), channel=Channel("", 2)))
    assert round(strongest_hz(sound, RATE_HZ), -2) == 3000
