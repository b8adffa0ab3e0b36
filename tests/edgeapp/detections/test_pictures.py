from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.pack.format import Pack
from edgeapp.paths import STARTER_PACK
from edgeapp.recognition.gallery_build import build_gallery
from edgeapp.recognition.material import Material
from edgeapp.recognition.recogniser import Recogniser, Tally
from gallery import Gallery, starter_taxa
from gallery.pictures import pictures


def test_the_first_picture_is_of_the_species_that_photos_alone_name(starter_pack, shared, tmp_path):
    """So the share of first pictures that are right is audio -> image Top-1. No recording is in the gallery."""
    with (shared / "starter" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    photos = [row for row in rows if row["modality"] == "image"]
    material = [
        Material(
            shared / "starter" / row["path"],
            *(row["scientific_name"], "image", row["author"], row["licence"]),
            note=row["note"],
        )
        for row in photos
    ]
    pack = Pack.load(STARTER_PACK)
    path = tmp_path / "photos.sqlite"
    report = build_gallery(path, pack, starter_taxa(), material, ("image",))
    assert report.failed == []
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
