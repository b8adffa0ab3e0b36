"""Detections in words a person reads."""

from __future__ import annotations

import unicodedata

from gallery.recognition import Detection

NOTHING_HEARD = "nothing heard"
NOTHING_KNOWN = "nothing known"
ENDS_A_ROW = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's control characters, half characters, line and paragraph ends


def in_words(detection: Detection) -> str:
    """Name a detection: "Great Tit (Parus major)", "a Parus, probably P. major", "one of the Turdidae (family)"."""
    name = detection.scientific_name
    if detection.taxon_rank == "species":
        return f"{detection.common_name} ({name})" if detection.common_name not in ("", name) else name
    likeliest = detection.candidates[0].scientific_name if detection.candidates else ""
    if detection.taxon_rank == "genus":
        return f"{_article(name)} {name}{f', probably {short(likeliest)}' if likeliest else ''}"
    return f"one of the {name} ({detection.taxon_rank}){f', probably {likeliest}' if likeliest else ''}"


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


def one_line(text: str) -> str:
    """Text for one field of one row of a table: what would end either is replaced, all other letters stay."""
    return "".join("�" if unicodedata.category(c) in ENDS_A_ROW else c for c in text)


def _article(name: str) -> str:
    return "an" if name[:1] in "AEIOU" else "a"
