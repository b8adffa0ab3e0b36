"""How `listen` shows what it hears: a live table on a terminal, plain lines elsewhere, NDJSON for programs."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from edgeapp.journal import Counts, utc_text
from edgeapp.pipeline import WindowResult
from gallery.decision import RankedSpecies

ROWS = 12  # detections that stay on a terminal; the journal has them all


class Verdict(str, Enum):
    """How a window ended."""

    DETECTION = "detection"
    BELOW = "below"  # a decision under the least probability asked for
    NOTHING = "nothing"
    SILENT = "silent"


@dataclass(frozen=True)
class Observation:
    """One window as it is shown.

    Attributes
    ----------
    time : datetime
        When the window began, aware.
    species : tuple of RankedSpecies
        Best first; empty when the window was silent.
    """

    time: datetime
    result: WindowResult
    species: tuple[RankedSpecies, ...]
    verdict: Verdict


class Screen(Protocol):
    """One way to show observations. `show` is called after the journal has the row."""

    def show(self, observation: Observation, counts: Counts) -> None: ...

    def close(self) -> None: ...


class LiveTable:
    """The newest detections and the state of the microphone, redrawn with every window."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._newest: deque[tuple[str, ...]] = deque(maxlen=ROWS)
        self._live = Live(self._table("waiting for the first window"), console=console, auto_refresh=False)
        self._live.start(refresh=True)

    def show(self, observation: Observation, counts: Counts) -> None:
        """Redraw."""
        if observation.verdict is Verdict.DETECTION:
            self._newest.append(
                (
                    _clock(observation.time),
                    claim(observation),
                    f"{_mass(observation):.2f}",
                    f"{observation.species[0].similarity:.2f}",
                    level(observation.result.level_dbfs),
                )
            )
        now = f"{observation.verdict.value} at {level(observation.result.level_dbfs)}, {summary(counts)}"
        self._live.update(self._table(now), refresh=True)

    def close(self) -> None:
        """Leave the last table on the terminal."""
        self._live.stop()

    def _table(self, caption: str) -> Table:
        table = Table(
            "time", "heard", "probability", "similarity", "level", title=self._title, caption=caption, expand=True
        )
        for row in self._newest:
            table.add_row(*row)
        return table


class Lines:
    """One line per detection, and one where the sound turns to nothing known or to silence.

    Not one per window: a station that runs for a year must not fill its log with nights.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: Verdict | None = None

    def show(self, observation: Observation, counts: Counts) -> None:
        """Write a line if there is something new to say."""
        if observation.verdict is Verdict.DETECTION:
            best = observation.species[0]
            told = f"{claim(observation)}  probability {_mass(observation):.2f}  similarity {best.similarity:.2f}"
        elif observation.verdict is not self._last:
            told = observation.verdict.value
        else:
            return
        self._last = observation.verdict
        where = f"{observation.result.start_s:9.1f} s"
        print(
            _stamp(observation.time),
            where,
            told,
            level(observation.result.level_dbfs),
            sep="  ",
            file=self._stream,
            flush=True,
        )

    def close(self) -> None:
        """Nothing to release."""


class NdJson:
    """One JSON document per window, detection or not; a program filters by ``verdict``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, observation: Observation, counts: Counts) -> None:
        """Write the window."""
        print(json.dumps(document(observation), allow_nan=False), file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to release."""


def document(observation: Observation) -> dict[str, Any]:
    """An observation as JSON: the window of ``identify``, with its time, level, decision and verdict."""
    result = observation.result
    return {
        "time": utc_text(observation.time),
        "start_s": result.start_s,
        "end_s": result.end_s,
        "level_dbfs": round(result.level_dbfs, 1) if math.isfinite(result.level_dbfs) else None,
        "verdict": observation.verdict.value,
        "decision": asdict(result.decision) if result.decision else None,
        "species": [asdict(species) for species in observation.species],
    }


def summary(counts: Counts) -> str:
    """The line at the end: every window is in it once."""
    line = f"{counts.windows} windows: {counts.detections} detections, {counts.nothing} nothing, {counts.silent} silent"
    if counts.below:
        line += f", {counts.below} below --min-probability"
    return f"{line}, dropped samples {counts.dropped_samples}"


def claim(observation: Observation) -> str:
    """What is said to have been heard: "Parus major (Great Tit)", or "genus Parus, probably Parus major"."""
    decision = observation.result.decision
    best = observation.species[0]
    if decision is None or decision.rank == "species":
        return f"{best.scientific_name} ({best.common_name})" if best.common_name else best.scientific_name
    return f"{decision.rank} {decision.name}, probably {best.scientific_name}"


def level(dbfs: float) -> str:
    """A level for people."""
    return f"{dbfs:.0f} dBFS" if math.isfinite(dbfs) else "no signal"


def _mass(observation: Observation) -> float:
    return observation.result.decision.mass if observation.result.decision else 0.0


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%H:%M:%S")


def _stamp(time: datetime) -> str:
    return time.astimezone().isoformat(sep=" ", timespec="seconds")
