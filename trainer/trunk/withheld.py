"""The list of taxa to leave out of training, so that unseen names can be measured."""

from __future__ import annotations

import csv
from pathlib import Path

from gallery import Names, Taxon
from gallery.errors import UnknownNameError
from trainer.errors import DataError


def read_withheld(path: Path, taxa: list[Taxon]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names in a file, one per line, or in the column `scientific_name` of a CSV such as a manifest.

    Returns
    -------
    names : scientific names of those in `taxa`, each once
    unknown : names that are not in `taxa`

    Raises
    ------
    DataError
        When the file cannot be read or has none of the taxa.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "not UTF-8"
        raise DataError(f"{path}: cannot be read ({reason})", "name a list of taxa with --withhold") from error
    lines = text.splitlines()
    if lines and "scientific_name" in next(csv.reader(lines[:1])):
        asked = [row["scientific_name"] or "" for row in csv.DictReader(lines)]
    else:
        asked = lines
    names = Names(taxa)
    found: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for name in dict.fromkeys(one.strip() for one in asked if one.strip()):
        try:
            found[names.find(name, suggest=False).scientific_name] = None
        except UnknownNameError:
            unknown[name] = None
    if not found:
        raise DataError(f"{path}: has no taxon with a class vector", "write a scientific name on each line")
    return tuple(found), tuple(unknown)
