"""Watched folder as a source: every finished recording is one stream, processed once.

A recording whose last window is in the journal is never processed again, whatever it is called by then. One interrupted
by a crash is resumed at the window after the last that was counted: windows of a file are always cut the same way, so
they can be counted. One that has changed is another recording, heard as a whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta, timezone, tzinfo
from pathlib import Path

from edgeapp.audio.channel_choice import channels_of
from edgeapp.audio.channels import Channel
from edgeapp.audio.file import FileSource
from edgeapp.audio.metadata.recording_time import MTIME, RecordingStart, recording_start
from edgeapp.audio.microphones.backends import FILE
from edgeapp.clock.system import Clock, Moment
from edgeapp.errors import AudioError
from edgeapp.file_names import text_of
from edgeapp.journal import Journal
from edgeapp.station.microphone_health import MicrophoneHealth, Transition
from edgeapp.station.repeats import EACH
from edgeapp.station.stream_source import StreamSource
from edgeapp.station.watch import POLL_S, SETTLED_S, FinishedFile, finished_files

log = logging.getLogger(__name__)


class FromStart:
    """Dates a recording by the moment at which it began; see `edgeapp.station.stream_source.Dated`."""

    def __init__(self, began: Moment) -> None:
        self._began = began

    def moment_of(self, position_s: float) -> Moment:
        """When the sound at a position was heard."""
        return self._began.earlier(-position_s)


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
    channel : Channel
        Of the recordings; a recording is one stream, so it cannot be each.
    clips : Path or None
        The folder of clips, which are no recordings.
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
        channel: Channel = Channel(),
        clips: Path | None = None,
    ) -> None:
        self._folder = folder
        self._clips = clips
        self._journal = journal
        self._clock = clock
        self._settled_s = settled_s
        self._zone = zone
        self._poll_s = poll_s
        self._channel = channel
        self._closed = False
        self.health = MicrophoneHealth(48_000, clock.now().boottime_s, tell)

    def streams(self) -> Iterator[StreamSource]:
        """The recordings as they are finished, until `close`."""
        files = finished_files(
            self._folder,
            self._settled_s,
            lambda path, size, mtime_ns: self._journal.is_done(text_of(path), size, mtime_ns),
            self._is_known,
            poll_s=self._poll_s,
            ended=lambda: self._closed,
            complain=lambda error: log.warning("%s", error, extra=EACH),
            without=self._clips,
        )
        for file in files:
            try:
                stream = self._opened(file)
            except (AudioError, OSError) as error:  # taken away since it was found
                log.warning("%s", error, extra=EACH)
                continue
            except Exception:  # one recording must not end the others
                log.exception("%s: failed unexpectedly; please report it with the file", file.path)
                continue
            self.health.reopened(self._clock.now().boottime_s, stream.rate_hz)
            yield stream

    def close(self) -> None:
        """Give no further recording; the present one is finished. Safe in a signal handler; idempotent."""
        self._closed = True

    def _is_known(self, file: FinishedFile) -> bool:
        """Whether its content was heard before; if so, it is not read again under this name either."""
        if not self._journal.is_content_done(file.content):
            return False
        log.info("%s: was heard before, under this name or another", file.path)
        self._done(file, None)
        return True

    def _done(self, file: FinishedFile, stream_id: int | None) -> None:
        name = text_of(file.path)
        self._journal.file_done(name, file.size, file.mtime_ns, stream_id, self._clock.now(), file.content)

    def _opened(self, file: FinishedFile) -> StreamSource:
        [number] = channels_of(file.path, self._channel)
        source = FileSource(file.path, channel=number)
        source.name = text_of(file.path)  # for the journal and all who read it
        device_id = f"file:{file.content}"
        start = recording_start(file.path, source.duration_s or 0.0, self._zone)
        if start.doubt is not None:
            log.warning("%s: the time at which it began is doubtful (%s)", file.path, start.doubt)
        return StreamSource(
            source,
            self.health,
            self._clock,
            device_id=device_id,
            backend=FILE,
            timeline=FromStart(self._began(start)),
            skip_windows=self._journal.windows_of(device_id, f"file:{file.size}:{file.mtime_ns}"),
            kept=lambda stream_id: self._done(file, stream_id),
            channel=number or None,
            origin=start.source,
            doubt=start.doubt,
        )

    def _began(self, start: RecordingStart) -> Moment:
        now = self._clock.now()
        # The time of a file is that of the clock which wrote it, often this machine's; a recorder's own is trusted.
        began = now.earlier((now.utc - start.time) / timedelta(seconds=1))
        return Moment(began.utc, began.boottime_s, now.clock_set or start.source != MTIME)
