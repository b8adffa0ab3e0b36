"""The recordings that a person names: files, folders, patterns and lists of them, found as they are asked for.

- A file is given whatever its name is.
- Of a folder the recordings in it and in its subfolders, ordered by name; `edgeapp.audio.names` says which those are.
- A pattern (``"site*/**/*.wav"``, with ``**`` for any number of folders) is one that no file is called by. Of what it
  matches, files are given whose names are those of recordings, and folders are searched.
- ``@list.txt``, or ``@-`` for standard input, names a list of files and folders, separated by newlines, or by NUL if it
  has any. A list does not name patterns or lists.

Every recording is given once, by the first of its names, whether it is named twice, is in a folder that is named too,
or has symbolic links to it; so links that lead in a circle end, and one to a folder in which it lies is left alone.
Memory is taken by the names of the folder being searched (80 bytes a file) and by the files that were named one by one
(90 bytes each), not by folders before.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from edgeapp.archive.lists import LIST, is_list, names_of
from edgeapp.archive.patterns import is_pattern, matching
from edgeapp.audio.formats.sniff import APPLE_DOUBLE
from edgeapp.audio.names import COMPANION, has_extension, is_recording, is_searched, left_out, other_sound, special_file
from edgeapp.audio.pcm import STDIN
from edgeapp.errors import AudioError
from edgeapp.folders import is_folder, leads_up
from edgeapp.terminal import counted
from gallery.errors import reason_of

HIDDEN_FOLDER = "hidden or system folder"
EXAMPLES = 3  # names of what was passed over that are told

PassOver = Callable[[str, str], None]


@dataclass(frozen=True)
class Found:
    """A recording, not yet opened.

    Attributes
    ----------
    path : str
        As it was named, or below a folder as that was named; bytes that are no text are surrogates, as `os.fsdecode`
        makes them.
    size : int or None
        Bytes; None of standard input, a named pipe, and of what cannot be looked at, which opening it explains.
    mtime_ns : int or None
        Time of its last change, nanoseconds since 1970.
    """

    path: str
    size: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True)
class Refused:
    """What gives no recording, and why: a folder that cannot be read, a pattern that matches nothing."""

    path: str
    error: AudioError


def recordings(
    inputs: Iterable[str], pass_over: PassOver = lambda path, kind: None, stdin: BinaryIO | None = None
) -> Iterator[Found | Refused]:
    """Find the recordings that are named, one after the other.

    Parameters
    ----------
    inputs : iterable of str
        Files, folders, patterns, ``@list``, or ``-`` for sound on standard input, which is given as it is.
    pass_over : Callable[[path, kind], None]
        Told of what has a recording's extension and is none: hidden and unfinished files, companion files of macOS,
        pipes and devices in folders; of films and unusual formats of sound in folders; and of subfolders that are not
        searched. Such as `PassedOver`.
    stdin : open binary file, optional
        What ``@-`` reads; `sys.stdin` if not given.

    Yields
    ------
    Found or Refused
        In the order of the inputs. One that is refused does not end the others.
    """
    search = _Search(pass_over)
    for one in inputs:
        if one == STDIN:
            yield Found(one)
        elif os.path.lexists(one):
            yield from search.named(one)
        elif is_list(one):
            yield from search.listed(one[len(LIST) :], stdin)
        elif is_pattern(one):
            yield from search.matched(one)
        else:
            yield Found(one)  # opening it says what is wrong


class PassedOver:
    """Counts what `recordings` passes over, by kind, and remembers a few names."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}

    def __call__(self, path: str, kind: str) -> None:
        self._counts[kind] += 1
        names = self._names.setdefault(kind, [])
        if len(names) < EXAMPLES:
            names.append(path)

    def __len__(self) -> int:
        return self._counts.total()

    def __str__(self) -> str:
        return "passed over " + "; ".join(self._told(kind, n) for kind, n in self._counts.items())

    def _told(self, kind: str, n: int) -> str:
        names = self._names[kind]
        more = f" and {n - len(names)} more" if n > len(names) else ""
        return f"{counted(n, kind)} ({', '.join(names)}{more})"


@dataclass(frozen=True)
class _Folder:
    """A folder to be searched, and where it really is."""

    path: str
    real: str


class _Search:
    """Finds recordings, and knows which were found before."""

    def __init__(self, pass_over: PassOver) -> None:
        self._pass_over = pass_over
        self._folders: set[str] = set()  # real paths of those whose recordings were or are being given
        self._unread: set[str] = set()  # those of them that could not be read
        self._files: set[bytes] = set()  # digests of the real paths of recordings that were given one by one
        self._known = 0  # recordings and folders met in folders, also those that were given before
        self._real_folder = lru_cache(1024)(os.path.realpath)

    def named(self, path: str) -> Iterator[Found | Refused]:
        """What a person named: a file or a folder."""
        try:
            state = os.stat(path)
        except (OSError, ValueError) as error:
            yield from _unseen(path, error)
            return
        if stat.S_ISDIR(state.st_mode):
            yield from self._folder(path)
        elif stat.S_ISREG(state.st_mode) and os.path.basename(path).startswith("._") and _is_companion(path):
            self._pass_over(path, COMPANION)
        elif stat.S_ISREG(state.st_mode):
            if self._is_first(path):
                yield Found(path, state.st_size, state.st_mtime_ns)
        elif stat.S_ISFIFO(state.st_mode):
            yield Found(path)
        else:
            yield Refused(path, AudioError(f"{path}: is a {special_file(state.st_mode)}", "name a recording"))

    def listed(self, path: str, stdin: BinaryIO | None) -> Iterator[Found | Refused]:
        """What a list names."""
        name = "the list on standard input" if path == STDIN else path
        any_name = False
        try:
            if path == STDIN and stdin is None and sys.stdin is None:
                raise ValueError("it is closed")
            with nullcontext(stdin or sys.stdin.buffer) if path == STDIN else open(path, "rb") as file:
                for one in names_of(file):
                    any_name = True
                    yield from self.named(one)
        except (OSError, ValueError) as error:
            is_there = not isinstance(error, FileNotFoundError)
            reason = f"cannot be read ({reason_of(error)})" if is_there else "does not exist"
            yield Refused(path, AudioError(f"{name}: {reason}", "give a list of files, one a line"))
        else:
            if not any_name:
                yield Refused(path, AudioError(f"{name}: names no file", "list files or folders, one a line"))

    def matched(self, pattern: str) -> Iterator[Found | Refused]:
        """What a pattern matches."""
        matches = False
        unread: list[tuple[str, OSError]] = []
        for one in matching(pattern, lambda folder, error: unread.append((folder, error))):
            yield from (_unread(*unread.pop(0)) for _ in range(len(unread)))
            if os.path.isdir(one):
                matches = True
                yield from self._folder(one)
            elif is_recording(os.path.basename(one)):
                matches = True
                yield from self._in_folder(one, known_real=False)
            elif has_extension(one):
                matches = True
                self._pass_over(one, str(left_out(os.path.basename(one))))
        yield from (_unread(*one) for one in unread)
        if not matches and not unread:
            yield Refused(pattern, AudioError(f"{pattern}: matches no recording", "check the path and the pattern"))

    def _folder(self, path: str) -> Iterator[Found | Refused]:
        """The recordings below a folder."""
        before, refused = self._known, False
        waiting = [self._inside(path, os.path.realpath(path))]
        while waiting:
            for one in waiting[-1]:
                if isinstance(one, _Folder):
                    waiting.append(self._inside(one.path, one.real))
                    break
                refused = refused or isinstance(one, Refused)
                yield one
            else:
                waiting.pop()
        if self._known == before and not refused:
            yield Refused(path, AudioError(f"{path}: has no recordings in it", "check the folder"))

    def _inside(self, folder: str, real: str) -> Iterator[Found | Refused | _Folder]:
        """Recordings in a folder and its subfolders, in one order by name; nothing if it was searched before."""
        if real in self._folders:
            self._known += 1
            return
        self._folders.add(real)
        names: list[str] = []
        folders: set[str] = set()
        links: set[str] = set()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    is_link = entry.is_symlink()
                    if is_folder(entry):
                        if not is_searched(name):
                            self._pass_over(entry.path, HIDDEN_FOLDER)
                            continue
                        if is_link and leads_up(os.path.realpath(entry.path), real):
                            continue
                        folders.add(name)
                    elif not has_extension(name):
                        if (kind := other_sound(name)) is not None:
                            self._pass_over(entry.path, kind)
                        continue
                    elif (kind := left_out(name)) is not None:
                        self._pass_over(entry.path, kind)
                        continue
                    names.append(name)
                    if is_link:
                        links.add(name)
        except OSError as error:  # also one that goes away meanwhile; what it said until then is given
            self._unread.add(real)
            yield _unread(folder, error)
        names.sort()
        for name in names:
            path = os.path.join(folder, name)
            if name in folders:
                yield _Folder(path, os.path.realpath(path) if name in links else os.path.join(real, name))
            else:
                self._known += 1
                yield from self._in_folder(path, known_real=name not in links)

    def _in_folder(self, path: str, known_real: bool) -> Iterator[Found | Refused]:
        """A file that nobody named, if it is one: a pipe would be waited for.

        One that is no link and in a folder that is searched once needs not be remembered.
        """
        try:
            state = os.stat(path)
        except (OSError, ValueError) as error:
            yield from _unseen(path, error)
            return
        if (kind := special_file(state.st_mode)) is not None:
            self._pass_over(path, kind)
        elif known_real:
            if not self._files or _digest(self._real(path)) not in self._files:
                yield Found(path, state.st_size, state.st_mtime_ns)
        elif self._is_first(path):
            yield Found(path, state.st_size, state.st_mtime_ns)

    def _is_first(self, path: str) -> bool:
        """Whether a recording that was named, or is a link, is given for the first time; remembers it."""
        real = self._real(path)
        place, name = os.path.split(real)
        digest = _digest(real)
        if digest in self._files or is_recording(name) and place in self._folders and place not in self._unread:
            return False
        self._files.add(digest)
        return True

    def _real(self, path: str) -> str:
        if os.path.islink(path):
            return os.path.realpath(path)
        place, name = os.path.split(path)
        return os.path.join(self._real_folder(place or os.curdir), name)


def _unseen(path: str, error: OSError | ValueError) -> Iterator[Found | Refused]:
    """What cannot be looked at: a link that leads nowhere is told here, all else by opening it."""
    if os.path.islink(path):
        if isinstance(error, FileNotFoundError):
            what, remedy = "is a link to a file that is not there", "fetch the file it leads to"
        else:
            what, remedy = f"is a link that cannot be followed ({reason_of(error)})", "remove the link"
        yield Refused(path, AudioError(f"{path}: {what}", remedy))
    else:
        yield Found(path)


def _unread(folder: str, error: OSError) -> Refused:
    return Refused(folder, AudioError(f"{folder}: cannot be read ({reason_of(error)})", "check its permissions"))


def _is_companion(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(APPLE_DOUBLE)) == APPLE_DOUBLE
    except OSError:
        return False


def _digest(path: str) -> bytes:
    return hashlib.blake2b(os.fsencode(path), digest_size=16).digest()
