"""How the windows ended and how many detections there were, in one line."""

from __future__ import annotations

from collections.abc import Mapping

from edgeapp.detections.verdict import Verdict

# In the order of the line: what was found, then the rest by how often a station usually meets it.
WORDS: dict[Verdict, str] = {
    Verdict.DETECTION: "with detections",
    Verdict.NOTHING: "nothing",
    Verdict.BELOW: "below threshold",
    Verdict.UNCONFIRMED: "unconfirmed",
    Verdict.UNLISTED: "not on the species list",
    Verdict.OUT_OF_RANGE: "out of range",
    Verdict.SPEECH: "speech",
    Verdict.SILENT: "silent",
}


def in_words(counts: Mapping[Verdict, int], detections: int) -> str:
    """The counts as "412 windows: 15 with detections, 380 nothing, 14 unconfirmed, 3 speech; 21 detections".

    Parameters
    ----------
    counts : Mapping[Verdict, int]
        Windows by how they ended. Counts of zero are left out.
    detections : int
        A window may hold several, and one may run over several windows.

    Returns
    -------
    str
        "0 windows; 0 detections" when there was none.
    """
    windows = sum(counts.values())
    text = f"{windows} window{'' if windows == 1 else 's'}"
    ends = [f"{n} {words}" for verdict, words in WORDS.items() if (n := counts.get(verdict, 0))]
    text = f"{text}: {', '.join(ends)}" if ends else text
    return f"{text}; {detections} detection{'' if detections == 1 else 's'}"
