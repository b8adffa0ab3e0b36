"""Two stores of messages for the outbox: in memory, and a small SQLite file with the journal's table."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from edgeapp.clock.system import Moment

START = datetime(2026, 5, 1, 4, 0, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Row:
    id: int
    target: str
    payload: Mapping[str, Any]
    attempts: int
    created_utc: str
    revision: int = 1
    clip_expected: bool = False

    @property
    def clock_set(self) -> bool:
        return bool(self.payload.get("clock_set", True))


class MemoryStore:
    """Rows in a dict; what was sent and dropped is kept for the test to see."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._last = 0
        self.sent_ids: list[int] = []
        self.dropped: dict[int, str] = {}
        self.errors: dict[int, str] = {}
        self._lock = threading.Lock()
        self.on_queued: Callable[[], None] = lambda: None

    def queue(self, target: str, payload: Mapping[str, Any], created: datetime = START) -> int:
        with self._lock:
            self._last += 1
            self._rows[self._last] = Row(self._last, target, payload, 0, created.isoformat())
        self.on_queued()
        return self._last

    def due(self, now_s: float, limit: int, target: str | None = None) -> list[Row]:
        with self._lock:
            rows = sorted(self._rows.values(), key=lambda row: row.id)
            return [row for row in rows if target in (None, row.target)][:limit]

    def changed(self, limit: int, target: str | None = None) -> list[Row]:
        return []

    def composed(self, id: int) -> Row | None:
        with self._lock:
            return self._rows.get(id)

    def sent(self, id: int, when: Moment, revision: int = 1) -> None:
        with self._lock:
            del self._rows[id]
            self.sent_ids.append(id)

    def failed(self, id: int, error: str, next_try_s: float) -> None:
        with self._lock:
            self._rows[id] = replace(self._rows[id], attempts=self._rows[id].attempts + 1)
            self.errors[id] = error

    def drop_message(self, id: int, why: str, when: Moment) -> None:
        with self._lock:
            del self._rows[id]
            self.dropped[id] = why

    def queue_length(self, target: str | None = None) -> int:
        with self._lock:
            return sum(target in (None, row.target) for row in self._rows.values())


class SqliteStore:
    """The same in a file, which outlives the object."""

    def __init__(self, path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self.on_queued: Callable[[], None] = lambda: None
        self._run("pragma synchronous = off")  # nobody cuts the power of a test
        self._run(
            "create table if not exists messages (id integer primary key autoincrement, target text, payload text, "
            "created_utc text, attempts integer default 0, next_try_s real default 0, last_error text, sent_utc text, "
            "dropped_utc text)"
        )

    def _run(self, sql: str, *values: object) -> list[tuple]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def queue(self, target: str, payload: Mapping[str, Any], created: datetime = START) -> int:
        sql = "insert into messages(target, payload, created_utc) values (?, ?, ?) returning id"
        [(id,)] = self._run(sql, target, json.dumps(payload), created.isoformat())
        self.on_queued()
        return id

    def due(self, now_s: float, limit: int, target: str | None = None) -> list[Row]:
        found = self._run(
            "select id, target, payload, attempts, created_utc from messages where sent_utc is null and dropped_utc "
            "is null and next_try_s <= ? and coalesce(?, target) = target order by id limit ?",
            *(now_s, target, limit),
        )
        return [Row(id, name, json.loads(text), attempts, created) for id, name, text, attempts, created in found]

    def changed(self, limit: int, target: str | None = None) -> list[Row]:
        return []

    def composed(self, id: int) -> Row | None:
        found = self._run("select target, payload from messages where id = ?", id)
        return next((Row(id, target, json.loads(text), 0, "") for target, text in found), None)

    def sent(self, id: int, when: Moment, revision: int = 1) -> None:
        self._run("update messages set sent_utc = ? where id = ?", when.utc.isoformat(), id)

    def failed(self, id: int, error: str, next_try_s: float) -> None:
        sql = "update messages set attempts = attempts + 1, last_error = ?, next_try_s = ? where id = ?"
        self._run(sql, error, next_try_s, id)

    def drop_message(self, id: int, why: str, when: Moment) -> None:
        self._run("update messages set dropped_utc = ?, last_error = ? where id = ?", when.utc.isoformat(), why, id)

    def queue_length(self, target: str | None = None) -> int:
        open_rows = "sent_utc is null and dropped_utc is null and coalesce(?, target) = target"
        return self._run(f"select count(*) from messages where {open_rows}", target)[0][0]

    @property
    def sent_ids(self) -> list[int]:
        return [id for (id,) in self._run("select id from messages where sent_utc is not null order by id")]

    @property
    def dropped(self) -> dict[int, str]:
        return dict(self._run("select id, last_error from messages where dropped_utc is not null"))

    @property
    def errors(self) -> dict[int, str]:
        return dict(self._run("select id, last_error from messages where last_error is not null"))

    def close(self) -> None:
        self._db.close()


class SteppedClock:
    """Both clocks stand still until the test moves them."""

    boot_id = "boot"

    def __init__(self) -> None:
        self.moment = Moment(START, 1000.0)

    def now(self) -> Moment:
        return self.moment

    def pass_time(self, seconds: float) -> None:
        self.moment = self.moment.earlier(-seconds)

    def set_wall(self, step: timedelta, clock_set: bool = True) -> None:
        self.moment = replace(self.moment, utc=self.moment.utc + step, clock_set=clock_set)
