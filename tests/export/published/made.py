"""Packs of small weights in the published layout, and what the command said that made them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from export.cli import main
from export.errors import ExportError
from export.published import pack as published_pack
from export.published.steps import Steps
from tests.trainer import published
from tests.trainer.tiny import Ended, Tiny, call

SAID = ("stopped", "ended", "calibrated")


@dataclass(frozen=True)
class Made:
    """Three calls of the command: one that was stopped, the same again, and one that also calibrates."""

    folder: Path
    stopped: Ended
    ended: Ended
    calibrated: Ended

    @property
    def pack(self) -> Path:
        return self.folder / "packs" / "biovita"

    def graph(self, tower: str) -> Path:
        """The graph of a tower in float32, as it comes from torch."""
        return self.folder / "steps" / tower / f"{tower}.onnx"


def make(folder: Path, tiny: Tiny) -> None:
    """Call the command three times."""
    model = published.write_biovita(folder / "model")
    words = ["published", model, "--taxa", tiny.taxa, "--work", folder / "steps"]
    uncalibrated = [*words, "--out", folder / "packs" / "biovita", "--version", "1"]
    with mock.patch.object(Steps, "remove", lambda steps: None):  # the steps are those of the next call too
        with mock.patch.object(published_pack, "write_pack", side_effect=ExportError("stopped", "go on")):
            stopped = call(main, *uncalibrated)
        ended = call(main, *uncalibrated)
        calibrated = call(main, *words, "--out", folder / "packs" / "fitted", "--calibrate", tiny.manifest)
    said = {name: dataclasses.asdict(one) for name, one in zip(SAID, (stopped, ended, calibrated))}
    (folder / "said.json").write_text(json.dumps(said), encoding="utf-8")


def at(folder: Path) -> Made:
    """What was made in a folder."""
    said = json.loads((folder / "said.json").read_text(encoding="utf-8"))
    return Made(folder, *(Ended(**said[name]) for name in SAID))
