"""The state of a station as its targets tell it: taken from the document of the status file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

LISTENING, ENDED = STATION_STATES = ("listening", "ended")
HEARD = ("hearing", "starting", "back")  # states of a microphone that are no problem


@dataclass(frozen=True)
class StationState:
    """The state of a station and of its microphones, ready for JSON.

    Attributes
    ----------
    station : dict
    microphones : tuple of dict
    """

    station: dict[str, Any]
    microphones: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> StationState:
        """From the document of the status file."""
        microphones = tuple(
            {
                **{key: one.get(key) for key in ("name", "state", "why", "since_utc", "level_dbfs", "lost_samples")},
                "problem": one.get("state") not in HEARD,
            }
            for one in status.get("microphones", ())
        )
        journal, targets = status.get("journal", {}), status.get("targets", {})
        troubles = [f"{one['name']}: {one['state']} ({one['why']})" for one in microphones if one["problem"]]
        troubles += [f"journal: {journal['trouble']}"] if journal.get("trouble") else []
        troubles += [f"{name}: {one['last_error']}" for name, one in targets.items() if one.get("state") == "down"]
        station = {
            "station": status.get("station"),
            "state": status.get("state"),
            "time_utc": status.get("time_utc"),
            "clock_set": status.get("clock_set"),
            "pack": f"{status.get('pack')} {status.get('pack_version')}",
            "detections": status.get("detections"),
            "windows": status.get("windows"),
            "lost_samples": status.get("lost_samples"),
            "memory_mb": status.get("memory_mb"),
            "messages_waiting": sum(max(0, one.get("waiting", 0)) for one in targets.values()),
            "problem": bool(troubles),
            "problems": troubles,
        }
        return cls(station, microphones)

    @property
    def condition(self) -> tuple[Any, ...]:
        """What is published at once when it changes."""
        of_microphones = tuple((one["name"], one["state"], one["problem"]) for one in self.microphones)
        return self.station["state"], self.station["problem"], of_microphones


@runtime_checkable
class Stateful(Protocol):
    """A target that tells the state of the station."""

    def tell(self, state: StationState) -> bool:
        """Take the state, from another thread; whether it should be told at once."""
        ...
