"""Checkpoints come back as they were, and a damaged one is named in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gallery import Taxon
from trainer import checkpoint
from trainer.checkpoint import CONFIG, RESUME, TOKENIZER, WEIGHTS, require_same_stage
from trainer.errors import CheckpointError
from trainer.presets import BIOVITA, STARTER, preset_from_dict, with_settings

PROJECTION = "image.projection.weight"


@pytest.fixture
def stage2(run_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_folder / "stage2", tmp_path / "stage2"))


def test_a_checkpoint_comes_back_as_it_was_saved(stage2: Path, tmp_path: Path) -> None:
    one = checkpoint.load(stage2)
    checkpoint.save(tmp_path / "copy", one.model, {}, one.tokenizer, one.config)
    other = checkpoint.load(tmp_path / "copy")
    assert other.config == one.config and other.tokenizer.to_str() == one.tokenizer.to_str()
    own, theirs = one.model.state_dict(), other.model.state_dict()
    assert list(own) == list(theirs) and all(torch.equal(own[name], theirs[name]) for name in own)
    assert other.space == one.space and len(one.space) == 16
    assert not one.model.training


def test_averaged_weights_are_stored_in_place_of_the_models(stage2: Path, tmp_path: Path) -> None:
    one = checkpoint.load(stage2)
    average = torch.full_like(one.model.image.projection.weight, 0.25)
    checkpoint.save(tmp_path / "copy", one.model, {PROJECTION: average}, one.tokenizer, one.config)
    other = checkpoint.load(tmp_path / "copy")
    assert torch.equal(other.model.image.projection.weight, average)
    assert not torch.equal(one.model.image.projection.weight, average)
    assert other.space != one.space


def test_the_configuration_beside_it_can_be_read_by_people_and_by_us(stage2: Path) -> None:
    stored = json.loads((stage2 / CONFIG).read_text())
    assert stored["stage"] == "2" and stored["held_out"] == 0.2 and stored["data"] == "manifest.csv"
    assert stored["taxa"] == ["Bufo bufo", "Cuculus canorus", "Parus major", "Parus minor"]
    assert preset_from_dict(json.loads(json.dumps(STARTER.to_dict()))) == STARTER


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edited(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        state = load_file(str(path))
        change(state)
        save_file(state, str(path))

    return edit


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        (WEIGHTS, Path.unlink, "is missing"),
        (CONFIG, Path.unlink, "is missing"),
        (TOKENIZER, Path.unlink, "is missing"),
        (WEIGHTS, cut, "damaged"),
        (WEIGHTS, lambda path: path.write_bytes(b""), "damaged"),
        (WEIGHTS, lambda path: path.write_text("not weights" * 99), "damaged"),
        (WEIGHTS, edited(lambda state: state.pop(PROJECTION)), PROJECTION),
        (WEIGHTS, edited(lambda state: state.update({"other": torch.zeros(1)})), "tensor other"),
        (WEIGHTS, edited(lambda state: state.update({PROJECTION: torch.zeros((2, 2))})), PROJECTION),
        (WEIGHTS, edited(lambda state: state[PROJECTION].view(-1)[3].fill_(float("nan"))), "not finite"),
        (WEIGHTS, edited(lambda state: state[PROJECTION].view(-1)[3].fill_(float("inf"))), "not finite"),
        (CONFIG, cut, "not a configuration"),
        (CONFIG, lambda path: path.write_text("[]"), "not a configuration"),
        (CONFIG, lambda path: path.write_text('{"preset": {"stages": []}}'), "not a configuration"),
        (CONFIG, lambda path: path.write_bytes(b"\xff\xfe"), "not a configuration"),
        (TOKENIZER, cut, "damaged"),
        (TOKENIZER, lambda path: path.write_bytes(b""), "damaged"),
    ],
)
def test_damage_is_one_line_that_names_the_file(
    stage2: Path, file: str, damage: Callable[[Path], object], says: str
) -> None:
    damage(stage2 / file)
    with pytest.raises(CheckpointError) as error:
        checkpoint.load(stage2)
    line = str(error.value)
    assert str(stage2) in line and file in line and says in line and "; " in line and "\n" not in line
    assert error.value.exit_code == 3


def test_a_folder_that_is_not_there_says_to_train_first(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="train this stage first"):
        checkpoint.load(tmp_path / "absent")
    assert not checkpoint.finished(tmp_path / "absent") and checkpoint.load_resume(tmp_path / "absent") is None


def test_weights_are_finished_when_no_resume_state_is_left(stage2: Path) -> None:
    assert checkpoint.finished(stage2)
    checkpoint.save_resume(stage2, {"epoch": 1})
    assert not checkpoint.finished(stage2)
    assert checkpoint.load_resume(stage2) == {"epoch": 1}


@pytest.mark.parametrize("content", [b"", b"not a state", None])
def test_a_damaged_resume_state_says_how_to_start_anew(stage2: Path, content: bytes | None) -> None:
    checkpoint.save_resume(stage2, {"epoch": 1, "tensor": torch.zeros(1000)})
    path = stage2 / RESUME
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    with pytest.raises(CheckpointError, match=f"{RESUME}: damaged .*--restart"):
        checkpoint.load_resume(stage2)


def test_taxa_of_a_checkpoint_come_in_its_order_from_any_table(stage2: Path, taxa: list[Taxon]) -> None:
    config = checkpoint.load_config(stage2)
    found = checkpoint.taxa_in_order(config, taxa[::-1])
    assert tuple(taxon.scientific_name for taxon in found) == config.taxa
    with pytest.raises(CheckpointError, match="lacks Parus major"):
        checkpoint.taxa_in_order(config, [taxon for taxon in taxa if taxon.scientific_name != "Parus major"])


@pytest.mark.parametrize("setting", ["lr=1e-3", "triplets=fixed", "pad=zero", "names=given"])
def test_a_stage_is_not_resumed_with_another_setting(setting: str, tmp_path: Path) -> None:
    name = setting.partition("=")[0]
    other = with_settings(BIOVITA, "2", [setting])
    require_same_stage(tmp_path, BIOVITA, BIOVITA, "2")
    with pytest.raises(CheckpointError, match=f"was started with {name} .*; use the same, or --restart"):
        require_same_stage(tmp_path, BIOVITA, other, "2")
