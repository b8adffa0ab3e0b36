"""Names of any bytes become text, and the very bytes again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from urllib.parse import unquote

import pytest

from edgeapp.file_names import LONGEST, name_of, portable, readable, text_of, utf8
from edgeapp.paths import child_environment

RAW = (
    b"plain.wav",
    "Grünfink 鳥🐦.wav".encode(),
    "Grünfink.wav".encode("latin1"),
    b"\xff\xfe\x80",
    rb"C:\xe9\x5c\x.wav",
    b"\\\\xff",
    b"\\\xe9",
    "\udce9".encode("utf-8", "surrogatepass"),
    b"a\nb\x1b[31m\x7f",
)


@pytest.mark.parametrize("raw", RAW)
def test_the_bytes_of_a_name_can_be_had_again(raw):
    text = text_of(os.fsdecode(raw))

    assert text.encode("utf-8").decode("utf-8") == text
    assert os.fsencode(name_of(text)) == raw


def test_no_two_names_have_the_same_text():
    rng = random.Random(1)
    letters = (b"\\", b"x", b"e", b"9", b"\xe9", b"\xc3", b"\xa9", b"5", b"c", b"a")
    names = {b"".join(rng.choices(letters, k=rng.randint(1, 12))) for _ in range(20_000)}

    texts = {text_of(os.fsdecode(name)) for name in names}
    assert len(texts) == len(names) > 10_000
    assert {os.fsencode(name_of(text)) for text in texts} == names


@pytest.mark.parametrize("name", ["plain.wav", "Grünfink 鳥🐦.wav", r"C:\night\a.wav", r"\x", "two\nlines"])
def test_a_name_that_is_text_stays_as_it_is(name):
    assert text_of(name) == readable(name) == name


def test_bytes_that_are_no_text_are_shown_as_hexadecimal():
    assert text_of("caf\udce9.wav") == r"caf\xe9.wav"
    assert readable("/disk/caf\udce9.wav: is empty") == r"/disk/caf\xe9.wav: is empty"


def test_half_a_letter_of_utf16_is_text_too():
    readable("a\ud83d.wav").encode("utf-8")


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_text_is_the_same_in_every_locale(locale):
    code = (
        "import os, sys\nfrom edgeapp.file_names import *\n"
        "for raw in eval(sys.stdin.buffer.read()):\n"
        " text = text_of(os.fsdecode(raw)); assert os.fsencode(name_of(text)) == raw\n"
        " sys.stdout.buffer.write(text.encode() + b'\\0')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=repr(RAW).encode(),
        env=child_environment() | {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().split("\0")[:-1] == [text_of(os.fsdecode(raw)) for raw in RAW]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Parus_major_17.jpg", "Parus_major_17.jpg"),
        ("site a (2024), old", "site a (2024), old"),
        ("/data/é", "%2Fdata%2F%C3%A9"),
        ('<>:"|?*\\\x07', "%3C%3E%3A%22%7C%3F%2A%5C%07"),
        ("CON", "%43ON"),
        ("nul.txt", "%6Eul.txt"),
        ("lpt1 ", "%6Cpt1%20"),
        ("COM\u00b9", "COM%C2%B9"),
        ("console", "console"),
        ("..", ".%2E"),
        ("end. ", "end.%20"),
        ("100%", "100%25"),
        ("", ""),
    ],
)
def test_a_name_that_is_made_is_one_on_every_system(text, name):
    assert portable(text) == name
    assert unquote(name) == text
    assert portable(name) == name.replace("%", "%25")


def test_long_names_that_are_made_differ_and_fit():
    names = [portable(f"/data/{'é' * 300}/{n}") for n in (1, 2)]
    assert names[0] != names[1] and max(map(len, names)) <= LONGEST
    assert [name.rpartition("_")[2] for name in names] == ["1", "2"]


def test_libraries_that_know_utf8_alone_get_it_in_every_locale():
    assert utf8("Grünfink.wav") == "Grünfink.wav" and utf8(os.fsdecode(b"caf\xe9.wav")) is None
    code = "import sys; from edgeapp.file_names import utf8; print(ascii(utf8(sys.argv[1])))"
    bare = {**child_environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code, "Grünfink.wav"], capture_output=True, text=True, env=bare)
    assert done.stdout == "'Gr\\xfcnfink.wav'\n"
