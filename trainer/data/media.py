"""The bytes of a recording or photo, in a file of its own or inside a tar shard."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from edgeapp.audio.names import special_file
from edgeapp.runtime.inputs import image_pixels
from gallery.errors import reason_of
from trainer.data.manifest import Sample
from trainer.errors import DataError

BUFFER = 65_536  # bytes read at once; shards are often on disks or servers with slow seeks


def called(file: Path | Sample) -> str:
    """Name of a file or sample in messages: the path, and the bytes of a sample inside a shard."""
    if isinstance(file, Path) or file.size is None:
        return str(file if isinstance(file, Path) else file.path)
    return f"{file.path}, {file.size} bytes from {file.offset} on"


def opened(sample: Sample) -> BinaryIO:
    """Open a sample for reading; the rest of its shard is hidden.

    Returns
    -------
    A seekable binary file, named as by `called`; closing it closes the shard.

    Raises
    ------
    DataError
        When it does not exist, is not readable or no file of bytes, or the shard ends before the sample does.
    """
    path = sample.path
    try:
        if kind := special_file(os.stat(path).st_mode):  # a pipe waits for a writer, a device has no end
            raise DataError(f"{path}: is a {kind}", "name a file in the manifest")
        file = open(path, "rb", buffering=0)  # noqa: SIM115  the caller closes it
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist", "restore the file or remove the row") from None
    except PermissionError:
        raise DataError(f"{path}: permission denied", "check the file's permissions") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be opened ({reason_of(error)})", "check the path in the manifest") from None
    if sample.size is None:
        return io.BufferedReader(file, BUFFER)
    end = sample.offset + sample.size
    length = os.fstat(file.fileno()).st_size
    if sample.offset < 0 or sample.size < 0 or length < end:
        file.close()
        raise DataError(
            f"{path}: has {length} bytes, the manifest asks for {sample.offset} to {end}",
            "copy the shard and its manifest again",
        )
    return io.BufferedReader(_Slice(file, sample.offset, sample.size, called(sample)), BUFFER)


def photo(sample: Sample, size: int) -> np.ndarray:
    """A photo as the device sees it, [3, size, size] float32 0..255.

    Raises
    ------
    DataError
        When it is missing or not a picture.
    """
    try:
        with opened(sample) as file, Image.open(file) as image:
            return image_pixels(image, size)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{called(sample)}: not a picture", "remove the row") from None
    except Exception as error:  # Pillow's readers raise many types for a damaged file
        reason = " ".join(f"{error}".split()) or type(error).__name__
        raise DataError(f"{called(sample)}: not a picture ({reason})", "remove the row") from None


class _Slice(io.RawIOBase):
    """Bytes [offset, offset + size) of an open file as a file."""

    def __init__(self, file: io.FileIO, offset: int, size: int, name: str) -> None:
        self.name = name
        self._file, self._offset, self._size = file, offset, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(f"{self.name}: cannot seek to {start + offset}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]  # Buffer has no name before Python 3.12
        wanted = max(0, min(len(buffer), self._size - self._position))
        self._file.seek(self._offset + self._position)
        count = self._file.readinto(memoryview(buffer)[:wanted])
        self._position += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
