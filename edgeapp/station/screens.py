"""Screens of `listen`: a live table on a terminal, plain lines elsewhere, NDJSON for programs."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from edgeapp.clock.utc import utc_text
from edgeapp.detections.counting import in_words as counted
from edgeapp.detections.document import CLOCK_SET, CLOCK_UNSET, cleaned
from edgeapp.detections.verdict import Verdict
from edgeapp.file_names import printable
from edgeapp.outputs.json import window_fields
from edgeapp.outputs.words import NOTHING_HEARD, NOTHING_KNOWN, in_words
from edgeapp.station.microphone_health import Transition
from edgeapp.station.observation import Observation, Outcome
from edgeapp.station.station import Screen, Station
from edgeapp.terminal import tell
from gallery.naming import Naming
from gallery.recognition import Detection

ROWS = 12  # detections that stay on a terminal; the journal has them all
SOMEBODY_SPOKE = "(somebody spoke)"


@dataclass
class _Shown:
    """A row of the live table: a taxon in consecutive windows."""

    time: str
    words: str
    confidence: float
    level: str


class LiveTable:
    """The newest detections and the state of the microphones, redrawn with every window."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._newest: deque[_Shown] = deque(maxlen=ROWS)
        self._open: dict[str, dict[tuple[str, ...], _Shown]] = {}  # by source and taxon, of the last window
        self._states: dict[str, str] = {}
        self._now = self._counted = ""
        self._live = Live(self._table(), console=console, auto_refresh=False)
        self._live.start(refresh=True)

    def show(self, seen: Observation, station: Station) -> None:
        """Redraw. A taxon that goes on from the window before stays in its row."""
        loudness = level(seen.result.level_dbfs)
        before, now = self._open.get(seen.source, {}), {}
        for one in seen.detected:
            shown = before.get(one.path)
            if shown is None:
                time = seen.moment.utc.astimezone().strftime("%H:%M:%S")
                shown = _Shown(time, in_words(one), one.confidence, loudness)
                self._newest.append(shown)
            elif one.confidence > shown.confidence:
                shown.words, shown.confidence, shown.level = in_words(one), one.confidence, loudness
            now[one.path] = shown
        self._open[seen.source] = now
        self._now = f"{seen.verdict.value}, {loudness}"
        self._counted = summary(station)
        self._live.update(self._table(), refresh=True)

    def detection(self, document: dict[str, Any]) -> None:
        """Nothing: it is in the table since it began."""

    def microphone(self, name: str, transition: Transition) -> None:
        """Redraw with the new state."""
        self._states[name] = f"{name}: {transition.in_words}"
        self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        """Leave the last table on the terminal."""
        self._live.stop()

    def _table(self) -> Table:
        # Text, since a device called "Card [hw:1]" is no markup.
        said = [f"now: {self._now or 'waiting for the first window'}", *self._states.values()]
        caption = "\n".join(map(printable, said))
        detected = Column("detected", ratio=1)
        time = f"time ({datetime.now().astimezone():%z})"
        table = Table(time, detected, "confidence", "level", title=Text(printable(self._title)), expand=True)
        table.caption = Text(f"{caption}\n{self._counted}".rstrip())
        for row in self._newest:
            table.add_row(
                *(Text(printable(cell)) for cell in (row.time, row.words, f"{row.confidence:.2f}", row.level))
            )
        return table


class Lines:
    """One line per detection, when it begins, and one where the sound turns to nothing known or to silence.

    Not one per window: a station that runs for a year must not fill its log with silent nights.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: dict[str, tuple[Verdict, set[tuple[str, ...]]]] = {}
        self._lost = 0

    def show(self, seen: Observation, station: Station) -> None:
        """Write a line for each taxon that the window before did not have, or for another end of the window."""
        time = seen.moment.utc.astimezone().isoformat(sep=" ", timespec="seconds")
        if station.lost_samples > self._lost:
            tell(f"{time}  {station.lost_samples - self._lost} samples lost")
            self._lost = station.lost_samples
        last, before = self._last.get(seen.source, (None, set[tuple[str, ...]]()))
        head = [time, f"{seen.result.start_s:9.1f} s"]
        if len(station.workers) > 1:
            head.insert(1, seen.source)
        for one in seen.detected:
            if one.path not in before:
                self._print(*head, in_words(one), level(seen.result.level_dbfs), _confidence(one))
        if seen.verdict is not Verdict.DETECTION and seen.verdict is not last:
            refused = [_confidence(one.detection) for one in seen.outcomes[:1]]
            self._print(*head, words(seen), level(seen.result.level_dbfs), *refused)
        self._last[seen.source] = seen.verdict, {one.path for one in seen.detected}

    def detection(self, document: dict[str, Any]) -> None:
        """Nothing: its line was written when it began."""

    def microphone(self, name: str, transition: Transition) -> None:
        """Nothing: the log tells it on standard error."""

    def close(self) -> None:
        """Nothing to release."""

    def _print(self, *parts: str) -> None:
        print(*map(printable, parts), sep="  ", file=self._stream, flush=True)


class NdJson:
    """Events: ``window`` for every window, ``detection`` for every detection, ``microphone`` for every change of one.

    A detection is told once, when it is over: its end is known then, and its confidence is that of its most confident
    window.
    One that waits for its confirmation is told once it has that too. Its windows tell of it while it goes on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, seen: Observation, station: Station) -> None:
        """``window``: see `window_event`."""
        self._event("window", **window_event(seen, station))

    def detection(self, document: dict[str, Any]) -> None:
        """``detection``: the detection document."""
        self._event("detection", **document)

    def microphone(self, name: str, transition: Transition) -> None:
        """``microphone``: its name, its state and why."""
        self._event("microphone", source=cleaned(name), state=transition.state.value, why=transition.why or None)

    def close(self) -> None:
        """Nothing to release."""

    def _event(self, event: str, **fields: object) -> None:
        line = json.dumps({"event": event, **fields}, ensure_ascii=False, allow_nan=False)
        print(line, file=self._stream, flush=True)


class Named:
    """A screen that shows names in a language; documents have theirs from the journal.

    Parameters
    ----------
    screen : Screen
    naming : Naming
    """

    def __init__(self, screen: Screen, naming: Naming) -> None:
        self._screen, self._naming = screen, naming

    def show(self, seen: Observation, station: Station) -> None:
        """Show the window with its names."""
        self._screen.show(seen.named(self._naming), station)

    def detection(self, document: dict[str, Any]) -> None:
        """Show the document."""
        self._screen.detection(document)

    def microphone(self, name: str, transition: Transition) -> None:
        """Show the microphone."""
        self._screen.microphone(name, transition)

    def close(self) -> None:
        """Close the screen."""
        self._screen.close()


class Several:
    """Screens that all show the same.

    Parameters
    ----------
    *screens : Screen
        In this order.
    """

    def __init__(self, *screens: Screen) -> None:
        self._screens = screens

    def show(self, seen: Observation, station: Station) -> None:
        """Show the window."""
        for screen in self._screens:
            screen.show(seen, station)

    def detection(self, document: dict[str, Any]) -> None:
        """Show the document."""
        for screen in self._screens:
            screen.detection(document)

    def microphone(self, name: str, transition: Transition) -> None:
        """Show the microphone."""
        for screen in self._screens:
            screen.microphone(name, transition)

    def close(self) -> None:
        """Close the screens."""
        for screen in self._screens:
            screen.close()


def window_event(seen: Observation, station: Station) -> dict[str, Any]:
    """A window for programs: as in ``identify``, with its time and source, and how it and its detections ended."""
    fields = window_fields(seen.result, seen.species)
    for one, outcome in zip(fields["detections"], seen.outcomes, strict=True):
        one |= {"verdict": outcome.verdict.value, "why": outcome.why or None}
    return {
        "time": utc_text(seen.moment),
        "clock": CLOCK_SET if seen.moment.clock_set else CLOCK_UNSET,
        "source": cleaned(seen.source),
        **fields,
        "verdict": seen.verdict.value,
        "why": seen.why or None,
        "lost_samples": station.lost_samples,
    }


def summary(station: Station) -> str:
    """The line at the end: every window is in it once, and so is every detection."""
    line = counted(station.counts, station.detections)
    return f"{line}; {station.lost_samples} samples lost" if station.lost_samples else line


def words(seen: Observation) -> str:
    """A window in words: its detections, in brackets those not kept and why."""
    if seen.verdict is Verdict.SPEECH:
        return SOMEBODY_SPOKE
    if not seen.outcomes:
        return NOTHING_KNOWN if seen.result.heard else NOTHING_HEARD
    return "; ".join(map(_of_outcome, seen.outcomes))


def level(dbfs: float) -> str:
    """A level in words."""
    return f"{dbfs:.0f} dBFS" if math.isfinite(dbfs) else "no signal"


def _of_outcome(one: Outcome) -> str:
    told = in_words(one.detection)
    if one.verdict is Verdict.DETECTION:
        return told
    return f"({told}: {'to be confirmed' if one.verdict is Verdict.UNCONFIRMED else one.why})"


def _confidence(one: Detection) -> str:
    return f"confidence {one.confidence:.2f}"
