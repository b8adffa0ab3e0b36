"""Replacing files atomically: whatever happens, a name is the whole old file, the whole new one, or not there.

Content goes to ``.NAME.XXXXXXXX.part`` beside its target, is flushed to the disk, and is moved over the target; then
the folder is flushed, so that the new name survives a power cut. The writer holds a lock on its temporary file. A
killed writer leaves one without a lock, which the next writer of the same target removes. Where the system has no such
locks (Windows), it is removed when it is a day old.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gallery import locks

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".part"
ASIDE = ".old"
TEMPORARY = f".*{SUFFIX}"  # pattern of every temporary file in a folder
LONGEST_NAME = 200  # bytes of a target's name in that of its temporary file; file systems take 255
ABANDONED_S = 86_400.0  # age from which a temporary file is nobody's, where there are no locks
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of renameat2(2)

_O_DIRECTORY, _O_NOFOLLOW = getattr(os, "O_DIRECTORY", 0), getattr(os, "O_NOFOLLOW", 0)


def temporary_names(target: Path) -> str:
    """Pattern of the temporary files of one target."""
    return f".{glob.escape(_shortened(target.name))}.*{SUFFIX}"


def _temporary_name(target: Path) -> Path:
    return target.with_name(f".{_shortened(target.name)}.{secrets.token_hex(4)}{SUFFIX}")


def _shortened(name: str) -> str:
    while len(os.fsencode(name)) > LONGEST_NAME:
        name = name[:-1]
    return name


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
        No file can be made there; the target is a folder, a device or a pipe.
    """
    target = Path(target)
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is no file, and is not replaced", str(target))
    if sweep:
        remove_abandoned(target.parent, temporary_names(target))
    part = _temporary_name(target)
    mode = _mode(target)
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode | stat.S_IWUSR)
    if fcntl is None:
        os.close(handle)  # Windows moves no file that is open
    try:
        locks.take(handle)
        yield part
    finally:
        if fcntl is not None:
            os.close(handle)
        with suppress(OSError):  # a read-only disk already is the error; the next writer removes it
            part.unlink(missing_ok=True)


def put_in_place(part: Path, target: str | os.PathLike[str], *, durable: bool = True) -> None:
    """Move a finished, closed file over `target`, with the owner and permissions of the file it replaces.

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
        _flush_file(part)
    if (mode := _mode(target)) is not None:
        with suppress(OSError, AttributeError):  # only root gives a file away
            os.chown(part, target.stat().st_uid, target.stat().st_gid)
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


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of a folder, which must be there; waits while another process has it.

    Where the system locks no folders (Windows) two processes must not change the same one.

    Raises
    ------
    OSError
        The folder cannot be opened.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY | _O_DIRECTORY)
    try:
        locks.take(handle)
        yield
    finally:
        os.close(handle)


@contextmanager
def temporary_folder_for(target: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty folder beside `target`, locked by this process; what is left of it when the block ends is removed.

    Folders that killed processes left beside it are removed first.

    Raises
    ------
    OSError
        No folder can be made there.
    """
    target = Path(target)
    with locked(target.parent):
        _remove_abandoned_folders(target.parent)
        part = _temporary_name(target)
        part.mkdir()
        handle = None if fcntl is None else os.open(part, os.O_RDONLY | _O_DIRECTORY)
        if handle is not None:
            locks.take(handle)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _remove_abandoned_folders(folder: Path) -> None:
    for path in sorted(folder.glob(TEMPORARY)):
        with suppress(OSError):
            if fcntl is None:
                if path.is_dir() and _age_s(path) >= ABANDONED_S:
                    shutil.rmtree(path)
                continue
            handle = os.open(path, os.O_RDONLY | _O_DIRECTORY | _O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(handle)


def replace_folder(new: Path, target: Path, aside: Path) -> None:
    """Move a finished folder to `target`, and what is there to `aside`; all three are on one file system.

    In one step where the system can exchange two names (Linux, most file systems). Elsewhere a crash between the two
    moves leaves the older one at `aside`.
    """
    if not os.path.lexists(target):
        new.rename(target)
    elif _exchanged(new, target):
        new.rename(aside)
    else:
        target.rename(aside)
        new.rename(target)


def aside_of(target: Path) -> Path:
    """Where the older folder lies if the system cannot exchange two names and `put_folder_in_place` is killed."""
    return target.with_name(f".{target.name}{ASIDE}")


def put_folder_in_place(new: Path, target: Path) -> bool:
    """Move a finished folder to `target`; whether there was another, which is removed once the new one is in place.

    Its content is flushed first. A reader that finds no `target` finds the older folder at `aside_of`.

    Parameters
    ----------
    new : Path
        On the same file system.
    target : Path

    Raises
    ------
    OSError
        It cannot be flushed or moved; the older one is still there.
    """
    flush_tree(new)
    aside = aside_of(target)
    with locked(target.parent):
        if aside.is_dir():  # left by a killed process: older than what is in place, or all there is
            if target.is_dir():
                remove_folder(aside)
            else:
                aside.rename(target)
        replaced = target.exists()
        replace_folder(new, target, aside)
        flush_folder(target.parent)
        if aside.is_dir():
            remove_folder(aside)
    return replaced


def fill_folder(new: Path, target: Path, last: str) -> None:
    """Move what is in a finished folder into an empty one, which somebody may be in or has mounted.

    Parameters
    ----------
    new : Path
        On the same file system.
    target : Path
    last : str
        Name of what is moved when all else is there.

    Raises
    ------
    OSError
        Something cannot be flushed or moved.
    """
    flush_tree(new)
    for one in sorted(new.iterdir(), key=lambda one: (one.name == last, one.name)):
        one.rename(target / one.name)
    flush_folder(target)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where that cannot be done."""
    if sys.platform != "linux":
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # a C library without it
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0)


def remove_folder(target: Path) -> None:
    """Remove a folder whose lock the caller holds: a killed removal leaves the whole of it, or its name free.

    Raises
    ------
    OSError
        It is not there, or cannot be moved.
    """
    part = _temporary_name(target)
    target.rename(part)
    flush_folder(target.parent)
    shutil.rmtree(part, ignore_errors=True)  # the next `temporary_folder_for` removes what is left


def flush_tree(folder: Path) -> None:
    """Make all files of a folder, and their names, survive a power cut."""
    for inner, _, names in os.walk(folder):
        for name in names:
            _flush_file(Path(inner, name))
        flush_folder(Path(inner))


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
        with suppress(OSError), _locked_now(path):  # in use, gone by now, or on a read-only disk
            # A writer may have put it in place since it was opened, and the lock be on the new file.
            if _age_s(path) >= older_than_s:
                path.unlink()
                removed += 1
    return removed


@contextmanager
def _locked_now(path: Path) -> Iterator[None]:
    """Hold the lock of a file; an OSError if somebody has it."""
    if fcntl is None:
        if _age_s(path) < ABANDONED_S:
            raise BlockingIOError(errno.EAGAIN, "may be in use", str(path))
        yield
        return
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def flush_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut, where the system can be asked to."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems flush files only
            raise
    finally:
        os.close(handle)


def _flush_file(path: Path) -> None:
    with path.open("rb" if os.name == "posix" else "rb+") as file:  # Windows flushes what is open for writing
        os.fsync(file.fileno())


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None
