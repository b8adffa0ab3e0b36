"""Many files, one after the other: a file that fails is named and the others are still done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from edgeapp.audio.complaints import overheard
from edgeapp.audio.file import FileSource
from edgeapp.audio.source import AudioSource
from edgeapp.errors import AudioError, GalleryError, OutputError, PackError
from edgeapp.outputs.words import printable
from edgeapp.outputs.writer import Writer
from edgeapp.recognition.pipeline import Recogniser, Tally

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How many files were done and how many failed; a cut file, of which a result was written, counts as both."""

    done: int = 0
    failed: int = 0

    @property
    def exit_code(self) -> int:
        """0, or 1 when an input failed."""
        return 1 if self.failed else 0


def identify(
    files: Iterable[str],
    recogniser: Recogniser,
    writer: Writer,
    hop_s: float,
    top: int,
    note: Tell,
    complain: Tell,
    open_sound: Callable[[str], AudioSource] = FileSource,
) -> Outcome:
    """Identify files and write each as it is done.

    Parameters
    ----------
    files : iterable of str
    recogniser : Recogniser
    writer : Writer
    hop_s : float
        Seconds between windows.
    top : int
        Species written per window and per file.
    note : callable
        Told what a person should know about a result, one line a file at most.
    complain : callable
        Told why a file failed, one line a file.
    open_sound : callable
        File to its sound.

    Raises
    ------
    PackError, GalleryError, OutputError
        What would fail every other file too.
    """
    done = failed = 0
    for file in files:
        try:
            with overheard() as complaints:
                source = open_sound(file)
                heard = _one(file, source, recogniser, writer, hop_s, top)
            fault = _told(file, source, heard, complaints.damaged, recogniser.parameters.silence_dbfs, note)
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
    return Outcome(done, failed)


def _one(file: str, source: AudioSource, recogniser: Recogniser, writer: Writer, hop_s: float, top: int) -> bool:
    """Identify one file; whether anything was heard in it."""
    tally = Tally(recogniser)
    writer.begin(file, source.rate_hz)
    with closing(recogniser.windows(source, hop_s)) as results:
        for result in results:
            tally.add(result)
            writer.window(result, recogniser.summary(result, top))
    writer.finish(tally.identification(file, hop_s, top))
    return tally.n_heard > 0


def _told(file: str, source: AudioSource, heard: bool, damaged: int, silence_dbfs: float, note: Tell) -> str | None:
    """The fault of a file there is a result of, if it has one; otherwise note in one line what is odd about it."""
    if source.fault is not None:
        return f"{file}: {source.fault}; copy the file again"
    notes = list(source.notes)
    if damaged:
        notes.append(f"the decoder passed over {damaged} damaged place{'s' if damaged > 1 else ''}")
    if not heard:
        notes.append(f"nothing heard: never above {silence_dbfs:g} dBFS")
    if notes:
        note(printable(f"{file}: {'; '.join(notes)}"))
    return None
