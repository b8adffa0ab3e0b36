"""Vectors in a gallery file: blocks of those of one taxon and modality, read on demand.

An entry names its block and its place in it. Vectors are float16; galleries of schema 4 and before have float32, which
`gallery.schema.VIEWS` shows as blocks of one vector.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gallery.rows import DamagedRowError, checked

DTYPE = "float16"  # of what is written
PER_BLOCK = 32  # 32 vectors x 768 numbers x 2 bytes = 48 KiB: little to write anew, and few rows to read
ROWS_PER_READ = 64  # 64 blocks x 48 KiB = 3 MiB at a time
BLOCKS_AT_ONCE = 8  # of a search through all: as float32, 768 KiB, which stay in a processor's cache
_DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}


def decoded(block: bytes, dtype: str, crc32: int | None, dim: int, owner: str) -> np.ndarray:
    """Vectors [n, dim] float32 of a block.

    Parameters
    ----------
    block : bytes
    dtype : str
        ``"float16"`` or ``"float32"``.
    crc32 : int or None
        What the block must hash to; not checked when None.
    dim : int
    owner : str
        Whose they are, for the message.

    Raises
    ------
    DamagedRowError
        The block is not what was written, or a vector is not of unit length.
    """
    kind = _DTYPES.get(dtype)
    if kind is None:
        raise DamagedRowError(f"vectors of {owner} are neither {' nor '.join(_DTYPES)}")
    if not isinstance(block, bytes) or not block or len(block) % (dim * kind.itemsize):
        raise DamagedRowError(f"a vector of {owner} is not of {dim} numbers")
    if crc32 is not None and zlib.crc32(block) != crc32:
        raise DamagedRowError(f"vectors of {owner} have another checksum")
    vectors = widened(block) if kind.itemsize == 2 else np.frombuffer(block, kind).astype(np.float32)
    return checked(vectors.reshape(-1, dim), [owner])


def widened(block: bytes) -> np.ndarray:
    """Numbers of float16 [n] as float32, several times as fast as `numpy.ndarray.astype`.

    Sign, exponent and fraction are moved to where float32 has them, and the exponents' other bias is multiplied away.
    What is not finite becomes larger than any finite number of float16.
    """
    bits = np.frombuffer(block, "<i2").astype(np.int32)  # with the sign in the upper half
    bits <<= 13
    bits &= -0x70002000  # all but the copies of the sign
    numbers = bits.view(np.float32)
    numbers *= np.float32(2.0**112)
    return numbers


def encoded(vectors: np.ndarray) -> bytes:
    """Vectors [n, dim] as a block of `DTYPE`."""
    return np.ascontiguousarray(vectors, dtype=_DTYPES[DTYPE]).tobytes()


def attach(db: sqlite3.Connection, dim: int, rows: Sequence[dict[str, Any]]) -> None:
    """Give rows of entries their ``vector``, [dim] float32 or None, in place of their ``block`` and ``place``.

    Parameters
    ----------
    db : sqlite3.Connection
    dim : int
    rows : sequence of dict
        With ``scientific_name`` beside ``block`` and ``place``.

    Raises
    ------
    DamagedRowError
        A block is damaged or missing.
    """
    read: dict[int, np.ndarray] = {}
    for row in rows:
        block, place = row.pop("block"), row.pop("place")
        row["vector"] = None
        if block is None:
            continue
        if block not in read:
            if len(read) >= ROWS_PER_READ:
                read.clear()
            found = db.execute("SELECT vectors, dtype, crc32 FROM vectors WHERE id = ?", (block,)).fetchone()
            if found is None:
                raise DamagedRowError(f"vectors of {row['scientific_name']} are missing")
            content, dtype, crc32 = found
            read[block] = decoded(content, dtype, crc32, dim, row["scientific_name"])
        if not (isinstance(place, int) and 0 <= place < len(read[block])):
            raise DamagedRowError(f"a vector of {row['scientific_name']} is missing")
        row["vector"] = read[block][place].copy()  # not a view, which would keep the whole block


def blocks(
    db: sqlite3.Connection, dim: int, modality: str, beside_class: bool = True
) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of one modality, taxon by taxon: row of the taxon, vectors [n, dim] float32."""
    wanted = "" if beside_class else "AND taxon NOT IN (SELECT taxon FROM class_vectors)"
    cursor = db.execute(
        f"""
        SELECT taxon, vectors, dtype, crc32, scientific_name
        FROM vectors JOIN taxa ON taxa.id = vectors.taxon
        WHERE modality = :modality {wanted} ORDER BY taxon, vectors.id
        """,
        {"modality": modality},
    )
    for taxon, block, dtype, crc32, name in cursor:
        yield taxon, decoded(block, dtype, crc32, dim, name)


def pieces(
    db: sqlite3.Connection, dim: int, modalities: Sequence[str], part: int, of: int
) -> Iterator[tuple[list[int], list[int], np.ndarray]]:
    """Every `of`-th piece of all vectors, as they lie in the file, from number `part` on.

    Yields
    ------
    tuple of list of int, list of int and numpy.ndarray
        Rows of blocks, how many vectors each has, and the vectors [n, dim] float32.
    """
    kinds = ", ".join("?" * len(modalities))
    (last,) = db.execute("SELECT coalesce(max(id), 0) FROM vectors").fetchone()
    for start in range(part * BLOCKS_AT_ONCE, last + 1, of * BLOCKS_AT_ONCE):
        rows = db.execute(
            f"""
            SELECT id, vectors, dtype, taxon FROM vectors
            WHERE id > ? AND id <= ? AND modality IN ({kinds}) ORDER BY id
            """,
            (start, start + BLOCKS_AT_ONCE, *modalities),
        ).fetchall()
        if not rows:
            continue
        yield _joined(db, dim, rows)


def of_taxon(
    db: sqlite3.Connection, dim: int, modality: str, taxon: int
) -> tuple[list[int], list[int], np.ndarray] | None:
    """The piece of one taxon, given by its row, as `pieces` has them; None without vectors."""
    rows = db.execute(
        "SELECT id, vectors, dtype, taxon FROM vectors WHERE taxon = ? AND modality = ? ORDER BY id", (taxon, modality)
    ).fetchall()
    return _joined(db, dim, rows) if rows else None


def _joined(
    db: sqlite3.Connection, dim: int, rows: Sequence[tuple[int, bytes, str, int]]
) -> tuple[list[int], list[int], np.ndarray]:
    ids, contents, dtypes, taxa = zip(*rows, strict=True)
    try:  # without checksums: what is damaged shows in the lengths
        numbers = widened(b"".join(contents)) if {*dtypes} == {DTYPE} else None
        found = None if numbers is None else checked(numbers.reshape(-1, dim), [""])
    except (DamagedRowError, TypeError, ValueError):
        found = None
    if found is None:  # float32, or damaged: the error names the taxon
        found = np.concatenate(
            [decoded(block, dtype, None, dim, name_of(db, taxon)) for _, block, dtype, taxon in rows]
        )
    sizes = [len(block) // (dim * _DTYPES[dtype].itemsize) for block, dtype in zip(contents, dtypes)]
    return list(ids), sizes, found


def of_modality(
    db: sqlite3.Connection, dim: int, modality: str, beside_class: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """See `gallery.store.Gallery.vectors`."""
    ids = ids_of_taxa(db)
    taxa: list[int] = []
    found: list[np.ndarray] = []
    for taxon, vectors in blocks(db, dim, modality, beside_class):
        taxa += [taxon] * len(vectors)
        found.append(vectors)
        if len(found) == ROWS_PER_READ:
            yield np.searchsorted(ids, np.array(taxa, np.int64)), np.concatenate(found)
            taxa, found = [], []
    if found:
        yield np.searchsorted(ids, np.array(taxa, np.int64)), np.concatenate(found)


def of_classes(db: sqlite3.Connection, dim: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """See `gallery.store.Gallery.class_vectors`."""
    ids = ids_of_taxa(db)
    cursor = db.execute(
        """
        SELECT taxon, logit_scale, logit_bias, class_vectors.crc32, vector, scientific_name
        FROM class_vectors JOIN taxa ON taxa.id = taxon ORDER BY taxon
        """
    )
    while rows := cursor.fetchmany(PER_BLOCK * ROWS_PER_READ):
        taxa, scales, biases, crcs, blobs, owners = zip(*rows, strict=True)
        at = np.searchsorted(ids, np.array(taxa, dtype=np.int64))
        for owner, blob, crc32 in zip(owners, blobs, crcs):
            whole(blob, dim, crc32, f"the class vector of {owner}")
        vectors = checked(np.frombuffer(b"".join(blobs), "<f4").reshape(-1, dim).astype(np.float32), owners)
        scale, bias = np.array(scales, np.float32), np.array(biases, np.float32)
        for place in np.flatnonzero(~(np.isfinite(scale) & np.isfinite(bias))).tolist():
            raise DamagedRowError(f"the class vector of {owners[place]} has no finite scale and bias")
        yield at, vectors, scale, bias


def whole(blob: object, dim: int, crc32: int | None, what: str) -> None:
    """Raise DamagedRowError unless a blob is `dim` numbers of float32 that hash to `crc32`."""
    if not isinstance(blob, bytes) or len(blob) != dim * _DTYPES["float32"].itemsize:
        raise DamagedRowError(f"{what} is not of {dim} numbers")
    if crc32 is not None and zlib.crc32(blob) != crc32:
        raise DamagedRowError(f"{what} has another checksum")


def ids_of_taxa(db: sqlite3.Connection) -> np.ndarray:
    """Ids [n_taxa] int64 of the taxa in the order they were added."""
    return np.array([id for (id,) in db.execute("SELECT id FROM taxa ORDER BY id")], dtype=np.int64)


def rows_of(ids: np.ndarray, taxa: Sequence[int]) -> np.ndarray:
    """Rows [n] int64 of taxa among `ids`, those of all taxa in their order.

    Raises
    ------
    DamagedRowError
        One is missing: vectors without a taxon would count for the next one.
    """
    wanted = np.array(taxa, np.int64)
    found = np.searchsorted(ids, wanted)
    missing = (
        wanted[(found >= len(ids)) | (ids[np.minimum(found, max(len(ids) - 1, 0))] != wanted)] if len(ids) else wanted
    )
    if len(missing):
        raise DamagedRowError(f"there are vectors of taxon {missing[0]}, which is missing")
    return found


def name_of(db: sqlite3.Connection, taxon: int) -> str:
    """Scientific name of the taxon of an id, for messages."""
    found = db.execute("SELECT scientific_name FROM taxa WHERE id = ?", (taxon,)).fetchone()
    return str(found[0]) if found else f"taxon {taxon}, which is missing,"
