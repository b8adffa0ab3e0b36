"""Clips whose beginning was corrected: the right time in their names and their metadata, the sound untouched.

The new file is written first, whole; then the journal names it, and remembers the earlier one; then that is removed. A
program that is killed in between leaves nothing that the next one does not finish: a new file without a row is found
again by its content, and an earlier file by the row that remembers it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edgeapp.audio.metadata.guano import clock_fields, rewritten
from edgeapp.clips.clip_file import ClipFolder, stem_at
from edgeapp.journal.records import ClipToRename
from gallery.utc import utc_of

AT_ONCE_S = 1.0  # of work, before the station listens on
LOOKED_AT = 100


class Rows(Protocol):
    """The journal, as renaming needs it."""

    def clips_to_rename(self, n: int) -> list[ClipToRename]: ...

    def clip_renamed(self, clip: ClipToRename, path: str, size: int, sha256: str) -> bool: ...

    def clip_kept_its_name(self, clip_id: int) -> None: ...

    def clip_left(self, clip_id: int) -> None: ...


class Renamer:
    """Renames clips, some at a time.

    Parameters
    ----------
    journal : Rows
    folder : ClipFolder
        Clips outside it are left alone.
    tell : callable
        Takes one line for a person.
    """

    def __init__(self, journal: Rows, folder: ClipFolder, tell: Callable[[str], None]) -> None:
        self._journal = journal
        self._folder = folder
        self._tell = tell
        self._stuck: set[int] = set()  # not before the next start

    def run(self, at_once_s: float = AT_ONCE_S) -> int:
        """Rename what is to be renamed, for a while; gives how many clips.

        Raises
        ------
        JournalError
            A row cannot be read or written; the next run goes on there.
        """
        end = time.monotonic() + at_once_s
        renamed = 0
        for clip in self._journal.clips_to_rename(LOOKED_AT + len(self._stuck)):
            if clip.id in self._stuck or not Path(clip.path).is_relative_to(self._folder.folder):
                continue
            if time.monotonic() >= end:
                break
            try:
                renamed += self._rename(clip)
            except OSError as error:
                self._stuck.add(clip.id)
                self._tell(f"{clip.path}: cannot be renamed ({error.strerror}); tried again at the next start")
        return renamed

    def _rename(self, clip: ClipToRename) -> bool:
        if clip.left_path is not None:  # first: a row remembers one earlier file
            self._folder.remove_old(Path(clip.left_path))
            self._journal.clip_left(clip.id)
        if clip.renamed:
            return False
        old, start = Path(clip.path), utc_of(clip.started_utc)
        stem = stem_at(old.name, start)
        if stem is None or not old.exists():
            self._journal.clip_kept_its_name(clip.id)
            return False
        before = old.read_bytes()

        def make(file_name: str) -> bytes:
            return rewritten(before, clock_fields(start, clip.clock_set, file_name))

        try:
            make(old.name)
        except ValueError as error:
            self._tell(f"{old}: keeps its name and its time, which the journal has right ({error})")
            self._journal.clip_kept_its_name(clip.id)
            return False
        path, content = self._folder.write_again(old, start, stem, old.suffix[1:], make)
        if not self._journal.clip_renamed(clip, str(path), len(content), hashlib.sha256(content).hexdigest()):
            return False
        if path != old:
            self._folder.remove_old(old)
        self._journal.clip_left(clip.id)
        return True
