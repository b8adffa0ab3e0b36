"""`biovita-edge listen`: name what a microphone hears, as it happens, and keep it in the journal."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from edgeapp.audio.microphone import InputDevice, Microphone, list_devices
from edgeapp.audio.source import AudioSource, Block
from edgeapp.audio.windows import HOP_S, MIN_CLIP_S
from edgeapp.errors import AudioError, BiovitaError, UsageError
from edgeapp.journal import Deployment, Detection, Journal, Stream
from edgeapp.pack import Pack, sha256
from edgeapp.pipeline import Recogniser, WindowResult
from edgeapp.screens import Lines, LiveTable, NdJson, Observation, Screen, in_one_line
from edgeapp.station.clock import Moment, SystemClock
from edgeapp.station.verdict import Verdict

TOP = 5  # species kept with every detection: the winner and the runners-up


class Format(str, Enum):
    """How the windows are shown."""

    TABLE = "table"
    NDJSON = "ndjson"


class Ear:
    """A source that knows when each of its samples was heard, and ends after a given time.

    Parameters
    ----------
    source : AudioSource
        A microphone, or its in-memory twin.
    duration_s : float | None
        End after this much sound; None is for ever, until `close`.
    now : Callable[[], Moment]
        The clock.
    """

    live = True

    def __init__(
        self,
        source: AudioSource,
        duration_s: float | None = None,
        now: Callable[[], Moment] = SystemClock().now,
    ) -> None:
        self._source = source
        self._duration = None if duration_s is None else round(duration_s * source.rate_hz)
        self._now = now
        self._delivered = 0

    @property
    def name(self) -> str:
        """Name of the microphone."""
        return self._source.name

    @property
    def route(self) -> str:
        """How its sound arrives, as the journal says it."""
        return "portaudio" if hasattr(self._source, "captured_samples") else "memory"

    @property
    def rate_hz(self) -> int:
        """Rate of the microphone."""
        return self._source.rate_hz

    @property
    def delivered_s(self) -> float:
        """Seconds of sound given so far."""
        return self._delivered / self.rate_hz

    @property
    def dropped_samples(self) -> int:
        """Samples the microphone lost; a source that cannot lose any has no such count."""
        return getattr(self._source, "dropped_samples", 0)

    def blocks(self) -> Iterator[Block]:
        """Give the sound until the end of the source or of the duration."""
        with closing(self._source.blocks()) as blocks:  # type: ignore[type-var]  # a generator in every source
            for block in blocks:
                if self._duration is not None:
                    block = Block(block.start, block.samples[: self._duration - self._delivered])
                self._delivered += len(block.samples)
                yield block
                if self._delivered == self._duration:
                    return

    def close(self) -> None:
        """End the sound."""
        self._source.close()

    def time_of(self, position_s: float) -> Moment:
        """When the sound at a position of the stream's clock was heard.

        Counted back from the newest sample that the microphone has captured. So neither a busy encoder, nor the drift
        of the card's crystal over weeks, nor a clock that is set after the start falsifies the times of later windows.
        """
        captured = getattr(self._source, "captured_samples", self._delivered)
        return self._now().earlier(captured / self.rate_hz - position_s)


class Listener:
    """Follow an ear window by window: judge, write to the journal, then show.

    Parameters
    ----------
    recogniser : Recogniser
    ear : Ear
    journal : Journal
    screen : Screen
    hop_s : float
        Seconds between the starts of windows.
    min_probability : float
        Least mass of a decision that becomes a detection.
    place : (latitude, longitude) or None
        Degrees, WGS 84.
    only : Sequence[str]
        What the recogniser was kept to, for the record.

    Attributes
    ----------
    counts : Counter[Verdict]
        How the windows ended so far.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        ear: Ear,
        journal: Journal,
        screen: Screen,
        hop_s: float = HOP_S,
        min_probability: float = 0.0,
        place: tuple[float, float] | None = None,
        only: Sequence[str] = (),
    ) -> None:
        self._recogniser = recogniser
        self._ear = ear
        self._journal = journal
        self._screen = screen
        self._hop_s = hop_s
        self._min_probability = min_probability
        self._place = place
        self._only = only
        self.counts: Counter[Verdict] = Counter()

    def run(self) -> None:
        """Listen until the ear ends, as one deployment of the journal, which is closed whatever happens.

        Raises
        ------
        DeviceError
            The microphone is gone.
        JournalError
            A detection could not be written; it was not shown either.
        """
        started = self._ear.time_of(0.0)
        deployment = self._journal.begin(self._deployment(), started)
        heard = Stream(self._ear.name, "", self._ear.route, self._ear.rate_hz, SystemClock().boot_id)
        stream = self._journal.open_stream(deployment, heard, started)
        reason = "ended"
        try:
            with closing(self._recogniser.windows(self._ear, self._hop_s)) as results:
                for result in results:
                    observation = self._judge(result)
                    if observation.verdict is Verdict.DETECTION:
                        self._journal.record(stream, detection(observation))
                    self.counts[observation.verdict] += 1
                    self._journal.count(stream, observation.verdict)
                    self._screen.show(observation, self.counts, self._ear.dropped_samples)
        except AudioError:
            # Ended before there was enough sound for a window: no fault.
            if self._ear.delivered_s >= MIN_CLIP_S:
                raise
        except BiovitaError as error:
            reason = error.what
            raise
        finally:
            ended = self._ear.time_of(self._ear.delivered_s)
            self._journal.close_stream(stream, ended, reason, self._ear.dropped_samples)
            self._journal.end(deployment, ended)

    def _deployment(self) -> Deployment:
        recogniser = self._recogniser
        latitude, longitude = self._place or (None, None)
        return Deployment(
            hop_s=self._hop_s,
            pack=recogniser.pack.name,
            pack_version=recogniser.pack.version,
            space=recogniser.pack.space,
            gallery=str(recogniser.gallery_path),
            gallery_sha256=sha256(recogniser.gallery_path),
            thresholds={
                "min_probability": self._min_probability,
                "kinds": list(recogniser.kinds),
                "only": list(self._only),
                **recogniser.parameters.to_dict(),
            },
            latitude=latitude,
            longitude=longitude,
        )

    def _judge(self, result: WindowResult) -> Observation:
        if not result.heard:
            verdict = Verdict.SILENT
        elif result.decision is None:
            verdict = Verdict.NOTHING
        elif result.decision.mass < self._min_probability:
            verdict = Verdict.BELOW
        else:
            verdict = Verdict.DETECTION
        return Observation(self._ear.time_of(result.start_s), result, self._recogniser.summary(result, TOP), verdict)


def detection(observation: Observation) -> Detection:
    """The row of the journal for an observation that carries a decision."""
    result = observation.result
    assert result.decision is not None
    return Detection(
        time=observation.time,
        start_s=result.start_s,
        end_s=result.end_s,
        rank=result.decision.rank,
        name=result.decision.name,
        mass=result.decision.mass,
        best=observation.summary.inside[0],
        scores=observation.summary.species,
        level_dbfs=result.level_dbfs,
    )


class Ending:
    """The wish to end, by Ctrl-C or SIGTERM. The first lets everything heard so far be finished; a second one kills."""

    def __init__(self) -> None:
        self.wished = False
        self._ear: Ear | None = None

    def ends(self, ear: Ear) -> None:
        """Name what is to be closed; at once, when the wish came while the encoder was still loading."""
        self._ear = ear
        if self.wished:
            ear.close()

    def wish(self) -> None:
        """End now. Safe in a signal handler."""
        self.wished = True
        if self._ear is not None:
            self._ear.close()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as the wish to end, once."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                # A shell starts background jobs with SIGINT ignored; None is a handler that was not set from Python.
                signal.signal(number, handler if callable(handler) else signal.SIG_DFL)

        def handle(number: int, frame: Any) -> None:
            restore()
            self.wish()

        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            restore()


def listen(
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME|INDEX", help="Microphone: its index, or part of its name.")
    ] = None,
    show_devices: Annotated[bool, typer.Option("--list-devices", help="List the microphones and end.")] = False,
    hop: Annotated[float, typer.Option("--hop", help="Seconds between windows.")] = HOP_S,
    pack: Annotated[
        Path | None, typer.Option("--pack", help="Folder of the pack; the starter pack if not given.")
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option("--gallery", help="Gallery file; the pack's own if not given.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help='Keep to this taxon, at any rank: "Aves", "Parus". May be given again.'),
    ] = None,
    kinds: Annotated[
        str | None, typer.Option("--kinds", help="Gallery entries to match: text,image,audio or some of them.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Threads of the encoder.", min=1)] = None,
    provider: Annotated[
        str | None,
        typer.Option("--provider", help="What runs the encoder: auto, cpu, cuda, tensorrt, engine or engine-fp16."),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", help="Journal of detections; in the user's data folder if not given.")
    ] = None,
    min_probability: Annotated[
        float, typer.Option("--min-probability", min=0.0, max=1.0, help="Least probability of a detection.")
    ] = 0.0,
    latitude: Annotated[
        float | None, typer.Option("--latitude", min=-90.0, max=90.0, help="Of the microphone, in degrees north.")
    ] = None,
    longitude: Annotated[
        float | None, typer.Option("--longitude", min=-180.0, max=180.0, help="Of the microphone, in degrees east.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", min=MIN_CLIP_S, help="End after so many seconds of sound.")
    ] = None,
    format: Annotated[
        Format, typer.Option("--format", "-f", help="A table for people, NDJSON for programs.")
    ] = Format.TABLE,
) -> None:
    """Name what a microphone hears, as it happens, and keep it in the journal. Ctrl-C ends it."""
    if show_devices:
        _print_devices(list_devices())
        return
    if not 0 < hop < float("inf"):
        raise UsageError(f"a hop of {hop:g} s goes nowhere", "give --hop more than 0 seconds")
    if duration is not None and not duration < float("inf"):
        raise UsageError(f"a duration of {duration:g} s has no end", "leave --duration out to listen until Ctrl-C")
    if (latitude is None) != (longitude is None):
        raise UsageError("a place needs both coordinates", "give --latitude and --longitude")
    place = None if latitude is None or longitude is None else (latitude, longitude)
    ending = Ending()
    with ending.on_signals():
        ear = Ear(Microphone(device), duration)
        ending.ends(ear)
        recogniser = Recogniser(
            Pack.load(pack),
            gallery,
            only or (),
            kinds.split(",") if kinds is not None else None,
            threads,
            provider,
            live=True,
        )
        with Journal.open(journal) as opened:
            title = (
                f"listening to {ear.name} at {ear.rate_hz} Hz, pack {recogniser.pack.name} {recogniser.pack.version}"
            )
            print(f"{title}, journal {opened.path}; Ctrl-C ends", file=sys.stderr, flush=True)
            screen = _screen(format, title)
            listener = Listener(recogniser, ear, opened, screen, hop, min_probability, place, only or ())
            try:
                listener.run()
            finally:
                screen.close()
                print(in_one_line(listener.counts, ear.dropped_samples), file=sys.stderr, flush=True)


def _screen(format: Format, title: str) -> Screen:
    if format is Format.NDJSON:
        return NdJson(sys.stdout)
    console = Console()
    return LiveTable(console, title) if console.is_terminal else Lines(sys.stdout)


def _print_devices(devices: list[InputDevice]) -> None:
    width = max((len(device.name) for device in devices), default=0)
    for device in devices:
        default = "  default" if device.default else ""
        print(
            f"{device.index:3d}  {device.name:{width}}  {device.host_api}, "
            f"{device.channels} channels, {device.rate_hz} Hz{default}"
        )
    if not devices:
        print("no microphone found", file=sys.stderr)
