"""What every engine does that has workers hear recordings: processes of this machine, or Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgeapp.archive.workers.worker import Heard, Task


@dataclass(frozen=True, eq=False)
class Done:
    """What became of a task.

    Attributes
    ----------
    task : Task
    heard : Heard or None
        None when the worker died of it, or was killed.
    died : str
        How, in words.
    """

    task: Task
    heard: Heard | None = None
    died: str = ""


class Engine(Protocol):
    """Workers, each of which has a model and hears one task at a time; a context manager that ends them all.

    A worker that dies is started again.
    """

    @property
    def free(self) -> int:
        """How many of them have nothing to do."""
        ...

    def submit(self, task: Task) -> None:
        """Give a task to a worker that is free."""
        ...

    def wait(self, timeout_s: float) -> list[Done]:
        """Tasks that are done; none if so much time passed before.

        Raises
        ------
        BiovitaError
            What a worker raised, and what would fail all others too.
        """
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, *error: object) -> None: ...
