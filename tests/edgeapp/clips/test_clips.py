"""A clip holds the detection and the sound around it, never speech, and never endangers the station."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio.metadata import guano
from edgeapp.audio.source import Block
from edgeapp.clips import recorder as clips_module
from edgeapp.clips.clip_file import ClipFolder
from edgeapp.clips.recorder import ClipCounts, Clips
from edgeapp.clips.ring import Ring
from edgeapp.clips.settings import ClipSettings
from edgeapp.clock.system import Moment
from edgeapp.errors import UsageError
from edgeapp.journal import JournalError

RATE_HZ = 8000
BEGAN = Moment(datetime(2024, 6, 7, 16, 59, 0, tzinfo=timezone.utc), 1000.0)
STREAM = 7


class MemoryJournal:
    """The journal's twin: a row may only come once its file is whole."""

    def __init__(self) -> None:
        self.rows: list[tuple] = []
        self.dropped: list[tuple] = []
        self.locked: set[int] = set()
        self.fault: Exception | None = None

    def add_clip(self, clip, detection_ids):
        assert Path(clip.path).stat().st_size == clip.bytes
        if self.fault is not None:
            raise self.fault
        self.rows.append((clip, list(detection_ids)))
        return len(self.rows)

    def drop_unused_clip(self, clip_id, why, when):
        clip, ids = self.rows[clip_id - 1]
        used = [id for id in ids if not any(id in later for _, later in self.rows[clip_id:])]
        if used or clip_id in self.locked:
            return False
        self.dropped.append((clip, why))
        return True

    def together(self, changes):
        return changes()


class StoppedClock:
    boot_id = "boot"

    def now(self) -> Moment:
        return BEGAN


CUTTING = {"format": "wav", "pre_roll_s": 3.0, "post_roll_s": 3.0, "longest_s": 30.0}


class Station:
    """A stream of noise in which "speech" is wherever the samples are loud."""

    def __init__(self, tmp_path, seconds: float = 100.0, hold_s: float = 200.0, **settings) -> None:
        self.settings = ClipSettings(tmp_path / "clips", **{**CUTTING, **settings})
        self.said: list[str] = []
        self.journal = MemoryJournal()
        self.judged: list[np.ndarray] = []
        self.samples = np.random.default_rng(5).integers(-1000, 1000, round(seconds * RATE_HZ)).astype(np.int16)
        self.ring = Ring(RATE_HZ, hold_s)
        self.folder = ClipFolder(self.settings.folder, self.said.append)
        self.clips = self.stream(speech=self.loud)

    def stream(self, **options) -> Clips:
        return Clips(self.settings, self.ring, self.journal, self.folder, StoppedClock(), **options)

    def loud(self, samples: np.ndarray, rate_hz: int) -> bool:
        assert samples.dtype == np.float32 and rate_hz == RATE_HZ
        self.judged.append(np.round(samples * 32_768).astype(np.int16))
        return bool(np.abs(samples).max() > 0.5)

    def speak(self, start_s: float, end_s: float) -> None:
        self.samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] = 30_000

    def hear(self, end_s: float) -> None:
        start = round(self.ring.end_s * RATE_HZ)
        self.ring.add(Block(start, self.samples[start : round(end_s * RATE_HZ)].astype(np.float32) / 32_768))

    def want(self, id: int, start_s: float, taxon="Turdus merula", confidence=0.98, end_s: float | None = None) -> None:
        end_s = start_s + 10 if end_s is None else end_s
        self.clips.want(id, taxon, confidence, BEGAN.earlier(-start_s), start_s, end_s, STREAM)

    def spans(self) -> list[tuple[float, float, list[int]]]:
        return [(clip.start_s, clip.end_s, ids) for clip, ids in self.journal.rows]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.settings.folder.rglob("*") if path.is_file())


@pytest.fixture
def station(tmp_path):
    return Station(tmp_path)


def test_a_clip_has_the_detection_and_both_rolls_sample_for_sample(station):
    station.hear(50)
    station.want(1, 20)
    [clip] = station.clips.advance(50)
    samples, rate_hz = soundfile.read(clip.path, dtype="int16")
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(samples, station.samples[17 * RATE_HZ : 33 * RATE_HZ])
    assert (clip.start_s, clip.end_s, clip.format, clip.stream, clip.created) == (17.0, 33.0, "wav", STREAM, BEGAN)
    assert station.journal.rows == [(clip, [1])]
    assert station.clips.counts == ClipCounts(written=1)


def test_its_name_and_its_metadata_say_when_its_first_sample_was_heard(station):
    station.clips = station.stream(recorder=guano.Recorder("0.1.0", "starter 1.0", 52.5, 13.4))
    station.hear(50)
    station.want(1, 20)
    [clip] = station.clips.advance(50)
    assert Path(clip.path) == station.settings.folder / "2024" / "06" / "turdus_merula_98p_20240607T165917Z.wav"
    found = guano.read(clip.path)
    assert guano.start_time(found) == BEGAN.utc + timedelta(seconds=17)
    assert found["Original Filename"] == Path(clip.path).name
    assert found["Species Auto ID"] == "Turdus merula"
    assert found["Loc Position"] == "52.5000000 13.4000000"
    assert float(found["Length"]) == 16.0


@pytest.mark.parametrize("format", ["wav", "flac", "ogg"])
def test_every_format_comes_back(tmp_path, format):
    station = Station(tmp_path, format=format)
    station.hear(50)
    station.want(1, 20)
    [clip] = station.clips.finish()
    samples, rate_hz = soundfile.read(clip.path, dtype="int16")
    expected = station.samples[17 * RATE_HZ : 33 * RATE_HZ]
    assert rate_hz == RATE_HZ and len(samples) == len(expected)
    if format == "ogg":
        assert np.corrcoef(samples, expected)[0, 1] > 0.8
    else:
        np.testing.assert_array_equal(samples, expected)
    assert guano.read(clip.path)["BiovitaEdge|Confidence"] == "0.9800"
    assert clip.path.endswith(f".{format}") and clip.format == format
    assert clip.bytes == Path(clip.path).stat().st_size


def test_nothing_is_written_before_the_sound_after_it_was_heard(station):
    station.hear(32.9)
    station.want(1, 20)
    assert station.clips.advance(32.9) == []
    assert station.files() == []


def test_a_clip_waits_until_no_window_can_touch_it_any_more(station):
    station.hear(60)
    station.want(1, 20)
    assert station.clips.advance(45.9) == []  # a window from 36 s to 46 s would have its roll from 33 s
    assert len(station.clips.advance(46)) == 1
    assert station.clips.advance(60) == []


def test_detections_of_one_species_in_touching_sound_share_a_clip(station):
    station.hear(80)
    station.want(1, 20, confidence=0.6)
    station.clips.advance(30)
    station.want(2, 25, confidence=0.91)
    station.clips.advance(35)
    station.want(3, 31, confidence=0.7)
    station.clips.advance(80)
    assert station.spans() == [(17.0, 44.0, [1, 2, 3])]
    assert station.files() == ["turdus_merula_91p_20240607T165917Z.wav"]


def test_rolls_that_only_meet_share_a_clip_and_a_gap_parts_them(tmp_path):
    station = Station(tmp_path, longest_s=60)
    station.hear(90)
    for id, start_s in ((1, 10), (2, 26), (3, 42.5)):
        station.want(id, start_s)
        station.clips.advance(start_s + 10)
    station.clips.advance(90)
    assert station.spans() == [(7.0, 39.0, [1, 2]), (39.5, 55.5, [3])]


def test_other_species_have_clips_of_their_own(station):
    station.hear(80)
    station.want(1, 20)
    station.want(2, 20, taxon="Parus major")
    station.clips.advance(80)
    assert station.spans() == [(17.0, 33.0, [1]), (17.0, 33.0, [2])]


def test_a_long_song_is_cut_into_clips_that_each_hold_their_detections(station):
    station.hear(100)
    for id in range(12):
        station.want(id, 5.0 * id)
        station.clips.advance(5.0 * id + 10)
    station.clips.finish()
    assert sorted(id for _, _, ids in station.spans() for id in ids) == list(range(12))
    for start_s, end_s, ids in station.spans():
        assert end_s - start_s <= 30
        for id in ids:
            assert start_s <= 5.0 * id and 5.0 * id + 10 <= end_s
    assert [ids for _, _, ids in station.spans()] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11]]


def long_song(station, confidences, hop_s=5.0) -> None:
    """One detection of windows of 10 s."""
    for number, confidence in enumerate(confidences):
        station.want(1, hop_s * number, confidence=confidence)
        station.clips.advance(hop_s * number + 10)
    station.clips.advance(1000)


def test_the_clip_of_a_long_detection_has_its_surest_window(station):
    station.hear(100)
    long_song(station, [0.6] * 10 + [0.9] + [0.7] * 5)  # the surest from 50 s to 60 s

    [(first, _), (clip, ids)] = station.journal.rows
    assert (clip.start_s, clip.end_s, ids) == (40.0, 68.0, [1])
    assert station.files() == [Path(clip.path).name] and "_90p_" in clip.path
    assert station.journal.dropped == [(first, clips_module.SURER)]
    assert station.clips.counts == ClipCounts(written=2, replaced=1)
    samples, _ = soundfile.read(clip.path, dtype="int16")
    np.testing.assert_array_equal(samples, station.samples[40 * RATE_HZ : 68 * RATE_HZ])


def test_the_first_clip_of_a_long_detection_stays_where_nothing_is_surer(station):
    station.hear(100)
    long_song(station, [0.6, 0.9] + [0.7, 0.9] * 7)

    assert station.spans() == [(0.0, 28.0, [1])]
    assert station.clips.counts == ClipCounts(written=1)


def test_a_clip_that_is_locked_or_shared_is_not_replaced_but_joined(station):
    station.hear(100)
    station.journal.locked = {1}
    long_song(station, [0.6] * 10 + [0.9])

    assert len(station.files()) == 2 and station.journal.dropped == []
    assert station.clips.counts == ClipCounts(written=2)


def test_the_windows_after_the_surest_are_in_its_clip(station):
    station.hear(100)
    long_song(station, [0.6] * 8 + [0.8, 0.9, 0.7, 0.95] + [0.1] * 4)

    spans = station.spans()
    assert [ids for _, _, ids in spans] == [[1]] * len(spans)
    assert spans[-1][0] <= 55.0 - 1 and spans[-1][1] >= 65.0
    assert all(end_s - start_s <= 30 for start_s, end_s, _ in spans) and len(station.files()) == 1


def test_a_full_clip_is_written_as_soon_as_its_own_sound_was_heard(station):
    station.hear(100)
    for id, start_s in ((1, 20), (2, 30), (3, 40)):
        station.want(id, start_s)
    assert [clip.end_s for clip in station.clips.advance(50)] == [43.0]


def test_detections_that_are_confirmed_late_join_in_any_order(tmp_path):
    station = Station(tmp_path, longest_s=60)
    station.hear(80)
    for id, start_s in ((3, 40), (1, 10), (2, 25)):  # the last one bridges the two before it
        station.want(id, start_s)
    station.clips.advance(80)
    assert station.spans() == [(7.0, 53.0, [1, 2, 3])]


def test_rolls_are_shortened_to_the_longest_clip_and_the_detection_is_not(tmp_path):
    station = Station(tmp_path, longest_s=12, pre_roll_s=6, post_roll_s=2)
    station.hear(60)
    station.want(1, 20)
    station.want(2, 40, taxon="Parus major", end_s=55)
    station.clips.finish()
    assert station.spans() == [(18.5, 30.5, [1]), (40.0, 55.0, [2])]


def test_the_beginning_and_the_end_of_a_stream_give_what_there_is(station):
    station.hear(31)
    station.want(1, 1)
    station.want(2, 20)
    station.clips.finish()
    assert station.spans() == [(0.0, 14.0, [1]), (17.0, 31.0, [2])]


def test_sound_that_has_left_the_ring_is_counted(tmp_path):
    station = Station(tmp_path, hold_s=20)
    station.hear(60)
    station.want(1, 5)
    station.want(2, 33)
    station.clips.finish()
    assert station.spans() == [(40.0, 46.0, [2])]
    assert station.clips.counts == ClipCounts(written=1, missed=1)


def test_a_detection_whose_sound_is_gone_is_not_given_the_next_clip(tmp_path):
    station = Station(tmp_path, hold_s=20, longest_s=60)
    station.hear(50)
    station.want(1, 15)
    station.want(2, 30)
    station.clips.finish()
    assert station.spans() == [(30.0, 43.0, [2])]
    assert station.clips.counts == ClipCounts(written=1, missed=1)


def test_the_name_above_a_species_is_the_decided_one_made_safe(station):
    station.hear(60)
    station.want(1, 5, taxon="Parus", confidence=0.996)
    station.want(2, 25, taxon="CON: Ægithalos/caudatüs ../x", confidence=-0.1)
    station.want(3, 45, taxon="鳥", confidence=0.04)
    station.clips.finish()
    assert station.files() == [
        "con_githalos_caudatus_x_0p_20240607T165922Z.wav",
        "parus_100p_20240607T165902Z.wav",
        "unnamed_4p_20240607T165942Z.wav",
    ]


def test_a_name_that_is_taken_is_left_alone(station):
    station.hear(60)
    for id in (1, 2, 3):
        station.want(id, 20)
        station.clips.finish()
    name = "turdus_merula_98p_20240607T165917Z"
    assert station.files() == [f"{name}.wav", f"{name}_2.wav", f"{name}_3.wav"]
    assert [guano.read(clip.path)["Original Filename"] for clip, _ in station.journal.rows] == [
        f"{name}.wav",
        f"{name}_2.wav",
        f"{name}_3.wav",
    ]


class TestSpeech:
    def test_in_a_roll_cuts_the_clip_back_to_its_detection(self, station):
        station.speak(18, 19)
        station.hear(60)
        station.want(1, 20)
        station.clips.advance(60)
        assert station.spans() == [(20.0, 30.0, [1])]
        assert station.clips.counts == ClipCounts(written=1, shortened=1)

    def test_in_the_sound_after_it_counts_as_well(self, station):
        station.speak(32.5, 32.6)
        station.hear(60)
        station.want(1, 20)
        station.clips.advance(60)
        assert station.spans() == [(20.0, 30.0, [1])]

    def test_in_the_detection_leaves_no_file(self, station):
        station.speak(29.5, 30.5)
        station.hear(60)
        station.want(1, 20)
        assert station.clips.advance(60) == []
        assert station.files() == []
        assert station.clips.counts == ClipCounts(withheld=1)

    def test_between_detections_leaves_those_without_it(self, station):
        station.speak(31, 34)
        station.hear(80)
        for id, start_s in ((1, 20), (2, 25), (3, 36)):
            station.want(id, start_s)
        station.clips.advance(80)
        assert station.spans() == [(20.0, 30.0, [1]), (36.0, 46.0, [3])]
        assert station.clips.counts == ClipCounts(written=2, shortened=2, withheld=1)

    def test_never_reaches_the_disk_wherever_it_is(self, tmp_path):
        for at in np.arange(0, 60, 2.5):
            station = Station(tmp_path / str(at))
            station.speak(at, at + 0.7)
            station.hear(80)
            for id, start_s in enumerate((12, 17, 22, 33, 38)):
                station.want(id, start_s)
            station.clips.finish()
            held = 0
            for clip, ids in station.journal.rows:
                samples, _ = soundfile.read(clip.path, dtype="int16")
                assert np.abs(samples).max() < 16_384
                assert any(np.array_equal(samples, judged) for judged in station.judged)
                held += len(ids)
            assert held + station.clips.counts.withheld == 5

    def test_is_kept_where_nobody_asks(self, station):
        station.clips = station.stream(speech=None)
        station.speak(24, 25)
        station.hear(60)
        station.want(1, 20)
        station.clips.advance(60)
        assert station.spans() == [(17.0, 33.0, [1])]


class TestTrouble:
    def test_of_the_folder_is_told_once_and_costs_no_clip(self, station):
        station.settings.folder.write_text("a file where the folder should be")
        station.hear(90)
        for id in range(3):
            station.want(id, 20.0 * id)
            assert station.clips.advance(20.0 * id + 40) == []
        assert station.clips.counts == ClipCounts()
        [line] = station.said
        assert "clips cannot be written" in line and str(station.settings.folder) in line
        assert "detections are still kept" in line
        station.settings.folder.unlink()
        station.want(4, 70)
        station.clips.finish()
        assert station.said[1:] == ["clips are written again"]
        assert station.clips.counts == ClipCounts(written=4)
        assert [ids for _, ids in station.journal.rows] == [[0], [1], [2], [4]]

    def test_of_the_journal_takes_the_file_back_until_it_can_be_written(self, tmp_path):
        station = Station(tmp_path, seconds=200.0, hold_s=63.0)
        station.journal.fault = JournalError("the journal is locked", "wait")
        station.hear(60)
        station.want(1, 20)
        assert station.clips.advance(60) == []
        assert station.files() == []
        assert "the journal is locked" in station.said[0]
        station.hear(200)  # the ring has forgotten it
        station.journal.fault = None
        [clip] = station.clips.advance(200)
        samples, _ = soundfile.read(clip.path, dtype="int16")
        np.testing.assert_array_equal(samples, station.samples[17 * RATE_HZ : 33 * RATE_HZ])

    def test_that_lasts_costs_the_oldest_clips_and_no_more_memory(self, tmp_path, monkeypatch):
        station = Station(tmp_path, seconds=150.0)
        monkeypatch.setattr(clips_module, "HELD_BYTES", 2 * 2 * 16 * RATE_HZ)  # two clips of 16 s
        station.settings.folder.write_text("a file where the folder should be")
        station.hear(150)
        for id in range(4):
            station.want(id, 10.0 + 30.0 * id)
            station.clips.advance(10.0 + 30.0 * id + 26)
        assert station.clips.counts == ClipCounts(failed=2)
        station.settings.folder.unlink()
        station.clips.advance(150)
        assert station.said[1:] == ["clips are written again; 2 were lost"]
        assert [ids for _, ids in station.journal.rows] == [[2], [3]]

    def test_at_the_end_costs_what_is_left(self, station):
        station.journal.fault = JournalError("the journal is locked", "wait")
        station.hear(60)
        station.want(1, 20)
        station.clips.finish()
        assert station.clips.counts == ClipCounts(failed=1)

    def test_of_a_format_names_the_rate(self, tmp_path):
        station = Station(tmp_path, format="ogg")
        ring = Ring(1_000_000, 1.0)
        ring.add(Block(0, np.zeros(1_000_000, np.float32)))
        clips = Clips(station.settings, ring, station.journal, station.folder, StoppedClock())
        clips.want(1, "Parus", 0.5, BEGAN, 0.0, 1.0, STREAM)
        assert clips.finish() == []
        assert "1000000 Hz cannot be written as ogg" in station.said[0]
        assert station.files() == []


@pytest.mark.parametrize(
    "wrong", [{"format": "mp3"}, {"pre_roll_s": -1}, {"post_roll_s": 61}, {"longest_s": 0.5}, {"longest_s": 601}]
)
def test_settings_that_are_not_possible_are_refused(tmp_path, wrong):
    with pytest.raises(UsageError):
        replace(ClipSettings(tmp_path), **wrong)


def test_the_ring_these_clips_need_is_small(tmp_path):
    assert ClipSettings(tmp_path).ring_s == 92.0


def test_a_detection_that_goes_on_has_one_clip_which_begins_with_it(station):
    for k in range(12):
        start_s = 20.0 + 5 * k
        station.hear(start_s + 10)
        station.want(1, start_s)
        station.clips.advance(start_s + 10)
    station.hear(100)
    station.clips.finish()

    [(start_s, end_s, ids)] = station.spans()
    assert ids == [1] and start_s <= 20.0 and end_s - start_s <= station.settings.longest_s
    assert station.clips.counts == ClipCounts(written=1)


def test_the_next_detection_of_the_taxon_has_a_clip_again(station):
    station.hear(90)
    for id, start_s in ((1, 10), (1, 15), (2, 60), (2, 65)):
        station.want(id, start_s)
    station.clips.finish()

    assert [ids for *_, ids in station.spans()] == [[1], [2]]


def test_a_detection_with_speech_in_the_middle_keeps_its_sound_before_it(station):
    station.speak(31, 34)
    station.hear(90)
    for start_s in (20, 25, 36):
        station.want(1, start_s)
    station.clips.finish()

    assert station.spans() == [(20.0, 30.0, [1])]
    assert station.clips.counts == ClipCounts(written=1, shortened=1)
