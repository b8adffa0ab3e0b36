"""Writing to the journal: deployments, streams, detections and their reviews.

Detections are rare (one per hop and microphone at most), and the price of a synchronisation with the disk is nothing
beside the encoder. Counts are written with every window and cost none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path, PurePath
from types import TracebackType
from typing import TypeVar

import numpy as np

from edgeapp.clock.system import Moment
from edgeapp.clock.utc import utc_text
from edgeapp.detections.verdict import Verdict
from edgeapp.journal.clips import ClipRows
from edgeapp.journal.corrections import Corrections
from edgeapp.journal.database import check_whole, default_path, explained, open_to_read, open_to_write
from edgeapp.journal.microphones import MicrophoneRows
from edgeapp.journal.outbox import Messages, OutboxRows
from edgeapp.journal.reading import VECTOR
from edgeapp.journal.records import Deployment, Detection, Review, Stream
from gallery import sqlite
from gallery.taxon import RANKS

T = TypeVar("T")


class Journal(OutboxRows, ClipRows, MicrophoneRows, Corrections):
    """One program's way to write a journal, from any of its threads; a context manager. Use `Journal.open`.

    Every method raises JournalError when the file cannot be read or written; nothing of that change is in it then, and
    the next one may succeed.
    """

    @classmethod
    def open(cls, path: Path | str | None = None, busy_s: float = sqlite.BUSY_S) -> Journal:
        """Open a journal, make it where it is missing, and bring its schema up to date.

        Parameters
        ----------
        path : Path | str | None
            None is `default_path()`.
        busy_s : float
            How long another program may hold the journal before that is an error.

        Raises
        ------
        JournalError
            The file cannot be written, is damaged, is no journal, or was made by a newer version.
        """
        path = default_path() if path is None else Path(path)
        with explained(path):
            return cls(path, open_to_write(path, busy_s), busy_s)

    def begin(self, deployment: Deployment, started: Moment) -> int:
        """Write a deployment and return its id."""
        row = {
            **deployment.__dict__,
            "thresholds": json.dumps(dict(deployment.thresholds), sort_keys=True),
            "started_utc": utc_text(started),
            "started_boottime_s": float(started.boottime_s),
            "clock_set": int(started.clock_set),
        }
        return self._write(lambda: self._insert("deployments", row))

    def end(self, deployment_id: int, ended: Moment) -> None:
        """Write that a deployment ended. One without an end is still running, or lost its power."""
        row = {"ended_utc": utc_text(ended), "ended_boottime_s": float(ended.boottime_s)}

        def update() -> None:
            if not self._update("deployments", deployment_id, row):
                raise self._missing("deployment", deployment_id)

        self._write(update)

    def open_stream(self, deployment_id: int, stream: Stream, started: Moment) -> int:
        """Write that a microphone began to be heard, and return the id of its stream."""
        row = {
            **stream.__dict__,
            "deployment": deployment_id,
            "started_utc": utc_text(started),
            "started_boottime_s": float(started.boottime_s),
            "clock_set": int(started.clock_set),
        }
        return self._write(lambda: self._insert("streams", row))

    def close_stream(self, stream_id: int, ended: Moment, reason: str, lost_samples: int) -> None:
        """Write when and why a stream ended, and how many of its samples never arrived."""
        row = {
            "ended_utc": utc_text(ended),
            "ended_boottime_s": float(ended.boottime_s),
            "end_reason": reason,
            "lost_samples": int(lost_samples),
        }

        def update() -> None:
            if not self._update("streams", stream_id, row):
                raise self._missing("stream", stream_id)

        self._write(update)

    def record(self, stream_id: int, detection: Detection, messages: Messages | None = None) -> int:
        """Write one detection with its candidates and messages; it is on the disk when this returns its id.

        Parameters
        ----------
        messages : Callable[[], Sequence[Message]] | None
            Who is to be told of the detection, once it is confirmed.
        """

        def insert() -> int:
            row = {
                "stream": stream_id,
                "time_utc": utc_text(detection.time),
                "boottime_s": float(detection.time.boottime_s),
                "clock_set": int(detection.time.clock_set),
                "start_s": float(detection.start_s),
                "confirmed": int(detection.confirmed),
                **_stretch(detection),
            }
            detection_id = self._insert("detections", row)
            self._insert_candidates(detection_id, detection)
            self._put_vector(detection_id, detection)
            if detection.confirmed:
                self._queue_of(detection_id, messages)
            return detection_id

        return self._write(insert)

    def extend(self, detection_id: int, detection: Detection) -> None:
        """Write what a detection has become with another window; its beginning and its confirmation stay."""

        def update() -> None:
            if not self._update("detections", detection_id, _stretch(detection)):
                raise self._missing("detection", detection_id)
            self._connection.execute("DELETE FROM candidates WHERE detection = ?", [detection_id])
            self._insert_candidates(detection_id, detection)
            self._put_vector(detection_id, detection)

        self._write(update)

    def together(self, changes: Callable[[], T]) -> T:
        """Make several changes at once: all of them are in the journal, or an error is raised and none is."""
        return self._write(changes)

    def confirm(self, detection_ids: Sequence[int], messages: Messages | None = None) -> None:
        """Confirm detections that waited for more sound, with their messages. One that is confirmed stays as it is."""

        def update() -> None:
            for detection_id in detection_ids:
                if self._update("detections", detection_id, {"confirmed": 1}, "NOT confirmed"):
                    self._queue_of(detection_id, messages)
                elif self.detection(detection_id) is None:
                    raise self._missing("detection", detection_id)

        self._write(update)

    def count(self, stream_id: int, verdict: Verdict, n: int = 1) -> None:
        """Count windows by verdict. It survives a crash of this program, but not always a power failure."""
        sql = (
            "INSERT INTO window_counts VALUES (:stream, :verdict, :n)"
            " ON CONFLICT (stream, verdict) DO UPDATE SET n = n + excluded.n"
        )
        values = {"stream": stream_id, "verdict": Verdict(verdict).value, "n": n}
        self._write(lambda: self._connection.execute(sql, values) and None, durable=False)

    def add_review(self, review: Review, when: datetime | Moment | None = None) -> int:
        """Insert a review of a detection, now if it has no time; earlier reviews are kept."""
        row = {**review.__dict__, "time_utc": utc_text(when or datetime.now(timezone.utc))}

        def insert() -> int:
            if self.detection(review.detection) is None:
                raise self._missing("detection", review.detection)
            return self._insert("reviews", row)

        return self._write(insert)

    def remove_review(self, review_id: int) -> int:
        """Take a review back; the one before it counts again. Returns the number of its detection."""

        def delete() -> int:
            found = self._fetch("SELECT detection FROM reviews WHERE id = :id", {"id": review_id})
            if not found:
                raise self._missing("review", review_id)
            self._connection.execute("DELETE FROM reviews WHERE id = :id", {"id": review_id})
            return int(found[0]["detection"])

        return self._write(delete)

    def file_done(
        self,
        path: str,
        size: int,
        mtime_ns: int,
        stream_id: int | None,
        when: datetime | Moment,
        content: str | None = None,
    ) -> None:
        """Write that every window of a recording is in the journal, or was under another name, without a stream."""
        row = {
            "path": path,
            "size": size,
            "mtime_ns": mtime_ns,
            "stream": stream_id,
            "done_utc": utc_text(when),
            "content": content,
        }

        def replace() -> None:
            self._connection.execute(
                "DELETE FROM files WHERE path = :path AND size = :size AND mtime_ns = :mtime_ns", row
            )
            self._insert("files", row)

        self._write(replace)

    def windows_of(self, *device_ids: str) -> int:
        """How many windows of a recording, by its ids, were counted by runs that did not get to its end."""
        [row] = self._fetch(
            "SELECT coalesce(sum(n), 0) AS n FROM window_counts JOIN streams ON streams.id = stream"
            " WHERE backend = 'file' AND device_id IN (SELECT value FROM json_each(:ids))"
            " AND stream NOT IN (SELECT stream FROM files WHERE stream IS NOT NULL)",
            {"ids": json.dumps(device_ids)},
        )
        return int(row["n"])

    def is_done(self, path: str, size: int, mtime_ns: int) -> bool:
        """Whether a recording of this size and age was done; one whose content was not noted, under any folder."""
        rows = self._fetch(
            "SELECT path, content FROM files WHERE size = :size AND mtime_ns = :mtime_ns",
            {"size": size, "mtime_ns": mtime_ns},
        )
        name = PurePath(path).name
        return any(
            row["path"] == path or (row["content"] is None and PurePath(row["path"]).name == name) for row in rows
        )

    def is_content_done(self, content: str) -> bool:
        """Whether a recording with this content was done, under whatever name."""
        return bool(self._fetch("SELECT 1 FROM files WHERE content = :content LIMIT 1", {"content": content}))

    def newest_time(self) -> str | None:
        """The newest time that a clock which was set wrote, apart from those of recordings; None without one."""
        [row] = self._fetch(
            """
            SELECT max(time) AS time FROM (
                SELECT max(max(started_utc), coalesce(max(ended_utc), '')) AS time FROM deployments WHERE clock_set <> 0
                UNION ALL
                SELECT max(time_utc) FROM detections WHERE clock_set <> 0 AND stream IN (
                    SELECT id FROM streams WHERE backend <> 'file' AND deployment = (SELECT max(id) FROM deployments)
                )
            )
            """
        )
        return row["time"] or None

    def quick_check(self) -> None:
        """Raise `JournalError` when the file is damaged. Others may write meanwhile."""
        with explained(self.path, "read"), closing(open_to_read(self.path)) as connection:
            check_whole(connection, self.path)

    def daily_check(self) -> None:
        """What a long run does once a day: `quick_check`, and the WAL moved into the file and cut to nothing.

        A reader that is in the way is not waited for: the WAL is cut at the next check.
        """
        self.quick_check()
        with self._lock, explained(self.path):
            self._connection.execute("PRAGMA busy_timeout = 1000")  # ms
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {round(1000 * self._busy_s)}")

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _insert_candidates(self, detection_id: int, detection: Detection) -> None:
        for place, one in enumerate(detection.candidates, start=1):
            row = {
                "detection": detection_id,
                "place": place,
                "scientific_name": one.scientific_name,
                "common_name": one.common_name or None,
                "confidence": float(one.confidence),  # a NumPy scalar would be stored as bytes
                "similarity": float(one.similarity),
            }
            self._insert("candidates", row)

    def _put_vector(self, detection_id: int, detection: Detection) -> None:
        if detection.vector is not None:
            blob = np.asarray(detection.vector).astype(VECTOR).tobytes()
            self._connection.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?)", [detection_id, blob])


def _stretch(detection: Detection) -> dict[str, int | float | str | None]:
    """The columns that another window can change."""
    is_species = detection.taxon_rank == RANKS[-1]
    return {
        "end_s": float(detection.end_s),
        "taxon_rank": detection.taxon_rank,
        "scientific_name": detection.scientific_name,
        "common_name": (detection.common_name or None) if is_species else None,
        "confidence": float(detection.confidence),
        "similarity": float(detection.candidates[0].similarity) if is_species and detection.candidates else None,
        "windows": detection.windows,
        "level_dbfs": float(detection.level_dbfs),
        "speech": None if detection.speech is None else float(detection.speech),
    }
