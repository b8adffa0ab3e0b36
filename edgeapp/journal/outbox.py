"""The outbox's rows: messages, committed together with their detections."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from edgeapp.clock.system import Moment
from edgeapp.clock.utc import utc_text
from edgeapp.journal.records import Message, StoredMessage
from edgeapp.journal.writer import Writer
from gallery.utc import now_text

_WAITING = "sent_utc IS NULL AND dropped_utc IS NULL"
_OF_TARGET = "(:target IS NULL OR target = :target)"


class OutboxRows(Writer):
    """Messages that survive restarts and outages until they are sent or given up."""

    def queue(self, messages: Iterable[Message]) -> list[int]:
        """Write messages to be sent, and return their ids."""
        return self._write(lambda: [self._insert_message(message) for message in messages])

    def due(self, now_s: float, limit: int = 100, target: str | None = None) -> list[StoredMessage]:
        """Messages of one target, or of all, whose next attempt is due at a time in unix seconds, the oldest first."""
        rows = self._fetch(
            "SELECT id, target, payload, attempts, created_utc FROM messages"
            f" WHERE {_WAITING} AND next_try_s <= :now{_of(target)} ORDER BY id LIMIT :limit",
            {"now": now_s, "limit": limit, "target": target},
        )
        return [StoredMessage(**{**row, "payload": json.loads(row["payload"])}) for row in rows]

    def sent(self, message_id: int, when: datetime | Moment) -> None:
        """A message arrived."""
        self._close_message(message_id, {"sent_utc": utc_text(when)})

    def failed(self, message_id: int, error: str, next_try_s: float) -> None:
        """A message did not arrive; try again at a time in unix seconds."""
        sql = (
            "UPDATE messages SET attempts = attempts + 1, last_error = :error, next_try_s = :next"
            f" WHERE id = :id AND {_WAITING}"
        )
        values = {"error": error, "next": float(next_try_s), "id": message_id}
        self._write(lambda: self._connection.execute(sql, values) and None)

    def drop_message(self, message_id: int, why: str, when: datetime | Moment) -> None:
        """Give a message up, and say why."""
        self._close_message(message_id, {"dropped_utc": utc_text(when), "last_error": why})

    def queue_length(self, target: str | None = None) -> int:
        """How many messages wait for one target, or for all."""
        sql = f"SELECT count(*) AS n FROM messages WHERE {_WAITING}{_of(target)}"
        return int(self._fetch(sql, {"target": target})[0]["n"])

    def forget_messages(self, before: datetime | Moment) -> int:
        """Remove messages that were sent or dropped before a time; returns how many."""
        sql = "DELETE FROM messages WHERE coalesce(sent_utc, dropped_utc) < :before"
        return self._write(lambda: self._connection.execute(sql, {"before": utc_text(before)}).rowcount)

    def _insert_message(self, message: Message) -> int:
        if self.on_queued not in self._after_commit:
            self._after_commit.append(self.on_queued)
        payload = json.dumps(dict(message.payload), ensure_ascii=False, allow_nan=False)
        return self._insert("messages", {"target": message.target, "payload": payload, "created_utc": now_text()})

    def _close_message(self, message_id: int, row: dict[str, str]) -> None:
        self._write(lambda: self._update("messages", message_id, row, _WAITING))


def _of(target: str | None) -> str:
    """The condition for one target. Spelled out only where it is asked, so that SQLite finds the index for it."""
    return "" if target is None else " AND target = :target"
