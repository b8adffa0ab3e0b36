"""An examination: each check in its turn, whatever becomes of the others, and an exit code that says how it is."""

from __future__ import annotations

import pytest

from edgeapp.doctor.checkup import examine
from edgeapp.doctor.finding import Finding, State, error, exit_code, ok, skipped, warning
from edgeapp.errors import PackError


def test_the_exit_code_is_that_of_the_worst_finding():
    assert exit_code([ok("a", ""), skipped("b", "")]) == 0
    assert exit_code([ok("a", ""), warning("b", "", "")]) == 1
    assert exit_code([warning("b", "", ""), error("c", "", ""), ok("a", "")]) == 2


def test_a_check_that_fails_does_not_end_the_others(context):
    def breaks(context):
        yield ok("one", "fine")
        raise ZeroDivisionError("oh")

    def refuses(context):
        raise PackError("it is broken", "repair it")

    told = list(examine(context(), {"one": breaks, "two": refuses, "three": lambda context: iter([ok("three", "x")])}))
    assert [(one.name, one.state) for one in told] == [
        ("one", State.OK),
        ("one", State.ERROR),
        ("two", State.ERROR),
        ("three", State.OK),
    ]
    assert "ZeroDivisionError: oh" in told[1].what
    assert (told[2].what, told[2].remedy) == ("it is broken", "repair it")


def test_a_finding_cannot_be_changed():
    with pytest.raises(AttributeError):
        Finding("a", State.OK, "x").what = "y"
