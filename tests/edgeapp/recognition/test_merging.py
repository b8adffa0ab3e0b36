"""Consecutive windows of one taxon become one detection."""

from __future__ import annotations

import numpy as np
import pytest

from edgeapp.recognition.merging import Merger
from edgeapp.recognition.results import Stretch, WindowResult
from gallery.recognition import Detection


def detected(name: str, confidence: float) -> Detection:
    return Detection("species", name, "", ("Animalia", name), confidence, ())


def window(start_s: float, *detections: Detection, length_s: float = 10.0) -> WindowResult:
    return WindowResult(start_s, start_s + length_s, -20.0, True, np.zeros(2), detections, np.full(2, start_s))


def merged(*windows: WindowResult) -> list[tuple[str, float, float, float, int]]:
    merger = Merger()
    stretches = [stretch for one in windows for stretch in merger.add(one)] + merger.finish()
    return [told(stretch) for stretch in stretches]


def told(stretch: Stretch) -> tuple[str, float, float, float, int]:
    detection = stretch.detection
    return detection.scientific_name, stretch.start_s, stretch.end_s, detection.confidence, stretch.windows


def test_windows_that_overlap_or_touch_are_one_stretch():
    assert merged(*(window(start, detected("a", 0.5 + start / 100)) for start in (0, 5, 15))) == [("a", 0, 25, 0.65, 3)]


def test_a_gap_ends_a_stretch():
    assert merged(window(0, detected("a", 0.9)), window(5), window(10.5, detected("a", 0.8))) == [
        ("a", 0, 10, 0.9, 1),
        ("a", 10.5, 20.5, 0.8, 1),
    ]


def test_a_window_without_it_between_two_that_touch_does_not_end_it():
    # With windows of 10 s every 5 s the first and the third touch: the sound between them was heard in both.
    assert merged(window(0, detected("a", 0.9)), window(5), window(10, detected("a", 0.8))) == [("a", 0, 20, 0.9, 2)]


def test_each_taxon_has_stretches_of_its_own_in_the_order_of_their_starts():
    assert merged(
        window(0, detected("b", 0.6), detected("a", 0.9)), window(5, detected("b", 0.7)), window(20, detected("c", 0.5))
    ) == [("a", 0, 10, 0.9, 1), ("b", 0, 15, 0.7, 2), ("c", 20, 30, 0.5, 1)]


def test_the_surest_window_speaks_for_the_stretch():
    merger = Merger()
    for start, confidence in ((0, 0.6), (5, 0.9), (10, 0.7)):
        merger.add(window(start, detected("a", confidence)))
    [stretch] = merger.finish()
    assert stretch.detection.confidence == 0.9 and stretch.vector.tolist() == [5, 5]


def test_a_stretch_is_given_as_soon_as_it_is_over_and_none_began_before():
    merger = Merger()
    assert merger.add(window(0, detected("a", 0.9))) == []
    assert merger.add(window(5, detected("b", 0.9))) == []
    assert [told(one)[0] for one in merger.add(window(12, detected("b", 0.9)))] == ["a"]
    assert [told(one)[0] for one in merger.finish()] == ["b"]
    assert merger.finish() == []


def test_a_taxon_that_goes_on_too_long_is_another_detection():
    merger = Merger(longest_s=25.0)
    given = [told(one) for start in range(0, 60, 5) for one in merger.add(window(start, detected("a", 0.9)))]
    given += [told(one) for one in merger.finish()]
    assert [(start, end, windows) for _, start, end, _, windows in given] == [(0, 25, 4), (20, 45, 4), (40, 65, 4)]


def test_what_waits_does_not_pile_up_behind_a_taxon_that_never_ends():
    merger, given = Merger(), 0
    for n in range(17_280):  # a day
        others = (detected("b", 0.8),) if n % 4 == 0 else ()
        given += len(merger.add(window(5.0 * n, detected("a", 0.9), *others)))
        assert len(merger._ended) <= 60
    assert given > 4_000


@pytest.mark.parametrize("seed", range(20))
def test_no_window_is_lost_and_no_two_stretches_of_a_taxon_touch(seed):
    rng = np.random.default_rng(seed)
    windows = [
        window(5.0 * n, *(detected(name, float(rng.uniform(0.5, 1))) for name in "abc" if rng.random() < 0.4))
        for n in range(60)
    ]
    stretches = merged(*windows)
    assert [s[1] for s in stretches] == sorted(s[1] for s in stretches)
    for name in "abc":
        own = [s for s in stretches if s[0] == name]
        assert sum(s[4] for s in own) == sum(name in [d.scientific_name for d in w.detections] for w in windows)
        assert all(first[2] < second[1] for first, second in zip(own, own[1:], strict=False))
