"""Recordings whose species nobody needs to know: the files of a folder, or a table that names files alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gallery import Taxon
from trainer.data.layouts import SOUND
from trainer.data.manifest import Manifest, Sample, default_manifest, hold_out
from trainer.data.material import Data, open_data
from trainer.data.samples import Columns, Samples
from trainer.data.tables import header, read_rows
from trainer.errors import DataError


def open_unlabelled(
    paths: Sequence[Path],
    media: Path | None,
    table: Path | None,
    taxa: Callable[[], Sequence[Taxon]],
    held_out: float,
    seed: int,
) -> Data:
    """Manifests with names, tables without, and folders of recordings, together.

    Manifests with names are split as ever, and then all that has no name is trained on. Without such a manifest a share
    of the files is held out.

    Parameters
    ----------
    paths : none for the starter data
    taxa : gives the list of taxa where no manifest has names

    Raises
    ------
    DataError
        When one cannot be read or there is no recording in it.
    """
    paths = paths or [default_manifest()]
    nameless = [path for path in paths if path.is_dir() or not names_species(path)]
    named = [path for path in paths if path not in nameless]
    data = open_data(named, media, table, held_out, seed) if named else None
    known = data.manifest.taxa if data else tuple(taxa())
    found = [sample for path in nameless for sample in recordings_of(path, media, len(known))]
    if data is not None:
        return Data(
            data.manifest, data.recordings, data.photos, data.held_recordings, data.held_photos, unlabelled=found
        )
    trained, held = hold_out(found, held_out, seed)
    none = Samples(Columns((), np.zeros(0, np.uint8), {}, np.zeros(0, np.int32)), np.zeros(0, np.int64))
    return Data(Manifest(paths[0], tuple(known), none, none), none, none, held, none, unlabelled=trained)


def names_species(table: Path) -> bool:
    return bool({"scientific_name", "accepted_name"} & set(header(table)))


def recordings_of(path: Path, media: Path | None, unknown: int) -> list[Sample]:
    """The recordings of a folder and all below it, or of a table with the column `path`; each is its own source.

    Parameters
    ----------
    unknown : the taxon they are given, which is none
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower().lstrip(".") in SOUND and file.is_file())
        if not files:
            raise DataError(f"{path}: has no recording in it", f"name a folder with {', '.join(SOUND[:3])} or others")
        return [Sample(file, unknown, (str(path), str(file.relative_to(path)))) for file in files]
    if "path" not in header(path):
        raise DataError(f"{path}: column path is missing", "a table of recordings without names has the column path")
    rows = read_rows(path, ("path", "modality", "source_repo", "source_id"))
    columns = [rows.text(name).to_pylist() for name in ("path", "modality", "source_repo", "source_id")]
    folder = media or path.parent
    samples = [
        Sample(folder / file, unknown, (repo, within or file))
        for file, modality, repo, within in zip(*columns)
        if file and modality in ("", "audio")
    ]
    if not samples:
        raise DataError(f"{path}: names no recording", "fill in path")
    return samples
