"""What fetched files turn out to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.curation import Rules, curate
from edgeapp.collect.inspection import inspect
from edgeapp.collect.notes import UNREADABLE, numbers, objection
from edgeapp.errors import UsageError
from tests.edgeapp.collect.fetched import picture, take, tone
from tests.edgeapp.collect.offers import resolve


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path) as opened:
        yield opened


def notes(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    return {Path(row.path).stem: row.notes for row in catalogue.rows() if row.path}


def words(catalogue: Catalogue) -> dict[str, set[str]]:
    return {name: {one for one in found if "=" not in one} for name, found in notes(catalogue).items()}


def test_length_level_and_size_are_found(catalogue: Catalogue, tmp_path: Path) -> None:
    files = [
        tone(tmp_path / "song.wav"),
        tone(tmp_path / "click.wav", seconds=0.2),
        tone(tmp_path / "hush.wav", level=0.0002),
        picture(tmp_path / "bird.jpg"),
        picture(tmp_path / "stamp.png", 100, 90),
    ]
    take(catalogue, files)
    assert inspect(catalogue, speech=False) == 0
    found = {"song": set(), "click": {"short"}, "hush": {"silence"}, "bird": set(), "stamp": {"small"}}
    assert words(catalogue) == found
    song = numbers(notes(catalogue)["song"])
    assert song["duration_s"] == pytest.approx(2.0, abs=0.01)
    assert song["level_dbfs"] == pytest.approx(-13.5, abs=0.3)
    assert numbers(notes(catalogue)["bird"]) == {"width": 320, "height": 240}


def test_speech_is_noted_where_it_is_listened_for(catalogue: Catalogue, tmp_path: Path) -> None:
    take(catalogue, [tone(tmp_path / "song.wav")])
    inspect(catalogue, speech=False)
    assert "speech_score" not in numbers(notes(catalogue)["song"])
    inspect(catalogue)
    assert numbers(notes(catalogue)["song"])["speech_score"] < 0.5


def test_what_cannot_be_decoded_is_left_out_with_its_reason(catalogue: Catalogue, tmp_path: Path) -> None:
    files = [tmp_path / "page.mp3", tmp_path / "cut.jpg"]
    files[0].write_bytes(b"<html><body>Not found</body></html>" * 50)
    files[1].write_bytes(picture(tmp_path / "whole.jpg").read_bytes()[:400])
    take(catalogue, files)
    assert inspect(catalogue, speech=False) == 2
    assert {row.reason for row in catalogue.rows("left_out")} == {UNREADABLE}
    assert all(any(len(one) > len(UNREADABLE) for one in found) for found in notes(catalogue).values())


def test_a_recording_without_a_sample_is_none(catalogue: Catalogue, tmp_path: Path) -> None:
    take(catalogue, [tone(tmp_path / "none.wav", seconds=0.0), tone(tmp_path / "one.wav", seconds=1 / 16_000)])
    assert inspect(catalogue, speech=False) == 1
    assert notes(catalogue)["none"][1:] == (f"{UNREADABLE}: has no sound",)
    assert words(catalogue)["one"] == {"short", "silence"}


def test_a_file_is_looked_at_once(catalogue: Catalogue, tmp_path: Path) -> None:
    take(catalogue, [tone(tmp_path / "song.wav")])
    looked: list[int] = []
    for _ in range(2):
        inspect(catalogue, speech=False, done=looked.append)
    assert looked == [1]


def test_what_is_not_wanted_is_left_out_and_not_drawn_again(catalogue: Catalogue, tmp_path: Path) -> None:
    take(catalogue, [tone(tmp_path / "song.wav"), tone(tmp_path / "click.wav", seconds=0.2)])
    assert inspect(catalogue, speech=False, without=("short",)) == 1
    catalogue.reconsider()
    resolve(catalogue)
    curate(catalogue, Rules(without=("short",)))
    assert [(row.medium.id, row.state) for row in catalogue.rows()] == [
        ("song.wav", "downloaded"),
        ("click.wav", "left_out"),
    ]


def test_notes_are_read_as_they_are_written() -> None:
    found = ("inspected=12e4567890ab", "level_dbfs=-31.2", "short", "also given for A=B", "cannot be decoded: a=b")
    assert numbers(found) == {"level_dbfs": -31.2}
    assert objection(("short",), ()) == objection((), ("short",)) == ""
    assert objection(("short",), ("short",)) == "short, which is not wanted"


def test_only_what_is_noted_can_be_done_without() -> None:
    with pytest.raises(UsageError, match="'quiet'"):
        Rules(without=("quiet",))
