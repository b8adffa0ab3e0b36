"""The rows of clips, reviews and done recordings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeapp.journal import Clip, JournalError, Review
from tests.edgeapp.journal.samples import DAWN, GREAT_TIT, begin, rows

CLIP = Clip("/clips/parus_major.flac", "flac", 12.0, 28.0, 1, 123_456, DAWN)


@pytest.fixture
def heard(journal) -> list[int]:
    """Two detections of one stream, the second of a cuckoo."""
    stream = begin(journal)
    cuckoo = replace(GREAT_TIT, scientific_name="Cuculus canorus", common_name="Common Cuckoo")
    return [journal.record(stream, GREAT_TIT), journal.record(stream, cuckoo)]


def test_a_clip_belongs_to_its_detections_and_is_named_after_the_first(journal, heard):
    clip = journal.add_clip(CLIP, heard)

    (stored,) = journal.clips()
    assert (stored.id, stored.path, stored.species, stored.bytes) == (clip, CLIP.path, "Parus major", 123_456)
    assert (stored.locked, stored.created_utc, stored.format) == (False, "2025-05-01T04:12:09.250Z", "flac")
    assert (stored.stream, stored.start_s, stored.end_s, stored.clock_set) == (1, 12.0, 28.0, 1)
    assert [row["clip_path"] for row in journal.detections()] == [CLIP.path] * 2


def test_a_clip_of_no_detection_has_no_species(journal, heard):
    journal.add_clip(CLIP, [])

    assert [clip.species for clip in journal.clips()] == [""]


def test_a_clip_of_an_unknown_detection_is_not_written(journal, heard):
    with pytest.raises(JournalError, match="has no detection 99"):
        journal.add_clip(CLIP, [heard[0], 99])
    assert list(journal.clips()) == []
    assert [row["clip"] for row in journal.detections()] == [None, None]


def test_a_deleted_clip_says_when_and_why_and_is_no_longer_shown(journal, heard):
    clip = journal.add_clip(CLIP, heard)

    journal.delete_clip(clip, "older than 30 days", DAWN)
    journal.delete_clip(clip, "again", DAWN)  # as after a kill between the row and the file

    assert list(journal.clips()) == []
    (deleted,) = journal.clips(include_deleted=True)
    assert (deleted.deleted_utc, deleted.deleted_why) == ("2025-05-01T04:12:09.250Z", "older than 30 days")
    assert [row["clip_path"] for row in journal.detections()] == [None, None]


def test_a_locked_clip_cannot_be_deleted_until_it_is_unlocked(journal, heard):
    clip = journal.add_clip(CLIP, heard)
    journal.lock_clip(clip, True)

    with pytest.raises(JournalError, match=f"clip {clip} is locked"):
        journal.delete_clip(clip, "disk full", DAWN)
    assert [stored.locked for stored in journal.clips()] == [True]

    journal.lock_clip(clip, False)
    journal.delete_clip(clip, "disk full", DAWN)
    with pytest.raises(JournalError, match="has no clip 1"):
        journal.lock_clip(clip, True)


def test_an_unknown_clip_is_an_error(journal):
    for change in (lambda: journal.lock_clip(5, True), lambda: journal.delete_clip(5, "why", DAWN)):
        with pytest.raises(JournalError, match="has no clip 5"):
            change()


def test_the_last_review_counts_and_the_earlier_ones_stay(journal, heard):
    journal.add_review(Review(heard[0], "confirmed", "ana"), DAWN)
    journal.add_review(Review(heard[0], "corrected", "ben", "Parus minor", "note the wing bar"), DAWN.earlier(-60))

    first, second = journal.detections()
    assert (first["review"], first["review_name"], first["reviewer"]) == ("corrected", "Parus minor", "ben")
    assert (first["review_note"], first["review_utc"]) == ("note the wing bar", "2025-05-01T04:13:09.250Z")
    assert first["scientific_name"] == "Parus major"  # what was heard is not what was said of it
    assert second["review"] is None
    assert [review["verdict"] for review in journal.reviews(heard[0])] == ["confirmed", "corrected"]


@pytest.mark.parametrize(
    "review",
    [Review(99, "confirmed", "ana"), Review(1, "perhaps", "ana"), Review(1, "corrected", "ana")],
    ids=["of no detection", "of an unknown kind", "without the right name"],
)
def test_a_review_that_says_nothing_is_refused(journal, heard, review):
    with pytest.raises(JournalError):
        journal.add_review(review, DAWN)
    assert rows(journal.path, "SELECT count(*) FROM reviews") == [(0,)]


def test_a_recording_is_done_once_for_its_path_size_and_age(journal):
    stream = begin(journal)
    journal.file_done("/cards/a.wav", 1000, 5, stream, DAWN)
    journal.file_done("/cards/a.wav", 1000, 5, stream, DAWN)

    assert journal.is_done("/cards/a.wav", 1000, 5)
    assert not journal.is_done("/cards/a.wav", 1001, 5)  # it has grown
    assert not journal.is_done("/cards/a.wav", 1000, 6)
    assert not journal.is_done("/cards/b.wav", 1000, 5)
    assert journal.is_done("in/a.wav", 1000, 5), "its content was not noted: an earlier version may have spelled it so"


def test_a_recording_is_known_by_its_content(journal):
    journal.file_done("/cards/a.wav", 1000, 5, begin(journal), DAWN, "ab")
    assert journal.is_content_done("ab") and not journal.is_content_done("cd")
    assert journal.is_done("/cards/a.wav", 1000, 5) and not journal.is_done("/other/a.wav", 1000, 5)


def test_a_clip_goes_only_when_no_detection_has_it_and_it_is_not_locked(journal, heard):
    first, second, third = (journal.add_clip(replace(CLIP, path=f"/clips/{n}.flac"), heard) for n in range(3))
    journal.lock_clip(second, True)

    assert [journal.drop_unused_clip(clip, "a surer one", DAWN) for clip in (first, second, third)] == [
        True,
        False,
        False,
    ]
    assert not journal.drop_unused_clip(first, "again", DAWN)
    assert [clip.id for clip in journal.clips()] == [second, third]
    assert [row["clip_path"] for row in journal.detections()] == ["/clips/2.flac"] * 2
