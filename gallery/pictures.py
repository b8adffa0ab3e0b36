"""Pictures beside a name: the photos and recordings of a taxon, or photos of its nearest relatives.

Reads the rows of that taxon, and those of relatives only where it has no photos: never all vectors of a gallery.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from gallery.relatives import Relatives, direction_of
from gallery.rows import pieces, taxon_of
from gallery.store import Gallery
from gallery.taxon import RANKS

MOST_OF_GROUP = 1000  # photos of a group's members that are compared: an order may have tens of thousands
KEPT_BYTES = 4_000_000  # of rows that a finder remembers
ROW_BYTES = 1_000  # of a row beside its vector

_COLUMNS = """
    entries.id, taxon, scientific_name, modality, block, place, label, author, licence, source,
    thumbnails.entry IS NOT NULL AS thumbnail, width, height
    """
_TABLES = "entries JOIN taxa ON taxa.id = entries.taxon LEFT JOIN thumbnails ON thumbnails.entry = entries.id"


@dataclass(frozen=True)
class Picture:
    """A photo or a recording to check a name against. Wherever it is shown, its author and licence are.

    Attributes
    ----------
    id : int
        Of its entry, for `gallery.store.Gallery.thumbnail`.
    modality : str
        ``"image"`` or ``"audio"``.
    scientific_name : str
        The species it shows.
    relative : str
        ``""`` when that is the taxon asked for; otherwise the lowest rank they share: ``"genus"`` of another tit.
        Of a member of a group that was asked for, the rank of the group.
    label : str
        File name.
    author, licence, source : str
        ``""`` when unknown.
    similarity : float or None
        Cosine of its vector and the one asked with; None where there is none of either.
    thumbnail : bool
        Whether the gallery keeps it to be shown; of a photo whose licence does not allow that, and of a recording, the
        credits are all there is.
    width, height : int or None
        Pixels of the large thumbnail; None without one, or when unknown.
    """

    id: int
    modality: str
    scientific_name: str
    relative: str
    label: str
    author: str
    licence: str
    source: str
    similarity: float | None
    thumbnail: bool = False
    width: int | None = None
    height: int | None = None


def pictures(
    gallery: Gallery,
    scientific_name: str,
    vector: np.ndarray | None = None,
    n: int = 3,
    likeliest: Sequence[str] = (),
) -> list[Picture]:
    """Photos and recordings of a taxon, those nearest to a vector first.

    A taxon without photos is given those of its nearest relatives: of its genus, else of its family, else of its order,
    those first whose names and sounds are most similar to its own, a photo of each in turn. A group, such as a genus,
    is given those of its members.

    Parameters
    ----------
    gallery : Gallery
    scientific_name : str
        Accepted name of a species, or the name of a group at any rank.
    vector : numpy.ndarray, optional
        [dim], of any length: what the photos and recordings are compared with. In the order they were added without.
    n : int
        At most so many photos, and at most so many recordings.
    likeliest : sequence of str
        Members of a group to show before the others, as the candidates of a detection.

    Returns
    -------
    list[Picture]
        Photos, those with a thumbnail first, then recordings; empty when the gallery does not know the name.

    Raises
    ------
    GalleryError
        The gallery cannot be read.
    """
    return PictureFinder(gallery, n).pictures(scientific_name, vector, likeliest)


class PictureFinder:
    """Pictures of many taxa of one gallery, whose rows are read once for each of the latest taxa; for one thread.

    Parameters
    ----------
    gallery : Gallery
    n : int
        At most so many photos, and at most so many recordings.
    """

    def __init__(self, gallery: Gallery, n: int = 3) -> None:
        self._gallery = gallery
        self._n = n
        self._kept: OrderedDict[str, _Known] = OrderedDict()
        self._first: dict[str, Picture | None] = {}
        self._relatives = Relatives(gallery)
        self._bytes = 0
        self._version: object = None

    def pictures(
        self, scientific_name: str, vector: np.ndarray | None = None, likeliest: Sequence[str] = ()
    ) -> list[Picture]:
        """What `pictures` gives.

        Raises
        ------
        GalleryError
            The gallery cannot be read.
        """
        direction = direction_of(vector)
        if direction is not None and direction.shape != (self._gallery.identity.dim,):
            raise ValueError(f"vector of shape {list(direction.shape)} instead of [{self._gallery.identity.dim}]")
        known, n = self._known(scientific_name.strip()), self._n
        recordings = _once(_nearest(known.recordings, direction))
        shown = [_picture(*one) for one in _nearest(known.photos, direction)[:n]]
        if not shown:
            others = known.others if not known.of_group else _likeliest(known.others, direction, likeliest)
            shown = _in_turn([rows for _, rows in others], direction, n, known.rank)
        return shown + [_picture(*one) for one in recordings[:n]]

    def thumbnail(self, scientific_name: str) -> Picture | None:
        """The photo that stands for a taxon in lists, always the same; None where none is kept to be shown.

        Raises
        ------
        GalleryError
            The gallery cannot be read.
        """
        self._check_version()
        if scientific_name not in self._first:
            self._first[scientific_name] = self._stand_in(scientific_name)
        return self._first[scientific_name]

    def _stand_in(self, name: str) -> Picture | None:
        """The first of `pictures`, if it can be shown, without reading the others."""
        found = self._gallery.rows("SELECT * FROM taxa WHERE scientific_name = ?", (name,))
        if not found:
            of_group = self.pictures(name)
            return of_group[0] if of_group and of_group[0].thumbnail else None
        id, relative = found[0]["id"], ""
        if not self._gallery.rows("SELECT 1 FROM entries WHERE taxon = ? AND modality = 'image' LIMIT 1", (id,)):
            nearest, relative = self._relatives.nearest(id, taxon_of(found[0]), 1)
            id = nearest[0] if nearest else id
        rows = self._gallery.rows(
            f"""
            SELECT {_COLUMNS.replace("block, place,", "NULL AS block, NULL AS place,")} FROM {_TABLES}
            WHERE taxon = ? AND modality = 'image' AND thumbnails.entry IS NOT NULL ORDER BY entries.id LIMIT 1
            """,
            (id,),
        )
        return _picture(rows[0], None, relative) if rows else None

    def _known(self, name: str) -> _Known:
        self._check_version()
        known = self._kept.pop(name, None)
        if known is None:
            known = _read(self._gallery, self._relatives, name, self._n)
            self._bytes += known.bytes
        self._kept[name] = known
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= old.bytes
        return known

    def _check_version(self) -> None:
        """Forget what was read before another program wrote to the gallery."""
        [version] = self._gallery.rows("PRAGMA data_version")
        if version != self._version:
            self._kept.clear()
            self._first.clear()
            self._relatives = Relatives(self._gallery)
            self._bytes, self._version = 0, version


_Row = dict[str, Any]
_Compared = tuple[_Row, "float | None"]


@dataclass(frozen=True)
class _Known:
    """What a gallery has of a name, before it is compared with anything.

    Attributes
    ----------
    photos, recordings : list of rows
        Its own.
    others : list
        Names and photos of its relatives, the nearest first, or of the members of a group.
    rank : str
        That it shares with them.
    of_group : bool
    """

    photos: list[_Row] = field(default_factory=list)
    recordings: list[_Row] = field(default_factory=list)
    others: list[tuple[str, list[_Row]]] = field(default_factory=list)
    rank: str = ""
    of_group: bool = False

    @property
    def bytes(self) -> int:
        rows = chain(self.photos, self.recordings, *(rows for _, rows in self.others))
        return ROW_BYTES + sum(ROW_BYTES + (0 if row["vector"] is None else row["vector"].nbytes) for row in rows)


def _read(gallery: Gallery, relatives: Relatives, name: str, n: int) -> _Known:
    found = gallery.rows("SELECT * FROM taxa WHERE scientific_name = ?", (name,))
    if not found:
        return _of_group(gallery, name)
    id, taxon = found[0]["id"], taxon_of(found[0])
    photos, recordings = _entries(gallery, [id], "image"), _entries(gallery, [id], "audio")
    if photos:
        return _Known(photos, recordings)
    nearest, rank = relatives.nearest(id, taxon, n)
    theirs = [_entries(gallery, [one], "image") for one in nearest]
    return _Known([], recordings, [(rows[0]["scientific_name"], rows) for rows in theirs if rows], rank)


def _of_group(gallery: Gallery, name: str) -> _Known:
    for rank in reversed(RANKS[:-1]):
        rows = gallery.rows(f'SELECT * FROM taxa WHERE "{rank}" = ? LIMIT 1', (name,)) if name else []
        if rows:
            break
    else:
        return _Known()
    # Namesakes in other families are members as well: a name alone cannot tell them apart.
    members = gallery.rows(
        f"""
        SELECT id, scientific_name FROM taxa WHERE "{rank}" = ?
        AND EXISTS (SELECT 1 FROM entries WHERE taxon = taxa.id AND modality = 'image') ORDER BY id
        """,
        (name,),
    )
    by_member: dict[int, list[_Row]] = {row["id"]: [] for row in members}
    for row in _entries(gallery, list(by_member), "image", MOST_OF_GROUP):
        by_member[row["taxon"]].append(row)
    others = [(row["scientific_name"], by_member[row["id"]]) for row in members]
    return _Known(others=others, rank=rank, of_group=True)


def _likeliest(
    members: list[tuple[str, list[_Row]]], direction: np.ndarray | None, likeliest: Sequence[str]
) -> list[tuple[str, list[_Row]]]:
    """Members of a group: those named first, then those with the most similar photo."""
    first = {one: place for place, one in enumerate(likeliest)}

    def key(member: tuple[str, list[_Row]]) -> tuple[int, float]:
        name, rows = member
        best = 0.0 if direction is None else max(map(_similarity_key, _nearest(rows, direction)), default=-1.0)
        return first.get(name, len(first)), -best

    return sorted(members, key=key)


def _entries(gallery: Gallery, taxa: Sequence[int], modality: str, most: int | None = None) -> list[_Row]:
    """Rows of the taxa's photos or recordings, taxon by taxon as given; class vectors are neither."""
    rows: list[_Row] = []
    for some in pieces(taxa):
        rows += gallery.rows(
            f"""
            SELECT {_COLUMNS} FROM {_TABLES} WHERE taxon IN ({some}) AND modality = ?
            AND NOT EXISTS (SELECT 1 FROM class_vectors WHERE entry = entries.id)
            ORDER BY entries.id LIMIT ?
            """,
            (modality, -1 if most is None else most - len(rows)),
        )
    return rows


def _nearest(rows: Iterable[_Row], direction: np.ndarray | None) -> list[_Compared]:
    """Rows with their similarities, those that can be shown first, and of these the most similar."""
    compared: list[_Compared] = [
        (row, None if direction is None or row["vector"] is None else float(row["vector"] @ direction)) for row in rows
    ]
    return sorted(compared, key=lambda one: (not one[0]["thumbnail"], -_similarity_key(one)))


def _once(compared: Iterable[_Compared]) -> list[_Compared]:
    """The nearest piece of each recording: a gallery may have vectors of several."""
    found: dict[tuple[str, str], _Compared] = {}
    for one in compared:
        found.setdefault((one[0]["label"], one[0]["source"]), one)
    return list(found.values())


def _similarity_key(one: _Compared) -> float:
    return -1.0 if one[1] is None else one[1]


def _in_turn(entries: Iterable[Iterable[_Row]], direction: np.ndarray | None, n: int, rank: str) -> list[Picture]:
    """A photo of each taxon, then the second of each, until there are `n`."""
    rounds = zip_longest(*(_nearest(rows, direction) for rows in entries))
    photos = [one for one in chain.from_iterable(rounds) if one is not None]
    return [_picture(row, similarity, rank) for row, similarity in photos[:n]]


def _picture(row: _Row, similarity: float | None, relative: str = "") -> Picture:
    columns = ("id", "modality", "scientific_name", "label", "author", "licence", "source", "width", "height")
    return Picture(
        **{column: row[column] for column in columns},
        relative=relative,
        similarity=similarity,
        thumbnail=bool(row["thumbnail"]),
    )
