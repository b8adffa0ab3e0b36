"""What a person names becomes recordings: each once, in order, and nothing that was meant is lost without a word."""

from __future__ import annotations

import io
import os
import random
import socket
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeapp.archive.inputs import Found, PassedOver, Refused, recordings

TREE = ("b.WAV", "a.flac", "deep/er/c.Ogg", "d.mp3", "deep/x.m4a")
IN_ORDER = ["a.flac", "b.WAV", "d.mp3", "deep/er/c.Ogg", "deep/x.m4a"]  # upper case goes before lower


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def grow(folder: Path, names=TREE) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def paths(*inputs: object, stdin: bytes = b"") -> list[str]:
    found = list(recordings([str(one) for one in inputs], stdin=io.BytesIO(stdin)))
    assert [one for one in found if isinstance(one, Refused)] == []
    return [one.path for one in found]


def refused(*inputs: object, stdin: bytes = b"") -> list[str]:
    found = recordings([str(one) for one in inputs], stdin=io.BytesIO(stdin))
    return [str(one.error) for one in found if isinstance(one, Refused)]


def passed(*inputs: object) -> str:
    over = PassedOver()
    list(recordings([str(one) for one in inputs], over))
    return str(over)


def test_a_folder_gives_its_recordings_below_its_name_in_order(here):
    grow(here / "night")
    (here / "night/notes.txt").touch()

    assert paths("night") == [f"night/{name}" for name in sorted(TREE)]
    assert paths("night/") == paths("./night/")[:0] + [f"night/{name}" for name in sorted(TREE)]


def test_films_and_unusual_sound_in_a_folder_are_counted(here):
    grow(here / "night", ["a.wav", "b.MP4", "c.wac", "d.mov", ".e.mp4", "f.txt"])

    assert paths("night") == ["night/a.wav"] and paths("night/b.MP4") == ["night/b.MP4"]
    told = passed("night")  # in the order in which the folder has them
    assert (
        "2 films (night/" in told
        and "b.MP4" in told
        and "d.mov" in told
        and "1 unusual sound file (night/c.wac)" in told
    )
    assert ".e.mp4" not in told and "f.txt" not in told


def test_size_and_time_of_a_recording_are_its_own(here):
    grow(here, ["a.wav"])
    os.utime("a.wav", ns=(1, 1234567890123456789))

    assert list(recordings(["a.wav", "-"])) == [Found("a.wav", 5, 1234567890123456789), Found("-")]


def test_a_file_is_given_whatever_its_name_and_also_if_it_is_missing(here):
    grow(here, ["song.xyz", ".hidden.wav", "@song", "what?[1].wav"])

    assert paths("song.xyz", "none.wav", ".hidden.wav", "@song", "what?[1].wav") == [
        "song.xyz",
        "none.wav",
        ".hidden.wav",
        "@song",
        "what?[1].wav",
    ]


@pytest.mark.parametrize(
    "pattern, matches",
    [
        ("*.wav", ["x.wav"]),
        ("**/*.wav", ["x.wav", "site1/a.wav", "site1/far/b.wav", "site2/a.wav"]),
        ("site?/*.wav", ["site1/a.wav", "site2/a.wav"]),
        ("site[2-9]/**", ["site2/a.wav", "site2/c.flac"]),
        ("site*", ["site1/a.wav", "site1/far/b.wav", "site2/a.wav", "site2/c.flac"]),
        ("./site*/../*.wav", ["./site1/../x.wav"]),  # the same file also by site2
        ("**/far", ["site1/far/b.wav"]),
        ("site1/**/b.wav", ["site1/far/b.wav"]),
    ],
)
def test_a_pattern_gives_what_a_shell_would_once(here, pattern, matches):
    grow(here, ["x.wav", "x.txt", "site1/a.wav", "site1/far/b.wav", "site2/a.wav", "site2/c.flac", ".trash/t.wav"])

    assert paths(pattern) == matches
    assert paths(here / pattern) == [str(here / name) for name in matches]


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\0"])
@pytest.mark.parametrize("last", [True, False])
def test_a_list_names_files_and_folders(here, ends, last):
    grow(here, ["a.wav", "b c.wav", "night/d.wav", "caf\udce9.wav".encode("utf-8", "surrogateescape").decode("latin1")])
    raw = "café.wav".encode("latin1")
    names = [b"b c.wav", b"", b"a.wav", b"night", raw, b"none.wav"]
    text = ends.join(names) + (ends if last else b"")
    (here / "list.txt").write_bytes(text)

    expected = ["b c.wav", "a.wav", "night/d.wav", os.fsdecode(raw), "none.wav"]
    assert paths("@list.txt") == expected
    assert paths("@-", stdin=text) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_that_windows_wrote_is_read(here, encoding):
    grow(here, ["Grünfink.wav"])
    (here / "list.txt").write_bytes("Grünfink.wav\r\n".encode(encoding))

    assert paths("@list.txt") == ["Grünfink.wav"]


def test_a_name_with_a_newline_comes_through_a_list_with_nul(here):
    grow(here, ["two\nlines.wav"])

    assert paths("@-", stdin=b"two\nlines.wav\0") == ["two\nlines.wav"]


@pytest.mark.parametrize(
    "names",
    [
        ("a.wav", "a.wav"),
        ("night/a.wav", "night"),
        ("night", "night/a.wav"),
        ("night", "night/"),
        ("night", "./night/../night"),
        ("night/a.wav", "link.wav"),
        ("link.wav", "night/a.wav"),
        ("link.wav", "night"),
        ("night", "link.wav"),
        ("night", "linked"),
        ("linked", "night"),
        ("night", "night/*.wav"),
        ("n*/*.wav", "night"),
        ("@list", "night/a.wav"),
        (".", "night"),
    ],
)
def test_a_recording_that_is_named_twice_is_given_once(here, names):
    grow(here, ["night/a.wav", "a.wav"][: 2 if names[0] == "a.wav" else 1])
    (here / "link.wav").symlink_to("night/a.wav")
    (here / "linked").symlink_to("night")
    (here / "list").write_text("night/a.wav\nlink.wav\n")

    assert len(paths(*names)) == 1


def test_copies_and_hard_links_are_recordings_of_their_own(here):
    grow(here, ["a.wav"])
    (here / "copy.wav").write_bytes((here / "a.wav").read_bytes())
    os.link("a.wav", "hard.wav")

    assert paths(".") == ["./a.wav", "./copy.wav", "./hard.wav"]


@pytest.mark.parametrize("inputs", [["."], ["**/*.wav"], ["a", "b", "."]])
def test_links_that_lead_in_a_circle_end(here, inputs):
    grow(here, ["a/x.wav", "b/y.wav"])
    for link, target in (("a/up", ".."), ("a/self", "."), ("b/a", "../a"), ("a/b", "../b"), ("b/b", "b")):
        (here / link).symlink_to(target)

    assert sorted(Path(path).name for path in paths(*inputs)) == ["x.wav", "y.wav"]


@pytest.mark.parametrize("target, word", [("nowhere.wav", "a file that is not there"), ("l.wav", "cannot be followed")])
@pytest.mark.parametrize("named", ["l.wav", ".", "*.wav", "@-"])
def test_a_link_that_leads_nowhere_is_named(here, target, word, named):
    grow(here, ["a.wav"])
    (here / "l.wav").symlink_to(target)

    [said] = refused(named, stdin=b"l.wav\n")
    assert "l.wav: is a link" in said and word in said


def test_a_link_into_a_hidden_store_is_the_recording(here):
    grow(here, [".git/annex/objects/key"])
    (here / "a.wav").symlink_to(".git/annex/objects/key")

    assert paths(".") == ["./a.wav"]


def test_what_is_no_recording_is_passed_over_with_a_count(here):
    grow(here, ["a.wav", *(f"._{n}.WAV" for n in range(5)), ".h.wav", "b.part.wav", ".trash/t.wav", "__MACOSX/._a.wav"])
    os.mkfifo("pipe.wav")

    said = passed(".")
    assert said.startswith("passed over ")
    assert "5 macOS companion files (" in said and "and 2 more)" in said
    for one in (
        "1 hidden file (./.h.wav)",
        "1 unfinished file (./b.part.wav)",
        "1 named pipe (./pipe.wav)",
        "2 hidden or system folders (",
    ):
        assert one in said
    assert paths(".") == ["./a.wav"]


def test_a_companion_file_that_is_named_is_passed_over_by_its_content(here):
    (here / "._a.wav").write_bytes(bytes.fromhex("0005160700020000"))
    (here / "._real.wav").write_bytes(b"RIFF")

    assert paths("._a.wav", "._real.wav") == ["._real.wav"]
    assert passed("._a.wav") == "passed over 1 macOS companion file (._a.wav)"


@pytest.mark.parametrize("kind", ["socket", "device"])
def test_what_holds_no_sound_is_refused_and_passed_over(here, kind):
    grow(here, ["night/a.wav"])
    odd = here / "night" / "odd.wav"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind("night/odd.wav")
    else:
        odd.symlink_to("/dev/zero")

    assert paths("night") == ["night/a.wav"]
    assert passed("night") == f"passed over 1 {kind} (night/odd.wav)"
    assert refused("night/odd.wav") == [f"night/odd.wav: is a {kind}; name a recording"]


def test_a_named_pipe_is_read_only_where_it_is_named(here):
    os.mkfifo("pipe.wav")

    assert paths("pipe.wav") == ["pipe.wav"]
    assert passed("*.wav") == passed("./*.wav").replace("./", "") == "passed over 1 named pipe (pipe.wav)"


@pytest.fixture
def locked(here, monkeypatch) -> Path:
    """A folder that may not be read; root may read all, so it is the system's call that refuses."""
    grow(here, ["locked/a.wav", "open/b.wav"])
    scandir = os.scandir

    def refuse(path=".", *args):
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path, *args)

    monkeypatch.setattr("os.scandir", refuse)
    return here


@pytest.mark.parametrize("inputs", [["."], ["locked", "open"], ["*/*.wav"], ["**/*.wav"], ["*"]])
def test_a_folder_that_cannot_be_read_is_named_and_the_rest_goes_on(locked, inputs):
    found = list(recordings(inputs))

    assert [Path(one.path).name for one in found if isinstance(one, Found)] == ["b.wav"]
    [error] = [one.error for one in found if isinstance(one, Refused)]
    assert "locked: cannot be read (Permission denied); check its permissions" in str(error)


def test_a_recording_in_a_folder_that_cannot_be_read_is_given_by_its_name(locked):
    found = list(recordings(["locked", "locked/a.wav"]))

    assert [one.path for one in found if isinstance(one, Found)] == ["locked/a.wav"]


@pytest.mark.parametrize(
    "named, said",
    [
        ("empty", "empty: has no recordings in it; check the folder"),
        ("*.ogg", "*.ogg: matches no recording; check the path and the pattern"),
        ("no/**/x.wav", "no/**/x.wav: matches no recording; check the path and the pattern"),
        ("@none.txt", "none.txt: does not exist; give a list of files, one a line"),
        ("@empty", "empty: cannot be read (Is a directory); give a list of files, one a line"),
        ("@blank", "blank: names no file; list files or folders, one a line"),
        ("@-", "the list on standard input: names no file; list files or folders, one a line"),
        ("@huge", "huge: cannot be read (has no file names in it); give a list of files, one a line"),
    ],
)
def test_an_input_that_gives_nothing_is_an_error(here, named, said):
    (here / "empty").mkdir()
    (here / "blank").write_text("\n\n")
    (here / "huge").write_bytes(b"x" * 300_000)

    assert refused(named) == [said]


@pytest.mark.parametrize(
    "name", [b"caf\xe9.wav", b"two\nlines.wav", b"\x1b[31mred.wav", b"-o.wav", b"'\"`$.wav", b"\xff" * 251 + b".wav"]
)
def test_names_of_any_bytes_are_kept_to_the_byte(here, name):
    Path(os.fsdecode(name)).touch()

    assert [os.fsencode(path) for path in paths(".")] == [b"./" + name]
    assert [os.fsencode(path) for path in paths("*.wav")] == [name]
    assert [os.fsencode(path) for path in paths("@-", stdin=name + b"\0")] == [name]
    assert [os.fsencode(path) for path in paths(os.fsdecode(name))] == [name]


@pytest.fixture
def deep(here) -> Iterator[Callable[[str, int], None]]:
    """Makes folders within folders, with a recording in the last, and takes them away: what cleans up here recurses."""

    def make(name: str, count: int) -> None:
        for _ in range(count):
            os.mkdir(name)
            os.chdir(name)
        Path("a.wav").touch()
        os.chdir(here)

    yield make
    subprocess.run(["rm", "-r", "--", *os.listdir(here)], cwd=here, check=True)


@pytest.mark.parametrize("inputs", [["."], ["**/*.wav"]])
def test_folders_of_any_depth_are_searched(deep, inputs):
    deep("d", 1_200)  # more than Python calls within calls

    [one] = recordings(inputs)
    assert one.path.endswith("/".join(["d"] * 1_200) + "/a.wav")


def test_a_folder_deeper_than_a_path_can_be_is_named(deep):
    deep("d" * 240, 20)

    assert "File name too long" in refused(".")[0]


def test_recordings_are_found_as_they_are_asked_for(here, monkeypatch):
    grow(here, [f"{n}/{m}.wav" for n in range(10) for m in range(10)])
    searched = []
    scandir = os.scandir
    monkeypatch.setattr("os.scandir", lambda path: searched.append(path) or scandir(path))

    found = recordings(["."])
    assert next(found).path == "./0/0.wav"
    assert searched == [".", "./0"]


def test_folders_that_were_searched_take_no_memory(here, monkeypatch):
    """Of a tree of any size: 40 folders of 500 files, that are not there but for the one asked for."""
    names = [f"{n:05d}.wav" for n in range(500)]
    random.Random(1).shuffle(names)

    class Entry:
        def __init__(self, place, name):
            self.name, self.path = name, f"{place}/{name}"

        def is_symlink(self):
            return False

        def is_dir(self, follow_symlinks=True):
            return self.name.startswith("f")

    class Scan(list):
        def __enter__(self):
            return iter(self)

        def __exit__(self, *error):
            pass

    def scandir(place):
        inside = names if place != "." else [f"f{n}" for n in range(40)]
        return Scan(Entry(place, name) for name in inside)

    state = os.stat(here)
    file = os.stat_result((0o100644, 1, 1, 1, 0, 0, 7, 0, 0, 0))
    monkeypatch.setattr("os.scandir", scandir)
    monkeypatch.setattr("os.stat", lambda path, **how: file if str(path).endswith(".wav") else state)
    tracemalloc.start()
    found = recordings(["."])
    first = [next(found) for _ in range(500)][-1:]
    _, early = tracemalloc.get_traced_memory()
    n = sum(1 for _ in found)
    _, late = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert n == 19_500 and first[0].size == 7
    assert late < early + 20_000
