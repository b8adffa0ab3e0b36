"""What the released code of BioVITA does otherwise, all at once; most settings have their tests elsewhere too."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import distributed

from tests.trainer import apart
from trainer.errors import ConfigError
from trainer.official import OF_PRESET, OF_STAGE
from trainer.presets import BIOVITA, STARTER, with_settings
from trainer.ranks import gathered
from trainer.stages.stage import scale_of


def shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("stage", ["1", "2"])
def test_one_setting_stands_for_all(stage: str) -> None:
    preset = with_settings(BIOVITA, stage, ["official=true"])
    assert preset == with_settings(BIOVITA, stage, [*OF_PRESET, *OF_STAGE[stage]]) != BIOVITA
    for setting in OF_STAGE[stage]:  # each of them changes something
        name, _, value = setting.partition("=")
        own = getattr(preset.stages[stage], name)
        assert own == getattr(with_settings(BIOVITA, stage, [setting, "epochs=20"]).stages[stage], name)
        assert own != getattr(BIOVITA.stages[stage], name), setting
    heard = (preset.pad, preset.start, preset.resampler, preset.offset)
    assert (heard, preset.names) == (("zero", "onset", "sinc", "kept"), "given")


def test_another_setting_takes_precedence_wherever_it_stands() -> None:
    for settings in (["epochs=4", "mix_epochs=1", "official=true"], ["official=true", "mix_epochs=1", "epochs=4"]):
        stage = with_settings(BIOVITA, "2", settings).stages["2"]
        assert (stage.epochs, stage.mix_epochs, stage.batch) == (4, 1, 32)
    assert with_settings(BIOVITA, "2", ["official=true", "official=false"]) == BIOVITA


@pytest.mark.parametrize(
    ("preset", "stage", "settings", "says"),
    [
        (STARTER, "1", ["official=true"], "no effect with preset starter, stage 1"),
        (BIOVITA, "distill", ["official=true"], "no effect with preset biovita, stage distill"),
        (BIOVITA, "2", ["official=perhaps"], "not true or false"),
        (BIOVITA, "2", ["official=true", "epochs=10"], "mix_epochs=10: leaves none of 10 epochs"),
        (BIOVITA, "2", ["mix_epochs=10"], "mix_epochs=10: leaves none of 10 epochs"),
        (BIOVITA, "2", ["pad=mirror"], "repeat or zero"),
        (BIOVITA, "2", ["triplets=fixed", "candidates=bank"], "add --set candidates=batch"),
        (STARTER, "1", ["native_frames=true"], "no effect with preset starter"),
    ],
)
def test_what_would_have_no_effect_is_refused(preset, stage: str, settings: list[str], says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError) as caught:
        with_settings(preset, stage, settings)
    assert says in str(caught.value)


def test_the_scale_is_limited_unless_told_otherwise() -> None:
    config, logarithm = BIOVITA.stages["1"], torch.tensor(math.log(250.0))
    assert float(scale_of(logarithm, config)) == pytest.approx(100.0)
    assert float(scale_of(logarithm, dataclasses.replace(config, clamp_scale=False))) == pytest.approx(250.0)


def test_a_fixed_temperature_can_leave_the_scale_free_while_mixing() -> None:
    config = dataclasses.replace(BIOVITA.stages["2"], temperature=0.2, mix_scale=True)
    logarithm = torch.tensor(math.log(14.0))
    assert float(scale_of(logarithm, config, mixing=True)) == pytest.approx(14.0)
    assert float(scale_of(logarithm, config)) == pytest.approx(5.0)
    fixed = dataclasses.replace(config, mix_scale=False)
    assert float(scale_of(logarithm, fixed, mixing=True)) == pytest.approx(5.0)


def gradients(rank: int, store: Path, said: Path) -> None:
    """One of two processes: its rows and its gradient, in a file."""
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    lines = []
    for local in (False, True):
        own = torch.tensor([[1.0 + rank]], requires_grad=True)
        rows = gathered(own, local)
        (rows * torch.tensor([[2.0], [3.0]]) * (1 + rank)).sum().backward()
        assert own.grad is not None
        lines.append(f"{rows.flatten().tolist()} {own.grad.item()}")
    distributed.destroy_process_group()
    said.write_text("\n".join(lines))


def test_a_gradient_is_that_of_all_processes_or_of_its_own(tmp_path: Path) -> None:
    """The loss is 2 a + 3 b in the first process and twice that in the second, with a and b the rows of each."""
    files = [tmp_path / str(rank) for rank in (0, 1)]
    each = [(rank, tmp_path / "store", file) for rank, file in enumerate(files)]
    assert apart.together(gradients, each) == [0, 0]
    said = [file.read_text().splitlines() for file in files]
    assert said[0] == ["[1.0, 2.0] 6.0", "[1.0, 2.0] 2.0"]  # 2 + 2 * 2, and 2 alone
    assert said[1] == ["[1.0, 2.0] 9.0", "[1.0, 2.0] 6.0"]  # 3 + 2 * 3, and 2 * 3 alone
