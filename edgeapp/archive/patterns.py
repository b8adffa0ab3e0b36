"""Patterns of paths, matched lazily and in order, in trees of any size and depth."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator

from edgeapp.audio.names import is_hidden

ANY_FOLDERS = "**"

_MAGIC = re.compile(r"[*?[]")


def is_pattern(text: str) -> bool:
    """Whether it has a character of patterns."""
    return bool(_MAGIC.search(text))


def matching(pattern: str, unread: Callable[[str, OSError], None]) -> Iterator[str]:
    """Paths that a pattern matches, ordered by name within each folder.

    As in a shell ``*`` and ``**`` match no hidden name, and ``**`` follows no link.

    Parameters
    ----------
    pattern : str
        ``*``, ``?`` and ``[...]`` within a name, ``**`` for any number of folders.
    unread : Callable[[folder, error], None]
        Told of a folder that cannot be read; `glob` would keep that to itself.
    """
    separators = "".join(filter(None, (os.sep, os.altsep)))
    drive, rest = os.path.splitdrive(pattern)
    inner = rest.lstrip(separators)
    parts = [part for part in re.split(f"[{re.escape(separators)}]", inner) if part]
    waiting: list[tuple[str, int]] = [(drive + rest[: len(rest) - len(inner)], 0)]
    while waiting:
        place, n = waiting.pop()
        if n == len(parts):
            yield place
            continue
        part, is_last = parts[n], n + 1 == len(parts)
        if part != ANY_FOLDERS and not _MAGIC.search(part):
            path = os.path.join(place, part)
            if os.path.lexists(path):
                waiting.append((path, n + 1))
            continue
        if part == ANY_FOLDERS and is_last:
            yield place or os.curdir  # a folder is searched with all folders in it
            continue
        try:
            with os.scandir(place or os.curdir) as entries:
                if part == ANY_FOLDERS:
                    names = [one.name for one in entries if _is_folder(one) and not is_hidden(one.name)]
                else:
                    names = [one.name for one in entries if _matches(one.name, part)]
        except NotADirectoryError:
            continue
        except OSError as error:
            unread(place or os.curdir, error)
            continue
        names.sort()
        if part == ANY_FOLDERS:
            waiting.extend((os.path.join(place, name), n) for name in reversed(names))
            waiting.append((place, n + 1))
        elif is_last:
            for name in names:
                yield os.path.join(place, name)
        else:
            waiting.extend((os.path.join(place, name), n + 1) for name in reversed(names))


def _matches(name: str, part: str) -> bool:
    return fnmatch.fnmatch(name, part) and (not name.startswith(".") or part.startswith("."))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # taken away since
        return False
