"""`biovita-edge journal learn`, and what `identify` and `listen` make of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeapp.journal import Journal, Review
from edgeapp.recognition.learned import learned_beside
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.journal.samples import DAWN
from tests.edgeapp.station.listening import CARD_HZ, Listening

TIT = "Parus major"


def gate() -> np.ndarray:
    """A gate that squeaks much like a great tit."""
    rest = sum(toy.tone(hz, seconds=10.0, rate_hz=CARD_HZ) for hz in (500, 2000, 3000))
    return toy.tone(1000, seconds=10.0, rate_hz=CARD_HZ) + 0.28 * rest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user's data folder of the test's own, and no settings."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "data" / "biovita-edge"


@pytest.fixture
def path(home, recogniser):
    """The default journal, with a gate that was taken for a great tit and rejected."""
    with Journal.open(home / "journal.sqlite") as opened:
        Listening(recogniser, opened).hear(gate(), hop_s=10.0)
        opened.add_review(Review(1, "rejected", "ana"), DAWN)
    return home / "journal.sqlite"


@pytest.fixture
def learn(run, toy_pack):
    return lambda *words: run("journal", "learn", "--pack", toy_pack, *words)


@pytest.fixture
def named(run, record):
    """The document of the gate's recording."""
    sound = record("gate.wav", gate() / 4, CARD_HZ)

    def identify(*words: object) -> dict:
        done = run("identify", sound, "--format", "json", *words)
        assert done.exit_code == 0, done.stderr
        return {**json.loads(done.stdout), "said": done.stderr}

    return identify


def names(document: dict) -> list[str]:
    return [one["taxon"]["scientific_name"] for one in document["detections"]]


def test_it_says_what_was_learnt_and_where_it_lies(path, learn):
    done = learn()
    assert done.exit_code == 0
    assert done.stdout.split() == ["Parus", "major", "0", "recordings", "1", "counterexamples"]
    assert done.stderr.splitlines() == [
        "1 review: 0 recordings of 0 species, 1 counterexample of 1 taxon",
        f"{learned_beside(path)}: written",
    ]
    assert learn().stderr.splitlines()[-1] == f"{learned_beside(path)}: unchanged"


def test_json_says_the_same(path, learn):
    assert json.loads(learn("--json").stdout) == {
        "learned": str(learned_beside(path)),
        "changed": True,
        "reviews": 1,
        "recordings": {},
        "counterexamples": {TIT: 1},
        "left_out": {},
    }


def test_identify_uses_what_was_learnt_and_says_so(path, learn, named):
    before = named()
    learn()
    after = named()
    assert names(before) == [TIT] and names(after) == []
    assert before["gallery"]["learned_sha256"] is None and len(after["gallery"]["learned_sha256"]) == 64


def test_identify_does_without_when_asked(path, learn, named):
    learn()
    assert names(named("--learned", "none")) == [TIT]


def test_undo_takes_it_back(path, learn, named):
    learn()
    done = learn("--undo")
    assert (done.exit_code, done.stderr) == (
        0,
        f"{learned_beside(path)}: removed; the reviews stay in the journal\n",
    )
    assert names(named()) == [TIT]
    assert "is not there" in learn("--undo").stderr


def test_a_learned_gallery_may_lie_elsewhere_and_be_passed_on(path, learn, named, tmp_path):
    learn("--learned", tmp_path / "shared.sqlite")
    assert names(named()) == [TIT] and names(named("--learned", tmp_path / "shared.sqlite")) == []


def test_identify_follows_the_settings_of_the_station(path, learn, named, tmp_path, monkeypatch):
    learn("--learned", tmp_path / "other.learned.sqlite")
    monkeypatch.setenv("BIOVITA_STATION_JOURNAL", str(tmp_path / "other.sqlite"))
    assert names(named()) == []
    monkeypatch.setenv("BIOVITA_STATION_LEARNED", "none")
    assert names(named()) == [TIT]


def test_a_damaged_learned_gallery_ends_identify_with_a_remedy(path, learn, run, record):
    learned_beside(path).write_bytes(b"SQLite format 3\0" + b"\0" * 5000)
    done = run("identify", record("x.wav", gate(), CARD_HZ))
    assert done.exit_code == 3 and len(done.stderr.splitlines()) == 1
    assert "what was learnt cannot be used" in done.stderr and "`biovita-edge journal learn` writes it" in done.stderr
    assert run("identify", record("x.wav", gate(), CARD_HZ), "--learned", "none").exit_code == 0


def test_what_another_pack_taught_is_left_out_unless_asked_for(path, learn, run, record, toy_copy, tmp_path):
    other = toy.make(tmp_path / "other", space="other")
    learn()
    sound = record("x.wav", gate(), CARD_HZ)
    done = run("identify", sound, "--pack", other, "--format", "csv")
    assert done.exit_code == 0 and "was learnt with pack toy 1.0, not toy 1.0; not used" in done.stderr
    done = run("identify", sound, "--pack", other, "--learned", learned_beside(path))
    assert done.exit_code == 3 and len(done.stderr.splitlines()) == 1


def test_a_missing_learned_gallery_that_is_asked_for_is_an_error(path, run, record, tmp_path):
    done = run("identify", record("x.wav", gate(), CARD_HZ), "--learned", tmp_path / "nowhere.sqlite")
    assert done.exit_code == 3 and "no gallery at" in done.stderr


def test_a_journal_of_another_space_is_an_error(path, run, tmp_path):
    done = run("journal", "learn", "--pack", toy.make(tmp_path / "other", space="other"))
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert "nothing can be learnt from the reviews" in done.stderr and not learned_beside(path).exists()


def test_without_a_journal_or_a_review_there_is_nothing_to_learn(home, learn):
    assert "no journal found" in learn().stderr and learn().exit_code == 2
    Journal.open(home / "journal.sqlite").close()
    done = learn()
    assert (done.exit_code, done.stderr) == (0, "no reviews to learn from\n")


def test_the_pack_that_listened_is_found_without_being_named(path, run, toy_pack, monkeypatch):
    monkeypatch.setenv("BIOVITA_PACKS", str(toy_pack.parent))
    assert run("journal", "learn").exit_code == 0


def test_a_learned_gallery_is_looked_at_like_any_other(path, learn, run):
    learn()
    done = run("gallery", "info", learned_beside(path), "--json")
    assert json.loads(done.stdout)["counterexamples"] == 1
