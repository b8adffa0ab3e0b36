"""Learning from reviews: a journal's confirmed, corrected and rejected detections as a gallery of their own.

A confirmed detection becomes an audio entry of its taxon, a rejected one a counterexample of it, a corrected one both:
a counterexample of what it was taken for and an entry of what it is. Groups above the species have no entries. The
gallery holds what the last reviews say and nothing else, so that the same journal always gives the same file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.detections.review import ReviewVerdict
from edgeapp.errors import AudioError, GalleryError
from edgeapp.journal.database import JournalError
from edgeapp.journal.documents import CLIP_PARTS, id_of
from edgeapp.journal.reading import Questions
from edgeapp.pack.format import Pack
from edgeapp.pack.names import names_of
from edgeapp.recognition.learned import SUFFIX
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.terminal import counted
from gallery.entry import Counterexample, Entry
from gallery.errors import TaxonError
from gallery.files import flush_folder
from gallery.store import Gallery, build
from gallery.taxon import RANKS, Names, Taxon

SPECIES = RANKS[-1]
LABEL = "detection "  # of all that is learnt, before the number of its detection
NO_VECTOR = "without a vector of this pack's space and without a clip"
NO_CLIP = "without a vector of this pack's space and with a clip that cannot be read"
NO_SOUND = "whose vector is damaged"
GROUP = "confirmed above the species"


@dataclass(frozen=True)
class Report:
    """What was learnt.

    Attributes
    ----------
    path : Path
        Of the learned gallery.
    reviews : int
        Detections that have a review.
    entries, counterexamples : Mapping[str, int]
        Scientific name to number.
    left_out : Mapping[str, int]
        Why a review could not be learnt from, in words that follow "detections", to number.
    changed : bool
        False where the gallery had it all already.
    """

    path: Path
    reviews: int
    entries: Mapping[str, int]
    counterexamples: Mapping[str, int]
    left_out: Mapping[str, int]
    changed: bool

    @property
    def in_words(self) -> str:
        """One line."""
        if not self.reviews:
            return "no reviews to learn from"
        entries, examples = sum(self.entries.values()), sum(self.counterexamples.values())
        line = (
            f"{counted(self.reviews, 'review')}: {counted(entries, 'recording')} of"
            f" {len(self.entries)} species, {counted(examples, 'counterexample')} of"
            f" {counted(len(self.counterexamples), 'taxon', 'taxa')}"
        )
        left_out = [f"{counted(n, 'detection')} {why}" for why, n in self.left_out.items()]
        return line + (f"; not learnt from {', '.join(left_out)}" if left_out else "")


@dataclass
class _Lesson:
    """What the reviews say, before it is written."""

    taxa: dict[str, Taxon] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    counterexamples: list[Counterexample] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def learn(journal: Questions, pack: Pack, path: Path, gallery: Path | None = None) -> Report:
    """Write the learned gallery of a journal, in place of one that is there; without a review it is removed.

    Parameters
    ----------
    journal : Questions
        `edgeapp.journal.Reader` or `edgeapp.journal.Journal`.
    pack : Pack
        Whose vectors count. A detection without one is encoded again from its clip.
    path : Path
        Of the learned gallery.
    gallery : Path or None
        Whose taxa can be named; the pack's own when None.

    Raises
    ------
    JournalError
        There are reviews, and none can be learnt from; what was learnt before stays.
    GalleryError
        A gallery cannot be read or written, or the file is no learned gallery.
    """
    _check_learned(path)
    gallery = gallery or pack.gallery_path()
    with Gallery.open(gallery, pack.identity) as opened:
        taxa = opened.taxa()
    reviewed = list(journal.reviewed())
    lesson = _lesson(journal, reviewed, pack, gallery, taxa)
    if reviewed and not (lesson.entries or lesson.counterexamples):
        why = ", ".join(f"{counted(n, 'detection')} {reason}" for reason, n in lesson.left_out.items())
        raise JournalError(f"nothing can be learnt from the reviews: {why}", "name the pack that listened with --pack")
    return Report(
        path,
        len(reviewed),
        Counter(one.scientific_name for one in lesson.entries),
        Counter(one.scientific_name for one in lesson.counterexamples),
        lesson.left_out,
        _write(lesson, pack, path) if reviewed else forget(path),
    )


def forget(path: Path) -> bool:
    """Remove a learned gallery; False where there is none. The reviews stay in the journal.

    Raises
    ------
    GalleryError
        It cannot be removed, or was not learnt from reviews.
    """
    _check_learned(path)
    try:
        path.unlink()
        flush_folder(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise GalleryError(f"{path}: cannot be removed ({error.strerror})", "check the folder's permissions") from error
    return True


def _check_learned(path: Path) -> None:
    """Raise GalleryError where a file is there that is another one by its name and by what it holds."""
    if path.name.endswith(SUFFIX) or not path.exists():
        return
    try:
        with Gallery.open(path) as gallery:
            others = gallery.rows("SELECT 1 FROM entries WHERE label NOT LIKE ? LIMIT 1", [f"{LABEL}%"])
    except GalleryError:
        others = [{}]
    if others:
        raise GalleryError(f"{path}: was not learnt from reviews, and is left as it is", "name another file")


def _lesson(
    journal: Questions, reviewed: Iterable[Mapping[str, Any]], pack: Pack, gallery: Path, taxa: list[Taxon]
) -> _Lesson:
    lesson, by_name = _Lesson(), {taxon.scientific_name: taxon for taxon in taxa}
    names, clips = cache(lambda: names_of(taxa)), _Clips(pack, gallery)  # in most journals nobody needs either
    for row in reviewed:
        name, species = row["scientific_name"], row["taxon_rank"] == SPECIES
        wrong, right = _said(row, by_name, names)
        if right == name and not species:
            lesson.left_out[GROUP] += 1
            continue
        unknown = [one for one in (wrong if species else None, right) if one is not None and one not in by_name]
        if unknown:
            lesson.left_out[f"of {unknown[0]}, which the gallery does not have as a species"] += 1
        wrong = None if wrong in unknown else wrong
        right = None if right in unknown else right
        if wrong is None and right is None:
            continue
        vector = _vector(journal, row, pack, clips)
        if isinstance(vector, str):
            lesson.left_out[vector] += 1
            continue
        label, source = f"{LABEL}{row['id']}", _source(row)
        if right is not None:
            lesson.taxa[right] = by_name[right]
            lesson.entries.append(Entry(right, "audio", vector, label, row["reviewer"], source=source))
        if wrong is not None:
            one = Counterexample(row["taxon_rank"], wrong, vector, label, row["reviewer"], source=source)
            lesson.counterexamples.append(one)
    return lesson


def _said(
    row: Mapping[str, Any], by_name: Mapping[str, Taxon], names: Callable[[], Names]
) -> tuple[str | None, str | None]:
    """What a detection is not and what it is, by its last review."""
    name, verdict = row["scientific_name"], ReviewVerdict(row["review"])
    if verdict is ReviewVerdict.CONFIRMED:
        return None, name
    if verdict is ReviewVerdict.REJECTED:
        return name, None
    right = row["review_name"]
    if right not in by_name:
        with suppress(TaxonError):  # told as a name that the gallery lacks
            right = names().find(right, suggest=False).scientific_name
    if right == name:
        return None, name
    # A group may have been right and not deep enough, and a species too deep for who reviewed it.
    compatible = any(one in by_name and other in by_name[one].path() for one, other in ((right, name), (name, right)))
    return None if compatible else name, right


def _vector(journal: Questions, row: Mapping[str, Any], pack: Pack, clips: _Clips) -> np.ndarray | str:
    """Unit vector [dim] of a detection, or why there is none."""
    stored = journal.vector(row["id"]) if row["space"] == pack.space else None
    vector = clips.vector(row) if stored is None else stored
    if isinstance(vector, str):
        return vector
    length = float(np.linalg.norm(vector))
    if vector.shape != (pack.dim,) or not np.isfinite(length) or length == 0.0:
        return NO_SOUND
    return np.asarray(vector / length, np.float32)


class _Clips:
    """Vectors of detections that were written without one, from their clips."""

    def __init__(self, pack: Pack, gallery: Path) -> None:
        self._pack = pack
        self._gallery = gallery

    @cached_property
    def _recogniser(self) -> Recogniser:
        # Of its own, even beside a station: an encoder is not shared between threads.
        return Recogniser(self._pack, self._gallery, threads=1)

    def vector(self, row: Mapping[str, Any]) -> np.ndarray | str:
        """[dim] of the window that lies in a detection and is surest of its taxon, or why there is none."""
        if row["clip_path"] is None or not Path(row["clip_path"]).is_file():
            return NO_VECTOR
        start_s, end_s = (row[key] - row["clip_start_s"] for key in ("start_s", "end_s"))
        place = self._recogniser.vocabulary.rows.get(row["scientific_name"])
        best: tuple[tuple[float, float], np.ndarray] | None = None
        try:
            for window in self._recogniser.windows(FileSource(row["clip_path"])):
                inside_s = round(min(window.end_s, end_s) - max(window.start_s, start_s), 3)
                if window.vector is None or inside_s <= 0:
                    continue
                sure = window.level_dbfs if place is None else float(window.confidences[place])
                if best is None or (inside_s, sure) > best[0]:  # the roll before and after it is other sound
                    best = (inside_s, sure), window.vector
        except AudioError:
            return NO_CLIP
        return NO_CLIP if best is None else best[1]


def _source(row: Mapping[str, Any]) -> str:
    """Where a sound is from, without a path of this machine."""
    clip = row["clip_path"]
    parts = (
        f"id {id_of(row)}",
        f"station {row['station']}" if row["station"] else "",
        f"recorded {row['time_utc']}",
        f"clip {'/'.join(PurePath(clip).parts[-CLIP_PARTS:])}" if clip else "",
        f"reviewed {row['review_utc']}",
    )
    return ", ".join(filter(None, parts))


def _write(lesson: _Lesson, pack: Pack, path: Path) -> bool:
    """Write what the reviews say; False where the file has just that."""
    if _content(lesson.entries, lesson.counterexamples) == _content_of(path, pack):
        return False
    with build(path, pack.identity) as gallery:
        gallery.add_taxa(lesson.taxa[name] for name in sorted(lesson.taxa))
        gallery.add_entries(lesson.entries)
        gallery.add_counterexamples(lesson.counterexamples)
    return True


def _content(entries: Iterable[Entry], examples: Iterable[Counterexample]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [
        (
            one.modality,
            one.scientific_name,
            np.asarray(one.vector).astype(np.float16).tobytes(),  # as a gallery has it
            one.label,
            one.author,
            one.source,
        )
        for one in entries
    ]
    return rows + [
        (one.taxon_rank, one.scientific_name, one.vector.tobytes(), one.label, one.author, one.source)
        for one in examples
    ]


def _content_of(path: Path, pack: Pack) -> list[tuple[object, ...]] | None:
    """What is in a file; None if there is none that could be kept."""
    try:
        with Gallery.open(path, pack.identity) as gallery:
            return _content(gallery.entries("audio"), gallery.counterexamples())
    except GalleryError:
        return None
