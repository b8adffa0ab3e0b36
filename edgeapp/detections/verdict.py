"""Verdicts of windows and detections. Every window has exactly one."""

from __future__ import annotations

from enum import Enum


class Verdict(str, Enum):
    """The end of one window, or of one detection in it.

    A window that holds a detection which is kept ends as DETECTION, whatever becomes of the others in it.
    """

    DETECTION = "detection"
    UNCONFIRMED = "unconfirmed"  # detected, but not yet in enough distinct sound
    BELOW = "below"  # detected, under its threshold
    UNLISTED = "unlisted"  # detected, not on the species list
    OUT_OF_RANGE = "out_of_range"  # detected, not expected here in this week
    SPEECH = "speech"  # speech, dropped for privacy
    NOTHING = "nothing"  # heard, nothing detected
    SILENT = "silent"  # below the pack's level of silence
