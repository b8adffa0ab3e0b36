"""The labels of a classifier as taxa: a table in the order of its outputs, some of which name no species."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gallery.errors import TaxonError, reason_of
from gallery.taxon import RANKS, SYNONYM_SEPARATOR, Taxon

SPECIES = "species"
COLUMNS = ("scientific_name", "common_name", *RANKS[:-1], "synonyms", "kind")
_SEEN = 0  # time of writing in the file's head: the same table gives the same bytes


@dataclass(frozen=True)
class Label:
    """One output of a classifier.

    Attributes
    ----------
    taxon : Taxon
        What it names; of a label that is no species, only a name and the ranks that it has.
    kind : str
        ``species``, or what else it is: ``noise``, ``human``, ``domestic``.
    """

    taxon: Taxon
    kind: str = SPECIES

    @property
    def is_species(self) -> bool:
        """Whether it names a species."""
        return self.kind == SPECIES


def read_taxonomy(path: str | Path) -> list[Label]:
    """Read a table of labels.

    Parameters
    ----------
    path : str or Path
        CSV in UTF-8 with the columns of `COLUMNS`, compressed with gzip.

    Returns
    -------
    list[Label]
        In the order of the classifier's outputs. Their taxa have English names alone; `NamesTable` has the others.

    Raises
    ------
    TaxonError
        The file cannot be read or is none.
    """
    path = Path(path)
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, strict=True))
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        reason = reason_of(error)
        raise TaxonError(f"taxonomy {path} cannot be read ({reason})", "install biovita-edge again") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise TaxonError(f"taxonomy {path} has other columns than {', '.join(COLUMNS)}", "write it again")
    return [label_of(row) for row in rows]


def write_taxonomy(path: str | Path, labels: Iterable[Label]) -> None:
    """Write a table of labels as `read_taxonomy` reads it, atomically."""
    from gallery.files import replacing

    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for label in labels:
        taxon = label.taxon
        synonyms = SYNONYM_SEPARATOR.join(taxon.synonyms)
        table.writerow((taxon.scientific_name, taxon.common_name, *taxon.path("genus"), synonyms, label.kind))
    with replacing(Path(path)) as part:
        part.write_bytes(gzip.compress(text.getvalue().encode("utf-8"), 9, mtime=_SEEN))


def label_of(row: Mapping[str, str]) -> Label:
    """The label of a row with the columns of `COLUMNS`."""
    taxon = Taxon(
        scientific_name=row["scientific_name"],
        kingdom=row["kingdom"],
        phylum=row["phylum"],
        class_=row["class"],
        order=row["order"],
        family=row["family"],
        genus=row["genus"],
        common_names={"en": row["common_name"]} if row["common_name"] else {},
        synonyms=tuple(filter(None, row["synonyms"].split(SYNONYM_SEPARATOR))),
    )
    return Label(taxon, row["kind"])
