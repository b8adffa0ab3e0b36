"""Checking a gallery whole: every vector against its checksum, its length and the stored centroid of its taxon."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from gallery import sqlite
from gallery.centroids import computed_sums, stored_sums
from gallery.entry import MODALITIES
from gallery.errors import GalleryError
from gallery.nearest import Nearest
from gallery.rows import DamagedRowError, named, taxon_of
from gallery.store import Gallery
from gallery.vectors import decoded, of_classes

MOST_FAULTS = 20  # of the file itself
LEAST_AGREEMENT = 1e-3  # of a centroid and its vectors, in lengths of a vector: float16 rounds each by a tenth of it
SAMPLES = 20  # entries that the index is asked for
OF_NEAREST = 10
ROUNDING = 1e-5  # of a cosine


def faults(gallery: Gallery) -> Iterator[str]:
    """What is wrong with a gallery, taxon by taxon; nothing when it is whole.

    Unlike the rest of this package it goes on after damage, so that all of it is told.

    Raises
    ------
    GalleryError
        The file cannot be read at all.
    """
    of_file = gallery.read(lambda db, dim: sqlite.faults(db, MOST_FAULTS))
    yield from of_file
    if of_file:
        return
    for function in (_of_references, _of_places, _of_taxa, _of_vectors, _of_classes, _of_entries, _of_kinds):
        try:
            yield from gallery.each(function)
        except GalleryError as error:
            yield error.what
    try:
        gallery.counterexamples()
    except GalleryError as error:
        yield error.what
    if gallery.stores_centroids:
        yield from gallery.each(_of_centroids)


def recall(gallery: Gallery) -> float | None:
    """Share of the `OF_NEAREST` nearest entries of some entries that the index finds; None without vectors.

    Raises
    ------
    GalleryError
        The gallery cannot be read.
    """
    samples = gallery.read(_samples)
    if not samples:
        return None
    search, shares = Nearest(gallery), []
    for vector in samples:
        exact = search.find(vector, OF_NEAREST, exact=True)
        least = exact[-1].similarity - ROUNDING  # entries that are equally near stand for each other
        found = [one for one in search.find(vector, OF_NEAREST) if one.similarity >= least]
        shares.append(len(found) / len(exact))
    return float(np.mean(shares))


def _samples(db: sqlite3.Connection, dim: int) -> list[np.ndarray]:
    ids = [id for (id,) in db.execute("SELECT id FROM vectors")]
    drawn = np.random.default_rng(0).permutation(len(ids))[:SAMPLES]
    found = []
    for place in drawn.tolist():
        row = db.execute("SELECT vectors, dtype, crc32 FROM vectors WHERE id = ?", (ids[place],)).fetchone()
        found.append(decoded(*row, dim=dim, owner="a taxon")[0])  # type: ignore[misc]  # three columns
    return found


def _of_references(db: sqlite3.Connection, dim: int) -> Iterator[str]:
    seen = set()
    for table, _, parent, _ in db.execute("PRAGMA foreign_key_check"):
        if (table, parent) not in seen:  # once for the rows of a table
            seen.add((table, parent))
            yield f"rows of {table} belong to {parent} that are missing"


def _of_places(db: sqlite3.Connection, dim: int) -> Iterator[str]:
    query = f"""
        SELECT DISTINCT scientific_name, entries.modality FROM entries JOIN taxa ON taxa.id = entries.taxon
        LEFT JOIN vectors ON vectors.id = block
        WHERE entries.modality NOT IN ('{"', '".join(MODALITIES)}') OR block IS NOT NULL AND (
            vectors.id IS NULL OR vectors.taxon <> entries.taxon OR vectors.modality <> entries.modality
            OR typeof(place) <> 'integer' OR place < 0
            OR place >= length(vectors) / CASE dtype WHEN 'float16' THEN 2 ELSE 4 END / {dim}
        )
        """
    for name, modality in db.execute(query):
        yield f"{name} has an entry ({modality}) whose vector is not in its place"
    query = """
        SELECT DISTINCT scientific_name FROM (
            SELECT taxon FROM entries WHERE block IS NOT NULL GROUP BY block, place HAVING count(*) > 1
        ) JOIN taxa ON taxa.id = taxon
        """
    for (name,) in db.execute(query):
        yield f"{name} has entries that share one vector"


def _of_taxa(db: sqlite3.Connection, dim: int) -> Iterator[str]:
    for row in named(db.execute("SELECT * FROM taxa ORDER BY id"), {}):
        try:
            taxon_of(row)
        except DamagedRowError as error:
            yield str(error)


def _of_vectors(db: sqlite3.Connection, dim: int) -> Iterator[str]:
    query = """
        SELECT vectors, dtype, crc32, modality, scientific_name
        FROM vectors JOIN taxa ON taxa.id = vectors.taxon ORDER BY vectors.id
        """
    told = ""
    for block, dtype, crc32, modality, name in db.execute(query):
        try:
            decoded(block, dtype, crc32, dim, f"{name} ({modality})")
        except DamagedRowError as error:
            if str(error) != told:  # once for the blocks of a taxon
                told = str(error)
                yield told


def _of_classes(db: sqlite3.Connection, dim: int) -> Iterator[str]:
    for _ in of_classes(db, dim):  # reading them finds those that are damaged
        pass
    yield from ()


def _of_entries(db: sqlite3.Connection, dim: int) -> Iterator[str]:
    for modality in MODALITIES:
        query = """
            SELECT scientific_name, n, vectors FROM (
                SELECT taxon, count(block) AS n FROM entries WHERE modality = :modality GROUP BY taxon
            ) AS of_entries JOIN taxa ON taxa.id = of_entries.taxon
            LEFT JOIN (
                SELECT taxon, sum(length(vectors) / CASE dtype WHEN 'float16' THEN 2 ELSE 4 END) / :dim AS vectors
                FROM vectors WHERE modality = :modality GROUP BY taxon
            ) AS of_vectors ON of_vectors.taxon = of_entries.taxon
            WHERE n <> coalesce(vectors, 0)
            """
        for name, n, vectors in db.execute(query, {"modality": modality, "dim": dim}):
            yield f"{name} has {n} {modality} entries with a vector and {vectors or 0} vectors"


def _of_kinds(db: sqlite3.Connection, dim: int) -> Iterator[str]:
    texts = " OR ".join(f"typeof({column}) <> 'text'" for column in ("label", "author", "licence", "source"))
    query = f"""
        SELECT DISTINCT scientific_name FROM entries JOIN taxa ON taxa.id = taxon
        WHERE {texts} OR typeof(sha256) NOT IN ('text', 'blob')
        """
    for (name,) in db.execute(query):
        yield f"an entry of {name} has something else where a text must be"
    query = """
        SELECT DISTINCT scientific_name FROM thumbnails JOIN entries ON entries.id = entry JOIN taxa ON taxa.id = taxon
        WHERE typeof(large) <> 'blob' OR substr(large, 1, 2) <> x'ffd8' OR typeof(width) NOT IN ('integer', 'null')
            OR small IS NOT NULL AND (typeof(small) <> 'blob' OR substr(small, 1, 2) <> x'ffd8')
            OR typeof(height) NOT IN ('integer', 'null')
        """
    for (name,) in db.execute(query):
        yield f"a thumbnail of {name} is not a JPEG, or has no size"


def _of_centroids(db: sqlite3.Connection, dim: int) -> Iterator[str]:
    for modality in MODALITIES:
        try:
            stored = stored_sums(db, dim, modality, True)
            found = computed_sums(db, dim, modality, True)
        except DamagedRowError as error:
            yield str(error)
            continue
        names = [name for (name,) in db.execute("SELECT scientific_name FROM taxa ORDER BY id")]
        if (stored is None) != (found is None):
            yield f"there are {modality} vectors without a mean, or means without vectors"
        elif stored is not None and found is not None:
            if not np.array_equal(stored.rows, found.rows):
                for row in np.setxor1d(stored.rows, found.rows).tolist():
                    yield f"{names[row]} has {modality} vectors without a mean, or a mean without vectors"
                continue
            away = np.linalg.norm(stored.totals - found.totals, axis=1)
            wrong = (stored.counts != found.counts) | ~(away <= LEAST_AGREEMENT * np.maximum(found.counts, 1))
            for row in stored.rows[wrong].tolist():
                yield f"the mean {modality} vector of {names[row]} is not that of its vectors"
