"""Old clips go, each with its reason; locked ones and the last ones of a species never do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edgeapp.clips.retention import GONE, Retention, Sweeper, Usage
from edgeapp.clock.system import Moment
from edgeapp.errors import BiovitaError, UsageError
from edgeapp.journal import StoredClip, utc_text

NOW = Moment(datetime(2026, 6, 30, 12, 0, tzinfo=timezone.utc), 1000.0)
ROOMY = Usage(10, 1000)


def stored(id: int, species="Turdus merula", days: float = 0.0, bytes=100, locked=False, folder="clips") -> StoredClip:
    created = utc_text(NOW.utc - timedelta(days=days))
    return StoredClip(id, f"{folder}/{id}.flac", species, "flac", bytes, created, locked)


def ids(plan) -> list[int]:
    return [clip.id for clip, _ in plan]


class TestPlan:
    def test_without_a_limit_everything_stays(self):
        clips = [stored(id, days=9999 - id) for id in range(50)]
        assert Retention(disk_share=1, keep_per_species=0).plan(clips, NOW, Usage(1000, 1000)) == []

    def test_age_names_its_limit_and_begins_with_the_oldest(self):
        clips = [stored(3, days=29.9), stored(1, days=31), stored(2, days=30.1)]
        plan = Retention(keep_days=30, keep_per_species=0).plan(clips, NOW, ROOMY)
        assert [(clip.id, why) for clip, why in plan] == [(1, "older than 30 days"), (2, "older than 30 days")]
        [(_, why), *_] = Retention(keep_days=1, keep_per_species=0).plan(clips, NOW, ROOMY)
        assert why == "older than 1 day"

    def test_the_last_ones_of_each_species_stay(self):
        clips = [stored(id, days=100 - id) for id in range(15)]
        clips += [stored(id, "Parus major", days=100) for id in range(20, 28)]
        assert ids(Retention(keep_days=30).plan(clips, NOW, ROOMY)) == [0, 1, 2, 3, 4]

    def test_a_locked_clip_stays(self):
        clips = [stored(id, days=99, locked=id % 2 == 0) for id in range(6)]
        assert ids(Retention(keep_days=30, keep_per_species=0).plan(clips, NOW, ROOMY)) == [1, 3, 5]

    def test_a_clip_that_is_gone_is_not_planned_nor_counted(self):
        clips = [replace(stored(id, days=99), deleted_utc="2026-06-01T00:00:00.000Z") for id in range(6)]
        retention = Retention(disk_share=0.5, keep_per_species=0)
        assert ids(retention.plan([*clips, stored(9, bytes=10)], NOW, Usage(900, 1000))) == [9]

    def test_a_full_disk_takes_from_the_commonest_species_first(self):
        clips = [stored(id, "Parus major") for id in range(3)]
        clips += [stored(id) for id in range(10, 16)]
        usage = Usage(1500, 2000)  # 500 over half of it
        plan = Retention(disk_share=0.5, keep_per_species=0).plan(clips, NOW, usage)
        assert ids(plan) == [10, 11, 12, 0, 13]
        assert {why for _, why in plan} == {"disk 75 % full, limit 50 %"}

    def test_a_full_disk_stops_when_enough_is_free(self):
        clips = [stored(id) for id in range(9)]
        assert ids(Retention(disk_share=0.8, keep_per_species=0).plan(clips, NOW, Usage(901, 1000))) == [0, 1]
        assert Retention(disk_share=0.8, keep_per_species=0).plan(clips, NOW, Usage(800, 1000)) == []

    def test_what_age_frees_counts_against_the_pressure(self):
        clips = [stored(id, days=40 if id < 3 else 1) for id in range(9)]
        plan = Retention(keep_days=30, disk_share=0.5, keep_per_species=0).plan(clips, NOW, Usage(900, 1000))
        assert [(clip.id, why[:5]) for clip, why in plan] == [
            (0, "older"),
            (1, "older"),
            (2, "older"),
            (3, "disk "),
        ]

    def test_a_clock_that_is_not_set_deletes_nothing_by_age(self):
        clips = [stored(id, days=99) for id in range(3)]
        retention = Retention(keep_days=30, keep_per_species=0)
        assert retention.plan(clips, replace(NOW, clock_set=False), ROOMY) == []
        from_1970 = [replace(clip, created_utc="1970-01-01T00:01:00.000Z") for clip in clips]
        assert retention.plan(from_1970, NOW, ROOMY) == []

    def test_newest_is_what_was_written_last_whatever_its_clock_said(self):
        clips = [stored(id, days=10.0 * id) for id in range(4)]  # each was written with a clock further back
        plan = Retention(disk_share=0.1, keep_per_species=2).plan(clips, NOW, Usage(1000, 1000))
        assert ids(plan) == [0, 1]

    def test_a_limit_that_cannot_be_reached_is_said(self):
        clips = [stored(id, locked=id < 5) for id in range(10)]
        retention = Retention(disk_share=0.5, keep_per_species=3)
        plan = retention.plan(clips, NOW, Usage(900, 1000))
        assert ids(plan) == [5, 6]
        assert retention.out_of_reach(Usage(900, 1000), plan) == (
            "disk 90 % full, limit 50 %: the clips left are locked or among the last 3 of their species"
        )
        assert retention.out_of_reach(Usage(700, 1000), plan) is None

    def test_any_set_of_clips_keeps_every_promise(self):
        random = np.random.default_rng(11)
        for _ in range(200):
            clips = [
                stored(
                    id,
                    f"species {random.integers(4)}",
                    days=float(random.uniform(0, 60)),
                    bytes=int(random.integers(1, 200)),
                    locked=bool(random.random() < 0.2),
                )
                for id in range(int(random.integers(0, 60)))
            ]
            keep = int(random.integers(0, 6))
            usage = Usage(int(random.integers(0, 8000)), 8000)
            retention = Retention(30.0, 0.5, keep)
            plan = retention.plan(clips, NOW, usage)
            going = set(ids(plan))
            assert len(going) == len(plan) and all(why for _, why in plan)
            assert not any(clip.locked for clip in clips if clip.id in going)
            for species, n in Counter(clip.species for clip in clips).items():
                last = [clip.id for clip in clips if clip.species == species][n - min(n, keep) :]
                assert not going & set(last)
            freed = sum(clip.bytes for clip, _ in plan)
            assert (usage.used_bytes - freed > 4000) == (retention.out_of_reach(usage, plan) is not None)


@pytest.mark.parametrize(
    "wrong",
    [{"keep_days": 0}, {"disk_share": 0.0}, {"disk_share": 80}, {"keep_per_species": -1}],
)
def test_limits_that_are_not_possible_are_refused(wrong):
    with pytest.raises(UsageError):
        Retention(**wrong)


def test_usage_is_that_of_df(tmp_path):
    usage = Usage.of(tmp_path)
    assert 0 < usage.used_bytes < usage.total_bytes
    assert 0 < usage.share < 1
    assert Usage(0, 0).share == 0


class MemoryJournal:
    """The journal's twin; it sees to it that the row comes before the file goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[int, StoredClip] = {}
        self.fault: Exception | None = None
        self.there: list[bool] = []

    def add(self, id: int, file: bool = True, **values) -> Path:
        clip = stored(id, folder=str(self.folder), **values)
        self.rows[id] = clip
        if file:
            Path(clip.path).write_bytes(bytes(clip.bytes))
        return Path(clip.path)

    def clips(self, include_deleted=False):
        return iter([clip for clip in self.rows.values() if include_deleted or clip.deleted_utc is None])

    def delete_clip(self, id, why, when):
        if self.fault is not None:
            raise self.fault
        self.there.append(Path(self.rows[id].path).exists())
        self.rows[id] = replace(self.rows[id], deleted_utc=utc_text(when.utc), deleted_why=why)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "clips").mkdir()
    return tmp_path / "clips"


@pytest.fixture
def journal(folder):
    return MemoryJournal(folder)


@pytest.fixture
def said():
    return []


@pytest.fixture
def sweeper(folder, journal, said):
    def make(usage=ROOMY, most=200, **limits) -> Sweeper:
        limits = {"keep_per_species": 0, **limits}
        given = usage if callable(usage) else lambda folder: usage
        return Sweeper(Retention(**limits), journal, folder, said.append, given, most)

    return make


class TestSweeper:
    def test_the_row_says_why_and_when_before_the_file_goes(self, journal, sweeper):
        old, new = journal.add(1, days=31), journal.add(2, days=1)
        swept = sweeper(keep_days=30).run(NOW)
        assert not old.exists() and new.exists()
        assert journal.there == [True]
        assert (journal.rows[1].deleted_why, journal.rows[1].deleted_utc) == ("older than 30 days", utc_text(NOW.utc))
        assert journal.rows[2].deleted_why is None
        assert (swept.deleted, swept.bytes, swept.gone, swept.stuck) == (1, 100, 0, 0)

    def test_without_its_row_no_file_goes(self, journal, sweeper):
        path = journal.add(1, days=31)
        journal.fault = BiovitaError("the journal is locked")
        with pytest.raises(BiovitaError, match="locked"):
            sweeper(keep_days=30).run(NOW)
        assert path.exists()

    def test_a_file_that_somebody_took_is_recorded(self, journal, sweeper):
        journal.add(1, days=31, file=False)
        journal.add(2)
        swept = sweeper(keep_days=30).run(NOW)
        assert (swept.deleted, swept.gone) == (0, 1)
        assert journal.rows[1].deleted_why == GONE

    def test_a_run_deletes_a_limited_number_and_the_next_goes_on(self, journal, sweeper):
        for id in range(10):
            journal.add(id, days=99)
        one = sweeper(keep_days=30, most=4)
        assert [one.run(NOW).deleted for _ in range(4)] == [4, 4, 2, 0]

    def test_a_target_out_of_reach_is_said_once_until_it_was_reached(self, journal, sweeper, said):
        paths = [journal.add(id, locked=True) for id in range(3)]
        full = [Usage(900, 1000)]
        one = sweeper(lambda folder: full[0], disk_share=0.5)
        for _ in range(5):
            assert one.run(NOW).deleted == 0
        assert len(said) == 1 and "disk 90 % full, limit 50 %: the clips left are locked" in said[0]
        full[0] = Usage(400, 1000)
        one.run(NOW)
        full[0] = Usage(910, 1000)
        one.run(NOW)
        assert len(said) == 2
        assert all(path.exists() for path in paths)

    def test_what_a_crash_left_between_row_and_file_is_finished(self, journal, sweeper):
        half, whole = journal.add(1), journal.add(2)
        journal.delete_clip(1, "older than 30 days", NOW)
        assert sweeper(keep_days=30).run(NOW).stuck == 0
        assert not half.exists() and whole.exists()

    def test_a_new_clip_under_the_name_of_a_deleted_one_stays(self, journal, sweeper):
        path = journal.add(1)
        journal.delete_clip(1, "older than 30 days", NOW)
        journal.rows[2] = replace(journal.rows[1], id=2, deleted_utc=None, deleted_why=None)
        sweeper(keep_days=30).run(NOW)
        assert path.exists()

    def test_a_file_that_cannot_go_is_tried_again_and_said_once(self, journal, sweeper, said, monkeypatch):
        path = journal.add(1, days=99)
        journal.add(2)
        real = Path.unlink

        def refused(self, missing_ok=False):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "unlink", refused)
        one = sweeper(keep_days=30)
        assert [one.run(NOW).stuck for _ in range(3)] == [1, 1, 1]
        assert len(said) == 1 and "cannot be removed (Operation not permitted)" in said[0]
        monkeypatch.setattr(Path, "unlink", real)
        assert one.run(NOW).stuck == 0
        assert not path.exists()

    @pytest.mark.parametrize("state", ["missing", "empty"])
    def test_a_disk_that_is_not_there_does_not_look_like_deleted_clips(self, journal, sweeper, said, folder, state):
        journal.add(1, days=99).unlink()
        if state == "missing":
            folder.rmdir()
        one = sweeper(keep_days=30)
        for _ in range(3):
            assert one.run(NOW).gone == 0
        assert journal.rows[1].deleted_utc is None
        assert len(said) == 1 and "no clip is deleted" in said[0]

    def test_a_new_station_without_clips_has_nothing_to_say(self, sweeper, said, folder):
        sweeper(keep_days=30).run(NOW)
        folder.rmdir()
        sweeper(keep_days=30).run(NOW)
        assert said == []

    def test_clips_of_another_folder_are_left_alone(self, journal, sweeper, tmp_path):
        journal.add(1)
        (tmp_path / "other").mkdir()
        journal.folder = tmp_path / "other"
        path = journal.add(2, days=99)
        assert sweeper(keep_days=30, disk_share=0.5).run(NOW).deleted == 0
        assert path.exists()
