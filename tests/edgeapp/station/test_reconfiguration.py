"""A change of settings makes anew what it concerns; detections, clips and connections beside that go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgeapp.clips.clip_file import ClipFolder
from edgeapp.clips.recorder import Clips
from edgeapp.clips.settings import ClipSettings
from edgeapp.config.effect import TARGETS, Anew, at_once
from edgeapp.config.settings import SETTINGS, Settings
from edgeapp.detections.confirmation import Confirmation
from edgeapp.detections.filters import Filters
from edgeapp.detections.verdict import Verdict
from edgeapp.errors import UsageError
from edgeapp.journal import Message
from edgeapp.station.assembly import assemble
from edgeapp.station.classifier import Classifier
from edgeapp.station.reconfiguration import Reconfiguration
from edgeapp.station.station import RENEWED, Storage
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.station.listening import CARD_HZ, Endless, deployment, piped

RETENTION = ("clips.keep_days", "clips.disk_share", "clips.keep_per_species")


def tit(seconds: float) -> np.ndarray:
    return toy.tone(1000, seconds=seconds, rate_hz=CARD_HZ)


def quiet(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * CARD_HZ), np.float32)


class After:
    """Does something once, when so many windows were heard."""

    def __init__(self, screen, windows: int, do: Callable) -> None:
        self.screen, self.windows, self.do = screen, windows, do

    def __call__(self, station) -> None:
        if self.windows and len(self.screen.seen) >= self.windows:
            self.windows = 0
            self.do(station)


def other_thresholds(listening) -> Callable:
    def renew(station) -> None:
        made = replace(deployment(listening.recogniser), thresholds={"min_confidence": 0.1})
        classifier = Classifier(listening.recogniser, Filters(listening.recogniser.taxa, 0.1))
        station.renew_deployment(made, classifier)

    return renew


# within the station


def test_a_detection_goes_on_and_the_next_is_of_the_other_deployment(listening, journal, rows):
    task = After(listening.screen, 2, other_thresholds(listening))
    listening.hear(np.concatenate([tit(30.0), quiet(20.0), tit(10.0)]), tasks=[task])

    assert rows("SELECT stream, start_s, windows FROM detections") == [(1, 0.0, 6), (2, 45.0, 2)]
    assert rows("SELECT id, deployment, end_reason FROM streams") == [(1, 1, RENEWED), (2, 2, "closed")]
    assert len(listening.screen.documents) == 2
    ends = rows("SELECT ended_utc FROM streams") + rows("SELECT ended_utc FROM deployments")
    assert all(end for (end,) in ends)


def test_every_window_is_counted_in_the_deployment_that_heard_it(listening, rows):
    task = After(listening.screen, 2, other_thresholds(listening))
    station = listening.hear(tit(30.0), confirm=2, tasks=[task])

    assert station.counts[Verdict.DETECTION] == len(listening.screen.seen) == 5
    assert rows("SELECT stream, sum(n) FROM window_counts GROUP BY stream") == [(1, 2), (2, 3)]
    assert rows("SELECT min(n) FROM window_counts") == [(0,)], "no count of a window that another one had"


def test_a_confirmation_goes_on(listening, rows):
    task = After(listening.screen, 1, other_thresholds(listening))
    listening.hear(np.concatenate([tit(10.0), quiet(20.0), tit(10.0)]), confirm=2, hop_s=10.0, tasks=[task])

    assert rows("SELECT stream, start_s, confirmed FROM detections") == [(1, 0.0, 1), (2, 30.0, 1)]


@pytest.mark.parametrize("what", ["decisions", "clips"])
def test_a_clip_has_all_its_sound(listening, journal, rows, tmp_path, what):
    folder = ClipFolder(tmp_path / "clips", print)

    def storage(format: str) -> Storage:
        settings = ClipSettings(tmp_path / "clips", format, 1.0, 8.0, 60.0)
        return Storage(clips=lambda ring, stream: Clips(settings, ring, journal, folder, listening.clock))

    def renew(station) -> None:
        if what == "decisions":
            other_thresholds(listening)(station)
        else:
            station.renew(storage("flac"), station._tasks)

    task = After(listening.screen, 2, renew)
    sound = np.concatenate([tit(20.0), 0.001 * toy.noise(40.0, rate_hz=CARD_HZ), tit(10.0), quiet(30.0)])
    listening.hear(sound, keeping=storage("wav"), tasks=[task], kept_s=len(sound) / CARD_HZ)

    first, second = rows("SELECT start_s, end_s, format FROM clips ORDER BY start_s")
    [(_, detected_s), _] = rows("SELECT start_s, end_s FROM detections ORDER BY start_s")
    assert first == (0.0, detected_s + 8.0, "wav")
    assert second[2] == ("wav" if what == "decisions" else "flac")
    assert len(rows("SELECT id FROM streams")) == (2 if what == "decisions" else 1)


def test_a_stream_ends_in_the_journal_with_the_last_of_it(listening, journal, rows):
    """Its messages that wait for a clip would go without it."""
    told = []

    def look(station) -> None:
        told.append((len(listening.screen.seen), rows("SELECT ended_utc IS NULL FROM streams")))

    task = After(listening.screen, 2, other_thresholds(listening))
    listening.hear(np.concatenate([tit(20.0), quiet(30.0)]), tasks=[task, look])
    during = {bool(ends[0][0]) for windows, ends in told if len(ends) == 2 and windows == 2}
    assert during == {True} and all(not one for (one,) in rows("SELECT ended_utc IS NULL FROM streams"))


def test_receivers_change_within_a_stream(listening, journal, rows):
    def renew(station) -> None:
        station.renew(Storage(messages=lambda: [Message("other")]), station._tasks, clips=False)

    keeping = Storage(messages=lambda: [Message("hook")])
    sound = np.concatenate([tit(10.0), quiet(20.0), tit(10.0)])
    listening.hear(sound, keeping=keeping, tasks=[After(listening.screen, 3, renew)])
    assert [one.target for one in journal.due(0.0)] == ["hook", "other"]
    assert len(rows("SELECT id FROM streams")) == 1 == len(rows("SELECT id FROM deployments"))


# what each setting makes anew


@pytest.mark.parametrize("setting", [one for one in SETTINGS if at_once(one)], ids=lambda one: one.key)
def test_what_is_taken_at_once_makes_something_anew(setting):
    made = Anew.by([setting.key])
    assert bool(made.decisions or made.clips or made.targets) == (setting.key not in RETENTION)
    assert made.decisions == (setting.section in ("detections", "privacy"))
    assert made.targets >= {setting.section} & {*TARGETS}


def test_a_threshold_makes_decisions_anew_and_nothing_makes_nothing():
    assert Anew.by(["thresholds.Parus major"]) == Anew(True, False, frozenset())
    assert Anew.by([]) == Anew(False, False, frozenset())


# from the settings


class Heard:
    """A station that listens with settings, and what it was given again."""

    def __init__(self, listening, settings: Settings) -> None:
        self.parts = assemble(settings, listening.recogniser, listening.journal, listening.clock)
        parts = self.parts
        self.station = listening.station(filters=parts.classifier.filters, keeping=parts.keeping)
        self.station._deployment = parts.deployment
        self.source = Endless(tit(60.0), listening.clock)
        self.change = Reconfiguration(
            settings, self.station, listening.recogniser, parts, lambda parts: [], parts.cutting.kept_s
        )
        worker = listening.worker(self.station, piped(self.source, listening.clock))
        self.thread = threading.Thread(target=self.station.run, args=([worker],))

    def __enter__(self) -> Heard:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.station.close()
        self.thread.join()
        if self.change.parts.outbox is not None:
            self.change.parts.outbox.close()

    def queues(self) -> dict:
        outbox = self.change.parts.outbox
        return {} if outbox is None else dict(outbox._queues)


@pytest.fixture
def settings(toy_pack, tmp_path) -> Settings:
    plain = Settings()
    return replace(
        plain,
        station=replace(plain.station, pack=toy_pack, journal=tmp_path / "journal.sqlite", name="garden"),
        privacy=replace(plain.privacy, speech="keep"),
        webhook=replace(plain.webhook, url="http://127.0.0.1:9/a"),
        mqtt=replace(plain.mqtt, host="127.0.0.1", port=9),
    )


def with_values(settings: Settings, **values: object) -> Settings:
    for key, value in values.items():
        section, _, name = key.partition("__")
        settings = replace(settings, **{section: replace(getattr(settings, section), **{name: value})})
    return settings


def test_settings_that_are_the_same_change_nothing(listening, settings, rows):
    with Heard(listening, settings) as heard:
        before = heard.change.parts
        assert heard.change.apply(settings).in_words == "no setting has changed"
        assert heard.change.parts is before
    assert rows("SELECT count(*) FROM deployments") == rows("SELECT count(*) FROM streams") == [(1,)]


def test_a_receiver_that_changes_leaves_streams_and_other_receivers_alone(listening, settings, rows):
    with Heard(listening, settings) as heard:
        before = heard.queues()
        told = heard.change.apply(with_values(settings, webhook__url="http://127.0.0.1:9/b"))
        after = heard.queues()
        assert told.taken == ("webhook.url",)
        assert after["mqtt"] is before["mqtt"] and after["webhook"] is not before["webhook"]
        assert before["webhook"].ending.is_set() and not before["mqtt"].ending.is_set()
    assert rows("SELECT count(*) FROM deployments") == rows("SELECT count(*) FROM streams") == [(1,)]


def test_a_threshold_leaves_every_receiver_alone(listening, settings, rows):
    with Heard(listening, settings) as heard:
        before = heard.queues()
        heard.change.apply(with_values(settings, detections__min_confidence=0.25))
        assert heard.queues() == before
        assert heard.station.classifier.filters.min_confidence == 0.25
    assert rows("SELECT count(*) FROM deployments") == [(2,)]


def test_a_retention_that_changes_leaves_everything_alone(listening, settings, rows, tmp_path):
    settings = with_values(settings, clips__folder=tmp_path / "clips")
    with Heard(listening, settings) as heard:
        before, classifier = heard.queues(), heard.station.classifier
        heard.change.apply(with_values(settings, clips__keep_days=3.0))
        assert heard.queues() == before and heard.station.classifier is classifier
        assert heard.change.parts.sweeper._retention.keep_days == 3.0
        assert "clips are not deleted after 3 days" in heard.change.parts.waits
    assert rows("SELECT count(*) FROM deployments") == rows("SELECT count(*) FROM streams") == [(1,)]


def test_a_file_that_changed_counts_though_its_setting_did_not(listening, settings, rows, tmp_path):
    listed, secret = tmp_path / "list", tmp_path / "secret"
    listed.write_text("Parus major\n")
    secret.write_text("hunter2\n")
    settings = with_values(settings, detections__species_list=listed, mqtt__password_file=secret)
    with Heard(listening, settings) as heard:
        assert heard.change.apply(settings).taken == ()
        secret.write_text("hunter3\n")
        assert heard.change.apply(settings).taken == ("mqtt.password_file",)
        assert heard.queues()["mqtt"].target._password == "hunter3"
        assert len(rows("SELECT id FROM deployments")) == 1
        listed.write_text("Bufo bufo\n")
        assert heard.change.apply(settings).taken == ("detections.species_list",)
        assert heard.station.classifier.filters.species_list.species == {"Bufo bufo"}
        assert len(rows("SELECT id FROM deployments")) == 2
        assert heard.change.apply(settings).taken == ()


def test_a_clip_that_needs_more_sound_than_is_kept_waits(listening, settings, tmp_path):
    settings = with_values(settings, clips__folder=tmp_path / "clips")
    longer = with_values(settings, clips__longest=300.0, detections__min_confidence=0.2)
    with Heard(listening, settings) as heard:
        told = heard.change.apply(longer)
        assert (told.taken, told.waiting) == (("detections.min_confidence",), ("clips.longest",))
        assert heard.change.reading.waiting == ("clips.longest",)
        assert heard.change.apply(longer).in_words == "no setting has changed"
        assert heard.change.reading.waiting == ("clips.longest",)
        assert heard.change.apply(with_values(longer, clips__longest=30.0)).taken == ("clips.longest",)
        assert heard.change.reading.waiting == ()


def test_the_shared_location_is_taken_at_once(listening, settings):
    with Heard(listening, settings) as heard:
        told = heard.change.apply(with_values(settings, station__share_location="no", station__hop=2.0))
        assert (told.taken, told.waiting) == (("station.share_location",), ("station.hop",))
        assert listening.journal.share_location == "no"


def test_settings_that_cannot_be_taken_leave_everything_as_it_was(listening, settings, rows):
    with Heard(listening, settings) as heard:
        before, queued = heard.queues(), listening.journal.on_queued
        with pytest.raises(UsageError, match="nothing would ever be confirmed"):
            heard.change.apply(with_values(settings, detections__confirm=9))
        assert heard.queues() == before and listening.journal.on_queued == queued
        assert heard.change.settings is settings
    assert rows("SELECT count(*) FROM deployments") == [(1,)]


def test_a_confirmation_remembers_what_it_was_given_under_other_terms():
    before, after = Confirmation(3, 60.0, 10.0, 10.0), Confirmation(2, 60.0, 10.0, 10.0)
    before.add(("a",), 0.0, 10.0, "first")
    after.go_on_from(before)
    assert after.add(("a",), 10.0, 20.0, "second") == ["first", "second"]
