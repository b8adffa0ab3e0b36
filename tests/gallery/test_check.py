"""Checking a gallery whole."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from gallery import Entry, Gallery, build
from gallery.check import faults, recall
from gallery.errors import GalleryError
from gallery.nearest import Nearest
from tests.gallery.conftest import THUMBNAIL

DAMAGE = {
    "a bit": ("UPDATE vectors SET crc32 = crc32 + 1 WHERE taxon = 2", r"Parus minor \(text\) have another checksum"),
    "a mean of other vectors": (
        "UPDATE centroids SET (total, crc32) = (SELECT total, crc32 FROM centroids WHERE taxon = 3) WHERE taxon = 2",
        "the mean text vector of Parus minor is not that of its vectors",
    ),
    "a count": ("UPDATE centroids SET count = 7 WHERE taxon = 2", "mean text vector of Parus minor is not that"),
    "a mean that is gone": ("DELETE FROM centroids WHERE taxon = 2", "Parus minor has text vectors without a mean"),
    "a block that is gone": (
        "DELETE FROM vectors WHERE taxon = 2",
        "Parus minor has 1 text entries with a vector",
    ),
    "a taxon that is gone": ("DELETE FROM taxa WHERE id = 2", "rows of entries belong to taxa that are missing"),
    "a place that is none": (
        "UPDATE entries SET place = 9 WHERE taxon = 2",
        r"Parus minor has an entry \(text\) whose",
    ),
    "a block of another": (
        "UPDATE entries SET block = (SELECT id FROM vectors WHERE taxon = 4) WHERE taxon = 2",
        r"Parus minor has an entry \(text\) whose vector is not in its place",
    ),
    "a licence that is no text": (
        "UPDATE entries SET licence = x'ff' WHERE taxon = 2",
        "an entry of Parus minor has something else where a text must be",
    ),
    "names that are none": ("UPDATE taxa SET synonyms = '{' WHERE id = 2", "the synonyms of Parus minor are not JSON"),
}


@pytest.mark.parametrize(("statement", "told"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_told_by_taxon(filled: Path, statement, told):
    with closing(sqlite3.connect(filled)) as db, db:
        db.execute(statement)
    with Gallery.open(filled) as gallery:
        found = list(faults(gallery))
    assert any(re.search(told, fault) for fault in found), found
    assert not any("Parus major" in fault or "Erithacus" in fault for fault in found)


def test_vectors_of_a_taxon_that_is_gone_are_no_others(filled: Path):
    with closing(sqlite3.connect(filled)) as db, db:
        db.execute("DELETE FROM taxa WHERE id = 2")
    with Gallery.open(filled) as gallery, pytest.raises(GalleryError, match="vectors of taxon 2, which is missing"):
        gallery.sums("text")


def test_a_damaged_counterexample_is_told(filled: Path):
    with closing(sqlite3.connect(filled)) as db, db:
        db.execute("INSERT INTO counterexamples VALUES (1, 'species', 'Parus minor', x'00', '', '', '', '')")
    with Gallery.open(filled) as gallery:
        assert any("Parus minor (counterexample)" in fault for fault in faults(gallery))


def test_all_damage_is_told_and_not_the_first_alone(filled: Path):
    with closing(sqlite3.connect(filled)) as db, db:
        db.execute("UPDATE vectors SET crc32 = crc32 + 1 WHERE taxon IN (2, 3)")
    with Gallery.open(filled) as gallery:
        told = "\n".join(faults(gallery))
    assert "Parus minor" in told and "Erithacus rubecula" in told


def test_a_whole_gallery_has_no_faults_and_its_index_finds_all(filled: Path, starter_pack: Path, tmp_path: Path):
    older = tmp_path / "older.sqlite"
    shutil.copy(starter_pack / "gallery.sqlite", older)
    newer = tmp_path / "newer.sqlite"
    shutil.copy(older, newer)
    Gallery.open(newer, readonly=False).close()
    for path in (filled, older, newer):
        with Gallery.open(path) as gallery:
            assert list(faults(gallery)) == []
    with Gallery.open(newer) as gallery:
        assert recall(gallery) >= 0.99


KINDS = {
    "a picture of text": "UPDATE thumbnails SET large = 'hello'",
    "a picture of another format": "UPDATE thumbnails SET large = x'89504e47'",
    "a width of text": "UPDATE thumbnails SET width = 'wide'",
    "an author of bytes": "UPDATE entries SET author = x'00'",
    "a source that is a number": "UPDATE entries SET sha256 = 5",
}


@pytest.mark.parametrize("statement", KINDS.values(), ids=KINDS)
def test_a_value_of_another_kind_is_told_and_never_used(statement, tmp_path, taxa, identity, unit):
    path = tmp_path / "gallery.sqlite"
    with build(path, identity) as gallery:
        gallery.add_taxa(taxa)
        gallery.add_entries([Entry("Parus major", "image", unit(0), "a.jpg", thumbnail=THUMBNAIL)])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    with Gallery.open(path) as gallery:
        assert any("Parus major" in fault for fault in faults(gallery))
        if "x'89504e47'" not in statement:
            with pytest.raises(GalleryError, match=r"damaged \(.* of Parus major is not what was written\)"):
                gallery.entries()


def test_an_entry_that_is_gone_is_damage_to_a_search(filled: Path, identity):
    with closing(sqlite3.connect(filled)) as db, db:
        db.execute("UPDATE entries SET place = 9 WHERE taxon = 2")
    with Gallery.open(filled) as gallery, pytest.raises(GalleryError, match="a vector belongs to 0 entries"):
        Nearest(gallery).find(np.ones(identity.dim), 100)


@pytest.mark.parametrize("dim", ["0", "-8", "99999999999", "9" * 5000, "eight"])
def test_a_number_of_numbers_that_cannot_be_is_told_at_opening(dim, filled: Path):
    with closing(sqlite3.connect(filled)) as db, db:
        db.execute("UPDATE gallery SET value = ? WHERE key = 'dim'", (dim,))
    with pytest.raises(GalleryError, match="does not say which encoders made it"), Gallery.open(filled):
        pass
