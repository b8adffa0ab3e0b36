"""The files of a collection as material of a gallery, with their authors, licences and pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgeapp.collect.manifest import require_pyarrow
from edgeapp.errors import UsageError
from edgeapp.recognition.material import Material, Rejection, Row, material_of
from gallery.taxon import HIGHER_RANKS

SUFFIXES = (".parquet", ".pq")
NEEDED = ("path", "scientific_name")
USED = (
    *("modality", "author", "licence", "source_path", "source_repo", "source_id", "sha256", "note"),
    *("shard", "offset", "size", "accepted_name", "common_name", *HIGHER_RANKS),
)


def collected(path: Path) -> Iterator[Material | Rejection]:
    """Read the manifest of a collection or of its shards; raises as `rows` does."""
    return (material_of(path, place, row) for place, row in rows(path))


def rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet manifest as texts, a batch in memory at a time.

    Raises
    ------
    UsageError
        It cannot be read or lacks a column, or pyarrow is missing.
    """
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            missing = [name for name in NEEDED if name not in columns]
            if missing:
                raise UsageError(f"{path}: has no column {' and '.join(missing)}", "name the manifest of a collection")
            n = 0
            for batch in file.iter_batches(columns=[*NEEDED, *(name for name in USED if name in columns)]):
                for row in batch.to_pylist():
                    n += 1
                    yield f"row {n}", {name: "" if value is None else str(value).strip() for name, value in row.items()}
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})", "check the path") from None
    except pa.ArrowException as error:
        raise UsageError(f"{path}: is no Parquet file ({error})", "name the manifest of a collection") from None
