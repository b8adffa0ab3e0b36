"""What steers a terminal is never printed, wherever the name comes from that it stands in."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeapp import terminal
from edgeapp.cli import app
from edgeapp.pack.format import Pack
from edgeapp.recognition.gallery_build import Material, build_gallery
from gallery.taxon import Taxon
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy

STEERING = "\x1b[2J\x9b31m\u202e\u2066\x07\u2028"
# Texts of several lines that are files as they stand.
WHOLE_TEXTS = {"edgeapp/commands/service.py": 2, "edgeapp/commands/config.py": 1}


def steered(text: str) -> list[str]:
    return [letter for letter in text if letter != "\n" and not letter.isprintable()]


@pytest.mark.parametrize("print_line", [terminal.say, terminal.tell, terminal.complain])
@pytest.mark.parametrize("letter", STEERING + "\n\r\t\udce9")
def test_a_line_is_one_line_of_letters(print_line, letter, capsys):
    print_line(f"Parus{letter}major")
    out, err = capsys.readouterr()
    (line,) = (out or err).splitlines()
    assert not steered(line) and "Parus" in line and line.endswith("major")


@pytest.fixture
def hostile(tmp_path: Path, toy_pack: Path, record) -> Path:
    """A gallery whose names and labels steer a terminal."""
    path = tmp_path / "hostile.sqlite"
    ranks = ("Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Parus")
    taxa = [Taxon("Parus major", *ranks, common_names={"en": f"Great{STEERING}Tit"})]
    song = Material(Path(record("song.wav", toy.tone(1000))), "Parus major", "audio", f"R.{STEERING}", "CC0", "x")
    build_gallery(path, Pack.load(toy_pack), taxa, [song], ("text", "audio"))
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("identify", "SONG"),
        ("identify", "SONG", "--pictures"),
        ("identify", f"no{STEERING}.wav"),
        ("gallery", "list"),
        ("gallery", "search", "Parus"),
        ("gallery", "info"),
        ("gallery", "photos", "show", "Parus major"),
    ],
    ids=" ".join,
)
def test_names_of_a_gallery_steer_no_terminal(hostile, toy_pack, tmp_path, words):
    given = [str(tmp_path / "song.wav") if word == "SONG" else word for word in words]
    pack = ["--pack", str(toy_pack)] if words[0] == "identify" or words[1] == "search" else []
    done = CliRunner().invoke(app, [*given, "--gallery", str(hostile), *pack])
    assert steered(done.output) == []
    assert done.output


def test_commands_print_for_people_by_the_one_door():
    """`typer.echo` and `print` are left to JSON and to files that are shown as they are."""
    found: dict[str, int] = {}
    for path in sorted((PROJECT / "edgeapp" / "commands").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in ("typer.echo", "typer.secho", "print"):
                continue
            if ".dumps(" not in ast.unparse(node):
                name = path.relative_to(PROJECT).as_posix()
                found[name] = found.get(name, 0) + 1
    assert found == WHOLE_TEXTS


@pytest.mark.parametrize(
    ("seconds", "words"), [(45.2, "45 s"), (720, "12 min"), (27_600, "7 h 40 min"), (1_036_800, "12 days")]
)
def test_times_are_told_as_people_do(seconds, words):
    assert terminal.duration(seconds) == words


@pytest.mark.parametrize(("n", "words"), [(12, "12 bytes"), (512_000, "512 kB"), (1.2e12, "1.2 TB"), (1e15, "1 PB")])
def test_sizes_are_told_as_people_do(n, words):
    assert terminal.size(n) == words
