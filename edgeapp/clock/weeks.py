"""BirdNET's calendar: 48 weeks a year, four in each month."""

from __future__ import annotations

from datetime import date

WEEKS = 48
WEEKS_OF_A_MONTH = 4
DAYS_OF_A_WEEK = 7


def birdnet_week(day: date) -> int:
    """BirdNET's week, 1 to 48: each month has four, and the fourth lasts to the month's end."""
    return (day.month - 1) * WEEKS_OF_A_MONTH + min((day.day - 1) // DAYS_OF_A_WEEK, WEEKS_OF_A_MONTH - 1) + 1
