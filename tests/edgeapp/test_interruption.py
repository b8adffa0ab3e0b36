"""What `identify` leaves when it is interrupted, killed, or runs out of places to write to; and how to go on."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgeapp.commands.identify as commands
from edgeapp.audio.file import FileSource
from edgeapp.outputs.csv import HEADER, OF_RECORDING
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
FORMATS = ("json", "ndjson", "raven")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
PYTHON: list[str] = []  # a copy of one that has loaded the program


@pytest.fixture(scope="module", autouse=True)
def python(forks) -> list[str]:
    """Stands in for Python."""
    PYTHON[:] = forks.python(ENVIRONMENT)
    return PYTHON


@pytest.fixture
def songs(tmp_path: Path, record: Callable[..., str]) -> list[str]:
    """Five recordings with a song in each."""
    return [record(f"{n}.wav", toy.tone(1000)) for n in range(5)]


def identify(*words: object, **options: object) -> subprocess.Popen:
    """Start `identify`, whose standard input is a pipe that nothing comes from."""
    command = [*PYTHON, "-m", "edgeapp", "identify", *map(str, words)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=ENVIRONMENT, **{**pipes, **options})


def stopped_at_the_third(songs: list[str], number: int, *words: object) -> subprocess.Popen:
    """`identify`, interrupted in the middle of the third recording, which is standard input."""
    process = identify(*songs[:2], "-", *songs[2:], *words)
    for _ in range(2):  # notes on the first two
        process.stderr.readline()
    time.sleep(0.2)
    process.send_signal(number)
    return process


def told_by(process: subprocess.Popen) -> str:
    """What it says to its end, while its standard input stays open."""
    with process.stderr, process.stdin:
        told = process.stderr.read()
        process.wait(60)
    return told


def heard(text: str, format: str) -> list[str]:
    """The recordings of some results, in their order; the results are whole."""
    assert text.endswith("\n")
    if format == "json":
        documents, at = [], 0
        while at < len(text):
            document, at = json.JSONDecoder().raw_decode(text, at)
            documents.append(document["file"])
            at += 1
        return documents
    if format == "ndjson":
        return [event["file"] for event in map(json.loads, text.splitlines()) if event["event"] == "file"]
    if format == "csv":
        head, *rows = csv.reader(io.StringIO(text))
        assert tuple(head) == (*HEADER, *OF_RECORDING)
        return [row[5] for row in rows]
    return [word for word in text.split() if word == "major"]


@pytest.mark.parametrize(
    ("number", "format"),
    [*((number, "csv") for number in CODES), *((signal.SIGTERM, format) for format in FORMATS)],
    ids=lambda value: getattr(value, "name", value),
)
def test_what_was_done_is_kept_and_the_line_says_how_to_go_on(songs, toy_pack, tmp_path, number, format):
    out = tmp_path / "out"
    words = ("--pack", toy_pack, "--format", format, "--output", out)
    process = stopped_at_the_third(songs, number, *words)
    told = told_by(process)

    assert process.returncode == CODES[number]
    assert len(told.splitlines()) == 1 and told.startswith(
        f"biovita-edge: interrupted ({number.name}): 2 of 6 files done"
    )
    assert f"the last {songs[1]}" in told and str(out) in told
    if format in ("json", "ndjson", "csv"):
        assert heard(out.read_text(), format) == songs[:2]
    assert not list(tmp_path.glob(".*"))

    if format in ("json", "ndjson", "csv"):
        options = shlex.split(told.partition("the same call with ")[2].replace(" and ", " "))
        again = identify(*songs[:2], "-", *songs[2:], *words, *options, stdin=subprocess.DEVNULL)
        assert again.wait(60) in (0, 1)
        assert [file for file in heard(out.read_text(), format) if file != "-"] == songs


@pytest.mark.parametrize("append", [[], ["--append"]])
def test_a_recording_is_kept_with_all_its_channels_or_with_none(run, record, tmp_path, monkeypatch, append):
    two = np.stack([toy.tone(1000), toy.tone(3000)], axis=1)
    songs = [record(f"{n}.wav", two) for n in range(2)]
    whole = commands.FileSource

    def interrupted(file: str, channel: int = 0) -> FileSource:
        if (file, channel) == (songs[1], 2):
            raise KeyboardInterrupt
        return whole(file, channel=channel)

    monkeypatch.setattr(commands, "FileSource", interrupted)
    out = tmp_path / "out.csv"
    result = run("identify", *songs, "--channel", "each", "-f", "csv", "-o", out, *append)
    assert result.exit_code == 130 and "1 of 2 files done" in result.stderr
    assert heard(out.read_text(), "csv") == [songs[0]] * 2


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (["@-"], "0 files done, others were still being listed; run it again"),
        (["0.wav", "@-"], "1 file done, others were still being listed, the last 0.wav; their results are in out.csv;"),
        (["0.wav", "pipe.wav", "1.wav"], "1 of 3 files done, the last 0.wav; their results are in out.csv;"),
    ],
    ids=["list", "list after a file", "named pipe"],
)
def test_a_signal_ends_what_waits_for_another_program(songs, toy_pack, tmp_path, inputs, told):
    os.mkfifo(tmp_path / "pipe.wav")
    writer = os.open(tmp_path / "pipe.wav", os.O_RDWR)
    os.write(writer, b"RIFF")
    process = identify(*inputs, "--pack", toy_pack, "-f", "csv", "-o", "out.csv", cwd=tmp_path)
    while not (tmp_path / "out.csv").exists() and not list(tmp_path.glob(".out*")):
        time.sleep(0.05)
    if "0.wav" in inputs:
        process.stderr.readline()  # a note on it
    process.stdin.write("1.wav\n")
    process.stdin.flush()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert told_by(process).startswith(f"biovita-edge: interrupted (SIGTERM): {told}")
    assert process.returncode == 143
    os.close(writer)


def test_nothing_is_replaced_where_nothing_was_done(toy_pack, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("former\n")
    process = identify("-", "--pack", toy_pack, "--format", "csv", "--output", out)
    while not list(tmp_path.glob(".out*")):
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    told = told_by(process)
    assert process.returncode == 130
    assert told.splitlines()[0].startswith("biovita-edge: interrupted")
    assert out.read_text() == "former\n" and not list(tmp_path.glob(".out*"))


def test_a_second_signal_ends_at_once_and_the_next_run_clears_up(songs, toy_pack, tmp_path):
    out = tmp_path / "out.csv"
    held = (  # a sound is opened where signals are put off
        "import sys, time, edgeapp.commands.identify as commands\n"
        "def opened(*given): print('opening', file=sys.stderr, flush=True); time.sleep(60)\n"
        "commands._piped = opened\n"
        "from edgeapp.cli import main; main()"
    )
    command = [*PYTHON, "-c", held, "identify", songs[0], "-", "--pack", toy_pack, "-f", "csv", "-o", out]
    process = subprocess.Popen(
        [*map(str, command)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    while "opening" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, "what must not be cut in two goes on"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == -signal.SIGINT
    assert len(list(tmp_path.glob(".out*"))) == 1
    process.stdin.close()
    process.stderr.close()

    assert identify(songs[0], "--pack", toy_pack, "-f", "csv", "-o", out, stderr=subprocess.DEVNULL).wait(60) == 0
    assert not list(tmp_path.glob(".out*"))


def test_an_ignored_signal_stays_ignored(songs, toy_pack):
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = identify(songs[0], "-", "--pack", toy_pack, "-f", "csv", preexec_fn=ignore)
    process.stderr.readline()
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate("", timeout=60)
    assert heard(out, "csv") == [songs[0]]


@pytest.mark.parametrize("at", ["edgeapp.cli", "numpy", "onnxruntime"])
def test_an_interruption_while_something_is_loaded_is_one_line(songs, toy_pack, at):
    code = f"""
import importlib.abc, os, runpy, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {at!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["biovita-edge", *sys.argv[1:]]
runpy.run_module("edgeapp", run_name="__main__")
"""
    words = ("identify", songs[0], "--pack", str(toy_pack))
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout) == (130, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("biovita-edge: interrupted")


# 500 recordings, ended half way


def test_an_error_that_a_library_made_of_an_interruption_is_one(songs, toy_pack):
    code = (
        "import os, signal, edgeapp.commands.identify as commands\n"
        "from edgeapp.errors import PackError\n"
        "def load(*words, **options):\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except KeyboardInterrupt: raise PackError('ONNX Runtime is not installed') from None\n"
        "commands.recognition_of = load\n"
        "from edgeapp.cli import main; main()"
    )
    command = [*PYTHON, "-c", code, "identify", *songs, "--pack", str(toy_pack)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (143, "biovita-edge: interrupted\n")


@pytest.fixture
def many(tmp_path: Path, record: Callable[..., str]) -> list[str]:
    """Names of one recording."""
    folder = tmp_path / "many"
    folder.mkdir()
    song = record("song.wav", toy.tone(1000))
    for n in range(500):
        os.link(song, folder / f"{n:03}.wav")
    return sorted(map(str, folder.iterdir()))


def check_ended_half_way(many: list[str], toy_pack: Path, tmp_path: Path, number: int, wait_s: float) -> None:
    out = tmp_path / "out.csv"
    for left in (out, *tmp_path.glob(".out*")):  # of a run that was killed before
        left.unlink(missing_ok=True)
    folder = Path(many[0]).parent
    process = identify(folder, "--pack", toy_pack, "-q", "-f", "csv", "-o", out, stdin=subprocess.DEVNULL)
    while not list(tmp_path.glob(".out*")):
        time.sleep(0.01)
    time.sleep(wait_s)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert len(list(tmp_path.glob(".out*"))) <= 1
        assert not out.exists() or process.returncode == 0
        return
    assert not list(tmp_path.glob(".out*"))
    if process.returncode == 0:
        assert heard(out.read_text(), "csv") == many
        return
    assert process.returncode == CODES[number]
    (line,) = told.splitlines()
    assert line.startswith("biovita-edge: interrupted")
    done = heard(out.read_text(), "csv") if out.exists() else []
    assert done == many[: len(done)]
    assert not done or f": {len(done)} of 500 files done, the last {done[-1]}" in line


@pytest.mark.parametrize("number", [*CODES, signal.SIGKILL], ids=lambda number: number.name)
def test_500_recordings_ended_half_way_leave_whole_rows(many, toy_pack, tmp_path, number):
    check_ended_half_way(many, toy_pack, tmp_path, number, 0.5)
    if number == signal.SIGKILL:
        again = identify(many[0], "--pack", toy_pack, "-q", "-f", "csv", "-o", tmp_path / "out.csv")
        assert again.wait(60) == 0 and not list(tmp_path.glob(".out*"))


@pytest.mark.slow
def test_whenever_500_recordings_are_ended_rows_are_whole(many, toy_pack, tmp_path):
    moments = random.Random(1)
    for number in [*CODES, signal.SIGKILL] * 10:
        check_ended_half_way(many, toy_pack, tmp_path, number, moments.uniform(0, 3))


# places that take nothing


@pytest.fixture
def shell(songs, toy_pack, tmp_path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run a line of bash; `$ID` is `identify` of the songs."""
    call = [*PYTHON, "-m", "edgeapp", "identify", *songs, "--pack", str(toy_pack), "-q"]

    def run(line: str) -> subprocess.CompletedProcess[str]:
        environment = {**ENVIRONMENT, "ID": shlex.join(call), "PACK": str(toy_pack)}
        environment["RUN"] = shlex.join(call[: len(PYTHON) + 2])
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, cwd=tmp_path)

    return run


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("$ID -f csv -o /dev/full", 2, "/dev/full: cannot be written (No space left on device)"),
        ("$ID -f csv > /dev/full", 2, "standard output: cannot be written (No space left on device)"),
        ("$ID -f csv >&-", 2, "standard output: cannot be written (it is closed)"),
        ("$RUN --help > /dev/full", 2, "standard output: cannot be written (No space left on device)"),
        ("$RUN gallery list --pack $PACK >&-", 2, "standard output: cannot be written (it is closed)"),
    ],
)
def test_results_that_do_not_arrive_are_one_line_and_2(shell, tmp_path, line, code, told):
    done = shell(line)
    assert (done.returncode, done.stdout) == (code, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"biovita-edge: {told}")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("line", ["$ID -f csv", "$ID -f json", "$ID -f table", "$RUN gallery list --pack $PACK"])
def test_a_reader_that_leaves_is_quiet_and_141(shell, line):
    done = shell(f"{line} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "line",
    [
        "$ID -f csv -o /dev/stdout",
        "$ID -f csv -o /dev/stderr 2>&1",
        "$ID -f csv -o /dev/fd/3 3>&1",
        "$ID -f csv -o >(cat); wait $!",
        "$ID -f csv -o /dev/stdout > file; cat file",
        "$ID -f csv -o /dev/stdout | cat",
        "mkfifo pipe; $ID -f csv -o pipe & cat pipe; wait",
        "$ID -f csv 2>&-",
        "$ID -f csv <&-",
    ],
)
def test_devices_and_pipes_get_what_standard_output_would(shell, songs, line):
    done = shell(line)
    assert done.returncode == 0, done.stderr
    assert heard(done.stdout, "csv") == songs


# several runs into one file


def test_xargs_leaves_the_results_of_every_call(shell, songs):
    shell(f"printf '%s\\n' {' '.join(songs)} | xargs -n 2 $RUN identify --pack $PACK -q -f csv --append -o out.csv")
    assert heard(shell("cat out.csv").stdout, "csv") == songs


def test_several_processes_add_to_one_file_without_mixing_lines(shell, many):
    done = shell(
        "printf '%s\\n' many/0*.wav | xargs -n 25 -P 4 $RUN identify --pack $PACK -q -f csv --append -o out.csv"
    )
    assert done.returncode == 0, done.stderr
    assert sorted(heard(shell("cat out.csv").stdout, "csv")) == [
        os.path.relpath(path, Path(many[0]).parents[1]) for path in many[:100]
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--append"], "--append needs an output file"),
        (["--append", "-f", "raven", "-o", "out"], "the times of raven run on"),
        (["--append", "-f", "audacity", "-o", "out"], "the times of audacity run on"),
        (["--from", "other.wav"], "--from other.wav: is not one of the recordings"),
    ],
)
def test_what_cannot_be_gone_on_with_is_said(run, songs, words, told):
    result = run("identify", *songs, *words)
    assert result.exit_code == 2 and told in result.stderr


def test_a_run_that_goes_on_begins_with_the_recording_named(run, songs):
    result = run("identify", *songs, "-f", "csv", "--from", songs[3])
    assert heard(result.stdout, "csv") == songs[3:]


def test_a_full_disk_keeps_what_was_done_and_says_how_to_go_on(run, songs, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * ((1 << 20) - 8192))
    out = small_disk / "out.ndjson"
    result = run("identify", *songs, "-f", "ndjson", "-o", out)
    assert result.exit_code == 2
    line = result.stderr.splitlines()[-1]
    assert "No space left on device" in line and "of 5 files done" in line and "--append" in line
    done = heard(out.read_text(), "ndjson")
    assert done and done == songs[: len(done)]
    assert not list(small_disk.glob(".*"))
