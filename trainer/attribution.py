"""Authors, licences and pages of what a checkpoint was trained on, kept beside it in `ATTRIBUTION.csv`.

A stage lists what it is trained on, and what the stage was trained on that it starts from. The exporter copies the file
into the pack.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gallery import Taxon, files
from trainer.data.manifest import Sample

ATTRIBUTION = "ATTRIBUTION.csv"
HEADER = ("modality", "scientific_name", "source", "source_id", "author", "licence", "page")
AUDIO, IMAGE, WEIGHTS = "audio", "image", "weights"
Row = tuple[str, str, str, str, str, str, str]


def rows_of(modality: str, samples: Iterable[Sample], taxa: Sequence[Taxon]) -> Iterator[Row]:
    """A row for each recording or photo; without a name where its taxon is unknown."""
    for sample in samples:
        name = taxa[sample.taxon].scientific_name if sample.taxon < len(taxa) else ""
        yield modality, name, *sample.source, sample.author, sample.licence, sample.page


def of_weights(source: str) -> Row:
    """The row of published weights, whose own training data only their authors can name."""
    address, _, revision = source.partition("@")
    return WEIGHTS, "", address, revision, "", "", ""


def record(folder: Path, rows: Iterable[Row], earlier: Sequence[Path] = ()) -> None:
    """Write the file of a checkpoint.

    Parameters
    ----------
    rows : of what this stage is trained on
    earlier : folders of the checkpoints that it starts from; those without a file add nothing
    """
    kept: set[int] = set()  # hashes of lines: there can be millions
    with (
        files.replacing(folder / ATTRIBUTION, parents=True) as part,
        part.open("w", encoding="utf-8", newline="") as out,
    ):
        out.write(_line(HEADER))
        for line in _every(rows, [one / ATTRIBUTION for one in earlier]):
            if (key := hash(line)) not in kept:
                kept.add(key)
                out.write(line)


def _every(rows: Iterable[Row], earlier: Sequence[Path]) -> Iterator[str]:
    yield from map(_line, rows)
    for path in earlier:
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.reader(file)
                next(reader, None)
                yield from (_line([*row, *[""] * (len(HEADER) - len(row))]) for row in reader)  # older: without pages


def _line(row: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue()
