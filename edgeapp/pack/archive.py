"""Archives of packs: .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz, unpacked safely.

Only regular files and folders below the target folder are extracted. The extracted size is limited while
it is written, so that neither a zip bomb nor a wrong header fills the disk.
"""

from __future__ import annotations

import errno
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edgeapp.errors import PackError
from edgeapp.pack.format import PACK_FILE, Pack
from gallery.files import replacing

MOST_BYTES = 8 << 30  # the full-size encoders in float32 take 2 GB
MOST_FILES = 10_000
MOST_TIMES = 200  # what an archive may unpack to against its own size: weights hardly shrink, zeros do
FREE_RATIO_BYTES = 16 << 20  # up to here the ratio does not count
CHUNK = 1 << 20
GET_AGAIN = "download the archive again"
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, NotImplementedError, ValueError)


@dataclass(frozen=True)
class Member:
    """A file of an archive.

    Attributes
    ----------
    name : str
        As the archive has it.
    size : int
        That it says.
    fault : str
        Why it is not taken; empty for what is.
    folder : bool
    """

    name: str
    size: int
    fault: str
    folder: bool


def unpack(archive: Path, folder: Path, free: int) -> Path:
    """Unpack an archive into an empty folder.

    Parameters
    ----------
    archive, folder : Path
    free : int
        Bytes that may be written.

    Returns
    -------
    Path
        The folder with the ``pack.json``: `folder`, or the only folder in it.

    Raises
    ------
    PackError
        It is no archive, is damaged, is too large, or holds something else than the files of one pack.
    OSError
        The folder cannot be written.
    """
    most = min(MOST_BYTES, free, max(FREE_RATIO_BYTES, MOST_TIMES * archive.stat().st_size))
    written = files = 0
    try:
        with closing(_members(archive)) as members:
            for member, opened in members:
                files += 1
                if member.fault:
                    raise PackError(f"{archive}: {member.name!r} {member.fault}", "use a trusted source")
                if files > MOST_FILES:
                    raise PackError(f"{archive}: holds more than {MOST_FILES} files", "name the archive of a pack")
                target = folder.joinpath(*PurePosixPath(member.name).parts)
                if member.folder:
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                if written + member.size > most:
                    raise _too_large(archive, most)
                target.parent.mkdir(parents=True, exist_ok=True)
                written = _copy(archive, opened, target, written, most)
    except (FileExistsError, NotADirectoryError) as error:
        raise PackError(f"{archive}: holds {Path(str(error.filename)).name!r} twice", GET_AGAIN) from None
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of the disk; those of decompressors have no number, and places before the beginning this one
        raise PackError(f"{archive}: is damaged ({error or type(error).__name__})", GET_AGAIN) from None
    return _pack_in(archive, folder)


def pack_up(pack: Pack, target: Path) -> int:
    """Write a pack as one zip file, atomically; its bytes.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with replacing(target) as part:
        # Stored, not compressed: weights hardly shrink, and decompression is slow on a small board.
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as out:
            for name in (PACK_FILE, *sorted(pack.files)):
                out.write(pack.path(name), f"{pack.name}/{name}")
        return part.stat().st_size


def _copy(archive: Path, opened: IO[bytes] | None, target: Path, written: int, most: int) -> int:
    if opened is None:
        raise PackError(f"{archive}: is damaged ({target.name} cannot be read)", GET_AGAIN)
    with opened, open(target, "xb") as out:
        while chunk := opened.read(CHUNK):
            written += len(chunk)
            if written > most:
                raise _too_large(archive, most)
            out.write(chunk)
    return written


def _too_large(archive: Path, most: int) -> PackError:
    return PackError(
        f"{archive}: unpacks to more than {max(most, 0) / 1e6:.0f} MB", "make room on the disk, or check what it is"
    )


def _members(archive: Path) -> Generator[tuple[Member, IO[bytes] | None], None, None]:
    """Each member with its content; the content is to be read before the next member."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                mode = info.external_attr >> 16
                other = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
                fault = _fault(info.filename) or ("is not a regular file" if other else "")
                if info.flag_bits & 1:
                    fault = "is encrypted"
                member = Member(info.filename, info.file_size, fault, info.is_dir())
                yield member, None if fault or member.folder else zipped.open(info)
        return
    try:
        tar = tarfile.open(archive)  # noqa: SIM115
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error):
        raise PackError(f"{archive}: is neither a zip nor a tar archive", "name the archive of a pack") from None
    with tar:
        for one in tar:
            fault = _fault(one.name) or ("" if one.isfile() or one.isdir() else "is not a regular file")
            if one.issparse():
                fault = "is not a regular file"
            member = Member(one.name, one.size, fault, one.isdir())
            yield member, None if fault or member.folder else tar.extractfile(one)


def _fault(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not name or name.startswith("/") or "\\" in name or ".." in parts or name[1:2] == ":" or "\0" in name:
        return "lies outside the pack"
    if not name.isprintable() or len(os.fsencode(name)) > 1000:
        return "has a name that cannot be used"
    return ""


def _pack_in(archive: Path, folder: Path) -> Path:
    if (folder / PACK_FILE).is_file():
        return folder
    inner = [path for path in folder.iterdir() if (path / PACK_FILE).is_file()]
    if len(inner) != 1:
        raise PackError(
            f"{archive}: holds no {PACK_FILE}" if not inner else f"{archive}: contains several packs", GET_AGAIN
        )
    return inner[0]
