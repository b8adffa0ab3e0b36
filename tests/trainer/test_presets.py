"""Presets: what the papers say stands in them, and a setting that is changed is changed."""

from __future__ import annotations

import dataclasses
import json

import pytest

from trainer.errors import ConfigError
from trainer.presets import BIOVITA, PRESETS, STARTER, StageConfig, find_preset, preset_from_dict, with_settings


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_survives_being_written(preset) -> None:
    assert preset_from_dict(json.loads(json.dumps(preset.to_dict()))) == preset


def test_biovita_is_the_papers_recipe() -> None:
    one, two = BIOVITA.stages["1"], BIOVITA.stages["2"]
    assert (one.epochs, one.batch, one.lr, one.weight_decay) == (30, 64, 1e-4, 0.05)
    assert (two.epochs, two.lr, two.after) == (10, one.lr / 2, "1")
    assert (two.lambda_top, two.lambda_epochs, two.most_per_taxon) == (0.1, 2.0, 20)
    assert one.candidates == two.candidates == "batch" and one.positives == "taxon"
    for stage in (one, two):  # what the released code does beyond the paper is off
        assert (stage.mix_epochs, stage.gate, stage.temperature) == (0, False, 0.0)
    assert (BIOVITA.mel.rate_hz, BIOVITA.window_samples, BIOVITA.dim) == (48_000, 480_000, 768)


def test_every_stage_stands_on_one_that_exists() -> None:
    for preset in PRESETS.values():
        assert all(not stage.after or stage.after in preset.stages for stage in preset.stages.values())


def test_a_setting_is_changed_in_its_stage_alone() -> None:
    changed = with_settings(BIOVITA, "2", ["lr=1e-5", "gate=true", "mix_epochs=4", "positives=diagonal"])
    stage = changed.stages["2"]
    assert (stage.lr, stage.gate, stage.mix_epochs, stage.positives) == (1e-5, True, 4, "diagonal")
    assert changed.stages["1"] == BIOVITA.stages["1"]
    assert with_settings(changed, "2", ["lr=5e-5", "gate=false", "mix_epochs=0", "positives=taxon"]) == BIOVITA


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("speed=3", "no such setting"),
        ("lr", "no such setting"),
        ("after=base", "no such setting"),
        ("lr=fast", "a number"),
        ("lr=-1", "a number of at least 0"),
        ("lr=nan", "a number of at least 0"),
        ("batch=1.5", "an integer of at least 0"),
        ("gate=maybe", "true or false"),
        ("positives=all", "taxon or diagonal"),
    ],
)
def test_a_wrong_setting_is_one_line(setting: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_settings(STARTER, "1", [setting])
    assert setting in str(caught.value) and says in str(caught.value)


def test_every_setting_of_a_stage_can_be_named() -> None:
    with pytest.raises(ConfigError) as caught:
        with_settings(STARTER, "1", ["?=1"])
    names = {field.name for field in dataclasses.fields(StageConfig)} - {"after", "augment"}
    assert all(name in str(caught.value) for name in names)


def test_an_unknown_preset_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="starter, birdnet, biovita or trunk"):
        find_preset("huge")
