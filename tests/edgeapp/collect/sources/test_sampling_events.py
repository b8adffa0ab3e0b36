"""Darwin Core Archives of sampling events: the core is Event, occurrences and media are extensions of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edgeapp.collect.medium import Medium
from edgeapp.collect.sources.gbif_archive import GbifArchive
from edgeapp.collect.sources.kind import Setting
from edgeapp.errors import CollectError
from tests.edgeapp.collect.darwin_core_archives import AUDUBON, OCCURRENCE, changed, table_of
from tests.edgeapp.collect.offers import media_of

EVENT = "http://rs.tdwg.org/dwc/terms/Event"
COLUMNS = {
    "event.txt": ("eventID", "eventDate", "decimalLatitude", "decimalLongitude", "countryCode", "license"),
    "occurrence.txt": ("eventID", "occurrenceID", "scientificName", "occurrenceStatus", "recordedBy"),
    "media.txt": ("eventID", "type", "accessURI", "occurrenceID", "scientificName"),
}
EVENTS = [
    ("dawn", "2024-05-01", "52.5", "13.4", "DE", "CC0"),
    ("dusk", "2024-05-02", "47.1", "8.5", "CH", "CC0"),
]
OCCURRENCES = [
    ("dusk", "o3", "Turdus merula", "present", "B. Observer"),
    ("dawn", "o1", "Parus major", "", "A. Observer"),
    ("dawn", "o2", "Erithacus rubecula", "present", "A. Observer"),
    ("dusk", "o4", "Strix aluco", "absent", "B. Observer"),
]
MEDIA = [
    ("dawn", "Sound", "http://sounds.example/of-an-occurrence.mp3", "o2", ""),
    ("dawn", "Sound", "http://sounds.example/of-a-name.mp3", "", "Parus major"),
    ("dawn", "Sound", "http://sounds.example/of-both.mp3", "", ""),
    ("dusk", "Sound", "http://sounds.example/of-the-only-one.mp3", "", ""),
    ("dusk", "Sound", "http://sounds.example/of-an-absent-one.mp3", "o4", ""),
    ("noon", "Sound", "http://sounds.example/of-no-event.mp3", "", ""),
]


def write_events(
    folder: Path,
    media: Sequence[Sequence[str]] | None = MEDIA,
    occurrences: Sequence[Sequence[str]] | None = OCCURRENCES,
) -> Path:
    folder.mkdir()
    tables = [("core", EVENT, "event.txt", EVENTS), ("extension", OCCURRENCE, "occurrence.txt", occurrences)]
    tables.append(("extension", AUDUBON, "media.txt", media))
    given = {"fieldsTerminatedBy": "\\t", "fieldsEnclosedBy": "", "ignoreHeaderLines": "1"}
    described = ""
    for kind, row_type, file, rows in tables:
        if rows is not None:
            described += table_of(kind, row_type, file, COLUMNS[file], given, {})
            (folder / file).write_text("".join("\t".join(row) + "\n" for row in (COLUMNS[file], *rows)))
    (folder / "meta.xml").write_text(f'<archive xmlns="http://rs.tdwg.org/dwc/text/">{described}</archive>')
    return folder


def read(path: Path, setting: Setting = Setting()) -> dict[str, Medium]:
    found = [*media_of(GbifArchive(str(path), setting))]
    assert len({one.id for one in found}) == len(found)
    return {one.url.rpartition("/")[2].removesuffix(".mp3"): one for one in found}


def test_media_of_events_are_those_of_the_occurrence_meant(tmp_path):
    lines: list[str] = []
    found = read(write_events(tmp_path / "a"), Setting(tell=lines.append))
    assert {name: one.scientific_name for name, one in found.items()} == {
        "of-an-occurrence": "Erithacus rubecula",
        "of-a-name": "Parus major",
        "of-the-only-one": "Turdus merula",
    }
    assert [line.partition(": ")[2] for line in lines] == [
        "2 media of events, which are of none of their occurrences are left out",
        "1 media without an occurrence are left out",
    ]


def test_an_occurrence_has_time_and_place_of_its_event(tmp_path):
    one = read(write_events(tmp_path / "a"))["of-the-only-one"]
    assert (one.recorded_at, one.latitude, one.longitude) == ("2024-05-02", 47.1, 8.5)
    assert (one.country, one.licence, one.author, one.observation) == ("CH", "CC0", "B. Observer", "o3")


def test_occurrences_without_identifiers_stay_apart(tmp_path):
    media = [(event, type_, url, "", name) for event, type_, url, _, name in MEDIA[1:4]]
    occurrences = [(event, "", *rest) for event, _, *rest in OCCURRENCES]
    found = read(write_events(tmp_path / "a", media, occurrences))
    assert sorted(found) == ["of-a-name", "of-the-only-one"]
    assert len({one.observation for one in found.values()}) == 2


def test_occurrences_of_events_may_name_their_media(tmp_path):
    folder = write_events(tmp_path / "a", None, [(*row[:4], f"http://a.example/{row[1]}.mp3") for row in OCCURRENCES])
    found = read(changed(folder, ("dwc/terms/recordedBy", "dwc/terms/associatedMedia")))
    assert {name: one.scientific_name for name, one in found.items()} == {
        "o1": "Parus major",
        "o2": "Erithacus rubecula",
        "o3": "Turdus merula",
    }


@pytest.mark.parametrize(
    ("left_out", "says"),
    [("occurrences", "core .Event. has no scientific names"), ("media", "has no recordings or photos")],
)
def test_events_without_what_makes_a_medium_are_one_line(left_out, says, tmp_path):
    with pytest.raises(CollectError, match=says):
        read(write_events(tmp_path / "a", **{left_out: None}))
