"""Export of the audio tower of each family; `trainer.families` refers to the entries of `LOWERINGS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeapp.pack.split import SplitSpec
from export.adapted import export_adapted
from export.errors import ExportError
from export.graphs import export_waveform, single_front
from export.htsat import rewritten
from export.split import export_split
from trainer.families.registry import family_of
from trainer.models.vita import SoundTower, Vita
from trainer.presets import Preset


def unchanged(audio: SoundTower, samples: int) -> SoundTower:
    """The tower as trained."""
    return audio


def refused(audio: SoundTower, samples: int) -> SoundTower:
    """Refuse a preset whose audio encoder is already in a pack.

    Raises
    ------
    ExportError
        Always.
    """
    raise ExportError(
        "the audio encoder of this checkpoint is in a pack", "export its towers with `python -m export towers`"
    )


@dataclass(frozen=True)
class Lowering:
    """Export of an audio tower as graphs.

    Attributes
    ----------
    rewrite : the tower rewritten for export, given the samples of a window
    whole : writes the whole graph of a tower whose trunk is not a torch module; None if torch exports it
    split : writes front and trunk beside the whole graph, if overlapping windows can share frames; None if they cannot
    """

    rewrite: Callable[[Any, int], SoundTower] = unchanged
    whole: Callable[[Any, Preset, Path], None] | None = None
    split: Callable[[Any, Preset, Path], SplitSpec | None] | None = None


LOWERINGS = {
    "mobilenet": Lowering(split=export_split),
    "htsat": Lowering(rewritten),
    "given": Lowering(refused),
    "adapted": Lowering(whole=export_adapted),
}


def lowering_of(preset: Preset) -> Lowering:
    """Lowering of the family of a preset's towers."""
    return LOWERINGS[family_of(preset.towers).export]


def export_audio(model: Vita, preset: Preset, path: Path) -> None:
    """Write the graph from waveform [n, samples] float32 to unit vectors, including the front end."""
    whole = lowering_of(preset).whole
    if whole:
        whole(model.audio, preset, path)
        return
    audio = lowering_of(preset).rewrite(single_front(model.audio).float(), preset.window_samples)
    export_waveform(audio, preset.window_samples, path)


def split_audio(model: Vita, preset: Preset, whole: Path) -> SplitSpec | None:
    """Write the two graphs that share frames beside the whole one; None if the tower or its windows do not allow it."""
    split = lowering_of(preset).split
    return split(model.audio, preset, whole) if split else None
