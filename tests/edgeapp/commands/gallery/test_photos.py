"""`biovita-edge gallery photos`: photos of a gallery with their credits, listed, shown, saved and opened."""

from __future__ import annotations

import csv
import json
import os
import pty
import select
import sqlite3
import struct
import sys
import time
from contextlib import closing
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest
from PIL import Image

from edgeapp.paths import child_environment


def test_photos_of_a_name_in_any_language_are_listed_with_credits(run, photo_gallery):
    result = run("gallery", "photos", "show", "Kohlmeise", "--gallery", photo_gallery)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "photo: far.jpg, by Far �[31m<b>Away</b>, CC BY 4.0, https://example.org/1",
        "photo: near.jpg, by N. Ear, CC0, https://example.org/1",
    ]
    one = run("gallery", "photos", "show", "parus", "--gallery", photo_gallery, "--json", "--number", 1).stdout
    (fields,) = map(json.loads, one.splitlines())
    assert (fields["scientific_name"], fields["relative"]) == ("Parus major", "genus")


def test_photos_are_saved_with_a_table_of_credits(run, photo_gallery, tmp_path):
    folder = tmp_path / "out" / "photos"
    result = run("gallery", "photos", "show", "Great Tit", "--gallery", photo_gallery, "--save", folder)
    assert result.exit_code == 0 and f"{folder}: 2 photos and credits.csv" in result.stderr
    with (folder / "credits.csv").open(encoding="utf-8", newline="") as table:
        far, near = csv.DictReader(table)
    assert (far["author"], near["author"], near["licence"]) == ("Far �[31m<b>Away</b>", "N. Ear", "CC0")
    for row in (far, near):
        with Image.open(folder / row["file"]) as saved:
            assert (saved.format, saved.size) == ("JPEG", (480, 320))
    assert len(list(folder.iterdir())) == 3
    hidden = run("gallery", "photos", "show", "Common Cuckoo", "--gallery", photo_gallery, "--save", folder)
    assert "cuckoo.jpg: the gallery keeps no picture of it, see https://example.org/1" in hidden.stderr


def test_a_damaged_thumbnail_is_named_and_the_others_are_saved(run, photo_gallery, tmp_path):
    with closing(sqlite3.connect(photo_gallery)) as db, db:
        db.execute("UPDATE thumbnails SET large = X'FFD8FF' WHERE entry = (SELECT min(entry) FROM thumbnails)")
    result = run("gallery", "photos", "show", "Great Tit", "--gallery", photo_gallery, "--save", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{photo_gallery}: far.jpg of Parus major: the thumbnail is damaged; add the photo again" in result.stderr
    assert "1 photo and credits.csv" in result.stderr and len(list((tmp_path / "out").glob("*.jpg"))) == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["Parus majro"], 2, "no taxon is called 'Parus majro'; did you mean Parus major"),
        (["Parus major", "--gallery", "none.sqlite"], 3, "no gallery at none.sqlite; check the path, or build one"),
        (["Parus major", "--save", "/dev/null/x"], 2, "/dev/null/x: cannot be written (Not a directory)"),
    ],
)
def test_what_cannot_be_shown_or_saved_is_one_line(run, photo_gallery, words, code, told):
    result = run("gallery", "photos", "show", "--gallery", photo_gallery, *words)
    assert result.exit_code == code
    assert told in result.stderr.splitlines()[-1]


def test_a_gallery_without_photos_of_it_says_so(run, photo_gallery):
    result = run("gallery", "photos", "show", "Bufo bufo", "--gallery", photo_gallery)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{photo_gallery}: no photos of Bufo bufo or of its relatives\n"


def test_photos_are_opened_by_the_viewer_of_the_system(run, photo_gallery, tmp_path, monkeypatch):
    viewer = tmp_path / "xdg-open"
    viewer.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/opened\n')
    viewer.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    result = run("gallery", "photos", "show", "Great Tit", "--gallery", photo_gallery, "--open")
    assert result.exit_code == 0
    opened = (tmp_path / "opened").read_text().splitlines()
    assert [Path(file).is_relative_to(tmp_path / "cache") and Path(file).exists() for file in opened] == [True, True]
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    result = run("gallery", "photos", "show", "Great Tit", "--gallery", photo_gallery, "--open")
    assert result.exit_code == 2
    assert "no program opens photos here; write them into a folder with --save FOLDER" in result.stderr


class Terminal:
    """A terminal of 100 columns that answers what it can show: it reads all that a program prints."""

    ANSWERS = {b"\x1b[16t": b"\x1b[6;20;10t"}

    def __init__(self, sixels: bool) -> None:
        self._answers = {**self.ANSWERS, b"\x1b[c": b"\x1b[?62;4c" if sixels else b"\x1b[?62c"}

    def run(self, *arguments: object, longest_s: float = 60.0) -> tuple[int, bytes]:
        """Exit code and output of biovita-edge."""
        child, handle = pty.fork()
        if child == 0:
            command = [sys.executable, "-m", "edgeapp", *map(str, arguments)]
            os.execve(sys.executable, command, child_environment())
        ioctl(handle, TIOCSWINSZ, struct.pack("HHHH", 40, 100, 1000, 800))
        out, end_s = b"", time.monotonic() + longest_s
        while time.monotonic() < end_s and select.select([handle], [], [], longest_s)[0]:
            try:
                read = os.read(handle, 1 << 16)
            except OSError:  # the program has ended
                break
            out += read
            for question, answer in self._answers.items():
                if question in read:
                    os.write(handle, answer)
        os.close(handle)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), out


@pytest.mark.parametrize("sixels", [True, False])
def test_a_terminal_that_can_show_images_shows_the_photos(photo_gallery, sixels: bool):
    pytest.importorskip("textual_image")
    for _ in range(5):  # the library waits a tenth of a second for an answer, which a busy machine may take
        code, out = Terminal(sixels).run("gallery", "photos", "show", "Great Tit", "--gallery", photo_gallery)
        assert code == 0, out
        if (b"\x1bP" in out) == sixels:
            break
    assert (b"\x1bP" in out) == sixels
    assert b"by N. Ear, CC0" in out and b"pip install" not in out
