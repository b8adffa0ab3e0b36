"""How the audio tower of each family becomes graphs: the table that `trainer.families` names entries of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeapp.pack.split import SplitSpec
from export.adapted import export_adapted
from export.errors import ExportError
from export.graphs import export_waveform, single_front
from export.htsat import written_out
from export.split import export_split
from trainer.families.registry import family_of
from trainer.models.vita import SoundTower, Vita
from trainer.presets import Preset


def unchanged(audio: SoundTower, samples: int) -> SoundTower:
    """The tower as it is trained."""
    return audio


def none_of_its_own(audio: SoundTower, samples: int) -> SoundTower:
    """Refuse a preset whose audio encoder is in a pack already.

    Raises
    ------
    ExportError
        Always.
    """
    raise ExportError("the audio encoder of this checkpoint is in a pack", "export its names with `export towers`")


@dataclass(frozen=True)
class Lowering:
    """From an audio tower to graphs.

    Attributes
    ----------
    written : the tower, for windows of so many samples, as it is best exported
    whole : writes the whole graph itself, of a tower whose trunk is no module of torch; None where torch exports it
    split : writes front and trunk beside the whole graph, where overlapping windows can share frames; None where no
        tower of this kind can
    """

    written: Callable[[Any, int], SoundTower] = unchanged
    whole: Callable[[Any, Preset, Path], None] | None = None
    split: Callable[[Any, Preset, Path], SplitSpec | None] | None = None


LOWERINGS = {
    "mobilenet": Lowering(split=export_split),
    "htsat": Lowering(written_out),
    "given": Lowering(none_of_its_own),
    "adapted": Lowering(whole=export_adapted),
}


def lowering_of(preset: Preset) -> Lowering:
    """That of the family of a preset's towers."""
    return LOWERINGS[family_of(preset.towers).export]


def export_audio(model: Vita, preset: Preset, path: Path) -> None:
    """Waveform [n, samples] float32 at the front end's rate to unit vectors; the front end is in the graph."""
    whole = lowering_of(preset).whole
    if whole:
        whole(model.audio, preset, path)
        return
    audio = lowering_of(preset).written(single_front(model.audio).float(), preset.window_samples)
    export_waveform(audio, preset.window_samples, path)


def split_audio(model: Vita, preset: Preset, whole: Path) -> SplitSpec | None:
    """Write the two graphs that share frames beside the whole one; None where the tower or its windows forbid it."""
    split = lowering_of(preset).split
    return split(model.audio, preset, whole) if split else None
