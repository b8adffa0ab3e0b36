"""A cluster of Ray that loses a machine, and what it sends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import soundfile

from edgeapp.archive.dataset import DataSet
from edgeapp.archive.ray_engine import NOWHERE, asking_nobody
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.libraries import needs

pytestmark = needs("ray")
RECORDINGS = 400
# Without a token, and without a report that there is nothing to report.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "HTTP_PROXY": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(PROJECT),
}


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Many names of a minute of sound."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    soundfile.write(folder / "0000.wav", toy.tone(1000, seconds=60.0), toy.RATE_HZ)
    for number in range(1, RECORDINGS):
        os.link(folder / "0000.wav", folder / f"{number:04}.wav")
    return folder


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a node with one core, in a process group of its own."""
    nodes: list[subprocess.Popen] = []
    program = Path(sys.executable).with_name("ray")

    def start(*words: str) -> subprocess.Popen:
        command = [
            program,
            "start",
            "--block",
            "--num-cpus=1",
            "--disable-usage-stats",
            *words,
        ]
        with open(tmp_path / f"node{len(nodes)}.log", "wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **QUIET}
            )
        nodes.append(process)
        return process

    yield start
    for process in nodes:
        lose(process)


def lose(process: subprocess.Popen) -> None:
    """Take a machine away: everything that runs on it, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


def own_address() -> str:
    """Of this machine, as others reach it."""
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.1", 9))  # UDP: nothing is sent
        return str(one.getsockname()[0])


def wait_for(condition: Callable[[], object], seconds: float = 300.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)


def nodes_at(address: str) -> int:
    """How many nodes of a cluster are there; 0 where there is none."""
    code = f"import ray; ray.init({address!r}, log_to_driver=False); print(sum(n['Alive'] for n in ray.nodes()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **QUIET})
    return int(done.stdout or 0)


@pytest.mark.slow
def test_a_node_that_is_lost_costs_no_recording(sounds, toy_pack, node, tmp_path):
    address = f"{own_address()}:{free_port()}"
    node("--head", f"--port={address.partition(':')[2]}", "--include-dashboard=false")
    wait_for(lambda: nodes_at(address) == 1)
    second = node(f"--address={address}")
    wait_for(lambda: nodes_at(address) == 2)
    results = tmp_path / "results"
    command = [sys.executable, "-m", "edgeapp", "archive", str(sounds), "--output", str(results), "--pack", toy_pack]
    process = subprocess.Popen(
        [*map(str, command), "--ray", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **QUIET},
    )
    wait_for(lambda: list(results.glob("files/*.parquet")) or process.poll() is not None)
    lose(second)
    _, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    rows = DataSet(results).table("files").to_pylist()
    assert len(rows) == len({row["file"] for row in rows}) == RECORDINGS
    assert not any(row["error"] for row in rows)
    assert DataSet(results).count("detections") == RECORDINGS


@pytest.mark.slow
def test_ray_on_this_machine_reaches_no_other(sounds, toy_pack, tmp_path):
    """Its processes talk over addresses of this machine, and to nobody else."""
    for path in sorted(sounds.iterdir())[3:]:
        path.unlink()
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=connect,sendto", sys.executable, "-m", "edgeapp"]
    words = ["archive", sounds, "--output", tmp_path / "results", "--pack", toy_pack, "--workers", 1, "--ray", "local"]
    done = subprocess.run(
        list(map(str, command + words)),
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    if "PTRACE" in done.stderr:
        pytest.skip("processes may not be traced here")
    assert done.returncode == 0, done.stderr
    seen = trace.read_text(errors="replace")
    addresses = set(re.findall(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', seen))
    own = {"127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"} | own_addresses()
    own |= {"8.8.8.8"}  # connected to by UDP, which sends nothing, to learn which address is its own
    assert {one or other for one, other in addresses} - own == set()


def own_addresses() -> set[str]:
    """Of this machine, in its own network: where a cluster would reach it."""
    words = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    return set(words) | {f"::ffff:{word}" for word in words}


def test_what_ray_starts_asks_nobody_by_http(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    with asking_nobody():
        assert urllib.request.getproxies()["http"] == NOWHERE and "http_proxy" not in os.environ
        with pytest.raises(OSError):
            urllib.request.urlopen("http://192.0.2.1/latest/meta-data/", timeout=5)
    assert os.environ["http_proxy"] == "http://proxy.example:3128" and "HTTP_PROXY" not in os.environ
