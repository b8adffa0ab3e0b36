"""Rules say of which detections somebody is notified."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from edgeapp.delivery.rules import Rules, Told, quiet_hours
from edgeapp.errors import UsageError
from gallery.utc import utc_text

BERLIN = timezone(timedelta(hours=2))
NOON = datetime(2026, 5, 1, 10, 0, tzinfo=timezone.utc)  # 12:00 in Berlin


def document(began: datetime = NOON, name: str = "Crex crex", confidence: float = 0.9, **more: object) -> dict:
    return {"taxon": {"scientific_name": name}, "time": utc_text(began), "confidence": confidence, **more}


def refusal(rules: Rules, last: datetime | None = None, told: datetime | None = None, now=NOON, **of: object) -> str:
    return rules.refusal(document(**of), now, BERLIN, lambda name, moment: last, told)


def test_without_rules_everything_is_told_once():
    assert refusal(Rules()) == ""
    assert refusal(Rules(), updated=True) == "told before"
    assert refusal(Rules(), review={"verdict": "rejected"}) == "rejected by a review"


def test_taxa_and_confidence_are_asked_for():
    rules = Rules(wanted=frozenset({"Crex crex"}), min_confidence=0.8)
    assert refusal(rules) == ""
    assert refusal(rules, name="Parus major") == "another taxon"
    assert refusal(rules, confidence=0.79) == "below the confidence"


@pytest.mark.parametrize(
    ("last", "first_of"),
    [
        (None, {"every", "day", "season", "ever"}),
        (timedelta(hours=1), {"every"}),
        (timedelta(hours=13), {"every", "day"}),  # before midnight in Berlin
        (timedelta(days=89), {"every", "day"}),
        (timedelta(days=90), {"every", "day", "season"}),
    ],
)
def test_the_first_of_a_day_of_a_season_and_ever(last, first_of):
    before = None if last is None else NOON - last
    assert {
        first for first in ("every", "day", "season", "ever") if not refusal(Rules(first=first), before)
    } == first_of


@pytest.mark.parametrize(
    ("text", "hour", "quiet"),
    [("22:00-06:30", 23, True), ("22:00-06:30", 6, True), ("22:00-06:30", 7, False), ("9:00-17:00", 12, True)],
)
def test_quiet_hours_are_those_of_the_clock_on_the_wall(text, hour, quiet):
    now = datetime(2026, 5, 1, hour, 0, tzinfo=BERLIN)
    assert (refusal(Rules(quiet=quiet_hours(text)), now=now, began=now) == "quiet hours") is quiet


@pytest.mark.parametrize("text", ["22-6", "25:00-06:00", "", "22:00-22:00", "22:00"])
def test_what_are_no_quiet_hours_is_refused(text):
    with pytest.raises(UsageError, match="no quiet hours"):
        quiet_hours(text)


def test_after_a_notification_a_species_pauses():
    rules = Rules(cool_down_s=3600.0)
    assert refusal(rules, told=NOON - timedelta(minutes=59)) == "told a while ago"
    assert refusal(rules, told=NOON - timedelta(minutes=61)) == ""
    assert refusal(replace(rules, cool_down_s=0.0), told=NOON) == ""


def test_what_an_outage_held_back_for_long_is_not_told():
    assert refusal(Rules(max_age_s=3600.0), began=NOON - timedelta(hours=2)) == "too old"


def test_a_pause_survives_a_restart(tmp_path):
    Told(tmp_path / "told.json").note("Crex crex", utc_text(NOON))
    assert Told(tmp_path / "told.json").last("Crex crex") == NOON
    assert Told(tmp_path / "told.json").last("Parus major") is None
    assert (tmp_path / "told.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "told.json").write_text("{")
    assert Told(tmp_path / "told.json").last("Crex crex") is None
