"""A station whose microphones are cameras: heard, lost, heard again, and their password nowhere to be seen."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeapp.journal import Reader
from tests.conftest import PROJECT
from tests.edgeapp.rtsp_server import missing, rtsp_server
from tests.libraries import needs

pytestmark = [needs("av"), pytest.mark.skipif(bool(missing()), reason=missing())]

SECRET = "heron-on-the-roof"


def wait_for(states: dict[str, list[str]], wanted: list[str], process: subprocess.Popen) -> None:
    """Read events until the last states of both cameras are these."""
    end = time.monotonic() + 90.0
    while len(states) < 2 or any(one[-len(wanted) :] != wanted for one in states.values()):
        line = process.stdout.readline()
        assert line and time.monotonic() < end, (states, process.stderr.read() if not line else "")
        event = json.loads(line)
        if event["event"] == "microphone":
            states.setdefault(event["source"], []).append(event["state"])


def test_cameras_that_drop_their_connections_are_heard_again(toy_pack, tmp_path):
    with rtsp_server(user="anna", password=SECRET) as camera:
        host = f"127.0.0.1:{camera.port}"
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login anna password {SECRET}\n")
        config = tmp_path / "station.toml"
        config.write_text(
            f'[microphone]\ndevice = ["rtsp://anna:{SECRET}@{host}/tone", "rtsp://{host}/both"]\nnetrc = "netrc"\n'
            '[input]\nchannel = ["best", "1"]\n[log]\nfile = "station.log"\n'
        )
        command = [sys.executable, "-m", "edgeapp", "listen", "--config", config, "--pack", toy_pack, "--hop", "2"]
        command += ["--journal", tmp_path / "j.sqlite", "--format", "ndjson"]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
        with subprocess.Popen(
            list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as listener:
            try:
                states: dict[str, list[str]] = {}
                wait_for(states, ["hearing"], listener)
                processes = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout
                camera.drop()
                wait_for(states, ["lost", "back", "hearing"], listener)
                listener.terminate()
                _, told = listener.communicate(timeout=60)
            finally:
                listener.kill()
    assert listener.returncode == 0, told
    assert [line for line in processes.splitlines() if SECRET in line and "edgeapp.audio" in line] == []
    assert "edgeapp.audio.microphones.receive" in processes

    shown = subprocess.run(
        [sys.executable, "-m", "edgeapp", "config", "show", "--config", config],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    sources = {f"rtsp://{host}/tone", f"rtsp://{host}/both"}
    assert all(source in shown for source in sources)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("netrc", "station.toml")]
    assert {"j.sqlite", "j.status.json", "station.log"} <= {path.name for path in written}
    assert [text for text in (told, shown, *map(content, written)) if SECRET in text or "anna" in text] == []

    with Reader(tmp_path / "j.sqlite") as reader:
        [run] = reader.deployments()
        assert sorted(stream["source"] for stream in run["streams"]) == sorted([*sources, *sources])
        reasons = [stream["end_reason"] for stream in run["streams"]]
        assert sum("has ended" in reason or "is gone" in reason for reason in reasons) == 2
        assert {row["source"] for row in reader.microphone_states()} == sources


def content(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")
