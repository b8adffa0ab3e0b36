"""Times are written in UTC, sort as text, and come back as they were."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from gallery.utc import datetime_of, now_text, utc_of, utc_text

BERLIN = timezone(timedelta(hours=2))


def test_a_time_of_any_zone_is_written_in_utc():
    assert utc_text(datetime(2025, 5, 1, 6, 12, 9, 250_000, BERLIN)) == "2025-05-01T04:12:09.250Z"
    assert utc_text(datetime(2025, 5, 1, 6, 12, 9, 250_000, BERLIN), "seconds") == "2025-05-01T04:12:09Z"


def test_what_was_written_is_read_back():
    time = datetime(2025, 5, 1, 4, 12, 9, 250_000, timezone.utc)
    assert utc_of(utc_text(time)) == time and utc_of(utc_text(time)).tzinfo is timezone.utc


def test_a_time_without_a_zone_is_not_written_and_is_read_as_utc():
    with pytest.raises(ValueError, match="without a zone"):
        utc_text(datetime(2025, 5, 1))
    assert utc_of("2025-05-01T04:12:09") == datetime(2025, 5, 1, 4, 12, 9, tzinfo=timezone.utc)
    assert datetime_of("2025-05-01T04:12:09").tzinfo is None


@pytest.mark.parametrize("text", ["", "None", "yesterday", "2025-13-01"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):
        utc_of(text)


def test_the_present_is_written_in_utc():
    assert abs(utc_of(now_text()) - datetime.now(timezone.utc)) < timedelta(minutes=1)
