"""Hear the recordings of a plan and keep what is heard; whatever happens, the same command goes on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edgeapp import interruption
from edgeapp.archive.moved import Unseen, moved_rows
from edgeapp.archive.plan import Plan
from edgeapp.archive.progress import Progress
from edgeapp.archive.results.parts import Parts, Rows
from edgeapp.archive.results.rows import RowsWriter, tables
from edgeapp.archive.workers.engine import Done, Engine
from edgeapp.archive.workers.worker import Hashed, Heard, Item, Lost, Task
from edgeapp.errors import AudioError, BiovitaError, OutputError
from edgeapp.file_names import printable

PART_FILES = 5000
PART_BYTES = 64 << 20  # of rows in memory
PART_S, LONGEST_PART_S = 5.0, 300.0  # a part is as old as a twentieth of the run, within these
PART_SHARE = 1 / 20
TRIES = 3  # workers that die of one recording before it is given up: a worker can be killed for other reasons
MOST_LOST = 20  # recordings in a row that cannot be read, before it is the share that is gone
NAMED = 5  # failures that are told; the table of files has all
POLL_S = 0.5

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes
    ----------
    done : int
        Recordings that were heard.
    failed : int
    moved : int
        Of all these, how many were known by their content.
    stopped_by : int or None
        Signal that ended it.
    """

    done: int
    failed: int
    moved: int
    stopped_by: int | None


class Run:
    """A run over an archive.

    Parameters
    ----------
    plan : Plan
    engine : Engine
        Its workers are there.
    parts : Parts
    progress : Progress
    complain : callable
        Called with a line on a failure.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        parts: Parts,
        progress: Progress,
        complain: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._engine, self._parts, self._progress = plan, engine, parts, progress
        self._complain, self._clock = complain, clock
        self._unseen = Unseen(plan.unseen)
        self._again: deque[Task] = deque()
        self._moved: list[tuple[int, Hashed]] = []
        self._lost: list[Lost] = []  # recordings in a row
        self._done = self._failed = self._n_moved = 0
        self._began = self._committed = clock()

    def go(self) -> Outcome:
        """Hear what is planned.

        Raises
        ------
        AudioError
            Recordings cannot be read any more, one after the other.
        BiovitaError
            What ends a run: of the pack, the gallery, the workers, the output. What was heard before it is kept, but
            for an output that cannot be written.
        """
        with interruption.held():  # asked for between tasks
            try:
                self._fail_absent()
                self._work()
                self._settle_lost()
            except OutputError:
                raise
            except BiovitaError:
                self._commit()
                raise
            self._commit()
            stopped = interruption.received()
            if stopped is None:
                self._parts.settle()
            else:
                interruption.accept()
            return Outcome(self._done, self._failed, self._n_moved, stopped)

    def _work(self) -> None:
        tasks = self._plan.tasks()
        flying = 0
        while interruption.received() is None:
            while self._engine.free and (task := self._again.popleft() if self._again else next(tasks, None)):
                self._engine.submit(task)
                flying += 1
            if not flying:
                return
            for done in self._engine.wait(POLL_S):
                flying -= 1
                self._take(done)
            self._progress.tell()
            if self._is_time():
                self._commit()

    def _take(self, done: Done) -> None:
        """Keep what became of a task."""
        if done.heard is None:
            self._died(done)
            return
        heard = done.heard
        new = []
        for one in heard.hashed:
            before = self._unseen.take(one)
            if before is None:
                new.append(replace(one.item, check=False))
            elif before.failed and self._plan.retry_failed:
                new.append(replace(one.item, check=False, before=before.file_ids))
            else:
                self._moved += [(file_id, one) for file_id in before.file_ids]
                self._n_moved += 1
                self._done += not before.failed
                self._failed += before.failed
                self._progress.add(1, one.item.size, failed=before.failed)
        if new:
            self._again.append(Task(tuple(new)))
        if heard.items:
            self._settle_lost()
        self._keep(heard)
        self._lost += heard.lost
        if len(self._lost) >= MOST_LOST:
            raise AudioError(
                f"{len(self._lost)} recordings in a row cannot be read, the last: {self._lost[-1].reason}",
                "see whether their disk or share is there and give the same command again: it goes on from here",
            )

    def _keep(self, heard: Heard) -> None:
        """Keep the rows of recordings that were heard or failed."""
        before = frozenset(file_id for item in heard.items for file_id in item.before)
        self._parts.add(Rows(heard.tables, before))
        for failure in heard.failures:
            self._tell(failure)
        self._done += len(heard.items) - len(heard.failures)
        self._failed += len(heard.failures)
        n_bytes = sum(item.size for item in heard.items)
        self._progress.add(len(heard.items), n_bytes, heard.sound_s, len(heard.failures))

    def _died(self, done: Done) -> None:
        """A worker died of a task: try its halves, and give up a recording of which several died."""
        items = done.task.items
        if len(items) > 1:
            half = len(items) // 2
            self._again.extend(Task(part) for part in (items[:half], items[half:]))
        elif done.task.tries + 1 < TRIES:
            self._again.append(replace(done.task, tries=done.task.tries + 1))
        else:
            [item] = items
            reason = f"{item.file}: {TRIES} workers died while they heard it ({done.died})"
            self._fail([(item, f"{reason}; please report it with the file")], size=item.size, mtime=item.mtime_us)

    def _fail_absent(self) -> None:
        for item in self._plan.absent():
            self._fail([(item, f"{item.file}: does not exist, or is no file; check the path")])

    def _settle_lost(self) -> None:
        """Recordings that could not be read, where others can be: they fail, and are tried again by the next run."""
        lost, self._lost = self._lost, []
        self._fail([(one.item, f"{one.reason}; copy it again") for one in lost])

    def _fail(self, failed: list[tuple[Item, str]], **facts: Any) -> None:
        """Keep rows of recordings of which no worker could say anything.

        Without the facts of its file, a recording is heard by the next run.
        """
        if not failed:
            return
        writers = []
        for item, reason in failed:
            writers.append(RowsWriter(None, self._parts.record))
            writers[-1].fail(item.file, reason)
            writers[-1].complete(**facts)
        items = tuple(item for item, _ in failed)
        made = tables(self._parts.record, writers)
        self._keep(Heard(made, items, tuple(reason for _, reason in failed)))

    def _tell(self, failure: str) -> None:
        told = self._progress.failed
        if told < NAMED:
            self._progress.clear()
            self._complain(printable(failure))

    def _is_time(self) -> bool:
        parts, now = self._parts, self._clock()
        if parts.n_waiting + len(self._moved) >= PART_FILES or parts.bytes_waiting >= PART_BYTES:
            return True
        age = min(max((now - self._began) * PART_SHARE, PART_S), LONGEST_PART_S)
        return now - self._committed >= age

    def _commit(self) -> None:
        """Make what was heard durable."""
        if self._moved:
            for rows in moved_rows(self._parts, self._moved):
                self._parts.add(rows)
            self._moved.clear()
        self._parts.commit()
        self._committed = self._clock()
