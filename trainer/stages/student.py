"""The student: distil a large audio tower into a small one, on unlabelled recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.augment import augment
from trainer.data.sounds import Sounds
from trainer.data.windows import at_rate
from trainer.models.student import StudentTower
from trainer.models.vita import Vita
from trainer.presets import Preset
from trainer.ranks import Ranks, gathered
from trainer.ridge import BATCH, set_projection
from trainer.stages.stage import Batch, Metrics, OnRecordings, Rows, in_batches
from trainer.teacher import Teacher

MAX_FIRST_FIT = 1000  # recordings that the initial projection is fitted on
MAX_QUIETER_DB = 12.0  # of the second recording in a mixture


class Student(OnRecordings):
    """Cosine distance of the student's vectors to the teacher's, on windows of any recordings.

    Both get the same window, each at its own sampling rate; a share of the windows are mixtures of two. A teacher with
    the same spectrogram gets the augmented one too, and gives the target for it (Beyer et al., CVPR 2022, "consistent
    teaching"). Otherwise only the student gets the augmented sound, and the target is that of the clean sound.

    Parameters
    ----------
    sounds : recordings, at the higher of both rates; their labels are not used
    names : [taxa, dim] unit vectors, only for the share of windows in which both have the same nearest name
    """

    def __init__(
        self,
        name: str,
        model: Vita,
        teacher: Teacher,
        preset: Preset,
        sounds: Sounds,
        names: Tensor,
    ) -> None:
        super().__init__(sounds)
        self.name, self.model, self.teacher, self.preset = name, model, teacher, preset
        self.names, self.device = names, teacher.device
        self.config = preset.stages[name]
        self.samples = round(preset.window_s * sounds.rate_hz)
        self.consistent = teacher.same_spectrogram(preset.towers)
        self.start_projection()

    @property
    def tower(self) -> StudentTower:
        return cast(StudentTower, self.model.audio)

    def pretrained(self) -> list[nn.Module]:
        return self.tower.pretrained_parts()

    def fresh(self) -> list[nn.Module]:
        return self.tower.fresh_parts()

    def scales(self) -> list[nn.Parameter]:
        return []

    def plan(self, rng: np.random.Generator, ranks: Ranks) -> list[Rows]:
        """Every recording once, since there are no species to balance."""
        rows = rng.permutation(len(self.sounds)).tolist()
        return in_batches(rows, self.config.batch * ranks.world, ranks.world)

    def feed(self, plan: list[Rows], seed: int, ranks: Ranks) -> Iterator[Batch]:
        for batch in self.windows(plan, self.samples, seed, ranks):
            yield replace(batch, sound=mixed(batch.sound, self.config.mixed, batch.rng, batch.size, batch.part))

    def log_mel(self, sound: np.ndarray) -> Tensor:
        """The student's log-mel of windows [n, samples] at the rate of the recordings."""
        own = at_rate(sound, self.sounds.rate_hz, self.preset.mel.rate_hz)
        return self.tower.log_mel(torch.from_numpy(own).to(self.device))

    @torch.no_grad()
    def start_projection(self) -> None:
        """Standardise the features and fit the projection to the teacher's vectors, on one window per recording."""
        self.tower.eval()
        rows = np.linspace(0, len(self.sounds) - 1, min(len(self.sounds), MAX_FIRST_FIT)).round().astype(int).tolist()
        batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        features, vectors = [], []
        for _, sound in self.sounds.crops(batches, self.samples, seed=0):
            features.append(self.tower.branch.features(self.log_mel(sound)[:, None]))
            vectors.append(self.teacher.embed(sound, self.sounds.rate_hz))
        set_projection(self.tower.branch, torch.cat(features), torch.cat(vectors))

    def loss(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        c = self.config
        with torch.no_grad():
            log_mel = self.log_mel(batch.sound)
            if c.augment:
                no_target = torch.zeros((len(log_mel), 1), device=self.device)
                log_mel, _ = augment(log_mel, no_target, c.augment, self.preset.mel, generator)
            theirs = gathered(
                self.teacher.audio.embed(log_mel)
                if self.consistent
                else self.teacher.embed(batch.sound, self.sounds.rate_hz)
            )
        ours = gathered(self.tower.embed(log_mel))
        cosine = F.cosine_similarity(ours, theirs).mean()
        same = (ours.detach() @ self.names.t()).argmax(dim=1) == (theirs @ self.names.t()).argmax(dim=1)
        return 1.0 - cosine, {"cosine": float(cosine.detach()), "accuracy": float(same.float().mean())}


def mixed(sound: np.ndarray, share: float, rng: np.random.Generator, size: int, part: slice) -> np.ndarray:
    """Windows [n, samples], a share of which are mixed with the previous one at the same or a lower level.

    Parameters
    ----------
    size, part : size of the joint batch, and position of these windows in it
    """
    chosen = rng.random(size)[part] < share
    gain_db = rng.uniform(-MAX_QUIETER_DB, 0.0, size)[part]
    power = np.sqrt(np.square(sound).mean(axis=1)) + 1e-9
    other = np.roll(sound, 1, axis=0) * (power / np.roll(power, 1) * 10 ** (gain_db / 20) * chosen)[:, None]
    return (sound + other).astype(np.float32)
