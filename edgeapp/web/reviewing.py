"""Reviews by a click: confirm, reject, correct and undo, one detection or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeapp.detections.review import ReviewVerdict
from edgeapp.journal import Review
from edgeapp.web.asking import Wrong
from edgeapp.web.site import Site
from gallery.errors import TaxonError

NOTE_LENGTH = 2_000
NAME_LENGTH = 200


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
    """

    detections: tuple[int, ...]
    verdict: ReviewVerdict
    name: str = ""
    note: str = ""
    reviewer: str = ""


def asked_of(detections: Sequence[int], verdict: str, name: str = "", note: str = "", reviewer: str = "") -> Asked:
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
    return Asked(tuple(dict.fromkeys(detections)), wanted, name, note, reviewer)


def review(site: Site, asked: Asked) -> list[int]:
    """Write reviews, all or none of them; numbers of the reviews.

    Raises
    ------
    Wrong
        A detection is not there, or the name is not in the gallery.
    JournalError
        The journal cannot be written.
    """
    name: str | None = None
    if asked.verdict is ReviewVerdict.CORRECTED:
        try:
            name = site.names.find(asked.name).scientific_name
        except TaxonError as error:
            raise Wrong(error.what, error.remedy) from error
    journal = site.journal

    def write() -> list[int]:
        return [
            journal.add_review(Review(number, asked.verdict.value, asked.reviewer or "web page", name, asked.note))
            for number in asked.detections
        ]

    with site.reading() as reader:
        missing = [number for number in asked.detections if reader.in_full(number) is None]
    if missing:
        raise Wrong(f"there is no detection {missing[0]}", "load the page again", 404)
    written = journal.together(write)
    _publish(site, asked.detections)
    return written


def undo(site: Site, reviews: Sequence[int]) -> None:
    """Take reviews back, as if they had not been written.

    Raises
    ------
    JournalError
        One is not there, or the journal cannot be written; none is taken back then.
    """

    def write() -> None:
        for number in reviews:
            site.journal.remove_review(number)

    site.journal.together(write)
    _publish(site, ())


def _publish(site: Site, detections: Sequence[int]) -> None:
    """Tell the open pages of a station that reviews have changed."""
    if site.station is not None:
        site.station.live.events.publish("review", {"detections": list(detections)})
