"""Clips that lie elsewhere than the journal says: a folder that moved as a whole, files found by their content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeapp.audio.metadata import guano
from edgeapp.clips.settings import FORMATS
from edgeapp.errors import AudioError, UsageError
from edgeapp.folders import Search
from edgeapp.journal import Journal
from edgeapp.pack.hashes import sha256

LOOKED_AT = 5  # newest clips of a folder that is gone, before another is taken for it


def adopt(journal: Journal, folder: Path) -> list[str]:
    """Take the folder of the settings for one that is gone and whose clips it has, by the same names.

    Returns
    -------
    list of str
        The folders that moved here.
    """
    moved = []
    for number, path in journal.clip_folders().items():
        if Path(path) == folder or Path(path).exists():
            continue
        newest = journal.clips_of_folder(number, LOOKED_AT)
        if newest and all((folder / below).is_file() for below in newest):
            journal.move_clip_folder(number, str(folder))
            moved.append(path)
    return moved


@dataclass(frozen=True)
class Relocated:
    """What became of the clips that were not where the journal says.

    Attributes
    ----------
    found : int
    missing : list of str
        Paths of those that were not found.
    """

    found: int
    missing: list[str]


def relocate(journal: Journal, folder: Path) -> Relocated:
    """Look for missing clips below a folder: by name and size first, then by content under any name.

    A clip that was written before its content was noted is known by the name and the size that its metadata give.

    Raises
    ------
    UsageError
        There is no such folder.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", "give the folder to which the clips were moved")
    missing = journal.clips_to_find()
    left = []
    for clip in missing:
        there = folder / clip.below
        if _is_of_size(there, clip.bytes) and (clip.sha256 is None or sha256(there) == clip.sha256):
            journal.place_clip(clip.id, str(folder), clip.below)
        else:
            left.append(clip)
    sizes = {clip.bytes for clip in left}
    by_content = {clip.sha256: clip for clip in left if clip.sha256 is not None}
    by_name = {(Path(clip.below).name, clip.bytes): clip for clip in left if clip.sha256 is None}
    for path in _recordings(folder) if left else ():
        size = path.stat().st_size
        if size not in sizes:
            continue
        found = by_content.pop(sha256(path), None) or by_name.pop((_original_name(path), size), None)
        if found is not None:
            journal.place_clip(found.id, str(folder), path.relative_to(folder).as_posix())
    lost = [*by_content.values(), *by_name.values()]
    return Relocated(len(missing) - len(lost), sorted(clip.path for clip in lost))


def _recordings(folder: Path) -> Iterator[Path]:
    for path in Search(_is_clip, lambda name: True).below(folder):
        if path.is_file():
            yield path


def _is_clip(name: str) -> bool:
    return os.path.splitext(name)[1][1:].lower() in FORMATS


def _is_of_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _original_name(path: Path) -> str:
    try:
        return guano.read(path).get("Original Filename", "")
    except AudioError:
        return ""
