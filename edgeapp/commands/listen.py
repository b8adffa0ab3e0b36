"""`biovita-edge listen`: identify animals at microphones in real time, and record detections in the journal."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from edgeapp import foreign, interruption
from edgeapp.audio.pcm import STDIN
from edgeapp.clips.relocation import adopt
from edgeapp.commands.devices import devices
from edgeapp.commands.validation import check
from edgeapp.config.flags import with_settings
from edgeapp.config.load import settings_file
from edgeapp.config.settings import Settings
from edgeapp.detections.pictures import DocumentPictures
from edgeapp.errors import UsageError
from edgeapp.journal import Journal, utc_of
from edgeapp.pack.format import UNCALIBRATED
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.assembly import Parts, assemble, clock_of, recogniser_of
from edgeapp.station.claim import Claims
from edgeapp.station.learned import LEARNED_S, learned_gallery
from edgeapp.station.logs import station_log
from edgeapp.station.microphone_health import HEARS
from edgeapp.station.periodic import (
    CLOCK_S,
    INTEGRITY_S,
    Every,
    ForgetLevels,
    NotifyWatchdog,
    RenameClips,
    SweepClips,
    WatchClock,
    WriteStatus,
    check_journal,
    forget_messages,
)
from edgeapp.station.permissions import restrict
from edgeapp.station.presence import present
from edgeapp.station.reconfiguration import Reconfiguration, tell_kept
from edgeapp.station.screens import Lines, LiveTable, Named, NdJson, Several, summary
from edgeapp.station.source_worker import SourceWorker
from edgeapp.station.sources import workers_of
from edgeapp.station.station import PeriodicTask, Screen, Station
from edgeapp.station.status import StatusFile, describing, settings_fields
from edgeapp.station.targets import station_name
from edgeapp.terminal import tell
from gallery.naming import Naming

if TYPE_CHECKING:
    from edgeapp.web.of_station import Page

log = logging.getLogger(__name__)

SWEEP_S = 600.0
KEPT_S = 90.0  # of the newest sound, where a page shows it and may ask for longer clips
ENGLISH_NAMES = Naming()
HANG_UP = getattr(signal, "SIGHUP", None)
NOT_HEARD = 1  # exit code of a run that ended with a microphone that does not work


def terminal_is_there() -> bool:
    """Whether this process has a terminal that controls it; none is left when it was closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class StopRequest:
    """What signals ask for: to stop, by Ctrl-C or SIGTERM, or to read the settings again, by SIGHUP.

    The first request to stop finishes the sound read so far; a second one kills. The SIGHUP of a terminal that was
    closed stops as well, unless `nohup` started the station.
    """

    def __init__(self) -> None:
        self.requested = False
        self._station: Station | None = None
        self._reload: Callable[[], None] | None = None
        self._reload_asked = False
        self._has_terminal = terminal_is_there()

    def attach(self, station: Station, reload: Callable[[], None] = lambda: None) -> None:
        """Set the station to close; it is closed at once if the request came while the encoder was loading."""
        self._station, self._reload = station, reload
        if self._reload_asked:
            reload()
        if self.requested:
            station.close()

    def request(self) -> None:
        """Stop now. Safe in a signal handler."""
        self.requested = True
        if self._station is not None:
            self._station.close()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Stop on the first SIGINT or SIGTERM, and read the settings again on SIGHUP."""
        before = {number: signal.getsignal(number) for number in interruption.SIGNALS}

        def restore() -> None:
            for number, handler in before.items():
                # A shell starts background jobs with SIGINT ignored; None is a handler that was not set from Python.
                signal.signal(number, handler if callable(handler) else signal.SIG_DFL)

        def handle(number: int, frame: Any) -> None:
            restore()
            self.request()

        def hang_up(number: int, frame: Any) -> None:
            if stays or not self._has_terminal or terminal_is_there():
                self._reload_asked = True
                if self._reload is not None:
                    self._reload()
            else:
                handle(number, frame)

        stays = before.get(HANG_UP) is signal.SIG_IGN  # as `nohup` wishes
        for number in before:
            signal.signal(number, hang_up if number == HANG_UP else handle)
        try:
            yield
        finally:
            restore()


@with_settings
def listen(
    settings: Settings,
    sound: Annotated[
        str, typer.Argument(metavar="[-]", help="Read raw sound from standard input (-).", show_default=False)
    ] = "",
    show_devices: Annotated[bool, typer.Option("--list-devices", help="List the microphones and exit.")] = False,
) -> None:
    """Identify animals at microphones in real time and record detections in the journal. Ctrl-C stops.

    Exit code 1 when a microphone was not working at the end.
    """
    if show_devices:
        devices()
        return
    if sound not in ("", STDIN):
        raise UsageError(f"listen does not read files such as {sound}", "use `biovita-edge identify`")
    if settings.log.level == "debug":
        foreign.show()
    check(settings)
    restrict(settings)
    clock = clock_of(settings)
    stop = StopRequest()
    with stop.on_signals(), station_log(settings.log), ExitStack() as stack:
        tell_kept()
        name = station_name(settings)
        claims = stack.enter_context(Claims(name))
        claims.journal(settings.journal_path)
        claims.file(settings.status_path, "the status file", "--status")
        if settings.log.file is not None:
            claims.file(settings.log.file, "the log", "--log-file")
        if settings.clips.folder is not None:
            claims.clips(settings.clips.folder)
        stack.enter_context(present(settings_file(settings.file), settings.status_path))
        recogniser = recogniser_of(settings)
        journal = stack.enter_context(Journal.open(settings.journal_path))
        claims.journal(settings.journal_path)
        newest = journal.newest_time()
        if newest is not None:
            clock.not_before = max(clock.not_before, utc_of(newest))
        learned = learned_gallery(settings, recogniser)
        parts = assemble(settings, recogniser, journal, clock)
        journal.naming = parts.naming  # of documents and messages; the journal keeps scientific and English names
        journal.share_location = settings.station.share_location
        journal.pictures = DocumentPictures(recogniser.gallery_path, settings.station.pictures, log.warning)
        stack.callback(journal.pictures.close)
        if parts.clips is not None:
            parts.clips.remove_orphans()
            for moved in adopt(journal, parts.clips.folder):
                log.info("the clips of %s are in %s now", moved, parts.clips.folder)
        page = _page(settings, recogniser, journal, parts, name)
        title = f"{name}, pack {recogniser.pack.name} {recogniser.pack.version}"
        screen = _screen(settings.station.format, title, parts.naming, page)
        stack.callback(screen.close)
        changes: list[Reconfiguration] = []  # there once the station is

        def described(parts: Parts) -> Callable[[Station], dict[str, Any]]:
            state = describing(name, parts.deployment, parts.outbox, parts.waits)
            return lambda station: {**state(station), "settings": settings_fields(settings.file, *changes)}

        status = WriteStatus(StatusFile(settings.status_path), described(parts))

        watch_clock = WatchClock(lambda: clock.judged)
        whatever_the_settings: list[PeriodicTask] = [
            status,
            Every(CLOCK_S, watch_clock),
            NotifyWatchdog(),
            Every(INTEGRITY_S, check_journal, at_once=False),
            Every(INTEGRITY_S, ForgetLevels(parts.keep_levels_days)),
            Every(LEARNED_S, learned),
        ]

        def tasks(parts: Parts) -> list[PeriodicTask]:
            status.describe = described(parts)
            status.tell = parts.outbox.tell if parts.outbox is not None else (lambda state: None)
            watch_clock.waits = parts.waits
            return [*whatever_the_settings, *_tasks(parts)]

        watched = page.live.opened if page is not None else None
        station = Station(
            parts.classifier, journal, parts.deployment, clock, screen, parts.keeping, tasks(parts), watched
        )

        def ended(kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
            status.ended(station, None if isinstance(error, typer.Exit) else error)

        stack.push(ended)
        cutting = parts.cutting
        if page is not None:
            cutting = replace(cutting, kept_s=max(cutting.kept_s, KEPT_S))
        change = Reconfiguration(settings, station, recogniser, parts, tasks, cutting.kept_s)
        change.on_read = status.soon
        changes.append(change)
        workers = workers_of(settings, cutting, station, clock, from_stdin=sound == STDIN, claim=claims.device)
        stop.attach(station, change.ask)
        change.serve()
        if page is not None:
            page.attach(change, lambda: status.describe(station), lambda: learned.learn(journal.path))
            stack.callback(page.close)
            page.start()
        if not recogniser.pack.calibrated:
            tell(f"pack {recogniser.pack.name}: {UNCALIBRATED}")
        _run(station, workers, change)
        raise typer.Exit(0 if settings.input.watch is not None else _exit_code(workers))


def _run(station: Station, workers: Sequence[SourceWorker], change: Reconfiguration) -> None:
    if change.parts.outbox is not None:
        change.parts.outbox.start()
    tell(f"journal {station.journal.path}; Ctrl-C stops")
    try:
        station.run(workers)
    finally:
        if change.parts.outbox is not None:
            change.parts.outbox.close()
        tell(summary(station))


def _tasks(parts: Parts) -> list[PeriodicTask]:
    """Periodic tasks of the station that depend on settings which it takes while it runs."""
    found: list[PeriodicTask] = []
    if parts.outbox is not None:
        found.append(Every(INTEGRITY_S, forget_messages, at_once=False))
    if parts.sweeper is not None:
        found.append(Every(SWEEP_S, SweepClips(parts.sweeper)))
    if parts.renamer is not None:
        found.append(Every(CLOCK_S, RenameClips(parts.renamer)))
    return found


def _exit_code(workers: Sequence[SourceWorker]) -> int:
    return NOT_HEARD if any(worker.health.state not in HEARS for worker in workers) else 0


def _screen(format: str, title: str, naming: Naming = ENGLISH_NAMES, page: Page | None = None) -> Screen:
    console = Console()
    screen: Screen
    if format == "ndjson":
        screen = NdJson(sys.stdout)
    else:
        screen = LiveTable(console, title) if console.is_terminal else Lines(sys.stdout)
    if page is not None:
        screen = Several(page.live, screen)
    return Named(screen, naming) if naming.names else screen


def _page(settings: Settings, recogniser: Recogniser, journal: Journal, parts: Parts, name: str) -> Page | None:
    if not settings.web.on:
        return None
    from edgeapp.web.of_station import Page

    return Page(settings, recogniser, journal, parts, name)
