"""Learning rate, frozen parameters and weight averaging of a stage."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainer.models.vita import Vita
from trainer.presets import StageConfig
from trainer.stages import Stage


class Average:
    """Exponential moving average of the trained parameters; none with a decay of 0."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.live = {name: p for name, p in model.named_parameters() if p.requires_grad and decay}
        self.weights = {name: p.detach().clone() for name, p in self.live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Update with the current weights; the decay is lower in the first steps, to forget the initial weights."""
        self.steps += 1
        decay = min(self.decay, self.steps / (9 + self.steps))
        for name, parameter in self.live.items():
            self.weights[name].lerp_(parameter, 1 - decay)

    def restore(self, weights: dict[str, Tensor], steps: int) -> None:
        self.steps = steps
        for name, tensor in weights.items():
            self.weights[name].copy_(tensor)

    def swap(self) -> None:
        """Swap averaged and current weights."""
        with torch.no_grad():
            for name, parameter in self.live.items():
                kept = parameter.detach().clone()
                parameter.copy_(self.weights[name])
                self.weights[name].copy_(kept)


def learning_rate(config: StageConfig, progress: float) -> float:
    """Factor of the learning rate at a progress of 0 .. 1: linear warm-up, then cosine decay to zero, or constant."""
    warm = min(1.0, progress / config.warmup) if config.warmup > 0 else 1.0
    return warm if config.schedule == "constant" else warm * 0.5 * (1.0 + math.cos(math.pi * progress))


def freeze_others(model: nn.Module, stage: Stage) -> None:
    """Freeze all parameters but those of the stage's modules; frozen blocks in these stay frozen."""
    learning = {id(p) for m in (*stage.pretrained(), *stage.fresh()) for p in m.parameters() if p.requires_grad}
    learning |= {id(p) for p in stage.scales()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in learning)


def train_mode(model: Vita, stage: Stage) -> None:
    """Set towers with trained parameters to training mode, and the others to evaluation mode."""
    model.eval()
    learning = {id(p) for m in (*stage.pretrained(), *stage.fresh()) for p in m.parameters()}
    for tower in (model.audio, model.text, model.image):
        if any(id(p) in learning for p in tower.parameters()):
            tower.train()
