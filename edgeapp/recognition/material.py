"""Photos and recordings for a gallery, as a manifest or a folder names them.

A manifest names files, or with the columns ``shard``, ``offset`` and ``size`` parts of tar shards. One that has the
columns `REQUIRED_RANKS` says what its species belong to.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeapp.audio.names import is_hidden, is_searched, why_no_file
from edgeapp.errors import UsageError
from edgeapp.file_names import text_of
from edgeapp.folders import Search
from edgeapp.pack.names import names_of
from edgeapp.recognition.photos import OTHER_PHOTO_SUFFIXES, PHOTO_SUFFIXES, credits_of, plain_credit
from gallery.entry import Rejection
from gallery.errors import TaxonError
from gallery.taxon import HIGHER_RANKS, Taxon

REQUIRED_RANKS = ("class", "order", "family", "genus")
Row = tuple[str, dict[str, str]]  # where in the manifest, for people, and its texts


@dataclass(frozen=True)
class Material:
    """A photo or a recording of a taxon.

    Attributes
    ----------
    path : Path
        The file, or the tar shard that it is part of.
    scientific_name : str
        Any name `gallery.taxon.find` knows.
    modality : str
        ``"image"`` or ``"audio"``.
    author, licence, source : str
    sha256 : str
        What the file must hash to; not checked when empty.
    note : str
        What the photo shows.
    where : str
        The manifest line that named it, for people.
    part : (int, int) or None
        First byte and number of bytes inside of `path`; None for all of it.
    name : str
        Name of a file that is part of a shard.
    """

    path: Path
    scientific_name: str
    modality: str
    author: str = ""
    licence: str = ""
    source: str = ""
    sha256: str = ""
    note: str = ""
    where: str = ""
    part: tuple[int, int] | None = None
    name: str = ""

    @property
    def label(self) -> str:
        """The file, and the manifest line that named it."""
        path = text_of(self.path / self.name if self.name else self.path)
        return f"{path} ({self.where})" if self.where else path


def manifest(path: str | Path) -> Iterator[Material | Rejection]:
    """Read a manifest: a CSV with a row per photo or recording.

    Columns ``path`` (relative to the manifest) and ``scientific_name``; optional ``modality`` (image or audio; image if
    absent), ``author``, ``licence``, ``source`` (or ``source_path`` if it is an address, or ``source_repo`` and
    ``source_id``), ``sha256``, ``note``, and ``shard``, ``offset``, ``size``.

    Raises
    ------
    UsageError
        The manifest cannot be read or lacks a column.
    """
    path = Path(path)
    return (material_of(path, place, row) for place, row in rows(path))


def rows(path: Path) -> Iterator[Row]:
    """The rows of such a CSV; the same errors."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            missing = [name for name in ("path", "scientific_name") if name not in (table.fieldnames or ())]
            if missing:
                raise UsageError(f"{path}: has no column {' and '.join(missing)}", "add it to the first line")
            for row in table:
                yield f"line {table.line_num}", {key: (value or "").strip() for key, value in row.items() if key}
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})", "check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: is not a CSV in UTF-8 ({error})", "save it again as CSV, UTF-8") from None


def photo_folder(folder: str | Path, taxa: Sequence[Taxon]) -> Iterator[Material | Rejection]:
    """Read a folder of folders, each named after a species: ``Parus_major/``, ``parus major/``, ``Great Tit/``.

    Links are followed, to photos and to folders; of a species every photo is given once. Author and licence are taken
    from the photo's own EXIF fields where it has them.

    Raises
    ------
    UsageError
        There is no such folder, or no folder in it.
    """
    folder = Path(folder)
    inside = (
        sorted(one for one in folder.iterdir() if is_searched(one.name) and one.is_dir()) if folder.is_dir() else []
    )
    if not inside:
        raise UsageError(f"{folder}: has no folders of photos in it", "make one per species, such as Parus_major")
    names = names_of(taxa)
    unread: list[OSError] = []
    searches: dict[str, Search] = {}  # by taxon: a photo may show two of them, and have a link for each
    for species in inside:
        try:
            taxon = names.find(species.name.replace("_", " "))
        except TaxonError as error:
            yield Rejection(text_of(species), str(error))
            continue
        search = searches.setdefault(
            taxon.scientific_name, Search(_is_shown, is_searched, unread.append, with_folders=True)
        )
        for photo in search.below(species):
            if why := why_no_photo(photo):
                yield Rejection(text_of(photo), why)
            elif photo.suffix.lower() in PHOTO_SUFFIXES:
                author, licence = credits_of(photo)
                yield Material(
                    photo, taxon.scientific_name, "image", author, licence, source=text_of(photo.parent.name)
                )
    for refused in unread:
        yield Rejection(text_of(refused.filename), f"cannot be read ({refused.strerror}); check its permissions")


def _is_shown(name: str) -> bool:
    return not is_hidden(name)


def why_no_photo(path: Path) -> str | None:
    """Why a file that has the name of a photo is none that can be taken; None where it can, or has another name."""
    suffix = path.suffix.lower()
    if suffix in OTHER_PHOTO_SUFFIXES and path.is_file():
        return f"photos with {suffix} cannot be read; save it as JPEG or PNG"
    why = why_no_file(path) if suffix in PHOTO_SUFFIXES else None
    return f"{why}; remove it, or put the photo there" if why else None


def material_of(path: Path, place: str, row: dict[str, str]) -> Material | Rejection:
    """The photo or recording of one row of a manifest; `place` is where in it, for people."""
    modality = row.get("modality") or "image"
    if modality not in ("image", "audio"):
        return Rejection(f"{path.name} {place}", f"modality {modality!r} is neither image nor audio")
    page = row.get("source_path", "")
    known = " ".join(filter(None, (row.get("source_repo"), row.get("source_id"))))
    source = row.get("source") or (page if "://" in page or not known else known)
    shard, part = row.get("shard", ""), (row.get("offset", ""), row.get("size", ""))
    if shard and not all(number.isdecimal() for number in part):
        return Rejection(f"{path.name} {place}", f"offset {part[0]!r} and size {part[1]!r} are no place in {shard}")
    return Material(
        path=path.parent / (shard or row["path"]),
        scientific_name=row["scientific_name"],
        modality=modality,
        author=plain_credit(row.get("author", "")),
        licence=plain_credit(row.get("licence", "")),
        source=source,
        sha256=row.get("sha256", ""),
        note=row.get("note", ""),
        where=f"{path.name} {place}",
        part=(int(part[0]), int(part[1])) if shard else None,
        name=row["path"] if shard else "",
    )


def taxa_of(rows: Iterable[Row]) -> list[Taxon]:
    """The species of a manifest in the order of their names, with its ranks; none if it lacks `REQUIRED_RANKS`."""
    found: dict[str, Taxon] = {}
    for _, row in rows:
        if not set(REQUIRED_RANKS) <= set(row):
            return []
        name = " ".join((row.get("accepted_name") or row["scientific_name"]).split())
        if " " in name and name not in found:
            kingdom, phylum, class_, order, family, genus = (row.get(rank, "") for rank in HIGHER_RANKS)
            common = {"en": row["common_name"]} if row.get("common_name") else {}
            genus = genus or name.partition(" ")[0]
            found[name] = Taxon(name, kingdom, phylum, class_, order, family, genus, common)
    return [found[name] for name in sorted(found)]
