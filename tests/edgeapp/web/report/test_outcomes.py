"""Windows without a detection: one run while nothing changes, the most telling ones kept."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeapp.recognition.results import WindowResult
from edgeapp.web.report.name import Name
from edgeapp.web.report.outcomes import Judging, OutcomeLog, level_words
from gallery.candidates import Candidate
from gallery.recognition import Detection

TIT = Name("species", "Parus major", "Great Tit")
JUDGING = Judging(0.7, lambda number: (TIT, Name("species", "Bufo bufo", "Common Toad"))[number])


def window(start_s, confidence=0.0, heard=True, level=-40.0, detected=False):
    found = Detection("species", "Parus major", "Great Tit", ("Parus major",), 0.9, ())
    confidences = np.array([confidence, 0.0], np.float32)
    return WindowResult(start_s, start_s + 3, level, heard, confidences, (found,) if detected else (), None)


def species(confidence):
    return (Candidate("Parus major", "Great Tit", confidence, 0.5),)


def test_windows_that_end_alike_are_one_run():
    log = OutcomeLog(JUDGING, 10)
    for start_s, confidence in ((0, 0.2), (3, 0.4), (6, 0.3)):
        log.add(window(start_s, confidence, level=-50 + start_s), species(confidence))
    log.add(window(9, 0.9, detected=True), species(0.9))
    log.add(window(12, heard=False, level=-math.inf), ())
    found = log.finish()
    assert found.counts == {"below the threshold": 3, "with a detection": 1, "silent": 1}
    below, silent = found.runs
    assert (below.start_s, below.end_s, below.windows, below.likeliest) == (0, 9, 3, TIT)
    assert below.confidence == pytest.approx(0.4) and below.level_dbfs == -44
    assert (silent.reason, silent.likeliest, silent.start_s) == ("silent", None, 12)


def test_a_gap_ends_a_run():
    log = OutcomeLog(JUDGING, 10)
    log.add(window(0, heard=False), ())
    log.add(window(30, heard=False), ())
    assert [run.start_s for run in log.finish().runs] == [0, 30]


def test_what_is_not_expected_is_told_from_what_is_not_sure():
    log = OutcomeLog(JUDGING, 10)
    log.add(window(0, 0.9), ())
    log.add(window(3, 0.001), species(0.001))
    unexpected, nothing = log.finish().runs
    assert (unexpected.reason, unexpected.likeliest) == ("not expected here", TIT)
    assert unexpected.confidence == pytest.approx(0.9)
    assert (nothing.reason, nothing.likeliest) == ("nothing known", None)


def test_of_many_runs_the_most_telling_are_kept_in_order():
    log = OutcomeLog(JUDGING, 3)
    for n in range(100):
        log.add(window(6 * n, 0.01 + n % 50 / 100), species(0.01 + n % 50 / 100))
    found = log.finish()
    assert len(found.runs) == 3 and found.left_out == 97
    assert [run.start_s for run in found.runs] == sorted(run.start_s for run in found.runs)
    assert min(run.confidence for run in found.runs) >= 0.49
    assert found.counts == {"below the threshold": 100}


def test_a_level_is_in_words():
    assert (level_words(-40.4), level_words(-math.inf)) == ("-40 dBFS", "digital silence")
