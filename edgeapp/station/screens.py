"""How `listen` shows what it hears: a live table on a terminal, plain lines elsewhere, NDJSON for programs."""

from __future__ import annotations

import json
import math
from collections import deque
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from edgeapp.detections.counting import in_words as counted
from edgeapp.detections.verdict import Verdict
from edgeapp.journal import utc_text
from edgeapp.outputs.json import decision_fields, window_fields
from edgeapp.outputs.words import in_words
from edgeapp.station.microphone_health import Transition
from edgeapp.station.observation import Observation
from edgeapp.station.station import Station
from edgeapp.terminal import tell

ROWS = 12  # detections that stay on a terminal; the journal has them all
REFUSED = (Verdict.BELOW, Verdict.UNLISTED, Verdict.OUT_OF_RANGE, Verdict.SPEECH)


class LiveTable:
    """The newest detections and the state of the microphones, redrawn with every window."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._newest: deque[tuple[str, str, str, str]] = deque(maxlen=ROWS)
        self._states: dict[str, str] = {}
        self._now = self._counted = ""
        self._live = Live(self._table(), console=console, auto_refresh=False)
        self._live.start(refresh=True)

    def show(self, seen: Observation, station: Station) -> None:
        """Redraw."""
        loudness = level(seen.result.level_dbfs)
        if seen.verdict is Verdict.DETECTION:
            time = seen.moment.utc.astimezone().strftime("%H:%M:%S")
            self._newest.append((time, words(seen), f"{seen.mass:.2f}", loudness))
        self._now = f"{seen.verdict.value}, {loudness}"
        self._counted = summary(station)
        self._live.update(self._table(), refresh=True)

    def microphone(self, name: str, transition: Transition) -> None:
        """Redraw with the new state."""
        self._states[name] = f"{name}: {transition.in_words}"
        self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        """Leave the last table on the terminal."""
        self._live.stop()

    def _table(self) -> Table:
        # Text, since a device called "Card [hw:1]" is no markup.
        caption = "\n".join([f"now: {self._now or 'waiting for the first window'}", *self._states.values()])
        heard = Column("heard", ratio=1)
        time = f"time ({datetime.now().astimezone():%z})"
        table = Table(time, heard, "probability", "level", title=Text(self._title), expand=True)
        table.caption = Text(f"{caption}\n{self._counted}".rstrip())
        for row in self._newest:
            table.add_row(*map(Text, row))
        return table


class Lines:
    """One line per detection, and one where the sound turns to nothing known or to silence.

    Not one per window: a station that runs for a year must not fill its log with nights.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: dict[str, Verdict] = {}
        self._lost = 0

    def show(self, seen: Observation, station: Station) -> None:
        """Write a line if there is something new to say."""
        time = seen.moment.utc.astimezone().isoformat(sep=" ", timespec="seconds")
        if station.lost_samples > self._lost:
            tell(f"{time}  {station.lost_samples - self._lost} samples lost")
            self._lost = station.lost_samples
        if seen.verdict is Verdict.DETECTION or seen.verdict is not self._last.get(seen.source):
            parts = [time, f"{seen.result.start_s:9.1f} s", words(seen), level(seen.result.level_dbfs)]
            if len(station.workers) > 1:
                parts.insert(1, seen.source)
            if seen.result.decision is not None:
                parts.append(f"probability {seen.mass:.2f}")
            print(*parts, sep="  ", file=self._stream, flush=True)
        self._last[seen.source] = seen.verdict

    def microphone(self, name: str, transition: Transition) -> None:
        """Nothing: the log tells it on standard error."""

    def close(self) -> None:
        """Nothing to release."""


class NdJson:
    """One event per window, detection or not, and one per change of a microphone's state."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, seen: Observation, station: Station) -> None:
        """``window``: the window of ``identify`` with its time, its source and its verdict."""
        result = seen.result
        self._event(
            "window",
            time=utc_text(seen.moment.utc),
            clock_set=seen.moment.clock_set,
            source=seen.source,
            level_dbfs=round(result.level_dbfs, 1) if math.isfinite(result.level_dbfs) else None,
            heard=result.heard,
            **window_fields(seen.summary),
            decision=decision_fields(result.decision),
            verdict=seen.verdict.value,
            why=seen.why or None,
            lost_samples=station.lost_samples,
        )

    def microphone(self, name: str, transition: Transition) -> None:
        """``microphone``: its name, its state and why."""
        self._event("microphone", source=name, state=transition.state.value, why=transition.why or None)

    def close(self) -> None:
        """Nothing to release."""

    def _event(self, event: str, **fields: object) -> None:
        line = json.dumps({"event": event, **fields}, ensure_ascii=False, allow_nan=False)
        print(line, file=self._stream, flush=True)


def summary(station: Station) -> str:
    """The line at the end: every window is in it once."""
    line = counted(station.counts)
    return f"{line}; {station.lost_samples} samples lost" if station.lost_samples else line


def words(seen: Observation) -> str:
    """What is said of a window, in the words of ``identify``; in brackets what became no detection."""
    told = in_words(seen.summary.decision, seen.summary.inside, seen.result.heard)
    if seen.verdict is Verdict.SPEECH:
        return "(somebody spoke)"
    if seen.verdict is Verdict.UNCONFIRMED:
        return f"({told}: to be confirmed)"
    return f"({told}: {seen.why})" if seen.verdict in REFUSED else told


def level(dbfs: float) -> str:
    """A level for people."""
    return f"{dbfs:.0f} dBFS" if math.isfinite(dbfs) else "no signal"
