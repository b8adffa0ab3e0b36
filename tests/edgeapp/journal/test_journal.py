"""The journal keeps every detection with all that is needed to judge it, and loses none."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from edgeapp.clock.system import Moment
from edgeapp.detections.verdict import Verdict
from edgeapp.journal import Journal, JournalError, Message, Reader, default_path, migrations, utc_text
from edgeapp.journal.schema import APPLICATION_ID
from gallery.candidates import Candidate
from tests.edgeapp.journal.samples import A_PARUS, DAWN, DEPLOYMENT, GREAT_TIT, MICROPHONE, begin, rows


def test_a_detection_is_kept_with_all_that_is_needed_to_judge_it(path):
    with Journal.open(path) as journal:
        stream = begin(journal)
        journal.record(stream, GREAT_TIT)

    with Journal.open(path) as journal:
        (row,) = journal.detections()
        candidates = list(journal.candidates(row["id"]))

    thresholds = json.loads(row.pop("thresholds"))
    assert row == {
        "id": 1,
        "deployment": 1,
        "stream": stream,
        "time_utc": "2025-05-01T04:12:09.250Z",
        "written_utc": None,
        "boottime_s": 500.0,
        "clock_set": 1,
        "start_s": 15.0,
        "end_s": 25.0,
        "taxon_rank": "species",
        "scientific_name": "Parus major",
        "common_name": "Great Tit",
        "confidence": 0.75,
        "similarity": 0.25,
        "windows": 1,
        "level_dbfs": -41.5,
        "speech": 0.125,
        "source": "USB PnP Sound Device: Audio (hw:2,0)",
        "device_id": "usb-1.2",
        "backend": "arecord",
        "rate_hz": 48000,
        "boot_id": "boot-a",
        "stream_started_utc": "2025-05-01T04:12:09.250Z",
        "channel": None,
        "recorded_at_origin": None,
        "recorded_at_doubt": None,
        "hop_s": 5.0,
        "station": "garden",
        "app_version": "1.2",
        "pack": "starter",
        "pack_version": "1.0",
        "space": "toy-space",
        "gallery": "/packs/starter/gallery.sqlite",
        "gallery_sha256": "ab" * 32,
        "learned_sha256": None,
        "latitude": 52.5,
        "longitude": 13.4,
        "review": None,
        "review_name": None,
        "reviewer": None,
        "review_note": None,
        "review_utc": None,
        "review_unlisted": None,
        "clip": None,
        "clip_path": None,
        "clip_start_s": None,
        "clip_end_s": None,
        "stream_s": None,
    }
    assert thresholds == {"min_confidence": 0.5, "floor": 0.6}
    assert candidates == [
        {
            "detection": 1,
            "place": 1,
            "scientific_name": "Parus major",
            "common_name": "Great Tit",
            "confidence": 0.75,
            "similarity": 0.25,
        }
    ]


def test_above_the_species_only_the_candidates_name_species(path):
    with Journal.open(path) as journal:
        journal.record(begin(journal), A_PARUS)
        (row,) = journal.detections()
        document = journal.document(row)

    assert (row["taxon_rank"], row["scientific_name"], row["common_name"], row["similarity"]) == (
        "genus",
        "Parus",
        None,
        None,
    )
    assert document["taxon"] == {"rank": "genus", "scientific_name": "Parus", "common_name": None}
    assert [one["scientific_name"] for one in document["candidates"]] == ["Parus major", "Parus minor"]


def test_a_detection_that_goes_on_is_one_row_with_its_surest_window(path):
    surer = replace(
        GREAT_TIT,
        end_s=30.0,
        confidence=0.9,
        windows=2,
        level_dbfs=-30.0,
        candidates=(Candidate("Parus major", "", 0.9, 0.5),),
    )
    with Journal.open(path) as journal:
        number = journal.record(begin(journal), GREAT_TIT)
        journal.extend(number, surer)
        (row,) = journal.detections()
        candidates = journal.candidates(number)

    assert (row["start_s"], row["end_s"], row["windows"], row["confidence"]) == (15.0, 30.0, 2, 0.9)
    assert [(one["place"], one["confidence"]) for one in candidates] == [(1, 0.9)]


def test_the_vector_of_a_detection_is_that_of_its_surest_window(path):
    weak, strong = np.array([0.5, -2.0, 30.0], np.float32), np.array([1.0, 0.25, -8.0], np.float32)
    with Journal.open(path) as journal:
        number = journal.record(begin(journal), replace(GREAT_TIT, vector=weak))
        assert journal.vector(number).tolist() == weak.tolist()
        journal.extend(number, replace(GREAT_TIT, confidence=0.9, windows=2, vector=strong))
    with Reader(path) as reader:
        assert reader.vector(number).tolist() == strong.tolist() and reader.vector(number).dtype == np.float32


def test_a_detection_without_a_vector_has_none(journal):
    assert journal.vector(journal.record(begin(journal), GREAT_TIT)) is None


def test_the_vector_goes_with_its_detection(path):
    with Journal.open(path) as journal:
        number = journal.record(begin(journal), replace(GREAT_TIT, vector=np.ones(3)))
        journal._db.execute("DELETE FROM detections WHERE id = ?", [number])
    assert rows(path, "SELECT count(*) FROM vectors") == [(0,)]


def test_what_is_not_there_cannot_go_on(journal):
    with pytest.raises(JournalError, match="has no detection 99"):
        journal.extend(99, GREAT_TIT)


def test_changes_made_together_are_all_in_the_journal_or_none(journal):
    stream = begin(journal)

    def change() -> None:
        journal.record(stream, GREAT_TIT)
        journal.count(stream, Verdict.DETECTION)
        journal.extend(99, GREAT_TIT)

    with pytest.raises(JournalError):
        journal.together(change)

    assert list(journal.detections()) == [] and journal.counts(1) == {}


def test_the_place_may_be_unknown(path):
    with Journal.open(path) as journal:
        deployment = journal.begin(replace(DEPLOYMENT, latitude=None, longitude=None), DAWN)
        journal.record(journal.open_stream(deployment, MICROPHONE, DAWN), GREAT_TIT)
        (row,) = journal.detections()

    assert row["latitude"] is None and row["longitude"] is None


def test_a_detection_is_on_the_disk_when_record_returns(path):
    with Journal.open(path) as journal:
        journal.record(begin(journal), GREAT_TIT)

        assert rows(path, "SELECT scientific_name FROM detections") == [("Parus major",)]


def test_a_detection_is_written_whole_or_not_at_all(path):
    no_sound = replace(GREAT_TIT, candidates=(*GREAT_TIT.candidates, Candidate(None, "", 0.5, 0.5)))

    with Journal.open(path) as journal:
        stream = begin(journal)
        with pytest.raises(JournalError):
            journal.record(stream, no_sound)
        assert list(journal.detections()) == []
        journal.record(stream, GREAT_TIT)
        assert len(list(journal.detections())) == 1


def test_a_detection_needs_its_stream(path):
    with Journal.open(path) as journal, pytest.raises(JournalError, match="FOREIGN KEY"):
        journal.record(7, GREAT_TIT)


def test_the_ends_of_streams_and_deployments_are_kept(path):
    later = Moment(DAWN.utc + timedelta(hours=1), 4100.0)
    with Journal.open(path) as journal:
        stream = begin(journal)
        begin(journal)  # this one loses its power
        journal.close_stream(stream, later, "unplugged", lost_samples=77)
        journal.end(1, later)

    ended = ("2025-05-01T04:12:09.250Z", "2025-05-01T05:12:09.250Z")
    assert rows(path, "SELECT started_utc, ended_utc FROM deployments") == [ended, (ended[0], None)]
    assert rows(path, "SELECT started_utc, ended_utc, end_reason, lost_samples FROM streams") == [
        (*ended, "unplugged", 77),
        (ended[0], None, None, 0),
    ]


def test_windows_are_counted_by_verdict_over_all_streams(journal):
    stream = begin(journal)
    after_a_loss = journal.open_stream(1, MICROPHONE, DAWN)
    elsewhere = begin(journal)
    journal.count(stream, Verdict.NOTHING, 380)
    journal.count(stream, Verdict.NOTHING)
    journal.count(after_a_loss, Verdict.NOTHING)
    journal.count(after_a_loss, Verdict.SPEECH, 3)
    journal.count(elsewhere, Verdict.SILENT)

    assert journal.counts(1) == {Verdict.NOTHING: 382, Verdict.SPEECH: 3}
    assert journal.counts(2) == {Verdict.SILENT: 1}


def test_counting_leaves_the_next_detection_as_safe_as_before(journal):
    journal.count(begin(journal), Verdict.NOTHING)

    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_what_waits_for_more_sound_is_no_detection_until_it_is_confirmed(journal):
    stream = begin(journal)
    told = []

    def messages() -> list[Message]:
        told.append(1)
        return [Message("mqtt")]

    waiting = [journal.record(stream, replace(GREAT_TIT, confirmed=False)) for _ in range(3)]
    assert list(journal.detections()) == [] and journal.queue_length() == 0

    journal.confirm(waiting[:2], messages)
    journal.confirm(waiting[1:2], messages)  # once is enough

    confirmed = list(journal.detections())
    assert [row["id"] for row in confirmed] == waiting[:2]
    assert len(told) == 2
    assert [journal.composed(message.id).payload for message in journal.due(0.0)] == [
        {**journal.document(row), "updated": False} for row in confirmed
    ]


def test_one_unknown_detection_confirms_none(journal):
    waiting = journal.record(begin(journal), replace(GREAT_TIT, confirmed=False))

    with pytest.raises(JournalError, match="has no detection 99"):
        journal.confirm([waiting, 99])
    assert list(journal.detections()) == []


def test_messages_are_written_with_their_detection_or_not_at_all(journal):
    stream = begin(journal)

    def fails() -> list[Message]:
        return [Message("mqtt"), Message("mqtt", {"confidence": float("nan")})]

    with pytest.raises(ValueError):
        journal.record(stream, GREAT_TIT, fails)
    assert list(journal.detections()) == [] and journal.queue_length() == 0

    journal.record(stream, GREAT_TIT, lambda: [Message("mqtt")])
    assert [journal.composed(message.id).payload["id"] for message in journal.due(0.0)] == [
        journal.document(row)["id"] for row in journal.detections()
    ]


def test_every_connection_has_the_pragmas_that_protect_the_rows(path):
    for _ in ("new", "opened again"):
        with Journal.open(path) as journal:
            pragmas = {
                name: journal._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


def test_two_listeners_may_share_a_journal(path):
    with Journal.open(path) as north, Journal.open(path) as south:
        for journal in (north, south, north):
            journal.record(begin(journal), GREAT_TIT)

        assert len(list(south.detections())) == 3


def test_opening_again_changes_nothing_and_applies_no_migration_twice(path):
    Journal.open(path).close()
    Journal.open(path).close()

    assert rows(path, "SELECT name FROM _sqlite_migrations") == [
        ("m001_deployments_detections_scores",),
        ("m002_streams_reviews_clips_messages",),
        ("m003_taxa_and_stretches",),
        ("m004_backend",),
        ("m005_vectors",),
        ("m006_indexes_of_pages",),
        ("m007_learned",),
        ("m008_recordings",),
        ("m009_messages_clips_and_files",),
        ("m010_microphones",),
    ]
    assert rows(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(path):
    with Journal.open(path) as journal:
        migrations._record_applied(journal._db, "m999_from_the_future")
    before = path.read_bytes()

    with pytest.raises(JournalError, match=r"newer version \(m999_from_the_future\); update biovita-edge"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_another_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "birds.db"
    rows(path, "CREATE TABLE detections (Date, Sci_Name)")
    before = path.read_bytes()

    with pytest.raises(JournalError, match="is a database, but not a journal; give another --journal"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Great tit at the feeder.\n" * 100)

    with pytest.raises(JournalError, match=r"notes.txt: is not a journal; give another --journal"):
        Journal.open(path)
    assert path.read_text().startswith("Great tit")


def test_a_damaged_journal_is_noticed_when_it_is_opened(path):
    with Journal.open(path) as journal:
        stream = begin(journal)
        for _ in range(200):
            journal.record(stream, GREAT_TIT)
    damaged = bytearray(path.read_bytes())
    damaged[-3 * 4096 :] = bytes(3 * 4096)
    path.write_bytes(damaged)

    with pytest.raises(JournalError, match=r"journal.sqlite: is damaged .*; move it away"):
        Journal.open(path)


def test_a_folder_instead_of_a_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(JournalError) as refused:
        Journal.open(tmp_path)

    assert str(tmp_path) in str(refused.value) and "check the folder" in str(refused.value)
    assert refused.value.exit_code == 2


def test_the_default_journal_lies_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    with Journal.open() as journal:
        assert journal.path == default_path() == tmp_path / "biovita-edge" / "journal.sqlite"
        assert journal.path.is_file()


def test_a_time_without_zone_is_not_taken_for_utc():
    with pytest.raises(ValueError, match="without a zone"):
        utc_text(datetime(2025, 5, 1, 6, 0))
