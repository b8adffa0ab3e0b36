"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """State of a finding."""

    OK = "ok"
    SKIPPED = "skipped"  # does not apply here, or was disabled
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    name : str
        Of the check, such as ``microphone``; a check may have several findings.
    state : State
    what : str
        What was found, with its figures.
    remedy : str
        What to do about it; empty when there is nothing to do.
    """

    name: str
    state: State
    what: str
    remedy: str = ""


Findings = Iterator[Finding]


def ok(name: str, what: str) -> Finding:
    """A finding without fault."""
    return Finding(name, State.OK, what)


def skipped(name: str, what: str) -> Finding:
    """A check that does not apply."""
    return Finding(name, State.SKIPPED, what)


def warning(name: str, what: str, remedy: str) -> Finding:
    """A finding that needs attention soon."""
    return Finding(name, State.WARNING, what, remedy)


def error(name: str, what: str, remedy: str) -> Finding:
    """A finding of something that does not work."""
    return Finding(name, State.ERROR, what, remedy)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when all is well, 1 with warnings, 2 with errors."""
    states = {finding.state for finding in findings}
    return 2 if State.ERROR in states else 1 if State.WARNING in states else 0
