"""Pictures and sounds of a report, kept in a temporary file until they are written into the page."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from threading import Lock
from types import TracebackType

from edgeapp.errors import OutputError

SPOOL_BYTES = 8 << 20  # kept in memory before they go to the disk


@dataclass(frozen=True)
class Attachment:
    """A picture or a sound inside the page; as text, the address that a browser shows or plays it from.

    Attributes
    ----------
    store : Attachments
    media_type : str
        Such as ``image/webp``.
    start, size : int
        Where it lies in the store, in bytes.
    """

    store: Attachments
    media_type: str
    start: int
    size: int

    def __str__(self) -> str:
        content = self.store.read(self.start, self.size)
        return f"data:{self.media_type};base64,{base64.b64encode(content).decode('ascii')}"

    __html__ = __str__  # it has no letter that HTML would read otherwise


class Attachments:
    """The bytes of attachments, in constant memory; a context manager. Threads may share it."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115
        self._size = 0
        self._lock = Lock()

    def add(self, content: bytes, media_type: str) -> Attachment:
        """Keep something.

        Raises
        ------
        OutputError
            There is no room for it.
        """
        with self._lock:
            try:
                self._file.seek(self._size)
                self._file.write(content)
                self._file.flush()
            except OSError as error:
                what = f"temporary file of the report: cannot be written ({error.strerror or error})"
                raise OutputError(what, f"check the free space of {tempfile.gettempdir()}") from None
            start, self._size = self._size, self._size + len(content)
        return Attachment(self, media_type, start, len(content))

    def read(self, start: int, size: int) -> bytes:
        """Some of what was kept."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()

    def __enter__(self) -> Attachments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
