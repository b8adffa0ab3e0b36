"""Recordings and photos of one's own: a folder, with what is known of them in a table or in JSON files beside them.

A table (CSV or TSV, in the folder itself) names its files in a column ``file``; ``NAME.json`` or ``NAME.wav.json``
describes one file. Case, blanks and underscores of columns and keys do not matter. What neither says is asked of the
folder's name, which can be that of the species.
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
from edgeapp.folders import Search
from gallery.taxon import HIGHER_RANKS

FILES = ("file", "file_name", "filename", "path")
TABLES = (".csv", ".tsv")
AS_IT_LIES = "file"  # begin of what stands for the checksum of a file that has none: its size and time
NOT_READ = (".yaml", ".yml", ".xml", ".toml")  # beside a file; told, since somebody wrote them
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
        return Search(unread=self._keep).below(self._folder)

    def _keep(self, error: OSError) -> None:
        self._unread[str(error.filename)] = error.strerror or str(error)

    def _media(self) -> Iterator[Medium]:
        told = self._tables()
        unread: dict[str, str] = {}
        named: dict[str, str] = {}  # real paths of what tables name
        others = 0
        for path in self._files():
            modality = modality_of(url=path.as_posix().replace("?", "_").replace("#", "_"))
            if modality not in self._setting.modalities or path.suffix in TABLES:
                continue
            relative = path.relative_to(self._folder).as_posix()
            if why := why_no_file(path):
                unread[relative] = why
                told.pop(relative, None)
                continue
            row = told.pop(relative, None)
            if row is None and told:  # a table may name a link, or what it leads to
                named = named or {os.path.realpath(self._folder / other): other for other in told}
                row = told.pop(named.get(os.path.realpath(path), ""), None)
            about = {**(row or {}), **self._sidecar(path, unread)}
            others += sum(1 for place in _beside(path, NOT_READ) if place.is_file())
            yield self._medium(path, relative, modality, about)
        if others:
            endings = ", ".join(NOT_READ)
            self._setting.tell(f"{self._folder}: {others:,} descriptions ({endings}) are not read; write them as JSON")
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
        said: dict[str, Any] = {name: _said(about, *words) for name, words in WORDS.items()}
        latitude, longitude = coordinates(
            _said(about, "latitude", "lat", "decimalLatitude"),
            _said(about, "longitude", "lon", "lng", "decimalLongitude"),
        )
        name = path.parent.name.replace("_", " ")
        if not said["scientific_name"] and _BINOMIAL.fullmatch(path.parent.name):
            said["scientific_name"] = name
        if not said["checksum"] and (sha256 := _said(about, "sha256")):
            said["checksum"] = f"sha256:{sha256}"
        elif not said["checksum"]:
            known = path.stat()  # by which another file of this name is known in the next run
            said["checksum"] = f"{AS_IT_LIES}:{known.st_size}-{known.st_mtime_ns}"
        return Medium(
            source=self.name,
            id=file_names.text_of(relative),
            observation=_said(about, "observation", "occurrenceID") or file_names.text_of(relative),
            modality=modality,
            url=file_names.text_of(path.resolve()),
            ranks={rank: name for rank in HIGHER_RANKS if (name := _said(about, rank))},
            latitude=latitude,
            longitude=longitude,
            duration_s=number_of(_said(about, "duration_s")),
            background=tuple(text.strip() for text in _said(about, "background").split(";") if text.strip()),
            **said,
        )

    def _sidecar(self, path: Path, unread: dict[str, str]) -> dict[str, str]:
        """What a JSON file beside a file says about it; of a link, also one beside the file that it leads to."""
        beside = dict.fromkeys((path, path.resolve()))
        places = [place for one in beside for place in _beside(one, (".json", ".JSON"))]
        for place in places:
            if place.is_file():
                return _json(place)
            if place.is_symlink():
                unread[os.path.relpath(place, self._folder)] = str(why_no_file(place))
        return {}

    def _tables(self) -> dict[str, dict[str, str]]:
        """What tables say, by the path of the file in the folder."""
        told: dict[str, dict[str, str]] = {}
        for table in sorted(self._folder.iterdir()):
            if table.suffix.lower() not in TABLES or table.name.startswith("."):
                continue
            if not {*map(_plain, FILES)} & {*map(_plain, header(table))}:
                self._setting.tell(f"{table}: has no column {FILES[0]}, and is not read")
                continue
            for row in map(_about, rows(table)):
                if named := _said(row, *FILES):
                    told[self._below(named)] = row
        return told

    def _below(self, named: str) -> str:
        """A path of a table, which may have been written on Windows, relative to the folder."""
        path = os.path.normpath(self._folder / named.replace("\\", "/"))
        return Path(os.path.relpath(path, self._folder)).as_posix()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _json(path: Path) -> dict[str, str]:
    try:
        said = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CollectError(f"{path}: cannot be read ({error})", "correct or remove it") from None
    if not isinstance(said, dict):
        raise CollectError(f"{path}: is no JSON object", "correct or remove it")
    return _about({str(name): _words(value) for name, value in said.items()})


def _beside(path: Path, endings: Iterable[str]) -> Iterator[Path]:
    """Where a description of a file may be."""
    for ending in endings:
        yield from (path.with_name(f"{path.name}{ending}"), path.with_suffix(ending))


def _plain(name: str) -> str:
    """The name of a column or key, as it is compared."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def _about(told: Mapping[str, str]) -> dict[str, str]:
    """What is told, by plain names; of two that are the same, the first that has something."""
    about: dict[str, str] = {}
    for name, value in told.items():
        if value.strip():
            about.setdefault(_plain(name), value)
    return about


def _said(about: Mapping[str, str], *names: str) -> str:
    """The first of several columns or keys that has something."""
    return first(about, [_plain(name) for name in names])


def _words(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_words(one) for one in value)
    return "" if value is None else str(value)
