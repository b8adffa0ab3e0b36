"""Scientific names as people and archives write them, taken apart.

Wanted is the species that a name stands for: *Parus major*, *Parus major major* and *Parus major Linnaeus, 1758* stand
for one, *Parus sp.*, *Parus cf. major* and *Parus major × minor* for none. The rules of zoological and botanical names
are followed as far as records need it (International Code of Zoological Nomenclature, articles 5, 6, 11 and 51).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from gallery.names_table import folded


class NoSpecies(str, Enum):
    """Why a name stands for no species."""

    NO_NAME = "no scientific name"
    ABOVE_SPECIES = "not identified to species"
    UNCERTAIN = "uncertain identification (cf., aff.)"
    HYBRID = "hybrid"
    SEVERAL = "one of several species, or a group of them"
    DOMESTIC = "domestic form"
    VIRUS = "virus"


@dataclass(frozen=True)
class Name:
    """A name that stands for a species.

    Attributes
    ----------
    species : str
        Genus and epithet: ``"Parus major"``.
    subspecies : str
        ``"Parus major major"``, or ``""`` when none is named.
    authorship : str
        ``"Linnaeus, 1758"`` as written, or ``""``.
    certain : bool
        Whether the second word is an epithet; a capitalised one may also be the author of a genus.
    domestic : bool
        Whether the domestic form of a wild species is meant.
    """

    species: str
    subspecies: str = ""
    authorship: str = ""
    certain: bool = True
    domestic: bool = False


_HYBRID = re.compile(
    r"[×✕✖⨯]|(?<=\S)\s+x\s+(?=\S)|(?<=\S)\s+X\s+(?=[a-z]|[A-Z][a-z]*\.?\s+[a-z])|\s[xX]$|\b(?i:hybrids?)\b|\bnotho"
)
_TIMES = re.compile(r"\s*[×✕✖⨯]\s*|\s+[xX]\s+")
_UNCERTAIN = re.compile(r"(?i)(?:^|[\s(])(?:cf|aff|nr|near|conf|prope)\b\.?(?=\s|$)|\?")
_INDETERMINATE = re.compile(
    r"(?i)\s(?:spp?|spec|species|indet|ind|undet|unidentified|sp\.?\s*nov|gen\.?\s*sp|unknown|incertae sedis)\b\.?"
)
_UNKNOWN = re.compile(
    r"(?i)^(?:unknown|unidentified|indet\w*|undetermined|mystery|sonus|incertae|not identified)\b|BOLD:"
)
_GROUP = re.compile(r"(?i)\b(?:agg|aggregate|complex|superspecies|species[ -]group|s\.\s*l|s\.?\s*lat|sensu lato)\b\.?")
_OF_SPECIES = re.compile(r"(?i)^\S+ (?:\S+|\(\S+\)) group\b")  # of a subspecies it is behind three words
_VIRUS = re.compile(r"(?i)\b(?:\w*virus(?:es)?|\w*viroid|(?:bacterio)?phage)\b")
# What marks a species as newly described or moved: "Parus novus sp. nov.", "Parus novus n. sp.", "comb. nov.".
_NEW = re.compile(
    r"^([A-Z]\S+ (?!(?:spp|spec|species|indet|gen|ssp|nov)\b)[a-z-]{3,}(?: .*?)?),?"
    r" (?:(?:sp|ssp|subsp|comb|stat|nom)\.? ?n(?:ov)?|n(?:ov)?\.? (?:sp|ssp|subsp|comb|stat|nom))\.?$"
)
_STRICT = re.compile(r"(?i)\b(?:s\.\s*s|s\.\s*str|sensu stricto)\b\.?")
_DOMESTIC_NOTE = re.compile(
    r"(?i)\((?:domestic|feral|captive|dom\.)[^)]*\)|\bdomestic(?:ated)? (?:type|form|breed)\b|"
    r"\bf(?:orma|\.)\s*dom(?:est)?\.(?=\s|$)"
)
# Epithets of domestic forms that are named as subspecies of the wild species, beside `domesticus` and the like.
_DOMESTIC_EPITHETS = {
    "Bos": ("taurus", "indicus", "grunniens"),
    "Bubalus": ("bubalis",),
    "Canis": ("familiaris",),
    "Capra": ("hircus",),
    "Cavia": ("porcellus",),
    "Equus": ("caballus", "asinus"),
    "Felis": ("catus",),
    "Lama": ("glama",),
    "Mustela": ("furo",),
    "Ovis": ("aries",),
    "Vicugna": ("pacos",),
}
_DOMESTIC = ("domesticus", "domestica", "domesticum")
_BRACKETS = re.compile(r"\[[^\]]*\]")
_CULTIVAR = re.compile(r"(?:^|\s)['‘’\"“”][^'‘’\"“”]+['‘’\"“”]")
_MARKERS = {
    *("subsp", "ssp", "subspecies", "var", "variety", "f", "forma", "form", "morph", "morpha", "race", "ab"),
    *("aberration", "subvar", "subf", "nat"),
}
# Words of lower case that begin an author's name.
_PARTICLES = {
    *("de", "da", "das", "do", "dos", "du", "des", "del", "della", "dello", "di", "la", "le", "les", "van", "von"),
    *("vom", "zu", "zur", "zum", "den", "der", "ten", "ter", "et", "ex", "and", "in", "non", "nec", "not", "auct"),
    *("emend", "apud", "fide", "y", "e", "al", "bis", "nom", "nomen", "sensu", "d'", "l'", "af", "av"),
}
_EPITHET = re.compile(r"[a-z](?:[a-z]|-(?=[a-z0-9]))+|[0-9]+-[a-z]+")
_GENUS = re.compile(r"[A-Z][a-z]+(?:-[A-Za-z]+)?")
_CAPITALISED = re.compile(r"[A-Z](?:[a-z]+(?:-[a-z]+)?|[A-Z]+(?:-[A-Z]+)?)")
# A subgenus, an aggregate of species (ICZN 6.2), or the mark of a klepton.
_SUBGENUS = re.compile(r"^([A-Z][^\s()]+)\s+(?:\([A-Za-z][a-z-]+\)|kl\.|klepton)\s+(?=[a-z])")
# A further name behind the first: "Turdus merula & Parus major". Authors are not followed by an epithet.
_AND = r"(?:[&;+|,]|\b(?:and|und|et|y|or|oder|vel)\b)"
_FURTHER = re.compile(rf"(?:{_AND}\s*[A-Z][a-z]+|^[A-Z][a-z]+ [a-z-]+ {_AND})\s+([a-z]{{3,}})\b")
_MARKUP = re.compile(r"<[^<>]{1,60}>|[\u200b-\u200f\u2060\ufeff\u00ad]")
_APOSTROPHE = re.compile(r"(?<=\s)([a-z]+)['’]([a-z]+)\b")  # not part of a name any more (ICZN 32.5.2.3)
_LONGEST = 500


@lru_cache(maxsize=65536)
def parsed(text: str) -> Name | NoSpecies:
    """The species that a scientific name stands for, or why it stands for none.

    Parameters
    ----------
    text : str
        With authorship, subspecies, qualifiers and the like; blanks may be underscores.
    """
    text = _tidy(text)
    if not text:
        return NoSpecies.NO_NAME
    if _UNKNOWN.search(text):
        return NoSpecies.ABOVE_SPECIES
    if _HYBRID.search(text):
        within = _within_species(text)
        if within is None:
            return NoSpecies.HYBRID
        text = within
    if _UNCERTAIN.search(text):
        return NoSpecies.UNCERTAIN
    if _VIRUS.search(text):
        return NoSpecies.VIRUS
    if _OF_SPECIES.search(text):
        return NoSpecies.SEVERAL
    text = _NEW.sub(r"\1", text)
    if _INDETERMINATE.search(text):
        return NoSpecies.ABOVE_SPECIES
    text = _SUBGENUS.sub(r"\1 ", _BRACKETS.sub(" ", text))
    if _GROUP.search(text) or any(word not in _PARTICLES for word in _FURTHER.findall(text)):
        return NoSpecies.SEVERAL
    words = _STRICT.sub(" ", _CULTIVAR.sub(" ", text)).split()
    return _species(words, text)


def epithet_stem(name: str) -> str:
    """A name without what the gender of a genus changes in an epithet: *Poecile montana* and *P. montanus* share it."""
    genus, _, rest = name.partition(" ")
    stems = (re.sub(r"(?:us|um|a|is|e|er|ra|rum|os|on|ii|i)$", "", word) or word for word in rest.split())
    return " ".join([genus, *stems])


def _species(words: list[str], text: str) -> Name | NoSpecies:
    if not words or not _GENUS.fullmatch(_plain(words[0])):
        return NoSpecies.NO_NAME if not words or not words[0][:1].isalpha() else NoSpecies.ABOVE_SPECIES
    genus, rest = words[0], words[1:]
    if not rest:
        return NoSpecies.ABOVE_SPECIES
    if "/" in rest[0] or (len(rest) > 1 and rest[1] == "/"):
        return NoSpecies.SEVERAL
    if "/" in genus:
        return NoSpecies.SEVERAL
    first = rest[0].rstrip(",.;")
    if not _is_epithet(first, 2):
        if (
            _CAPITALISED.fullmatch(first)
            and (len(rest) == 1 or rest[1][:1].islower())
            and not re.search("[,(0-9]", text)
        ):
            return Name(f"{genus} {first.lower()}", "", "", certain=False)
        return NoSpecies.ABOVE_SPECIES
    species = f"{genus} {first}"
    subspecies, author = _below(species, rest[1:])
    return Name(species, subspecies, author, domestic=_is_domestic(subspecies.split(), text))


def _is_domestic(subspecies: list[str], text: str) -> bool:
    if _DOMESTIC_NOTE.search(text):
        return True
    if len(subspecies) < 3 or subspecies[1] == subspecies[2]:
        return False
    return subspecies[2] in (*_DOMESTIC, *_DOMESTIC_EPITHETS.get(subspecies[0], ()))


def _below(species: str, words: list[str]) -> tuple[str, str]:
    """Subspecies and authorship in what follows the species."""
    for at, word in enumerate(words):
        bare = word.rstrip(".")
        marked = bare.lower() in _MARKERS and (word.endswith(".") or len(bare) > 2)
        candidate = words[at + 1].rstrip(",.;") if marked and at + 1 < len(words) else word.rstrip(",;")
        if marked and _is_epithet(candidate.partition("/")[0], 3):
            return f"{species} {candidate.partition('/')[0]}", " ".join(words[at + 2 :])
        if at == 0 and not marked and _is_epithet(candidate.partition("/")[0], 3):
            return f"{species} {candidate.partition('/')[0]}", " ".join(words[at + 1 :])
    return "", " ".join(words)


def _within_species(text: str) -> str | None:
    """Of an intergrade between subspecies, the name of one: the species is the same; None for a hybrid of species."""
    if re.search(r"\bhybrid|\bnotho|^[×✕✖⨯x]\s*", text):
        return None
    parts = [part.split() for part in _TIMES.split(text)]
    first = [word for word in parts[0] if word.rstrip(".") not in _MARKERS]
    if len(first) < 3 or not all(_is_epithet(word, 2) for word in first[1:3]):
        return None
    for part in parts[1:]:
        plain = [word for word in part if word.rstrip(".") not in _MARKERS]
        alone = len(plain) == 1 and _is_epithet(plain[0], 3)
        same = len(plain) >= 3 and plain[:2] == first[:2]
        if not (alone or same):
            return None
    return " ".join(first[:3])


def _is_epithet(word: str, least: int) -> bool:
    return len(word) >= least and word not in _PARTICLES and bool(_EPITHET.fullmatch(_plain(word)))


def _plain(word: str) -> str:
    """A word without diacritics, its case kept."""
    if word.isascii():
        return word
    plain = folded(word)
    return plain.capitalize() if word[:1].isupper() else plain


def _tidy(text: str) -> str:
    text = _MARKUP.sub("", text[:_LONGEST]).strip()
    text = _APOSTROPHE.sub(r"\1\2", text.strip("'\"") if text[:1] in "'\"" else text)
    if "_" in text and " " not in text.strip():
        text = text.replace("_", " ")
    words = text.replace("†", " ").split()
    if len(words) > 1 and all(word.isupper() for word in words[:2] if word.isalpha()) and words[0].isalpha():
        if len(words[0]) > 1:
            words[:2] = [words[0].capitalize(), words[1].lower()]
            words[2:] = [word.lower() if word.isalpha() and len(words) == 3 else word for word in words[2:]]
    elif words and words[0].islower() and words[0].isalpha() and words[0] not in _PARTICLES and words[0] != "x":
        words[0] = words[0].capitalize()
    return " ".join(words)
