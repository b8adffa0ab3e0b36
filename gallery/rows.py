"""Taxa as rows of the gallery's table `taxa`, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from gallery.taxon import Taxon


def named(rows: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    """Rows by the names of their columns."""
    names = [column[0] for column in rows.description]
    return (dict(zip(names, row, strict=True)) for row in rows)


def taxon_row(taxon: Taxon) -> tuple[str, ...]:
    """Columns after the id: scientific name, kingdom to genus, common names and synonyms as JSON."""
    names = json.dumps(dict(taxon.common_names), ensure_ascii=False, sort_keys=True)
    return (taxon.scientific_name, *taxon.path("genus"), names, json.dumps(taxon.synonyms, ensure_ascii=False))


def taxon_of(row: Mapping[str, Any]) -> Taxon:
    """The taxon of a row read by column name."""
    return Taxon(
        scientific_name=row["scientific_name"],
        kingdom=row["kingdom"],
        phylum=row["phylum"],
        class_=row["class"],
        order=row["order"],
        family=row["family"],
        genus=row["genus"],
        common_names=json.loads(row["common_names"]),
        synonyms=tuple(json.loads(row["synonyms"])),
    )
