"""Which licences a collection takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from edgeapp.collect.defaults import LICENCES
from edgeapp.errors import UsageError
from gallery.licences import (
    ALL_RIGHTS_RESERVED,
    CC0,
    COUNTRIES,
    NAMED,
    NO_DERIVATIVES,
    NON_COMMERCIAL,
    PDM,
    PUBLIC_DOMAIN,
    SHARE_ALIKE,
    UNKNOWN,
    VERSIONS,
    elements,
)

ALL = "*"
MEANING = {NON_COMMERCIAL: "no commercial use", NO_DERIVATIVES: "no derivatives", SHARE_ALIKE: "share alike"}

# For telling a pattern that can match nothing.
_CC_BY = tuple(f"CC-BY{rest}" for rest in ("", "-SA", "-NC", "-NC-SA", "-ND", "-NC-ND"))
_OTHER = (CC0, PDM, PUBLIC_DOMAIN, ALL_RIGHTS_RESERVED, UNKNOWN, *NAMED)


@dataclass(frozen=True)
class Terms:
    """Which licences are taken.

    Patterns are compared without regard to case, and blanks, dashes and underscores are the same; ``*`` and ``?`` stand
    for other letters. One without a version takes every version. Licences that allow no commercial use or no
    derivatives are taken only by a pattern that says so (``CC BY-NC*``), or by ``*`` alone, which takes everything.

    Attributes
    ----------
    patterns : tuple of str
        As `of` splits them.
    """

    patterns: tuple[str, ...]

    @classmethod
    def of(cls, text: str | Iterable[str] = LICENCES) -> Terms:
        """Terms from a text with alternatives: ``"CC0|CC BY*"``.

        Raises
        ------
        UsageError
            There is no pattern, or one that no licence can have.
        """
        texts = [text] if isinstance(text, str) else list(text)
        patterns = tuple(one.strip() for each in texts for one in re.split(r"[|,]", each) if one.strip())
        remedy = f"write names with * for the rest, such as '{LICENCES}', or * for all"
        if not patterns:
            raise UsageError("--licence names no licence", remedy)
        for pattern in patterns:
            if not any(_matches(pattern, name) for name in _possible()):
                raise UsageError(f"--licence: no licence is called {pattern!r}", remedy)
        return cls(patterns)

    def allows(self, name: str) -> bool:
        """Whether a licence, as `spdx` names it, is taken."""
        return any(_takes(pattern, name) for pattern in self.patterns)

    def objection(self, name: str) -> str:
        """Why a licence is not taken, in words; ``""`` for one that is."""
        if self.allows(name):
            return ""
        if any(_matches(pattern, name) for pattern in self.patterns):
            unasked = [MEANING[one] for one in (NON_COMMERCIAL, NO_DERIVATIVES) if one in elements(name)]
            return f"licence {name}: {' and '.join(unasked)}, which --licence does not ask for"
        return f"licence {name}: not among {'|'.join(self.patterns)}"


def _takes(pattern: str, name: str) -> bool:
    if not _matches(pattern, name):
        return False
    if pattern == ALL:
        return True
    strict = elements(name) - {SHARE_ALIKE}
    return strict <= set(_parts(pattern))


def _matches(pattern: str, name: str) -> bool:
    """Whether a pattern fits a name, or the name without its version and country."""
    wanted, whole = _spelled(pattern), _spelled(name)
    return fnmatchcase(whole, wanted) or fnmatchcase(_without_version(whole), wanted)


def _spelled(text: str) -> str:
    words = re.sub(r"[\s_-]+", "-", text.strip().casefold())
    return re.sub(r"^ccby", "cc-by", words)


def _without_version(name: str) -> str:
    return re.sub(r"-[0-9]+(?:\.[0-9]+)*(?:-[a-z]+)*$", "", name)


def _parts(text: str) -> list[str]:
    return [part.strip("*?[]").upper() for part in _spelled(text).split("-")]


def _possible() -> Iterator[str]:
    yield from (*_OTHER, *_CC_BY)
    for name in NAMED:
        yield from (f"{name}-{version}" for version in VERSIONS)
    for name in _CC_BY:
        for version in VERSIONS:
            yield f"{name}-{version}"
            yield from (f"{name}-{version}-{country}" for country in COUNTRIES)
