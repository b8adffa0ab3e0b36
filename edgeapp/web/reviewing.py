"""Reviews by a click: confirm, reject, correct and undo, one detection or several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeapp.detections.review import ReviewVerdict
from edgeapp.journal import Review
from edgeapp.journal.browsing import in_full
from edgeapp.journal.documents import id_of
from edgeapp.web.asking import Wrong
from edgeapp.web.site import Site
from gallery.errors import TaxonError, UnknownNameError

NOTE_LENGTH = 2_000
NAME_LENGTH = 200

State = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A review that a person asks for.

    Attributes
    ----------
    detections : tuple of int
        Numbers in the journal.
    verdict : ReviewVerdict
    name : str
        The right taxon, of a correction: scientific, or common in any language.
    note, reviewer : str
    new : bool
        The name may be one that no list of taxa has.
    """

    detections: tuple[int, ...]
    verdict: ReviewVerdict
    name: str = ""
    note: str = ""
    reviewer: str = ""
    new: bool = False


def asked_of(
    detections: Sequence[int], verdict: str, name: str = "", note: str = "", reviewer: str = "", new: bool = False
) -> Asked:
    """Check what a person asks for.

    Raises
    ------
    Wrong
    """
    try:
        wanted = ReviewVerdict(verdict)
    except ValueError:
        raise Wrong(f"verdict {verdict[:40]!r} is unknown", "use confirmed, rejected or corrected") from None
    name, note, reviewer = " ".join(name.split()), note.strip(), " ".join(reviewer.split())
    if wanted is ReviewVerdict.CORRECTED and not name:
        raise Wrong("a correction needs the correct name", "choose one from the list")
    if wanted is not ReviewVerdict.CORRECTED and name:
        raise Wrong(f"a name does not belong to {wanted.value}", "leave it out, or correct")
    if len(note) > NOTE_LENGTH or len(reviewer) > NAME_LENGTH or len(name) > NAME_LENGTH:
        raise Wrong("the note or a name is too long", "shorten it")
    return Asked(tuple(dict.fromkeys(detections)), wanted, name, note, reviewer, new)


def review(site: Site, asked: Asked) -> tuple[list[int], list[State]]:
    """Write reviews, all or none of them; their numbers, and how the detections stand now.

    Raises
    ------
    Wrong
        A detection is not there, or the name is not in the gallery.
    JournalError
        The journal cannot be written.
    """
    name, unlisted = _name(site, asked) if asked.verdict is ReviewVerdict.CORRECTED else (None, False)
    journal, reviewer = site.journal, asked.reviewer or "web page"

    def write() -> list[int]:
        return [
            journal.add_review(Review(number, asked.verdict.value, reviewer, name, asked.note, unlisted))
            for number in asked.detections
        ]

    with site.reading() as reader:
        missing = [number for number in asked.detections if reader.in_full(number) is None]
    if missing:
        raise Wrong(f"there is no detection {missing[0]}", "load the page again", 404)
    written = journal.together(write)
    return written, _told(site, asked.detections)


def _name(site: Site, asked: Asked) -> tuple[str, bool]:
    """The scientific name of a correction, and whether no list of taxa has it."""
    for names in (site.names, site.shipped_names):
        try:
            return names.find(asked.name, suggest=False).scientific_name, False
        except UnknownNameError:
            continue
        except TaxonError as error:
            raise Wrong(error.what, error.remedy) from error
    if asked.new:
        return asked.name, True
    try:
        site.names.find(asked.name)  # once more, for the names that look like it
    except TaxonError as error:
        otherwise = " If not" if error.remedy.endswith("?") else ", or"
        raise Wrong(error.what, f"{error.remedy}{otherwise} say that it is a new name") from error
    raise AssertionError


def undo(site: Site, reviews: Sequence[int]) -> list[State]:
    """Take reviews back, as if they had not been written; how their detections stand now.

    Raises
    ------
    JournalError
        One is not there, or the journal cannot be written; none is taken back then.
    """

    detections = site.journal.together(lambda: [site.journal.remove_review(number) for number in reviews])
    return _told(site, detections)


def states_of(site: Site, detections: Iterable[int]) -> list[State]:
    """How detections stand by their last review, as pages show it.

    Each has its ``number`` and the ``id`` of its document, the ``verdict`` (null without a review), and of a correction
    the ``scientific_name`` and ``common_name`` (null where there is none).
    """
    with site.reading() as reader:
        rows = in_full(reader, list(dict.fromkeys(detections)))
    return [
        {
            "number": row["id"],
            "id": id_of(row),
            "verdict": row["review"],
            "scientific_name": row["review_name"],
            "common_name": (row["review_name"] and site.common_name(row["review_name"])) or None,
        }
        for row in rows
    ]


def _told(site: Site, detections: Sequence[int]) -> list[State]:
    """Tell all open pages how detections stand now."""
    states = states_of(site, detections)
    site.publish("review", {"detections": states})
    return states
