from __future__ import annotations

import csv
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.detections.pictures import DocumentPictures
from edgeapp.pack.format import Pack
from edgeapp.paths import STARTER_PACK
from edgeapp.recognition.gallery_build import build_gallery
from edgeapp.recognition.material import Material
from edgeapp.recognition.recogniser import Recogniser, Tally
from gallery import Gallery, starter_taxa
from gallery.entry import shows_adult
from gallery.pictures import pictures
from gallery.recognition import Detection


def test_the_first_picture_is_of_the_species_that_photos_alone_name(starter_pack, shared, tmp_path):
    """So the share of first pictures that are right is audio -> image Top-1. No recording is in the gallery."""
    with (shared / "starter" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    photos = [row for row in rows if row["modality"] == "image"]
    pack = Pack.load(STARTER_PACK)
    path = tmp_path / "photos.sqlite"
    shutil.copyfile(STARTER_PACK / "gallery.sqlite", path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM entries WHERE modality <> 'image'")
        database.commit()
    assert_are_of(path, photos, shared / "starter", tmp_path / "some.sqlite")
    by_photos = Recogniser(pack, path, modalities=["image"], threads=1)
    asked = [row for row in rows if row["modality"] == "audio"][::12]
    species_of_file = {Path(row["path"]).name: row["scientific_name"] for row in photos}

    named_right = shown_right = 0
    with Gallery.open(path) as gallery:
        for row in asked:
            results = list(by_photos.windows(FileSource(shared / "starter" / row["path"])))
            tally = Tally(by_photos.vocabulary)
            for result in results:
                tally.add(result)
            [named] = tally.species(1)
            vectors = [result.vector for result in results if result.vector is not None]
            first = pictures(gallery, named.scientific_name, np.sum(vectors, axis=0))[0]
            assert first.relative == "" and first.thumbnail == (gallery.thumbnail(first.id, "small") is not None)
            named_right += named.scientific_name == row["scientific_name"]
            shown_right += species_of_file[first.label] == row["scientific_name"]
    assert 0.5 * len(asked) <= named_right < len(asked), "some of these species have no photos"
    assert shown_right == named_right


def assert_are_of(gallery: Path, photos: list[dict[str, str]], folder: Path, made: Path) -> None:
    """The entries of a gallery are of these photos. Some are encoded again: it takes longer than all the rest."""
    with Gallery.open(gallery) as given:
        of_label = {entry.label: entry for entry in given.entries()}
    assert of_label.keys() == {Path(row["path"]).name for row in photos if shows_adult(row["note"])}
    material = [
        Material(
            folder / row["path"],
            *(row["scientific_name"], "image", row["author"], row["licence"]),
            note=row["note"],
        )
        for row in photos[::12]
    ]
    report = build_gallery(made, Pack.load(STARTER_PACK), starter_taxa(), material, ("image",))
    assert report.failed == []
    with Gallery.open(made) as some:
        again = some.entries()
    assert len(again) == sum(shows_adult(one.note) for one in material) > 30
    for entry in again:
        known = of_label[entry.label]
        assert (entry.sha256, entry.scientific_name) == (known.sha256, known.scientific_name)
        assert entry.vector @ known.vector > 0.99


def test_no_document_waits_for_a_gallery_that_is_being_written(photo_gallery, toy_pack):
    """Whoever writes ends only when the document is there, or after far longer than it may wait."""
    tit = Detection("species", "Parus major", "Great Tit", (), 0.9, ())
    told: list[str] = []
    shown = DocumentPictures(photo_gallery, tell=told.append)
    locked, done = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(photo_gallery, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            locked.set()
            done.wait(10)
            other.execute("ROLLBACK")

    writer = threading.Thread(target=write)
    writer.start()
    locked.wait()
    meanwhile = [shown.fields(tit, "") for _ in range(2)]
    done.set()
    writer.join()

    assert meanwhile == [[], []]
    assert [line.partition("; ")[0] for line in told] == [f"gallery {photo_gallery} is in use by another program"]
    assert [one["label"] for one in shown.fields(tit, "")] == ["far.jpg", "near.jpg", "song.wav"]
    shown.close()


def test_a_vector_of_another_space_is_not_compared(photo_gallery, toy_pack):
    tit = Detection("species", "Parus major", "Great Tit", (), 0.9, ())
    shown = DocumentPictures(photo_gallery, n=1)
    dim, space = Pack.load(toy_pack).dim, Pack.load(toy_pack).space
    for vector, of, compared in (
        (np.ones(dim), space, True),
        (np.ones(dim), "another", False),
        (np.ones(dim + 1), space, False),  # damaged
    ):
        found = shown.fields(tit, of, lambda vector=vector: vector)
        assert [one["similarity"] is not None for one in found] == [compared] * 2
    shown.close()
    assert DocumentPictures(photo_gallery, n=0).fields(tit, space) == []
