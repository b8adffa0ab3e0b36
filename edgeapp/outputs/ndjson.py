"""Newline-delimited JSON: an event per window as it comes, then one per file; silent windows included."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TextIO

from edgeapp.outputs.json import clean, decision_fields, file_fields, window_fields

if TYPE_CHECKING:
    from edgeapp.recognition.pipeline import Identification, WindowResult, WindowSummary


class NdjsonWriter:
    """See `edgeapp.outputs.writer.Writer`. Events: ``window``, ``file``, ``error``."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._file = ""

    def begin(self, file: str, rate_hz: int) -> None:
        """Remember whose windows follow."""
        self._file = clean(file)

    def window(self, result: WindowResult, summary: WindowSummary) -> None:
        """``window``: level in dB re full scale (null for digital silence), whether it was heard, species, decision."""
        level = result.level_dbfs
        self._event(
            "window",
            file=self._file,
            level_dbfs=round(level, 1) if math.isfinite(level) else None,
            heard=result.heard,
            **window_fields(summary),
            decision=decision_fields(result.decision),
        )

    def finish(self, identification: Identification) -> None:
        """``file``: the JSON document without its windows."""
        self._event("file", **file_fields(identification))

    def fail(self, file: str, reason: str) -> None:
        """``error``: the file and the line that is on stderr."""
        self._event("error", file=clean(file), error=clean(reason))

    def _event(self, event: str, **fields: Any) -> None:
        self._out.write(json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")
        self._out.flush()
