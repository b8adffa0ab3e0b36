"""Standard error has our own lines alone, unless somebody asks for those of libraries, or one ends the process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.forks import Forks

NOISE = {
    "alsa": "ALSA lib pcm.c:2664:(snd_pcm_open_noupdate) Unknown PCM cards.pcm.rear",
    "jack": "jack server is not running or cannot be started",
    "mpg123": "[src/libmpg123/layer3.c:INT123_do_layer3():1804] error: dequantization failed!",
    "tokenizers": "huggingface/tokenizers: The current process just got forked",
    "nanobind": "nanobind: leaked 3 instances!",
    "onnxruntime": "2026-05-22 05:00:00 [W:onnxruntime:Default, device_discovery.cc:211] GPU device discovery failed",
    "libav": "[mp3float @ 0x5581] Header missing",
    "terminal": "\x1b[31mred\x1b[0m",
}
# What libraries do is done when a command is looked up, in the process and in the way that C does it.
NOISY = f"""
import ctypes, os, sys, warnings
from edgeapp import cli

found = cli.Commands.get_command
def get_command(self, ctx, name):
    libc = ctypes.CDLL(None)
    for line in {list(NOISE.values())!r}:
        os.write(2, line.encode() + b"\\n")
    libc.perror(b"perror of a library")
    warnings.warn("warning of a library", RuntimeWarning)
    import numpy
    numpy.float32(1) / numpy.float32(0)
    if "ABORT" in os.environ:
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\\n")
        os.abort()
    return found(self, ctx, name)

cli.Commands.get_command = get_command
cli.main()
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT)}
LIBRARY = "biovita-edge: library: "
OWN = re.compile(r"biovita-edge: (?!library: )|\d+ written$|journal |heard |page at |added |\d+ windows|no microphone")
LOG = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+Z \w+: ")


@pytest.fixture
def noisy(tmp_path: Path, forks: Forks) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line, in which libraries write on standard error."""

    def run(*words: object, sound: bytes | None = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        command = [*forks.python(ENVIRONMENT), "-c", NOISY, *map(str, words)]
        home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        done = subprocess.run(
            command,
            input=sound,
            capture_output=True,
            env={**ENVIRONMENT, **home, **environment},
            timeout=120,
        )
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def calls(tmp_path: Path, toy_pack: Path, toy_copy: Path, record: Callable[..., str]) -> dict[str, list[object]]:
    """A call of each kind of command, with something to complain about."""
    song = record("song.wav", toy.tone(1000))
    mp3 = Path(record("song.mp3", toy.tone(1000, seconds=20, rate_hz=48_000), 48_000))
    raw = bytearray(mp3.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 3000] = bytes(range(256)) * 12
    mp3.write_bytes(raw[: len(raw) // 2 + 3000] + raw[-20_000:])
    config = tmp_path / "config.toml"
    config.write_text(
        f'[station]\njournal = "data/journal.sqlite"\npack = "{toy_pack}"\nprovider = "cpu"\nthreads = 1\n'
    )
    return {
        "identify": ["identify", song, mp3, tmp_path / "none.wav", "--pack", toy_pack, "-f", "csv"],
        "listen": ["listen", "-", "--config", config, "--pcm-rate", toy.RATE_HZ],
        "gallery": ["gallery", "add", "Parus major", mp3, "--pack", toy_copy],
        "doctor": ["doctor", "--config", config],
        "species": ["species", "--pack", toy_pack],
        "pack": ["pack", "verify", tmp_path / "none"],
    }


@pytest.mark.parametrize("command", ["identify", "listen", "gallery", "doctor", "species", "pack"])
def test_standard_error_has_our_own_lines_alone(noisy, calls, command):
    sound = (toy.tone(1000, seconds=12) * 32_767).astype("<i2").tobytes()
    done = noisy(*calls[command], sound=sound)
    assert done.returncode >= 0
    told = done.stderr.splitlines()
    assert [line for line in told if not OWN.match(line) and not LOG.match(line)] == []
    assert LIBRARY not in done.stderr + done.stdout
    assert command == "doctor" or told, "and those are there"


@pytest.mark.parametrize("command", ["identify", "pack"])
def test_lines_of_libraries_are_shown_on_request(noisy, calls, command):
    done = noisy("--verbose", *calls[command])
    shown = [line.removeprefix(LIBRARY) for line in done.stderr.splitlines() if line.startswith(LIBRARY)]
    assert set(NOISE.values()) - {NOISE["terminal"]} <= set(shown)
    assert any("warning of a library" in line for line in shown)
    assert any(line.startswith("perror of a library") for line in shown)
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) > len(shown), "our own are there too"


def test_a_station_that_logs_everything_shows_them(noisy, calls):
    assert LIBRARY not in noisy(*calls["listen"]).stderr
    assert LIBRARY + NOISE["jack"] in noisy(*calls["listen"], "--log-level", "debug").stderr


def test_a_crash_tells_the_last_lines(noisy, calls):
    done = noisy(*calls["identify"], ABORT="1")
    assert done.returncode == -signal.SIGABRT
    *_, last = done.stderr.splitlines()
    assert last == f"{LIBRARY}terminate called after throwing an instance of 'std::bad_alloc'"


def test_a_crash_while_a_recording_is_heard_tells_them_too(calls, forks):
    code = (
        "import os, edgeapp.archive.files as files\n"
        "def stop(*words): os.write(2, b'what(): out of memory\\n'); os.abort()\n"
        "files.write_windows = stop\n"
        "from edgeapp.cli import main; main()"
    )
    command = [*forks.python(ENVIRONMENT), "-c", code, *map(str, calls["identify"])]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == -signal.SIGABRT
    assert f"{LIBRARY}what(): out of memory" in done.stderr


def test_a_page_that_is_served_has_our_own_lines_alone(tmp_path, toy_pack, forks):
    journal, python = tmp_path / "journal.sqlite", forks.python(ENVIRONMENT)
    make = [
        *python,
        "-m",
        "edgeapp",
        "listen",
        "-",
        "--journal",
        str(journal),
        "--pack",
        str(toy_pack),
    ]
    environment = {**ENVIRONMENT, "XDG_CONFIG_HOME": str(tmp_path)}
    subprocess.run(make, input=bytes(96_000), capture_output=True, env=environment, timeout=120)
    command = [*python, "-c", NOISY, "serve", "--journal", str(journal), "--web-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr.readline().startswith("page at http")
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""


def test_the_keeper_ends_with_the_program_and_holds_nothing_of_it(calls):
    """A reader of the results need not wait for anybody else, and a script may give the program open files."""
    code = (
        "import os\nfrom edgeapp import cli, foreign\nfork = os.fork\n"
        "def told():\n pid = fork()\n if pid: os.write(1, b'%d\\n' % pid)\n return pid\n"
        "os.fork = told\ncli.main()"
    )
    command = [sys.executable, "-c", code, *map(str, calls["identify"])]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    keeper = int(done.stdout.splitlines()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(keeper, 0)
