"""Recordings of any name, through every door: what is written is whole, and says which file it is."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import time
import unicodedata
from contextlib import closing, suppress
from pathlib import Path

import pytest
import soundfile

from edgeapp.file_names import name_of, text_of
from edgeapp.outputs.words import ENDS_A_ROW, one_line
from edgeapp.outputs.writer import FORMATS
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy

NAMES = {
    "latin1": b"caf\xe9.wav",
    "FLAC": b"caf\xe9.flac",
    "newline": b"two\nlines.wav",
    "escape": b"\x1b[31mred\x07.wav",
    "quotes": b"'\"`$(x)&;.wav",
    "dash": b"-o.wav",
    "long": b"\xe9" * 251 + b".wav",
    "right to left": "\u202evaw.txt\u202c \u200b.wav".encode(),
    "backslash": rb"caf\xe9.wav",
    "formula": b"=1+1,\t;.wav",
    "no utf-8": b"\xff\xfe\xed\xa0\x80.wav",
    "markup": b"<img src=x onerror=alert(1)>&amp;%s{}.wav",
}
READ_BY_PROGRAMS = ("json", "ndjson", "csv")
LOCALES = {
    "utf-8": {"LC_ALL": "C.UTF-8"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.fixture(scope="session")
def odd(tmp_path_factory) -> Path:
    """A folder with a recording of each name; not to be changed."""
    folder = tmp_path_factory.mktemp("odd")
    sound = toy.tone(1000)
    for number, name in enumerate(NAMES.values()):  # what a station has heard once it does not hear again
        quieter = sound * (1 - number / 100)
        soundfile.write(os.path.join(os.fsencode(folder), name), quieter, toy.RATE_HZ)
    return folder


@pytest.fixture
def program(forks, odd, tmp_path):
    """Run the command line in the folder of odd names, in a locale; bytes in, bytes out."""

    def call(*words: str | bytes | Path, locale: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
        return forks.run(words, odd, environment(tmp_path, locale))

    return call


def environment(home: Path, locale: str = "utf-8") -> dict[str, str]:
    folders = {name: str(home / "home") for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
    return {**os.environ, "PYTHONPATH": str(PROJECT), **folders, **LOCALES[locale]}


def printable(output: bytes) -> str:
    """Output as text, if it is UTF-8 whose lines hold nothing that steers a terminal."""
    text = output.decode("utf-8")
    assert [c for c in text if not c.isprintable() and c not in "\n\t"] == []
    return text


def rows(output: bytes) -> str:
    """Tables as text, if they are UTF-8 and no name breaks a row; letters that nobody sees are part of a name."""
    text = output.decode("utf-8")
    assert [c for c in text if unicodedata.category(c) in ENDS_A_ROW and c not in "\n\t"] == []
    return text


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("format", [format for format in FORMATS if format not in READ_BY_PROGRAMS])
def test_a_file_of_any_name_is_identified_in_every_format(program, toy_pack, format, locale):
    done = program("identify", ".", "--pack", toy_pack, "--format", format, locale=locale)

    all_are_done(done)
    assert rows(done.stdout).count("Great Tit" if format == "kaleidoscope" else "Parus major") >= len(NAMES)


def all_are_done(done: subprocess.CompletedProcess[bytes]) -> None:
    assert done.returncode == 0, done.stderr
    assert f"{len(NAMES)} of {len(NAMES)} files done, 0 failed" in printable(done.stderr)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("format", READ_BY_PROGRAMS)
@pytest.mark.parametrize("to_file", [True, False])
def test_what_programs_read_says_which_file_to_the_byte(program, toy_pack, tmp_path, format, locale, to_file):
    out = tmp_path / "out"
    words = ["--output", out] if to_file else []
    done = program("identify", ".", "--pack", toy_pack, "--format", format, *words, locale=locale)
    all_are_done(done)
    text = (out.read_bytes() if to_file else done.stdout).decode("utf-8")

    if format == "csv":
        files = [row["File"] for row in csv.DictReader(io.StringIO(text))]
    elif format == "ndjson":
        files = [event["file"] for event in map(json.loads, text.split("\n")[:-1]) if event["event"] == "file"]
    else:
        files, decoder = [], json.JSONDecoder()
        while text:
            document, end = decoder.raw_decode(text)
            text = text[end:].lstrip()
            files.append(document["file"])
            assert {one["source"]["file"] for one in document["detections"]} == {document["file"]}
    assert {os.fsencode(name_of(file)) for file in files} == {b"./" + name for name in NAMES.values()}


@pytest.mark.parametrize("name, locale", list(zip(NAMES, itertools.cycle(LOCALES))))
def test_a_file_of_any_name_can_be_named_and_written_beside(program, toy_pack, tmp_path, name, locale):
    name = NAMES[name]
    out, page = (os.fsencode(tmp_path) + b"/" + name[:-4] + ending for ending in (b".csv", b".htm"))
    name = b"./" + name
    done = program("identify", name, "--pack", toy_pack, "-f", "csv", "-o", out, "--report", page, locale=locale)

    assert done.returncode == 0, done.stderr
    with open(out, encoding="utf-8") as written, open(page, encoding="utf-8") as report:
        assert "Parus major" in written.read() and "Parus major" in report.read()


@pytest.mark.parametrize("locale", LOCALES)
def test_a_bad_file_of_any_name_is_one_printable_line(program, toy_pack, tmp_path, locale):
    bad = os.fsencode(tmp_path / "bad")
    os.mkdir(bad)
    for name in NAMES.values():
        Path(os.fsdecode(os.path.join(bad, name))).write_text("no sound")
    done = program("identify", bad, "--pack", toy_pack, "-f", "ndjson", locale=locale)

    assert done.returncode == 1
    assert len(printable(done.stderr).splitlines()) == len(NAMES) + 1
    events = list(map(json.loads, done.stdout.decode("utf-8").splitlines()))
    assert {os.path.basename(os.fsencode(name_of(event["file"]))) for event in events} == set(NAMES.values())
    assert {event["event"] for event in events} == {"error"}


@pytest.mark.parametrize("locale", LOCALES)
def test_recordings_of_any_name_come_into_a_gallery(program, toy_pack, tmp_path, locale):
    gallery = tmp_path / "own.sqlite"
    gallery.write_bytes((toy_pack / "gallery.sqlite").read_bytes())
    given = [word for name in NAMES.values() for word in ("--recording", b"./" + name)]
    done = program("gallery", "add", gallery, "Parus major", *given, "--pack", toy_pack, locale=locale)

    assert done.returncode == 0, done.stderr
    printable(done.stderr)
    printable(done.stdout)
    listed = program("gallery", "list", gallery, "--json", locale=locale)
    [tit] = [row for row in map(json.loads, listed.stdout.splitlines()) if row["scientific_name"] == "Parus major"]
    assert tit["entries"]["audio"] >= 1


@pytest.fixture(scope="session")
def watched(odd, toy_pack, forks, tmp_path_factory):
    """What became of the folder under `listen --watch`, in each locale: journal, standard output and error."""
    done: dict[str, tuple[Path, bytes, bytes]] = {}

    def of(locale: str) -> tuple[Path, bytes, bytes]:
        if locale not in done:
            home = tmp_path_factory.mktemp("watched")
            done[locale] = watch(odd, toy_pack, home, locale, len(NAMES), forks.python(environment(home, locale)))
        return done[locale]

    return of


def watch(
    folder: Path, pack: Path, home: Path, locale: str, files: int, python: list[str]
) -> tuple[Path, bytes, bytes]:
    """Watch a folder until so many files are in the journal."""
    journal = home / "journal.sqlite"
    with open(home / "out", "wb") as out, open(home / "err", "wb") as err:
        process = subprocess.Popen(
            [*python, "-m", "edgeapp", "listen", "--watch", folder, "--pack", pack, "--journal", journal]
            + ["--format", "ndjson", "--privacy", "keep"],
            env=environment(home, locale),
            stdout=out,
            stderr=err,
        )
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
                if connection.execute("SELECT count(*) FROM files").fetchone() == (files,):
                    break
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    return journal, (home / "out").read_bytes(), (home / "err").read_bytes()


@pytest.mark.parametrize("locale", LOCALES)
def test_the_journal_of_a_watched_folder_keeps_the_bytes_of_names(watched, odd, locale):
    journal, out, err = watched(locale)
    with closing(sqlite3.connect(journal)) as connection:
        files = [name for (name,) in connection.execute("SELECT path FROM files")]
        sources = [name for (name,) in connection.execute("SELECT DISTINCT source FROM detections_in_full")]

    printable(err)
    expected = {os.path.join(os.fsencode(odd), name) for name in NAMES.values()}
    assert {os.fsencode(name_of(file)) for file in files} == expected
    assert {os.fsencode(name_of(file)) for file in sources} == expected
    events = [json.loads(line) for line in out.decode("utf-8").splitlines()]
    told = {event["source"]["file"] for event in events if event["event"] == "detection"}
    assert {os.fsencode(name_of(file)) for file in told} == expected


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("format", ["csv", "raven", "audacity", "kaleidoscope"])
def test_a_journal_with_odd_names_is_exported(program, watched, odd, format, locale):
    journal, _, _ = watched("utf-8")
    done = program("journal", "export", "--journal", journal, "--format", format, "--zone", "UTC", locale=locale)

    assert done.returncode == 0, done.stderr
    text = rows(done.stdout)
    assert text.count("Great Tit" if format == "kaleidoscope" else "Parus major") >= len(NAMES)
    if format == "csv":
        files = {os.path.basename(row["File"]) for row in csv.DictReader(io.StringIO(text))}
        assert files == {one_line(text_of(os.fsdecode(name))) for name in NAMES.values()}


@pytest.mark.parametrize("locale", LOCALES)
def test_a_report_of_a_journal_with_odd_names_has_their_sound(program, watched, tmp_path, locale):
    journal, _, _ = watched("utf-8")
    page = tmp_path / "report.html"
    done = program("journal", "report", "--output", page, "--journal", journal, locale=locale)

    assert done.returncode == 0, done.stderr
    assert "Parus major" in page.read_text(encoding="utf-8")
    assert "does not exist" not in printable(done.stderr)
