"""The outbox's rows: messages, committed together with their detections, and what they say when they are sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from edgeapp.clock.system import Moment
from edgeapp.clock.utc import utc_text
from edgeapp.journal.reading import Questions
from edgeapp.journal.records import DETECTION, GIVEN, Composed, Message, StoredMessage
from edgeapp.journal.schema_of_messages import CHANGED, UNSENT
from edgeapp.journal.writer import Writer
from gallery.utc import now_text

Messages = Callable[[], Sequence[Message]]

_STORED = """
    SELECT messages.id, target, kind, attempts, created_utc, messages.clock_set, revision,
        detection IS NOT NULL AND detections.clip IS NULL AND streams.ended_utc IS NULL AS clip_expected
    FROM messages LEFT JOIN detections ON detections.id = detection LEFT JOIN streams ON streams.id = stream
"""


class OutboxRows(Writer, Questions):
    """Messages that survive restarts and outages until they are sent or given up."""

    def queue(self, messages: Iterable[Message]) -> list[int]:
        """Write messages that have texts of their own, and return their ids."""
        return self._write(lambda: [self._insert_message(message) for message in messages])

    def due(self, now_s: float, limit: int = 100, target: str | None = None) -> list[StoredMessage]:
        """Messages never sent so far, of one target or of all, the oldest first.

        Their next attempt is due at a time in unix seconds.
        """
        return self._stored(f"{UNSENT} AND next_try_s <= :now", limit, target, now_s)

    def changed(self, limit: int = 100, target: str | None = None) -> list[StoredMessage]:
        """Messages that were sent and say something else now, the oldest first."""
        return self._stored(CHANGED, limit, target)

    def composed(self, message_id: int) -> Composed | None:
        """What a message says now; None when there is nothing to say any more."""
        sql = "SELECT detection, payload, revision, sent_utc IS NOT NULL AS updated FROM messages WHERE id = :id"
        for row in self._fetch(sql, {"id": message_id}):
            if row["payload"] is not None:
                return Composed(json.loads(row["payload"]), row["revision"])
            # Read after its revision: what changes in between is sent once more, and never missed.
            detection = self.in_full(row["detection"])
            if detection is not None:
                return Composed({**self.document(detection), "updated": bool(row["updated"])}, row["revision"])
        return None

    def sent(self, message_id: int, when: datetime | Moment, revision: int | None = None) -> None:
        """A message arrived, saying what it said at a revision; at the newest if not given."""
        sql = (
            "UPDATE messages SET sent_utc = coalesce(sent_utc, :when), attempts = 0,"
            " sent_revision = max(sent_revision, coalesce(:revision, revision))"
            " WHERE id = :id AND dropped_utc IS NULL"
        )
        values = {"when": utc_text(when), "revision": revision, "id": message_id}
        self._write(lambda: self._connection.execute(sql, values) and None)

    def failed(self, message_id: int, error: str, next_try_s: float) -> None:
        """A message did not arrive; try again at a time in unix seconds."""
        sql = (
            "UPDATE messages SET attempts = attempts + 1, last_error = :error, next_try_s = :next"
            " WHERE id = :id AND dropped_utc IS NULL"
        )
        values = {"error": error, "next": float(next_try_s), "id": message_id}
        self._write(lambda: self._connection.execute(sql, values) and None)

    def drop_message(self, message_id: int, why: str, when: datetime | Moment) -> None:
        """Give a message up, and say why. Of one that was sent before, only the change is given up."""

        def update() -> None:
            if not self._update("messages", message_id, {"dropped_utc": utc_text(when), "last_error": why}, UNSENT):
                self._connection.execute(
                    f"UPDATE messages SET sent_revision = revision, attempts = 0, last_error = ? WHERE id = ? AND"
                    f" {CHANGED}",
                    [why, message_id],
                )

        self._write(update)

    def queue_length(self, target: str | None = None) -> int:
        """How many messages wait for one target, or for all, to be sent the first time."""
        sql = f"SELECT count(*) AS n FROM messages WHERE {UNSENT}{_of(target)}"
        return int(self._fetch(sql, {"target": target})[0]["n"])

    def forget_messages(self, before: datetime | Moment) -> int:
        """Remove messages that were sent or dropped before a time, whose targets hear no more of them; how many."""
        sql = "DELETE FROM messages WHERE coalesce(dropped_utc, sent_utc) < :before"
        return self._write(lambda: self._connection.execute(sql, {"before": utc_text(before)}).rowcount)

    def _stored(self, which: str, limit: int, target: str | None, now_s: float = 0.0) -> list[StoredMessage]:
        rows = self._fetch(
            f"{_STORED} WHERE {which}{_of(target)} ORDER BY messages.id LIMIT :limit",
            {"now": now_s, "limit": limit, "target": target},
        )
        return [
            StoredMessage(**{**row, "clock_set": row["clock_set"] != 0, "clip_expected": bool(row["clip_expected"])})
            for row in rows
        ]

    def _queue_of(self, detection_id: int, messages: Messages | None) -> None:
        for message in messages() if messages is not None else ():
            self._insert_message(message, detection_id)

    def _insert_message(self, message: Message, detection_id: int | None = None) -> int:
        self._call_after(self.on_queued)
        row = {"target": message.target, "created_utc": now_text()}
        own: dict[str, object] = {"kind": DETECTION, "detection": detection_id}
        if message.payload is not None:
            text = json.dumps(dict(message.payload), ensure_ascii=False, allow_nan=False)
            own = {"kind": GIVEN, "payload": text}
        if message.created is not None:
            own |= {
                "created_utc": utc_text(message.created),
                "created_boottime_s": float(message.created.boottime_s),
                "clock_set": int(message.created.clock_set),
            }
        return self._insert("messages", {**row, **own})


def _of(target: str | None) -> str:
    """The condition for one target. Spelled out only where it is asked, so that SQLite finds the index for it."""
    return "" if target is None else " AND target = :target"
