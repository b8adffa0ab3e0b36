"""Groups of parameters with their learning rates, and when each is trained.

By default there are two rates, of pretrained and of new modules, and norms, biases and scales have no weight decay.
The released code of BioVITA has more groups in stage 2, and trains some of them only while it mixes losses, or only
some steps afterwards; see docs/official.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trainer.presets import StageConfig
from trainer.stages import Stage

BETA2_MIXING = 0.999  # AdamW's own
NEVER = -1
FROZEN_MIXING = ("transformer.", "token_embedding")  # parts of the text tower that the released code freezes


@dataclass(frozen=True)
class Group:
    """How some parameters are trained.

    Attributes
    ----------
    lr, weight_decay : after mixing
    mix_lr, mix_weight_decay : while mixing
    mixes : whether they are trained while mixing
    after : steps after mixing from which on they are trained; NEVER for not at all
    """

    lr: float
    weight_decay: float
    mix_lr: float
    mix_weight_decay: float
    mixes: bool = True
    after: int = 0

    def learns(self, mixing: bool, aligned: int) -> bool:
        """Whether they are trained, `aligned` steps after mixing."""
        return self.mixes if mixing else 0 <= self.after <= aligned


class Groups:
    """The parameters of a stage by group, with AdamW over them."""

    def __init__(self, stage: Stage) -> None:
        self.config = stage.config
        found: dict[Group, list[nn.Parameter]] = {}
        for group, parameter in grouped(stage):
            found.setdefault(group, []).append(parameter)
        self.groups = tuple(found)
        c = self.config
        made: list[dict[str, Any]] = [
            {"params": parameters, "lr": group.lr, "weight_decay": group.weight_decay}
            for group, parameters in found.items()
        ]
        self.optimizer = torch.optim.AdamW(
            made, betas=(c.beta1, c.beta2), eps=c.eps, fused=True
        )  # fused is eight times as fast on a CPU

    def set(self, factor: float, mixing: bool, aligned: int) -> None:
        """Set the rates of a step; `factor` is that of the schedule."""
        c = self.config
        if c.reset_optimizer and c.mix_epochs and not mixing and aligned == 0:
            self.optimizer.state.clear()
        for group, own in zip(self.optimizer.param_groups, self.groups, strict=True):
            group["lr"] = (own.mix_lr if mixing else own.lr) * factor
            group["weight_decay"] = own.mix_weight_decay if mixing else own.weight_decay
            group["betas"] = (c.beta1, BETA2_MIXING if mixing else c.beta2)

    def drop_frozen(self, mixing: bool, aligned: int) -> None:
        """Remove the gradients of what is not trained in a step, so that the optimizer passes over it."""
        for group, own in zip(self.optimizer.param_groups, self.groups, strict=True):
            if not own.learns(mixing, aligned):
                for parameter in group["params"]:
                    parameter.grad = None

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All of them."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


def grouped(stage: Stage) -> Iterator[tuple[Group, nn.Parameter]]:
    """Each trained parameter of a stage with its group."""
    c = stage.config
    text = {id(parameter) for module in stage.texts() for parameter in module.parameters()}
    wanted = [part for part in c.unfreeze.split(",") if part]
    for name, parameter in named(stage.pretrained()):
        if id(parameter) in text:
            mixes = not c.mix_text or not any(part in name for part in FROZEN_MIXING)
            lr, decay = c.text_lr or c.trunk_lr, c.text_weight_decay or c.weight_decay
            yield of(c, parameter, lr, decay, mixes=mixes), parameter
        else:
            lr, decay = c.trunk_lr, c.trunk_weight_decay or c.weight_decay
            opened = not wanted or any(part in name for part in wanted)
            yield of(c, parameter, lr, decay, after=c.unfreeze_step if opened else NEVER), parameter
    for _, parameter in named(stage.fresh()):
        yield of(c, parameter, c.lr, c.weight_decay), parameter
    for parameter in stage.scales():
        yield of(c, parameter, c.lr, c.weight_decay), parameter


def named(modules: Iterable[nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    """Names and parameters of modules; those that are frozen for good are left out."""
    for module in modules:
        yield from ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)


def of(c: StageConfig, parameter: nn.Parameter, lr: float, decay: float, mixes: bool = True, after: int = 0) -> Group:
    """The group of a parameter; norms, biases and scales have one dimension at most."""
    matrix = parameter.ndim > 1
    return Group(
        lr=lr,
        weight_decay=decay if matrix or c.decay_norms == "always" else 0.0,
        mix_lr=c.mix_lr or lr,
        mix_weight_decay=(c.weight_decay if c.mix_lr else decay) if matrix or c.decay_norms != "never" else 0.0,
        mixes=mixes,
        after=after,
    )
