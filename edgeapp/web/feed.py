"""Where the event stream of a page comes from: the station of this program, or the journal that another one writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from edgeapp.errors import BiovitaError
from edgeapp.journal import browsing
from edgeapp.web.events import Events
from edgeapp.web.reviewing import states_of
from edgeapp.web.site import Site

LOOK_S = 2.0
MOST = 200  # detections, and reviews, of one look

Reviewed = tuple[int, int, str, str]  # number, detection, time and verdict of a review


class Feed:
    """Events of a page.

    Parameters
    ----------
    site : Site
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._own = site.station is None
        self.events = Events() if site.station is None else site.station.live.events
        self._looking: asyncio.Task[None] | None = None
        self._seen: int | None = None
        self._reviews: set[Reviewed] | None = None
        self._closed = False
        site.publish = self._publish

    async def follow(self, last_id: str | None) -> AsyncIterator[str]:
        """Server-sent events; see `Events.follow`."""
        if self._looking is None or self._looking.done():
            if not last_id:
                # Nobody looked for a while, and this page shows what came since; others who come back load anew.
                self._seen = self._reviews = None
                if self._own:
                    self.events = Events()
            self._looking = asyncio.create_task(self._look())
        if self._closed:  # between the head of the answer and its first line
            return
        async for text in self.events.follow(last_id):
            yield text

    def close(self) -> None:
        """End every client's stream; safe in a signal handler."""
        self._closed = True
        self.events.close()

    async def _look(self) -> None:
        """Look for detections and reviews that another program wrote, as long as somebody follows."""
        while True:
            try:
                await asyncio.to_thread(self._publish_new)
            except BiovitaError as error:
                self.events.publish("problem", {"error": str(error)})
            await asyncio.sleep(LOOK_S)
            if self.events.clients == 0:
                return

    def _publish_new(self) -> None:
        with self._site.reading() as reader:
            if self._own:
                if self._seen is None:
                    self._seen = browsing.last_number(reader)
                for row in browsing.newer_than(reader, self._seen, MOST):
                    self._seen = row["id"]
                    self.events.publish("detection", reader.document(row))
            rows = browsing.last_reviews(reader, MOST)
        found = {(row["id"], row["detection"], row["time_utc"], row["verdict"]) for row in rows}
        known, self._reviews = self._reviews, found
        if known is None:
            return
        # Of those before the first of as many as are looked at nobody knows whether they are there.
        first = min(found)[0] if len(found) == MOST else 0
        changed = {detection for id, detection, *_ in found ^ known if id >= first}
        if changed:  # those of this page are told twice, which changes nothing
            self._publish("review", {"detections": states_of(self._site, sorted(changed))})

    def _publish(self, kind: str, data: dict[str, Any]) -> None:
        self.events.publish(kind, data)
