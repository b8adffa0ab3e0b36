"""What is noted about a file: words, numbers as ``level_dbfs=-31.2``, and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SHORT, SILENCE, SPEECH, SMALL = WORDS = ("short", "silence", "speech", "small")
UNREADABLE = "cannot be decoded"  # begin of a note, and the reason to leave a file out
ALSO = "also given for "  # begin of a note: the same content is given for another species
INSPECTED = "inspected"  # with the begin of the content's hash


def numbers(notes: Iterable[str]) -> dict[str, float]:
    """Numbers among notes: ``level_dbfs=-31.2`` is ``{"level_dbfs": -31.2}``."""
    pairs = (note.split("=", 1) for note in notes if "=" in note and not note.startswith((UNREADABLE, ALSO)))
    return {name: float(value) for name, value in pairs if name.isidentifier() and name != INSPECTED}


def objection(notes: Sequence[str], without: Sequence[str]) -> str:
    """Why a file is left out by what is noted about it; ``""`` if it is not.

    Parameters
    ----------
    notes : sequence of str
    without : sequence of str
        Of `WORDS`: what is not wanted.
    """
    if any(note.startswith(UNREADABLE) for note in notes):
        return UNREADABLE
    return next((f"{word}, which is not wanted" for word in without if word in notes), "")
