"""A gallery as a folder that other programs can read, and back.

| file | content |
|---|---|
| `gallery.json` | space, numbers in a vector, pack, taxa and entries; written last, so that a part is no whole |
| `taxa.csv` | a species table, as `gallery.taxon.read_taxa` reads it |
| `entries.csv`, `vectors.npy` | entries with their provenance; float16 [n, dim], zeros for one without a vector |
| `class_vectors.npy` | float32 [m, dim], of entries with a logit scale |
| `counterexamples.csv`, `counterexamples.npy` | the same of counterexamples, float32 |
| `photos`, `sounds` | thumbnails, `small` ones apart; recordings that were kept |
| `credits.csv` | author, licence and source of every file in them; a manifest for `gallery build` |
| `licences.csv` | licences and how many entries have them |
"""

from __future__ import annotations

import csv
import json
import os
import tokenize
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gallery.entries import each
from gallery.entry import Counterexample, EncoderIdentity, Entry, Rejection, Thumbnail
from gallery.errors import GalleryError
from gallery.files import fill_folder, put_folder_in_place, temporary_folder_for
from gallery.licences import may_be_shown
from gallery.store import Gallery
from gallery.taxon import RANKS, SYNONYM_SEPARATOR, Taxon

FORMAT = 1
_NO_ARRAY = (ValueError, EOFError, MemoryError, SyntaxError, tokenize.TokenError, RecursionError, zipfile.BadZipFile)
ABOUT = "gallery.json"
ENTRY_COLUMNS = (
    "scientific_name",
    "modality",
    "label",
    "author",
    "licence",
    "source",
    "sha256",
    "logit_scale",
    "logit_bias",
    "vector",
    "photo",
    "small",
    "width",
    "height",
    "sound",
)
EXAMPLE_COLUMNS = ("taxon_rank", "scientific_name", "label", "author", "licence", "source")
CREDIT_COLUMNS = ("path", "scientific_name", "modality", "author", "licence", "source", "label")
AGAIN = "export it again"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    taxa, entries, counterexamples, photos, sounds : int
    left_out : int
        Entries whose licence was not asked for.
    """

    taxa: int
    entries: int
    counterexamples: int
    photos: int
    sounds: int
    left_out: int


def export(
    gallery: Gallery,
    folder: Path,
    licensed: Callable[[str], bool] = lambda licence: True,
    sound_of: Callable[[Entry], Path | None] = lambda entry: None,
) -> Exported:
    """Write a gallery into a folder that is new or empty; after an error nothing is in it.

    Parameters
    ----------
    gallery : Gallery
    folder : Path
    licensed : callable
        Whether photos and recordings of a licence are written. Photos whose licence does not let them be shown are
        written without the picture.
    sound_of : callable
        The file of a recording, where it was kept.

    Raises
    ------
    GalleryError
        The folder has something in it, or the gallery cannot be read.
    OSError
        The folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GalleryError(f"{folder} is not an empty folder", "name a new one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder_for(folder) as part:
        exported = _export(gallery, part, licensed, sound_of)
        if folder.exists():
            fill_folder(part, folder, last=ABOUT)
        else:
            put_folder_in_place(part, folder)
    return exported


def _export(
    gallery: Gallery, folder: Path, licensed: Callable[[str], bool], sound_of: Callable[[Entry], Path | None]
) -> Exported:
    taxa, examples = gallery.taxa(), [one for one in gallery.counterexamples() if licensed(one.licence)]
    with _Writer(folder, gallery, licensed, sound_of) as writer:
        for id, entry in gallery.each(each):
            writer.write(id, entry)
    _write_taxa(folder / "taxa.csv", taxa)
    with _table(folder / "counterexamples.csv", EXAMPLE_COLUMNS) as rows:
        rows.writerows([[getattr(one, column) for column in EXAMPLE_COLUMNS] for one in examples])
    stacked = np.stack([one.vector for one in examples]) if examples else np.zeros((0, gallery.identity.dim))
    np.save(folder / "counterexamples.npy", stacked.astype("<f4"))
    with _table(folder / "licences.csv", ("licence", "entries")) as rows:
        rows.writerows(sorted(writer.licences.items()))
    about = {
        "format": FORMAT,
        "space": gallery.identity.space,
        "dim": gallery.identity.dim,
        "pack": gallery.identity.pack,
        "taxa": len(taxa),
        "entries": writer.entries,
        "counterexamples": len(examples),
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    counts = (len(taxa), writer.entries, len(examples), writer.photos, writer.sounds)
    return Exported(*counts, writer.left_out)


class _Writer:
    """Entries, their vectors, photos and sounds, one after the other."""

    def __init__(
        self,
        folder: Path,
        gallery: Gallery,
        licensed: Callable[[str], bool],
        sound_of: Callable[[Entry], Path | None],
    ) -> None:
        self._folder, self._dim, self._licensed, self._sound_of = folder, gallery.identity.dim, licensed, sound_of
        counted = gallery.rows("SELECT modality, licence, count(*) AS n FROM entries GROUP BY modality, licence")
        self._n = sum(row["n"] for row in counted if row["modality"] == "text" or licensed(row["licence"]))
        self._files = ExitStack()
        self._of_classes: list[np.ndarray] = []
        self.entries = self.photos = self.sounds = self.left_out = 0
        self.licences: Counter[str] = Counter()

    def __enter__(self) -> _Writer:
        self._rows = self._files.enter_context(_table(self._folder / "entries.csv", ENTRY_COLUMNS))
        self._credits = self._files.enter_context(_table(self._folder / "credits.csv", CREDIT_COLUMNS))
        shape = (self._n, self._dim)
        if self._n:
            self._vectors = np.lib.format.open_memmap(self._folder / "vectors.npy", "w+", np.dtype("<f2"), shape)
        else:
            np.save(self._folder / "vectors.npy", np.zeros(shape, "<f2"))
        return self

    def __exit__(self, *error: object) -> None:
        self._files.close()
        if self._n:
            self._vectors.flush()
        stacked = np.stack(self._of_classes) if self._of_classes else np.zeros((0, self._dim))
        np.save(self._folder / "class_vectors.npy", stacked.astype("<f4"))

    def write(self, id: int, entry: Entry) -> None:
        if entry.modality != "text":
            if not self._licensed(entry.licence):
                self.left_out += 1
                return
            self.licences[entry.licence] += 1
        row: dict[str, Any] = {column: getattr(entry, column, "") for column in ENTRY_COLUMNS}
        row |= {"vector": "", "photo": "", "small": "", "width": "", "height": "", "sound": ""}
        if entry.logit_scale is not None and entry.vector is not None:
            row["vector"] = len(self._of_classes)
            self._of_classes.append(entry.vector)
        elif entry.vector is not None:
            self._vectors[self.entries] = entry.vector
            row["vector"] = self.entries
        name = f"{_letters(entry.scientific_name)}_{id}"
        if entry.thumbnail is not None and may_be_shown(entry.licence):
            row["photo"] = self._file(f"photos/{name}.jpg", entry.thumbnail.large, entry)
            if entry.thumbnail.small != entry.thumbnail.large:
                row["small"] = self._file(f"photos/small/{name}.jpg", entry.thumbnail.small)
            row |= {"width": entry.thumbnail.width or "", "height": entry.thumbnail.height or ""}
            self.photos += 1
        sound = self._sound_of(entry) if entry.modality == "audio" and may_be_shown(entry.licence) else None
        if sound is not None:
            row["sound"] = self._file(f"sounds/{name}{sound.suffix.lower()}", sound.read_bytes(), entry)
            self.sounds += 1
        self._rows.writerow(["" if value is None else value for value in row.values()])
        self.entries += 1

    def _file(self, path: str, content: bytes, credited: Entry | None = None) -> str:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if credited is not None:
            self._credits.writerow([path, *(getattr(credited, column) for column in CREDIT_COLUMNS[1:])])
        return path


class Imported:
    """A folder that `export` wrote, open for reading.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    identity : EncoderIdentity
    rejected : list of Rejection
        Rows that cannot be used, as `entries` comes to them.

    Raises
    ------
    GalleryError
        It is none, a file is missing, or one is not what was written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rejected: list[Rejection] = []
        about = self._about()
        try:
            if not all(isinstance(about[name], str) for name in ("space", "pack")):
                raise TypeError("space and pack are texts")
            self.identity = EncoderIdentity(about["space"], int(about["dim"]), about["pack"])
            self._n = int(about["entries"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise GalleryError(f"{folder / ABOUT} does not say what is exported ({error!r})", AGAIN) from None
        self._vectors = self._array("vectors.npy")
        self._class_vectors = self._array("class_vectors.npy")
        if len(self._vectors) != self._n:
            raise GalleryError(f"{folder / 'vectors.npy'} has {len(self._vectors)} rows instead of {self._n}", AGAIN)

    def taxa(self) -> list[Taxon]:
        """The taxa."""
        found = []
        for _, row in self._read("taxa.csv", ("scientific_name", "common_name", *RANKS[:-1], "synonyms")):
            names = {"en": row["common_name"]} if row["common_name"] else {}
            names |= {
                column.removeprefix("common_name_"): value
                for column, value in row.items()
                if column.startswith("common_name_") and value
            }
            synonyms = tuple(filter(None, row["synonyms"].split(SYNONYM_SEPARATOR)))
            kingdom, phylum, class_, order, family, genus = (row[rank] for rank in RANKS[:-1])
            ranks = (kingdom, phylum, class_, order, family, genus)
            found.append(Taxon(row["scientific_name"], *ranks, names, synonyms))
        return found

    def entries(self) -> Iterator[Entry]:
        """The entries; those that cannot be used are among `rejected`."""
        for line, row in self._read("entries.csv", ENTRY_COLUMNS):
            try:
                yield self._entry(row)
            except (ValueError, IndexError, OSError) as error:
                where = f"entries.csv line {line}, {row['scientific_name']}: {row['label']}"
                self.rejected.append(Rejection(where, str(error)))

    def _entry(self, row: Mapping[str, str]) -> Entry:
        of_class, vector = bool(row["logit_scale"]), None
        if row["vector"]:
            at = int(row["vector"])
            if at < 0:
                raise ValueError(f"vector {at} is not there")
            vector = np.array((self._class_vectors if of_class else self._vectors)[at], np.float32)
        return Entry(
            row["scientific_name"],
            row["modality"],
            vector,
            row["label"],
            row["author"],
            row["licence"],
            row["source"],
            row["sha256"],
            self._thumbnail(row),
            float(row["logit_scale"]) if of_class else None,
            float(row["logit_bias"]) if of_class else None,
        )

    def counterexamples(self) -> list[Counterexample]:
        """The counterexamples."""
        vectors = self._array("counterexamples.npy")
        rows = [row for _, row in self._read("counterexamples.csv", EXAMPLE_COLUMNS)]
        if len(rows) != len(vectors):
            raise GalleryError(f"{self._folder} has {len(rows)} counterexamples and {len(vectors)} vectors", AGAIN)
        return [
            Counterexample(row["taxon_rank"], row["scientific_name"], np.array(vector, np.float32), *others)
            for row, vector in zip(rows, vectors)
            for others in [[row[column] for column in EXAMPLE_COLUMNS[2:]]]
        ]

    def _thumbnail(self, row: Mapping[str, str]) -> Thumbnail | None:
        if not row["photo"]:
            return None
        large = self._inside(row["photo"]).read_bytes()
        small = self._inside(row["small"]).read_bytes() if row["small"] else large
        width, height = (int(row[one]) if row[one] else None for one in ("width", "height"))
        return Thumbnail(small, large, width, height)

    def _inside(self, path: str) -> Path:
        found = Path(os.path.realpath(self._folder / path))
        if not found.is_relative_to(os.path.realpath(self._folder)):
            raise ValueError(f"{path} lies outside the folder")
        if not found.is_file():  # a pipe would be waited for
            raise ValueError(f"{path} is not there, or no file")
        return found

    def _about(self) -> Mapping[str, Any]:
        path = self._folder / ABOUT
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise GalleryError(f"{self._folder} is no exported gallery: it has no {ABOUT}", AGAIN) from None
        except OSError as error:
            raise GalleryError(f"{path} cannot be read ({error.strerror})", "check its permissions") from None
        except (ValueError, RecursionError) as error:
            raise GalleryError(f"{path} is not JSON ({error})", AGAIN) from None
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise GalleryError(f"{path} is not of format {FORMAT}", "update biovita-edge, or export it again")
        return about

    def _array(self, name: str) -> np.ndarray:
        path = self._folder / name
        try:
            found = np.load(path, mmap_mode="r" if path.stat().st_size > 1 << 20 else None, allow_pickle=False)
        except (OSError, *_NO_ARRAY) as error:
            raise GalleryError(f"{path} cannot be read ({error})", AGAIN) from None
        if not isinstance(found, np.ndarray):
            raise GalleryError(f"{path} is no array", AGAIN)
        if found.ndim != 2 or found.shape[1] != self.identity.dim or found.dtype.kind != "f":
            raise GalleryError(f"{path} has an array of shape {list(found.shape)}", AGAIN)
        return found

    def _read(self, name: str, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
        path = self._folder / name
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                rows = csv.DictReader(lines, strict=True)
                missing = [column for column in columns if column not in (rows.fieldnames or ())]
                if missing:
                    raise GalleryError(f"{path} has no column {', '.join(missing)}", AGAIN)
                for row in rows:
                    if None in row or None in row.values():
                        raise GalleryError(f"{path} line {rows.line_num} has another number of fields", AGAIN)
                    yield rows.line_num, row
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise GalleryError(f"{path} cannot be read ({error})", AGAIN) from None


def _write_taxa(path: Path, taxa: list[Taxon]) -> None:
    languages = sorted({language for taxon in taxa for language in taxon.common_names} - {"en"})
    others = [f"common_name_{language}" for language in languages]
    with _table(path, ("scientific_name", "common_name", *RANKS[:-1], "synonyms", *others)) as rows:
        for one in taxa:
            names = [one.common_names.get(language, "") for language in languages]
            synonyms = SYNONYM_SEPARATOR.join(one.synonyms)
            rows.writerow([one.scientific_name, one.common_name, *one.path("genus"), synonyms, *names])


@contextmanager
def _table(path: Path, columns: tuple[str, ...]) -> Iterator[Any]:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        yield rows


def _letters(name: str) -> str:
    """A name in letters that every file system takes."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)[:80]
