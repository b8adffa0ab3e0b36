"""The data set: its recordings and photos with their taxon, source and licence.

Designed for millions of rows: no file is touched until it is decoded, which is also when a missing file is reported.
`trainer.data.layouts` documents the columns of a manifest.
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
from trainer.data.layouts import (
    CARRIED,
    OF_SOURCES,
    RANK_COLUMNS,
    TAXONOMY,
    ManifestRows,
    filled,
    have_ranks,
    read_layout,
)
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

    `missing` has a line for each reason for which rows were left out, with their number and the first of them; `notes`
    has other remarks.
    """

    path: Path
    taxa: tuple[Taxon, ...]
    recordings: Samples
    photos: Samples
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def shared_folder() -> Path | None:
    """Folder of shared data: `BIOVITA_SHARED`, else `shared` beside the project; None if it does not exist."""
    named = os.environ.get("BIOVITA_SHARED")
    folder = Path(named) if named else PROJECT.parent / "shared"
    return folder if folder.is_dir() else None


def default_manifest() -> Path:
    """The starter manifest.

    Raises
    ------
    DataError
        When there is no starter data beside the project.
    """
    shared = shared_folder()
    path = shared / "starter" / "manifest.csv" if shared else None
    if path is None or not path.is_file():
        raise DataError("no starter data beside the project", "name a manifest with --data, or set BIOVITA_SHARED")
    return path


def read_manifest(
    path: Path | Sequence[Path],
    taxa: Sequence[Taxon] | None = None,
    media: Path | None = None,
    given_names: bool = False,
) -> Manifest:
    """Read a manifest of either layout.

    Parameters
    ----------
    path : CSV or Parquet; several files, such as one for recordings and one for photos, are read as one manifest
    taxa : species table in which names are looked up; if None, the taxonomy is taken from the ranks in the manifest, or
        from the project's table if it has none
    media : folder that paths are relative to; None for that of each file
    given_names : taxa have the names of the column scientific_name, so that a synonym is a taxon of its own, as in the
        released code of BioVITA; needs ranks in the manifest

    Raises
    ------
    DataError
        When a file or a column is missing, a name is not in the species table, or nothing is left to train on.
    """
    read = _read([path] if isinstance(path, Path) else list(path), taxa, media, given_names)
    arrow().default_memory_pool().release_unused()
    return read


def _read(paths: Sequence[Path], taxa: Sequence[Taxon] | None, media: Path | None, given_names: bool) -> Manifest:
    taxon_ranks = taxa is None and have_ranks(paths)
    if given_names and not taxon_ranks:
        raise DataError(
            f"{paths[0]}: names=given needs the ranks of the manifest ({', '.join(RANK_COLUMNS)}), not a species table",
            "leave out --taxa, or add --set names=accepted",
        )
    laid = [read_layout(one, media or one.parent, taxon_ranks) for one in paths]
    left_out = tuple(line for one in laid for line in one.left_out)
    if all(one.photo.all() for one in laid):
        raise DataError(
            f"{paths[0]}: no usable recording{''.join(f' ({line})' for line in left_out[:1])}",
            "add rows with modality audio",
        )
    columns = {name: _joined(laid, name) for name in ("path", *CARRIED, *OF_SOURCES, *TAXONOMY)}
    if given_names:
        called = filled(columns["scientific_name"], columns["accepted_name"])
        named = species.make({**columns, "accepted_name": called, "scientific_name": called})
    elif taxon_ranks:
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

    A taxon with one or two sources stays in training; otherwise `share` of its sources (rounded, at least one) is held
    out. A manifest that splits its samples itself, with values other than train in its column `split`, overrides this
    whatever the share; at a share of 0 those samples are left out of training and not held out either.

    Returns
    -------
    Training samples and held-out samples, each in the given order.

    Raises
    ------
    DataError
        When `share` is outside 0 .. 0.5.
    """
    every = samples if isinstance(samples, Samples) else tuple(samples)
    held = held_rows(every, share, seed)
    return take(every, ~held), take(every, held & (share > 0.0))


def held_rows(samples: Sequence[Sample], share: float, seed: int) -> np.ndarray:
    """Which samples `hold_out` leaves out of training [n] bool; at a share of 0, those that the manifest holds out."""
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
    return chosen[source]  # a recording of two species is left out for both


def drawn_sources(taxon: np.ndarray, source: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Which sources are held out [sources] bool, given the taxon [n] and source [n] of each sample."""
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

    From a taxon with more than `most` samples, `most` are drawn; from one with fewer than `least`, `least` with
    replacement; of any other, all are taken. The order is random.
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
    """Source of each sample as [n] int64 from 0 on, in the order of the sorted sources."""
    if isinstance(samples, Samples):
        return samples.source_codes()
    places = {source: place for place, source in enumerate(sorted({sample.source for sample in samples}))}
    return np.array([places[sample.source] for sample in samples], np.int64)


def take(samples: Sequence[Sample], mask: np.ndarray) -> Sequence[Sample]:
    """The samples where `mask` is true."""
    if isinstance(samples, Samples):
        return samples[mask]
    return tuple(sample for sample, kept in zip(samples, mask.tolist()) if kept)


def _joined(laid: Sequence[ManifestRows], name: str) -> Any:
    """A column of all files, removed from them; dictionary-encoded if values repeat."""
    pa = arrow()
    plain = name in ("path", "source_id", *OF_SOURCES)
    arrays = [one.columns.pop(name) for one in laid]  # millions of rows: keep one copy
    if plain:
        return one_array(pa.chunked_array([array.cast(pa.large_string()) for array in arrays]))
    coded = [array if isinstance(array, pa.DictionaryArray) else array.dictionary_encode() for array in arrays]
    return one_array(pa.chunked_array(coded))


def _together(laid: Sequence[ManifestRows], name: str) -> np.ndarray:
    return np.concatenate([getattr(one, name) for one in laid])


def _where(laid: Sequence[ManifestRows], row: int) -> str:
    """File and line of a row, for messages."""
    for one in laid:
        if row < len(one.places):
            return one.places.where(np.arange(len(one.places)) == row)
        row -= len(one.places)
    raise IndexError(row)
