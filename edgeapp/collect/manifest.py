"""The manifest of a collection: one Parquet file with a row for each file that is here.

It is one that the trainer reads (`trainer.data.layouts`); any reader of Parquet can be used for the rest. Every run
writes it anew from the catalogue, in place of the one before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.notes import UNREADABLE, numbers
from edgeapp.collect.row import DOWNLOADED, Row
from edgeapp.collect.splits import SPLITS, Divider, Division, source_of
from edgeapp.collect.traits.joined import JoinedTraits
from edgeapp.collect.traits.schema import LABELS, UNKNOWN, YES
from edgeapp.errors import OutputError, UsageError
from gallery import files
from gallery.taxon import HIGHER_RANKS

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "manifest.parquet"
METADATA = b"biovita_edge"
EXTRA = "pip install 'biovita-edge[collect]'"
ROWS_AT_ONCE = 5_000  # in memory, each with 80 values
TRAIT = "trait_"
_REPEATED = (  # texts that many rows share
    *("modality", "scientific_name", "accepted_name", "common_name", *HIGHER_RANKS, "source_repo", "split", "author"),
    *("licence", "licence_as_written", "offered_by", "dataset", "observer", "country", "quality", "note", "media_type"),
)
_UNIQUE = ("path", "source_id", "sha256", "source_path", "url", "name_as_written", "recorded_at", "observation")
_NUMBERS = ("latitude", "longitude", "duration_s", "level_dbfs", "speech_score")
_WHOLE = ("bytes", "width", "height")
_LISTS = ("background", "notes")


def require_pyarrow() -> None:
    """Raise UsageError where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UsageError("the manifest of a collection needs pyarrow, which is not installed", EXTRA) from None


def schema() -> pa.Schema:
    """Columns of a manifest."""
    import pyarrow as pa

    repeated = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            *((name, repeated) for name in _REPEATED),
            *((name, pa.string()) for name in _UNIQUE),
            *((name, pa.float64()) for name in _NUMBERS),
            *((name, pa.int64()) for name in _WHOLE),
            *((name, pa.list_(pa.string())) for name in _LISTS),
            *((f"{TRAIT}{label.name}", pa.bool_()) for label in LABELS),
        ]
    )


@dataclass(frozen=True)
class Written:
    """What a manifest has.

    Attributes
    ----------
    path : Path
    rows : int
    files : mapping of (str, str) to int
        Files by split and modality.
    species : mapping of str to int
        Species by split.
    unseen : tuple of str
        Names of the species that are unseen.
    """

    path: Path
    rows: int
    files: Mapping[tuple[str, str], int]
    species: Mapping[str, int]
    unseen: tuple[str, ...]


def write_manifest(
    catalogue: Catalogue,
    division: Division,
    traits: JoinedTraits | None = None,
    facts: Mapping[str, str] | None = None,
    done: Callable[[int], None] = lambda rows: None,
) -> Written:
    """Write the manifest of what is here, atomically.

    Parameters
    ----------
    catalogue : Catalogue
    division : Division
    traits : JoinedTraits, optional
    facts : mapping of str to str, optional
        Kept in the file's metadata.
    done : callable
        Called with the number of rows just written, after some of them.

    Raises
    ------
    UsageError
        pyarrow is missing.
    OutputError
        The file cannot be written.
    """
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    divider = Divider(division)
    for row in catalogue.rows(DOWNLOADED):
        divider.add(row)
    splits = divider.divided()
    of_species = {} if traits is None else dict(zip(traits.species, traits.values, strict=True))
    columns = schema().with_metadata({METADATA: json.dumps({**(facts or {}), "rows": len(splits)}).encode()})
    path = catalogue.folder / FILE
    rows = zip(catalogue.rows(DOWNLOADED), splits.tolist(), strict=True)
    try:
        with files.replacing(path) as part, pq.ParquetWriter(part, columns, compression="zstd") as out:
            for batch in _batches(rows):
                lines = [_line(row, SPLITS[split], of_species) for row, split in batch]
                table = {name: [line.get(name) for line in lines] for name in columns.names}
                arrays = [pa.array(values, columns.field(name).type) for name, values in table.items()]
                out.write_batch(pa.record_batch(arrays, schema=columns))
                done(len(lines))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})", "check the free space") from None
    return Written(path, len(splits), *divider.counted(splits))


def _batches(rows: Iterator[tuple[Row, int]]) -> Iterator[list[tuple[Row, int]]]:
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        yield batch


def _line(row: Row, split: str, traits: Mapping[str, np.ndarray]) -> dict[str, Any]:
    medium, found = row.medium, numbers(row.notes)
    archive, source = source_of(row)
    line: dict[str, Any] = {
        "modality": medium.modality,
        "path": row.path,
        "scientific_name": row.taxon,
        "accepted_name": row.taxon,
        "common_name": row.taxon_common_name,
        **{rank: row.taxon_ranks.get(rank, "") for rank in HIGHER_RANKS},
        "source_repo": archive,
        "source_id": source,
        "split": split,
        "author": medium.author,
        "licence": row.licence_spdx,
        "licence_as_written": medium.licence,
        "offered_by": medium.source,
        "dataset": medium.dataset,
        "observer": medium.observer,
        "country": medium.country,
        "quality": medium.quality,
        "note": medium.kind,
        "media_type": medium.media_type,
        "sha256": row.sha256,
        "source_path": medium.page or medium.url,
        "url": medium.url,
        "name_as_written": medium.scientific_name,
        "recorded_at": medium.recorded_at,
        "observation": medium.observation,
        "latitude": medium.latitude,
        "longitude": medium.longitude,
        "duration_s": found.get("duration_s", medium.duration_s),
        "level_dbfs": found.get("level_dbfs"),
        "speech_score": found.get("speech_score"),
        "bytes": row.bytes,
        "width": int(found["width"]) if "width" in found else None,
        "height": int(found["height"]) if "height" in found else None,
        "background": list(medium.background),
        "notes": [note for note in row.notes if "=" not in note or note.startswith(UNREADABLE)],
    }
    values = traits.get(row.taxon)
    if values is not None:
        line |= {f"{TRAIT}{label.name}": value == YES for label, value in zip(LABELS, values) if value != UNKNOWN}
    return line
