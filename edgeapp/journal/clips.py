"""The clips' rows. A file is deleted only after its row says so, and a locked one never."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePath

from edgeapp.clock.system import Moment
from edgeapp.clock.utc import utc_text
from edgeapp.journal.database import JournalError
from edgeapp.journal.records import CLIP_PARTS, CLIP_PATH, CLIPS, Clip, ClipToRename, MissingClip, StoredClip
from edgeapp.journal.writer import Writer

_CLIPS = f"""
    SELECT clips.id, {CLIP_PATH} AS path, coalesce((
        SELECT scientific_name FROM detections WHERE clip = clips.id ORDER BY detections.id LIMIT 1
    ), '') AS species, format, bytes, created_utc, locked, deleted_utc, deleted_why, stream, start_s, end_s, clock_set
    FROM {CLIPS}
"""

_AS_WRITTEN = "UPDATE clips SET written_utc = started_utc WHERE id = ?"


class ClipRows(Writer):
    """The clips of a journal."""

    def add_clip(self, clip: Clip, detection_ids: Sequence[int]) -> int:
        """Insert a clip, and link these detections to it.

        Raises
        ------
        JournalError
            One of the detections is not there; nothing was written.
        """
        folder, below = split(clip.path)
        row: dict[str, object] = {
            "path": below,
            "format": clip.format,
            "start_s": float(clip.start_s),
            "end_s": float(clip.end_s),
            "stream": clip.stream,
            "bytes": int(clip.bytes),
            "created_utc": utc_text(clip.created),
            "created_boottime_s": float(clip.created.boottime_s),
            "clock_set": int(clip.created.clock_set),
            "sha256": clip.sha256,
        }
        if clip.started is not None:
            row |= {
                "started_utc": utc_text(clip.started),
                "started_boottime_s": float(clip.started.boottime_s),
                "written_utc": utc_text(clip.started),
                "clock_set": int(clip.created.clock_set and clip.started.clock_set),
            }

        def insert() -> int:
            clip_id = self._insert("clips", {**row, "folder": self._folder(folder)})
            for detection_id in detection_ids:
                if not self._update("detections", detection_id, {"clip": clip_id}):
                    raise self._missing("detection", detection_id)
            self._call_after(self.on_queued)  # a message may have waited for it
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
        for row in self._fetch(f"{_CLIPS} {kept} ORDER BY clips.id"):
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

    def clips_to_rename(self, n: int) -> list[ClipToRename]:
        """Clips whose names and metadata say another beginning than the journal, or that left a file behind."""
        rows = self._fetch(
            f"SELECT clips.id, {CLIP_PATH} AS path, started_utc, left_path,"
            " clock_set <> 0 AS clock_set, started_utc IS written_utc OR deleted_utc IS NOT NULL AS renamed"
            f" FROM {CLIPS}"
            " WHERE (started_utc IS NOT written_utc OR left_path IS NOT NULL)"
            " AND (deleted_utc IS NULL OR left_path IS NOT NULL)"
            " ORDER BY clips.id LIMIT :n",
            {"n": n},
        )
        return [
            ClipToRename(**{**row, "clock_set": bool(row["clock_set"]), "renamed": bool(row["renamed"])})
            for row in rows
        ]

    def clip_renamed(self, clip: ClipToRename, path: str, size: int, sha256: str) -> bool:
        """Write that a clip has another file, with its right beginning; False where another program was first.

        The earlier file is remembered until `clip_left` says that it is gone.
        """
        folder, below = split(path)

        def update() -> bool:
            row = {
                "folder": self._folder(folder),
                "path": below,
                "bytes": size,
                "sha256": sha256,
                "written_utc": clip.started_utc,
                "left_path": None if path == clip.path else clip.path,
            }
            return self._update("clips", clip.id, row, "left_path IS NULL AND deleted_utc IS NULL")

        return self._write(update)

    def clip_kept_its_name(self, clip_id: int) -> None:
        """Write that a clip cannot be renamed: it is not tried again until its beginning changes."""
        self._write(lambda: self._connection.execute(_AS_WRITTEN, [clip_id]) and None)

    def clip_left(self, clip_id: int) -> None:
        """Write that the earlier file of a clip is gone."""
        self._write(lambda: self._update("clips", clip_id, {"left_path": None}) and None)

    def clip_folders(self) -> dict[int, str]:
        """The folders in which clips lie, by their numbers."""
        return {row["id"]: row["path"] for row in self._fetch("SELECT id, path FROM clip_folders ORDER BY id")}

    def clips_of_folder(self, folder_id: int, n: int) -> list[str]:
        """Paths of the newest clips of a folder, below it, that were not deleted; at most `n`."""
        sql = "SELECT path FROM clips WHERE folder = :folder AND deleted_utc IS NULL ORDER BY id DESC LIMIT :n"
        return [row["path"] for row in self._fetch(sql, {"folder": folder_id, "n": n})]

    def move_clip_folder(self, folder_id: int, path: str) -> None:
        """Write that all clips of a folder lie in another one now, by the same names."""

        def update() -> None:
            moved = self._folder(path)
            self._connection.execute("UPDATE clips SET folder = ? WHERE folder = ?", [moved, folder_id])

        self._write(update)

    def clips_to_find(self) -> list[MissingClip]:
        """Clips that were not deleted, and whose files are not there."""
        rows = self._fetch(
            f"SELECT clips.id, {CLIP_PATH} AS path, clips.path AS below, bytes, sha256 FROM {CLIPS}"
            " WHERE deleted_utc IS NULL ORDER BY clips.id"
        )
        return [MissingClip(**row) for row in rows if not Path(row["path"]).is_file()]

    def place_clip(self, clip_id: int, folder: str, below: str) -> None:
        """Write where the file of a clip is now."""
        self._write(lambda: self._update("clips", clip_id, {"folder": self._folder(folder), "path": below}) and None)

    def _folder(self, path: str | None) -> int | None:
        if path is None:
            return None
        self._connection.execute("INSERT OR IGNORE INTO clip_folders (path) VALUES (?)", [path])
        return int(self._fetch("SELECT id FROM clip_folders WHERE path = :path", {"path": path})[0]["id"])


def split(path: str) -> tuple[str | None, str]:
    """The folder of the clips, and the path of a clip below it; no folder where a path is none of a clip."""
    pure = PurePath(path)
    if not pure.is_absolute() or len(pure.parts) <= CLIP_PARTS:
        return None, path
    folder = pure.parents[CLIP_PARTS - 1]
    return str(folder), pure.relative_to(folder).as_posix()
