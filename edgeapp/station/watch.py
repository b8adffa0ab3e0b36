"""A watched folder: recordings that a recorder writes, each given once, when it is finished.

The folder is read again and again, for notifications of the kernel do not come from network shares and cards that
another machine writes to. A recording is finished when its size and time have stood still for a while, nobody has it
open to write, and its header does not announce more than there is; one whose header never agrees is given in the end.
It is known by its content: however it is spelled, touched, renamed, moved or copied, it is given once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeapp.archive.content import Content
from edgeapp.audio.file import FileSource
from edgeapp.audio.names import is_recording, is_searched, special_file
from edgeapp.audio.unfinished import ends_too_early, is_open_to_write
from edgeapp.errors import AudioError, UsageError
from edgeapp.folders import Search

SETTLED_S = 30.0  # recorders write each second or so; a slow card, or a copy over a network, pauses longer
AT_REST_S = 10.0  # of a file whose last change is long ago
OPEN_S = 3600.0  # before a file that somebody has open and does not write to is given all the same
CUT_S = 120.0  # before a file whose header announces more than there is
POLL_S = 5.0
REPORT = "please report it with the file"
SLICE_S = 0.2  # how soon the wish to end is seen


@dataclass(frozen=True)
class FinishedFile:
    """A recording that nobody writes to any more.

    Attributes
    ----------
    path : Path
        Below the folder, which is absolute and without links.
    size : int
        Bytes.
    mtime_ns : int
        Time of its last change, nanoseconds since 1970.
    content : str
        SHA-256 of its bytes, which makes its identity in the journal.
    """

    path: Path
    size: int
    mtime_ns: int
    content: str


def finished_files(
    folder: str | os.PathLike[str],
    settled_s: float = SETTLED_S,
    is_done: Callable[[Path, int, int], bool] = lambda path, size, mtime_ns: False,
    is_known: Callable[[FinishedFile], bool] = lambda file: False,
    *,
    poll_s: float = POLL_S,
    sleep: Callable[[float], None] = time.sleep,
    seconds: Callable[[], float] = time.monotonic,
    ended: Callable[[], bool] = lambda: False,
    complain: Callable[[AudioError], None] = lambda error: None,
    without: Path | None = None,
) -> Iterator[FinishedFile]:
    """Give the recordings below a folder, old ones first by name, then new ones as they are finished.

    Parameters
    ----------
    folder : path
        Searched with its subfolders, links included; hidden and temporary names are left out.
    settled_s : float
        Seconds for which a file must not have changed.
    is_done : Callable[[path, size, mtime_ns], bool]
        Whether the file, as it is, was done before, such as `Journal.is_done`: it is not read then.
    is_known : Callable[[FinishedFile], bool]
        Whether its content was done before, under whatever name.
    poll_s : float
        Seconds between two looks into the folder.
    sleep, seconds
        The time; not the wall clock, which may be set.
    ended : Callable[[], bool]
        Asked all the time; True ends the iteration.
    complain : Callable[[AudioError], None]
        Told once of a recording that cannot be opened, which is tried again when it has changed, and once when the
        folder cannot be read any more.
    without : Path or None
        A folder whose files are no recordings, such as that of the clips.

    Yields
    ------
    FinishedFile

    Raises
    ------
    UsageError
        The folder is not there, or is none, in the beginning.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a readable folder", "make it, or check the path")
    folder = folder.resolve()
    told: set[Path] = set()  # pipes, devices and dead links
    given: set[str] = set()  # contents
    waiting: dict[Path, tuple[int, int, float]] = {}  # size, time, and since when they stand still
    over: dict[Path, tuple[int, int]] = {}  # given or refused as they were
    readable = True
    while not ended():
        try:
            present, special = _recordings(folder, without)
        except OSError as error:
            present, special = {}, {}
            if readable:
                complain(
                    AudioError(
                        f"{folder}: cannot be read ({error.strerror})", "mount it again; the station waits for it"
                    )
                )
            readable = False
        else:
            readable = True
            # Only what a readable folder no longer has is forgotten: a card that comes back is not done again.
            over = {path: stood for path, stood in over.items() if path in present}
        waiting = {path: stood for path, stood in waiting.items() if path in present}
        for path in sorted(special.keys() - told):
            complain(AudioError(f"{path}: is a {special[path]}, not a recording", "move it out of the folder"))
        told |= special.keys()
        for path, (size, mtime_ns) in sorted(present.items()):
            if ended():
                return
            if over.get(path) == (size, mtime_ns):
                continue
            before = waiting.get(path)
            if before is None or before[:2] != (size, mtime_ns):
                waiting[path] = (size, mtime_ns, seconds())
                if before is None and is_done(path, size, mtime_ns):
                    over[path] = (size, mtime_ns)
                continue
            if not size or not _is_finished(path, mtime_ns, seconds() - before[2], settled_s):
                continue
            del waiting[path]
            try:
                file = _read(path, size, mtime_ns)
            except OSError:  # taken away since, or the card was
                continue
            if file is None:  # it has changed meanwhile
                continue
            over[path] = (size, mtime_ns)
            if is_done(path, size, mtime_ns) or file.content in given or is_known(file):
                continue
            try:
                FileSource(path).close()
            except AudioError as error:
                complain(error)
                continue
            except Exception as error:  # one recording must not end the others
                complain(AudioError(f"{path}: failed unexpectedly ({type(error).__name__}: {error})", REPORT))
                continue
            given.add(file.content)
            yield file
        _pause(poll_s, sleep, ended)


def _is_finished(path: Path, mtime_ns: int, still_s: float, settled_s: float) -> bool:
    """Whether a file that has stood still so long is done with."""
    old = time.time() - mtime_ns / 1e9 >= settled_s
    if still_s < (min(settled_s, AT_REST_S) if old else settled_s):
        return False
    if still_s < OPEN_S and is_open_to_write(path):
        return False
    return still_s >= CUT_S or not ends_too_early(path)


def _read(path: Path, size: int, mtime_ns: int) -> FinishedFile | None:
    """A recording with its content; None where it changed while it was read."""
    with Content(os.fspath(path)) as content:
        found = content.sha256()
    state = path.stat()
    unchanged = (state.st_size, state.st_mtime_ns) == (size, mtime_ns)
    return FinishedFile(path, size, mtime_ns, found) if unchanged else None


def _recordings(folder: Path, without: Path | None = None) -> tuple[dict[Path, tuple[int, int]], dict[Path, str]]:
    """Size and time of every recording below a folder, and what else is called like one: pipes, devices, dead links.

    Raises
    ------
    OSError
        The folder itself cannot be read; a subfolder that cannot is skipped until it can.
    """
    found: dict[Path, tuple[int, int]] = {}
    special: dict[Path, str] = {}
    with os.scandir(folder):
        pass
    for path in Search(is_recording, is_searched, without=without).below(folder):
        try:
            state = path.stat()
        except OSError:  # taken away since
            if path.is_symlink():
                special[path] = "link that leads nowhere"
            continue
        kind = special_file(state.st_mode)
        if kind is None:
            found[path] = (state.st_size, state.st_mtime_ns)
        else:
            special[path] = kind
    return found, special


def _pause(pause_s: float, sleep: Callable[[float], None], ended: Callable[[], bool]) -> None:
    while pause_s > 0 and not ended():
        sleep(min(SLICE_S, pause_s))
        pause_s -= SLICE_S
