"""What makes two media the same: the file behind two addresses, and the encounter behind two records.

GBIF republishes what Xeno-canto, iNaturalist and the Macaulay Library have, and published lists of addresses name their
files once more. Their own numbers stand in identifiers, pages and addresses.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from urllib.parse import unquote, urlsplit

import numpy as np

from edgeapp.collect.medium import Medium

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_XENO_CANTO = re.compile(
    r"xeno-canto\.org/(?:sounds/uploaded/[^/]+/xc|xc|embed/)?(\d+)|\bxc[_-]?(\d{2,})\b", re.IGNORECASE
)
_INATURALIST = re.compile(r"inaturalist\.[a-z.]+/observations/(\d+|[0-9a-f-]{36})", re.IGNORECASE)
_INATURALIST_FILE = re.compile(r"inaturalist[^/]*(?:\.[a-z0-9-]+)*/(photos|sounds)/(\d+)", re.IGNORECASE)
_MACAULAY = re.compile(r"macaulaylibrary\.org/(?:asset/|audio/|photo/)?(\d{3,})|\bML(\d{4,})\b")
_GBIF = re.compile(r"gbif\.org/occurrence/(\d+)", re.IGNORECASE)
# Archives by the begin of their tokens, and the sources that offer their records at first hand.
FIRST_HAND = {"inaturalist": ("inaturalist", "inaturalist-files"), "xeno-canto": ("xeno-canto",)}


def file_of(medium: Medium) -> str:
    """A token for the file, the same for every address of it."""
    if found := _INATURALIST_FILE.search(medium.url):
        return f"inaturalist {found[1].lower()} {found[2]}"
    if medium.modality == "audio":  # Xeno-canto and the Macaulay Library have one file to a record
        for pattern, name in ((_XENO_CANTO, "xeno-canto"), (_MACAULAY, "macaulay")):
            if found := pattern.search(medium.url):
                return f"{name} {found[1] or found[2]}"
    return f"{medium.modality} {_address(medium.url)}"


def encounter_of(medium: Medium) -> str:
    """A token for the encounter; one that other sources cannot have where its record has no global identifier."""
    texts = (medium.observation, medium.page, medium.url)
    for pattern, name in ((_XENO_CANTO, "xeno-canto"), (_INATURALIST, "inaturalist"), (_MACAULAY, "macaulay")):
        for text in texts:
            if found := pattern.search(text):
                return f"{name} {next(filter(None, found.groups())).lower()}"
    if found := _GBIF.search(" ".join(texts[:2])):
        return f"gbif {found[1]}"
    record = medium.observation or medium.id
    if found := _UUID.search(record):
        return f"uuid {found[0].lower()}"
    if record.casefold().startswith(("http:", "https:", "urn:", "//", "doi:")):
        return _address(record)
    return f"{medium.source} {record}"


def is_first_hand(token: str, source: str) -> bool:
    """Whether a source is where the records of a token come from."""
    return source in FIRST_HAND.get(token.partition(" ")[0], ())


def hashed(*texts: object) -> int:
    """64 bits that stand for texts."""
    data = "\0".join(map(str, texts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def linked(*columns: np.ndarray) -> np.ndarray:
    """First row [rows] int64 of the group of each row; rows that are equal in any column are in one group.

    Parameters
    ----------
    columns : [rows] integers; a negative value equals no other
    """
    first = np.arange(len(columns[0]))
    known = [np.flatnonzero(column >= 0) for column in columns]
    groups = [
        np.unique(column[rows], return_inverse=True)[1].reshape(-1) for column, rows in zip(columns, known, strict=True)
    ]
    while True:
        before = first
        for rows, group in zip(known, groups, strict=True):
            least = np.full(group.max(initial=-1) + 1, len(first))
            np.minimum.at(least, group, first[rows])
            first = first.copy()
            np.minimum.at(first, first[rows], least[group])  # also for rows without a value in this column
            first = first[first]
        if (first == before).all():
            return first


def _address(url: str) -> str:
    """An address without what does not change where it leads; a path as it is."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return url.strip()
    if not parts.netloc:
        return url.strip()
    host = parts.netloc.casefold().removeprefix("www.")
    query = f"?{parts.query}" if parts.query else ""
    return f"{host}{unquote(parts.path).rstrip('/')}{query}"
