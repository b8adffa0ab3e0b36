"""What a backbone consists of: name usages, and common names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ACCEPTED, DOUBTFUL, SYNONYM, MISAPPLIED = range(4)  # the standing of a usage, the best first


@dataclass(frozen=True)
class Usage:
    """One name in a backbone.

    Attributes
    ----------
    id : str
    parent : str
        Usage of the next higher taxon; of a synonym it may be that of the accepted name instead.
    accepted : str
        Usage of the accepted name, of a synonym; else ``""``.
    standing : int
        `ACCEPTED`, `DOUBTFUL`, `SYNONYM` or `MISAPPLIED`.
    rank : str
        Lower case: ``"species"``, ``"infraorder"``; ``""`` if not given.
    name : str
        As written, with or without authorship.
    authorship : str
    ranks : mapping of str to str
        Names of higher taxa that stand in the row itself.
    """

    id: str
    name: str
    rank: str = ""
    parent: str = ""
    accepted: str = ""
    standing: int = ACCEPTED
    authorship: str = ""
    ranks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CommonName:
    """A common name of a usage in one language."""

    usage: str
    language: str
    name: str
    preferred: bool = False


def standing_of(status: str, is_synonym: bool) -> int:
    """Standing by the words of Darwin Core and ColDP.

    Parameters
    ----------
    status : str
        ``"accepted"``, ``"heterotypic synonym"``, ``"provisionally accepted"``; may be empty.
    is_synonym : bool
        Whether the row names another usage as the accepted one.
    """
    words = status.replace("_", " ").strip().casefold()
    if any(word in words for word in ("misapplied", "ambiguous", "pro parte", "proparte")):
        return MISAPPLIED
    if "synonym" in words or is_synonym:
        return SYNONYM
    if any(word in words for word in ("doubtful", "provisional", "unaccepted", "invalid", "dubium", "uncertain")):
        return DOUBTFUL
    return ACCEPTED


# ISO 639-2 and 639-3 codes of the languages that have a code of two letters and common names in checklists.
_TWO_LETTERS = {
    **{"ara": "ar", "bul": "bg", "cat": "ca", "ces": "cs", "cze": "cs", "cmn": "zh", "zho": "zh", "chi": "zh"},
    **{"cym": "cy", "wel": "cy", "dan": "da", "deu": "de", "ger": "de", "ell": "el", "gre": "el", "eng": "en"},
    **{"est": "et", "eus": "eu", "baq": "eu", "fas": "fa", "per": "fa", "fao": "fo", "fin": "fi", "fra": "fr"},
    **{"fre": "fr", "gle": "ga", "glg": "gl", "heb": "he", "hin": "hi", "hrv": "hr", "hun": "hu", "ind": "id"},
    **{"isl": "is", "ice": "is", "ita": "it", "jpn": "ja", "kor": "ko", "lav": "lv", "lit": "lt", "mon": "mn"},
    **{"msa": "ms", "may": "ms", "nld": "nl", "dut": "nl", "nor": "no", "nob": "no", "nno": "no", "nb": "no"},
    **{"pol": "pl", "por": "pt", "ron": "ro", "rum": "ro", "rus": "ru", "slk": "sk", "slo": "sk", "slv": "sl"},
    **{"spa": "es", "sqi": "sq", "alb": "sq", "srp": "sr", "swa": "sw", "swe": "sv", "tha": "th", "tur": "tr"},
    **{"ukr": "uk", "vie": "vi", "zul": "zu", "afr": "af", "ben": "bn", "mal": "ml", "tam": "ta", "tel": "te"},
    **{"english": "en", "german": "de", "french": "fr", "spanish": "es", "portuguese": "pt", "italian": "it"},
    **{"dutch": "nl", "swedish": "sv", "danish": "da", "norwegian": "no", "finnish": "fi", "polish": "pl"},
    **{"czech": "cs", "russian": "ru", "japanese": "ja", "chinese": "zh", "korean": "ko", "turkish": "tr"},
}


def language_of(text: str) -> str:
    """Language tag of a code or a name: ``"eng"``, ``"EN"`` and ``"English"`` are ``"en"``; others stay as they are."""
    word = text.strip().replace("_", "-").casefold()
    first, _, rest = word.partition("-")
    two = _TWO_LETTERS.get(first, first)
    return f"{two}-{rest}" if rest and first not in _TWO_LETTERS else two
