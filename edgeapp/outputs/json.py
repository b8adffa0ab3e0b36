"""JSON for programs: one indented document per file, windows included."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from edgeapp.outputs.writer import Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeapp.recognition.pipeline import Identification, WindowResult, WindowSummary
    from gallery.decision import Decision, RankedSpecies

DECIMALS = 4  # of probabilities and similarities: more would be noise of the encoder's arithmetic
TIME_DECIMALS = 3  # of seconds


class JsonWriter:
    """See `edgeapp.outputs.writer.Writer`. A failed file has no document."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._windows = Spool()  # the document puts them after the summary, which is known only at the end
        self._n_windows = 0

    def begin(self, file: str, rate_hz: int) -> None:
        """Forget the windows of a file that failed half way."""
        self._windows.clear()
        self._n_windows = 0

    def window(self, result: WindowResult, summary: WindowSummary) -> None:
        """Keep one line."""
        self._windows.write(",\n    " if self._n_windows else "\n    ")
        self._windows.write(json.dumps(window_fields(summary), ensure_ascii=False))
        self._n_windows += 1

    def finish(self, identification: Identification) -> None:
        """Write the document."""
        head = json.dumps(file_fields(identification), ensure_ascii=False, indent=2)
        self._out.write(head.removesuffix("\n}") + ',\n  "windows": [')
        self._windows.pour(self._out)
        self._out.write("\n  ]\n}\n" if self._n_windows else "]\n}\n")
        self._out.flush()

    def fail(self, file: str, reason: str) -> None:
        """Nothing: the reason is on stderr."""


def file_fields(identification: Identification) -> dict[str, Any]:
    """The document without its windows."""
    return {
        "file": clean(identification.file),
        "duration_s": round(identification.duration_s, TIME_DECIMALS),
        "pack": identification.pack,
        "pack_version": identification.pack_version,
        "hop_s": identification.hop_s,
        "species": species_fields(identification.species),
        "decision": decision_fields(identification.decision),
    }


def window_fields(summary: WindowSummary) -> dict[str, Any]:
    """One window of the document."""
    return {
        "start_s": round(summary.start_s, TIME_DECIMALS),
        "end_s": round(summary.end_s, TIME_DECIMALS),
        "species": species_fields(summary.species),
    }


def species_fields(species: Sequence[RankedSpecies]) -> list[dict[str, Any]]:
    """Ranked species as JSON."""
    return [
        {
            "rank": one.rank,
            "scientific_name": one.scientific_name,
            "common_name": one.common_name,
            "probability": round(float(one.probability), DECIMALS),
            "similarity": round(float(one.similarity), DECIMALS),
        }
        for one in species
    ]


def decision_fields(decision: Decision | None) -> dict[str, Any] | None:
    """A decision as JSON; null is nothing."""
    if decision is None:
        return None
    return {"rank": decision.rank, "name": decision.name, "mass": round(float(decision.mass), DECIMALS)}


def clean(name: str) -> str:
    """A file name that UTF-8 can carry."""
    return name.encode("utf-8", "replace").decode("utf-8")
