"""Times that were written before the clock was set, or by a clock that was wrong.

What was written first stays in `written_utc`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from edgeapp.clock.utc import after_boot, shifted
from edgeapp.journal.writer import Writer

# Every time that can be corrected: its table, and the seconds since boot that were taken with it.
_TIMES = (
    ("deployments", "started_utc", "started_boottime_s"),
    ("deployments", "ended_utc", "ended_boottime_s"),
    ("streams", "started_utc", "started_boottime_s"),
    ("streams", "ended_utc", "ended_boottime_s"),
    ("clips", "created_utc", "created_boottime_s"),
    ("clips", "started_utc", "started_boottime_s"),
    ("detections", "time_utc", "boottime_s"),
    ("messages", "created_utc", "created_boottime_s"),
    ("microphone_states", "time_utc", "boottime_s"),
    ("sound_levels", "time_utc", "boottime_s"),
)
_STREAMS_OF_BOOT = "SELECT id FROM streams WHERE boot_id = :of"
_STREAMS_OF_DEPLOYMENT = "SELECT id FROM streams WHERE deployment = :of"
_OF_BOOT = {
    "deployments": "id IN (SELECT deployment FROM streams WHERE boot_id = :of)",
    "streams": "boot_id = :of",
    "clips": f"stream IN ({_STREAMS_OF_BOOT})",
    "detections": f"stream IN ({_STREAMS_OF_BOOT})",
    "messages": f"detection IN (SELECT id FROM detections WHERE stream IN ({_STREAMS_OF_BOOT}))",
    "microphone_states": "deployment IN (SELECT deployment FROM streams WHERE boot_id = :of)",
    "sound_levels": f"stream IN ({_STREAMS_OF_BOOT})",
}
_OF_DEPLOYMENT = {
    "deployments": "id = :of",
    "streams": "deployment = :of",
    "clips": f"stream IN ({_STREAMS_OF_DEPLOYMENT})",
    "detections": f"stream IN ({_STREAMS_OF_DEPLOYMENT})",
    "messages": f"detection IN (SELECT id FROM detections WHERE stream IN ({_STREAMS_OF_DEPLOYMENT}))",
    "microphone_states": "deployment = :of",
    "sound_levels": f"stream IN ({_STREAMS_OF_DEPLOYMENT})",
}


class Corrections(Writer):
    """Corrects times, in one transaction each."""

    def correct_times(self, boot_id: str, utc_of_boot: datetime, all_of_boot: bool = False) -> int:
        """Correct what one boot of the machine wrote before its clock was set; returns how many detections.

        Parameters
        ----------
        boot_id : str
        utc_of_boot : datetime
            When the machine was started, by a clock that is set now: `Moment.utc_of_boot`.
        all_of_boot : bool
            Also what was written by a clock that was taken for right.
        """
        wrong = "1" if all_of_boot else "clock_set = 0"

        def corrected(row: dict[str, Any]) -> str:
            return after_boot(utc_of_boot, row["boottime_s"])

        def change() -> int:
            return self._correct(_OF_BOOT, boot_id, f"{wrong} AND {{boottime}} IS NOT NULL", corrected)

        return self._write(change)

    def is_uncorrected(self, boot_id: str) -> bool:
        """Whether a boot of the machine has detections or streams from before its clock was set."""
        rows = self._fetch(
            "SELECT 1 FROM streams WHERE boot_id = :boot AND clock_set = 0 UNION ALL"
            " SELECT 1 FROM detections INDEXED BY detections_of_unset_clock JOIN streams ON streams.id = stream"
            " WHERE detections.clock_set = 0 AND boot_id = :boot LIMIT 1",
            {"boot": boot_id},
        )
        return bool(rows)

    def shift_times(self, deployment_id: int, seconds: float) -> int:
        """Correct a deployment whose clock was wrong by so many seconds; returns how many detections.

        Raises
        ------
        JournalError
            There is no such deployment.
        """

        def later(row: dict[str, Any]) -> str:
            return shifted(row["time"], seconds)

        def change() -> int:
            if not self._fetch("SELECT id FROM deployments WHERE id = :id", {"id": deployment_id}):
                raise self._missing("deployment", deployment_id)
            return self._correct(_OF_DEPLOYMENT, deployment_id, "1", later)

        return self._write(change)

    def _correct(
        self, where: dict[str, str], of: str | int, which: str, corrected: Callable[[dict[str, Any]], str]
    ) -> int:
        changed = 0
        for table, column, boottime in _TIMES:
            rows = self._fetch(
                f"SELECT id, {column} AS time, {boottime} AS boottime_s FROM {table}"
                f" WHERE {where[table]} AND {which.format(boottime=boottime)} AND {column} IS NOT NULL",
                {"of": of},
            )
            first = "written_utc = coalesce(written_utc, time_utc), " if table == "detections" else ""
            self._connection.executemany(
                f"UPDATE {table} SET {first}{column} = ? WHERE id = ?", [(corrected(row), row["id"]) for row in rows]
            )
            if table == "detections":
                changed = len(rows)
        for table, condition in where.items():  # only now: a row may have two times
            marked = "clock_set = 2"
            if table == "clips":  # their files say that the clock was not set, even where the time was right
                marked += ", written_utc = NULL"
            self._connection.execute(
                f"UPDATE {table} SET {marked} WHERE {condition} AND {which.format(boottime=_first_of(table))}",
                {"of": of},
            )
        return changed


def _first_of(table: str) -> str:
    return next(boottime for name, _, boottime in _TIMES if name == table)
