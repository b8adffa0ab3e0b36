"""The data set: which recordings and photos there are, of which taxon, from which source, under which licence.

Made for millions of rows: nothing is done file by file until a file is decoded, and whoever decodes it names it when it
is not there. `trainer.data.layouts` says which columns a manifest has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from gallery import Taxon, starter_taxa
from trainer.data import species
from trainer.data.layouts import CARRIED, OF_SOURCES, TAXONOMY, Laid, bring_taxa, lay_out
from trainer.data.samples import TEXTS, Columns, Sample, Samples, taxa_of
from trainer.data.sources import resolve
from trainer.data.tables import arrow, one_array
from trainer.errors import DataError

__all__ = [
    "PROJECT",
    "Manifest",
    "Sample",
    "Samples",
    "default_manifest",
    "draw_epoch",
    "held_rows",
    "hold_out",
    "read_manifest",
    "shared_folder",
    "source_codes",
    "taxa_of",
]

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Manifest:
    """Recordings and photos over one list of taxa.

    `missing` holds a line for each reason for which rows had to be left out, with their number and the first of them;
    `notes` what else should be known. A file that is not there is found by whoever decodes it.
    """

    path: Path
    taxa: tuple[Taxon, ...]
    recordings: Samples
    photos: Samples
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


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


def read_manifest(
    path: Path | Sequence[Path], taxa: Sequence[Taxon] | None = None, media: Path | None = None
) -> Manifest:
    """Read a manifest of either layout.

    Parameters
    ----------
    path : CSV or Parquet; several, as one for recordings and one for photos, are read as one manifest
    taxa : the species table that the names are looked up in; without one, the taxa are made of the ranks in the
        manifest, and where it has none the project's table is used
    media : the folder that paths are relative to; that of each file when None

    Raises
    ------
    DataError
        When a file or a column is missing, a name is in no row of the species table, or nothing is left to train on.
    """
    read = _read([path] if isinstance(path, Path) else list(path), taxa, media)
    arrow().default_memory_pool().release_unused()  # what only reading needed
    return read


def _read(paths: Sequence[Path], taxa: Sequence[Taxon] | None, media: Path | None) -> Manifest:
    taxon_ranks = taxa is None and bring_taxa(paths)
    laid = [lay_out(one, media or one.parent, taxon_ranks) for one in paths]
    left_out = tuple(line for one in laid for line in one.left_out)
    if all(one.photo.all() for one in laid):
        raise DataError(
            f"{paths[0]}: no recording is left{''.join(f' ({line})' for line in left_out[:1])}",
            "add rows with modality audio",
        )
    columns = {name: _joined(laid, name) for name in ("path", *CARRIED, *OF_SOURCES, *TAXONOMY)}
    if taxon_ranks:
        named = species.make(columns)
    else:
        named = species.look_up(columns, starter_taxa() if taxa is None else taxa, lambda row: _where(laid, row))
    photo, held_out, offset, size = (_together(laid, name) for name in ("photo", "held_out", "offset", "size"))
    folders = tuple(media or one.parent for one in paths)
    folder = np.repeat(np.arange(len(laid), dtype=np.uint8), [len(one.photo) for one in laid])
    packed = size >= 0
    sources = resolve(columns, folders, folder, np.where(packed, offset, -1), named.taxon, photo, held_out)
    columns |= {"source_repo": sources.repo, "source_id": sources.within, "sha256": sources.sha256}
    kept = np.flatnonzero(sources.kept)
    at = arrow().array(kept)
    every = Columns(
        folders=folders,
        folder=folder[kept],
        texts={name: columns[name].take(at) for name in (*TEXTS, "sha256")},
        taxon=named.taxon[kept],
        offset=offset[kept] if packed.any() else None,
        size=size[kept] if packed.any() else None,
        held_out=sources.held_out[kept] if sources.held_out.any() else None,
    )
    photo = photo[kept]
    recordings, photos = (Samples(every, np.flatnonzero(mask)) for mask in (~photo, photo))
    notes = (
        *(line for one in laid for line in one.notes),
        *named.notes,
        *sources.notes(lambda row: _where(laid, row)),
    )
    return Manifest(paths[0], named.taxa, recordings, photos, left_out, notes)


@overload
def hold_out(samples: Samples, share: float, seed: int) -> tuple[Samples, Samples]: ...
@overload
def hold_out(samples: Iterable[Sample], share: float, seed: int) -> tuple[Sequence[Sample], Sequence[Sample]]: ...
def hold_out(samples: Iterable[Sample], share: float, seed: int) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Split samples by source: whole sources are held out, never single files.

    A taxon with one or two sources stays in training; of one with more, `share` of its sources (rounded, at least one)
    is held out. Samples that a manifest splits itself, with values other than train in its column `split`, are split
    so, whatever the share; they stay out of training at a share of 0 too, when nothing is held out.

    Returns
    -------
    (training samples, held-out samples), each in the given order.

    Raises
    ------
    DataError
        When `share` is outside 0 .. 0.5.
    """
    every = samples if isinstance(samples, Samples) else tuple(samples)
    held = held_rows(every, share, seed)
    return take(every, ~held), take(every, held & (share > 0.0))


def held_rows(samples: Sequence[Sample], share: float, seed: int) -> np.ndarray:
    """Which samples `hold_out` keeps out of training [n] bool, also those that a manifest splits at a share of 0."""
    if not 0.0 <= share <= 0.5:
        raise DataError(f"--held-out {share:g} is outside 0 .. 0.5", "0.2 holds out a fifth of the sources")
    held_out = samples.held_out if isinstance(samples, Samples) else None
    if held_out is not None and not held_out.any():
        held_out = None
    if share == 0.0 and held_out is None:
        return np.zeros(len(samples), bool)
    source = source_codes(samples)
    if held_out is None:
        chosen = drawn_sources(taxa_of(samples), source, share, np.random.default_rng(seed))
    else:
        chosen = np.zeros(int(source.max()) + 1, bool)
        chosen[source[held_out]] = True
    return chosen[source]  # a recording of two species leaves training altogether


def drawn_sources(taxon: np.ndarray, source: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Which sources are held out [sources] bool, given taxon [n] and source [n] of each sample."""
    sources = int(source.max(initial=-1)) + 1
    chosen = np.zeros(sources, bool)
    of_taxon, ordered = np.divmod(np.unique(taxon.astype(np.int64) * max(sources, 1) + source), max(sources, 1))
    for group in np.split(ordered, np.flatnonzero(np.diff(of_taxon)) + 1):
        if len(group) >= 3:
            count = max(1, round(share * len(group)))
            chosen[group[rng.permutation(len(group))[:count]]] = True
    return chosen


def draw_epoch(samples: Sequence[Sample], most: int, least: int, rng: np.random.Generator) -> list[int]:
    """Rows of one epoch, balanced over taxa (BioVITA, released training code).

    A taxon with `most` samples or more gives `most` of them, one with fewer than `least` gives `least` with
    replacement, any other gives all. The order is random.
    """
    taxon = taxa_of(samples)
    order = np.argsort(taxon, kind="stable")
    drawn: list[int] = []
    for have in np.split(order, np.flatnonzero(np.diff(taxon[order])) + 1) if len(order) else ():
        if len(have) >= most:
            have = rng.choice(have, most, replace=False)
        elif len(have) < least:
            have = rng.choice(have, least, replace=True)
        drawn += have.tolist()
    rng.shuffle(drawn)
    return drawn


def source_codes(samples: Sequence[Sample]) -> np.ndarray:
    """[n] int64 from 0 on, the same for samples of one source, ordered as the sources are."""
    if isinstance(samples, Samples):
        return samples.source_codes()
    places = {source: place for place, source in enumerate(sorted({sample.source for sample in samples}))}
    return np.array([places[sample.source] for sample in samples], np.int64)


def take(samples: Sequence[Sample], mask: np.ndarray) -> Sequence[Sample]:
    """The samples where `mask` is true."""
    if isinstance(samples, Samples):
        return samples[mask]
    return tuple(sample for sample, kept in zip(samples, mask.tolist()) if kept)


def _joined(laid: Sequence[Laid], name: str) -> Any:
    """A column of all files, taken from them; one whose values repeat is coded."""
    pa = arrow()
    plain = name in ("path", "source_id", *OF_SOURCES)
    arrays = [one.columns.pop(name) for one in laid]  # there are millions of rows: one copy is enough
    if plain:
        return one_array(pa.chunked_array([array.cast(pa.large_string()) for array in arrays]))
    coded = [array if isinstance(array, pa.DictionaryArray) else array.dictionary_encode() for array in arrays]
    return one_array(pa.chunked_array(coded))


def _together(laid: Sequence[Laid], name: str) -> np.ndarray:
    return np.concatenate([getattr(one, name) for one in laid])


def _where(laid: Sequence[Laid], row: int) -> str:
    """Where a row of all files stands, for people."""
    for one in laid:
        if row < len(one.places):
            return one.places.where(np.arange(len(one.places)) == row)
        row -= len(one.places)
    raise IndexError(row)
