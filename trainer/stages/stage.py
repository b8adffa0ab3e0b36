"""The interface of a stage, the batches it is trained on, and defaults that stages share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from trainer.data.sounds import Sounds
from trainer.models.vita import Vita
from trainer.presets import StageConfig
from trainer.ranks import Ranks

Rows = list[int]
Metrics = dict[str, float]


@dataclass(frozen=True)
class Batch:
    """This process's part of one joint batch.

    Attributes
    ----------
    rows : samples of this process
    size : number of samples of all processes
    part : position of `rows` among all
    rng : generator with the same state in all processes, each of which draws for all samples and takes its part
    sound : [n, samples] float32, of a stage with recordings
    number : of the joint batch in its epoch
    """

    rows: Rows
    size: int
    part: slice
    rng: np.random.Generator
    sound: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    number: int = 0


class Stage(Protocol):
    """A stage of training.

    `pretrained` and `fresh` are the modules to train, at the learning rates `trunk_lr` and `lr`; `texts` are those of
    the pretrained ones that embed names. `aligned` counts the steps since the losses were no longer mixed.
    """

    name: str
    config: StageConfig
    aligned: int

    def pretrained(self) -> list[nn.Module]: ...

    def fresh(self) -> list[nn.Module]: ...

    def texts(self) -> list[nn.Module]: ...

    def scales(self) -> list[nn.Parameter]: ...

    def plan(self, rng: np.random.Generator, ranks: Ranks) -> list[Rows]:
        """Joint batches of one epoch, the same in every process."""
        ...

    def feed(self, plan: list[Rows], seed: int, ranks: Ranks) -> Iterator[Batch]:
        """This process's part of each joint batch, decoded."""
        ...

    def loss(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Loss of the joint batch, and metrics to log."""
        ...

    def skipped(self) -> list[str]:
        """One line for each file that could not be used since the last call."""
        ...

    def finish(self) -> None:
        """Called once after the last epoch, with the averaged weights in the model."""
        ...

    def state(self) -> dict[str, Any]:
        """State of a resumed run besides weights and optimizer."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        ...


class Stateless:
    """Defaults of a stage with no state besides its weights, whose files have been read before training."""

    aligned = 0

    def texts(self) -> list[nn.Module]:
        return []

    def feed(self, plan: list[Rows], seed: int, ranks: Ranks) -> Iterator[Batch]:
        for number, rows in enumerate(plan):
            part = ranks.part(len(rows))
            yield Batch(rows[part], len(rows), part, draws(seed, number))

    def skipped(self) -> list[str]:
        return []

    def finish(self) -> None:
        """Nothing."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing."""


class OnRecordings(Stateless):
    """Defaults of a stage on recordings, which may turn out to be unusable during training.

    Parameters
    ----------
    sounds : those that could not be used before training have been reported already
    """

    def __init__(self, sounds: Sounds) -> None:
        self.sounds = sounds
        self._reported = {*sounds.undecodable, *sounds.damaged}

    def windows(self, plan: list[Rows], samples: int, seed: int, ranks: Ranks) -> Iterator[Batch]:
        """Random windows [samples] of this process's part of each joint batch."""
        with closing(self.sounds.crops(plan, samples, seed, ranks.rank, ranks.world)) as crops:
            for number, (joint, (rows, sound)) in enumerate(zip(plan, crops)):
                yield Batch(rows, len(joint), ranks.part(len(joint)), draws(seed, number), sound, number)

    def skipped(self) -> list[str]:
        lines = [line for line in (*self.sounds.undecodable, *self.sounds.damaged) if line not in self._reported]
        self._reported.update(lines)
        return lines


def in_batches(rows: Rows, size: int, world: int = 1) -> list[Rows]:
    """Rows in batches of one size, each a multiple of `world`.

    A remainder smaller than half a batch is dropped in this epoch.
    """
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    if len(batches) > 1 and len(batches[-1]) < size // 2:
        batches.pop()
    trimmed = [batch[: len(batch) // world * world] for batch in batches]
    return [batch for batch in trimmed if batch]


def draws(seed: int, number: int) -> np.random.Generator:
    """Generator of batch `number` of an epoch."""
    return np.random.default_rng([seed, number])


def scale_of(logarithm: Tensor, config: StageConfig, mixing: bool = False) -> Tensor:
    """The logit scale: learned, or fixed if the stage has a temperature."""
    if config.temperature and not (mixing and config.mix_scale):
        return torch.tensor(1.0 / config.temperature, device=logarithm.device)
    return Vita.scale(logarithm) if config.clamp_scale else logarithm.exp()
