"""Confirmation counts windows that share no sound, and nothing else."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from edgeapp.detections.confirmation import Confirmation, shortest_s
from edgeapp.errors import UsageError
from tests.edgeapp import toy_pack as toy

TAXA = {taxon.scientific_name: taxon for taxon in toy.taxa()}
MAJOR = TAXA["Parus major"].path()
MINOR = TAXA["Parus minor"].path()
PARUS = TAXA["Parus major"].path("genus")
AVES = TAXA["Parus major"].path("class")
TOAD = TAXA["Bufo bufo"].path()
PATHS = [MAJOR, MINOR, PARUS, AVES, TOAD]


def test_one_window_is_enough_when_one_is_asked_for():
    confirmation = Confirmation(1)
    assert [confirmation.add(MAJOR, 5.0 * k, 5.0 * k + 10, k) for k in range(3)] == [[0], [1], [2]]
    assert len(confirmation) == 0


def test_overlapping_windows_are_not_independent():
    confirmation = Confirmation(2)
    assert confirmation.add(MAJOR, 0, 10, "a") == []
    assert confirmation.add(MAJOR, 5, 15, "b") == []
    assert confirmation.add(MAJOR, 10, 20, "c") == ["a", "b", "c"]
    assert confirmation.add(MAJOR, 15, 25, "d") == ["d"]


def test_windows_that_touch_share_nothing_whatever_their_last_bit():
    confirmation = Confirmation(2)
    confirmation.add(MAJOR, 0.1, 0.1 + 0.2, "a")  # 0.30000000000000004
    assert confirmation.add(MAJOR, 0.3, 0.5, "b") == ["a", "b"]


def test_the_deeper_confirms_the_shallower_and_not_the_reverse():
    confirmation = Confirmation(2)
    assert confirmation.add(MAJOR, 0, 10, "major") == []
    assert confirmation.add(PARUS, 10, 20, "genus") == ["genus"]
    assert confirmation.add(MINOR, 20, 30, "minor") == []
    assert confirmation.add(MAJOR, 30, 40, "again") == ["major", "again"]


def test_species_of_one_genus_do_not_confirm_each_other():
    confirmation = Confirmation(2)
    assert confirmation.add(MAJOR, 0, 10, "a") == []
    assert confirmation.add(MINOR, 10, 20, "b") == []
    assert confirmation.add(TOAD, 20, 30, "c") == []


def test_namesakes_of_other_families_are_others():
    confirmation = Confirmation(2)
    namesake = (*PARUS[:-2], "Elsewhere", PARUS[-1])
    confirmation.add(PARUS, 0, 10, "a")
    assert confirmation.add(namesake, 10, 20, "b") == []


def test_what_is_too_old_neither_confirms_nor_is_confirmed():
    confirmation = Confirmation(2, within_s=30)
    confirmation.add(MAJOR, 0, 10, "old")
    assert confirmation.add(MAJOR, 20.5, 30.5, "new") == []
    assert confirmation.add(MAJOR, 30.5, 40.5, "newer") == ["new", "newer"]
    exactly = Confirmation(2, within_s=30)
    exactly.add(MAJOR, 0, 10, "old")
    assert exactly.add(MAJOR, 20, 30, "new") == ["old", "new"]


def test_a_clock_that_runs_back_is_another_stream():
    confirmation = Confirmation(2)
    confirmation.add(MAJOR, 100, 110, "a")
    with pytest.raises(ValueError, match="ends at 10 s after one that ended at 110"):
        confirmation.add(MAJOR, 0, 10, "b")


def test_memory_does_not_grow_with_time():
    confirmation = Confirmation(3, within_s=60)
    most = 0
    for k in range(5000):
        confirmation.add(PATHS[k % 5], 5.0 * k, 5.0 * k + 10, k)
        most = max(most, len(confirmation))
    assert most == 11  # windows of 10 s every 5 s inside 60 s


@pytest.mark.parametrize(
    ("windows", "window_s", "hop_s", "needed_s"),
    [(1, 10, 5, 10), (2, 10, 5, 20), (3, 10, 5, 30), (2, 10, 4, 22), (2, 10, 15, 25), (2, 0.3, 0.1, 0.6)],
)
def test_what_can_never_be_reached_is_refused(windows, window_s, hop_s, needed_s):
    assert shortest_s(windows, window_s, hop_s) == pytest.approx(needed_s)
    confirmation = Confirmation(windows, needed_s, window_s, hop_s)
    starts = [hop_s * k for k in range(100)]
    assert any(confirmation.add(MAJOR, start, start + window_s, start) for start in starts)
    if windows > 1:
        with pytest.raises(UsageError, match="nothing would ever be confirmed"):
            Confirmation(windows, needed_s - 0.01, window_s, hop_s)


@pytest.mark.parametrize(("windows", "within_s"), [(0, 60), (2, 0), (2, float("nan")), (2, float("inf"))])
def test_numbers_without_a_meaning_are_refused(windows, within_s):
    with pytest.raises(UsageError):
        Confirmation(windows, within_s)


def restated(decisions, windows, within_s):
    """The rule in its own words, without greed: try every choice of windows."""
    done, answers = set(), []
    for new, (path, _, now) in enumerate(decisions):
        recent = [k for k in range(new + 1) if decisions[k][1] >= now - within_s]

        def confirmed(taxon, recent=recent):
            backing = [k for k in recent if decisions[k][0][: len(taxon)] == taxon]
            return any(
                all(decisions[a][2] <= decisions[b][1] or decisions[b][2] <= decisions[a][1] for a, b in pairs)
                for chosen in combinations(backing, windows)
                for pairs in [list(combinations(chosen, 2))]
            )

        answer = [k for k in recent if k not in done and path[: len(decisions[k][0])] == decisions[k][0]]
        answer = [k for k in answer if confirmed(decisions[k][0])]
        done.update(answer)
        answers.append(answer)
    return answers


@pytest.mark.parametrize("seed", range(40))
def test_the_rule_holds_for_any_sequence(seed):
    random = np.random.default_rng(seed)
    windows, hop_s = int(random.integers(2, 5)), int(random.choice([2, 3, 5, 10]))
    within_s = int(shortest_s(windows, 10, hop_s) + random.integers(0, 20))
    decisions, start = [], 0
    for _ in range(60):
        start += hop_s * int(random.choice([1, 1, 1, 2, 4]))
        # The last window of a file may be cut from the end, closer to the one before it than a hop.
        late = int(random.integers(0, 10)) if random.random() < 0.1 else 0
        decisions.append((PATHS[random.choice(5, p=[0.4, 0.15, 0.2, 0.15, 0.1])], start - late, start + 10))
    confirmation = Confirmation(windows, within_s, 10, hop_s)
    answers = [confirmation.add(path, start, end, k) for k, (path, start, end) in enumerate(decisions)]
    assert answers == restated(decisions, windows, within_s)
    assert any(answers)
    told = [token for answer in answers for token in answer]
    assert len(told) == len(set(told))
