"""Queue of writes in order: a full disk or a locked file delays them without loss."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from edgeapp.errors import BiovitaError

log = logging.getLogger(__name__)

RETRY_S = 1.0
MOST = 100_000  # steps that wait; about a day of one microphone


class WriteQueue:
    """A queue of writes. The first is retried until it succeeds; the others wait.

    Parameters
    ----------
    now_s : callable
        Monotonic seconds.
    failures : exception class or tuple
        What a write raises when it could not be done for now.
    most : int
        Writes that may wait before the trouble is raised.
    """

    def __init__(
        self,
        now_s: Callable[[], float],
        failures: type[BiovitaError] | tuple[type[BiovitaError], ...],
        most: int = MOST,
    ) -> None:
        self._now_s = now_s
        self._failures = failures
        self._most = most
        self._steps: deque[Callable[[], object]] = deque()
        self._next_try_s = float("-inf")
        self.trouble: BiovitaError | None = None

    def __len__(self) -> int:
        """How many writes wait."""
        return len(self._steps)

    def write(self, *steps: Callable[[], object]) -> None:
        """Do these writes after those that wait, now if possible. A step that raised is tried again, alone.

        Raises
        ------
        BiovitaError
            Too many writes wait.
        """
        self._steps.extend(steps)
        self.flush()
        if self.trouble is not None and len(self._steps) > self._most:
            raise self.trouble

    def flush(self, at_once: bool = False) -> None:
        """Do what waits. While there is trouble it is tried once a second, or ``at_once``."""
        if self.trouble is not None and not at_once and self._now_s() < self._next_try_s:
            return
        while self._steps:
            try:
                self._steps[0]()
            except self._failures as error:
                if self.trouble is None:
                    log.error("%s; detections are buffered in memory", error)
                self.trouble = error
                self._next_try_s = self._now_s() + RETRY_S
                return
            except BaseException:
                self._steps.popleft()  # whoever catches this can go on with the rest
                raise
            self._steps.popleft()
        if self.trouble is not None:
            log.warning("writing resumed: %s", self.trouble.what)
            self.trouble = None

    def finish(self) -> None:
        """Do what waits, or raise what hinders it.

        Raises
        ------
        BiovitaError
            The writes that wait are lost; the message says how many.
        """
        self.flush(at_once=True)
        if self.trouble is not None:
            raise type(self.trouble)(f"{self.trouble.what}: {len(self)} records lost", self.trouble.remedy)
