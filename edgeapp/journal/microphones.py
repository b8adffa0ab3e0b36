"""Writing what a station knows of its microphones beside their streams: their states, and how loud it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from edgeapp.audio.spectra.sound_meter import SoundLevels
from edgeapp.clock.system import Moment
from edgeapp.clock.utc import utc_text
from edgeapp.journal.writer import Writer


@dataclass(frozen=True)
class MicrophoneState:
    """A microphone has come into a state.

    Attributes
    ----------
    source, device_id : str
        As `edgeapp.journal.records.Stream` has them.
    time : Moment
    state, why : str
        As `edgeapp.station.microphone_health` names them.
    """

    source: str
    device_id: str
    time: Moment
    state: str
    why: str


class MicrophoneRows(Writer):
    """Writes states and sound levels."""

    def add_state(self, deployment_id: int, state: MicrophoneState) -> int:
        """Write that a microphone has come into a state, and return its id."""
        row = {
            "deployment": deployment_id,
            "source": state.source,
            "device_id": state.device_id,
            **_time(state.time),
            "state": state.state,
            "why": state.why,
        }
        return self._write(lambda: self._insert("microphone_states", row))

    def add_levels(self, stream_id: int, time: Moment, levels: SoundLevels, lost_samples: int) -> int:
        """Write the levels of a minute that began then; as a count, it may be gone after a power failure.

        `lost_samples` of it never arrived and were measured as silence.
        """
        row = {
            "stream": stream_id,
            **_time(time),
            **levels.__dict__,
            "bands_dbfs": json.dumps(levels.bands_dbfs),
            "lost_samples": lost_samples,
        }
        return self._write(lambda: self._insert("sound_levels", row), durable=False)

    def forget_levels(self, before: datetime | Moment) -> int:
        """Delete sound levels that are older; returns how many. Those whose time is not known yet stay."""
        sql = "DELETE FROM sound_levels WHERE time_utc < :before AND clock_set"
        return self._write(lambda: self._connection.execute(sql, {"before": utc_text(before)}).rowcount)


def _time(time: Moment) -> dict[str, str | float | int]:
    return {
        "time_utc": utc_text(time),
        "boottime_s": float(time.boottime_s),
        "clock_set": int(time.clock_set),
    }
