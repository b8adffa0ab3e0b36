"""Batch work needs nothing that only POSIX has: it runs where what Windows lacks is taken away.

It was not run on Windows or macOS themselves.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import soundfile

from edgeapp.archive.inputs import recordings
from edgeapp.cli import COMMANDS
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.commands.journal.test_export import journal  # noqa: F401  # a fixture

MODULES = ("fcntl", "termios", "pwd", "grp", "resource", "tty", "pty", "syslog")
NAMES = {
    "os": (
        *("fork", "forkpty", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getpgid", "setsid", "killpg"),
        *("mkfifo", "mknod", "chown", "lchown", "fchown", "statvfs", "fstatvfs", "sysconf", "getloadavg"),
        *("sched_getaffinity", "sched_setaffinity", "nice", "sync", "fdatasync", "pread", "pwrite", "sendfile"),
        *("posix_fallocate", "posix_fadvise", "lockf", "wait3", "wait4", "waitid"),
        *("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_SYNC", "O_DSYNC"),
        *("set_blocking", "get_blocking", "pidfd_open", "memfd_create", "copy_file_range", "register_at_fork"),
    ),
    "select": ("poll", "epoll"),
    "signal": (
        *("SIGHUP", "SIGALRM", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPIPE", "SIGQUIT", "SIGTSTP", "SIGCONT"),
        *("alarm", "setitimer", "pthread_kill", "sigwait", "sigpending", "sigtimedwait", "pause"),
    ),
    "time": ("CLOCK_BOOTTIME", "clock_settime", "tzset", "CLOCK_MONOTONIC", "CLOCK_REALTIME"),
}
WITHOUT_POSIX = f"""
import numpy, platformdirs, subprocess, selectors, tempfile, multiprocessing.util, threading, asyncio, socket
import importlib, logging.handlers, sys, types
sys.modules["msvcrt"] = types.SimpleNamespace(locking=lambda *given: None, LK_LOCK=1, LK_NBLCK=2, LK_UNLCK=0)
for name in {MODULES}:
    sys.modules[name] = None
for module, names in {NAMES}.items():
    for name in names:
        vars(importlib.import_module(module)).pop(name, None)
"""
MAIN = "import sys\nfrom edgeapp.cli import main\nmain()"
# Several command lines, one after the other.
SEVERAL = """
import json, sys
from edgeapp.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)
"""


@pytest.fixture
def program(tmp_path, forks):
    """Run the command line, or Python, without what only POSIX has."""

    def call(*words: object, code: str = MAIN, expected: int = 0) -> str:
        folders = {name: str(tmp_path / "home") for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), **folders}
        command = [*forks.python(environment, first=WITHOUT_POSIX), "-c", code, *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == expected, done.stderr
        return done.stdout

    return call


@pytest.fixture
def night(tmp_path) -> Path:
    """A folder of recordings."""
    for name in ("night/a.wav", "night/deep/b.flac"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, toy.tone(1000), toy.RATE_HZ)
    return tmp_path / "night"


def test_what_is_taken_away_is_away(program):
    found = program(code="import os\ntry:\n import fcntl\nexcept ImportError: print(hasattr(os, 'fork'))")

    assert found == "False\n"


def test_recordings_are_identified(program, night, toy_pack, tmp_path):
    formats = ("table", "json", "ndjson", "csv", "raven", "audacity", "kaleidoscope")
    calls = []
    for name in formats:
        (tmp_path / name).write_text("older")
        calls.append(["identify", str(night), "--pack", str(toy_pack), "-f", name, "-o", str(tmp_path / name)])
    program(json.dumps(calls), code=SEVERAL)

    for name in formats:
        written = (tmp_path / name).read_text(encoding="utf-8")
        assert "older" not in written and re.search("Great Tit|Parus major", written)
    assert not list(tmp_path.glob(".*part"))


def test_a_second_call_adds_to_the_results_of_the_first(program, night, toy_pack, tmp_path):
    for _ in range(2):
        program("identify", night, "--pack", toy_pack, "-f", "csv", "--append", "-o", tmp_path / "out.csv")

    assert [line.split(",")[2] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]] == ["Parus major"] * 4


def test_a_report_of_recordings_is_written(program, night, toy_pack, tmp_path):
    program("identify", night, "--pack", toy_pack, "--report", tmp_path / "report.html")

    assert "Parus major" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["wav", "raw"])
def test_sound_on_standard_input_is_identified(program, night, toy_pack, tmp_path, kind):
    """Of a file that is opened as standard input: Windows has pipes, but cannot wait for them."""
    piped = tmp_path / "piped"
    sound = night / "a.wav"
    piped.write_bytes(sound.read_bytes() if kind == "wav" else sound.read_bytes()[44:])
    code = f"import sys\nsys.stdin = open({str(piped)!r})\nfrom edgeapp.cli import main\nmain()"

    found = program("identify", "-", "--pack", toy_pack, "--pcm-rate", toy.RATE_HZ, "-f", "csv", code=code)
    assert "Parus major" in found


def test_a_gallery_is_built_added_to_and_listed(program, night, toy_pack, tmp_path):
    gallery = tmp_path / "own.sqlite"
    gallery.write_bytes((toy_pack / "gallery.sqlite").read_bytes())
    program("gallery", "add", gallery, "Parus major", "--recording", night / "a.wav", "--pack", toy_pack)

    listed = map(json.loads, program("gallery", "list", gallery, "--json").splitlines())
    assert [one["entries"]["audio"] for one in listed if one["scientific_name"] == "Parus major"] == [1]
    program("gallery", "info", gallery)
    (tmp_path / "manifest.csv").write_text("path,scientific_name,modality\nnight/a.wav,Parus major,audio\n")
    words = ("--manifest", tmp_path / "manifest.csv", "--modalities", "audio", "--pack", toy_pack)
    program("gallery", "build", tmp_path / "new.sqlite", *words)
    assert (tmp_path / "new.sqlite").is_file()


def test_packs_are_listed_and_a_journal_is_exported(program, journal):  # noqa: F811
    program("pack", "list")

    assert "Parus major" in program("journal", "export", "--journal", journal, "--zone", "UTC")
    assert "Parus" in program("journal", "list", "--journal", journal)


def test_a_report_of_a_journal_is_written(program, journal, tmp_path):  # noqa: F811
    program("journal", "report", "--journal", journal, "--output", tmp_path / "report.html")

    assert "Parus major" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_an_archive_is_heard(program, night, toy_pack, tmp_path):
    pytest.importorskip("pyarrow")
    program("archive", night, "--output", tmp_path / "results", "--pack", toy_pack, "--workers", 1)

    assert list((tmp_path / "results").rglob("*.parquet"))


def test_the_help_of_every_command_is_shown(program):
    shown = program(json.dumps([[command, "--help"] for command in COMMANDS]), code=SEVERAL)
    assert set(re.findall(r"Usage: biovita-edge ([\w-]+)", shown)) == set(COMMANDS)


def test_a_path_that_is_longer_than_windows_likes_is_read_and_written(program, toy_pack, tmp_path):
    folder = tmp_path / "/".join(["a folder with a long name of 50 letters, no less,"] * 7)
    folder.mkdir(parents=True)
    soundfile.write(folder / "a.wav", toy.tone(1000), toy.RATE_HZ)
    assert len(str(folder)) > 300
    program("identify", folder, "--pack", toy_pack, "-f", "json", "-o", folder / "out.json")

    assert json.loads((folder / "out.json").read_text(encoding="utf-8"))["file"] == str(folder / "a.wav")


@pytest.mark.parametrize("name", [r"C:\night\a.wav", r"\\server\share\a.wav", r"\\?\C:\night\a.wav", "D:a.wav"])
def test_a_path_of_windows_is_given_as_it_is(name):
    [found] = recordings([name]) if not re.search(r"[?*\[]", name) else recordings(["./" + name[4:]])

    assert found.path.endswith(name.removeprefix("\\\\?\\"))
