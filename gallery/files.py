"""Replacing files atomically: whatever happens, a name is the whole old file, the whole new one, or not there.

Content goes to ``.NAME.XXXXXXXX.part`` beside its target, is flushed to the disk, and is moved over the target; then
the folder is flushed, so that the new name survives a power cut. The writer holds a lock on its temporary file. A
killed writer leaves one without a lock, which the next writer of the same target removes.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".part"
TEMPORARY = f".*{SUFFIX}"  # pattern of every temporary file in a folder


def temporary_names(target: Path) -> str:
    """Pattern of the temporary files of one target."""
    return f".{glob.escape(target.name)}.*{SUFFIX}"


@contextmanager
def temporary_for(target: str | os.PathLike[str], *, sweep: bool = True) -> Iterator[Path]:
    """An empty temporary file beside `target`, locked by this process, and removed when the block ends.

    Parameters
    ----------
    target : path
        Its folder must exist. A file that is there lends its permissions, so that no secret is readable meanwhile.
    sweep : bool
        Look through the folder for what killed writers of this target left. Needless where each target is new.

    Raises
    ------
    OSError
        No file can be made there.
    """
    target = Path(target)
    if sweep:
        remove_abandoned(target.parent, temporary_names(target))
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{SUFFIX}")
    mode = _mode(target)
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode | stat.S_IWUSR)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield part
    finally:
        os.close(handle)
        with suppress(OSError):  # a read-only disk already is the error; the next writer removes it
            part.unlink(missing_ok=True)


def put_in_place(part: Path, target: str | os.PathLike[str], *, durable: bool = True) -> None:
    """Move a finished, closed file over `target`, with the permissions of the file it replaces.

    Parameters
    ----------
    part : path
        In the same folder.
    target : path
    durable : bool
        Flush the content, then the new name. Without, a power cut may leave an empty file.

    Raises
    ------
    OSError
        The target is the old file then, or the new one whose name may not survive a power cut.
    """
    target = Path(target)
    if durable:
        with part.open("rb") as file:
            os.fsync(file.fileno())
    if (mode := _mode(target)) is not None:
        part.chmod(mode)
    os.replace(part, target)
    if durable:
        flush_folder(target.parent)


@contextmanager
def replacing(
    target: str | os.PathLike[str], *, parents: bool = False, sweep: bool = True, durable: bool = True
) -> Iterator[Path]:
    """Path to write the new content of `target` to; it is put in place when the block ends without an error.

    Parameters
    ----------
    target : path
    parents : bool
        Make the folder if it is missing.
    sweep, durable : bool
        See `temporary_for` and `put_in_place`.

    Raises
    ------
    OSError
        The file cannot be made, flushed or moved.
    """
    target = Path(target)
    if parents:
        target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_for(target, sweep=sweep) as part:
        yield part
        put_in_place(part, target, durable=durable)


def write_text(target: str | os.PathLike[str], text: str, *, parents: bool = False, durable: bool = True) -> None:
    """Replace a file by a text in UTF-8; see `replacing`."""
    with replacing(target, parents=parents, durable=durable) as part:
        part.write_text(text, encoding="utf-8")


def replace_folder(new: Path, target: Path, aside: Path) -> None:
    """Move a finished folder to `target`, and what is there to `aside`; all three are on one file system.

    Folders cannot be exchanged in one step: a crash between the two moves leaves the older one at `aside`.
    """
    if target.exists():
        target.rename(aside)
    new.rename(target)


def remove_abandoned(folder: Path, pattern: str = TEMPORARY, older_than_s: float = 0.0) -> int:
    """Remove the temporary files of a folder that no writer has locked; how many there were.

    Parameters
    ----------
    folder : path
        Need not exist.
    pattern : str
        Of `Path.glob`, relative to the folder.
    older_than_s : float
        Leave those that were changed within so many seconds, for writers that take no lock.
    """
    removed = 0
    for path in sorted(folder.glob(pattern)):
        with suppress(OSError), path.open("rb") as file:  # in use, gone by now, or on a read-only disk
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A writer may have put it in place since it was opened, and the lock be on the new file.
            if time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()
                removed += 1
    return removed


def flush_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems flush files only
            raise
    finally:
        os.close(handle)


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None
