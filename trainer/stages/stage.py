"""What all stages promise, and the batches they are fed with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

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
    size : samples of all processes
    part : where `rows` are among all
    rng : draws that all processes make alike: each draws for all samples and takes its part
    sound : [n, samples] float32, of a stage that hears
    """

    rows: Rows
    size: int
    part: slice
    rng: np.random.Generator
    sound: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))


class Stage(Protocol):
    """A stage of training.

    `pretrained` and `fresh` are the modules that learn, at `trunk_lr` and at `lr`.
    """

    name: str
    config: StageConfig

    def pretrained(self) -> list[nn.Module]: ...

    def fresh(self) -> list[nn.Module]: ...

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
        """One line for each file that could not be used since this was last asked."""
        ...

    def finish(self) -> None:
        """What is done once to the averaged weights, after the last epoch."""
        ...

    def state(self) -> dict[str, Any]:
        """What a resumed run must know beside weights and optimizer."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        ...


class Stateless:
    """A stage with nothing beside its weights: all its files were read before, and the end of training ends it."""

    def skipped(self) -> list[str]:
        return []

    def finish(self) -> None:
        """Nothing."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing."""


def in_batches(rows: Rows, size: int, world: int = 1) -> list[Rows]:
    """Rows in batches of one size, each a multiple of `world`.

    A rest smaller than half a batch is left to another epoch's order.
    """
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    if len(batches) > 1 and len(batches[-1]) < size // 2:
        batches.pop()
    trimmed = [batch[: len(batch) // world * world] for batch in batches]
    return [batch for batch in trimmed if batch]


def draws(seed: int, number: int) -> np.random.Generator:
    """Draws for the `number`-th batch of an epoch."""
    return np.random.default_rng([seed, number])


def scale_of(logarithm: Tensor, config: StageConfig) -> Tensor:
    """What cosines are multiplied with: learned, or fixed where the stage has a temperature."""
    if config.temperature:
        return torch.tensor(1.0 / config.temperature, device=logarithm.device)
    return Vita.scale(logarithm)
