"""Search of all entries: the index finds what exact search finds."""

from pathlib import Path

import numpy as np
import pytest

from gallery import EncoderIdentity, Entry, Gallery, GalleryError, Taxon, build
from gallery.nearest import Nearest

DIM, TAXA, PHOTOS = 32, 80, 12


@pytest.fixture(scope="module")
def clustered(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """Photos around a direction for each taxon."""
    rng = np.random.default_rng(3)
    centers = rng.standard_normal((TAXA, 1, DIM))
    vectors = (centers + 0.7 * rng.standard_normal((TAXA, PHOTOS, DIM))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    path = tmp_path_factory.mktemp("nearest") / "g.sqlite"
    names = [f"Genus species{row}" for row in range(TAXA)]
    with build(path, EncoderIdentity("space", DIM, "p 1")) as gallery:
        gallery.add_taxa([Taxon(name, "", "", "", "", "", "", {}) for name in names])
        gallery.add_entries(
            Entry(name, "image", vector, f"{row}.jpg", "A", "CC0", "here", f"{at:032x}{row:032x}")
            for at, (name, of) in enumerate(zip(names, vectors))
            for row, vector in enumerate(of)
        )
        gallery.add_entries(Entry(name, "audio", -of[0], "song") for name, of in zip(names, vectors))
    return path, vectors.reshape(-1, DIM)


@pytest.mark.parametrize("exact", [True, False])
def test_the_nearest_entries_come_first_with_their_provenance(clustered, exact):
    path, vectors = clustered
    with Gallery.open(path) as gallery:
        found = Nearest(gallery, ["image"]).find(3 * vectors[25], 5, exact)
    cosines = vectors @ vectors[25]
    rows = np.argsort(-cosines)[:5]
    assert [(one.scientific_name, one.label) for one in found] == [
        (f"Genus species{row // PHOTOS}", f"{row % PHOTOS}.jpg") for row in rows
    ]
    assert [one.similarity for one in found] == pytest.approx(cosines[rows], abs=1e-3)
    assert (found[0].author, found[0].licence, found[0].source) == ("A", "CC0", "here")
    assert found[0].sha256 == f"{25 // PHOTOS:032x}{25 % PHOTOS:032x}"


def test_the_index_finds_what_exact_search_finds(clustered, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gallery.nearest.LEAST", 20 * PHOTOS)
    monkeypatch.setattr("gallery.nearest.PATIENCE", 10 * PHOTOS)
    path, vectors = clustered
    rng, shares = np.random.default_rng(4), []
    with Gallery.open(path) as gallery:
        search = Nearest(gallery)
        for row in range(0, len(vectors), 24):
            vector = vectors[row] + 0.1 * rng.standard_normal(DIM)
            exact = {one.id for one in search.find(vector, exact=True)}
            shares.append(len(exact & {one.id for one in search.find(vector)}) / len(exact))
    assert np.mean(shares) >= 0.99


def test_all_modalities_are_found_unless_one_is_asked_for(clustered):
    path, vectors = clustered
    with Gallery.open(path) as gallery:
        assert {one.modality for one in Nearest(gallery).find(-vectors[0], 1)} == {"audio"}
        assert {one.modality for one in Nearest(gallery, ["image"]).find(-vectors[0], 3)} == {"image"}
        with pytest.raises(GalleryError, match="has no text vectors"):
            Nearest(gallery, ["text"])


@pytest.mark.parametrize("vector", [np.zeros(DIM), np.full(DIM, np.nan), np.ones(DIM + 1)])
def test_what_has_no_direction_here_is_refused(clustered, vector):
    with Gallery.open(clustered[0]) as gallery, pytest.raises(GalleryError, match="cannot be searched for"):
        Nearest(gallery).find(vector)


def test_galleries_of_earlier_versions_are_searched_as_they_are(starter_pack):
    with Gallery.open(starter_pack / "gallery.sqlite") as gallery:
        [entry, *_] = gallery.entries("audio")
        for exact in (True, False):
            [found] = Nearest(gallery).find(entry.vector, 1, exact)
            assert (found.label, found.similarity) == (entry.label, pytest.approx(1.0, abs=1e-3))
