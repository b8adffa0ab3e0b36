"""Server-sent events: numbered, kept for a while, so that a page which was asleep catches up."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

KEPT = 2_000  # events; about an hour of a busy station
ALIVE_S = 15.0  # a comment now and then shows a dead connection to both ends
MISSED = "missed"  # an event: what came between is no longer here, so the page has to load anew


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes
    ----------
    number : int
        Counted from 1 since the server was started.
    kind : str
        window, detection, microphone, review or problem.
    data : str
        JSON.
    """

    number: int
    kind: str
    data: str


class Events:
    """What happened lately. Published by any thread, followed by any number of clients of one event loop.

    Parameters
    ----------
    kept : int
        So many events a client can have been away.

    Attributes
    ----------
    run : str
        Tells the ids of this run from those of another one.
    clients : int
        How many follow now.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.run = secrets.token_hex(4)
        self.clients = 0
        self._kept: deque[Event] = deque(maxlen=kept)
        self._number = 0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None
        self._closed = False

    @property
    def last_id(self) -> str:
        """Id of the newest event; what a page that shows all until now passes on."""
        return f"{self.run}-{self._number}"

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        """Add an event. Never waits for a client."""
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        with self._lock:
            self._number += 1
            self._kept.append(Event(self._number, kind, text))
            loop = self._loop
        if loop is not None:
            self._call(loop)

    def close(self) -> None:
        """End every client's stream."""
        self._closed = True
        if self._loop is not None:
            self._call(self._loop)

    async def follow(self, last_id: str | None) -> AsyncIterator[str]:
        """The text of a stream of server-sent events, from the one after `last_id` on; endless.

        Parameters
        ----------
        last_id : str or None
            What the client has seen last; None begins with the next event.
        """
        position, missed = self._position(last_id)
        self.clients += 1
        try:
            yield "retry: 2000\n\n"
            if missed:
                yield f"id: {self.run}-{position}\nevent: {MISSED}\ndata: {{}}\n\n"
            while not self._closed:
                news = self._listening()
                found, lost = self._after(position)
                if lost:
                    yield f"id: {self.run}-{position}\nevent: {MISSED}\ndata: {{}}\n\n"
                if found:
                    position = found[-1].number
                    yield "".join(self._text(one) for one in found)
                    continue
                try:
                    await asyncio.wait_for(news.wait(), ALIVE_S)
                except asyncio.TimeoutError:
                    yield ": alive\n\n"
        finally:
            self.clients -= 1

    def _text(self, one: Event) -> str:
        return f"id: {self.run}-{one.number}\nevent: {one.kind}\ndata: {one.data}\n\n"

    def _position(self, last_id: str | None) -> tuple[int, bool]:
        """The number to go on after, and whether something was missed."""
        if not last_id:
            return self._number, False
        run, _, number = last_id.rpartition("-")
        if run != self.run or not number.isdecimal() or int(number) > self._number:
            return self._number, True
        with self._lock:
            oldest = self._kept[0].number if self._kept else self._number + 1
        return (int(number), False) if int(number) >= oldest - 1 else (self._number, True)

    def _after(self, position: int) -> tuple[list[Event], bool]:
        with self._lock:
            found = [one for one in self._kept if one.number > position]
        return found, bool(found) and found[0].number > position + 1

    def _listening(self) -> asyncio.Event:
        """What the next event sets; taken before looking, so that none is overlooked."""
        if self._news is None or self._news.is_set():
            self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        return self._news

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
