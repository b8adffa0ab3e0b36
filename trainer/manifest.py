"""The data set: which recordings and photos there are, of which taxon, from which source, under which licence."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gallery import Names, Taxon, TaxonError
from trainer.errors import DataError

NOT_ADULT = ("nest", "eggs", "juvenile", "tadpole")  # notes of photos that do not show what a gallery should show
REQUIRED = ("modality", "path", "scientific_name", "source_repo", "source_id")
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Sample:
    """One recording or photo.

    `source` is what it was cut from: two samples of one source must stay on one side of a split.
    """

    path: Path
    taxon: int  # row in Manifest.taxa
    source: tuple[str, str]
    author: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Manifest:
    """Recordings and photos over one list of taxa.

    `missing` holds one line for each row that had to be left out.
    """

    path: Path
    taxa: tuple[Taxon, ...]
    recordings: tuple[Sample, ...]
    photos: tuple[Sample, ...]
    missing: tuple[str, ...] = ()


def shared_folder() -> Path | None:
    """Folder of the data that lies beside the project: `BIOVITA_SHARED`, else `shared` next to the project."""
    named = os.environ.get("BIOVITA_SHARED")
    folder = Path(named) if named else PROJECT.parent / "shared"
    return folder if folder.is_dir() else None


def default_manifest() -> Path:
    """The starter manifest.

    Raises
    ------
    DataError
        When no starter data lies beside the project.
    """
    shared = shared_folder()
    path = shared / "starter" / "manifest.csv" if shared else None
    if path is None or not path.is_file():
        raise DataError("no starter data beside the project", "name a manifest with --data, or set BIOVITA_SHARED")
    return path


def read_manifest(path: Path, taxa: Sequence[Taxon]) -> Manifest:
    """Read a manifest CSV; paths are relative to its folder.

    Parameters
    ----------
    path : CSV with at least the columns modality (audio | image), path, scientific_name, source_repo, source_id
    taxa : the species table that the names are looked up in

    Raises
    ------
    DataError
        When the file or a column is missing, a name is in no row of the species table, or nothing is left to train on.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            lacking = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
            if lacking:
                raise DataError(f"{path}: column {lacking[0]} is missing", f"a manifest has {', '.join(REQUIRED)}")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})", "name a manifest CSV with --data") from error

    names = Names(taxa)
    used: dict[str, int] = {}
    order: list[Taxon] = []
    samples: dict[str, list[Sample]] = {"audio": [], "image": []}
    missing: list[str] = []
    for line, row in enumerate(rows, start=2):
        where = f"{path.name} line {line}"
        if row["modality"] not in samples:
            raise DataError(f"{where}: modality '{row['modality']}' is unknown", "write audio or image")
        if row["modality"] == "image" and any(word in (row.get("note") or "") for word in NOT_ADULT):
            continue
        sample_path = path.parent / row["path"]
        if not sample_path.is_file():
            missing.append(f"{where}: {sample_path} is missing; restore the file or remove the row")
            continue
        name = row["scientific_name"]
        if name not in used:
            try:
                taxon = names.find(name)
            except TaxonError as error:
                raise DataError(f"{where}: {error}", "add the species to the table given with --taxa") from error
            if taxon not in order:  # the manifest may also call it by a synonym
                order.append(taxon)
            used[name] = order.index(taxon)
        samples[row["modality"]].append(
            Sample(
                sample_path,
                used[name],
                (row["source_repo"], row["source_id"]),
                row.get("author") or "",
                row.get("licence") or "",
            )
        )
    if not samples["audio"]:
        raise DataError(f"{path}: no recording is left", "check the paths in the manifest")
    return in_name_order(Manifest(path, tuple(order), tuple(samples["audio"]), tuple(samples["image"]), tuple(missing)))


def in_name_order(manifest: Manifest) -> Manifest:
    """The same manifest with taxa sorted by name, so that rows do not depend on the order of the file."""
    order = sorted(range(len(manifest.taxa)), key=lambda row: manifest.taxa[row].scientific_name)
    place = {old: new for new, old in enumerate(order)}
    return replace(
        manifest,
        taxa=tuple(manifest.taxa[old] for old in order),
        recordings=tuple(replace(s, taxon=place[s.taxon]) for s in manifest.recordings),
        photos=tuple(replace(s, taxon=place[s.taxon]) for s in manifest.photos),
    )


def hold_out(samples: Iterable[Sample], share: float, seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Split samples by source: whole sources are held out, never single files.

    A taxon with one or two sources stays in training; of one with more, `share` of its sources (rounded, at least one)
    is held out.

    Returns
    -------
    (training samples, held-out samples), each in the given order.

    Raises
    ------
    DataError
        When `share` is outside 0 .. 0.5.
    """
    if not 0.0 <= share <= 0.5:
        raise DataError(f"--held-out {share:g} is outside 0 .. 0.5", "0.2 holds out a fifth of the sources")
    samples = tuple(samples)
    if share == 0.0:
        return samples, ()
    sources: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for sample in samples:
        sources[sample.taxon].add(sample.source)
    rng = np.random.default_rng(seed)
    out: set[tuple[int, tuple[str, str]]] = set()
    for taxon in sorted(sources):
        ordered = sorted(sources[taxon])
        if len(ordered) < 3:
            continue
        count = max(1, round(share * len(ordered)))
        out.update((taxon, ordered[i]) for i in rng.permutation(len(ordered))[:count])
    held_sources = {source for _, source in out}  # a recording of two species leaves training altogether
    training = tuple(s for s in samples if s.source not in held_sources)
    held = tuple(s for s in samples if s.source in held_sources)
    return training, held


def draw_epoch(samples: Sequence[Sample], most: int, least: int, rng: np.random.Generator) -> list[int]:
    """Rows of one epoch, balanced over taxa (BioVITA, released training code).

    A taxon with `most` samples or more gives `most` of them, one with fewer than `least` gives `least` with
    replacement, any other gives all. The order is random.
    """
    rows: dict[int, list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        rows[sample.taxon].append(row)
    drawn: list[int] = []
    for taxon in sorted(rows):
        have = rows[taxon]
        if len(have) >= most:
            drawn += rng.choice(have, most, replace=False).tolist()
        elif len(have) < least:
            drawn += rng.choice(have, least, replace=True).tolist()
        else:
            drawn += have
    rng.shuffle(drawn)
    return drawn
