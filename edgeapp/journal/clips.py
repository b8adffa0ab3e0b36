"""The clips' rows. A file is deleted only after its row says so, and a locked one never."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from edgeapp.clock.system import Moment
from edgeapp.clock.utc import utc_text
from edgeapp.journal.database import JournalError
from edgeapp.journal.records import Clip, StoredClip
from edgeapp.journal.writer import Writer

_CLIPS = """
    SELECT id, path, coalesce((
        SELECT scientific_name FROM detections WHERE clip = clips.id ORDER BY detections.id LIMIT 1
    ), '') AS species, format, bytes, created_utc, locked, deleted_utc, deleted_why, stream, start_s, end_s, clock_set
    FROM clips
"""


class ClipRows(Writer):
    """The clips of a journal."""

    def add_clip(self, clip: Clip, detection_ids: Sequence[int]) -> int:
        """Insert a clip, and link these detections to it.

        Raises
        ------
        JournalError
            One of the detections is not there; nothing was written.
        """
        row = {
            "path": clip.path,
            "format": clip.format,
            "start_s": float(clip.start_s),
            "end_s": float(clip.end_s),
            "stream": clip.stream,
            "bytes": int(clip.bytes),
            "created_utc": utc_text(clip.created),
            "created_boottime_s": float(clip.created.boottime_s),
            "clock_set": int(clip.created.clock_set),
        }

        def insert() -> int:
            clip_id = self._insert("clips", row)
            for detection_id in detection_ids:
                if not self._update("detections", detection_id, {"clip": clip_id}):
                    raise self._missing("detection", detection_id)
            return clip_id

        return self._write(insert)

    def drop_unused_clip(self, clip_id: int, why: str, when: datetime | Moment) -> bool:
        """Write that a clip is deleted, if no detection has it and it is not locked; whether its file may go."""

        def update() -> bool:
            row = {"deleted_utc": utc_text(when), "deleted_why": why}
            free = "NOT locked AND deleted_utc IS NULL AND NOT EXISTS (SELECT 1 FROM detections WHERE clip = clips.id)"
            return self._update("clips", clip_id, row, free)

        return self._write(update)

    def clips(self, include_deleted: bool = False) -> Iterator[StoredClip]:
        """The clips, the first written first."""
        kept = "" if include_deleted else "WHERE deleted_utc IS NULL"
        for row in self._fetch(f"{_CLIPS} {kept} ORDER BY id"):
            yield StoredClip(**{**row, "locked": bool(row["locked"])})

    def lock_clip(self, clip_id: int, locked: bool) -> None:
        """Lock or unlock a clip.

        Raises
        ------
        JournalError
            There is no such clip, or it was deleted.
        """

        def update() -> None:
            if not self._update("clips", clip_id, {"locked": int(locked)}, "deleted_utc IS NULL"):
                raise self._missing("clip", clip_id)

        self._write(update)

    def delete_clip(self, clip_id: int, why: str, when: datetime | Moment) -> None:
        """Write that a clip is deleted and why; the caller then removes the file. Idempotent.

        Raises
        ------
        JournalError
            There is no such clip, or it is locked; its file must stay.
        """

        def update() -> None:
            row = {"deleted_utc": utc_text(when), "deleted_why": why}
            if self._update("clips", clip_id, row, "NOT locked AND deleted_utc IS NULL"):
                return
            found = self._connection.execute("SELECT locked, deleted_utc FROM clips WHERE id = ?", [clip_id]).fetchone()
            if found is None:
                raise self._missing("clip", clip_id)
            if found[1] is None:
                raise JournalError(f"{self.path}: clip {clip_id} is locked", "unlock it before it is deleted")

        self._write(update)
