"""Newline-delimited JSON: an event for each window and detection as it comes, then one for each file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from edgeapp.detections.document import cleaned
from edgeapp.file_names import text_of
from edgeapp.outputs.json import file_fields, stretch_document, window_fields
from edgeapp.outputs.writer import Recording, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeapp.recognition.results import Identification, Stretch, WindowResult
    from gallery.recognition import Candidate


class NdjsonWriter:
    """See `edgeapp.outputs.writer.Writer`. Events: ``window``, ``detection``, ``file``, ``error``."""

    def __init__(self, out: TextIO, run: Run) -> None:
        self._out, self._run = out, run
        self._recording = Recording("", 0)

    def begin(self, recording: Recording) -> None:
        """Remember whose windows follow."""
        self._recording = recording

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """``window``: a window of the JSON document, silent ones included, and its file."""
        of = {"file": text_of(self._recording.file), "channel": self._recording.channel}
        self._event("window", **of, **window_fields(result, species))

    def detection(self, stretch: Stretch) -> None:
        """``detection``: the detection document."""
        self._event("detection", **stretch_document(stretch, self._recording, self._run))

    def finish(self, identification: Identification) -> None:
        """``file``: the JSON document without its detections and windows."""
        self._event("file", **file_fields(identification, self._recording, self._run))

    def fail(self, file: str, reason: str) -> None:
        """``error``: the file and the line that is on stderr."""
        self._event("error", file=text_of(file), error=cleaned(reason))

    def _event(self, event: str, **fields: Any) -> None:
        self._out.write(json.dumps({"event": event, **fields}, ensure_ascii=False, allow_nan=False) + "\n")
        self._out.flush()
