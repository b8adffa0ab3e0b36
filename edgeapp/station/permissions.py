"""Who may read what a station writes: journal, status, log and clips."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edgeapp.config.settings import Settings

log = logging.getLogger(__name__)

# `station.file_mode` -> bits that no file gets, and none that is there keeps.
MASKS = {"private": 0o077, "group": 0o027}


def restrict(settings: Settings) -> None:
    """Have every file of this process made with the permissions of the settings, those that are there included.

    Clips that are there stay as they are: their folder may be read by others on purpose.
    """
    mask = MASKS.get(settings.station.file_mode)
    if mask is None:
        return
    os.umask(mask)
    for path in _files(settings):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & mask:
                path.chmod(mode & ~mask)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("%s: its permissions cannot be changed (%s)", path, error.strerror or error)


def _files(settings: Settings) -> Iterator[Path]:
    journal = settings.journal_path
    yield from (journal.with_name(journal.name + suffix) for suffix in ("", "-wal", "-shm"))
    yield settings.status_path
    if (file := settings.log.file) is not None:
        yield file
        yield from file.parent.glob(f"{file.name}.*")
