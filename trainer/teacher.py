"""The teacher of a student: a finished checkpoint whose audio tower is heard, and what the student keeps of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gallery import PROMPT_FORMS, Taxon, read_taxa, starter_taxa
from trainer import checkpoint
from trainer.bank import TextBank
from trainer.checkpoint import Checkpoint, RunConfig
from trainer.data.sounds import Sounds
from trainer.data.windows import at_rate
from trainer.errors import CheckpointError, ConfigError
from trainer.evaluate import TEXT_FORM, Embedded, identification, recording_vectors
from trainer.heard import Heard, hear
from trainer.models.sizes import Towers
from trainer.models.student import StudentTowers
from trainer.models.vita import SoundTower, Vita
from trainer.presets import STUDENT, TOGETHER, Preset

TOPS = (1, 5)


@dataclass(frozen=True)
class Teacher:
    """A checkpoint that is learned from.

    Attributes
    ----------
    device : where its audio tower hears
    """

    loaded: Checkpoint
    device: torch.device

    @property
    def audio(self) -> SoundTower:
        """Its audio tower, which hears and does not learn."""
        return self.loaded.model.audio

    @property
    def rate_hz(self) -> int:
        """Of the sound it hears."""
        return self.loaded.config.preset.mel.rate_hz

    @torch.no_grad()
    def embed(self, sound: np.ndarray, rate_hz: int) -> Tensor:
        """Unit vectors [n, dim] of windows [n, samples] at any rate."""
        return self.audio(torch.from_numpy(at_rate(sound, rate_hz, self.rate_hz)).to(self.device))

    def sees_as(self, small: Towers) -> bool:
        """Whether a student of this size makes the same spectrogram of a window as the teacher does."""
        towers = self.loaded.config.preset.towers
        return (towers.mel, towers.level_dbfs) == (small.mel, small.level_dbfs)

    def taxa(self, table: Path | None) -> Sequence[Taxon]:
        """What it was trained to name, from a species table, or that of the project."""
        return checkpoint.taxa_in_order(self.loaded.config, read_taxa(table) if table else starter_taxa())


def open_teacher(folder: Path, device: torch.device) -> Teacher:
    """Load a finished checkpoint to learn from.

    Raises
    ------
    CheckpointError
        When it is missing, damaged or unfinished.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder", "name the teacher's checkpoint with --teacher")
    if (folder / checkpoint.RESUME).exists():
        raise CheckpointError(f"{folder}: is unfinished", "train it to its end, or name another --teacher")
    loaded = checkpoint.load(folder)
    loaded.model.to(device)
    return Teacher(loaded, device)


def same_split(teacher: RunConfig, folder: Path, held_out: float, seed: int) -> None:
    """What the teacher held out is held out from the student, else their metrics could not be compared."""
    if not held_out or not teacher.held_out:
        return
    for name, own, theirs in (("held-out share", held_out, teacher.held_out), ("seed", seed, teacher.seed)):
        if own != theirs:
            option = "--held-out" if name.startswith("held") else "--seed"
            raise CheckpointError(f"{folder}: was trained with another {name}", f"say {option} {theirs:g}")


def preset_of_student(small: Preset, teacher: Teacher) -> Preset:
    """The small preset with the teacher's towers of text and image, its window, and its way of reading data."""
    level_dbfs = small.towers.level_dbfs
    if STUDENT not in small.stages or level_dbfs is None:
        raise ConfigError(f"a student is not of the size {small.name}", "leave --preset out")
    own = teacher.loaded.config.preset
    towers = StudentTowers(own.towers, teacher.loaded.space, small.towers.mel, level_dbfs)
    stages = small.stages
    if teacher.sees_as(towers):
        stages = {**stages, STUDENT: replace(stages[STUDENT], augment=TOGETHER)}
    return replace(small, towers=towers, stages=stages, window_s=own.window_s, streamed=own.streamed)


def same_teacher(begun: RunConfig, wanted: Towers, folder: Path) -> None:
    """A student has one teacher.

    Raises
    ------
    CheckpointError
        When the one in the folder has another.
    """
    was = begun.preset.towers
    if was != wanted:
        what = "another teacher" if was.dim == wanted.dim else f"a teacher of {was.dim} dimensions, not {wanted.dim}"
        raise CheckpointError(f"{folder}: learns from {what}", "name that one, or use --restart or another --out")


class Kept:
    """What a student keeps of its teacher, on recordings that it was not trained on.

    Parameters
    ----------
    sounds : held-out recordings at any rate; one whose taxon is not in `taxa` has no name, and counts where none is
        needed
    bank : the names of `taxa`
    """

    def __init__(
        self,
        teacher: Teacher,
        sounds: Sounds,
        bank: TextBank,
        taxa: Sequence[Taxon],
        preset: Preset,
    ) -> None:
        self.teacher, self.sounds, self.bank, self.preset = teacher, sounds, bank, preset
        self.taxa = taxa

    @cached_property
    def texts(self) -> Embedded:
        """Vectors of the names."""
        vectors = self.bank.embed_form(
            self.teacher.loaded.model.text, PROMPT_FORMS.index(TEXT_FORM), self.teacher.device
        )
        return Embedded(vectors.cpu().numpy(), np.arange(self.bank.taxa))

    @cached_property
    def of_teacher(self) -> Heard:
        """What the teacher hears, which does not change."""
        return self.heard(self.teacher.audio, self.teacher.rate_hz)

    def heard(self, audio: SoundTower, rate_hz: int) -> Heard:
        """What an audio tower hears."""
        return hear(
            audio, self.sounds, rate_hz, self.preset.window_s, self.teacher.device, self.preset.hop_s, self.preset.pad
        )

    def metrics(self, model: Vita) -> dict[str, float]:
        """Mean cosine to the teacher, how often both name the same species, and species Top-1 and Top-5 of both."""
        heard = self.heard(model.audio, self.preset.mel.rate_hz), self.of_teacher
        ours, theirs = (recording_vectors(one).vectors for one in heard)
        names = self.texts.vectors.T
        metrics = {
            "cosine": round(float((ours * theirs).sum(axis=1).mean()), 4),
            "agreement": round(float(((ours @ names).argmax(axis=1) == (theirs @ names).argmax(axis=1)).mean()), 4),
            "recordings": len(ours),
        }
        for who, one in zip(("audio_text", "teacher_audio_text"), heard, strict=True):
            named = one.of(one.taxon < len(self.taxa))
            if len(named):
                top = identification(named, self.texts.vectors, self.taxa)
                metrics |= {f"{who}_top{k}": round(top[k], 4) for k in TOPS}
        return metrics
