"""Nothing is sent anywhere: no library that the device loads opens a socket or leaves a file behind."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgeapp import TELEMETRY_OFF
from edgeapp.station.claim import shared_folder
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy

SINCE = (1, 29)  # ONNX Runtime that reports on its use
AS_IT_IS = "from edgeapp.cli import main; main()"
REPORTING = f"import edgeapp, os; [os.environ.pop(name) for name in edgeapp.TELEMETRY_OFF]; {AS_IT_IS}"
# The programs' own places, and what every process opens.
OWN = ("/dev/", "/proc/")
SOCKET = re.compile(r"\bsocket\((AF_\w+)")
LOCAL = {"AF_UNIX", "AF_NETLINK"}
# The clock asks chrony and gpsd, on this machine.
OF_CLOCK = re.compile(r'\bconnect\(.*sin_port=htons\((?:323|2947)\), sin_addr=inet_addr\("127\.0\.0\.1"\)')
OPENED = re.compile(r'\bopenat\([^"]*"([^"]*)", (?!.*O_TMPFILE)[^)]*O_(?:WRONLY|RDWR|CREAT)[^)]*\) = \d+')
MADE = re.compile(r'\bmkdir(?:at)?\([^"]*"([^"]*)".* = 0$')


@dataclass(frozen=True)
class Seen:
    """What a process and its children did: the families of their sockets, and the paths they wrote to."""

    sockets: set[str]
    written: set[str]


@pytest.fixture
def observe(tmp_path: Path) -> Callable[..., Seen]:
    """Run the command line with nothing of the caller's environment, and see what it does."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    home, trace = tmp_path / "home", tmp_path / "trace"
    temporary = tmp_path / "temporary"
    for folder in (home, temporary):
        folder.mkdir()
    environment = {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(PROJECT),
        "TMPDIR": str(temporary),
    }

    def run(*words: object, code: str = AS_IT_IS, sound: bytes = b"", exit_codes: tuple[int, ...] = (0,)) -> Seen:
        traced = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=socket,connect,openat,open,creat,mkdir,mkdirat"]
        done = subprocess.run(
            [*traced, sys.executable, "-c", code, *map(str, words)],
            input=sound,
            capture_output=True,
            env=environment,
            cwd=tmp_path,
            timeout=300,
        )
        if b"PTRACE" in done.stderr:
            pytest.skip("processes may not be traced here")
        assert done.returncode in exit_codes, done.stderr.decode()
        seen = trace.read_text(errors="replace")
        written = {
            os.path.join(tmp_path, path)
            for line in seen.splitlines()
            for found in (OPENED.search(line), MADE.search(line))
            if found is not None
            for path in found.groups()
        }
        sockets = SOCKET.findall(seen)
        for _ in OF_CLOCK.findall(seen):
            sockets.remove("AF_INET")
        return Seen(
            set(sockets) - LOCAL,
            {path for path in written if not path.startswith((*OWN, str(temporary)))},
        )

    return run


@pytest.fixture
def config(tmp_path: Path, toy_pack: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f'[station]\njournal = "data/journal.sqlite"\npack = "{toy_pack}"\nprovider = "cpu"\nthreads = 1\n')
    return path


def test_identify_writes_and_sends_nothing(observe, record, toy_pack):
    clip = record("clip.wav", toy.tone(1000))
    assert observe("identify", clip, "--pack", toy_pack, "--format", "csv") == Seen(set(), set())


def test_listen_writes_its_journal_and_locks_and_sends_nothing(observe, config, tmp_path):
    """One says, as long as it runs, where its status is, the other that the journal has a station, by whatever name."""
    raw = (toy.tone(1000, seconds=12.0) * 32_767).astype("<i2").tobytes()
    seen = observe("listen", "-", "--config", config, "--pcm-rate", toy.RATE_HZ, sound=raw)
    assert seen.sockets == set()
    journal = (tmp_path / "data" / "journal.sqlite").stat()
    of_journal = shared_folder() / f"biovita-edge-journal-{journal.st_dev:x}-{journal.st_ino:x}.lock"
    of_status, *more = {Path(path) for path in seen.written if not path.startswith(str(tmp_path / "data"))} - {
        of_journal
    }
    assert not more and of_status.parent == shared_folder() and not os.path.lexists(of_status)
    assert str(of_journal) in seen.written and of_journal.read_bytes() == b""
    of_journal.unlink()


def test_doctor_writes_and_sends_nothing(observe, config, tmp_path):
    seen = observe("doctor", "--config", config, "--no-microphone", exit_codes=(0, 1, 2))
    assert seen.sockets == set()
    assert {path for path in seen.written if not path.startswith(str(tmp_path / "data"))} == set()


@pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < SINCE, reason="this ONNX Runtime reports nothing"
)
def test_a_library_that_reports_on_its_use_would_be_seen(observe, toy_pack, tmp_path):
    raw = (np.tile(toy.noise(60.0), 20) * 32_767).astype("<i2").tobytes()
    words = ("identify", "-", "--pcm-rate", toy.RATE_HZ, "--pack", toy_pack, "--format", "csv")
    seen = observe(*words, code=REPORTING, sound=raw)
    assert any(path.startswith(str(tmp_path / "home")) for path in seen.written)
    assert observe(*words, sound=raw) == Seen(set(), set())


@pytest.mark.parametrize("package", ["edgeapp", "trainer", "export", "benchmarks.gpu_steps"])
def test_every_package_that_loads_such_a_library_turns_it_off(package):
    code = f"import {package}, os; print({{name: os.environ.get(name) for name in {list(TELEMETRY_OFF)}}})"
    on = {**os.environ, "PYTHONPATH": str(PROJECT), **dict.fromkeys(TELEMETRY_OFF, "other")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=on)
    assert ast.literal_eval(done.stdout) == TELEMETRY_OFF


def test_no_other_package_loads_such_a_library():
    loads = re.compile(r"^\s*(import|from) (onnxruntime|huggingface_hub|ray)\b", re.MULTILINE)
    found = {
        path.relative_to(PROJECT).parent.as_posix()
        for package in ("gallery", "edgeapp", "trainer", "export", "benchmarks", "docs")
        for path in (PROJECT / package).rglob("*.py")
        if loads.search(path.read_text(encoding="utf-8"))
    }
    assert {folder for folder in found if not folder.startswith(("edgeapp", "trainer", "export"))} == {
        "benchmarks/gpu_steps"
    }
