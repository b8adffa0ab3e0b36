"""Build a gallery: names, photos and recordings to vectors with provenance.

`gallery/` keeps vectors and runs no model; this is where a pack's encoders make them. One photo that is missing or
broken is rejected by name, in the gallery's own list of rejections, and the others are still taken.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeapp.audio.channel_choice import channels_of
from edgeapp.audio.channels import Channel
from edgeapp.audio.file import FileSource
from edgeapp.audio.microphones.complaints import overheard
from edgeapp.audio.names import why_no_file
from edgeapp.audio.windows import level_dbfs
from edgeapp.errors import AudioError, PassedOverError
from edgeapp.file_names import text_of
from edgeapp.pack.format import Pack
from edgeapp.pack.hashes import sha256
from edgeapp.pack.names import names_of
from edgeapp.recognition.material import Material
from edgeapp.recognition.photos import UnusablePhoto, opened, thumbnail
from edgeapp.runtime.encoders import AudioEncoder, ImageEncoder, TextEncoder
from gallery.entry import Entry, Rejection, Thumbnail, shows_adult
from gallery.errors import TaxonError
from gallery.licences import may_be_shown
from gallery.prompts import prompts
from gallery.store import Gallery, build
from gallery.taxon import Names, Taxon

if TYPE_CHECKING:
    from PIL.Image import Image

PHOTOS_AT_ONCE = 8


@dataclass
class Report:
    """Result of a build: entries by modality, material left out, failures, notes."""

    taxa: int = 0
    entries: dict[str, int] = field(default_factory=lambda: {"text": 0, "image": 0, "audio": 0})
    left_out: list[Rejection] = field(default_factory=list)
    failed: list[Rejection] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def build_gallery(
    path: str | Path,
    pack: Pack,
    taxa: Sequence[Taxon],
    material: Iterable[Material | Rejection] = (),
    modalities: Sequence[str] = ("text", "image"),
    thumbnails: bool = True,
    tell: Callable[[Rejection], None] = lambda rejection: None,
) -> Report:
    """Make a gallery, in place of one that may be there, once it is complete.

    Parameters
    ----------
    path : path
        Of the gallery file.
    pack : Pack
        Its encoders make the vectors.
    taxa : sequence of Taxon
        All of them are in the gallery, each with its five prompts when ``modalities`` has ``"text"``.
    material : iterable of Material or Rejection
        From `manifest` or `photo_folder`. Modalities that are not in ``modalities`` are skipped.
    modalities : sequence of str
    thumbnails : bool
        Keep two small JPEGs of each photo whose licence lets it be shown.
    tell : callable
        Told of each failure as it happens.

    Raises
    ------
    GalleryError, PackError
        Nothing was changed.
    """
    with build(path, pack.identity) as gallery:
        report = Report(taxa=gallery.add_taxa(taxa).added)
        filler = Filler(gallery, pack, thumbnails, report, tell)
        if "text" in modalities:
            filler.add_prompts(taxa)
        filler.add(one for one in material if isinstance(one, Rejection) or one.modality in modalities)
    return report


class Filler:
    """Put the vectors of prompts, photos and recordings into an open gallery.

    Encoders are loaded when the first material of their modality comes. Photos for a pack that does not compare photos
    are kept to be shown.

    Parameters
    ----------
    gallery : Gallery
        Open for writing, its taxa already in it.
    pack : Pack
    thumbnails : bool
        As of `build_gallery`.
    report : Report
        Counted up.
    tell : callable
        Told of each failure.
    channel : Channel
    """

    def __init__(
        self,
        gallery: Gallery,
        pack: Pack,
        thumbnails: bool = True,
        report: Report | None = None,
        tell: Callable[[Rejection], None] = lambda rejection: None,
        channel: Channel = Channel(),
    ) -> None:
        self.gallery = gallery
        self.pack = pack
        self.thumbnails = thumbnails
        self.report = report if report is not None else Report()
        self._tell = tell
        self._channel = channel
        self._compares_photos = pack.image is not None and "image" in pack.decision.scale
        self._image_encoder: ImageEncoder | None = None
        self._audio_encoder: AudioEncoder | None = None
        self._not_shown: Counter[str] = Counter()  # licences of photos of which no thumbnail may be kept
        self._only_shown = 0  # photos without a vector
        self._files: dict[tuple[str, str], dict[str, str]] = {}  # (modality, sha256) -> scientific name -> label

    @cached_property
    def _names(self) -> Names:
        return names_of(self.gallery.taxa())

    def add_prompts(self, taxa: Sequence[Taxon]) -> None:
        """Add the five prompts of each taxon."""
        encoder = TextEncoder(self.pack)
        rows = [
            (taxon.scientific_name, f"{form}: {text}", text) for taxon in taxa for form, text in prompts(taxon).items()
        ]
        vectors = encoder.encode([text for _, _, text in rows])
        self._put(Entry(name, "text", vector, label) for (name, label, _), vector in zip(rows, vectors, strict=True))

    def add(self, material: Iterable[Material | Rejection]) -> None:
        """Add photos and recordings; what cannot be used is rejected by name."""
        photos: list[tuple[Entry, Image]] = []
        for one in material:
            if isinstance(one, Rejection):
                self._fail(one)
                continue
            if one.modality == "image" and not shows_adult(one.note):
                self._leave_out(one, f"immature: {one.note}")
                continue
            try:
                entry = self._described(one)
                if self._is_there(one, entry):
                    continue
                if one.modality == "image":
                    image = opened(_content(one))
                    entry = replace(entry, thumbnail=self._thumbnail(image, one.licence))
                    if not self._compares_photos and entry.thumbnail is None:
                        self._leave_out(one, "neither compared by this pack nor kept to be shown")
                        continue
                    photos.append((entry, image))
                else:
                    self._put([replace(entry, vector=self._heard(one))])
                self._took(one, entry)
            except PassedOverError as error:
                self._leave_out(one, error.what)
                self.report.notes.append(str(error))
            except (TaxonError, AudioError, UnusablePhoto, _Unusable) as error:
                self._fail(Rejection(one.label, str(error)))
            if len(photos) == PHOTOS_AT_ONCE:
                self._add_photos(photos)
                photos = []
        self._add_photos(photos)
        self._note_photos()

    def _add_photos(self, photos: Sequence[tuple[Entry, Image]]) -> None:
        if self._compares_photos and photos:
            if self._image_encoder is None:
                self._image_encoder = ImageEncoder(self.pack)
            vectors = self._image_encoder.encode([image for _, image in photos])
            self._put(replace(entry, vector=vector) for (entry, _), vector in zip(photos, vectors, strict=True))
        else:
            self._only_shown += self._put(entry for entry, _ in photos)

    def _thumbnail(self, image: Image, licence: str) -> Thumbnail | None:
        if not self.thumbnails:
            return None
        if not may_be_shown(licence):
            self._not_shown[licence] += 1
            return None
        return thumbnail(image)

    def _note_photos(self) -> None:
        """Note how many photos are only compared, because of their licences, and how many are only shown."""
        if self._not_shown:
            licences = ", ".join(f"{n} of '{licence}'" for licence, n in self._not_shown.most_common())
            self.report.notes.append(
                f"{_photos(self._not_shown.total())} not kept to be shown, as the licence is not known to allow it: "
                f"{licences}"
            )
            self._not_shown.clear()
        if self._only_shown:
            note = f"{_photos(self._only_shown)} kept to be shown and not compared: {self.pack.name} compares no photos"
            self.report.notes.append(note)
            self._only_shown = 0

    def _is_there(self, one: Material, entry: Entry) -> bool:
        """Whether the taxon has this very file already; it is left out then, with a note."""
        label = self._files.get((entry.modality, entry.sha256), {}).get(entry.scientific_name)
        for older in self.gallery.entries(entry.modality, entry.scientific_name, entry.sha256) if label is None else ():
            label = older.label
        if label is not None:
            reason = f"the same file as {label} of {entry.scientific_name}, so counted once"
            self._leave_out(one, reason)
            self.report.notes.append(f"{one.label}: {reason}")
        return label is not None

    def _took(self, one: Material, entry: Entry) -> None:
        """Remember a file, and note when another taxon has it too."""
        others = self._files.setdefault((entry.modality, entry.sha256), {})
        for name, label in others.items():
            note = f"{one.label}: given for {entry.scientific_name}, the same file as {label} of {name}"
            self.report.notes.append(note)
        others[entry.scientific_name] = one.label

    def _heard(self, one: Material) -> np.ndarray:
        """One vector of a recording: the direction its heard windows share."""
        if self._audio_encoder is None:
            self._audio_encoder = AudioEncoder(self.pack)
        total = np.zeros(self.pack.dim, np.float64)
        with overheard():  # damage that an MP3 decoder passes over
            for number in channels_of(_content(one), self._channel):
                total += self._sum(FileSource(_content(one), channel=number), self._audio_encoder)
        length = float(np.linalg.norm(total))
        if length == 0.0:
            raise _Unusable("contains no sound; give one with the species")
        return (total / length).astype(np.float32)

    def _sum(self, source: FileSource, encoder: AudioEncoder) -> np.ndarray:
        """The vectors of the windows of a source that are loud enough, added up."""
        total = np.zeros(self.pack.dim, np.float64)
        with closing(source):
            for window in self.pack.audio.cutting.windows(source):
                if level_dbfs(window.samples) >= self.pack.decision.silence_dbfs:
                    total += encoder.encode(window.samples[None])[0]
        return total

    def _described(self, one: Material) -> Entry:
        """The entry of a file, still without its vector."""
        taxon = self._names.find(one.scientific_name)
        if why := why_no_file(one.path):
            missing = not os.path.lexists(one.path)
            raise _Unusable(f"{'the file is missing; add it' if missing else f'{why}; name another'} or remove the row")
        hashed = sha256(one.path) if one.part is None else hashlib.sha256(_part(one)).hexdigest()
        if one.sha256 and one.sha256.lower() != hashed:
            raise _Unusable("sha256 differs from the manifest; copy the file again")
        return Entry(
            taxon.scientific_name,
            one.modality,
            None,
            text_of(one.name or one.path.name),
            author=one.author,
            licence=one.licence,
            source=one.source,
            sha256=hashed,
        )

    def _put(self, entries: Iterable[Entry]) -> int:
        """Add entries of one modality; returns how many were taken."""
        entries = list(entries)
        added = self.gallery.add_entries(entries)
        if entries:
            self.report.entries[entries[0].modality] += added.added
        for rejection in added.rejected:
            self.report.failed.append(rejection)
            self._tell(rejection)
        return added.added

    def _leave_out(self, one: Material, reason: str) -> None:
        self.report.left_out.append(self.gallery.reject(one.label, reason))

    def _fail(self, rejection: Rejection) -> None:
        self.gallery.reject(rejection.label, rejection.reason)
        self.report.failed.append(rejection)
        self._tell(rejection)


def _content(one: Material) -> Path | io.BytesIO:
    """A file that can be opened, or the bytes of one that is part of a shard."""
    if one.part is None:
        return one.path
    content = io.BytesIO(_part(one))
    content.name = one.label  # for messages
    return content


def _part(one: Material) -> bytes:
    first, size = one.part or (0, 0)
    try:
        with open(one.path, "rb") as shard:
            shard.seek(first)
            content = shard.read(size)
    except OSError as error:
        raise _Unusable(f"the shard cannot be read ({error.strerror or error})") from None
    if len(content) < size:
        raise _Unusable("the shard ends before the file does; copy it again")
    return content


def _photos(n: int) -> str:
    return "1 photo is" if n == 1 else f"{n} photos are"


class _Unusable(Exception):
    """A file that cannot become an entry."""
