"""Vectors in blocks: what comes out is what went in, to the precision of float16."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from gallery import EncoderIdentity, Entry, Gallery, GalleryError, Taxon, build
from gallery.vectors import PER_BLOCK, widened

DIM = 64


@pytest.fixture
def many(tmp_path):
    """A gallery of two taxa with photos in several blocks, and the vectors that were given."""
    vectors = np.random.default_rng(1).standard_normal((3 * PER_BLOCK + 5, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    path = tmp_path / "many.sqlite"
    with build(path, EncoderIdentity("space", DIM, "p 1")) as gallery:
        gallery.add_taxa([Taxon(name, "", "", "", "", "", "", {}) for name in ("Parus major", "Pica pica")])
        # In turn, so that blocks of both are begun and go on in another call.
        for some in np.array_split(np.arange(len(vectors)), 3):
            gallery.add_entries(photo(row, vectors[row]) for row in some.tolist())
    return path, vectors


def photo(row, vector):
    return Entry(("Parus major", "Pica pica")[row % 2], "image", vector, f"{row}.jpg", sha256=f"{row:064x}")


def test_numbers_of_float16_are_widened_exactly():
    every = np.arange(1 << 16, dtype="<u2").view("<f2")
    finite = np.isfinite(every)
    found = widened(every.tobytes())
    np.testing.assert_array_equal(found[finite], every[finite].astype(np.float32))
    assert (np.abs(found[~finite]) > np.finfo(np.float16).max).all()


def test_vectors_of_many_blocks_come_out_in_their_order(many):
    path, vectors = many
    with Gallery.open(path) as gallery:
        entries = gallery.entries("image")
        assert [entry.label for entry in entries] == [f"{row}.jpg" for row in range(len(vectors))]
        found = np.stack([entry.vector for entry in entries])
        cosines = np.einsum("ij,ij->i", found, vectors) / np.linalg.norm(found, axis=1)
        assert cosines.min() > 1 - 1e-6
        assert np.abs(found - vectors).max() <= 2**-11 * np.abs(vectors).max()
        of_first = np.concatenate([piece[rows == 0] for rows, piece in gallery.vectors("image")])
        np.testing.assert_array_equal(of_first, found[::2])


def test_hashes_in_hex_are_kept_in_half_the_bytes_and_found_again(many):
    path, _ = many
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT DISTINCT typeof(sha256), length(sha256) FROM entries").fetchall() == [("blob", 32)]
    with Gallery.open(path) as gallery:
        [entry] = gallery.entries(sha256=f"{7:064x}")
        assert (entry.label, entry.sha256) == ("7.jpg", f"{7:064x}")


def test_a_block_that_rots_is_told_when_it_is_read_and_by_no_other_taxon(many):
    path, _ = many
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER vectors_changed")  # a bit of the disk fires none
        db.execute("UPDATE vectors SET vectors = zeroblob(length(vectors)) WHERE taxon = 1")
    with Gallery.open(path) as gallery:
        assert len(gallery.entries("image", "Pica pica")) > PER_BLOCK
        with pytest.raises(GalleryError, match=r"damaged \(vectors of Parus major have another checksum\)"):
            gallery.entries("image", "Parus major")


def test_a_place_that_no_block_has_is_told(many):
    path, _ = many
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE entries SET place = 99 WHERE id = 1")
        db.execute("UPDATE entries SET block = 99 WHERE id = 2")
    with Gallery.open(path) as gallery:
        for name, why in (
            ("Parus major", "a vector of Parus major is missing"),
            ("Pica pica", "vectors of Pica pica are"),
        ):
            with pytest.raises(GalleryError, match=why):
                gallery.entries("image", name)
