"""Completion of names while a person types, over every language at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from gallery.names_table import NamesTable, folded, key_of
from gallery.naming import Naming
from gallery.taxon import Taxon


class Completion:
    """Finds taxa by a part of any of their names.

    Each language is one folded text with a line for each taxon: searching it is faster than walking through names, and
    takes a tenth of the memory of a list.

    Parameters
    ----------
    taxa : iterable of Taxon
        What can be found.
    table : NamesTable
    naming : Naming
        The language of the page, whose names come first.
    """

    def __init__(self, taxa: Iterable[Taxon], table: NamesTable, naming: Naming) -> None:
        self._taxa = tuple(taxa)
        self._table = table
        self._naming = naming

    def find(self, text: str, most: int) -> list[str]:
        """Scientific names of taxa with a name that begins with a text, then those with a word that does, then others.

        Parameters
        ----------
        text : str
            Case and diacritics do not matter.
        most : int
        """
        wanted = key_of(text)
        if not wanted:
            return []
        found: dict[str, None] = {}
        for part in (f"\n{wanted}", f" {wanted}", wanted):
            for names, lines in self._texts:
                for line in _lines_with(lines, part):
                    name = names[line]
                    if name is not None:
                        found[name] = None
                        if len(found) == most:
                            return list(found)
        return list(found)

    @cached_property
    def _texts(self) -> list[tuple[list[str | None], str]]:
        """Taxon of each line, and the lines, each after a line feed: own names first, then every language."""
        own: list[str | None] = [taxon.scientific_name for taxon in self._taxa]
        texts = [
            (own, _text(self._naming.of(taxon.scientific_name, taxon.common_name) for taxon in self._taxa)),
            (own, _text(taxon.scientific_name for taxon in self._taxa)),
            (own, _text(" ".join((*taxon.common_names.values(), *taxon.synonyms)) for taxon in self._taxa)),
        ]
        rows = self._table.rows
        at: list[str | None] = [None] * len(self._table.scientific_names)
        for taxon in self._taxa:
            row = next((rows[name] for name in (taxon.scientific_name, *taxon.synonyms) if name in rows), None)
            if row is not None:
                at[row] = taxon.scientific_name
        texts += [(at, "\n" + "\n".join(self._table.folded_names(language))) for language in self._table.languages]
        return texts


def _text(lines: Iterable[str]) -> str:
    return "\n" + folded("\n".join(" ".join(line.split()) for line in lines))


def _lines_with(lines: str, part: str) -> Iterator[int]:
    """Numbers of the lines that a text with a line feed before each has a part in, ascending."""
    number, counted, at = -1, 0, lines.find(part)
    while at >= 0:
        begin = at + 1  # a part may begin with the line feed itself
        number += lines.count("\n", counted, begin)
        counted = begin
        yield number
        at = lines.find(part, at + 1)
