"""A station takes what reviews taught, at its start and while it listens, and goes on without what it cannot use."""

from __future__ import annotations

import numpy as np
import pytest

from edgeapp.config.sections import Station
from edgeapp.config.settings import Settings
from edgeapp.errors import UsageError
from edgeapp.journal import Journal, JournalError, Review
from edgeapp.journal.learning import learn
from edgeapp.pack.format import Pack
from edgeapp.recognition.learned import learned_beside, read_learned
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.learned import LearnedGallery, learned_gallery
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.journal.samples import DAWN
from tests.edgeapp.station.listening import CARD_HZ, Listening

TIT = "Parus major"


def gate() -> np.ndarray:
    """A gate that squeaks much like a great tit."""
    rest = sum(toy.tone(hz, seconds=10.0, rate_hz=CARD_HZ) for hz in (500, 2000, 3000))
    return toy.tone(1000, seconds=10.0, rate_hz=CARD_HZ) + 0.28 * rest


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def listening(toy_pack, journal):
    return Listening(Recogniser(Pack.load(toy_pack), threads=1), journal)


@pytest.fixture
def taught(listening, journal):
    """The gate was heard, rejected, and learnt from; where that lies."""
    listening.hear(gate(), hop_s=10.0)
    journal.add_review(Review(1, "rejected", "ana"), DAWN)
    path = learned_beside(journal.path)
    learn(journal, listening.recogniser.pack, path)
    return path


def heard(journal: Journal) -> list[tuple[str, str | None]]:
    return [(row["scientific_name"], row["learned_sha256"]) for row in journal.detections()]


def test_a_station_begins_with_what_was_learnt_before(listening, journal, taught):
    LearnedGallery(listening.recogniser, taught).take()
    listening.hear(gate(), hop_s=10.0)
    assert heard(journal) == [(TIT, None)]


def test_a_running_station_takes_it_as_another_deployment(listening, journal, taught):
    """It hears the gate, is taught, hears it again, and a tit after it."""
    hashed = read_learned(taught, listening.recogniser.pack.identity).sha256
    content = taught.read_bytes()
    taught.unlink()
    learned = LearnedGallery(listening.recogniser, taught)
    learned.take()
    windows = []

    def teach(station) -> None:
        windows.append(len(listening.screen.seen))
        if len(listening.screen.seen) == 1 and not taught.exists():
            taught.write_bytes(content)
        learned(station)

    listening.screen.seen.clear()
    tit = toy.tone(1000, seconds=10.0, rate_hz=CARD_HZ)
    listening.hear(np.concatenate([gate(), gate(), tit]), hop_s=10.0, tasks=[teach])

    assert heard(journal)[1:] == [(TIT, None), (TIT, hashed)]
    assert [row["start_s"] for row in journal.detections()][1:] == [0.0, 20.0]
    of_run = journal.deployments()[1:]
    assert [row["learned_sha256"] for row in of_run] == [None, hashed]
    assert sum(sum(journal.counts(row["id"]).values()) for row in of_run) == 3


def test_what_is_removed_is_done_without_from_then_on(listening, journal, taught):
    learned = LearnedGallery(listening.recogniser, taught)
    learned.take()
    taught.unlink()
    listening.hear(np.concatenate([gate(), gate()]), hop_s=10.0, tasks=[learned])
    assert heard(journal)[1:] == [(TIT, None)]


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\0" * 5000])
def test_what_is_damaged_is_told_once_and_done_without(listening, journal, taught, content, caplog):
    taught.write_bytes(content)
    learned = LearnedGallery(listening.recogniser, taught)
    learned.take()
    listening.hear(np.concatenate([gate(), gate(), gate()]), hop_s=10.0, tasks=[learned])
    assert heard(journal)[1:] == [(TIT, None)]
    [line] = [record.getMessage() for record in caplog.records if "learnt" in record.getMessage()]
    assert "journal learn" in line and "\n" not in line


def test_what_another_pack_taught_is_done_without(listening, journal, taught, tmp_path, caplog):
    other = Recogniser(Pack.load(toy.make(tmp_path / "other", space="other")), threads=1)
    LearnedGallery(other, taught).take()
    assert other.origin.learned_sha256 is None and "was learnt with pack" in caplog.text


@pytest.mark.parametrize("named", [True, False])
def test_a_file_that_is_named_and_not_there_is_told(listening, tmp_path, caplog, named):
    station = Station(journal=tmp_path / "j.sqlite", learned=str(tmp_path / "typo.sqlite") if named else None)
    made = learned_gallery(Settings(station=station), listening.recogniser)
    assert made.path == tmp_path / ("typo.sqlite" if named else "j.learned.sqlite")
    assert ("typo.sqlite: there is no learned gallery yet" in caplog.text) is named


def test_a_journal_that_cannot_be_written_delays_it(listening, journal, taught, monkeypatch):
    """The journal would not say what the detections after it were compared with."""
    learned = LearnedGallery(listening.recogniser, taught)
    station = listening.station()
    failing = [True]
    begin = journal.begin

    def full(*words):
        if failing.pop() if failing else False:
            raise JournalError("the disk is full")
        return begin(*words)

    monkeypatch.setattr(journal, "begin", full)
    learned(station)
    assert listening.recogniser.origin.learned_sha256 is None
    learned(station)
    assert listening.recogniser.origin.learned_sha256 is not None


def test_learning_beside_a_station_is_one_call(listening, journal, taught):
    taught.unlink()
    assert LearnedGallery(listening.recogniser, taught).learn(journal.path).startswith("1 review: ")
    assert taught.is_file()
    with pytest.raises(UsageError, match="does without"):
        LearnedGallery(listening.recogniser, None).learn(journal.path)
