"""Many files, one after the other: a file that fails is named and the others are still done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from edgeapp.archive.expectation import Expectation, Expected
from edgeapp.archive.inputs import Found, Refused
from edgeapp.audio.complaints import overheard
from edgeapp.audio.file import FileSource
from edgeapp.audio.recording_time import stated_start
from edgeapp.audio.source import AudioSource
from edgeapp.clock.system import Moment
from edgeapp.errors import AudioError, GalleryError, OutputError, PackError
from edgeapp.outputs.words import printable
from edgeapp.outputs.writer import Recording, Writer
from edgeapp.recognition.merging import Merger
from edgeapp.recognition.recogniser import Recogniser, Tally
from edgeapp.recognition.results import Identification, Stretch
from gallery.naming import Naming

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How many inputs there were, were done and failed; a cut file, of which a result was written, counts as both."""

    given: int = 0
    done: int = 0
    failed: int = 0

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
    open_sound: Callable[[str], AudioSource] = FileSource,
    naming: Naming | None = None,
    expectation: Expectation | None = None,
    listening: Callable[[AudioSource], AudioSource] | None = None,
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
        File to its sound.
    naming : Naming, optional
        What taxa are called in what is written; in English if not given.
    expectation : Expectation, optional
        What is expected where the recordings were made; every taxon if not given.
    listening : callable, optional
        Source to one that somebody else hears as well while it is read.

    Raises
    ------
    PackError, GalleryError, OutputError
        What would fail every other file too.
    """
    given = done = failed = 0
    named = naming or Naming()
    for one in inputs:
        file = one.path
        given += 1
        try:
            if isinstance(one, Refused):
                raise one.error
            with overheard() as complaints:
                source = open_sound(file)
                begun = recorded(file) if isinstance(source, FileSource) else None  # raw sound on a pipe states nothing
                expected = expectation.of(begun) if expectation is not None else None
                if listening is not None:
                    source = listening(source)
                writer.begin(Recording(file, source.rate_hz, begun))
                tally = _windows(source, recogniser, writer, hop_s, top, named, expected)
            notes = _notes(source, tally.heard, complaints.damaged, recogniser.parameters.silence_dbfs)
            notes += expected.notes if expected is not None else []
            species = named.candidates(tally.species(top, expected.species if expected is not None else None))
            writer.finish(Identification(file, tally.end_s, hop_s, species, tally.heard, tuple(notes)))
            if source.fault is not None:
                fault: str | None = f"{file}: {source.fault}; copy the file again"
            else:
                fault = None
                if notes:
                    note(printable(f"{file}: {'; '.join(notes)}"))
            done += 1
        except (PackError, GalleryError, OutputError, BrokenPipeError):
            raise
        except AudioError as error:
            fault = str(error)
            writer.fail(file, fault)
        except Exception as error:
            # One file in millions must not end the job, whatever is wrong with it or with us.
            fault = f"{file}: failed unexpectedly ({type(error).__name__}: {error}); please report it with the file"
            writer.fail(file, fault)
        if fault is not None:
            failed += 1
            complain(printable(" ".join(fault.split())))
    return Outcome(given, done, failed)


def _windows(
    source: AudioSource,
    recogniser: Recogniser,
    writer: Writer,
    hop_s: float,
    top: int,
    naming: Naming,
    expected: Expected | None,
) -> Tally:
    """Write the windows and detections of one file, and sum them up."""
    tally, merger = Tally(recogniser.vocabulary), Merger()
    species = expected.species if expected is not None else None

    def write(stretches: Iterable[Stretch]) -> None:
        for stretch in stretches:
            if expected is None or expected.keeps(stretch):
                writer.detection(stretch.named(naming))

    with closing(recogniser.windows(source, hop_s)) as results:
        for result in results:
            tally.add(result)
            kept = result if expected is None else expected.window(result)
            writer.window(kept.named(naming), naming.candidates(recogniser.species(result, top, species)))
            write(merger.add(result))
    write(merger.finish())
    return tally


def _notes(source: AudioSource, heard: bool, damaged: int, silence_dbfs: float) -> list[str]:
    """Notes for the user on the result of a file."""
    notes = list(source.notes)
    if source.fault is not None:
        notes.append(source.fault)
    if damaged:
        notes.append(f"the decoder skipped {damaged} damaged place{'s' if damaged > 1 else ''}")
    if not heard:
        notes.append(f"no sound: never above {silence_dbfs:g} dBFS")
    return notes


def recorded(file: str) -> Moment | None:
    """When a recording began, where its metadata or its name says so with its zone."""
    return stated_start(file) if os.path.isfile(file) else None  # to read a named pipe twice would take what is in it
