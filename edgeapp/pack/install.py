"""Install a pack from a folder, an archive or a web address, and remove one.

A pack is copied into a temporary folder beside its place, checked there byte by byte, and moved into place in one step;
what it replaces stays until then. A process killed at any moment leaves the old pack or the new one, and a temporary
folder that the next installation removes.
"""

from __future__ import annotations

import os
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeapp.errors import BiovitaError, PackError, UsageError
from edgeapp.pack.archive import unpack
from edgeapp.pack.download import download
from edgeapp.pack.format import PACK_FILE, Pack
from edgeapp.pack.hashes import sha256 as sha256_of
from edgeapp.pack.installed import (
    CHOICE,
    NAME,
    STARTER,
    VARIABLE,
    check_name,
    chosen,
    folder_to_change,
    installed_packs,
)
from gallery import files
from gallery.store import Gallery

KEPT_FREE = 64 << 20  # bytes that an installation leaves on the disk: a journal may lie there too
ENGINES = "engines"  # engines that were built ahead of time, which pack.json does not name
URL = re.compile(r"(?i)[a-z][a-z0-9+.-]+://")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What was installed.

    Attributes
    ----------
    name : str
    pack : Pack
        In its place.
    replaced : bool
        Whether there was one of that name.
    """

    name: str
    pack: Pack
    replaced: bool


def install(
    source: str,
    name: str | None = None,
    sha256: str | None = None,
    shared: bool = False,
    tell: Tell = lambda line: None,
) -> Outcome:
    """Install a pack.

    Parameters
    ----------
    source : str
        A folder, an archive, or an address that begins with http://, https:// or file://.
    name : str or None
        What it is called here; the pack's own name when None.
    sha256 : str or None
        Of the archive, hex.
    shared : bool
        Beside the program, for all its users.
    tell : callable
        Told of progress, in lines.

    Raises
    ------
    PackError
        The source cannot be had, or is no whole pack, or cannot be put in place. Nothing was changed then.
    UsageError
        A name or a hash that cannot be one.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError("--sha256 is not a sha256", "give its 64 hexadecimal digits")
    if name is not None:
        check_name(name)
    packs = folder_to_change(shared)
    try:
        packs.mkdir(parents=True, exist_ok=True)
        with files.temporary_folder_for(packs / (name or "install")) as room:
            copy = _fetched(source, sha256, room, tell)
            with _told_of(copy, source, "reinstall the pack"):
                pack = Pack.load(copy)
                if pack.gallery is not None:
                    Gallery.open(pack.gallery_path(), identity=pack.identity).close()
            called = check_name(name or pack.name)
            _leave_only(copy, _names(copy, pack))
            replaced = files.put_folder_in_place(copy, packs / called)
    except OSError as error:
        where = error.filename2 or error.filename or packs
        raise PackError(f"{where}: {error.strerror or error}", f"check the folder, or set {VARIABLE}") from None
    return Outcome(called, Pack.load(packs / called, verify=False), replaced)


def remove(name: str, shared: bool = False) -> Path:
    """Remove an installed pack; where it was.

    If it was the chosen one, the choice goes as well.

    Raises
    ------
    PackError
        There is none of this name where packs are changed, or it cannot be removed.
    UsageError
        It is the starter pack.
    """
    if name == STARTER:
        raise UsageError("the starter pack is part of the program", "choose another default with `pack use NAME`")
    packs = folder_to_change(shared)
    target = packs / name
    folders = (target, files.aside_of(target))
    if not NAME.fullmatch(name) or not any(folder.is_dir() for folder in folders):
        for one in installed_packs():
            if one.name == name:
                remedy = "remove it without --shared" if shared else "remove it with --shared"
                raise PackError(f"pack {name!r}: lies in {one.folder.parent}", remedy)
        raise PackError(f"pack {name!r}: is not installed", "`biovita-edge pack list` shows those that are")
    try:
        choice = chosen()
    except PackError:
        choice = None  # unreadable, which is no reason to keep a pack
    try:
        with files.locked(packs):
            # First the choice: a default that names no pack would be an error of every command.
            if choice is not None and choice == (name, packs / CHOICE):
                (packs / CHOICE).unlink(missing_ok=True)
            for folder in folders:
                if folder.is_dir():
                    files.remove_folder(folder)
    except OSError as error:
        raise PackError(f"{target}: {error.strerror or error}", "check the permissions of its folder") from None
    return target


def _fetched(source: str, sha256: str | None, room: Path, tell: Tell) -> Path:
    """A copy of the pack in a folder of its own inside `room`."""
    if not source.strip():
        raise UsageError("no pack is named", "give a folder, an archive, or a URL")
    path = Path(source).expanduser()
    if URL.match(source):
        try:
            parts = urllib.parse.urlsplit(source)
            address = _address(parts)
        except ValueError as error:
            raise UsageError(f"{source}: is not a URL ({error})", "check its spelling") from None
        if parts.scheme.lower() in ("http", "https"):
            if "@" in parts.netloc:
                raise UsageError(
                    f"{parts.hostname}: log-ins in a URL are not supported", "download it by hand and install the file"
                )
            archive = room / "archive"
            hashed = download(address, archive, _free(room), tell)
            _check_sha256(source, hashed, sha256)
            copy = _unpacked(archive, room, source)
            archive.unlink()
            return copy
        if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
            raise UsageError(f"{source}: unsupported scheme: {parts.scheme}", "give http://, https:// or file:///")
        path = Path(urllib.request.url2pathname(parts.path))
    if path.is_dir():
        if sha256 is not None:
            raise UsageError("--sha256 is for archives", "omit it: a folder has its hashes in pack.json")
        return _copied(path, room)
    if not path.exists():
        raise PackError(f"{source}: is not there", "give a folder, an archive, or a URL")
    if sha256 is not None:
        _check_sha256(source, sha256_of(path), sha256)
    return _unpacked(path, room, source)


def _address(parts: urllib.parse.SplitResult) -> str:
    """A URL as servers take it: blanks and letters beyond ASCII, as browsers show them, are encoded.

    Raises
    ------
    ValueError
        Its host is not a name.
    """
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode("ascii")
    path, query = (urllib.parse.quote(part, safe="%/:=&?~+!$,;'@()*[]") for part in (parts.path, parts.query))
    return urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))


def _unpacked(archive: Path, room: Path, source: str) -> Path:
    folder = room / "unpacked"
    folder.mkdir()
    with _told_of(archive, source):
        return unpack(archive, folder, _free(room))


def _copied(folder: Path, room: Path) -> Path:
    """Copy the files that a pack names, and the engines built of it."""
    with _told_of(folder, os.fspath(folder), "name the folder of a whole pack"):
        pack = Pack.load(folder, verify=False)
    names = _names(folder, pack)
    needed, free = sum(pack.path(name).stat().st_size for name in names), _free(room)
    if needed > free:
        raise PackError(
            f"{folder}: takes {needed / 1e6:.1f} MB, and {max(free, 0) / 1e6:.1f} MB are available in {room.parent}"
            f" ({KEPT_FREE / 1e6:.0f} MB stay free)",
            f"make room on the disk, or set {VARIABLE}",
        )
    copy = room / "copied"
    for name in names:
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pack.path(name), target)
    return copy


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free - KEPT_FREE


def _check_sha256(source: str, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted.lower():
        raise PackError(
            f"{source}: has the sha256 {found}, not {wanted.lower()}", "download it again from its publisher"
        )


def _names(folder: Path, pack: Pack) -> list[str]:
    """What is installed of a folder: the files that the pack names, and the engines built of it."""
    engines = sorted(path.relative_to(folder).as_posix() for path in (folder / ENGINES).glob("*") if path.is_file())
    return list(dict.fromkeys([*pack.files, *engines, PACK_FILE]))


def _leave_only(folder: Path, names: list[str]) -> None:
    kept = {folder / name for name in names}
    for path in folder.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()


@contextmanager
def _told_of(copy: Path, source: str, remedy: str | None = None) -> Iterator[None]:
    """Errors that name what is installed, not the temporary copy of it."""
    try:
        yield
    except BiovitaError as error:
        raise PackError(error.what.replace(os.fspath(copy), source), remedy or error.remedy) from None
