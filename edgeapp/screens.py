"""How `listen` shows what it hears: a live table on a terminal, plain lines elsewhere, NDJSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from edgeapp.journal import utc_text
from edgeapp.outputs.json import decision_fields, window_fields
from edgeapp.outputs.words import in_words
from edgeapp.pipeline import WindowResult, WindowSummary
from edgeapp.station.clock import Moment
from edgeapp.station.verdict import Verdict

ROWS = 12  # detections that stay on a terminal; the journal has them all


@dataclass(frozen=True)
class Observation:
    """One window as it is shown.

    Attributes
    ----------
    time : Moment
        When the window began.
    """

    time: Moment
    result: WindowResult
    summary: WindowSummary
    verdict: Verdict


class Screen(Protocol):
    """One way to show observations. `show` is called after the journal has the row."""

    def show(self, observation: Observation, counts: Mapping[Verdict, int], lost_samples: int) -> None: ...

    def close(self) -> None: ...


class LiveTable:
    """The newest detections and the state of the microphone, redrawn with every window."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._newest: deque[tuple[str, str, str, str]] = deque(maxlen=ROWS)
        self._live = Live(self._table("waiting for the first window"), console=console, auto_refresh=False)
        self._live.start(refresh=True)

    def show(self, observation: Observation, counts: Mapping[Verdict, int], lost_samples: int) -> None:
        """Redraw."""
        loudness = level(observation.result.level_dbfs)
        if observation.verdict is Verdict.DETECTION:
            time = observation.time.utc.astimezone().strftime("%H:%M:%S")
            self._newest.append((time, words(observation), f"{mass(observation):.2f}", loudness))
        now = f"{observation.verdict.value}, {loudness}"
        self._live.update(self._table(f"now: {now}\n{in_one_line(counts, lost_samples)}"), refresh=True)

    def close(self) -> None:
        """Leave the last table on the terminal."""
        self._live.stop()

    def _table(self, caption: str) -> Table:
        # Text, since a device called "Card [hw:1]" is no markup.
        heard = Column("heard", ratio=1)
        table = Table("time", heard, "probability", "level", title=Text(self._title), caption=caption, expand=True)
        for row in self._newest:
            table.add_row(*map(Text, row))
        return table


class Lines:
    """One line per detection, and one where the sound turns to nothing known or to silence.

    Not one per window: a station that runs for a year must not fill its log with nights.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: Verdict | None = None
        self._dropped = 0

    def show(self, observation: Observation, counts: Mapping[Verdict, int], lost_samples: int) -> None:
        """Write a line if there is something new to say."""
        time = observation.time.utc.astimezone().isoformat(sep=" ", timespec="seconds")
        if lost_samples > self._dropped:
            print(f"{time}  {lost_samples - self._dropped} samples dropped", file=sys.stderr, flush=True)
            self._dropped = lost_samples
        if observation.verdict is Verdict.DETECTION or observation.verdict is not self._last:
            parts = [
                time,
                f"{observation.result.start_s:9.1f} s",
                words(observation),
                level(observation.result.level_dbfs),
            ]
            if observation.result.decision is not None:
                parts.append(f"probability {mass(observation):.2f}")
            print(*parts, sep="  ", file=self._stream, flush=True)
        self._last = observation.verdict

    def close(self) -> None:
        """Nothing to release."""


class NdJson:
    """One event per window, detection or not: the window of ``identify`` with its time and its verdict."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, observation: Observation, counts: Mapping[Verdict, int], lost_samples: int) -> None:
        """Write the window."""
        result = observation.result
        event = {
            "event": "window",
            "time": utc_text(observation.time),
            "level_dbfs": round(result.level_dbfs, 1) if math.isfinite(result.level_dbfs) else None,
            "heard": result.heard,
            **window_fields(observation.summary),
            "decision": decision_fields(result.decision),
            "verdict": observation.verdict.value,
            "dropped_samples": lost_samples,
        }
        print(json.dumps(event, ensure_ascii=False, allow_nan=False), file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to release."""


def in_one_line(counts: Mapping[Verdict, int], lost_samples: int) -> str:
    """The line at the end: every window is in it once."""
    told = {verdict: counts.get(verdict, 0) for verdict in Verdict}
    line = (
        f"{sum(told.values())} windows: {told[Verdict.DETECTION]} detections, {told[Verdict.NOTHING]} nothing,"
        f" {told[Verdict.SILENT]} silent"
    )
    if told[Verdict.BELOW]:
        line += f", {told[Verdict.BELOW]} below --min-probability"
    return f"{line}, dropped samples {lost_samples}"


def words(observation: Observation) -> str:
    """What is said of a window, in the words of ``identify``."""
    told = in_words(observation.summary.decision, observation.summary.inside, observation.result.heard)
    return f"(too unsure: {told})" if observation.verdict is Verdict.BELOW else told


def level(dbfs: float) -> str:
    """A level for people."""
    return f"{dbfs:.0f} dBFS" if math.isfinite(dbfs) else "no signal"


def mass(observation: Observation) -> float:
    """Summed probability of the decision, 0 without one."""
    return observation.result.decision.mass if observation.result.decision else 0.0
