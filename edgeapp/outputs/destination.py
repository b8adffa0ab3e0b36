"""Where results go: standard output, a device or pipe, a file that is replaced, or one that is added to.

A file is replaced as a whole: results go to a temporary file beside it that is put in its place at the end. Who says
meanwhile that what was written so far is whole (`Destination.whole`) can keep that much when the rest does not come.

A file that is added to (``append``) is never replaced. What is whole is written to its end in one piece under a lock,
so several processes can add to one file, and is taken back if it does not fit on the disk.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from edgeapp import interruption
from edgeapp.errors import OutputError
from edgeapp.outputs.writer import Spool
from edgeapp.terminal import STDERR
from gallery import files, locks

DESCRIPTORS = re.compile(r"/proc/(?P<process>self|thread-self|\d+)(/task/\d+)?/fd|/dev/fd")
LINKS = 40  # symbolic links that are followed, as the system does
HEAD_BYTES = 8192  # of a file that is there, enough to tell text from anything else
# Every output format is text. Sound, pictures, archives and databases have control characters in their first bytes.
NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Destination:
    """Where results go; a context manager.

    Parameters
    ----------
    path : path or None
        Standard output when None. A device or a pipe is written to; a symbolic link leads to its file, which is
        replaced.
    option : str
        That names it, for messages.
    append : bool
        Add to the file, if there is one.

    Attributes
    ----------
    out : text file
    keep : bool
        Set it False and a file that is already at ``path`` stays as it was.

    Raises
    ------
    OutputError
        On entering: a folder, a file that holds something else than text, or one that cannot be written. Later: what
        is written to it did not arrive.
    """

    def __init__(self, path: str | os.PathLike[str] | None, option: str = "--output", append: bool = False) -> None:
        self.path = Path(path) if path is not None else None
        self.keep = True
        self.out: TextIO
        self._option = option
        self._append = append
        self._stack = ExitStack()
        self._place: _Stream | _Replaced | _Appended

    def __enter__(self) -> Destination:
        if self.path is None:
            self._place = _Stream(sys.stdout, "standard output")
        else:
            name = str(self.path)
            if self.path.is_dir():
                raise OutputError(f"{name}: is a folder", f"name a file with {self._option}")
            try:
                with _explained(name):
                    self._place = self._open(self.path, name)
            except BaseException:
                self._stack.close()
                raise
        self.out = self._place  # type: ignore[assignment]
        return self

    def _open(self, path: Path, name: str) -> _Stream | _Replaced | _Appended:
        inherited = _descriptor(path)
        if inherited is not None:
            return self._stream(os.dup(inherited), name)
        if path.exists() and not path.is_file():
            return self._stream(path, name)
        target = Path(os.path.realpath(path))
        if target.exists():
            _check_replaceable(target, name, self._option)
        if self._append:
            return _Appended(target, name, self._option)
        with interruption.held():
            return _Replaced(target, name, self._stack)

    def _stream(self, path: Path | int, name: str) -> _Stream:
        file = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115  # closed with the stack
        self._stack.callback(_close, file)
        return _Stream(file, name)

    def begin(self, opening: str = "") -> None:
        """What was written so far is the head of a table: a file that is added to has it already.

        Parameters
        ----------
        opening : str
            How a file in this format begins, where it has no head.

        Raises
        ------
        OutputError
            The file that is added to begins in another way.
        """
        self._place.begin(opening)

    def whole(self) -> None:
        """What was written so far is worth keeping, whatever comes after it."""
        self._place.whole()

    def cut(self) -> None:
        """Nothing more comes: keep what is `whole`, and drop what is behind it."""
        self._place.cut()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._stack:
            if kind is None and self.keep:
                with interruption.held():
                    self._place.finish()


class _Output:
    """A text file whose failures are told as errors of the output, not of the recording being heard."""

    def __init__(self, file: TextIO | Spool, name: str) -> None:
        self._file = file
        self._name = name

    def write(self, text: str) -> int:
        with _explained(self._name):
            return self._file.write(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False

    @property
    def encoding(self) -> str:
        return "utf-8"

    def begin(self, opening: str) -> None: ...

    def whole(self) -> None: ...

    def cut(self) -> None: ...


class _Stream(_Output):
    """Standard output, a device or a pipe: what is written is gone."""

    _file: TextIO

    def __init__(self, file: TextIO | None, name: str) -> None:
        if file is None or file.closed:
            raise OutputError(f"{name}: is closed", "give --output")
        super().__init__(file, name)

    def flush(self) -> None:
        with _explained(self._name):
            self._file.flush()

    def isatty(self) -> bool:
        return self._file.isatty()

    @property
    def encoding(self) -> str:
        return self._file.encoding

    def finish(self) -> None:
        self.flush()


class _Replaced(_Output):
    """A file that appears whole, in the place of the one that is there."""

    def __init__(self, target: Path, name: str, stack: ExitStack) -> None:
        self._target = target
        self._temporary = stack.enter_context(files.temporary_for(target))
        self._text = open(self._temporary, "w", encoding="utf-8", newline="")  # noqa: SIM115  # closed below
        stack.callback(_close, self._text)
        super().__init__(self._text, name)
        self._whole: int | None = None
        self._cut = False

    def flush(self) -> None:
        with _explained(self._name):
            self._text.flush()

    def whole(self) -> None:
        self.flush()
        self._whole = os.fstat(self._text.fileno()).st_size

    def cut(self) -> None:
        self._cut = True

    def finish(self) -> None:
        with _explained(self._name):
            if self._cut:
                _close(self._text)  # what is behind the whole part may not fit on the disk
                os.truncate(self._temporary, self._whole or 0)
            else:
                self._text.close()
            files.put_in_place(self._temporary, self._target)


class _Appended(_Output):
    """A file that others may add to at the same time."""

    _file: Spool

    def __init__(self, target: Path, name: str, option: str) -> None:
        super().__init__(Spool(), name)
        self._target, self._option = target, option
        self._head = ""
        with _explained(name), self._locked():
            pass  # that it can be written is known before any work

    def begin(self, opening: str) -> None:
        self._head = self._file.taken()
        expected = (self._head or opening).encode()
        with _explained(self._name), open(self._target, "rb") as file:
            found = file.read(len(expected))
        if found and found != expected:
            raise OutputError(
                f"{self._name}: has another format, or other columns, than what would be added",
                f"choose another {self._option}, or leave out --append",
            )

    def whole(self) -> None:
        with _explained(self._name), self._locked() as handle:
            size = os.fstat(handle).st_size
            try:
                if not size:
                    _write(handle, self._head)
                elif not _ends_a_line(handle):
                    _write(handle, "\n")  # a line that was cut off stays a line by itself
                for text in self._file.pieces():
                    _write(handle, text)
            except BaseException:
                os.ftruncate(handle, size)
                raise
        self._file.clear()

    def cut(self) -> None:
        self._file.clear()

    def finish(self) -> None:
        if not self._file.empty:
            self.whole()

    @contextmanager
    def _locked(self) -> Iterator[int]:
        handle = os.open(self._target, APPEND, 0o666)
        try:
            with locks.held(handle):
                yield handle
        finally:
            os.close(handle)


def _close(file: TextIO) -> None:
    with suppress(OSError):  # what it could not write was told before
        file.close()


def _write(handle: int, text: str) -> None:
    left = memoryview(text.encode("utf-8"))
    while left:
        left = left[os.write(handle, left) :]


def _ends_a_line(handle: int) -> bool:
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) == b"\n"


def _descriptor(path: Path) -> int | None:
    """The open file of this process that a path such as /dev/stdout or /dev/fd/3 stands for.

    It is written to where it is: opened by its path, a file that standard output goes to would be written from its
    beginning.
    """
    for _ in range(LINKS):
        folder = os.path.realpath(path.parent)
        found = DESCRIPTORS.fullmatch(folder)
        if found is not None and path.name.isdigit():
            own = found["process"] in (None, "self", "thread-self", str(os.getpid()))
            number = int(path.name) if own else None
            return sys.stderr.fileno() if number == STDERR else number  # libraries have the number 2 for themselves
        try:
            path = Path(folder, os.readlink(path))
        except OSError:
            return None
    return None


def _check_replaceable(target: Path, name: str, option: str) -> None:
    """Raise OutputError for a file that no output format of ours could be: it is not ours to replace."""
    if not stat.S_ISREG(target.stat().st_mode):
        return
    try:
        with open(target, "rb") as file:
            head = file.read(HEAD_BYTES)
    except PermissionError:
        return  # may be written, but not read
    if NO_TEXT.search(head):
        raise OutputError(
            f"{name}: is a recording or another file that is not text, and is not replaced",
            f"choose another {option}, or remove it first",
        )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has seen enough; nobody is left to tell
    except OSError as error:
        raise OutputError(
            f"{name}: cannot be written ({error.strerror or error})", "check the folder and the free space"
        ) from None
