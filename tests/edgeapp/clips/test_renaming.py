"""A clip gets the right time in its name and its metadata once the clock is known, and its sound is not touched."""

from __future__ import annotations

import signal
import subprocess
import textwrap
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio.metadata import guano
from edgeapp.audio.source import Block
from edgeapp.clips.clip_file import ClipFolder
from edgeapp.clips.recorder import Clips
from edgeapp.clips.renaming import Renamer
from edgeapp.clips.ring import Ring
from edgeapp.clips.settings import FORMATS, ClipSettings
from edgeapp.clock.system import Moment
from edgeapp.journal import Journal
from tests.edgeapp.journal.samples import GREAT_TIT, begin, rows

RATE_HZ = 8000
WRONG = Moment(datetime(2023, 8, 5, 12, 0, tzinfo=timezone.utc), 100.0, clock_set=False)
RIGHT = replace(WRONG, utc=WRONG.utc + timedelta(days=1000), clock_set=True)
BEFORE, AFTER = "2023/08/parus_major_75p_20230805T120000Z", "2026/05/parus_major_75p_20260501T120000Z"


class StoppedClock:
    boot_id = "boot-a"

    def __init__(self, moment: Moment) -> None:
        self.moment = moment

    def now(self) -> Moment:
        return self.moment


def station(folder: Path, format: str = "flac", clock: Moment = WRONG) -> tuple[Journal, ClipFolder]:
    """A journal with a detection and its clip, heard before the clock was set."""
    journal = Journal.open(folder / "journal.sqlite")
    stream = begin(journal, WRONG)
    clips = ClipFolder(folder / "clips", print)
    ring = Ring(RATE_HZ, 60.0)
    ring.add(Block(0, np.random.default_rng(5).integers(-9000, 9000, 30 * RATE_HZ).astype(np.int16)))
    settings = ClipSettings(clips.folder, format, pre_roll_s=0.0, post_roll_s=0.0)
    writer = Clips(settings, ring, journal, clips, StoppedClock(clock))
    detection = journal.record(stream, replace(GREAT_TIT, time=WRONG, start_s=0.0, end_s=10.0))
    writer.want(detection, "Parus major", 0.75, WRONG, 0.0, 10.0, stream)
    writer.finish()
    return journal, clips


def files_of(clips: ClipFolder) -> list[str]:
    return sorted(path.relative_to(clips.folder).as_posix() for path in clips.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("format", FORMATS)
def test_a_clip_is_renamed_with_its_row_and_every_sample_stays(tmp_path, format):
    journal, clips = station(tmp_path, format)
    assert files_of(clips) == [f"{BEFORE}.{format}"]
    before = soundfile.read(clips.folder / f"{BEFORE}.{format}", dtype="int16")[0]
    assert guano.clock_was_set(guano.read(clips.folder / f"{BEFORE}.{format}")) is False
    journal.correct_times("boot-a", RIGHT.utc_of_boot)
    assert Renamer(journal, clips, pytest.fail).run() == 1
    path = clips.folder / f"{AFTER}.{format}"
    assert files_of(clips) == [f"{AFTER}.{format}"] and not (clips.folder / "2023").exists()
    found = guano.read(path)
    assert guano.start_time(found) == RIGHT.utc and guano.clock_was_set(found)
    assert found["Original Filename"] == path.name and found["Species Auto ID"] == "Parus major"
    assert np.array_equal(soundfile.read(path, dtype="int16")[0], before)
    assert rows(journal.path, "SELECT path, bytes FROM clips") == [(f"{AFTER}.{format}", path.stat().st_size)]
    assert Renamer(journal, clips, pytest.fail).run() == 0 and journal.clips_to_rename(9) == []
    journal.shift_times(1, -3600.0)
    assert Renamer(journal, clips, pytest.fail).run() == 1, "as often as it is corrected"
    assert guano.start_time(guano.read(clips.folder / f"{AFTER.replace('T12', 'T11')}.{format}"))
    journal.close()


def test_a_clip_written_after_the_clock_was_set_is_right_at_once(tmp_path):
    journal, clips = station(tmp_path, clock=RIGHT)
    assert files_of(clips) == [f"{AFTER}.flac"]
    assert guano.clock_was_set(guano.read(clips.folder / f"{AFTER}.flac"))
    journal.correct_times("boot-a", RIGHT.utc_of_boot)
    assert journal.clips_to_rename(9) == []
    journal.close()


def test_a_clip_whose_time_was_right_all_along_says_so_afterwards(tmp_path):
    journal, clips = station(tmp_path)
    journal.correct_times("boot-a", WRONG.utc_of_boot)
    Renamer(journal, clips, pytest.fail).run()
    assert files_of(clips) == [f"{BEFORE}.flac"] and guano.clock_was_set(guano.read(clips.folder / f"{BEFORE}.flac"))
    journal.close()


def test_a_name_that_another_clip_has_is_left_to_it(tmp_path):
    journal, clips = station(tmp_path)
    other = clips.folder / f"{AFTER}.flac"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"another clip")
    journal.correct_times("boot-a", RIGHT.utc_of_boot)
    Renamer(journal, clips, pytest.fail).run()
    assert files_of(clips) == [f"{AFTER}.flac", f"{AFTER}_2.flac"] and other.read_bytes() == b"another clip"
    journal.close()


def test_a_clip_without_room_keeps_its_file_and_is_told_once(tmp_path):
    journal, clips = station(tmp_path)
    path = clips.folder / f"{BEFORE}.flac"
    soundfile.write(path, np.zeros(RATE_HZ, np.int16), RATE_HZ)
    journal.correct_times("boot-a", RIGHT.utc_of_boot)
    said: list[str] = []
    for _ in range(2):
        assert Renamer(journal, clips, said.append).run() == 0
    assert len(said) == 1 and "no metadata of ours" in said[0] and files_of(clips) == [f"{BEFORE}.flac"]
    journal.close()


KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from edgeapp.clips import renaming
    from edgeapp.clips.clip_file import ClipFolder
    from edgeapp.journal import Journal

    def killed(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    folder, at = Path(sys.argv[1]), sys.argv[2]
    journal = Journal.open(folder / "journal.sqlite")
    if at == "journal":
        journal.clip_renamed = killed
    elif at == "old file":
        Path.unlink = killed
    else:
        journal.clip_left = killed
    renaming.Renamer(journal, ClipFolder(folder / "clips", print), print).run()
    """
)


@pytest.mark.parametrize("at", ["journal", "old file", "mark"])
def test_a_kill_at_any_moment_leaves_one_clip_with_its_row(tmp_path, at, forks):
    journal, clips = station(tmp_path)
    journal.correct_times("boot-a", RIGHT.utc_of_boot)
    done = subprocess.run([*forks.python(), "-c", KILLED, str(tmp_path), at])
    assert done.returncode == -signal.SIGKILL
    for clip in journal.clips():
        assert Path(clip.path).stat().st_size == clip.bytes, "whatever happened, its file is there"
    Renamer(journal, clips, pytest.fail).run()
    assert files_of(clips) == [f"{AFTER}.flac"] and journal.clips_to_rename(9) == []
    assert [clip.path for clip in journal.clips()] == [str(clips.folder / f"{AFTER}.flac")]
    journal.close()
