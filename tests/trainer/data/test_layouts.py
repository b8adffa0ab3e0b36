"""Manifests in the layout of the published training tables: names, ranks, files without a name, and faults."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import pytest

from gallery import Taxon
from trainer.data.manifest import read_manifest
from trainer.errors import DataError

RANKS = ("class", "order", "family", "genus")
PUBLISHED = ("file_name", "scientific_name", "accepted_name", *RANKS, "com", "download_url", "source", "recording_id")


@pytest.fixture
def published(tmp_path: Path):
    """Write a table in the published layout, a value of some columns changed in each row."""

    def write(*changes: dict[str, str], columns: Iterable[str] = PUBLISHED, name: str = "train.csv") -> Path:
        usual = dict(zip(PUBLISHED[1:], ["Parus major", "", "Aves", "Passeriformes", "Paridae", "Parus", "Great Tit"]))
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(columns), restval="", extrasaction="ignore")
            writer.writeheader()
            own = ({"file_name": f"{n}.mp3", "source": "xc", "recording_id": str(n)} for n in range(len(changes)))
            writer.writerows({**usual, **ours, **row} for ours, row in zip(own, changes, strict=True))
        return tmp_path / name

    return write


def test_the_published_layout_brings_its_taxa(published, tmp_path: Path) -> None:
    dunnock = {"scientific_name": "Prunella modularis", "family": "Prunellidae", "genus": "Prunella", "com": ""}
    read = read_manifest(published({}, {**dunnock, "file_name": "b.JPG"}, {"file_name": "sub/c.flac"}))
    assert [(t.scientific_name, t.common_name, t.path()[2:]) for t in read.taxa] == [
        ("Parus major", "Great Tit", ("Aves", "Passeriformes", "Paridae", "Parus", "Parus major")),
        ("Prunella modularis", "", ("Aves", "Passeriformes", "Prunellidae", "Prunella", "Prunella modularis")),
    ]
    assert [(s.path, s.source, s.taxon) for s in read.recordings] == [
        (tmp_path / "0.mp3", ("xc", "0"), 0),
        (tmp_path / "sub" / "c.flac", ("xc", "2"), 0),
    ]
    assert [(s.path, s.source, s.taxon) for s in read.photos] == [(tmp_path / "b.JPG", ("xc", "1"), 1)]
    assert read.missing == () and read.notes == ()


def test_names_can_be_those_that_the_table_gives(published, taxa: list[Taxon]) -> None:
    path = published(
        {"scientific_name": "Parus major", "accepted_name": "Parus major"},
        {"scientific_name": "Parus robustus", "accepted_name": "Parus major"},
        {"scientific_name": "", "accepted_name": "Parus ater"},
    )
    accepted, given = read_manifest(path), read_manifest(path, given_names=True)
    assert [taxon.scientific_name for taxon in accepted.taxa] == ["Parus ater", "Parus major"]
    assert [taxon.scientific_name for taxon in given.taxa] == ["Parus ater", "Parus major", "Parus robustus"]
    assert sorted(given.recordings.taxon.tolist()) == [0, 1, 2]
    with pytest.raises(DataError, match="names=given needs the ranks of the manifest"):
        read_manifest(path, taxa, given_names=True)


def test_an_accepted_name_comes_first_and_synonyms_fall_together(published) -> None:
    read = read_manifest(
        published(
            {"scientific_name": "Parus robustus"},  # what it stands for is said further down
            {"scientific_name": "parus  major"},
            {"scientific_name": "Parus robustus", "accepted_name": "Parus major"},
            {"scientific_name": "Parus minor", "accepted_name": "Parus minor"},
            {"scientific_name": "Parus minor", "accepted_name": "Parus major"},  # split since: minor is a species
            {"scientific_name": "Parus minor"},
        )
    )
    assert [(taxon.scientific_name, taxon.synonyms) for taxon in read.taxa] == [
        ("Parus minor", ()),
        ("parus major", ("Parus robustus",)),
    ]
    assert [sample.taxon for sample in read.recordings] == [1, 1, 1, 0, 1, 0]


def test_a_species_table_comes_before_the_columns(published, taxa: list[Taxon]) -> None:
    path = published({"scientific_name": "Parus robustus", "family": "Wrong"}, {"accepted_name": "Parus ater"})
    assert [taxon.family for taxon in read_manifest(path, taxa).taxa] == ["Paridae"]
    with pytest.raises(DataError, match="train.csv line 2: no taxon is called 'Parus majro'"):
        read_manifest(published({"scientific_name": "Parus majro"}), taxa)


def test_where_rows_disagree_the_first_is_right_and_the_species_named(published) -> None:
    other = [{"scientific_name": f"Genus species{n}", "order": word} for n in range(4) for word in ("One", "Two")]
    read = read_manifest(published({"family": "", "com": "Tit"}, {}, {"family": "Sittidae"}, {"com": "TIT"}, *other))
    taxon = next(taxon for taxon in read.taxa if taxon.scientific_name == "Parus major")
    assert (taxon.family, taxon.common_name) == ("Paridae", "Tit")
    (note,) = read.notes
    assert "contradict each other about 5 species" in note and note.count(";") == 2
    assert "Parus major: common name Tit, not Great Tit" in note and "Genus species0: order One, not Two" in note


def test_files_without_a_name_are_looked_for_in_one_listing(published, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for name in ("xc_0.mp3", "inat_1.m4a", "xc_12.wav"):
        (media / name).write_bytes(b"")
    unnamed = {"file_name": ""}
    path = published(unnamed, {**unnamed, "source": "inat"}, {"file_name": "sub/named.ogg"}, unnamed, unnamed)
    read = read_manifest(path, media=media)
    assert [sample.path for sample in read.recordings] == [
        media / "xc_0.mp3",
        media / "inat_1.m4a",
        media / "sub" / "named.ogg",
    ]
    (line,) = read.missing
    assert f"train.csv lines 5, 6: no file_name, and no xc_3.* in {media}; download it, or remove the row" in line
    bare = published({}, columns=[name for name in PUBLISHED if name != "file_name"])
    assert [sample.path.name for sample in read_manifest(bare, media=media).recordings] == ["xc_0.mp3"]
    with pytest.raises(DataError, match="cannot be listed.*--media"):
        read_manifest(bare, media=tmp_path / "absent")


def test_rows_of_the_published_layout_that_cannot_be_used_are_named(published) -> None:
    read = read_manifest(
        published({"scientific_name": ""}, {"file_name": "a.txt"}, {"file_name": "b"}, {"scientific_name": "Parus"}, {})
    )
    assert len(read.recordings) == 1
    assert [line.partition("train.csv ")[2].partition(";")[0] for line in read.missing] == [
        "lines 3, 4: '.txt', '.' is not a suffix of an audio or image file",
        "line 2: no species is named",
        "line 5: a name of one word is not a species",
    ]


@pytest.mark.parametrize("lacking", ["scientific_name", *RANKS])
def test_a_column_that_the_published_layout_lacks_is_named(published, lacking: str) -> None:
    path = published({}, columns=[name for name in PUBLISHED if name != lacking])
    with pytest.raises(DataError, match=f"train.csv: column {lacking} is missing"):
        read_manifest(path)


def test_a_table_of_photos_without_ranks_takes_them_from_the_recordings(published) -> None:
    bare = [name for name in PUBLISHED if name not in RANKS]
    paths = [published({}), published({"file_name": "a.png"}, columns=bare, name="photos.csv")]
    for order in (paths, paths[::-1]):
        read = read_manifest(order)
        assert [taxon.family for taxon in read.taxa] == ["Paridae"] and read.notes == ()
        assert (len(read.recordings), len(read.photos)) == (1, 1)


def test_without_file_names_source_and_number_are_needed(published) -> None:
    with pytest.raises(DataError, match="column source is missing"):
        read_manifest(published({}, columns=[name for name in PUBLISHED if name not in ("file_name", "source")]))


def test_a_file_without_a_number_is_its_own_source(published) -> None:
    read = read_manifest(
        published({"recording_id": ""}, {"recording_id": "", "file_name": "b.mp3"}, {"file_name": "c.mp3"})
    )
    assert [sample.source for sample in read.recordings] == [("xc", "0.mp3"), ("xc", "b.mp3"), ("xc", "2")]
