"""The files of a collection as material of a gallery, with their authors, licences and pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgeapp.collect.manifest import require_pyarrow
from edgeapp.errors import UsageError
from edgeapp.recognition.material import Material, Rejection, material_of

SUFFIXES = (".parquet", ".pq")
NEEDED = ("path", "scientific_name")
CREDITS = ("modality", "author", "licence", "source_path", "sha256", "note")


def collected(path: Path) -> Iterator[Material | Rejection]:
    """Read the manifest of a collection, a batch of rows in memory at a time.

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
            for batch in file.iter_batches(columns=[*NEEDED, *(name for name in CREDITS if name in columns)]):
                for row in batch.to_pylist():
                    n += 1
                    texts = {name: str(value or "").strip() for name, value in row.items()}
                    yield material_of(path, f"row {n}", {**texts, "source": texts.pop("source_path", "")})
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})", "check the path") from None
    except pa.ArrowException as error:
        raise UsageError(f"{path}: is no Parquet file ({error})", "name the manifest of a collection") from None
