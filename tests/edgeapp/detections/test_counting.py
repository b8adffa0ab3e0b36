"""How the windows ended and how many detections there were, in one line."""

from __future__ import annotations

from edgeapp.detections.counting import WORDS, in_words
from edgeapp.detections.verdict import Verdict


def test_the_line_adds_up_and_leaves_zeros_out():
    counts = {Verdict.SPEECH: 3, Verdict.NOTHING: 380, Verdict.UNCONFIRMED: 8, Verdict.DETECTION: 21, Verdict.BELOW: 0}
    told = "412 windows: 21 with detections, 380 nothing, 8 unconfirmed, 3 speech; 30 detections"
    assert in_words(counts, 30) == told


def test_one_is_not_many():
    assert in_words({Verdict.DETECTION: 1}, 1) == "1 window: 1 with detections; 1 detection"
    assert in_words({}, 0) == in_words({Verdict.NOTHING: 0}, 0) == "0 windows; 0 detections"


def test_every_verdict_has_its_place_whatever_order_the_counts_come_in():
    assert set(WORDS) == set(Verdict)
    counts = dict.fromkeys(Verdict, 2)
    line = in_words(counts, 7)
    assert line == in_words(dict(reversed(counts.items())), 7)
    assert line.startswith("16 windows: 2 with detections, 2 nothing, 2 below threshold, ")
    assert line.count("2 ") == len(Verdict)
