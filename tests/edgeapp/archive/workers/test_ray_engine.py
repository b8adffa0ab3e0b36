"""Workers of Ray: what they ask in the network, and runs that lose a machine of their cluster."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile

from edgeapp.archive.recognition import Recognition
from edgeapp.archive.results.dataset import DataSet
from edgeapp.archive.workers.ray_engine import NOWHERE, RayWorkers, _Slot, asking_nobody
from edgeapp.archive.workers.worker import Item, Task
from edgeapp.errors import DeviceError
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.results.test_parts import some_record
from tests.libraries import needs

pytestmark = needs("ray")
HEAD, SECOND = "127.0.0.1", "127.0.0.2"  # addresses of two machines, both this one
RECORDINGS, DISTINCT = 200, 10
WAIT_S = 600.0
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE}
ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
WRITTEN = re.compile(r'\bopenat\([^"]*"([^"]*)", (?!.*O_TMPFILE)[^)]*O_(?:WRONLY|RDWR|CREAT)[^)]*\) = \d+')


def test_what_ray_starts_asks_nobody_by_http(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    with asking_nobody():
        assert urllib.request.getproxies()["http"] == NOWHERE and "http_proxy" not in os.environ
        with pytest.raises(OSError):
            # An opener of its own: that of the module would keep the proxy.
            urllib.request.build_opener().open("http://192.0.2.1/latest/meta-data/", timeout=5)
    assert os.environ["http_proxy"] == "http://proxy.example:3128" and "HTTP_PROXY" not in os.environ


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_whose_own_node_is_lost_ends(monkeypatch, toy_pack, lost):
    """No answer would come any more: Ray brings them over that node."""
    workers = RayWorkers(Recognition(toy_pack), some_record(), "auto")
    nodes = [{"NodeID": "own", "Alive": not lost}, {"NodeID": "other", "Alive": True}]
    monkeypatch.setattr(workers, "_ray", SimpleNamespace(nodes=lambda: nodes))
    monkeypatch.setattr(workers, "_node", "own")
    if not lost:
        workers._check_node()
        return
    with pytest.raises(DeviceError, match="own part of the cluster is gone; .*same command again"):
        workers._check_node()


@dataclass
class Actor:
    """An actor as `RayWorkers` calls it: its answers are what Ray gives for them, here at once."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        def remote(*given: object) -> str:
            self.asked.append(name)
            return f"{name} {len(self.asked)} of {id(self)}"

        return SimpleNamespace(remote=remote)


def test_what_a_lost_worker_was_at_is_given_back_and_the_others_go_on(monkeypatch, toy_pack):
    import ray

    workers = RayWorkers(Recognition(toy_pack), some_record(), "auto")
    lost, other = Actor(), Actor()
    for actor in (lost, other):
        workers._slots.append(_Slot(actor, None))
    answers: dict[str, Any] = {}

    def get(reference: str) -> Any:
        if isinstance(answers[reference], Exception):
            raise answers[reference]
        return answers[reference]

    def wait(references: list[str], **named: object) -> tuple[list[str], list[str]]:
        ready = [reference for reference in references if reference in answers]
        return ready, [reference for reference in references if reference not in answers]

    fake = SimpleNamespace(wait=wait, get=get, exceptions=ray.exceptions)
    monkeypatch.setattr(workers, "_ray", fake)
    first, second = Task((Item("a", 1, 1),)), Task((Item("b", 1, 1),))
    workers.submit(first)
    workers.submit(second)
    answers[workers._slots[0].reference] = ray.exceptions.ActorUnavailableError("its node is gone", bytes(16))
    answers[workers._slots[1].reference] = "heard"
    done = {one.task: one for one in workers.wait(0.0)}
    assert done[second].heard == "heard" and done[first].heard is None and done[first].died
    assert workers._slots[0].loading is not None and workers.free == 2
    workers.submit(first)  # given to one that has its model
    assert other.asked == ["hear", "hear"] and lost.asked == ["hear", "load"]


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Recordings of a minute, in ten versions."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    for number in range(RECORDINGS):
        path = folder / f"{number:04}.wav"
        if number < DISTINCT:
            soundfile.write(path, toy.tone(1000, seconds=60.0, level=0.05 + number / 200), toy.RATE_HZ)
        else:
            os.link(folder / f"{number % DISTINCT:04}.wav", path)
    return folder


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start a node with room for one worker; what it is killed by."""
    marks: list[str] = []

    def start(*words: str) -> str:
        marks.append(f"{tmp_path}/node{len(marks)}")
        command = [str(Path(sys.executable).with_name("ray")), "start", "--num-cpus=1", "--disable-usage-stats", *words]
        environment = {**os.environ, **QUIET, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT), "MARK": marks[-1]}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return marks[-1]

    yield start
    for mark in marks:
        lose(mark)


def lose(mark: str) -> int:
    """Take a machine away: all that runs on it, at once; how many processes that were."""
    count = 0
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if f"MARK={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                count += 1
    return count


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HEAD, 0))
        return int(one.getsockname()[1])


def archived(toy_pack: Path, sounds: Path, results: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgeapp", "archive", sounds, "--output", results, "--pack", toy_pack, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT), "RAY_AUTH_MODE": "disabled"}
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def rows_of(results: Path) -> tuple[list[tuple], list[tuple]]:
    """Recordings and detections, in order."""
    files = DataSet(results).table("files").to_pylist()
    detections = DataSet(results).table("detections").to_pylist()
    keys = ("source_file", "start_s", "end_s", "taxon_scientific_name", "confidence")
    return (
        sorted((row["file"], row["sha256"], row["n_windows"], row["n_detections"], row["error"]) for row in files),
        sorted(tuple(row[key] for key in keys) for row in detections),
    )


def begun(results: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a first part is written."""
    until = time.monotonic() + WAIT_S
    while not list(results.glob("files/*.parquet")):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_another_node_that_is_lost_costs_no_recording(sounds, toy_pack, node, tmp_path):
    undisturbed = archived(toy_pack, sounds, tmp_path / "one", "--workers", 1)
    _, err = undisturbed.communicate(timeout=WAIT_S)
    assert undisturbed.returncode == 0, err
    port = free_port()
    node("--head", f"--port={port}", f"--node-ip-address={HEAD}", "--include-dashboard=false")
    second = node(f"--address={HEAD}:{port}", f"--node-ip-address={SECOND}")
    process = archived(toy_pack, sounds, tmp_path / "rays", "--ray", f"{HEAD}:{port}")
    begun(tmp_path / "rays", process)
    assert lose(second) > 1  # a raylet and a worker at least
    out, err = process.communicate(timeout=2 * WAIT_S)
    assert (process.returncode, out) == (0, ""), err
    assert all(line.startswith("biovita-edge: ") for line in err.splitlines()), err
    files, detections = rows_of(tmp_path / "rays")
    assert (files, detections) == rows_of(tmp_path / "one")
    assert len(files) == len(detections) == RECORDINGS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ray_on_this_machine_reaches_no_other(sounds, toy_pack, tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    for path in sorted(sounds.iterdir())[3:]:
        path.unlink()
    home, temporary, trace = tmp_path / "home", Path("/dev/shm/ray_test"), tmp_path / "trace"
    home.mkdir()
    temporary.mkdir(exist_ok=True)  # whose name must be short: it is part of those of sockets
    command = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        trace,
        "-e",
        "trace=connect,sendto,sendmsg,sendmmsg,openat",
    ]
    command += [sys.executable, "-m", "edgeapp", "archive", sounds, "--output", tmp_path / "results"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TMPDIR": str(temporary)}
    try:
        done = subprocess.run(
            [*map(str, command), "--pack", str(toy_pack), "--workers", "1", "--ray", "local"],
            capture_output=True,
            text=True,
            timeout=2 * WAIT_S,
            env={**environment, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    finally:
        shutil.rmtree(temporary)
    if "PTRACE" in done.stderr:
        pytest.skip("processes may not be traced here")
    assert done.returncode == 0, done.stderr
    seen = trace.read_text(errors="replace")
    addresses = {one or other for one, other in ADDRESS.findall(seen)}
    assert {one for one in addresses if not is_loopback(one)} == set() != addresses
    written = {os.path.join(tmp_path, path) for path in WRITTEN.findall(seen)}
    own = ("/dev/", "/proc/", f"{tmp_path}/results")
    written = {path for path in written if "/__pycache__/" not in path}  # of the interpreters that Ray starts
    assert {path for path in written if not path.startswith(own)} == set()


def is_loopback(address: str) -> bool:
    return address.removeprefix("::ffff:").startswith("127.") or address in ("::1", "::", "0.0.0.0")
