"""Stored centroids: changed with the entries, whatever happens, and told when they do not fit."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from gallery import Entry, Gallery, GalleryError, Index
from gallery.check import faults


def agree(gallery: Gallery) -> None:
    """Stored centroids are those that the vectors have."""
    assert list(faults(gallery)) == []


@pytest.fixture
def add(random_unit):
    def call(gallery, name="Parus major", n=1, modality="image", start=100):
        return gallery.add_entries(Entry(name, modality, random_unit(), f"{start + row}") for row in range(n))

    return call


def test_centroids_follow_every_change(filled: Path, add):
    with Gallery.open(filled, readonly=False) as gallery:
        agree(gallery)
        add(gallery, n=70)
        add(gallery, n=3, start=500)
        agree(gallery)
        assert gallery.sums("image").counts.tolist() == [75]
        gallery.remove_taxon("Parus major")
        assert gallery.sums("image") is None
        agree(gallery)


def test_a_repeated_entry_does_not_count_twice(filled: Path, add):
    with Gallery.open(filled, readonly=False) as gallery:
        before = gallery.sums("image").totals
        assert add(gallery, n=1).added == 1
        assert add(gallery, n=1).added == 0
        assert gallery.sums("image").counts.tolist() == [3]
        assert not np.array_equal(gallery.sums("image").totals, before)
        agree(gallery)


def test_a_transaction_that_fails_changes_no_centroid(filled: Path, add):
    with Gallery.open(filled, readonly=False) as gallery:
        before = gallery.sums("image").totals
        with pytest.raises(RuntimeError), gallery.transaction():
            add(gallery, n=40)
            raise RuntimeError
        np.testing.assert_array_equal(gallery.sums("image").totals, before)
        agree(gallery)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_writer_leaves_what_was_before(filled: Path):
    code = """
import sys, numpy as np
from gallery import Entry, Gallery
with Gallery.open(sys.argv[1], readonly=False) as gallery, gallery.transaction():
    unit = np.eye(8, dtype=np.float32)
    gallery.add_entries(Entry("Parus minor", "image", unit[row % 8], str(row)) for row in range(5000))
    print("there", flush=True)
    sys.stdin.read()
"""
    writer = subprocess.Popen([sys.executable, "-c", code, filled], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with writer:
        assert writer.stdout.readline() == b"there\n"
        with Gallery.open(filled) as reader:
            assert Index.of(reader).present["image"].tolist() == [True] + [False] * 5, "a station reads meanwhile"
        writer.send_signal(signal.SIGKILL)
    with Gallery.open(filled, readonly=False) as gallery:
        assert gallery.entries("image", "Parus minor") == []
        agree(gallery)


def test_opening_reads_centroids_alone(filled: Path):
    with closing(sqlite3.connect(filled)) as db, db:
        db.execute("DROP TRIGGER vectors_changed")
        db.execute("UPDATE vectors SET vectors = zeroblob(length(vectors))")
    with Gallery.open(filled) as gallery:
        np.testing.assert_allclose(Index.of(gallery).centroids["text"], np.eye(8)[:6], atol=1e-6)


def test_vectors_that_another_program_changed_are_not_added_to(filled: Path, add):
    with closing(sqlite3.connect(filled)) as db, db:
        db.execute("UPDATE vectors SET vectors = zeroblob(length(vectors)) WHERE taxon = 1 AND modality = 'text'")
    with Gallery.open(filled, readonly=False) as gallery:
        with pytest.raises(GalleryError, match="Parus major"):
            add(gallery, modality="text")
        assert add(gallery, "Parus minor", modality="text").added == 1
