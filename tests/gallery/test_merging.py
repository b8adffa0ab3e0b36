"""What one gallery has goes into another, once."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from gallery import Counterexample, EncoderIdentity, Entry, Gallery, GalleryError, Taxon, Thumbnail, build
from gallery.check import faults
from gallery.exchange import ABOUT, Imported, export
from gallery.merging import merge, take
from tests.gallery.conftest import THUMBNAIL


def made(path: Path, taxa, entries=(), examples=(), identity=EncoderIdentity("test-space", 8, "test 1")) -> Path:
    with build(path, identity) as gallery:
        gallery.add_taxa(taxa)
        assert gallery.add_entries(entries).rejected == ()
        assert gallery.add_counterexamples(examples).rejected == ()
    return path


@pytest.fixture(params=["merge", "export and import"])
def put(request, tmp_path):
    """Put a gallery into another, in one of both ways."""

    def call(source: Path, target: Path, licensed=lambda licence: True):
        with Gallery.open(source) as one, Gallery.open(target, readonly=False) as other:
            if request.param == "merge":
                merged = merge(other, one, licensed)
            else:
                folder = tmp_path / f"exported {len(list(tmp_path.iterdir()))}"
                export(one, folder)
                found = Imported(folder)
                merged = take(other, found.taxa(), found.entries(), found.counterexamples(), licensed)
                assert found.rejected == []
            assert list(faults(other)) == []
        return merged

    return call


def learnt(unit, *axes, name="Parus major", label="detection 1"):
    return [Entry(name, "audio", unit(axis), label, source=f"id {axis}") for axis in axes]


def test_everything_comes_along_and_a_second_time_nothing_does(put, filled, tmp_path, taxa, unit):
    examples = [Counterexample("genus", "Parus", unit(3), "detection 4", "me", source="id 9")]
    source = made(
        tmp_path / "source.sqlite",
        [taxa[0], Taxon("Pica pica", "Animalia", "", "", "", "Corvidae", "Pica", {"en": "Magpie", "de": "Elster"})],
        [
            Entry("Parus major", "text", unit(0), "common"),
            Entry("Parus major", "image", unit(3), "c.jpg", "C", "CC0", "there", f"{3:064x}", THUMBNAIL),
            Entry("Parus major", "image", None, "d.jpg", licence="CC BY 4.0", sha256="d", thumbnail=THUMBNAIL),
            Entry("Pica pica", "audio", unit(4), "class", logit_scale=3.0, logit_bias=-1.5),
            *learnt(unit, 5),
        ],
        examples,
    )
    first = put(source, filled)
    assert (first.taxa, first.counterexamples, first.known, first.rejected) == (1, 1, 1, [])
    assert dict(first.entries) == {"text": 0, "image": 2, "audio": 2}
    with Gallery.open(filled) as gallery:
        assert gallery.taxon("Pica pica").common_names == {"en": "Magpie", "de": "Elster"}
        photo, shown = gallery.entries("image", "Parus major")[-2:]
        assert (photo.author, photo.licence, photo.source, photo.sha256) == ("C", "CC0", "there", f"{3:064x}")
        assert photo.thumbnail == shown.thumbnail == THUMBNAIL and shown.vector is None
        np.testing.assert_array_equal(photo.vector, unit(3))
        [of_class] = gallery.entries("audio", "Pica pica")
        assert (of_class.logit_scale, of_class.logit_bias) == (3.0, -1.5)
        [example] = gallery.counterexamples()
        assert (example.taxon_rank, example.scientific_name, example.source) == ("genus", "Parus", "id 9")
    again = put(source, filled)
    assert (again.taxa, sum(again.entries.values()), again.counterexamples, again.known) == (0, 0, 0, 6)


def test_recordings_of_two_stations_under_one_label_are_both_kept(put, tmp_path, taxa, unit):
    here = made(tmp_path / "here.sqlite", taxa, learnt(unit, 0), [Counterexample("species", "Pica pica", unit(0), "1")])
    there = made(
        tmp_path / "there.sqlite", taxa, learnt(unit, 1), [Counterexample("species", "Pica pica", unit(1), "1")]
    )
    for _ in range(2):
        put(there, here)
        with Gallery.open(here) as gallery:
            assert [(one.label, one.source) for one in gallery.entries("audio")] == [
                ("detection 1", "id 0"),
                ("detection 1 (2)", "id 1"),
            ]
            assert [one.label for one in gallery.counterexamples()] == ["1", "1 (2)"]


def test_a_synonym_is_added_under_the_accepted_name(put, filled, tmp_path, unit):
    old = Taxon("Parus major minor", "Animalia", "", "", "", "Paridae", "Parus", {})
    source = made(tmp_path / "old.sqlite", [old], [Entry("Parus major minor", "image", unit(4), "x.jpg", sha256="x")])
    merged = put(source, filled)
    assert (merged.taxa, merged.renamed) == (0, {"Parus major minor": "Parus minor"})
    with Gallery.open(filled) as gallery:
        assert [one.label for one in gallery.entries("image", "Parus minor")] == ["x.jpg"]


@pytest.mark.parametrize(("kingdom", "taken"), [("Plantae", 0), ("Metazoa", 1), ("", 1), ("Eukaryota", 1)])
def test_a_namesake_of_another_kingdom_is_left_out_and_told(put, filled, tmp_path, unit, kingdom, taken):
    other = Taxon("Parus major", kingdom, "", "", "", "", "Parus", {})
    example = Counterexample("species", "Parus major", unit(3), "detection 9")
    source = made(tmp_path / "other.sqlite", [other], [Entry("Parus major", "image", unit(4), "x.jpg")], [example])
    merged = put(source, filled)
    assert (merged.entries["image"], merged.counterexamples, len(merged.rejected)) == (taken, taken, 1 - taken)
    assert all("has a taxon of Animalia under this name" in one.reason for one in merged.rejected)


def test_an_entry_of_no_modality_is_rejected_and_not_lost(filled, tmp_path, unit):
    with Gallery.open(filled, readonly=False) as gallery:
        entries = [Entry("Parus major", "smell", unit(4), "x.jpg", sha256=sha256) for sha256 in ("", "x")]
        merged = take(gallery, gallery.taxa(), entries, [])
    assert len(merged.rejected) == 2
    assert all("modality 'smell' is none of text, image, audio" in one.reason for one in merged.rejected)


def test_a_table_that_was_saved_by_a_spreadsheet_is_read(filled, tmp_path):
    with Gallery.open(filled) as gallery:
        export(gallery, tmp_path / "out")
        taxa = gallery.taxa()
    for table in (tmp_path / "out").glob("*.csv"):
        table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    found = Imported(tmp_path / "out")
    assert found.taxa() == taxa and len(list(found.entries())) == 8


def test_names_that_differ_stay_as_they_are_here(put, filled, tmp_path, taxa):
    other = Taxon("Parus major", "Animalia", "", "", "", "", "Parus", {"en": "Another"})
    merged = put(made(tmp_path / "other.sqlite", [other]), filled)
    assert merged.differing == ["Parus major"]
    with Gallery.open(filled) as gallery:
        assert (gallery.taxa(), gallery.rejections()) == (taxa, [])


def test_licences_are_kept_to(put, filled, tmp_path, taxa, unit):
    source = made(
        tmp_path / "source.sqlite",
        taxa,
        [
            Entry(
                "Parus minor", "image", unit(row), f"{row}.jpg", licence=licence, sha256=f"{row}", thumbnail=THUMBNAIL
            )
            for row, licence in enumerate(("CC BY 4.0", "CC BY-NC 4.0"))
        ]
        + [Entry("Parus minor", "text", unit(2), "a prompt")],
    )
    merged = put(source, filled, lambda licence: licence == "CC BY 4.0")
    assert (merged.entries["image"], merged.entries["text"]) == (1, 1)


def test_what_may_not_be_shown_comes_without_its_picture(filled, tmp_path, taxa, unit):
    reserved = Entry("Parus minor", "image", unit(0), "r.jpg", licence="all rights reserved", thumbnail=THUMBNAIL)
    source = made(tmp_path / "source.sqlite", taxa, [reserved])
    with Gallery.open(source) as one, Gallery.open(filled, readonly=False) as other:
        assert dict(merge(other, one).not_shown) == {"all rights reserved": 1}
        [entry] = other.entries("image", "Parus minor")
        assert entry.thumbnail is None and entry.vector is not None
        assert export(one, tmp_path / "exported").photos == 0


def test_an_export_is_a_folder_for_people_and_programs(filled, tmp_path, unit):
    sound = tmp_path / "song.wav"
    sound.write_bytes(b"RIFF")
    with Gallery.open(filled, readonly=False) as gallery:
        gallery.add_entries([Entry("Parus minor", "audio", unit(1), "song.wav", "B", "CC BY 4.0")])
        done = export(gallery, tmp_path / "out", sound_of=lambda entry: sound)
    assert (done.taxa, done.entries, done.photos, done.sounds) == (6, 9, 2, 1)
    out = tmp_path / "out"
    assert (out / "licences.csv").read_text() == "licence,entries\nCC BY 4.0,1\nCC0,2\n"
    credits = (out / "credits.csv").read_text().splitlines()
    assert credits[1:] == [
        "photos/Parus_major_7.jpg,Parus major,image,An Author,CC0,a source,a.jpg",
        "photos/Parus_major_8.jpg,Parus major,image,An Author,CC0,a source,b.jpg",
        "sounds/Parus_minor_9.wav,Parus minor,audio,B,CC BY 4.0,,song.wav",
    ]
    assert (out / "photos" / "Parus_major_7.jpg").read_bytes() == THUMBNAIL.large
    assert (out / "sounds" / "Parus_minor_9.wav").read_bytes() == b"RIFF"
    from gallery.taxon import read_taxa

    assert [one.scientific_name for one in read_taxa(out / "taxa.csv")][:2] == ["Parus major", "Parus minor"]


def test_only_an_empty_folder_is_exported_into(filled, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with Gallery.open(filled) as gallery, pytest.raises(GalleryError, match="not an empty folder; name a new one"):
        export(gallery, tmp_path / "full")


@pytest.mark.parametrize("exists", [False, True], ids=["new", "empty"])
def test_an_export_that_fails_leaves_nothing_and_can_be_done_again(exists, filled, tmp_path):
    shutil.copy(filled, tmp_path / "damaged.sqlite")
    with closing(sqlite3.connect(tmp_path / "damaged.sqlite")) as db, db:
        db.execute("UPDATE vectors SET crc32 = crc32 + 1 WHERE taxon = 3")
    folder = tmp_path / "inner" / "export"
    if exists:
        folder.mkdir(parents=True)
    with Gallery.open(tmp_path / "damaged.sqlite") as gallery, pytest.raises(GalleryError, match="another checksum"):
        export(gallery, folder)
    assert [*folder.parent.iterdir()] == ([folder] if exists else [])
    with Gallery.open(filled) as gallery:
        export(gallery, folder)
    assert Imported(folder).taxa()
    assert [*folder.parent.iterdir()] == [folder]


DAMAGE = {
    "a part": (ABOUT, None, "it has no gallery.json"),
    "no JSON": (ABOUT, "{", "is not JSON"),
    "deep JSON": (ABOUT, "[" * 100_000, "is not JSON"),
    "a later format": (ABOUT, '{"format": 9}', "is not of format 1"),
    "no space": (ABOUT, '{"format": 1}', "does not say what is exported"),
    "no vectors": ("vectors.npy", None, "vectors.npy cannot be read"),
    "other vectors": ("vectors.npy", "abc", "vectors.npy cannot be read"),
    "a table that is cut": ("entries.csv", "scientific_name\nParus", "has no column modality"),
    "no taxa": ("taxa.csv", None, "taxa.csv cannot be read"),
}


@pytest.mark.parametrize(("file", "content", "told"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_export_is_told_in_one_line(filled, tmp_path, file, content, told):
    out = tmp_path / "out"
    with Gallery.open(filled) as gallery:
        export(gallery, out)
    (out / file).unlink() if content is None else (out / file).write_text(content)
    with pytest.raises(GalleryError, match=told):
        found = Imported(out)
        found.taxa()
        list(found.entries())


@pytest.mark.parametrize("row", ["../../../etc/passwd", "photos/none.jpg"])
def test_a_row_that_cannot_be_used_is_named_and_the_others_are_taken(filled, tmp_path, row):
    out = tmp_path / "out"
    with Gallery.open(filled) as gallery:
        export(gallery, out)
    table = out / "entries.csv"
    table.write_text(table.read_text().replace("photos/Parus_major_7.jpg", row))
    found = Imported(out)
    assert len(list(found.entries())) == 7
    [rejection] = found.rejected
    assert rejection.label.endswith("Parus major: a.jpg")


@pytest.mark.parametrize("odd", [os.mkfifo, lambda path: path.symlink_to(path.name), Path.mkdir])
def test_a_photo_of_an_export_that_is_no_file_is_named(filled, tmp_path, odd):
    out = tmp_path / "out"
    with Gallery.open(filled) as gallery:
        export(gallery, out)
    photo = out / "photos" / "Parus_major_7.jpg"
    photo.unlink()
    odd(photo)
    found = Imported(out)
    assert len(list(found.entries())) == 7
    [rejection] = found.rejected
    assert rejection.reason == "photos/Parus_major_7.jpg is not there, or no file"


@pytest.mark.parametrize("kind", ["several arrays", "more than any memory", "a header of any depth", "no archive"])
def test_what_is_no_array_in_an_export_is_refused(filled, tmp_path, kind):
    out = tmp_path / "out"
    with Gallery.open(filled) as gallery:
        export(gallery, out)
    with (out / "vectors.npy").open("wb") as file:
        if kind == "several arrays":
            np.savez(file, a=np.zeros(3))
        elif kind == "more than any memory":
            header = {"descr": "<f2", "fortran_order": False, "shape": (10**13, 256)}
            np.lib.format.write_array_header_1_0(file, header)
        elif kind == "no archive":
            file.write(b"PK\x03\x04 and nothing else")
        else:
            file.write(b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"(" * 8999 + b"\n")
    with pytest.raises(GalleryError, match="vectors.npy"):
        Imported(out)


def test_a_vector_that_is_damaged_in_an_export_is_rejected_alone(filled, tmp_path, taxa, identity):
    out = tmp_path / "out"
    with Gallery.open(filled) as gallery:
        export(gallery, out)
    vectors = np.load(out / "vectors.npy")
    vectors[0] = np.nan
    np.save(out / "vectors.npy", vectors)
    found = Imported(out)
    with build(tmp_path / "new.sqlite", identity) as gallery:
        merged = take(gallery, found.taxa(), found.entries(), found.counterexamples())
        assert [one.reason for one in merged.rejected] == ["vector with numbers that are not finite"]
        assert sum(merged.entries.values()) == 7


def test_thumbnails_in_one_size_stay_in_one(tmp_path, taxa, unit):
    one_size = Thumbnail(b"\xff\xd8one", b"\xff\xd8one")
    source = made(tmp_path / "g.sqlite", taxa, [Entry("Parus major", "image", unit(0), "a.jpg", thumbnail=one_size)])
    with Gallery.open(source) as gallery:
        export(gallery, tmp_path / "out")
    [entry] = Imported(tmp_path / "out").entries()
    assert entry.thumbnail == one_size
