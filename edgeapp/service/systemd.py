"""Notifications to systemd: ready, status, watchdog (sd_notify(3), without its library)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping

from edgeapp.clock.system import boottime_s

STATUS_CHARACTERS = 300


class Notifier:
    """Sends notifications to systemd's socket; does nothing without one.

    Parameters
    ----------
    environment : Mapping[str, str]
        ``NOTIFY_SOCKET`` is a path, or an abstract socket with ``@`` in front.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name

    def ready(self) -> bool:
        """Ready."""
        return self.notify("READY=1")

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``."""
        return self.notify("STATUS=" + " ".join(text.split())[:STATUS_CHARACTERS])

    def stopping(self) -> bool:
        """Stopping."""
        return self.notify("STOPPING=1")

    def notify(self, state: str) -> bool:
        """Send one assignment. False if there is no socket or it fails; a station is not stopped by that."""
        if self._address[:1] not in ("/", "\0"):
            return False
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.settimeout(1.0)
            out.sendto(state.encode("utf-8", "replace"), self._address)
            return True
        return False


class Watchdog:
    """Watchdog notifications, sent only from the station's main loop: there is no thread.

    Parameters
    ----------
    notifier : Notifier
    environment : Mapping[str, str]
        ``WATCHDOG_USEC``: systemd restarts a service that is silent for so many microseconds. ``WATCHDOG_PID``: for
        which process this is.
    now_s : Callable[[], float]
        Monotonic seconds.

    Attributes
    ----------
    interval_s : float or None
        At least how often to call `alive`; None when nobody watches.
    """

    def __init__(
        self,
        notifier: Notifier,
        environment: Mapping[str, str] = os.environ,
        now_s: Callable[[], float] = boottime_s,
    ) -> None:
        self._notifier = notifier
        self._now_s = now_s
        self._last_s: float | None = None
        self.interval_s = _interval_s(environment)

    def alive(self) -> bool:
        """Called by the main loop, at any rate. True when systemd was notified."""
        if self.interval_s is None:
            return False
        now_s = self._now_s()
        if self._last_s is not None and now_s - self._last_s < self.interval_s / 2:
            return False
        self._last_s = now_s
        return self._notifier.notify("WATCHDOG=1")


def _interval_s(environment: Mapping[str, str]) -> float | None:
    """Half of what systemd allows, as its manual advises."""
    try:
        allowed_us = int(environment.get("WATCHDOG_USEC", "0"))
        mine = int(environment.get("WATCHDOG_PID", os.getpid())) == os.getpid()
    except ValueError:
        return None
    return allowed_us / 2e6 if mine and allowed_us > 0 else None
