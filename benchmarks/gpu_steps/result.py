"""Results of a step: rows of figures, written to a file one by one, and formatted as Markdown."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

DONE, FAILED, SKIPPED, RUNNING = "done", "failed", "skipped", "running"

# Format of each figure, in this order; figures that are not listed are printed with their name.
TOLD = {
    "seen": "{}",
    "runs_on": "on {}",
    "samples_per_s": "{:,.4g} samples/s",
    "windows_per_s": "{:,.4g} windows/s",
    "times_real_time": "{:,.4g} times real time",
    "ratio": "**{:,.3g}** times the straightforward loop",
    "asked": "(target: {:g})",
    "tflop_per_s": "{:,.4g} TFLOP/s",
    "of_peak": "{:.1%} of the measured bf16 peak",
    "of_data_sheet": "{:.1%} of the data sheet's",
    "waiting": "{:.1%} of the time waiting for data",
    "gflop": "{:,.4g} GFLOP each",
    "batch": "batch {}",
    "least_cosine": "cosine at least {:.6f}",
    "between_windows": "({:.6f} between different windows)",
    "same_species": "{:.1%} the same species",
    "recordings": "of {} recordings",
    "sounds": "{}",
    "in_fp32": "{} in float32",
    "megabytes": "{:,.4g} MB",
    "built_s": "built in {:,.3g} s",
    "seconds": "{:,.3g} s",
}


class Missing(Exception):
    """A requirement of a row is not available on this machine; the message is one line."""


@dataclass
class Row:
    """One line of the table."""

    what: str
    status: str = RUNNING
    figures: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    def text(self) -> str:
        """The figures as text, or why there are none."""
        if self.status in (FAILED, SKIPPED):
            return f"{self.status}: {self.reason}"
        named = {**{name: "" for name in TOLD if name in self.figures}, **self.figures}
        return ", ".join(
            TOLD[name].format(self.figures[name]) if name in TOLD else f"{name.replace('_', ' ')} {self.figures[name]}"
            for name in named
        ).replace(", (", " (")


@dataclass
class StepResult:
    """Status and rows of one step."""

    name: str
    title: str
    status: str = RUNNING
    reason: str = ""
    seconds: float = 0.0
    limit_s: float = 0.0
    rows: list[Row] = field(default_factory=list)

    def settle(self, reason: str) -> None:
        """Set the final status; `reason` is why its process failed, empty if it did not."""
        for row in self.rows:
            if row.status == RUNNING:
                row.status, row.reason = FAILED, reason or "not finished"
        states = {row.status for row in self.rows}
        self.reason = reason
        if reason or FAILED in states or not states:
            self.status = FAILED
            self.reason = reason or next(
                (row.reason for row in self.rows if row.status == FAILED), "nothing was measured"
            )
        elif DONE in states:
            self.status = DONE
        else:
            self.status, self.reason = SKIPPED, self.rows[0].reason


class Report:
    """Collects the rows of one step and updates its file after each, so that a killed step loses at most one row.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, list[Row]()
        self._write()

    @contextmanager
    def measuring(self, what: str) -> Iterator[dict[str, Any]]:
        """Yield the figures of a new row, to be filled. An error inside fails this row alone."""
        row = Row(what)
        self.rows.append(row)
        self._write()
        try:
            yield row.figures
            row.status = DONE
        except Missing as error:
            row.status, row.reason = SKIPPED, str(error)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            row.status, row.reason = FAILED, line_of(error)
        self._write()

    def _write(self) -> None:
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps([asdict(row) for row in self.rows]), encoding="utf-8")
        os.replace(beside, self.path)


def read_rows(path: Path) -> list[Row]:
    """Rows written by a step so far."""
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []


def line_of(error: BaseException) -> str:
    """An error as one line."""
    text = " ".join(str(error).split())
    named = type(error).__name__
    return f"{named}: {text[:300]}" if text else named


def markdown(steps: Sequence[StepResult], about: Mapping[str, Any]) -> str:
    """All rows as one table, under a description of the machine."""
    lines = [", ".join(f"{name} {value}" for name, value in about.items()), ""]
    lines += ["| step | what | measured |", "|---|---|---|"]
    for step in steps:
        state = step.status if step.status == DONE else f"**{step.status}**"
        ended = f"{state} in {step.seconds:.0f} s of {step.limit_s:.0f} s" if step.limit_s else state
        if step.status in (FAILED, SKIPPED):
            ended += f": {step.reason}"
        cells = [(f"**{step.name}**", step.title, ended), *((step.name, row.what, row.text()) for row in step.rows)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
    return "\n".join(lines) + "\n"
