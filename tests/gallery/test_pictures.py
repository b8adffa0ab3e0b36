"""Beside a name stand its own pictures, nearest first, or those of its nearest relatives, which are told apart."""

from pathlib import Path

import numpy as np
import pytest

from gallery import Entry, Gallery, Taxon, build
from gallery import pictures as module
from gallery.pictures import Picture, PictureFinder, pictures
from tests.gallery.conftest import DIM, THUMBNAIL, make_taxon

BIRDS = "Animalia Chordata Aves Passeriformes"


def near(axis: int, cosine: float) -> np.ndarray:
    """Unit vector with this cosine to an axis, and the rest along the last one."""
    vector = np.zeros(DIM, np.float32)
    vector[axis], vector[-1] = cosine, np.sqrt(1 - cosine**2)
    return vector


def photo(name: str, label: str, vector: np.ndarray | None = None, shown: bool = True, **more: str) -> Entry:
    return Entry(name, "image", vector, label, sha256=label, thumbnail=THUMBNAIL if shown else None, **more)


def made(path: Path, identity, taxa: list[Taxon], entries: list[Entry]) -> Gallery:
    with build(path, identity) as gallery:
        gallery.add_taxa(taxa)
        assert gallery.add_entries(entries).rejected == ()
    return Gallery.open(path)


@pytest.fixture
def make(tmp_path: Path, identity, taxa: list[Taxon]):
    """A gallery of entries, and of more taxa than the usual ones."""
    opened = []

    def call(*entries: Entry, more: tuple[Taxon, ...] = ()) -> Gallery:
        opened.append(made(tmp_path / f"{len(opened)}.sqlite", identity, [*taxa, *more], list(entries)))
        return opened[-1]

    yield call
    for gallery in opened:
        gallery.close()


def labels(found: list[Picture]) -> list[str]:
    return [one.label for one in found]


def test_the_pictures_of_a_taxon_nearest_to_the_sound_come_first(make, unit):
    gallery = make(
        photo("Parus major", "far", near(0, 0.1), author="A", licence="CC0", source="here"),
        photo("Parus major", "near", near(0, 0.9)),
        photo("Parus major", "between", near(0, 0.5)),
        photo("Parus minor", "another", unit(0)),
        Entry("Parus major", "audio", near(0, 0.7), "song"),
        Entry("Parus major", "audio", near(0, 0.8), "call"),
    )
    found = pictures(gallery, "Parus major", 3 * unit(0))
    assert labels(found) == ["near", "between", "far", "call", "song"]
    assert [one.modality for one in found] == ["image"] * 3 + ["audio"] * 2
    in_float16 = pytest.approx([0.9, 0.5, 0.1, 0.8, 0.7], rel=2**-11)
    assert [one.similarity for one in found] == in_float16
    far = found[2]
    assert (far.scientific_name, far.relative, far.author, far.licence, far.source) == (
        *("Parus major", "", "A", "CC0", "here"),
    )
    assert (far.thumbnail, far.width, far.height) == (True, 480, 320)
    assert (found[3].thumbnail, found[3].width) == (False, None)
    assert labels(pictures(gallery, "Parus major", unit(0), n=1)) == ["near", "call"]


def test_a_picture_leads_to_its_thumbnails(make):
    gallery = make(photo("Parus major", "a"), photo("Parus major", "b", shown=False))
    shown, hidden = pictures(gallery, "Parus major")
    assert (shown.label, hidden.label) == ("a", "b")
    assert gallery.thumbnail(shown.id, "small") == THUMBNAIL.small
    assert gallery.thumbnail(shown.id, "large") == THUMBNAIL.large
    assert gallery.thumbnail(hidden.id, "large") is gallery.thumbnail(99, "small") is None


def test_without_a_vector_the_order_is_that_of_the_gallery(make, unit):
    gallery = make(photo("Parus major", "first", unit(3)), photo("Parus major", "second", unit(0)))
    found = pictures(gallery, "parus major ")
    assert labels(found) == ["first", "second"] and [one.similarity for one in found] == [None, None]
    assert labels(pictures(gallery, "Parus major", np.zeros(DIM))) == ["first", "second"]


def test_photos_that_can_be_shown_come_before_those_that_cannot(make, unit):
    gallery = make(
        photo("Parus major", "hidden", unit(0), shown=False),
        photo("Parus major", "without a vector"),
        photo("Parus major", "shown", near(0, 0.2)),
    )
    assert labels(pictures(gallery, "Parus major", unit(0))) == ["shown", "without a vector", "hidden"]


def test_pieces_of_one_recording_are_given_once(make, unit):
    pieces = [
        Entry("Parus major", "audio", near(0, cosine), "XC1", source="an archive", sha256=f"{cosine}")
        for cosine in (0.2, 0.8, 0.5)
    ]
    gallery = make(*pieces, Entry("Parus major", "audio", near(0, 0.1), "XC2", source="an archive"))
    found = pictures(gallery, "Parus major", unit(0))
    assert [(one.label, round(one.similarity, 3)) for one in found] == [("XC1", 0.8), ("XC2", 0.1)]


def test_class_vectors_are_no_recordings(make, unit):
    gallery = make(Entry("Parus major", "audio", unit(0), "class", logit_scale=4.0, logit_bias=-2.0))
    assert pictures(gallery, "Parus major", unit(0)) == []


def test_a_species_without_photos_is_given_its_nearest_relatives(make, unit):
    relatives = [make_taxon(f"{BIRDS} Paridae Parus {epithet}") for epithet in ("one", "two", "three")]
    gallery = make(
        Entry("Parus major", "text", unit(0), "common"),
        Entry("Parus major", "audio", unit(1), "song"),
        *(photo(f"Parus {name}", f"{name} {n}", near(5, n / 10)) for name in ("one", "two", "three") for n in (1, 2)),
        Entry("Parus one", "text", near(0, 0.1), "common"),
        Entry("Parus two", "text", near(0, 0.5), "common"),
        Entry("Parus two", "audio", near(1, 0.7), "song"),
        photo("Erithacus rubecula", "of the order", unit(5)),
        more=tuple(relatives),
    )
    found = pictures(gallery, "Parus major", unit(5), n=4)
    # The one that sounds and is called most alike first; a photo of each before the second of any.
    assert labels(found) == ["two 2", "one 2", "three 2", "two 1", "song"]
    assert [(one.scientific_name, one.relative) for one in found[:2]] == [
        ("Parus two", "genus"),
        ("Parus one", "genus"),
    ]
    assert (found[-1].scientific_name, found[-1].relative) == ("Parus major", "")


@pytest.mark.parametrize(
    ("path", "relative"),
    [
        (f"{BIRDS} Paridae Parus ater", "genus"),
        (f"{BIRDS} Paridae Poecile montanus", "family"),
        (f"{BIRDS} Corvidae Corvus corax", "order"),
        ("Animalia Chordata Aves Strigiformes Strigidae Strix aluco", None),
        ("Plantae - - - - Parus novus", None),  # a namesake of the genus
    ],
)
def test_relatives_share_the_lowest_rank_that_has_photos(make, path: str, relative: str | None):
    asked = make_taxon(path)
    gallery = make(photo("Parus major", "tit"), more=(asked,))
    found = pictures(gallery, asked.scientific_name)
    assert [(one.scientific_name, one.relative) for one in found] == ([("Parus major", relative)] if relative else [])


def test_a_group_is_given_its_members_those_first_that_were_likeliest(make, unit):
    gallery = make(
        photo("Parus major", "major far", near(0, 0.1)),
        photo("Parus major", "major", near(0, 0.2)),
        photo("Parus minor", "minor", near(0, 0.6)),
        photo("Erithacus rubecula", "robin", unit(0)),
    )
    found = pictures(gallery, "Parus", unit(0))
    assert labels(found) == ["minor", "major", "major far"]
    assert {one.relative for one in found} == {"genus"}
    assert labels(pictures(gallery, "Parus")) == ["major far", "minor", "major"]
    assert labels(pictures(gallery, "Passeriformes", unit(0), n=2)) == ["robin", "minor"]
    assert labels(pictures(gallery, "Parus", unit(0), likeliest=["Parus major"])) == ["major", "minor", "major far"]
    assert {one.relative for one in pictures(gallery, "Aves")} == {"class"}
    assert len(pictures(gallery, "Animalia", n=9)) == 4


@pytest.mark.parametrize("name", ["Parus ater", "", "Corvidae", "' OR 1 --"])
def test_a_name_the_gallery_does_not_know_has_no_pictures(make, name: str):
    assert pictures(make(photo("Parus major", "tit")), name) == []


def test_a_vector_of_another_dim_is_an_error(make):
    with pytest.raises(ValueError, match=r"shape \[3\] instead of \[8\]"):
        pictures(make(photo("Parus major", "tit")), "Parus major", np.ones(3))


def test_only_the_rows_of_the_taxon_are_read(make, unit):
    gallery = make(photo("Parus major", "tit", unit(0)), photo("Parus minor", "other", unit(1)))
    plans = []
    rows = gallery.rows

    def explained(query, parameters=()):
        plans.extend(row["detail"] for row in rows(f"EXPLAIN QUERY PLAN {query}", parameters))
        return rows(query, parameters)

    gallery.rows = explained
    assert labels(pictures(gallery, "Parus major", unit(0))) == ["tit"]
    assert plans and not [plan for plan in plans if plan.startswith("SCAN")]


def test_one_photo_stands_for_a_taxon_whatever_was_heard(make, unit):
    gallery = make(
        photo("Parus major", "hidden", near(0, 0.9), shown=False),
        photo("Parus major", "first", near(0, 0.1), author="A"),
        photo("Parus major", "nearest", near(0, 0.8)),
        photo("Snark snark", "hidden", unit(1), shown=False),
        more=(make_taxon("Animalia Chordata Aves Boojum Snarkidae Snark snark"),),
    )
    finder = PictureFinder(gallery)
    finder.pictures("Parus major", unit(0))
    stands = finder.thumbnail("Parus major")
    of_relative = finder.thumbnail("Parus minor")

    assert stands is not None and of_relative is not None
    assert (stands.label, stands.author, stands.relative) == ("first", "A", "")
    assert (of_relative.label, of_relative.relative) == ("first", "genus")
    assert finder.thumbnail("Snark snark") is None and finder.thumbnail("Nobody") is None


def test_a_finder_gives_what_a_single_question_gives(make, unit, monkeypatch):
    gallery = make(
        photo("Parus major", "far", near(0, 0.1)),
        photo("Parus major", "near", near(0, 0.9)),
        Entry("Parus major", "audio", near(0, 0.7), "song"),
        photo("Snark snark", "snark", unit(1)),
        more=(make_taxon("Animalia Chordata Aves Boojum Snarkidae Snark snark"),),
    )
    names = ("Parus major", "Parus minor", "Parus", "Aves", "Nobody", "Snark snark")
    for kept in (1, 4_000_000):
        monkeypatch.setattr(module, "KEPT_BYTES", kept)
        finder = PictureFinder(gallery, 2)
        for name in 2 * names:
            assert finder.thumbnail(name) == next(iter(pictures(gallery, name)), None)
            for vector in (None, unit(0), unit(1)):
                assert finder.pictures(name, vector, ["Snark snark"]) == pictures(
                    gallery, name, vector, 2, ["Snark snark"]
                )


def test_a_photo_that_is_added_meanwhile_is_found(make, unit):
    gallery = make(photo("Parus major", "old", unit(0)))
    finder = PictureFinder(gallery)
    assert labels(finder.pictures("Parus major")) == ["old"]
    with Gallery.open(gallery.path, readonly=False) as other:
        other.add_entries([photo("Parus major", "new", unit(0))])

    assert labels(finder.pictures("Parus major")) == ["old", "new"]
