"""JSON for programs: one indented document per file, with its detections and its windows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from edgeapp.detections.document import (
    DECIMALS,
    SCHEMA,
    TIME_DECIMALS,
    Source,
    candidate_fields,
    detection_document,
    gallery_fields,
    level_field,
    pack_fields,
    recorded_fields,
    taxon_fields,
)
from edgeapp.detections.pictures import picture_fields, pictures_of
from edgeapp.file_names import text_of
from edgeapp.outputs.writer import Recording, Run, Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeapp.recognition.results import Identification, Stretch, WindowResult
    from gallery.recognition import Candidate


class JsonWriter:
    """See `edgeapp.outputs.writer.Writer`. A failed file has no document."""

    def __init__(self, out: TextIO, run: Run) -> None:
        self._out, self._run = out, run
        # The document puts them after the summary, which is known only at the end.
        self._detections, self._windows = _Items(), _Items()
        self._recording = Recording("", 0)

    def begin(self, recording: Recording) -> None:
        """Forget the rows of a file that failed half way."""
        self._recording = recording
        self._detections.clear()
        self._windows.clear()

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """Keep one line."""
        self._windows.add(window_fields(result, species))

    def detection(self, stretch: Stretch) -> None:
        """Keep one line."""
        self._detections.add(stretch_document(stretch, self._recording, self._run))

    def finish(self, identification: Identification) -> None:
        """Write the document."""
        head = file_fields(identification, self._recording, self._run)
        self._out.write(json.dumps(head, ensure_ascii=False, indent=2).removesuffix("\n}"))
        for name, items in (("detections", self._detections), ("windows", self._windows)):
            self._out.write(f',\n  "{name}": [')
            items.pour(self._out)
        self._out.write("\n}\n")
        self._out.flush()

    def fail(self, file: str, reason: str) -> None:
        """Nothing: the reason is on stderr."""


class _Items:
    """Members of a list, each on a line of its own."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._any = False

    def add(self, item: dict[str, Any]) -> None:
        self._spool.write(",\n    " if self._any else "\n    ")
        self._spool.write(json.dumps(item, ensure_ascii=False, allow_nan=False))
        self._any = True

    def pour(self, out: TextIO) -> None:
        self._spool.pour(out)
        out.write("\n  ]" if self._any else "]")
        self._any = False

    def clear(self) -> None:
        self._spool.clear()
        self._any = False


def file_fields(identification: Identification, recording: Recording, run: Run) -> dict[str, Any]:
    """The document without its detections and windows."""
    return {
        "schema": SCHEMA,
        "file": text_of(identification.file),
        "duration_s": round(identification.duration_s, TIME_DECIMALS),
        "channel": recording.channel,
        **recorded_fields(recording.recorded, recording.origin, recording.doubt),
        "pack": pack_fields(run.origin),
        "gallery": gallery_fields(run.origin),
        "window_s": run.window_s,
        "hop_s": run.hop_s,
        "notes": list(identification.notes),
        "species": candidate_fields(identification.species),
    }


def window_fields(result: WindowResult, species: Sequence[Candidate]) -> dict[str, Any]:
    """One window of the document."""
    return {
        "start_s": round(result.start_s, TIME_DECIMALS),
        "end_s": round(result.end_s, TIME_DECIMALS),
        "level_dbfs": level_field(result.level_dbfs),
        "heard": result.heard,
        **({} if result.speech is None else {"speech": round(result.speech, DECIMALS)}),
        "detections": [taxon_fields(detection) for detection in result.detections],
        "species": candidate_fields(species),
    }


def stretch_document(stretch: Stretch, recording: Recording, run: Run) -> dict[str, Any]:
    """The detection document of a stretch of a file."""
    shown = () if run.gallery is None else pictures_of(run.gallery, stretch.detection, stretch.vector)
    return detection_document(
        stretch.detection,
        stretch.start_s,
        stretch.end_s,
        Source(
            file=text_of(recording.file),
            latitude=run.latitude,
            longitude=run.longitude,
            channel=recording.channel,
            recorded=recording.recorded,
            origin=recording.origin,
            doubt=recording.doubt,
        ),
        run.origin,
        moment=recording.at(stretch.start_s),
        pictures=picture_fields(shown),
    )
