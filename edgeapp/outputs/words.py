"""Decisions in words a person reads."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from gallery.decision import Decision, RankedSpecies

NOTHING_HEARD = "nothing heard"
NOTHING_KNOWN = "nothing known"
ENDS_A_ROW = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's control characters, half characters, line and paragraph ends


def in_words(decision: Decision | None, inside: Sequence[RankedSpecies], heard: bool = True) -> str:
    """Say a decision: "Great Tit (Parus major)", "a Parus, probably P. major", "nothing known".

    Parameters
    ----------
    decision : Decision or None
    inside : sequence of RankedSpecies
        The species of the decided taxon, best first; the first one is named as the likeliest of a higher rank.
    heard : bool
        Whether there was any sound to decide on.
    """
    if not heard:
        return NOTHING_HEARD
    if decision is None:
        return NOTHING_KNOWN
    best = inside[0] if inside else None
    if decision.rank == "species":
        return _called(decision.name, best)
    if decision.rank == "genus":
        likeliest = f", probably {short(best.scientific_name)}" if best else ""
        return f"{_article(decision.name)} {decision.name}{likeliest}"
    likeliest = f", probably {best.scientific_name}" if best else ""
    return f"one of the {decision.name} ({decision.rank}){likeliest}"


def short(scientific_name: str) -> str:
    """ "Parus major" -> "P. major"."""
    genus, _, rest = scientific_name.partition(" ")
    return f"{genus[0]}. {rest}" if rest else genus


def clock(seconds: float) -> str:
    """75.5 -> "1:15.5"; 3675 -> "1:01:15". Tenths only where there are any."""
    tenths = round(seconds * 10)
    whole, tenth = divmod(tenths, 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{tenth}" if tenth else text


def printable(name: str) -> str:
    """A file name on one line of any terminal: undecodable bytes and control characters replaced."""
    safe = name.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "�" for c in safe)


def one_line(text: str) -> str:
    """Text for one field of one row of a table: what would end either is replaced, all other letters stay."""
    return "".join("�" if unicodedata.category(c) in ENDS_A_ROW else c for c in text)


def _called(scientific_name: str, species: RankedSpecies | None) -> str:
    common = species.common_name if species else ""
    return f"{common} ({scientific_name})" if common and common != scientific_name else scientific_name


def _article(name: str) -> str:
    return "an" if name[:1] in "AEIOU" else "a"
