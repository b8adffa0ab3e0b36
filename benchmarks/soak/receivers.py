"""Receivers of messages: a real mosquitto with a subscriber, and a webhook; both can be stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.soak.certificates import certificates

UP_S = 20.0


def mosquitto() -> str | None:
    """Path of mosquitto, which on Debian is not in every user's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def until(condition: Callable[[], object], timeout_s: float) -> bool:
    """Whether a condition becomes true in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True


class Broker:
    """A mosquitto with persistence on a free port, and a subscriber with a persistent session.

    Attributes
    ----------
    authority : Path or None
        Of its certificate; None where it takes connections without TLS, for want of openssl.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        program = mosquitto()
        assert program is not None
        folder.mkdir(exist_ok=True)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            self.port = listener.getsockname()[1]
        user = "user root\n" if os.geteuid() == 0 else ""  # otherwise it switches to a user who cannot read the folder
        config = folder / "mosquitto.conf"
        made = certificates(folder / "tls")
        self.authority = made.authority if made is not None else None
        tls = f"cafile {made.authority}\ncertfile {made.certificate}\nkeyfile {made.key}\n" if made is not None else ""
        config.write_text(
            f"{user}listener {self.port} 127.0.0.1\n{tls}allow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1\n"
            f"max_queued_messages 0\nlog_dest file {folder}/mosquitto.log\n"
        )
        self._command = [program, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None
        self.ids: Counter[str] = Counter()
        self.start()
        self._subscribe()

    def start(self) -> None:
        """Start or restart the broker."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not until(self._answers, UP_S):
            raise SystemExit("mosquitto does not start")

    def kill(self) -> None:
        """Kill the broker, as in a power cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop broker and subscriber."""
        self._client.loop_stop()
        self.kill()

    def _subscribe(self) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        ready = threading.Event()
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id="soak", clean_session=False)
        client.reconnect_delay_set(1, 1)
        if self.authority is not None:
            client.tls_set(str(self.authority))

        def subscribe(*_: object) -> None:
            client.subscribe("biovita/+/detections", qos=1)

        client.on_connect = subscribe
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = lambda _client, _data, message: self._take(bytes(message.payload))
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        if not ready.wait(UP_S):
            raise SystemExit("mosquitto does not accept the subscription")

    def _take(self, payload: bytes) -> None:
        _count(self.ids, payload)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Webhook:
    """An HTTP server that can fail."""

    def __init__(self, port: int = 0) -> None:
        self.ids: Counter[str] = Counter()
        self.failing = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.failing:
                    self.send_error(503)
                    return
                _count(receiver.ids, body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()


def _count(ids: Counter[str], body: bytes) -> None:
    """Count what is received of a detection; updates of it are not repetitions."""
    told = json.loads(body)
    if not told["updated"]:
        ids[told["id"]] += 1
