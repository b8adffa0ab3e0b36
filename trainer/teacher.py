"""The teacher of a student: a finished checkpoint that is distilled, and the student's agreement with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgeapp.pack.installed import load_pack
from gallery import PROMPT_FORMS, Taxon, read_taxa, starter_taxa
from trainer import checkpoint
from trainer.attribution import WEIGHTS, Row
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
from trainer.presets import AUGMENT_BOTH, STUDENT, Preset
from trainer.trunk.recordings import PackAudio

TOPS = (1, 5)


@dataclass(frozen=True)
class Teacher:
    """A checkpoint to distil, on a device.

    Attributes
    ----------
    weights : published weights that are part of it, as a row of the attribution
    """

    loaded: Checkpoint
    device: torch.device
    weights: Row | None = None

    @property
    def audio(self) -> SoundTower:
        """Its audio tower, which is frozen."""
        return self.loaded.model.audio

    @property
    def rate_hz(self) -> int:
        """Sampling rate of its input."""
        return self.loaded.config.preset.mel.rate_hz

    @torch.no_grad()
    def embed(self, sound: np.ndarray, rate_hz: int) -> Tensor:
        """Unit vectors [n, dim] of windows [n, samples] at any rate."""
        return self.audio(torch.from_numpy(at_rate(sound, rate_hz, self.rate_hz)).to(self.device))

    def same_spectrogram(self, small: Towers) -> bool:
        """Whether a student of this size computes the same spectrogram as the teacher."""
        towers = self.loaded.config.preset.towers
        return (towers.mel, towers.level_dbfs) == (small.mel, small.level_dbfs)

    def taxa(self, table: Path | None) -> Sequence[Taxon]:
        """The taxa it was trained on, from a species table, or from the project's."""
        return checkpoint.taxa_in_order(self.loaded.config, read_taxa(table) if table else starter_taxa())


def open_teacher(folder: Path, device: torch.device, pack: str | None = None, threads: int = 1) -> Teacher:
    """Load a finished checkpoint to distil.

    One in the space of a pack has no audio tower of its own: its vectors are those of the pack.

    Parameters
    ----------
    pack : name or folder of this pack; None for the one that the checkpoint names

    Raises
    ------
    CheckpointError
        When it is missing, damaged or unfinished, or the pack has another space.
    ConfigError
        When a pack is given for a checkpoint that has an audio tower.
    PackError
        When the pack is missing.
    """
    loaded = checkpoint.load_finished(folder, "name a finished checkpoint with --teacher")
    loaded.model.to(device)
    if not loaded.model.audio.given:
        if pack:
            raise ConfigError(f"{folder}: has an audio tower of its own", "leave out --pack")
        return Teacher(loaded, device)
    name, _, space = loaded.config.data.partition(" ")
    opened = load_pack(pack or name)
    if opened.space != space:
        remedy = "name the pack that it was trained in with --pack"
        raise CheckpointError(f"{folder}: is in the space {space}, pack {opened.name} in {opened.space}", remedy)
    loaded.model.audio = PackAudio(opened, threads)
    return Teacher(loaded, device, (WEIGHTS, "", opened.name, opened.space, "", opened.licence, ""))


def same_split(teacher: RunConfig, folder: Path, held_out: float, seed: int) -> None:
    """Refuse a split other than the teacher's: metrics of teacher and student could not be compared."""
    if held_out and teacher.held_out:
        share = ("held-out share", held_out, teacher.held_out)
        checkpoint.require_same(folder, f"give --held-out {teacher.held_out:g}", share)
        checkpoint.require_same(folder, f"give --seed {teacher.seed}", ("seed", seed, teacher.seed))


def preset_of_student(small: Preset, teacher: Teacher) -> Preset:
    """The small preset with the teacher's text and image towers, its window, and its way of reading data."""
    level_dbfs = small.towers.level_dbfs
    if STUDENT not in small.stages or level_dbfs is None:
        raise ConfigError(f"preset {small.name} has no student", "leave out --preset")
    own = teacher.loaded.config.preset
    towers = StudentTowers(own.towers, teacher.loaded.space, small.towers.mel, level_dbfs)
    own_stage = small.stages[STUDENT]
    if teacher.same_spectrogram(towers):
        own_stage = replace(own_stage, augment=AUGMENT_BOTH)
    elif own_stage.augment and own.window_s < small.window_s:
        shorter = round(own_stage.augment.time_mask_frames * own.window_s / small.window_s)
        own_stage = replace(own_stage, augment=replace(own_stage.augment, time_mask_frames=shorter))
    stages = {**small.stages, STUDENT: own_stage}
    return replace(small, towers=towers, stages=stages, window_s=own.window_s, streamed=own.streamed)


def same_teacher(begun: RunConfig, wanted: Towers, folder: Path) -> None:
    """Refuse to resume a student of another teacher.

    Raises
    ------
    CheckpointError
        When the one in the folder has another teacher.
    """
    was = begun.preset.towers
    if was != wanted:
        what = "another teacher" if was.dim == wanted.dim else f"a teacher of {was.dim} dimensions, not {wanted.dim}"
        raise CheckpointError(f"{folder}: learns from {what}", "name that one, or use --restart or another --out")


class Agreement:
    """How far a student agrees with its teacher on held-out recordings.

    Parameters
    ----------
    sounds : held-out recordings at any rate; those whose taxon is not in `taxa` are unlabelled, and count only in
        metrics that need no label
    bank : prompts of `taxa`
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
        """Text vectors of the taxa."""
        vectors = self.bank.embed_form(
            self.teacher.loaded.model.text, PROMPT_FORMS.index(TEXT_FORM), self.teacher.device
        )
        return Embedded(vectors.cpu().numpy(), np.arange(self.bank.taxa))

    @cached_property
    def of_teacher(self) -> Heard:
        """Vectors of the teacher, which do not change."""
        return self.heard(self.teacher.audio, self.teacher.rate_hz)

    def heard(self, audio: SoundTower, rate_hz: int) -> Heard:
        """Vectors of the recordings by an audio tower."""
        cutting = replace(self.preset.cutting, rate_hz=rate_hz)
        return hear(audio, self.sounds, cutting, self.teacher.device)

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
