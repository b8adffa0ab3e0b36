"""The files that a station writes: each has a path of its own, and none takes the place of what it did not write.

The status is replaced as a whole every few seconds, and the log grows into whatever file it is given: a path that was
mistyped would cost a journal, a file of settings or a device.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edgeapp.config.settings import SETTINGS, Settings
from edgeapp.errors import UsageError
from edgeapp.recognition.learned import NONE

LOOKED_AT = 4_096  # bytes
MOST_STATUS_BYTES = 5_000_000
OF_A_STATUS = frozenset(("state", "station", "pid"))
OF_SQLITE = ("", "-wal", "-shm", "-journal")  # what may stand beside a database


def check_status(settings: Settings) -> None:
    """Raise UsageError where the status would take the place of another file.

    Raises
    ------
    UsageError
    """
    path = settings.status_path
    _check_alone("station.status", path, settings)
    if _is_regular(path, "the status") and not _is_status(path):
        raise UsageError(f"{path}: is there, and no status of a station", "give another file, or remove that one")


def check_log(settings: Settings) -> None:
    """Raise UsageError where the log would be written into another file.

    Raises
    ------
    UsageError
    """
    path = settings.log.file
    if path is None:
        return
    _check_alone("log.file", path, settings)
    try:
        with path.open("rb") if stat.S_ISREG(path.stat().st_mode) else open(os.devnull, "rb") as file:
            is_text = b"\0" not in file.read(LOOKED_AT)
    except OSError:  # not there, or told by the first line
        return
    if not is_text:
        raise UsageError(f"{path}: is there, and no text", "give another file for the log")


def check_clips(settings: Settings) -> None:
    """Raise UsageError where clips would be heard as recordings.

    Raises
    ------
    UsageError
    """
    clips, watched = settings.clips.folder, settings.input.watch
    if clips is not None and watched is not None and _same(clips, watched):
        raise UsageError(f"{clips}: is the folder that is watched: clips would be heard again", "give another folder")


def _check_alone(key: str, path: Path, settings: Settings) -> None:
    for other, its in _others(key, settings):
        if _same(path, its):
            raise UsageError(f"{path}: is the file of {other} as well", "give each a file of its own")


def _others(key: str, settings: Settings) -> Iterator[tuple[str, Path]]:
    """The other files of the settings: what they are, and where."""
    journal = settings.journal_path
    yield from (("the journal", journal.with_name(journal.name + ending)) for ending in OF_SQLITE)
    if settings.file is not None:
        yield "the settings", settings.file
    if settings.station.learned not in (None, NONE):
        yield "station.learned", Path(settings.station.learned)
    if key != "station.status":
        yield "station.status", settings.status_path
    for setting in SETTINGS:
        found = settings.value(setting)
        # The log is compared with the status, so that one of them is told.
        if setting.type is Path and found is not None and setting.key not in (key, "station.journal", "log.file"):
            yield setting.key, found


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one is not there
        return os.path.realpath(one) == os.path.realpath(other)


def _is_regular(path: Path, what: str) -> bool:
    """Whether a file is there; something else there is an error."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path}: is no regular file, which {what} would take the place of", "give another file")
    return True


def _is_status(path: Path) -> bool:
    try:
        if path.stat().st_size > MOST_STATUS_BYTES:
            return False
        text = path.read_text(encoding="utf-8", errors="replace")
        found = json.loads(text) if text.strip("\0 \n") else None  # a power cut may have left nothing of it
    except (OSError, ValueError, RecursionError):
        return False
    return found is None or (isinstance(found, dict) and set(found) >= OF_A_STATUS)
