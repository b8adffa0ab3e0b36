"""The working database of a collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from edgeapp.collect.catalogue import BATCH, FILE, Catalogue
from edgeapp.collect.medium import Medium
from edgeapp.collect.row import TRIES
from edgeapp.errors import CollectError
from gallery import sqlite
from tests.edgeapp.collect import offers

SONG = Medium(
    "xeno-canto",
    "1",
    "xc:1",
    "audio",
    "https://archive.example/1.mp3",
    "Parus major Linnaeus, 1758",
    ranks={"genus": "Parus", "class": "Aves"},
    licence="CC BY 4.0",
    latitude=51.5,
    duration_s=12.5,
    size=1000,
    background=("Turdus merula",),
)


@pytest.fixture
def catalogue(tmp_path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path / "collection") as opened:
        yield opened


def offered(n: int) -> Iterator[Medium]:
    return (replace(SONG, id=str(number), scientific_name=f"Name {number % 7}") for number in range(n))


def test_a_medium_comes_back_as_it_was_offered(catalogue):
    assert catalogue.offer([SONG]) == 1
    [row] = catalogue.rows()
    assert (row.medium, row.state, row.taxon, row.sha256, row.bytes) == (SONG, "offered", "", "", None)


def test_offering_again_changes_what_is_told_not_what_was_fetched(catalogue):
    catalogue.offer([SONG])
    [row] = catalogue.rows()
    catalogue.downloaded(row.key, "audio/1.mp3", "ab", 10)
    assert catalogue.offer([replace(SONG, licence="CC0"), SONG, replace(SONG, licence="CC BY-SA 4.0")]) == 0
    [again] = catalogue.rows()
    assert again.medium.licence == "CC BY-SA 4.0"
    assert (again.key, again.state, again.sha256) == (row.key, "downloaded", "ab")


def test_a_file_that_was_replaced_at_its_source_is_fetched_again(catalogue):
    catalogue.offer([replace(SONG, checksum="md5:1")])
    [row] = catalogue.rows()
    catalogue.downloaded(row.key, "audio/1.mp3", "ab", 10)
    catalogue.offer([replace(SONG, checksum="md5:2")])
    catalogue.choose([row.key])
    [again] = catalogue.rows()
    assert (again.state, again.sha256) == ("chosen", "")


def test_rows_can_be_changed_while_they_are_read(catalogue):
    catalogue.offer(offered(BATCH + 10))
    for row in catalogue.rows("offered"):
        catalogue.choose([row.key]) if row.key % 2 else catalogue.leave_out([row.key], "even")
    assert [count[:2] for count in catalogue.counts("state")] == [
        ("chosen", BATCH // 2 + 5),
        ("left_out", BATCH // 2 + 5),
    ]


def test_rows_of_a_taxon_come_together(catalogue):
    catalogue.offer(offered(20))
    for name, ranks, _ in catalogue.names():
        catalogue.match(name, ranks, name[::-1], {"class": "Aves"})
    taxa = [row.taxon for row in catalogue.rows(by_taxon=True)]
    assert taxa == sorted(taxa) and len(taxa) == 20


def test_names_licences_and_taxa_are_decided_once_each(catalogue):
    catalogue.offer(offered(20))
    catalogue.offer([replace(SONG, id="none", scientific_name="", ranks={})])
    assert sum(n for *_, n in catalogue.names()) == 21
    for name, ranks, _ in catalogue.names():
        if name:
            catalogue.match(name, ranks, f"Species {name}", {"class": "Aves"})
        else:
            catalogue.match(name, ranks, "", reason="no name")
    assert catalogue.taxa() == 7
    for text in catalogue.licences():
        catalogue.license(text, "CC-BY-4.0", "not wanted")
    assert [count[:3] for count in catalogue.counts("reason", "licence_spdx")] == [
        ("no name", "CC-BY-4.0", 1),
        ("not wanted", "CC-BY-4.0", 20),
    ]
    assert [count[0] for count in catalogue.counts("class")] == ["", "Aves"]


def test_what_failed_is_tried_again_until_it_failed_for_good(catalogue):
    catalogue.offer([SONG, replace(SONG, id="2")])
    first, second = catalogue.rows()
    catalogue.failed(first.key, "no answer")
    catalogue.failed(second.key, "an HTML page", for_good=True)
    assert [(row.lasting, row.attempts) for row in catalogue.rows("failed")] == [(False, 1), (True, TRIES)]
    catalogue.reconsider()
    assert [(row.state, row.reason) for row in catalogue.rows()] == [("offered", ""), ("failed", "an HTML page")]
    catalogue.forgive()
    assert [row.attempts for row in catalogue.rows()] == [0, 0]


def test_what_is_here_is_downloaded_when_it_is_chosen_again(catalogue):
    catalogue.offer([SONG])
    [row] = catalogue.rows()
    catalogue.downloaded(row.key, "audio/1.mp3", "ab", 10)
    catalogue.reconsider()
    catalogue.choose([row.key])
    [row] = catalogue.rows("downloaded")
    catalogue.gone(row.key)
    assert [one.state for one in catalogue.rows()] == ["chosen"]


def test_what_a_source_offered_before_it_failed_is_kept(catalogue):
    def broken() -> Iterator[Medium]:
        yield SONG
        raise CollectError("page 2: no answer", "try again")

    with pytest.raises(CollectError, match="page 2"):
        catalogue.offer(broken())
    assert len(list(catalogue.rows())) == 1


def test_a_file_that_is_no_catalogue_is_refused(tmp_path):
    other = sqlite.connect(tmp_path / FILE, "rwc")
    other.execute("CREATE TABLE something (a)")
    other.close()
    with pytest.raises(CollectError, match="is no catalogue"):
        Catalogue.open(tmp_path)
    (tmp_path / FILE).write_bytes(b"text, and more of it than a header")
    with pytest.raises(CollectError, match="cannot be opened"):
        Catalogue.open(tmp_path)
    with pytest.raises(CollectError, match="no such file"):
        Catalogue.open(tmp_path / "nowhere", readonly=True)


def test_a_catalogue_of_another_version_is_refused(tmp_path):
    with Catalogue.open(tmp_path) as made:
        made._db.execute("PRAGMA user_version = 99")
    with pytest.raises(CollectError, match="catalogue 99"):
        Catalogue.open(tmp_path)


def test_facts_are_kept(tmp_path):
    with Catalogue.open(tmp_path) as made:
        made.set_fact("backbone", "COL 2026")
    with Catalogue.open(tmp_path, readonly=True) as opened:
        assert (opened.fact("backbone"), opened.fact("other", "none")) == ("COL 2026", "none")


def test_rows_of_a_source_of_any_name(catalogue):
    name = "o'brien\" OR 1=1 --"
    catalogue.offer([SONG, replace(SONG, id="2", source=name)])
    assert [row.medium.source for row in catalogue.rows(source=name)] == [name]
    assert [row.medium.id for row in catalogue.rows("offered", "audio", "xeno-canto")] == ["1"]


def test_halves_of_letters_and_sizes_that_cannot_be_are_no_error(catalogue):
    catalogue.offer(
        [offers.medium(1, author="A. \ud83d Name", ranks={"class": "\ud83d"}, size=10**40), offers.medium(2, size=-1)]
    )
    one, other = catalogue.rows()
    assert (one.medium.author, one.medium.ranks, one.medium.size) == ("A. ? Name", {"class": "?"}, None)
    assert other.medium.size is None


def test_what_an_archive_has_in_the_place_of_text_is_kept_or_left_empty(catalogue: Catalogue) -> None:
    odd = {"licence": {"name": "CC0"}, "author": None, "page": ["a"], "country": True, "quality": 10**400}
    catalogue.offer([offers.medium(1, recorded_at=2024, **odd), offers.medium(2, author="half \ud83d of a letter")])
    first, second = (row.medium for row in catalogue.rows())
    assert [getattr(first, name) for name in odd] == [""] * len(odd)
    assert (first.recorded_at, second.author) == ("2024", "half ? of a letter")
