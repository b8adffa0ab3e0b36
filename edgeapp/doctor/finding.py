"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """How one thing is."""

    OK = "ok"
    SKIPPED = "skipped"  # it cannot be known here, or was not asked for
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
    """It is as it should be."""
    return Finding(name, State.OK, what)


def skipped(name: str, what: str) -> Finding:
    """It cannot be known here."""
    return Finding(name, State.SKIPPED, what)


def warning(name: str, what: str, remedy: str) -> Finding:
    """It works, and will not for long, or not well."""
    return Finding(name, State.WARNING, what, remedy)


def error(name: str, what: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(name, State.ERROR, what, remedy)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when all is well, 1 with warnings, 2 with errors."""
    states = {finding.state for finding in findings}
    return 2 if State.ERROR in states else 1 if State.WARNING in states else 0
