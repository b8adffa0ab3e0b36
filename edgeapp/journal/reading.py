"""Queries of a journal, by its writer and by concurrent readers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgeapp.clock.utc import utc_text
from edgeapp.detections.pictures import DocumentPictures
from edgeapp.detections.sharing import EXACT
from edgeapp.detections.verdict import Verdict
from edgeapp.journal.database import check_whole, default_path, explained, open_to_read
from edgeapp.journal.documents import detection_of, document_of, id_of
from edgeapp.journal.records import CLIP_PATH, CLIPS
from edgeapp.journal.schema_of_messages import UNSENT
from gallery.naming import Naming

_NAMED = """EXISTS (
    SELECT 1 FROM json_each(:species) WHERE lower(value) IN (lower(scientific_name), lower(common_name))
)"""
VECTOR = np.dtype("<f2")  # of stored vectors; a cosine of two of them is right to three digits
PAGE = 500  # rows read at a time: a reader that is slow to read on never holds the writer's WAL


class Questions:
    """Queries of an open journal.

    Attributes
    ----------
    naming : Naming
        What taxa are called in documents; the journal itself keeps scientific and English names.
    pictures : DocumentPictures or None
        Gives the pictures of documents; none without.
    share_location : str
        How much of the location is in documents: one of `edgeapp.detections.sharing.SHARING`.
    """

    naming: Naming = Naming()
    pictures: DocumentPictures | None = None
    share_location: str = EXACT

    def _fetch(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        raise NotImplementedError

    def detections(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        species: str | Sequence[str] | None = None,
        newest: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Confirmed detections in full, in the order they were written: the rows of the view ``detections_in_full``.

        Parameters
        ----------
        since, until : datetime | None
            Aware; detections that began at or after the first and before the second.
        species : str | Sequence[str] | None
            Scientific or common name of the taxon, or several of which it has one; case does not matter.
        newest : int | None
            Only so many, the last ones.
        """
        names = [species] if isinstance(species, str) else species
        wanted = None if names is None else json.dumps([name.lower() for name in names])
        conditions = {
            "time_utc >= :since": ("since", since and utc_text(since)),
            "time_utc < :until": ("until", until and utc_text(until)),
            _NAMED: ("species", wanted),
        }
        asked = {condition: pair for condition, pair in conditions.items() if pair[1] is not None}
        values = dict(asked.values())
        where = " AND ".join(["id > :after", *asked])
        after = 0
        if newest is not None:
            oldest = self._fetch(
                f"SELECT id FROM detections_in_full WHERE {where} ORDER BY id DESC LIMIT :newest",
                {**values, "after": 0, "newest": newest},
            )
            if not oldest:
                return
            after = oldest[-1]["id"] - 1
        while rows := self._fetch(
            f"SELECT * FROM detections_in_full WHERE {where} ORDER BY id LIMIT {PAGE}", {**values, "after": after}
        ):
            yield from rows
            after = rows[-1]["id"]

    def microphone_states(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[dict[str, Any]]:
        """States into which microphones came at or after the one time and before the other, in order."""
        yield from self._paged(
            "SELECT microphone_states.*, station FROM microphone_states"
            " JOIN deployments ON deployments.id = deployment WHERE microphone_states.id > :after",
            since,
            until,
        )

    def sound_levels(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[dict[str, Any]]:
        """Levels of minutes that began at or after the one time and before the other, in order; bands as a list."""
        for row in self._paged(
            "SELECT sound_levels.*, source, device_id, channel, rate_hz, station FROM sound_levels"
            " JOIN streams ON streams.id = stream JOIN deployments ON deployments.id = streams.deployment"
            " WHERE sound_levels.id > :after",
            since,
            until,
        ):
            yield {**row, "bands_dbfs": json.loads(row["bands_dbfs"])}

    def most_bands(self) -> int:
        """Most third-octave bands of a minute."""
        [row] = self._fetch("SELECT coalesce(max(json_array_length(bands_dbfs)), 0) AS n FROM sound_levels")
        return int(row["n"])

    def _paged(self, sql: str, since: datetime | None, until: datetime | None) -> Iterator[dict[str, Any]]:
        values = {"since": since and utc_text(since), "until": until and utc_text(until)}
        limits = [
            f" AND time_utc {sign} :{name}"
            for name, sign in (("since", ">="), ("until", "<"))
            if values[name] is not None
        ]
        after = 0
        while rows := self._fetch(f"{sql}{''.join(limits)} ORDER BY 1 LIMIT {PAGE}", {**values, "after": after}):
            yield from rows
            after = rows[-1]["id"]

    def columns(self) -> list[str]:
        """Names of what a row of `detections` holds, in order."""
        return [row["name"] for row in self._fetch("SELECT name FROM pragma_table_info('detections_in_full')")]

    def detection(self, detection_id: int) -> dict[str, Any] | None:
        """One detection as its table has it, confirmed or not; None when there is none."""
        return next(iter(self._fetch("SELECT * FROM detections WHERE id = :id", {"id": detection_id})), None)

    def candidates(self, detection_id: int) -> list[dict[str, Any]]:
        """The candidates of one detection, the most confident first."""
        return self._fetch("SELECT * FROM candidates WHERE detection = :id ORDER BY place", {"id": detection_id})

    def reviewed(self) -> list[dict[str, Any]]:
        """Confirmed detections that have a review, in full, in the order they were written."""
        return self._fetch("SELECT * FROM detections_in_full WHERE id IN (SELECT detection FROM reviews) ORDER BY id")

    def vector(self, detection_id: int) -> np.ndarray | None:
        """Vector [dim] float32 of a detection's most confident window, as the encoder gave it; None without one.

        It is of the space that the detection's row in full names.
        """
        rows = self._fetch("SELECT float16 FROM vectors WHERE detection = :id", {"id": detection_id})
        return np.frombuffer(rows[0]["float16"], VECTOR).astype(np.float32) if rows else None

    def in_full(self, detection_id: int) -> dict[str, Any] | None:
        """One confirmed detection as `detections` gives it; None when there is none."""
        return next(iter(self._fetch("SELECT * FROM detections_in_full WHERE id = :id", {"id": detection_id})), None)

    def number_of(self, id: str) -> int | None:
        """The number of the confirmed detection whose document has this id; None when there is none."""
        return next((row["id"] for row in self.detections() if id_of(row) == id), None)

    def document(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The detection document of a row that `detections` gave."""
        candidates, shown = self.candidates(row["id"]), []
        if self.pictures is not None:
            detection = detection_of(row, candidates)
            shown = self.pictures.fields(detection, row["space"], lambda: self.vector(row["id"]))
        return document_of(row, candidates, self.naming, shown, self.share_location)

    def reviews(self, detection_id: int) -> list[dict[str, Any]]:
        """Reviews of one detection; the last one counts."""
        return self._fetch("SELECT * FROM reviews WHERE detection = :id ORDER BY id", {"id": detection_id})

    def counts(self, deployment_id: int) -> dict[Verdict, int]:
        """Number of windows of a deployment per verdict, without zeros."""
        rows = self._fetch(
            "SELECT verdict, sum(n) AS n FROM window_counts JOIN streams ON streams.id = stream"
            " WHERE deployment = :deployment GROUP BY verdict",
            {"deployment": deployment_id},
        )
        found = {row["verdict"]: row["n"] for row in rows}
        return {verdict: found[verdict.value] for verdict in Verdict if verdict.value in found}

    def windows(self) -> dict[int, int]:
        """Number of windows of each stream, whatever became of them."""
        rows = self._fetch("SELECT stream, sum(n) AS n FROM window_counts GROUP BY stream")
        return {row["stream"]: row["n"] for row in rows}

    def detected(self, deployment_id: int) -> int:
        """How many confirmed detections a deployment has."""
        sql = "SELECT count(*) AS n FROM detections_in_full WHERE deployment = :deployment"
        return int(self._fetch(sql, {"deployment": deployment_id})[0]["n"])

    def deployments(self) -> list[dict[str, Any]]:
        """Every deployment with its streams, oldest first."""
        streams = self._fetch("SELECT * FROM streams ORDER BY id")
        return [
            {**row, "streams": [stream for stream in streams if stream["deployment"] == row["id"]]}
            for row in self._fetch("SELECT * FROM deployments ORDER BY id")
        ]

    def sizes(self) -> dict[str, int]:
        """How many rows of each kind there are."""
        return {
            name: self._fetch(f"SELECT count(*) AS n FROM {source}")[0]["n"]
            for name, source in {
                "deployments": "deployments",
                "streams": "streams",
                "detections": "detections WHERE confirmed",
                "unconfirmed": "detections WHERE NOT confirmed",
                "uncertain_times": "detections WHERE clock_set = 0",
                "reviews": "reviews",
                "clips": "clips WHERE deleted_utc IS NULL",
                "messages_waiting": f"messages WHERE {UNSENT}",
            }.items()
        }


class Reader(Questions):
    """A journal that is only read; a context manager. Others may write to it meanwhile.

    Raises
    ------
    JournalError
        There is none, it cannot be read, it is none, or another version wrote it.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = default_path() if path is None else Path(path)
        self._connection = open_to_read(self.path)

    def _fetch(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with explained(self.path, "read"):
            cursor = self._connection.execute(sql, dict(values or {}))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def quick_check(self) -> None:
        """Raise `JournalError` when the file is damaged."""
        with explained(self.path, "read"):
            check_whole(self._connection, self.path)

    def strays(self) -> list[str]:
        """Rows that refer to a row which is not there, in words."""
        with explained(self.path, "read"):
            found: list[sqlite3.Row] = self._connection.execute("PRAGMA foreign_key_check").fetchall()
        return [f"{table} {row_id} refers to {parent} that do not exist" for table, row_id, parent, _ in found]

    def missing_clips(self) -> list[dict[str, Any]]:
        """Clips that were not deleted and whose files are not there."""
        kept = self._fetch(
            f"SELECT clips.id, {CLIP_PATH} AS path FROM {CLIPS} WHERE deleted_utc IS NULL ORDER BY clips.id"
        )
        return [row for row in kept if not Path(row["path"]).is_file()]

    def close(self) -> None:
        """Close the file; idempotent."""
        self._connection.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
