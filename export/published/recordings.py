"""Recordings of known species to fit decision parameters on: a manifest, or one folder per species."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgeapp.audio.names import is_searched
from edgeapp.file_names import text_of
from edgeapp.folders import Search
from export.errors import ExportError
from gallery import Names, Taxon, TaxonError
from trainer.calibrate import too_few
from trainer.data.manifest import Sample, read_manifest, taxa_of
from trainer.data.unlabelled import is_sound

MANIFESTS = ("manifest.csv", "manifest.parquet")
NAMED = "name a manifest, or a folder of folders of recordings, one per species, such as Parus_major"


def labelled(where: Path, taxa: Sequence[Taxon], tell: Callable[[str], None]) -> list[Sample]:
    """The recordings of a manifest or of a folder, with their rows in `taxa`.

    Parameters
    ----------
    tell : called with a line for each folder that is not named after one of the taxa

    Raises
    ------
    ExportError
        There are too few of them.
    DataError
        The manifest cannot be read.
    """
    manifest = next((where / name for name in MANIFESTS if (where / name).is_file()), where)
    samples = list(_of_manifest(manifest, taxa) if manifest.is_file() else _of_folder(where, taxa, tell))
    if few := too_few(taxa_of(samples)):
        raise ExportError(f"{where}: has {few}", NAMED)
    return samples


def _of_manifest(path: Path, taxa: Sequence[Taxon]) -> list[Sample]:
    manifest = read_manifest(path, taxa)
    row = {taxon.scientific_name: place for place, taxon in enumerate(taxa)}
    return [replace(one, taxon=row[manifest.taxa[one.taxon].scientific_name]) for one in manifest.recordings]


def _of_folder(folder: Path, taxa: Sequence[Taxon], tell: Callable[[str], None]) -> list[Sample]:
    if not folder.is_dir():
        raise ExportError(f"{folder}: no such file or folder", NAMED)
    names, row = Names(taxa), {taxon.scientific_name: place for place, taxon in enumerate(taxa)}
    samples = []
    for species in sorted(one for one in folder.iterdir() if one.is_dir()):
        try:
            taxon = names.find(species.name.replace("_", " "))
        except TaxonError as error:
            tell(f"{text_of(species)}: {error}")
            continue
        files = sorted(path for path in Search(is_searched=is_searched).below(species) if is_sound(path))
        samples += [Sample(path, row[taxon.scientific_name], (text_of(folder), text_of(path.name))) for path in files]
    return samples
