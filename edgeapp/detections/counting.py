"""How the windows ended, in one line."""

from __future__ import annotations

from collections.abc import Mapping

from edgeapp.detections.verdict import Verdict

# In the order of the line: what was found, then the rest by how often a station usually meets it.
WORDS: dict[Verdict, tuple[str, str]] = {
    Verdict.DETECTION: ("detection", "detections"),
    Verdict.NOTHING: ("nothing", "nothing"),
    Verdict.BELOW: ("below threshold", "below threshold"),
    Verdict.UNCONFIRMED: ("unconfirmed", "unconfirmed"),
    Verdict.UNLISTED: ("not on the species list", "not on the species list"),
    Verdict.OUT_OF_RANGE: ("out of range", "out of range"),
    Verdict.SPEECH: ("speech", "speech"),
    Verdict.SILENT: ("silent", "silent"),
}


def in_words(counts: Mapping[Verdict, int]) -> str:
    """The counts as "412 windows: 21 detections, 380 nothing, 8 unconfirmed, 3 speech".

    Parameters
    ----------
    counts : Mapping[Verdict, int]
        Windows by how they ended. Counts of zero are left out.

    Returns
    -------
    str
        "0 windows" when there was none.
    """
    windows = sum(counts.values())
    text = f"{windows} window{'' if windows == 1 else 's'}"
    ends = [f"{n} {words[n != 1]}" for verdict, words in WORDS.items() if (n := counts.get(verdict, 0))]
    return f"{text}: {', '.join(ends)}" if ends else text
