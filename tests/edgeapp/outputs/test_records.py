"""Records know where they can be heard, and which of BirdNET's weeks they are of."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from edgeapp.clock.weeks import birdnet_week
from tests.edgeapp.outputs.some_records import BERLIN, CORRECTED, NO_CLIP, TIT


@pytest.mark.parametrize(
    ("day", "week"),
    [
        (date(2026, 1, 1), 1),
        (date(2026, 1, 7), 1),
        (date(2026, 1, 8), 2),
        (date(2026, 1, 22), 4),
        (date(2026, 1, 31), 4),
        (date(2026, 2, 1), 5),
        (date(2028, 2, 29), 8),
        (date(2026, 12, 31), 48),
    ],
)
def test_birdnet_has_four_weeks_in_every_month(day, week):
    assert birdnet_week(day) == week


def test_a_year_has_48_weeks_in_order():
    weeks = [birdnet_week(date(2028, 1, 1) + timedelta(days=i)) for i in range(366)]
    assert weeks == sorted(weeks) and set(weeks) == set(range(1, 49))


def test_a_record_is_heard_inside_its_clip():
    assert TIT.in_file == (TIT.clip, 3.0, 13.0)
    assert NO_CLIP.in_file == ("USB microphone", 100.0, 110.0)
    short = replace(TIT, clip_start_s=104.0, clip_end_s=107.0)
    assert short.in_file == (TIT.clip, 0.0, 3.0), "a clip that lost its ends still has the record inside it"


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_utc": datetime(2026, 6, 1)},
        {"review": "perhaps"},
        {"review": "corrected"},
        {"corrected_name": "Parus minor"},
        {"clip_end_s": 97.0},
    ],
)
def test_a_record_that_contradicts_itself_is_not_made(wrong):
    with pytest.raises(ValueError):
        replace(TIT, **wrong)


def test_local_time_names_its_offset():
    assert TIT.local(BERLIN).isoformat() == "2026-06-01T00:10:30.250000+02:00"
    assert CORRECTED.local(BERLIN).utcoffset() == timedelta(hours=2)
