"""Unlabelled recordings: the files of a folder, or a table of paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.audio.names import is_searched, left_out
from edgeapp.folders import Search
from gallery import Taxon
from trainer.data.layouts import SOUND
from trainer.data.manifest import Manifest, default_manifest, held_rows, hold_out
from trainer.data.material import Data, open_data
from trainer.data.samples import TEXTS, Columns, Samples
from trainer.data.sources import COLUMNS, joint, resolve
from trainer.data.tables import arrow, header, is_parquet, read_rows
from trainer.errors import DataError


@dataclass(frozen=True)
class Listed:
    """Recordings of a folder or a table.

    Attributes
    ----------
    folder : folder that their paths are relative to
    columns : name of COLUMNS -> text of each recording
    where : position of each recording, for messages
    """

    folder: Path
    columns: dict[str, list[str]]
    where: list[str]


def open_unlabelled(
    paths: Sequence[Path],
    media: Path | None,
    table: Path | None,
    taxa: Callable[[], Sequence[Taxon]],
    held_out: float,
    seed: int,
) -> Data:
    """Labelled manifests, unlabelled tables and folders of recordings together.

    Labelled manifests are split as usual, and all unlabelled recordings are trained on, except those of a held-out
    source. Without a labelled manifest a share of the sources is held out.

    Parameters
    ----------
    paths : empty for the starter data
    taxa : gives the list of taxa if there is no labelled manifest

    Raises
    ------
    DataError
        When one cannot be read or has no recordings.
    """
    paths = paths or [default_manifest()]
    unlabelled = [path for path in paths if path.is_dir() or not names_species(path)]
    labelled = [path for path in paths if path not in unlabelled]
    listed = [recordings_of(path, media) for path in unlabelled]
    if not labelled:
        known = tuple(taxa())
        found, notes = together(listed, len(known))
        trained, held = hold_out(found, held_out, seed)
        none = found[:0]
        return Data(Manifest(paths[0], known, none, none, notes=notes), none, none, held, none, unlabelled=trained)
    data = open_data(labelled, media, table, held_out, seed)
    if not listed:
        return data
    beside = data.manifest.recordings
    found, notes = together(listed, len(data.manifest.taxa), beside, held_rows(beside, held_out, seed))
    manifest = replace(data.manifest, notes=(*data.manifest.notes, *notes))
    return replace(data, manifest=manifest, unlabelled=found)


def is_sound(file: Path) -> bool:
    """Whether a file has the name of a recording."""
    return file.suffix.lower().lstrip(".") in SOUND and left_out(file.name) is None


def names_species(table: Path) -> bool:
    return bool({"scientific_name", "accepted_name"} & set(header(table)))


def recordings_of(path: Path, media: Path | None) -> Listed:
    """The recordings in a folder tree, or in a table with the column `path`.

    Raises
    ------
    DataError
        When there are none, or the table cannot be read.
    """
    if path.is_dir():
        files = sorted(file for file in Search(is_searched=is_searched).below(path) if is_sound(file))
        if not files:
            raise DataError(
                f"{path}: contains no recordings", f"name a folder with {', '.join(SOUND[:3])} or other audio files"
            )
        columns = {name: [""] * len(files) for name in COLUMNS}
        columns |= {"path": [str(file.relative_to(path)) for file in files], "source_repo": [str(path)] * len(files)}
        return Listed(path, columns, [str(file) for file in files])
    if "path" not in header(path):
        raise DataError(f"{path}: column path is missing", "a table of unlabelled recordings needs the column path")
    rows = read_rows(path, ("modality", *COLUMNS))
    of_row = zip(rows.text("path").to_pylist(), rows.text("modality").to_pylist(), strict=True)
    kept = np.array([bool(file) and modality in ("", "audio") for file, modality in of_row], bool)
    if not kept.any():
        raise DataError(f"{path}: lists no recordings", "fill in path")
    columns = {name: rows.text(name).filter(arrow().array(kept)).to_pylist() for name in COLUMNS}
    word = "row" if is_parquet(path) else "line"
    where = [f"{path.name} {word} {number}" for number in rows.numbers[kept].tolist()]
    return Listed(media or path.parent, columns, where)


def together(
    listed: Sequence[Listed], unknown: int, beside: Samples | None = None, held: np.ndarray | None = None
) -> tuple[Samples, tuple[str, ...]]:
    """Recordings of folders and tables, each file once and without held-out sources.

    Parameters
    ----------
    unknown : number that stands for an unknown taxon
    beside : labelled recordings, whose files are left out
    held : which of those are held out [n] bool

    Returns
    -------
    The recordings, and a line for each reason to leave some out.
    """
    pa = arrow()
    where = [one for part in listed for one in part.where]
    columns: dict[str, Any] = {
        name: pa.array([one for part in listed for one in part.columns[name]], pa.large_string()) for name in COLUMNS
    }
    folders: tuple[Path, ...] = tuple(part.folder for part in listed)
    folder = np.repeat(np.arange(len(listed)), [len(part.where) for part in listed])
    offset, held_out, first = np.full(len(where), -1), np.zeros(len(where), bool), 0
    if beside is not None and held is not None:
        theirs, first = beside.columns(), len(beside)
        columns = {name: _after(theirs.texts.get(name), column, first) for name, column in columns.items()}
        folder = np.concatenate([theirs.folder, folder + len(theirs.folders)])
        folders = (*theirs.folders, *folders)
        place = np.full(first, -1)
        if theirs.size is not None and theirs.offset is not None:
            place = np.where(theirs.size >= 0, theirs.offset, -1)
        offset, held_out = np.concatenate([place, offset]), np.concatenate([held, held_out])
    named, alike = np.arange(len(offset)) < first, np.zeros(len(offset), np.int64)
    sources = resolve(columns, folders, folder, offset, alike, alike, held_out)
    source = joint(*(column.dictionary_encode().indices.to_numpy() for column in (sources.repo, sources.within)))
    tested = np.isin(source, source[held_out]) & ~named
    notes = list(
        replace(sources, kept=sources.kept | named | tested, no_digest=sources.no_digest & ~named).notes(
            lambda row: where[row - first]
        )
    )
    if tested.any():
        row = int(np.flatnonzero(tested)[0])
        notes.append(f"{where[row - first]}: of a held-out source, so not trained on ({tested.sum()} in all)")
    kept = np.flatnonzero(sources.kept & ~tested & ~named)
    empty = pa.array([""] * len(offset), pa.large_string())
    texts = {name: columns.get(name, empty) for name in TEXTS} | {
        "source_repo": sources.repo,
        "source_id": sources.within,
    }
    texts = {name: column.take(pa.array(kept)) for name, column in texts.items()}
    found = Columns(folders, folder[kept], texts, np.full(len(kept), unknown, np.int32))
    return Samples(found, np.arange(len(kept))), tuple(notes)


def _after(first: Any, second: Any, rows: int) -> Any:
    """Two columns one after the other; the first has `rows` empty values if it is None."""
    pa = arrow()
    text = pa.large_string()
    return pa.concat_arrays([pa.array([""] * rows, text) if first is None else first.cast(text), second])
