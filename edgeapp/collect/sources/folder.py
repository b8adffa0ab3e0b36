"""Recordings and photos of one's own: a folder, with what is known of them in a table or in JSON files beside them.

A table (CSV or TSV, in the folder itself) names its files in a column ``file``; ``NAME.json`` or ``NAME.wav.json``
describes one file. What neither says is asked of the folder's name, which can be that of the species.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeapp import file_names
from edgeapp.audio.names import why_no_file
from edgeapp.collect.medium import Medium, Page
from edgeapp.collect.sources.csv_rows import first, header, rows
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.sources.words import coordinates, modality_of, number_of
from edgeapp.errors import CollectError
from gallery.taxon import HIGHER_RANKS

FILES = ("file", "file_name", "filename", "path")
TABLES = (".csv", ".tsv")
# What a column or key may be called.
WORDS: Mapping[str, tuple[str, ...]] = {
    "scientific_name": ("scientific_name", "scientificName", "accepted_name", "species", "taxon"),
    "common_name": ("common_name", "vernacularName", "com"),
    "licence": ("licence", "license", "lic"),
    "author": ("author", "recordist", "creator", "rightsHolder", "rec"),
    "page": ("page", "references", "source_url", "url"),
    "observer": ("observer", "recordedBy", "recordist"),
    "recorded_at": ("recorded_at", "eventDate", "observed_on", "date"),
    "country": ("country", "countryCode"),
    "quality": ("quality", "q"),
    "kind": ("kind", "type", "behavior"),
    "checksum": ("checksum",),
}
_BINOMIAL = re.compile(r"[A-Z][a-z-]+[ _][a-z-]+(?:[ _][a-z-]+)?")


class Folder:
    """All recordings and photos below a folder."""

    name = "folder"

    def __init__(self, what: str, setting: Setting) -> None:
        self._folder, self._setting = Path(what), setting
        self._unread: dict[str, str] = {}  # folders, and why
        if not self._folder.is_dir():
            raise CollectError(f"{self._folder}: no such folder", "check the path")

    def queries(self) -> Iterable[str]:
        """The folder, known again by the names, sizes and times of its files."""
        digest = hashlib.sha256()
        for path in self._files():
            try:
                known = path.stat()
            except OSError:
                continue  # told when it is its turn
            digest.update(
                f"{path.relative_to(self._folder)}\0{known.st_size}\0{known.st_mtime_ns}\n".encode(errors="replace")
            )
        return [f"{self._folder.resolve()} {digest.hexdigest()}"]

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        """All of the folder."""
        yield Page(self._media())

    def _files(self) -> Iterator[Path]:
        seen: set[str] = set()  # a link may lead back up
        for inner, folders, names in os.walk(self._folder, onerror=self._keep, followlinks=True):
            real = os.path.realpath(inner)
            folders[:] = sorted(name for name in folders if real not in seen and not name.startswith("."))
            if real in seen:
                continue
            seen.add(real)
            yield from (Path(inner, name) for name in sorted(names) if not name.startswith("."))

    def _keep(self, error: OSError) -> None:
        self._unread[str(error.filename)] = error.strerror or str(error)

    def _media(self) -> Iterator[Medium]:
        told = self._tables()
        unread: dict[str, str] = {}
        for path in self._files():
            modality = modality_of(url=path.as_posix().replace("?", "_").replace("#", "_"))
            if modality not in self._setting.modalities or path.suffix in TABLES:
                continue
            relative = path.relative_to(self._folder).as_posix()
            if why := why_no_file(path):
                unread[relative] = why
                told.pop(relative, None)
                continue
            about = {**told.pop(relative, {}), **_sidecar(path)}
            yield self._medium(path, relative, modality, about)
        unread |= self._unread
        wrong = []
        if unread:
            names = _some([f"{name} ({why})" for name, why in sorted(unread.items())])
            wrong.append(f"{len(unread):,} files or folders cannot be read: {names}")
        if told:
            wrong.append(f"{len(told):,} files that a table names are not there: {_some(sorted(told))}")
        if wrong:
            remedy = "correct the table, or put them there" if told else "correct or remove them"
            raise CollectError(f"{self._folder}: {'; '.join(wrong)}", f"{remedy}; the others are collected")

    def _medium(self, path: Path, relative: str, modality: str, about: Mapping[str, str]) -> Medium:
        said: dict[str, Any] = {name: first(about, words) for name, words in WORDS.items()}
        latitude, longitude = coordinates(
            first(about, ("latitude", "lat", "decimalLatitude")),
            first(about, ("longitude", "lon", "lng", "decimalLongitude")),
        )
        name = path.parent.name.replace("_", " ")
        if not said["scientific_name"] and _BINOMIAL.fullmatch(path.parent.name):
            said["scientific_name"] = name
        if not said["checksum"] and about.get("sha256"):
            said["checksum"] = f"sha256:{about['sha256']}"
        return Medium(
            source=self.name,
            id=file_names.text_of(relative),
            observation=about.get("observation") or about.get("occurrenceID") or file_names.text_of(relative),
            modality=modality,
            url=file_names.text_of(path.resolve()),
            ranks={rank: about[rank] for rank in HIGHER_RANKS if about.get(rank)},
            latitude=latitude,
            longitude=longitude,
            duration_s=number_of(about.get("duration_s", "")),
            background=tuple(text.strip() for text in about.get("background", "").split(";") if text.strip()),
            **said,
        )

    def _tables(self) -> dict[str, dict[str, str]]:
        """What tables say, by the path of the file in the folder."""
        told: dict[str, dict[str, str]] = {}
        for table in sorted(self._folder.iterdir()):
            if table.suffix.lower() not in TABLES or table.name.startswith("."):
                continue
            if not set(FILES) & set(header(table)):
                self._setting.tell(f"{table}: has no column {FILES[0]}, and is not read")
                continue
            for row in rows(table):
                if named := first(row, FILES):
                    told[self._below(named)] = row
        return told

    def _below(self, named: str) -> str:
        """A path of a table, which may have been written on Windows, relative to the folder."""
        path = os.path.normpath(self._folder / named.replace("\\", "/"))
        return Path(os.path.relpath(path, self._folder)).as_posix()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _sidecar(path: Path) -> dict[str, str]:
    """What a JSON file beside a file says about it."""
    for place in (path.with_name(f"{path.name}.json"), path.with_suffix(".json")):
        if place.is_file():
            try:
                said = json.loads(place.read_text(encoding="utf-8-sig"))
            except (OSError, ValueError, RecursionError) as error:
                raise CollectError(f"{place}: cannot be read ({error})", "correct or remove it") from None
            if not isinstance(said, dict):
                raise CollectError(f"{place}: is no JSON object", "correct or remove it")
            return {str(name): _words(value) for name, value in said.items()}
    return {}


def _words(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_words(one) for one in value)
    return "" if value is None else str(value)
