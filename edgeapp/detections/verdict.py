"""How a window can end. Every window ends in exactly one of these ways, and every way is counted."""

from __future__ import annotations

from enum import Enum


class Verdict(str, Enum):
    """The end of one window."""

    DETECTION = "detection"
    UNCONFIRMED = "unconfirmed"  # decided, but not yet in enough distinct sound
    BELOW = "below"  # decided, under its threshold
    UNLISTED = "unlisted"  # decided, not on the species list
    OUT_OF_RANGE = "out_of_range"  # decided, not to be expected here in this week
    SPEECH = "speech"  # somebody spoke, and privacy is kept
    NOTHING = "nothing"  # heard, nothing decided
    SILENT = "silent"  # below the pack's level of silence
