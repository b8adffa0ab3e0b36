"""The files below a folder, whose links are followed: to files and to folders, each once, and never in a circle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def _is_shown(name: str) -> bool:
    return not name.startswith(".")


def leads_up(real_link: str, real_folder: str) -> bool:
    """Whether a link leads to the folder in which it is, or to one above; both are real paths."""
    return os.path.join(real_folder, "").startswith(os.path.join(real_link, ""))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


class Search:
    """Finds files, each once, whatever links lead to it. A link to a folder in which it lies itself is left alone.

    Hard links are files of their own.

    Parameters
    ----------
    is_wanted : Callable[[name], bool]
        Which files; of a link its own name counts.
    is_searched : Callable[[name], bool]
        Which subfolders.
    unread : Callable[[OSError], None]
        Told of folders that cannot be read.
    with_folders : bool
        Give the subfolders as well.
    without : path or None
        A folder that is not searched, wherever links lead to it.
    """

    def __init__(
        self,
        is_wanted: Callable[[str], bool] = _is_shown,
        is_searched: Callable[[str], bool] = _is_shown,
        unread: Callable[[OSError], None] = lambda error: None,
        with_folders: bool = False,
        without: str | os.PathLike[str] | None = None,
    ) -> None:
        self._is_wanted = is_wanted
        self._is_searched = is_searched
        self._unread = unread
        self._with_folders = with_folders
        self._folders = set[str]() if without is None else {os.path.realpath(without)}  # real paths
        self._linked: set[str] = set()  # real paths of files that were given by their links

    def below(self, folder: str | os.PathLike[str]) -> Iterator[Path]:
        """The files of a folder, ordered by name, and then those of each of its subfolders.

        A link that leads nowhere is given as well: opening it says so.
        """
        waiting = [(os.fspath(folder), os.path.realpath(folder))]
        while waiting:
            place, real = waiting.pop()
            if real in self._folders:
                continue
            self._folders.add(real)
            try:
                with os.scandir(place) as entries:
                    found = sorted((entry.name, is_folder(entry), entry.is_symlink()) for entry in entries)
            except OSError as error:
                self._unread(error)
                continue
            inner = []
            for name, is_inner, is_link in found:
                path = os.path.join(place, name)
                its = os.path.realpath(path) if is_link else os.path.join(real, name)
                if is_inner:
                    if self._is_searched(name) and not (is_link and leads_up(its, real)):
                        inner.append((path, its))
                        if self._with_folders:
                            yield Path(path)
                elif self._is_wanted(name) and self._is_first(its, is_link):
                    yield Path(path)
            waiting += reversed(inner)

    def _is_first(self, real: str, is_link: bool) -> bool:
        if not is_link:
            return real not in self._linked
        place, name = os.path.split(real)
        if real in self._linked or (place in self._folders and self._is_wanted(name) and os.path.exists(real)):
            return False
        self._linked.add(real)
        return True
