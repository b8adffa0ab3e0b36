"""What licences are called, and which of them let a photo or a recording be shown to others.

Archives write addresses (``//creativecommons.org/licenses/by-nc-sa/4.0/``), codes (``cc-by-nc``, ``CC_BY_NC_4_0``) and
words ("Creative Commons Attribution 4.0 International"). `spdx` gives one name each, of the SPDX licence list
(https://spdx.org/licenses), with the country of a ported licence at the end and without a version where none is given.

Showing a photo, small or in part, with its author and licence beside it, is what Creative Commons licences of every
kind and the public domain allow. Terms that are not known to allow it are taken not to.
"""

from __future__ import annotations

import re
from functools import lru_cache

CC0, PDM = "CC0-1.0", "PDM-1.0"
PUBLIC_DOMAIN = "public-domain"
ALL_RIGHTS_RESERVED = "all-rights-reserved"
UNKNOWN = "unknown"

NON_COMMERCIAL, NO_DERIVATIVES, SHARE_ALIKE = "NC", "ND", "SA"
ELEMENTS = (NON_COMMERCIAL, SHARE_ALIKE, NO_DERIVATIVES)  # in the order of names

_CC_PATH = re.compile(r"creativecommons\.org/licen[sc]es/([a-z+-]+)(?:/([0-9.]+))?(?:/([a-z]{2}(?:-[a-z]+)?|igo)\b)?")
_CC_ZERO = re.compile(r"creativecommons\.org/(?:publicdomain|licenses)/zero|\bcc[ -]?(?:0|zero)(?![0-9a-z])")
_CC_MARK = re.compile(r"creativecommons\.org/publicdomain/mark|\bpublic domain mark\b|\b(?:cc[ -])?pdm\b")
_CC_PUBLIC = re.compile(r"creativecommons\.org/(?:licenses/publicdomain|publicdomain/certification)|\bcc-?pd(?:dc)?\b")
_CC_CODE = re.compile(
    r"(?:\b(?:cc|creative commons)[ -]?by|^by(?=[ -](?:nc|nd|sa)))((?:[ +/&(),;.-]{0,3}(?:nc|nd|sa))*)(?![a-z])"
)
_CC_WORDS = re.compile(
    r"\b(?:creative commons|cc)\b.*?\b(?:zero|attribution)\b|"
    r"\battribution(?:[ -]?(?:non[ -]?commercial|no[ -]?deriv\w*|share[ -]?alike))+|"
    r"\battribution [1-4]\.[05] (?:international|unported|generic)\b"
)
_WORD_ELEMENTS = {
    NON_COMMERCIAL: re.compile(r"\bnon[ -]?commercial|\bno(?:t for(?: any)?)? commercial|\bnicht[ -]?kommerziell"),
    SHARE_ALIKE: re.compile(r"\bshare[ -]?alike"),
    NO_DERIVATIVES: re.compile(r"\bno[ -]?deriv"),
}
_CODE_ELEMENT = re.compile("nc|nd|sa")
# A version with what may follow it: "4.0", "3.0 de", "-2.5-ca", "3.0 Germany"; the first of "4.0,3.0,2.5".
_VERSION = re.compile(r"(?<![0-9.])([1-4](?:\.[0-9])?)(?![0-9])(?:[ ,/-]+([a-z][a-z -]*))?")
_RESERVED = re.compile(
    r"\bnot (?:in the )?public domain\b|\bcopyright(?:ed)?$|^(?:©|\(c\)|copyright)|^c$|rightsstatements\.org/vocab/inc"
)
_DENIED = re.compile(
    r"\b(?:not|no|never|without|kein\w*)(?: (?:an?|under|licen[cs]ed|in|available))* (?:cc(?:0|by|\b)|creative commons)"
)
_PUBLIC = re.compile(r"\bpublic[ -]?domain\b|\bno (?:known )?copyright restrictions\b|\bpd(?:-[a-z]+)*$")
_NONE_RESERVED = re.compile(r"\bno rights reserved\b|^no restrictions$")
_NAMED = (  # licences other than those of Creative Commons, which archives of sounds and photos have
    (re.compile(r"\bgfdl\b|\bgnu free documentation"), "GFDL"),
    (re.compile(r"\b(?:fal|free art licen[cs]e|licence art libre)\b"), "FAL"),
    (re.compile(r"\bogl\b|\bopen government licen[cs]e"), "OGL"),
    (re.compile(r"\bodbl\b|\bopen database licen[cs]e"), "ODbL"),
    (re.compile(r"\bodc-by\b"), "ODC-By"),
    (re.compile(r"\betalab|\blicence ouverte\b"), "etalab"),
)
_COUNTRY_CODES = {
    **{"australia": "AU", "austria": "AT", "belgium": "BE", "brazil": "BR", "canada": "CA", "china": "CN"},
    **{"czech republic": "CZ", "denmark": "DK", "finland": "FI", "france": "FR", "germany": "DE", "greece": "GR"},
    **{"hong kong": "HK", "hungary": "HU", "india": "IN", "ireland": "IE", "israel": "IL", "italy": "IT"},
    **{"japan": "JP", "luxembourg": "LU", "mexico": "MX", "netherlands": "NL", "new zealand": "NZ", "norway": "NO"},
    **{"poland": "PL", "portugal": "PT", "singapore": "SG", "south africa": "ZA", "south korea": "KR", "spain": "ES"},
    **{"sweden": "SE", "switzerland": "CH", "taiwan": "TW", "united kingdom": "UK", "england": "UK"},
    **{"united states": "US", "igo": "IGO"},
}
COUNTRIES = tuple(sorted(set(_COUNTRY_CODES.values())))
VERSIONS = ("1.0", "1.1", "1.2", "1.3", "2.0", "2.1", "2.5", "3.0", "4.0")
_NOT_A_COUNTRY = ("by", "or", "and", "in", "to", "of", "at", "is", "on", "cc")
_LONGEST = 4000  # of a text that is read; some archives write essays

NAMED = tuple(name for _, name in _NAMED)


@lru_cache(maxsize=4096)
def spdx(text: str) -> str:
    """The licence that a text names.

    Parameters
    ----------
    text : str
        An address, a code or words; of several licences, that of Creative Commons with most conditions is taken.

    Returns
    -------
    str
        ``"CC0-1.0"``, ``"CC-BY-NC-SA-3.0-DE"``, ``"CC-BY"`` without a version, ``"PDM-1.0"``, `PUBLIC_DOMAIN`,
        `ALL_RIGHTS_RESERVED`, or `UNKNOWN` for what is not understood.
    """
    words = " ".join(text[:_LONGEST].casefold().replace("_", "-").replace("–", "-").replace("‑", "-").split())
    words = re.sub(r"(?<=\d)-(?=\d)", ".", words)  # GBIF: CC_BY_NC_4_0
    if re.search(r"\ball[ -]rights[ -]reserved\b", words):
        return ALL_RIGHTS_RESERVED
    if _DENIED.search(words):
        return UNKNOWN
    named = [_by_path(*path.groups()) or UNKNOWN for path in _CC_PATH.finditer(words)]
    if named or _CC_CODE.search(words):
        return _strictest(named, words)
    if _CC_ZERO.search(words) or ("creative commons" in words and re.search(r"\bzero\b", words)):
        return CC0
    if _CC_WORDS.search(words):
        elements = {name for name, pattern in _WORD_ELEMENTS.items() if pattern.search(words)}
        return _cc(elements, *_versioned(words))
    for pattern, name in _NAMED:
        if pattern.search(words):
            version = _versioned(words)[0]
            return f"{name}-{version}" if version else name
    if _NONE_RESERVED.search(words):
        return PUBLIC_DOMAIN
    if _RESERVED.search(words):
        return ALL_RIGHTS_RESERVED
    if _CC_MARK.search(words):
        return PDM
    if _CC_PUBLIC.search(words) or _PUBLIC.search(words):
        return PUBLIC_DOMAIN
    return UNKNOWN


def may_be_shown(licence: str) -> bool:
    """Whether a photo or recording of this licence may be shown with its credits.

    CC0, every CC BY licence and the public domain allow it, and so does a licence that is not named: then the file is
    one's own. Everything else, such as "all rights reserved", does not.

    Parameters
    ----------
    licence : str
        As its archive or its owner wrote it: a code, a name or an address.
    """
    return not licence.strip() or spdx(licence).startswith(("CC", PDM, PUBLIC_DOMAIN))


def elements(name: str) -> frozenset[str]:
    """The conditions in a name beyond credits: ``NC``, ``ND``, ``SA``."""
    return frozenset(name.split("-")) & frozenset(ELEMENTS)


def _strictest(named: list[str], words: str) -> str:
    """Of the licences of Creative Commons in a text the one with most conditions: it may be the one that applies."""
    without_paths = _CC_PATH.sub(" ", words)
    for code in _CC_CODE.finditer(without_paths):
        conditions = {one.upper() for one in _CODE_ELEMENT.findall(code[1])}
        named.append(_cc(conditions, *_versioned(without_paths[code.end() :])))
    strictest = max(named, key=lambda name: (name == UNKNOWN, len(elements(name))))
    also = (name for name in (NON_COMMERCIAL, NO_DERIVATIVES) if _WORD_ELEMENTS[name].search(without_paths))
    return UNKNOWN if any(name not in elements(strictest) for name in also) else strictest


def _by_path(kind: str, version: str | None, country: str | None) -> str:
    parts = kind.split("-")
    if kind == "publicdomain":
        return PUBLIC_DOMAIN
    if kind == "zero":
        return CC0
    if parts[0] != "by" or not {part.upper() for part in parts[1:]} <= set(ELEMENTS):
        return ""
    return _cc({part.upper() for part in parts[1:]}, version or "", (country or "").upper().partition("-")[0])


def _cc(named: set[str], version: str, country: str) -> str:
    parts = ["CC-BY", *(one for one in ELEMENTS if one in named), version, country if version else ""]
    return "-".join(part for part in parts if part)


def _versioned(words: str) -> tuple[str, str]:
    """Version and country in what follows the name of a licence."""
    found = _VERSION.search(words)
    if not found:
        return "", ""
    version = found[1] if "." in found[1] else f"{found[1]}.0"
    rest = (found[2] or "").strip(" -")
    first = "" if rest.startswith("no ") else re.split(r"[ -]", rest)[0]  # "4.0, no derivatives" is not of Norway
    for country, code in _COUNTRY_CODES.items():
        if rest.startswith(country):
            return version, code
    return version, first.upper() if len(first) == 2 and first not in _NOT_A_COUNTRY else ""
