"""Many files, one after the other: a file that fails is named and the others are still done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import tzinfo
from itertools import islice

from edgeapp import interruption
from edgeapp.archive.expectation import Expectation, Expected
from edgeapp.archive.inputs import Found, Refused
from edgeapp.audio.channel_choice import channels_of
from edgeapp.audio.channels import EACH, Channel
from edgeapp.audio.file import FileSource
from edgeapp.audio.metadata.recording_time import CONTRADICTED, REPEATED, SKIPPED, RecordingStart, stated_start
from edgeapp.audio.microphones.complaints import overheard
from edgeapp.audio.source import AudioSource
from edgeapp.detections.speech import SpeechGate
from edgeapp.errors import AudioError, GalleryError, OutputError, PackError, PassedOverError
from edgeapp.file_names import printable
from edgeapp.outputs.writer import Recording, Writer
from edgeapp.pack.format import UNCALIBRATED
from edgeapp.recognition.merging import Merger
from edgeapp.recognition.recogniser import Recogniser, Tally
from edgeapp.recognition.results import Identification, Stretch, WindowResult
from edgeapp.terminal import counted
from gallery.naming import Naming

Tell = Callable[[str], None]
ALL_CHANNELS = Channel()

DOUBTFUL = {
    REPEATED: "began in the hour that the clocks show twice in autumn: it may have been an hour later",
    SKIPPED: "began in the hour that the clocks skip in spring: its clock does not keep the time of this zone",
    CONTRADICTED: "its metadata and its name give different times: that of the {0.source} is used",
}

MOST_COUNTED = 10_000  # of the files that are left when a run is stopped: nobody waits for millions


@dataclass(frozen=True)
class Outcome:
    """How many inputs were ended, were done and failed, as `archive` counts them too: none is both.

    Those that never were recordings are passed over, and are neither.

    Attributes
    ----------
    given, done, failed, passed_over : int
    partly : int
        Those that failed, such as a file that is cut, and have a result of what is there.
    last : str or None
        The file that was ended last, done or failed.
    next : str or None
        The first file that is left, where the run was stopped before its end; None also where no other was listed yet.
    left : int or None
        How many are left then; counted up to `MOST_COUNTED`. None where they were still being listed.
    stopped : OutputError or Interrupted, optional
        Why it was stopped.
    """

    given: int = 0
    done: int = 0
    failed: int = 0
    passed_over: int = 0
    partly: int = 0
    last: str | None = None
    next: str | None = None
    left: int | None = 0
    stopped: OutputError | KeyboardInterrupt | None = None

    @property
    def written(self) -> int:
        """Inputs that have a result."""
        return self.done + self.partly

    @property
    def exit_code(self) -> int:
        """0, or 1 when an input failed."""
        return 1 if self.failed else 0


def identify(
    inputs: Iterable[Found | Refused],
    recogniser: Recogniser,
    writer: Writer,
    hop_s: float,
    top: int,
    note: Tell,
    complain: Tell,
    open_sound: Callable[..., AudioSource] = FileSource,
    naming: Naming | None = None,
    expectation: Expectation | None = None,
    listening: Callable[[AudioSource], AudioSource] | None = None,
    zone: tzinfo | None = None,
    channel: Channel = ALL_CHANNELS,
    whole: Callable[[], None] = lambda: None,
    gate: SpeechGate | None = None,
) -> Outcome:
    """Identify files and write each as it is done.

    Parameters
    ----------
    inputs : iterable of Found or Refused
        Such as `edgeapp.archive.inputs.recordings`; those that were refused fail.
    recogniser : Recogniser
    writer : Writer
    hop_s : float
        Seconds between windows.
    top : int
        Species written per window and per file.
    note : callable
        Called with notes for the user on a result, at most one line per file.
    complain : callable
        Called with the reason of a failure, one line per file.
    open_sound : callable
        File to its sound; of one channel only, counted from 1, where ``channel`` is given.
    naming : Naming, optional
        What taxa are called in what is written; in English if not given.
    expectation : Expectation, optional
        What is expected where the recordings were made; every taxon if not given.
    listening : callable, optional
        Source to one that somebody else hears as well while it is read.
    zone : tzinfo, optional
        In which the clocks of recorders stood that name no zone.
    channel : Channel
        Of recordings; each of several is one of its own.
    whole : callable, optional
        Called when a file has been written to its end: what was written so far is worth keeping.
    gate : SpeechGate, optional
        Withholds windows with speech.

    Returns
    -------
    Outcome
        A signal, or an output that cannot be written, ends the run before its end.

    Raises
    ------
    PackError, GalleryError
        What would fail every other file too.
    """
    given = done = failed = passed_over = partly = 0
    last: str | None = None
    at: Found | Refused | None = None  # that is being heard
    named = naming or Naming()
    noted: set[str] = set()  # what holds for all files is told with the first
    left = iter(inputs)
    asking = False  # for the next of them, which may wait for whoever lists them

    def end(file: str, fault: str | None) -> None:
        nonlocal given, failed, last, at
        whole()
        given += 1
        last, at = file, None
        if fault is not None:
            failed += 1
            complain(printable(" ".join(fault.split())))

    def hear(file: str, number: int, numbers: Sequence[int], fault: str | None) -> str | None:
        """Identify one of the channels, or all together, and end the file with the last; why sound is missing."""
        nonlocal done, partly
        with overheard() as complaints:
            with interruption.held():
                source = open_sound(file, channel=number) if number else open_sound(file)
            begun = recorded(file, zone) if isinstance(source, FileSource) else None  # raw sound states nothing
            expected = expectation.of(begun.day if begun is not None else None) if expectation is not None else None
            if listening is not None:
                source = listening(source)
            writer.begin(recording(file, source, begun, number, number != numbers[0]))
            with closing(recogniser.windows(source, hop_s, gate)) as results:
                tally, withheld = write_windows(results, recogniser, writer, top, named, expected)
        notes = _notes(source, tally.heard or withheld > 0, complaints.damaged, recogniser.parameters.silence_dbfs)
        if withheld:
            notes.append(f"{counted(withheld, 'window')} with speech withheld")
        of_pack = notes_of_pack(recogniser)
        notes += [*of_pack, *(expected.notes if expected is not None else [])]
        notes += [DOUBTFUL[begun.doubt].format(begun)] if begun is not None and begun.doubt is not None else []
        species = named.candidates(tally.species(top, expected.species if expected is not None else None))
        with interruption.held():
            writer.finish(Identification(file, tally.end_s, hop_s, species, tally.heard, tuple(notes)))
            if source.fault is not None:
                fault = f"{file}: {source.fault}; copy the file again"
            elif told := [one for one in notes if one not in noted]:
                of = f"{file}: channel {number}" if channel.choice == EACH else file
                note(printable(f"{of}: {'; '.join(told)}"))
            noted.update(of_pack)
            if number == numbers[-1]:
                end(file, fault)
                done += fault is None
                partly += fault is not None
        return fault

    try:
        while True:
            with interruption.held():
                asking = True
                at = next(left, None)
                asking = False
            if at is None:
                return Outcome(given, done, failed, passed_over, partly, last)
            file = at.path
            try:
                if isinstance(at, Refused):
                    raise at.error
                with overheard():  # of a file that is read to choose
                    numbers = channels_of(file, channel)
                fault: str | None = None
                for number in numbers:
                    fault = hear(file, number, numbers, fault)
            except (PackError, GalleryError, OutputError, BrokenPipeError):
                raise
            except PassedOverError as error:
                with interruption.held():
                    end(file, None)
                    passed_over += 1
                    note(printable(str(error)))
            except Exception as error:
                if isinstance(error, AudioError):
                    fault = str(error)
                else:  # one file in millions must not end the job, whatever is wrong with it or with us
                    fault = f"{file}: failed unexpectedly ({type(error).__name__}: {error}); "
                    fault += "please report it with the file"
                with interruption.held():
                    writer.fail(file, fault)
                    end(file, fault)
    except (OutputError, KeyboardInterrupt) as stopped:
        interruption.accept()
        rest, n_left = at, None
        try:
            if rest is None and not asking:
                rest = next(left, None)
                if rest is None:  # it came when all was done
                    return Outcome(given, done, failed, passed_over, partly, last)
            if rest is not None:
                n_left = 1 + sum(1 for _ in islice(left, MOST_COUNTED))
        except KeyboardInterrupt:  # by `interruption.waiting`: whoever lists the others is not waited for
            pass
        next_path = rest.path if rest is not None else None
        return Outcome(given, done, failed, passed_over, partly, last, next_path, n_left, stopped)


def write_windows(
    results: Iterable[WindowResult],
    recogniser: Recogniser,
    writer: Writer,
    top: int,
    naming: Naming,
    expected: Expected | None,
) -> tuple[Tally, int]:
    """Write the windows and detections of one file that was begun; their sum, and how many had speech."""
    tally, merger, withheld = Tally(recogniser.vocabulary), Merger(), 0
    species = expected.species if expected is not None else None

    def write(stretches: Iterable[Stretch]) -> None:
        for stretch in stretches:
            if expected is None or expected.keeps(stretch):
                writer.detection(stretch.named(naming))

    for result in results:
        tally.add(result)
        withheld += result.withheld
        kept = result if expected is None else expected.window(result)
        writer.window(kept.named(naming), naming.candidates(recogniser.species(result, top, species)))
        write(merger.add(result))
    write(merger.finish())
    return tally, withheld


def _notes(source: AudioSource, heard: bool, damaged: int, silence_dbfs: float) -> list[str]:
    """Notes for the user on the result of a file."""
    notes = list(source.notes)
    if source.fault is not None:
        notes.append(source.fault)
    if damaged:
        notes.append(f"the decoder skipped {counted(damaged, 'damaged place')}")
    if not heard:
        notes.append(f"no sound: never above {silence_dbfs:g} dBFS")
    return notes


def notes_of_pack(recogniser: Recogniser) -> list[str]:
    """Notes for the user on all results of a pack."""
    return [] if recogniser.pack.calibrated else [UNCALIBRATED]


def recorded(file: str, zone: tzinfo | None = None) -> RecordingStart | None:
    """When a recording began, where its metadata or its name says so; see `stated_start`."""
    # To read a named pipe twice would take what is in it.
    return stated_start(file, zone) if os.path.isfile(file) else None


def recording(
    file: str, source: AudioSource, begun: RecordingStart | None, channel: int = 0, follows: bool = False
) -> Recording:
    """A file, or one of its channels, as writers are told of it."""
    if begun is None or begun.moment is None:
        return Recording(file, source.rate_hz, channel=channel or None, follows=follows)
    return Recording(file, source.rate_hz, begun.moment, begun.source, begun.doubt, channel or None, follows)
