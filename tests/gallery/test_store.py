import json
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from gallery import Entry, Gallery, GalleryError, Taxon, TaxonError, Thumbnail, shows_adult
from tests.gallery.conftest import THUMBNAIL


def test_what_was_put_in_comes_out(opened: Gallery, taxa: list[Taxon], unit):
    assert opened.taxa() == taxa
    first, second = opened.entries("image")
    assert (first.scientific_name, first.label, first.thumbnail) == ("Parus major", "a.jpg", THUMBNAIL)
    assert (first.author, first.licence, first.source, first.sha256) == ("An Author", "CC0", "a source", "a.jpg")
    assert second.vector.dtype == np.float32
    np.testing.assert_array_equal(second.vector, unit(6))


def test_entries_are_chosen_by_kind_taxon_and_file(opened: Gallery):
    assert [e.label for e in opened.entries("image", "Parus major", "a.jpg")] == ["a.jpg"]
    assert opened.entries("image", "Parus minor", "a.jpg") == [] == opened.entries(sha256="c.jpg")
    assert len(opened.entries()) == 8
    assert len(opened.entries(scientific_name="parus major")) == 3
    assert [e.label for e in opened.entries("text", "Parus minor")] == ["common"]
    assert opened.entries("audio") == []


def test_info_counts_what_is_there_and_goes_into_json(opened: Gallery):
    info = json.loads(json.dumps(opened.info()))
    assert (info["space"], info["dim"], info["pack"], info["taxa"]) == ("test-space", 8, "test 1", 6)
    assert info["entries"] == {"text": 6, "image": 2, "audio": 0}
    assert info["taxa_with"] == {"text": 6, "image": 1, "audio": 0}
    assert (info["licences"], info["thumbnails"], info["rejected"], info["schema"]) == ({"CC0": 2}, 2, 0, 5)
    assert info["built"].endswith("Z")


def test_entries_are_counted_by_taxon(opened: Gallery, taxa: list[Taxon]):
    counts = opened.counts()
    assert list(counts) == [taxon.scientific_name for taxon in taxa]
    assert counts["Parus major"] == {"text": 1, "image": 2, "audio": 0}
    assert counts["Parus minor"] == {"text": 1, "image": 0, "audio": 0}


def test_a_photo_without_a_vector_is_kept_and_not_read_as_one(filled: Path):
    with Gallery.open(filled, readonly=False) as gallery:
        gallery.add_entries([Entry("Parus minor", "image", None, "c.jpg", licence="CC0", thumbnail=THUMBNAIL)])
        (photo,) = gallery.entries("image", "Parus minor")
        assert photo.vector is None and photo.thumbnail == THUMBNAIL
        assert sum(len(rows) for rows, _ in gallery.vectors("image")) == 2
        assert (gallery.info()["entries"]["image"], gallery.info()["photos_without_vectors"]) == (3, 1)


def test_vectors_lie_in_the_file_as_little_endian_float16(filled: Path):
    with sqlite3.connect(filled) as db:
        find = "SELECT vectors, place FROM entries JOIN vectors ON vectors.id = block WHERE label = 'b.jpg'"
        block, place = db.execute(find).fetchone()
    assert np.frombuffer(block, "<f2").reshape(-1, 8)[place].tolist() == [0, 0, 0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vector": np.zeros(8, np.float32)}, "zero vector"),
        ({"vector": np.full(8, np.nan, np.float32)}, "not finite"),
        ({"vector": np.full(8, np.inf, np.float32)}, "not finite"),
        ({"vector": np.ones(8, np.float32)}, r"length 2\.828 instead of 1"),
        ({"vector": np.eye(9, dtype=np.float32)[0]}, r"shape \[9\] instead of \[8\]"),
        ({"vector": np.eye(8, dtype=np.float32)[:1]}, r"shape \[1, 8\] instead of \[8\]"),
        ({"modality": "video"}, "modality 'video' is none of text, image, audio"),
        ({"scientific_name": "Parus ater"}, "taxon is not in the gallery"),
        ({"label": "common"}, "text is in the gallery already"),
        ({"modality": "image", "sha256": "a.jpg"}, "image is in the gallery already"),
        ({"modality": "image", "thumbnail": Thumbnail(b"\xff\xd8", b"PNG")}, "not a JPEG"),
        ({"thumbnail": THUMBNAIL}, "thumbnail of modality 'text'"),
        ({"vector": None}, "text without a vector"),
        ({"modality": "audio", "vector": None}, "audio without a vector"),
    ],
)
def test_a_bad_entry_is_rejected_with_a_reason_and_the_rest_added(filled: Path, unit, changes, reason):
    good = {"scientific_name": "Parus major", "modality": "text", "vector": unit(0), "label": "new"}
    with Gallery.open(filled, readonly=False) as gallery:
        result = gallery.add_entries([Entry(**{**good, "label": "bad", **changes}), Entry(**good)])
        (rejected,) = gallery.rejections()
        assert gallery.info()["rejected"] == 1
        assert gallery.entries("text", "Parus major")[-1].label == "new"
    assert result.added == 1 and result.rejected == (rejected,)
    assert re.search(reason, rejected.reason)


@pytest.mark.parametrize(
    ("note", "adult"),
    [
        ("", True),
        ("subject=adult/bird", True),
        ("male at Nestor Lake, near Eggleston", True),
        ("subject=nest/eggs", False),
        ("Two EGGS.", False),
        ("an egg", False),
        ("three nestlings", False),
        ("subject=juvenile", False),
        ("subject=tadpoles", False),
        ("chick; CC0", False),
        ("larvae in a pond", False),
        ("immature male", False),
    ],
)
def test_a_note_says_whether_a_photo_may_show_an_adult(note: str, adult: bool):
    assert shows_adult(note) == adult


def test_the_same_file_may_show_two_taxa(filled: Path, unit):
    with Gallery.open(filled, readonly=False) as gallery:
        assert gallery.add_entries([Entry("Parus minor", "image", unit(0), "a.jpg", sha256="a.jpg")]).added == 1


def test_a_taxon_that_is_there_is_kept_and_another_of_its_name_rejected(filled: Path, taxa: list[Taxon]):
    other = Taxon("parus MAJOR", "", "", "", "", "", "", {})
    with Gallery.open(filled, readonly=False) as gallery:
        assert (gallery.add_taxa(taxa).added, gallery.add_taxa(taxa).rejected) == (0, ())
        (rejected,) = gallery.add_taxa([other]).rejected
        assert "other names or ranks" in rejected.reason
        assert gallery.taxa() == taxa


def test_a_rejection_of_others_is_recorded(filled: Path):
    with Gallery.open(filled, readonly=False) as gallery:
        gallery.reject("photo.jpg", "not an image")
        assert [(r.label, r.reason) for r in gallery.rejections()] == [("photo.jpg", "not an image")]


def test_a_taxon_is_removed_with_everything_it_had(filled: Path):
    with Gallery.open(filled, readonly=False) as gallery:
        assert gallery.remove_taxon("Parus major") == 3
        info = gallery.info()
    assert (info["taxa"], info["entries"]["image"], info["entries"]["text"], info["thumbnails"]) == (5, 0, 5, 0)


@pytest.mark.parametrize(("name", "hint"), [("Parus mayor", "did you mean Parus major"), ("Great Tit", "Parus major")])
def test_removing_takes_the_accepted_name_only(filled: Path, name: str, hint: str):
    with Gallery.open(filled, readonly=False) as gallery:
        with pytest.raises(TaxonError, match=hint):
            gallery.remove_taxon(name)
        assert gallery.info()["taxa"] == 6


def test_a_transaction_happens_whole_or_not_at_all(filled: Path, unit):
    new = Taxon("Parus ater", "", "", "", "", "", "Parus", {})
    with Gallery.open(filled, readonly=False) as gallery:
        with pytest.raises(RuntimeError), gallery.transaction():
            gallery.add_taxa([new])
            gallery.add_entries([Entry("Parus ater", "text", unit(1), "common")])
            gallery.remove_taxon("Parus major")
            raise RuntimeError
        assert (gallery.info()["taxa"], gallery.info()["entries"]["text"]) == (6, 6)
        with gallery.transaction():
            gallery.add_taxa([new])
            gallery.add_entries([Entry("Parus ater", "text", unit(1), "common")])
    with Gallery.open(filled) as gallery:
        assert (gallery.info()["taxa"], gallery.info()["entries"]["text"]) == (7, 7)


def test_entries_that_fail_to_be_made_leave_no_half_of_the_batch(filled: Path, unit):
    def entries():
        yield Entry("Parus major", "audio", unit(0), "one.wav")
        raise OSError("disk gone")

    with Gallery.open(filled, readonly=False) as gallery:
        with pytest.raises(OSError, match="disk gone"):
            gallery.add_entries(entries())
        assert gallery.entries("audio") == []


def test_a_gallery_open_for_reading_takes_nothing(opened: Gallery, taxa: list[Taxon]):
    for change in (lambda: opened.add_taxa(taxa), lambda: opened.remove_taxon("Parus major")):
        with pytest.raises(GalleryError, match="open for reading; open it with readonly=False"):
            change()


def test_vectors_come_in_pieces_with_the_places_of_their_taxa(opened: Gallery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gallery.vectors.ROWS_PER_READ", 4)
    pieces = list(opened.vectors("text"))
    assert [rows.tolist() for rows, _ in pieces] == [[0, 1, 2, 3], [4, 5]]
    np.testing.assert_array_equal(np.concatenate([vectors for _, vectors in pieces]), np.eye(8)[:6])


def test_places_of_taxa_have_no_gap_after_one_was_removed(filled: Path):
    with Gallery.open(filled, readonly=False) as gallery:
        gallery.remove_taxon("Parus minor")
        ((rows, _),) = gallery.vectors("text")
        assert rows.tolist() == [0, 1, 2, 3, 4]
