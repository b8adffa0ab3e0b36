"""`python -m trainer names`: the tables of names that ship with the towers.

The first table has a row for each label of the classifier, in its order: scientific_name, common_name, ranks, synonyms
and kind. The second has the same rows, with a column common_name_xx for each language.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Annotated

import typer

from gallery.errors import reason_of
from gallery.labels import COLUMNS, Label, label_of, write_taxonomy
from gallery.names_table import ENGLISH, write_names
from trainer.errors import DataError

TAXONOMY, NAMES = "taxonomy.csv.gz", "names.zip"

_LANGUAGE = re.compile(r"common_name_([a-z]{2,3})")


def names_command(
    species: Annotated[
        Path, typer.Argument(metavar="FILE", help="Table (CSV) of the labels with their ranks, in their order.")
    ],
    common_names: Annotated[
        Path, typer.Argument(metavar="FILE", help="Table (CSV) of common names, one column per language.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of both compressed tables.")],
) -> None:
    """Write the taxonomy and the common names of a classifier's labels, compressed."""
    labels = read_labels(species)
    table = read_names(common_names)
    known = {label.taxon.scientific_name for label in labels}
    unknown = {name for column in table.values() for name in column} - known
    if unknown:
        raise DataError(f"{common_names}: {min(unknown)} is not in {species}", "take both tables from one source")
    write_taxonomy(folder / TAXONOMY, labels)
    order = sorted(labels, key=lambda label: label.taxon.path())
    species_names = [label.taxon.scientific_name for label in order if label.is_species]
    synonyms = {label.taxon.scientific_name: label.taxon.synonyms for label in labels}
    write_names(folder / NAMES, table, species_names, synonyms)
    for name in (TAXONOMY, NAMES):
        typer.echo(f"{folder / name}: {(folder / name).stat().st_size} bytes")


def read_labels(path: Path) -> list[Label]:
    """Labels in a CSV table.

    Raises
    ------
    DataError
        The table cannot be read or lacks a column.
    """
    rows = _rows(path, COLUMNS)
    return [label_of(row) for row in rows]


def read_names(path: Path) -> dict[str, dict[str, str]]:
    """Common names by language and scientific name, without the English ones, which are in the taxonomy.

    Raises
    ------
    DataError
        The table cannot be read, or has no language.
    """
    rows = _rows(path, ("scientific_name",))
    columns = {match[1]: name for name in rows[0] if (match := _LANGUAGE.fullmatch(name)) and match[1] != ENGLISH}
    if not columns:
        raise DataError(f"{path}: has no column common_name_xx", "name each language by its tag")
    return {
        language: {row["scientific_name"]: name for row in rows if (name := " ".join(row[column].split()))}
        for language, column in columns.items()
    }


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({reason_of(error)})", "name a table in CSV and UTF-8") from error
    missing = [name for name in columns if not rows or name not in rows[0]]
    if missing:
        raise DataError(f"{path}: has no {'column ' + ', '.join(missing) if rows else 'rows'}", "check the table")
    return rows
