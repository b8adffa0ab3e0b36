"""A watched folder as the station hears it: every recording that is finished there is one capture, heard once.

A recording whose last window is in the journal is done for ever. One that a crash cut off is gone on with at the window
after the last that was counted: windows of a file are always cut the same way, so they can be counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta, timezone, tzinfo
from pathlib import Path

from edgeapp.audio.backends import FILE
from edgeapp.audio.file import FileSource
from edgeapp.audio.recording_time import MTIME, recording_start
from edgeapp.audio.source import Block
from edgeapp.clock.system import Clock, Moment
from edgeapp.errors import AudioError
from edgeapp.journal import Journal
from edgeapp.station.microphone_health import MicrophoneHealth, Transition
from edgeapp.station.watch import POLL_S, SETTLED_S, FinishedFile, finished_files

log = logging.getLogger(__name__)


class FromStart:
    """Dates a recording by the moment at which it began; see `edgeapp.station.source_worker.Dated`."""

    def __init__(self, began: Moment) -> None:
        self._began = began

    def moment_of(self, position_s: float) -> Moment:
        """When the sound at a position was heard."""
        return self._began.earlier(-position_s)


class FileCapture:
    """One finished recording; see `edgeapp.station.source_worker.Capture`.

    Attributes
    ----------
    skip_windows : int
        How many of its first windows an earlier run has counted.
    """

    live = True
    backend = FILE
    dropped_samples = 0

    def __init__(
        self, file: FinishedFile, clock: Clock, health: MicrophoneHealth, journal: Journal, zone: tzinfo
    ) -> None:
        self._file = file
        self._clock = clock
        self._health = health
        self._journal = journal
        self._source = FileSource(file.path)
        self.name = str(file.path)
        self.rate_hz = self._source.rate_hz
        self.device_id = f"file:{file.size}:{file.mtime_ns}"
        self.skip_windows = journal.windows_of(self.name, self.device_id)
        self.end_reason: str | None = None
        self.timeline = FromStart(self._began(zone))

    def blocks(self) -> Iterator[Block]:
        """The whole recording."""
        self._health.reopened(self._now_s(), self.rate_hz)
        try:
            for block in self._source.blocks():
                self._health.observe(block.samples, self._now_s())
                yield block
        except AudioError as error:
            self.end_reason = str(error)
        else:
            self.end_reason = self._source.fault
        if self.end_reason:
            log.warning("%s: %s", self.name, self.end_reason)

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def kept(self, stream_id: int) -> None:
        """Its last window is in the journal."""
        file = self._file
        self._journal.file_done(self.name, file.size, file.mtime_ns, stream_id, self._clock.now())

    def _began(self, zone: tzinfo) -> Moment:
        start = recording_start(self._file.path, self._source.duration_s or 0.0, zone)
        now = self._clock.now()
        # The time of a file is that of the clock which wrote it, often this machine's; a recorder's own is trusted.
        began = now.earlier((now.utc - start.utc) / timedelta(seconds=1))
        return Moment(began.utc, began.boottime_s, now.clock_set or start.source != MTIME)

    def _now_s(self) -> float:
        return self._clock.now().boottime_s


class FolderSource:
    """Gives the recordings of a folder, one after the other; see `edgeapp.station.source_worker.Source`.

    Parameters
    ----------
    folder : Path
    journal : Journal
        Knows what was done.
    clock : Clock
    tell : callable
        Called with every change of the health.
    settled_s : float
        Seconds for which a file must not have changed.
    zone : tzinfo
        Of recorders that write local time.
    poll_s : float
        Seconds between two looks into the folder.
    """

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        clock: Clock,
        tell: Callable[[Transition], None] = lambda transition: None,
        settled_s: float = SETTLED_S,
        zone: tzinfo = timezone.utc,
        poll_s: float = POLL_S,
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._settled_s = settled_s
        self._zone = zone
        self._poll_s = poll_s
        self._closed = False
        self.health = MicrophoneHealth(48_000, clock.now().boottime_s, tell)

    def captures(self) -> Iterator[FileCapture]:
        """The recordings as they are finished, until `close`."""
        files = finished_files(
            self._folder,
            self._settled_s,
            lambda path, size, mtime_ns: self._journal.is_done(str(path), size, mtime_ns),
            poll_s=self._poll_s,
            ended=lambda: self._closed,
            complain=lambda error: log.warning("%s", error),
        )
        for file in files:
            try:
                capture = FileCapture(file, self._clock, self.health, self._journal, self._zone)
            except (AudioError, OSError) as error:  # taken away since it was found
                log.warning("%s: %s", file.path, error)
                continue
            yield capture

    def close(self) -> None:
        """Give no other recording; the present one is heard to its end. Safe in a signal handler, and twice."""
        self._closed = True
