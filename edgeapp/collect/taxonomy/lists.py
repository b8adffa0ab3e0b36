"""Species lists as usages: the project's tables, and eBird's taxonomy."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeapp.collect.sources.decoding import quoted_rows
from edgeapp.collect.taxonomy.names import Name, parsed
from edgeapp.collect.taxonomy.usages import ACCEPTED, SYNONYM, CommonName, Usage
from edgeapp.errors import CollectError
from edgeapp.species_lists import delimiter_of
from gallery.errors import reason_of
from gallery.taxon import HIGHER_RANKS, SYNONYM_SEPARATOR, Taxon

_BIRDS = {"kingdom": "Animalia", "phylum": "Chordata", "class": "Aves"}
_EBIRD_LEFT_OUT = ("spuh", "slash", "hybrid", "domestic")  # categories that are no species; forms, intergrades are kept
_EBIRD_COLUMNS = ("species_code", "taxon_order", "taxon_concept_id")  # that no other list has
_LANGUAGE = re.compile(r"common_name_([a-z]{2,3}(?:[-_][a-z0-9]+)*)", re.IGNORECASE)
_WANTED = "name a species table (CSV with scientific_name) or eBird's taxonomy (CSV or JSON)"


def of_taxa(taxa: Iterable[Taxon]) -> Iterator[Usage | CommonName]:
    """Usages of species that are in memory."""
    for taxon in taxa:
        name = taxon.scientific_name
        ranks = {rank: taxon.at(rank) for rank in HIGHER_RANKS if taxon.at(rank)}
        yield Usage(name, name, "species", ranks=ranks)
        yield from (_synonym(name, synonym) for synonym in taxon.synonyms)
        for language, common in taxon.common_names.items():
            yield CommonName(name, language, common, preferred=True)


def of_list(path: Path) -> Iterator[Usage | CommonName]:
    """Usages of a species list.

    Parameters
    ----------
    path : Path
        Text in UTF-8 or UTF-16 with commas, tabs or semicolons, which may be compressed with gzip: the project's
        columns, of which only ``scientific_name`` is needed, or those of eBird's and Clements' lists. JSON: eBird's
        list, or its codes with names.

    Raises
    ------
    CollectError
        It cannot be read, or is no such list.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        text = data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
        if text.lstrip()[:1] in ("{", "["):
            yield from _ebird(_of_json(json.loads(text), path))
            return
        table = quoted_rows(io.StringIO(text), delimiter_of(text.partition("\n")[0]))
        columns = ["_".join(name.casefold().split()) for name in next(table, [])]
        rows = (dict(zip(columns, map(str.strip, [*row, *[""] * len(columns)]), strict=False)) for row in table if row)
        if "scientific_name" in columns and not set(_EBIRD_COLUMNS) & set(columns):
            yield from _of_table(rows)
        elif {"sci_name", "scientific_name"} & set(columns):
            yield from _ebird(rows)
        else:
            raise CollectError(f"{path}: has no column scientific_name", _WANTED)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error, csv.Error) as error:
        raise CollectError(f"{path}: cannot be read ({reason_of(error)})", _WANTED) from None


def _of_table(rows: Iterable[Mapping[str, str]]) -> Iterator[Usage | CommonName]:
    for row in rows:
        name = row["scientific_name"]
        if row.get("kind", "species") not in ("", "species") or not isinstance(parsed(name), Name):
            continue
        yield Usage(name, name, "species", ranks={rank: row[rank] for rank in HIGHER_RANKS if row.get(rank)})
        for synonym in filter(None, map(str.strip, row.get("synonyms", "").split(SYNONYM_SEPARATOR))):
            yield _synonym(name, synonym)
        for column, value in row.items():
            language = "en" if column == "common_name" else (found[1] if (found := _LANGUAGE.fullmatch(column)) else "")
            if language and value:
                yield CommonName(name, language.replace("_", "-"), value, preferred=True)


def _of_json(data: Any, path: Path) -> Iterator[Mapping[str, str]]:
    """Rows with the columns of eBird's CSV."""
    if isinstance(data, dict):
        data = [{"species_code": code, **one} for code, one in data.items() if isinstance(one, dict)]
    keys = {"sciName": "sci_name", "comName": "common_name", "familySciName": "family"}
    for one in data:
        if not isinstance(one, dict):
            raise CollectError(f"{path}: is not a list of taxa", _WANTED)
        told = {str(key): str(value) for key, value in one.items() if isinstance(value, (str, int))}
        yield {keys.get(key) or _snake(key): value for key, value in told.items()}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()


def _ebird(rows: Iterable[Mapping[str, str]]) -> Iterator[Usage | CommonName]:
    for row in rows:
        name = row.get("sci_name") or row.get("scientific_name") or ""
        found = parsed(name)
        if row.get("category", "") in _EBIRD_LEFT_OUT or not isinstance(found, Name) or found.domestic:
            continue
        code = row.get("species_code") or name
        family = (row.get("family_sci_name") or row.get("family") or "").partition(" ")[0]
        ranks = {**_BIRDS, "order": row.get("order", ""), "family": family, "genus": name.partition(" ")[0]}
        ranks = {rank: value for rank, value in ranks.items() if value}
        if found.species != name:  # a subspecies, or a group of them
            yield Usage(code, found.subspecies or name, "subspecies", accepted=found.species, standing=SYNONYM)
            continue
        yield Usage(name, name, "species", standing=ACCEPTED, ranks=ranks)
        common = row.get("common_name") or row.get("primary_com_name") or row.get("english_name") or ""
        if common:
            yield CommonName(name, "en", common, preferred=True)


def _synonym(accepted: str, synonym: str) -> Usage:
    return Usage(f"{accepted} = {synonym}", synonym, "species", accepted=accepted, standing=SYNONYM)
