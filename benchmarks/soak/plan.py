"""What an accelerated run is to do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.soak.process import CLOSED, LOST, Run, Stream

TOUCH_S = 1e-3
MARGIN_S = 0.5  # fed beyond a window, so that the resampler has output all of it
AHEAD = 3  # windows fed while the journal cannot be written
OUTAGE = 12  # windows during which a receiver is unavailable
UNREAD = 8  # windows during which standard output is not read
DRAIN_S = 180.0  # to deliver queued messages at the end
CLOCK_SETTLES_S = 12.0  # the station checks its clock every ten seconds
OUTAGE_S = 20.0  # the outbox drops expired messages between two attempts
LONG_LOCK_S = 33.0  # longer than the station's SQLite timeout
STEPS_S = (3_600.0, -7_200.0, 40 * 86_400.0, -30.0)
UNSET_S = -10 * 365 * 86_400.0

TRICKLE_S = 0.05  # of sound, while the run waits: a microphone that gives nothing is lost
TRICKLE_EVERY_S = 1.5
ROOM_S = 20.0  # of sound that may be under way to a microphone: a sound server drops what its recorder does not fetch
PART_S = 0.5  # of sound that is fed together in real time
RECEIVED_S = 1.0  # for sound to arrive before its source is taken away

KINDS = ("kill", "power", "lock", "disk", "broker", "webhook", "clock", "dst", "slow")
OF_SOURCES = ("unplug", "recorder", "sound-server", "drop")  # with microphones and a source in the network
LONG = ("lock-long", "outage")  # half a minute each
NIGHT = (15.0, 40.0)
NIGHT_S = 86_400.0  # of sound, after which the disk fills once more
ZONE = "Europe/Berlin"  # where the clock changes at these hours, UTC
DST_UTC = (datetime(2027, 3, 28, 1, tzinfo=timezone.utc), datetime(2027, 10, 31, 1, tzinfo=timezone.utc))
BEFORE_DST_S = 3.0
TOLD = {"disk": "buffered in memory"}  # faults that the log has to report; a lock may end before the station's timeout
TOLD_AGAIN = 4  # reports; the log folds a line repeated more often within an hour


@dataclass(frozen=True)
class Plan:
    """Settings of a run.

    Attributes
    ----------
    every : int
        Mean number of windows between faults.
    kinds : tuple of str
        Faults, all equally frequent.
    kills_until : float
        Share of the run after which the process is not killed any more, so that one process runs for long.
    microphones : bool
        Two microphones and a source in the network, instead of standard input.
    at_most_s : float
        Time after which the run ends though there is more sound.
    at_once : int
        Hops that are fed to each source before the windows of those before are waited for.
    between_s : tuple of float
        Shortest and longest time between songs.
    real_time : bool
        Feed no faster than time passes.
    """

    hours: float
    seed: int
    every: int
    kinds: tuple[str, ...]
    pack: Path | None
    window_s: float
    hop_s: float
    words: tuple[str, ...] = ()
    kills_until: float = 0.5
    microphones: bool = False
    at_most_s: float = float("inf")
    between_s: tuple[float, float] = NIGHT
    at_once: int = 1
    real_time: bool = False


@dataclass
class Fault:
    """An injected fault.

    Attributes
    ----------
    kind : str
    at_s : float
        Position in what was played.
    run : int
        Number of the process.
    waited : int
        Windows of each source that came during the fault.
    source : str
        The source that was away; empty if none was.
    told : bool or None
        Whether the station's log reported it; None if it need not.
    """

    kind: str
    at_s: float
    run: int
    waited: int = 0
    told: bool | None = None
    what: str = ""
    source: str = ""


@dataclass(frozen=True)
class Use:
    """What a process and its recorders used so far.

    Attributes
    ----------
    run : int
        Number of the process.
    heard_s : float
        Sound of each source.
    """

    run: int
    heard_s: float
    cpu_s: float
    memory_mb: float


@dataclass
class Piece:
    """A part of a run, in which the station was not off but for faults.

    Attributes
    ----------
    began_s, ended_s : float
        Positions in what was played.
    run : int
        Number of processes before it.
    """

    began_s: float
    run: int
    ended_s: float = 0.0
    wall_s: float = 0.0


@dataclass
class Soaked:
    """Record of the run, for the account."""

    journal: Path
    runs: list[Run] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unset: list[tuple[float, float]] = field(default_factory=list)  # played, while the clock was not set
    use: list[Use] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    steps_s: list[float] = field(default_factory=list)  # successive offsets of the wall clock
    skipped: set[str] = field(default_factory=set)


def ahead(plan: Plan, hops: int) -> int:
    """Hops that may be fed to each source beside those of a round; fewer where they would not fit."""
    return max(1, min(hops, int(ROOM_S // plan.hop_s) - plan.at_once)) if plan.microphones else hops


def due(stream: Stream, plan: Plan) -> int:
    """Number of windows in the sound of a stream."""
    whole = int((stream.fed_s - MARGIN_S - plan.window_s + TOUCH_S) // plan.hop_s) + 1
    return max(0, whole) + (stream.ended in (CLOSED, LOST))  # the remaining sound makes one more at the end
