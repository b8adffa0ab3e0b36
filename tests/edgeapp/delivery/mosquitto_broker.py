"""A real mosquitto on a free port, with its own configuration and data folder, and a subscriber that misses nothing."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest


def mosquitto() -> str:
    """The broker's program, which Debian puts where not every user looks."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    return found or pytest.skip("no mosquitto: apt-get install mosquitto")


# Below those that a kernel gives to connections, which could take the port of a broker that is away for a moment; other
# processes that test at the same time begin elsewhere.
PORTS = itertools.count(20_000 + 100 * (os.getpid() % 120))


def free_port() -> int:
    """A port at which nobody listens, and another at each call."""
    for port in PORTS:
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("numbers do not end")


def until(condition, timeout_s: float = 20.0) -> bool:
    """Whether something comes true in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


class Broker:
    """Can be stopped, killed and started again; what it owes to persistent sessions it keeps on disk."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.program = mosquitto()
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._config = folder / "mosquitto.conf"
        user = ["user root"] if os.geteuid() == 0 else []  # or it would become a user who cannot read the folder
        settings = [
            *user,
            *(f"listener {self.port} 127.0.0.1", f"persistence_location {folder}/", "persistence true"),
            *("autosave_on_changes true", "autosave_interval 1", "log_dest stderr", "connection_messages true"),
            *(lines if any("allow_anonymous" in line for line in lines) else ("allow_anonymous true", *lines)),
        ]
        self._config.write_text("\n".join(settings) + "\n")
        self._process: subprocess.Popen | None = None

    def start(self) -> Broker:
        log = (self.folder / "mosquitto.log").open("ab")
        self._process = subprocess.Popen([self.program, "-c", str(self._config)], stdout=log, stderr=log)
        log.close()
        assert until(lambda: self._answers() or self._process.poll() is not None)
        assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
        return self

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """Leave its connections open, and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Subscriber:
    """Hears a topic in a session that the broker keeps while it is away."""

    def __init__(self, port: int, topic: str = "biovita/#") -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.got: list[tuple[str, bytes, bool]] = []
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="subscriber", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _c, _d, m: self.got.append((m.topic, m.payload, m.retain))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def numbers(self) -> list[int]:
        return [json.loads(payload)["n"] for topic, payload, _ in self.got if topic.endswith("/detections")]

    def availability(self) -> list[str]:
        return [payload.decode() for topic, payload, _ in self.got if topic.endswith("/availability")]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
