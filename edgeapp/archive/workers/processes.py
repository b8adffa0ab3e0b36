"""Workers as processes of this machine.

Each is started anew (`spawn`, as on Windows and macOS), so that no library is copied while its threads work, and has a
pipe of its own: whatever kills one leaves the others alone, and what it worked on is known.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from edgeapp import interruption
from edgeapp.archive.recognition import Recognition
from edgeapp.archive.results.record import Record
from edgeapp.archive.workers.engine import Done
from edgeapp.archive.workers.worker import Task, Worker
from edgeapp.errors import BiovitaError, DeviceError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

READY = "ready"
GIVEN_UP = 3  # times in a row that a worker dies while it starts
END_S = 5.0  # for a worker to end by itself


@dataclass
class _Slot:
    """A process, and what it works on."""

    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    task: Task | None = None


class Processes:
    """See `edgeapp.archive.workers.engine.Engine`.

    Parameters
    ----------
    recognition : Recognition
    record : Record
    workers : int
    """

    def __init__(self, recognition: Recognition, record: Record, workers: int) -> None:
        self._given = recognition, record
        self._context = multiprocessing.get_context("spawn")
        self._died_at_start = 0
        self._slots: list[_Slot] = []
        self.workers = workers

    @property
    def free(self) -> int:
        """How many of them have nothing to do; one that starts takes its first task at once."""
        return sum(slot.task is None for slot in self._slots)

    def submit(self, task: Task) -> None:
        """Give a task to a worker that is free."""
        slot = next(slot for slot in self._slots if slot.task is None)
        slot.task = task
        if slot.ready:
            self._send(slot)

    def wait(self, timeout_s: float) -> list[Done]:
        """Tasks that are done; none if so much time passed before.

        Raises
        ------
        BiovitaError
            What a worker raised.
        DeviceError
            Workers die when they start.
        """
        done = []
        for pipe in wait([slot.pipe for slot in self._slots], timeout_s):
            slot = next(slot for slot in self._slots if slot.pipe is pipe)
            try:
                answer = slot.pipe.recv()
            except (EOFError, OSError):
                done += self._died(slot)
                continue
            if isinstance(answer, BaseException):
                raise answer
            if answer == READY:
                slot.ready, self._died_at_start = True, 0
                if slot.task is not None:
                    self._send(slot)
            elif slot.task is not None:
                done.append(Done(slot.task, None, answer) if isinstance(answer, str) else Done(slot.task, answer))
                slot.task = None
        return done

    def __enter__(self) -> Processes:
        try:
            self._slots += [self._started() for _ in range(self.workers)]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for slot in self._slots:
            slot.pipe.close()  # an idle one ends
            if slot.task is not None or not slot.ready:
                slot.process.kill()
        for slot in self._slots:
            slot.process.join(END_S)
            if slot.process.is_alive():
                slot.process.kill()
                slot.process.join()
        self._slots.clear()

    def _started(self) -> _Slot:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(there, *self._given), daemon=True)
        process.start()
        there.close()
        return _Slot(process, here)

    def _send(self, slot: _Slot) -> None:
        with suppress(OSError):  # it died; `wait` finds out
            slot.pipe.send(slot.task)

    def _died(self, slot: _Slot) -> list[Done]:
        slot.process.join()
        how = in_words(slot.process.exitcode)
        if not slot.ready:
            self._died_at_start += 1
            if self._died_at_start >= GIVEN_UP:
                raise DeviceError(f"workers die when they start ({how})", "give fewer --workers if memory is short")
        task = slot.task
        slot.pipe.close()
        self._slots[self._slots.index(slot)] = new = self._started()
        if task is None:
            return []
        if not slot.ready:
            new.task = task  # which is not to blame
            return []
        return [Done(task, None, how)]


def in_words(exit_code: int | None) -> str:
    """How a process ended: "killed by SIGSEGV", "exit code 3"."""
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


def _work(pipe: Connection, recognition: Recognition, record: Record) -> None:
    """The worker's process: hear one task after the other until the pipe is closed."""
    for number in interruption.SIGNALS:  # the driver gets them as well, and ends its workers
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        worker = Worker(recognition, record)
        answer: Any = READY
        while True:
            pipe.send(answer)
            task = pipe.recv()
            try:
                answer = worker.hear(task)
            except BiovitaError:
                raise
            except Exception as error:  # of ours: its recording is found as one that kills workers is
                answer = f"{type(error).__name__}: {error}"
    except (EOFError, BrokenPipeError, ConnectionError):
        return
    except BiovitaError as error:
        pipe.send(error)


def _end_with_parent() -> None:
    """Be gone when the driver is, whatever killed it and whatever this process is at."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
