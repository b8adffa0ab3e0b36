"""Common names in many languages: one file for all of them, of which only the language asked for is read.

The file is a ZIP of UTF-8 texts. ``scientific_name.txt`` has one accepted name on each line; ``synonyms.txt`` the
other scientific names of that taxon, with ``|`` between them; ``de.txt`` and the like the name in that language, empty
where there is none. The order is by family, genus and species,
which is how names repeat each other, so the file stays small.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gallery.errors import TaxonError, reason_of

if TYPE_CHECKING:
    from zipfile import ZipFile

ENGLISH = "en"
SCIENTIFIC, SYNONYMS = "scientific_name", "synonyms"
SEPARATOR = "|"  # of synonyms
_SUFFIX = ".txt"
_WRITTEN = (1980, 1, 1, 0, 0, 0)  # the same names give the same bytes
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*")
_SAME_LANGUAGE = {"nb": "no", "nn": "no", "iw": "he", "cmn": "zh"}  # other tags of languages that are in use

# Letters with a mark that Unicode does not take apart, and the apostrophes of type and of keyboards.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
    | dict.fromkeys("’‘ʼ`´", "'")
    | dict.fromkeys("‐‑–", "-")
)
_MARKS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic; those of kana and of abugidas are letters


def folded(text: str) -> str:
    """Text as names are compared: without case and diacritics; lines stay lines."""
    if text.isascii():
        return text.lower().replace("`", "'")
    text = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", _MARKS.sub("", text)).translate(_PLAIN)


def key_of(name: str) -> str:
    """One name as it is compared."""
    return folded(" ".join(name.split()))


def language_tag(text: str, known: Collection[str]) -> str:
    """The tag in `known` that matches: ``DE``, ``pt-BR`` and ``nb`` are ``de``, ``pt`` and ``no``.

    Raises
    ------
    TaxonError
        There is none; those that are there are listed.
    """
    tag = text.strip().replace("_", "-").lower()
    spelled = {one.lower(): one for one in known}
    first = first_subtag(text)
    for one in (tag, first, _SAME_LANGUAGE.get(first, "")):
        if one in spelled:
            return spelled[one]
    raise TaxonError(f"there are no names in the language {text!r}", f"use {', '.join(sorted(known))}")


def first_subtag(text: str) -> str:
    """The language of a tag, without country or script: ``en`` of ``en_GB``."""
    return text.strip().replace("_", "-").lower().partition("-")[0]


class NamesTable:
    """The names of a file that `write_names` made. Read lazily.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._columns: dict[str, tuple[str, ...]] = {}

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Tags of the languages, in alphabetical order."""
        with self._open() as file:
            found = {name.removesuffix(_SUFFIX) for name in file.namelist()}
        return tuple(sorted(found - {SCIENTIFIC, SYNONYMS}))

    @property
    def scientific_names(self) -> tuple[str, ...]:
        """The rows of the table."""
        return self._column(SCIENTIFIC)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Scientific name, accepted or a synonym, to row."""
        rows = {name: row for row, name in enumerate(self.scientific_names)}
        for row, names in enumerate(self._column(SYNONYMS)):
            for name in names.split(SEPARATOR) if names else ():
                rows.setdefault(name, row)
        return rows

    def names(self, language: str) -> dict[str, str]:
        """Scientific name, accepted or a synonym, to name in a language, for the taxa that have one.

        Raises
        ------
        TaxonError
            The file cannot be read, or has no such language.
        """
        column = self._column(language)
        return {name: column[row] for name, row in self.rows.items() if column[row]}

    def folded_names(self, language: str, rows: Sequence[int] | None = None) -> list[str]:
        """Names in a language as they are compared, one for each row, or of such rows; empty where there is none."""
        column = self._column(language)
        names = column if rows is None else [column[row] for row in rows]
        return folded("\n".join(names)).split("\n") if names else []

    def spelled(self, scientific_names: Iterable[str], key: str) -> str:
        """A name as it is written, from what `key_of` made of it and the taxon that bears it."""
        for row in (self.rows[name] for name in scientific_names if name in self.rows):
            for language in self.languages:
                if key_of(self._column(language)[row]) == key:
                    return self._column(language)[row]
        return key

    def _column(self, name: str) -> tuple[str, ...]:
        if name not in self._columns:
            import zlib
            from zipfile import BadZipFile

            with self._open() as file:
                try:
                    text = file.read(f"{name}{_SUFFIX}").decode("utf-8")
                except KeyError:
                    raise TaxonError(
                        f"names {self.path} have no language {name!r}", f"use {', '.join(self.languages)}"
                    ) from None
                except (ValueError, EOFError, BadZipFile, zlib.error) as error:
                    raise _unreadable(self.path, error) from error
            self._columns[name] = tuple(text.split("\n"))
        return self._columns[name]

    def _open(self) -> ZipFile:
        from zipfile import BadZipFile, ZipFile  # loaded only for other languages

        try:
            return ZipFile(self.path)
        except (OSError, BadZipFile) as error:
            raise _unreadable(self.path, error) from error


def write_names(
    path: str | Path,
    names: Mapping[str, Mapping[str, str]],
    order: Sequence[str],
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write a table of names, atomically.

    Parameters
    ----------
    path : str or Path
    names : Mapping
        Language tag to scientific name to common name.
    order : sequence of str
        Accepted scientific names of the rows.
    synonyms : Mapping, optional
        Accepted name to the other scientific names of its taxon.

    Raises
    ------
    TaxonError
        A tag or a name cannot be written.
    """
    from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

    from gallery.files import replacing

    columns: list[tuple[str, Iterable[str]]] = [
        (SCIENTIFIC, order),
        (SYNONYMS, [SEPARATOR.join((synonyms or {}).get(name, ())) for name in order]),
    ]
    for language in sorted(names):
        if not _TAG.fullmatch(language):
            raise TaxonError(f"{language!r} is not a language tag", "use two letters, such as de")
        columns.append((language, [names[language].get(name, "") for name in order]))
    with replacing(Path(path)) as part, ZipFile(part, "w", ZIP_DEFLATED, compresslevel=9) as file:
        for name, column in columns:
            lines = list(column)
            for line in lines:
                if line != " ".join(line.split()):
                    raise TaxonError(f"{line!r} ({name}) is not one line without surplus blanks", "correct it")
            entry = ZipInfo(f"{name}{_SUFFIX}", _WRITTEN)
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, "\n".join(lines).encode("utf-8"))


def _unreadable(path: Path, error: Exception) -> TaxonError:
    return TaxonError(f"names {path} cannot be read ({reason_of(error)})", "install biovita-edge again")
