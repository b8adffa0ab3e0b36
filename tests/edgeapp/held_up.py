"""How long the machine kept a process waiting: what is played and recorded in real time needs its share of it."""

from __future__ import annotations

import threading
import time
from types import TracebackType

NAP_S = 0.01
STARVED_S = 0.1  # a recorder's buffer holds little more


class HeldUp:
    """Measures, inside a `with`, by how much a thread that sleeps is woken too late.

    Attributes
    ----------
    late_s : float
        The longest delay so far, on the monotonic clock.
    """

    def __init__(self) -> None:
        self.late_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._nap, daemon=True)

    def __enter__(self) -> HeldUp:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    @property
    def starved(self) -> bool:
        """Whether somebody was kept waiting for so long that sound can be lost."""
        return self.late_s > STARVED_S

    def _nap(self) -> None:
        due = time.monotonic() + NAP_S
        while not self._over.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            self.late_s = max(self.late_s, now - due)
            due = now + NAP_S
