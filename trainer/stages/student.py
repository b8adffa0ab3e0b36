"""The student: a small audio tower learns to give the vectors that a large one gives, from sound without labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

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
from trainer.stages.stage import Batch, Metrics, Rows, draws, in_batches
from trainer.teacher import Teacher

FIRST_HEARD = 1000  # recordings, of which the projection is first fitted to the teacher's vectors
QUIETER_DB = 12.0  # at most, of the second sound in a mixture


class Student:
    """The distance of the student's unit vectors to the teacher's, on windows of any recordings.

    Both hear the same window, each at its own rate; in a share of the windows it is a mixture of two, so that few
    recordings make many sounds. A teacher of the same spectrogram sees the student's own, changed as it is: what is to
    be learned is the teacher's answer to whatever is heard (Beyer et al., CVPR 2022, "consistent teaching"). Elsewhere
    noise, another microphone and gaps are the student's alone: its vector is to be that of the clean sound.

    Parameters
    ----------
    sounds : recordings, at the higher of both rates; of which species they are is not asked
    names : [taxa, dim] unit vectors, only to say how often the nearest is the teacher's
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
        self.name, self.model, self.teacher, self.preset = name, model, teacher, preset
        self.sounds, self.names, self.device = sounds, names, teacher.device
        self.config = preset.stages[name]
        self.samples = round(preset.window_s * sounds.rate_hz)
        self.together = teacher.sees_as(preset.towers)
        self._told = {*sounds.undecodable, *sounds.damaged}  # before the first epoch, by who decoded them
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
        """Every recording once: there are no species to be balanced."""
        rows = rng.permutation(len(self.sounds)).tolist()
        return in_batches(rows, self.config.batch * ranks.world, ranks.world)

    def feed(self, plan: list[Rows], seed: int, ranks: Ranks) -> Iterator[Batch]:
        with closing(self.sounds.crops(plan, self.samples, seed, ranks.rank, ranks.world)) as crops:
            for number, (joint, (rows, sound)) in enumerate(zip(plan, crops)):
                rng = draws(seed, number)
                part = ranks.part(len(joint))
                yield Batch(rows, len(joint), part, rng, mixed(sound, self.config.mixed, rng, len(joint), part))

    def log_mel(self, sound: np.ndarray) -> Tensor:
        """What the student sees of windows [n, samples] at the rate of the recordings."""
        own = at_rate(sound, self.sounds.rate_hz, self.preset.mel.rate_hz)
        return self.tower.log_mel(torch.from_numpy(own).to(self.device))

    @torch.no_grad()
    def start_projection(self) -> None:
        """Standardise the features and fit the projection to the teacher's vectors, on a plain window a recording."""
        self.tower.eval()
        rows = np.linspace(0, len(self.sounds) - 1, min(len(self.sounds), FIRST_HEARD)).round().astype(int).tolist()
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
                if self.together
                else self.teacher.embed(batch.sound, self.sounds.rate_hz)
            )
        ours = gathered(self.tower.embed(log_mel))
        cosine = F.cosine_similarity(ours, theirs).mean()
        same = (ours.detach() @ self.names.t()).argmax(dim=1) == (theirs @ self.names.t()).argmax(dim=1)
        return 1.0 - cosine, {"cosine": float(cosine.detach()), "accuracy": float(same.float().mean())}

    def skipped(self) -> list[str]:
        lines = [line for line in (*self.sounds.undecodable, *self.sounds.damaged) if line not in self._told]
        self._told.update(lines)
        return lines

    def finish(self) -> None:
        """Nothing."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing."""


def mixed(sound: np.ndarray, share: float, rng: np.random.Generator, size: int, part: slice) -> np.ndarray:
    """Windows [n, samples] of which about `share` also hold the one before them, as loud or less.

    Parameters
    ----------
    size, part : of the joint batch, and which of it these windows are
    """
    chosen = rng.random(size)[part] < share
    gain_db = rng.uniform(-QUIETER_DB, 0.0, size)[part]
    power = np.sqrt(np.square(sound).mean(axis=1)) + 1e-9
    other = np.roll(sound, 1, axis=0) * (power / np.roll(power, 1) * 10 ** (gain_db / 20) * chosen)[:, None]
    return (sound + other).astype(np.float32)
