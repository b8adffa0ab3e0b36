"""Retention: which clips are deleted when they are old or the disk fills, and why.

A locked clip is never deleted, and of each species the newest ``keep_per_species`` stay. The newest and not the most
confident
ones, because confidences of different packs are not comparable, and because the newest show whether the species
is still present. Newer means written later: the order of the journal, which no wrong clock can turn around.

The row of a clip says when and why it went before its file goes. What a crash leaves between the two is a file whose
row says that it was deleted; the next start finishes it.
"""

from __future__ import annotations

import heapq
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from edgeapp.clips.settings import DISK_SHARE, KEEP_PER_SPECIES
from edgeapp.clock.sources import BUILT_UTC
from edgeapp.clock.system import Moment
from edgeapp.errors import UsageError
from edgeapp.journal.records import StoredClip
from gallery.utc import utc_of

MOST_PER_RUN = 200  # a journal that is flushed to an SD card for each row is busy with these for half a minute

GONE = "the file was already gone"


@dataclass(frozen=True)
class Usage:
    """How full a file system is, as ``df`` counts.

    Attributes
    ----------
    used_bytes, total_bytes : int
        The total is what an ordinary user can fill.
    """

    used_bytes: int
    total_bytes: int

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> Usage:
        """Ask the system."""
        found = os.statvfs(folder)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        return cls(used, used + found.f_bavail * found.f_frsize)

    @property
    def share(self) -> float:
        return self.used_bytes / self.total_bytes if self.total_bytes else 0.0


@dataclass(frozen=True)
class Retention:
    """How long clips are kept; without a limit, forever.

    Attributes
    ----------
    keep_days : float or None
        Older clips go.
    disk_share : float
        Most of the file system that may be used by whatever is on it, such as 0.8; clips go until it is. 1 is no limit.
    keep_per_species : int
        As many of each species always stay, the newest ones.

    Raises
    ------
    UsageError
        A limit that is not possible.
    """

    keep_days: float | None = None
    disk_share: float = DISK_SHARE
    keep_per_species: int = KEEP_PER_SPECIES

    def __post_init__(self) -> None:
        if self.keep_days is not None and self.keep_days <= 0:
            raise UsageError(f"clips cannot be kept for {self.keep_days:g} days", "give more than 0 days")
        if not 0 < self.disk_share <= 1:
            raise UsageError(f"clips cannot use {self.disk_share:g} of the disk", "give a share such as 0.8")
        if self.keep_per_species < 0:
            raise UsageError(f"{self.keep_per_species} clips of a species cannot be kept", "give 0 or more")

    def plan(self, clips: Iterable[StoredClip], now: Moment, usage: Usage) -> list[tuple[StoredClip, str]]:
        """Which clips go, in this order, and why. Nothing is changed.

        Age is not judged while the clock is not set, nor of a clip that was written before it was.

        Parameters
        ----------
        clips : iterable of StoredClip
            Those that are not deleted.
        now : Moment
        usage : Usage
            Of the file system that holds them.
        """
        kept = sorted((clip for clip in clips if clip.deleted_utc is None), key=lambda clip: clip.id)
        free = self._free_to_go(kept)
        going: list[tuple[StoredClip, str]] = []
        if self.keep_days is not None and now.clock_set:
            before = now.utc - timedelta(days=self.keep_days)
            why = f"older than {self.keep_days:g} {'day' if self.keep_days == 1 else 'days'}"
            going = [(clip, why) for clip in free if BUILT_UTC <= utc_of(clip.created_utc) < before]
        excess, limit = self._excess(usage)
        aged = {clip.id for clip, _ in going}
        freed = sum(clip.bytes for clip, _ in going)
        for clip in _most_common_first(kept, [clip for clip in free if clip.id not in aged], aged):
            if excess <= freed:
                break
            going.append((clip, limit))
            freed += clip.bytes
        return going

    def out_of_reach(self, usage: Usage, plan: Sequence[tuple[StoredClip, str]]) -> str | None:
        """Why the disk stays over its limit even after a plan, in words; None when it does not."""
        excess, limit = self._excess(usage)
        if excess <= sum(clip.bytes for clip, _ in plan):
            return None
        return f"{limit}: the clips left are locked or among the last {self.keep_per_species} of their species"

    def _free_to_go(self, kept: Sequence[StoredClip]) -> list[StoredClip]:
        newer: dict[str, int] = defaultdict(int)
        free = []
        for clip in reversed(kept):
            newer[clip.species] += 1
            if newer[clip.species] > self.keep_per_species and not clip.locked:
                free.append(clip)
        return free[::-1]

    def _excess(self, usage: Usage) -> tuple[float, str]:
        """Bytes over the limit of the disk, and the limit in words."""
        words = f"disk {usage.share:.0%} full, limit {self.disk_share:.0%}".replace("%", " %")
        return usage.used_bytes - self.disk_share * usage.total_bytes, words


def _most_common_first(kept: Sequence[StoredClip], free: Sequence[StoredClip], gone: set[int]) -> Iterator[StoredClip]:
    """Free clips, always the oldest of the species that has most clips left."""
    left: dict[str, int] = defaultdict(int)
    for clip in kept:
        left[clip.species] += clip.id not in gone
    of: dict[str, list[StoredClip]] = defaultdict(list)
    for clip in reversed(free):
        of[clip.species].append(clip)
    heap = [(-left[species], clips[-1].id, species) for species, clips in of.items()]
    heapq.heapify(heap)
    while heap:
        count, _, species = heapq.heappop(heap)
        yield of[species].pop()
        if of[species]:
            heapq.heappush(heap, (count + 1, of[species][-1].id, species))


class ClipRows(Protocol):
    """The journal, as retention needs it."""

    def clips(self, include_deleted: bool = False) -> Iterator[StoredClip]: ...

    def delete_clip(self, clip_id: int, why: str, when: Moment) -> None: ...


@dataclass(frozen=True)
class Swept:
    """What one run did.

    Attributes
    ----------
    deleted : int
    bytes : int
        Freed by them.
    gone : int
        Whose file was already gone.
    stuck : int
        Files that could not be removed; the next run tries again.
    """

    deleted: int = 0
    bytes: int = 0
    gone: int = 0
    stuck: int = 0


class Sweeper:
    """Applies retention, to a limited number of clips at a time.

    Parameters
    ----------
    retention : Retention
    journal : ClipRows
    folder : path
        Clips outside it are left alone: they belong to another disk or another station.
    tell : callable
        Takes one line for a person.
    usage : callable
        How full the file system of the folder is.
    most_per_run : int
    """

    def __init__(
        self,
        retention: Retention,
        journal: ClipRows,
        folder: str | os.PathLike[str],
        tell: Callable[[str], None],
        usage: Callable[[Path], Usage] = Usage.of,
        most_per_run: int = MOST_PER_RUN,
    ) -> None:
        self._retention = retention
        self._journal = journal
        self._folder = Path(folder).absolute()
        self._tell = tell
        self._usage = usage
        self._most = most_per_run
        self._stuck: dict[int, Path] | None = None  # None until the first run has looked for what a crash left
        self._said: dict[str, str] = {}

    def run(self, now: Moment) -> Swept:
        """Delete what has to go.

        Raises
        ------
        JournalError
            When a row cannot be written; no file goes without its row.
        """
        try:
            if not any(self._folder.iterdir()):
                raise FileNotFoundError
            usage = self._usage(self._folder)
        except OSError:
            if any(True for _ in self._ours()):  # a disk that is not mounted must not look like deleted clips
                self._say_once("folder", f"{self._folder}: is empty or cannot be read; no clip is deleted")
            return Swept()
        self._say_once("folder", "")
        self._finish_earlier()
        clips = list(self._ours())
        plan = self._retention.plan(clips, now, usage)
        self._say_once("reach", self._retention.out_of_reach(usage, plan) or "")
        deleted = freed = gone = 0
        for clip, why in plan[: self._most]:
            there = os.path.lexists(clip.path)
            self._journal.delete_clip(clip.id, why if there else GONE, now)
            if not there:
                gone += 1
            elif self._unlink(clip.id, Path(clip.path)):
                deleted += 1
                freed += clip.bytes
        assert self._stuck is not None
        if not self._stuck:
            self._say_once("unlink", "")
        return Swept(deleted, freed, gone, len(self._stuck))

    def _ours(self, include_deleted: bool = False) -> Iterator[StoredClip]:
        return (clip for clip in self._journal.clips(include_deleted) if Path(clip.path).is_relative_to(self._folder))

    def _finish_earlier(self) -> None:
        """Remove files whose rows already say that they were deleted."""
        if self._stuck is None:
            every = list(self._ours(include_deleted=True))
            living = {clip.path for clip in every if clip.deleted_utc is None}
            self._stuck = {
                clip.id: Path(clip.path)
                for clip in every
                if clip.deleted_utc is not None and clip.path not in living and os.path.lexists(clip.path)
            }
        for id, path in list(self._stuck.items()):
            self._unlink(id, path)

    def _unlink(self, id: int, path: Path) -> bool:
        assert self._stuck is not None
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._stuck[id] = path
            self._say_once("unlink", f"{path.parent}: clips cannot be removed ({error.strerror}); tried again later")
            return False
        self._stuck.pop(id, None)
        return True

    def _say_once(self, subject: str, words: str) -> None:
        """Report a fault when it begins; empty text ends it."""
        if words and subject not in self._said:
            self._tell(words)
        if words:
            self._said[subject] = words
        else:
            self._said.pop(subject, None)
