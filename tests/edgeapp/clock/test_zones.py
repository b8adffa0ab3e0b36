"""A zone gives a time the offset that it has then, not that of today."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

from edgeapp.clock.zones import LOCAL, zone_of
from edgeapp.errors import UsageError

WINTER = datetime(2026, 1, 15, 4, 0, tzinfo=timezone.utc)
SUMMER = datetime(2026, 7, 15, 4, 0, tzinfo=timezone.utc)
BACK = datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc)  # and an hour later the clocks show the same


@pytest.fixture(params=[None, LOCAL, "Europe/Berlin"])
def zone(request, monkeypatch):
    """Berlin's, as the machine's own or by its name."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield zone_of(request.param)
    monkeypatch.undo()
    time.tzset()


def test_summer_and_winter_have_their_own_offsets(zone):
    assert WINTER.astimezone(zone).isoformat() == "2026-01-15T05:00:00+01:00"
    assert SUMMER.astimezone(zone).isoformat() == "2026-07-15T06:00:00+02:00"


def test_a_time_on_its_clocks_is_one_of_utc_again(zone):
    for moment in (WINTER, SUMMER, BACK, BACK + timedelta(hours=1)):
        local = moment.astimezone(zone)
        assert local.astimezone(timezone.utc) == moment
        assert local.timestamp() == moment.timestamp()


def test_an_unknown_zone_is_an_error_of_one_line():
    with pytest.raises(UsageError, match="no time zone 'Europe/Atlantis'"):
        zone_of("Europe/Atlantis")
