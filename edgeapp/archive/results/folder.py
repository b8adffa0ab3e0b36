"""The folder of the results of an archive: a new one, one that a run goes on with, or one that is put aside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeapp.archive.results import lock
from edgeapp.archive.results.arrow import arrow_path, require_pyarrow
from edgeapp.archive.results.dataset import TABLES
from edgeapp.archive.results.parts import explained
from edgeapp.archive.results.record import NAME, Record
from edgeapp.errors import OutputError, UsageError
from gallery import files


def earlier(folder: Path) -> Record | None:
    """The record of a run in a folder; None of one that is empty or not there.

    Raises
    ------
    UsageError
        pyarrow is not installed, or cannot take the name of the folder.
    OutputError
        It is no folder, has something else in it, or its record cannot be read.
    """
    require_pyarrow()
    arrow_path(folder)
    if (folder / NAME).exists():
        return Record.read(folder)
    try:
        others = sorted({entry.name for entry in os.scandir(folder)} - {lock.NAME})
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise OutputError(f"{folder}: is no folder", "name a folder with --output") from None
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read ({error.strerror or error})", "check the folder") from None
    if others and not set(others) <= set(TABLES):
        raise OutputError(f"{folder}: holds something else ({others[0]})", "name a new folder with --output")
    return None


def check(before: Record, now: Record, folder: Path) -> None:
    """Raise UsageError where a run cannot go on, as it was asked for something else."""
    differences = before.differences(now.settings)
    if differences:
        raise UsageError(
            f"{folder}: was begun with other settings: {'; '.join(differences)}",
            "give the same, name another --output, or add --new-run to put these results aside",
        )


@contextmanager
def opened(folder: Path, record: Record, new_run: bool = False) -> Iterator[Record]:
    """The folder, made if it is missing, for this run alone; gives the record of the run that goes on.

    Parameters
    ----------
    folder : Path
    record : Record
        Of this run.
    new_run : bool
        Put what is there aside, under the first of the names ``NAME.1``, ``NAME.2`` … that is free.

    Raises
    ------
    UsageError
        It was begun with other settings.
    OutputError
        It cannot be written, or another run is writing there.
    """
    before = earlier(folder)
    if before is not None and new_run:
        with lock.alone(folder):
            pass
        with explained(folder):
            put_aside(folder)
        before = None
    if before is not None:
        check(before, record, folder)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with lock.alone(folder):
        if before is None:
            with explained(folder):
                record.write(folder)
        yield before or record


def put_aside(folder: Path) -> Path:
    """Give a folder another name, and leave an empty one in its place; gives the name."""
    number = 1
    while os.path.lexists(aside := folder.with_name(f"{folder.name}.{number}")):
        number += 1
    with files.temporary_folder_for(folder) as empty:
        files.replace_folder(empty, folder, aside)
    return aside
