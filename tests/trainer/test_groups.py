"""Learning rates, weight decay and unfreezing by group of parameters, each as its setting says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import torch
from torch import nn

from trainer.groups import Groups, grouped
from trainer.presets import BIOVITA, StageConfig, with_settings
from trainer.stages import Stage


class Part(nn.Module):
    """A matrix, a norm, and what the text tower and HTS-AT call their parts."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.Linear(2, 2, bias=False)
        self.ln_final = nn.LayerNorm(2)
        self.proj = nn.Linear(2, 2, bias=False)


@dataclass
class Small:
    """A stage with one small module of each kind."""

    config: StageConfig
    audio: nn.Module = field(default_factory=Part)
    text: nn.Module = field(default_factory=Part)
    adapter: nn.Module = field(default_factory=lambda: nn.Linear(2, 2, bias=False))
    scale: nn.Parameter = field(default_factory=lambda: nn.Parameter(torch.tensor(1.0)))

    def pretrained(self) -> list[nn.Module]:
        return [self.audio, self.text]

    def texts(self) -> list[nn.Module]:
        return [self.text]

    def fresh(self) -> list[nn.Module]:
        return [self.adapter]

    def scales(self) -> list[nn.Parameter]:
        return [self.scale]


def small(*settings: str) -> tuple[Any, dict[str, Any]]:
    """A stage with settings, and the group of each of its parameters by name."""
    stage = Small(with_settings(BIOVITA, "2", ["epochs=20", *settings]).stages["2"])
    names = {
        id(parameter): f"{kind}.{name}"
        for kind in ("audio", "text", "adapter")
        for name, parameter in getattr(stage, kind).named_parameters()
    } | {id(stage.scale): "scale"}
    return stage, {names[id(parameter)]: group for group, parameter in grouped(cast(Stage, stage))}


def test_by_default_two_rates_and_no_decay_of_norms_and_scales() -> None:
    stage, groups = small("lr=3e-4")
    assert groups["audio.proj.weight"] == groups["text.transformer.weight"]
    assert (groups["audio.proj.weight"].lr, groups["adapter.weight"].lr) == (5e-5, 3e-4)
    decays = {name: group.weight_decay for name, group in groups.items()}
    assert {name for name, decay in decays.items() if decay == 0.05} == {
        name for name in decays if name.endswith(("proj.weight", "transformer.weight", "adapter.weight"))
    }
    assert len(Groups(cast(Stage, stage)).groups) == 4
    assert all(group.learns(mixing, 0) for group in groups.values() for mixing in (True, False))


@pytest.mark.parametrize(
    ("decay_norms", "mixing", "aligned"), [("never", 0.0, 0.0), ("always", 0.05, 0.05), ("mixing", 0.05, 0.0)]
)
def test_norms_and_the_scale_can_have_weight_decay(decay_norms: str, mixing: float, aligned: float) -> None:
    _, groups = small(f"decay_norms={decay_norms}")
    for name in ("audio.ln_final.weight", "text.ln_final.bias", "scale"):
        assert (groups[name].mix_weight_decay, groups[name].weight_decay) == (mixing, aligned)


def test_text_and_audio_tower_have_rates_and_decays_of_their_own() -> None:
    _, groups = small("text_lr=5e-6", "text_weight_decay=0.01", "trunk_weight_decay=0.02", "mix_lr=1e-4")
    text, audio = groups["text.proj.weight"], groups["audio.proj.weight"]
    assert (text.lr, text.weight_decay, audio.lr, audio.weight_decay) == (5e-6, 0.01, 5e-5, 0.02)
    assert all((group.mix_lr, group.mix_weight_decay) == (1e-4, 0.05) for group in (text, audio))
    assert groups["adapter.weight"].weight_decay == 0.05


def test_the_audio_tower_is_unfrozen_some_steps_after_mixing() -> None:
    _, groups = small("unfreeze_step=300", "unfreeze=proj,layers.11")
    upper, rest = groups["audio.proj.weight"], groups["audio.transformer.weight"]
    assert [upper.learns(False, step) for step in (0, 299, 300, 900)] == [False, False, True, True]
    assert not any(rest.learns(False, step) for step in (0, 300, 900))
    assert upper.learns(True, 0) and rest.learns(True, 0)  # while mixing all of it is trained
    assert groups["text.transformer.weight"].learns(False, 0)


def test_while_mixing_only_the_ends_of_the_text_tower_are_trained() -> None:
    _, groups = small("mix_text=true")
    assert groups["text.ln_final.weight"].learns(True, 0) and groups["text.proj.weight"].learns(True, 0)
    assert not groups["text.transformer.weight"].learns(True, 0)
    assert groups["text.transformer.weight"].learns(False, 0)


def step(stage: Any, groups: Groups, mixing: bool, aligned: int) -> None:
    groups.optimizer.zero_grad(set_to_none=True)
    groups.set(1.0, mixing, aligned)
    sum(parameter.square().sum() + parameter.sum() for parameter in groups.parameters).backward()  # type: ignore[union-attr]
    groups.drop_frozen(mixing, aligned)
    groups.optimizer.step()


def test_what_is_frozen_does_not_change_and_the_rest_does() -> None:
    stage, _ = small("unfreeze_step=2", "unfreeze=proj", "mix_epochs=1")
    groups = Groups(cast(Stage, stage))
    for aligned in range(3):
        before = stage.audio.proj.weight.detach().clone(), stage.audio.transformer.weight.detach().clone()
        step(stage, groups, False, aligned)
        assert torch.equal(before[0], stage.audio.proj.weight) == (aligned < 2)
        assert torch.equal(before[1], stage.audio.transformer.weight)


def test_betas_and_eps_are_those_of_adamw_after_mixing() -> None:
    stage, _ = small("beta1=0.8", "beta2=0.98", "eps=1e-6", "mix_epochs=1")
    groups = Groups(cast(Stage, stage))
    for mixing, betas in ((True, (0.8, 0.999)), (False, (0.8, 0.98))):
        groups.set(1.0, mixing, 0)
        assert all((group["betas"], group["eps"]) == (betas, 1e-6) for group in groups.optimizer.param_groups)


@pytest.mark.parametrize("reset", [True, False])
def test_the_optimizer_can_begin_anew_when_mixing_ends(reset: bool) -> None:
    stage, _ = small(f"reset_optimizer={str(reset).lower()}", "mix_epochs=1")
    groups = Groups(cast(Stage, stage))
    for aligned in (0, 0, 0):
        step(stage, groups, True, aligned)
    step(stage, groups, False, 0)
    step(stage, groups, False, 1)
    assert float(groups.optimizer.state[stage.adapter.weight]["step"]) == (2 if reset else 5)
