"""The most confident detections of each taxon of an archive, in memory that grows with the number of taxa alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeapp.archive.queries.replay import file_of
from edgeapp.archive.queries.selection import Selection
from edgeapp.archive.queries.summary import TaxonName
from edgeapp.archive.results.dataset import DETECTIONS, FILES, DataSet

COLUMNS = ("taxon_rank", "taxon_scientific_name", "taxon_common_name", "confidence")
DETAILS = (*COLUMNS, "file_id", "start_s", "end_s", "time", "clock", "candidates", "source_channel")
Row = dict[str, Any]


def best(data: DataSet, selection: Selection, most: int) -> dict[TaxonName, list[Row]]:
    """Rows of `detections` of each taxon, the most confident first; of equal ones the first of the archive.

    Parameters
    ----------
    data : DataSet
    selection : Selection
    most : int
        Of a taxon.
    """
    found: dict[TaxonName, list[Row]] = {}
    for batch in data.batches(DETECTIONS, DETAILS, selection.detections()):
        ranks, names = (batch[name].dictionary_encode() for name in COLUMNS[:2])
        taxa = names.indices.to_numpy().astype(np.int64) * len(ranks.dictionary) + ranks.indices.to_numpy()
        confidence = batch["confidence"].to_numpy()
        order = np.lexsort((-confidence, taxa))
        begins = np.flatnonzero(np.r_[True, taxa[order][1:] != taxa[order][:-1]])
        place = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
        for row in batch.take(order[place < most]).to_pylist():
            name = TaxonName(row["taxon_rank"], row["taxon_scientific_name"], row["taxon_common_name"] or "")
            mine = found.setdefault(name, [])
            if len(mine) < most or row["confidence"] > mine[-1]["confidence"]:
                mine.append(row)
                mine.sort(key=lambda one: -one["confidence"])
                del mine[most:]
    return found


def paths_of(data: DataSet, file_ids: list[int]) -> Mapping[int, tuple[str, str]]:
    """The names of recordings as they were given, and where they lie."""
    import pyarrow as pa
    import pyarrow.compute as pc

    where = pc.field("file_id").isin(pa.array(sorted(set(file_ids)), pa.int64()))
    found = {}
    for batch in data.batches(FILES, ["file_id", "file", "path"], where):
        for row in batch.to_pylist():
            found[row["file_id"]] = (file_of(row), os.fspath(data.path(row["file"], row["path"])))
    return found
