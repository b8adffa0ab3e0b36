"""Checkpoints: weights in safetensors, configuration and tokenizer, and the state of an unfinished run.

One folder per stage:

    model.safetensors   averaged weights after the last finished epoch, read by evaluation, later stages and export
    config.json         preset, stage, data, split, seed, taxa
    tokenizer.json      the text tower's tokenizer
    log.jsonl           one line per epoch
    resume.pt           weights, averages, optimizer and generators of an unfinished stage

Every file is written atomically. After an epoch the configuration is written first, then `resume.pt`, then
`model.safetensors`; `resume.pt` is removed at the end of the stage: weights without it are finished.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgeapp.pack.format import sha256
from gallery import Taxon, files
from trainer.errors import CheckpointError
from trainer.families.registry import build
from trainer.models.vita import Vita
from trainer.presets import OF_PRESET, Preset, StageConfig, preset_from_dict

WEIGHTS, CONFIG, TOKENIZER, LOG, RESUME = "model.safetensors", "config.json", "tokenizer.json", "log.jsonl", "resume.pt"


@dataclass(frozen=True)
class RunConfig:
    """Settings of the run that made a checkpoint, stored beside it."""

    preset: Preset
    stage: str
    data: str
    held_out: float
    seed: int
    taxa: tuple[str, ...]  # scientific names in the order of the text bank

    def to_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "preset": self.preset.to_dict(), "taxa": list(self.taxa)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunConfig:
        return cls(**{**values, "preset": preset_from_dict(values["preset"]), "taxa": tuple(values["taxa"])})


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    `space` identifies its embedding space: the first 16 hex digits of the SHA-256 of the weights.
    """

    folder: Path
    config: RunConfig
    model: Vita
    tokenizer: Tokenizer
    space: str


def save_config(folder: Path, tokenizer: Tokenizer, config: RunConfig) -> None:
    """Store tokenizer and settings of a run."""
    with files.replacing(folder / TOKENIZER, parents=True) as path:
        tokenizer.save(str(path))
    files.write_text(folder / CONFIG, json.dumps(config.to_dict(), indent=1) + "\n")


def save(folder: Path, model: Vita, weights: dict[str, Tensor], tokenizer: Tokenizer, config: RunConfig) -> None:
    """Store the model with `weights` in place of its own."""
    state = {name: weights.get(name, tensor).detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_config(folder, tokenizer, config)
    with files.replacing(folder / WEIGHTS) as path:
        save_file(state, str(path))


def load_config(folder: Path) -> RunConfig:
    """Settings of a finished or unfinished run.

    Raises
    ------
    CheckpointError
        When they are missing or damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder}: no checkpoint ({CONFIG} is missing)", "train this stage first")
    try:
        return RunConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: not a configuration of this version ({reason})", "train again") from error


def load(folder: Path) -> Checkpoint:
    """Load a checkpoint; every tensor of the model must be present, finite and of the right size.

    Raises
    ------
    CheckpointError
        When a file is missing or damaged, or the tensors are not those of the model.
    """
    weights, tokenizer_path = folder / WEIGHTS, folder / TOKENIZER
    for path in (weights, tokenizer_path):
        if not path.is_file():
            raise CheckpointError(f"{folder}: no checkpoint ({path.name} is missing)", "train this stage first")
    config = load_config(folder)
    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_path))
    except Exception as error:  # the library raises Exception for an unreadable file
        raise CheckpointError(f"{tokenizer_path}: damaged ({error})", "copy it again or train again") from error
    try:
        state = load_file(str(weights))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{weights}: damaged ({error})", "copy it again or train again") from error
    model = build(config.preset.towers)
    own = model.state_dict()
    wrong = [name for name in own if name not in state or state[name].shape != own[name].shape]
    wrong += [name for name in state if name not in own]
    if wrong:
        raise CheckpointError(f"{weights}: tensor {wrong[0]} is missing, unknown or of another size", "train again")
    broken = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise CheckpointError(f"{weights}: tensor {broken[0]} has values that are not finite", "train again")
    model.load_state_dict(state)
    model.eval()
    return Checkpoint(folder, config, model, tokenizer, sha256(weights)[:16])


def load_finished(folder: Path, remedy: str) -> Checkpoint:
    """Load a checkpoint whose training has ended.

    Raises
    ------
    CheckpointError
        As `load`, or when there is no such folder, or its training has not ended; with this remedy.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder", remedy)
    if (folder / RESUME).exists():
        raise CheckpointError(f"{folder}: is unfinished", remedy)
    return load(folder)


def digest(module: nn.Module) -> str:
    """First 16 hex digits of the SHA-256 of a module's tensors."""
    sha = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return sha.hexdigest()[:16]


def finished(folder: Path) -> bool:
    """Whether a stage's folder holds a finished checkpoint."""
    return (folder / WEIGHTS).is_file() and not (folder / RESUME).exists()


def clear(folder: Path) -> None:
    """Remove a stage's files, so that it can be trained again."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def save_resume(folder: Path, state: dict[str, Any]) -> None:
    with files.replacing(folder / RESUME, parents=True) as path:
        torch.save(state, path)


def load_resume(folder: Path) -> dict[str, Any] | None:
    """State of an unfinished run; None if there is none.

    Raises
    ------
    CheckpointError
        When the file is damaged.
    """
    path = folder / RESUME
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path}: damaged ({type(error).__name__})", "train the stage again with --restart"
        ) from error


def require_same(folder: Path, remedy: str, *settings: tuple[str, object, object]) -> None:
    """Refuse a run whose settings differ from those asked for.

    Parameters
    ----------
    settings : name, value asked for, and value in the folder

    Raises
    ------
    CheckpointError
        Naming the first setting that differs.
    """
    for name, own, theirs in settings:
        if own != theirs:
            raise CheckpointError(f"{folder}: was trained with another {name}", remedy)


def require_same_stage(folder: Path, begun: Preset, wanted: Preset, stage: str) -> None:
    """Refuse to resume a stage with other settings: its schedule and its data depend on them.

    Raises
    ------
    CheckpointError
        Naming the first setting that differs.
    """
    pairs: list[tuple[str, object, object]] = [
        (field.name, begun.stages[stage], wanted.stages[stage]) for field in dataclasses.fields(StageConfig)
    ]
    pairs += [(name, begun, wanted) for name in OF_PRESET if not hasattr(begun.towers, name)]  # else the towers' own
    for name, one, other in pairs:
        was, now = getattr(one, name), getattr(other, name)
        if was != now:
            raise CheckpointError(f"{folder}: was started with {name} {was}, not {now}", "use the same, or --restart")


def taxa_in_order(config: RunConfig, table: list[Taxon]) -> list[Taxon]:
    """The taxa of a checkpoint, from a species table.

    Raises
    ------
    CheckpointError
        When the table lacks one.
    """
    known = {taxon.scientific_name: taxon for taxon in table}
    lacking = [name for name in config.taxa if name not in known]
    if lacking:
        raise CheckpointError(f"species table lacks {lacking[0]}", "give the table the checkpoint was trained with")
    return [known[name] for name in config.taxa]
