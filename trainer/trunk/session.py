"""A training session in the embedding space of a pack: names (stage 1) and photos (stage 2) against class vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from rich.console import Console
from tokenizers import Tokenizer
from torch.nn import functional as F

from edgeapp.pack.format import Pack
from edgeapp.pack.installed import load_pack
from gallery import prompts
from trainer import checkpoint
from trainer.bank import TextBank
from trainer.checkpoint import RunConfig
from trainer.errors import ConfigError
from trainer.families.registry import Origins, family_of
from trainer.freed import keep_freed_memory
from trainer.loop import Run, fit
from trainer.messages import Messages
from trainer.models.trunk import TrunkTowers
from trainer.models.vita import Vita
from trainer.presets import FOLDER_OF, Preset
from trainer.ranks import join
from trainer.session import RunOptions, pick_device
from trainer.stages import ClassNames, Stage
from trainer.trunk.evaluate import names_found
from trainer.trunk.photos import photo_metrics, photo_stage, read_photos
from trainer.trunk.recordings import read_recordings
from trainer.trunk.vectors import Prototypes, read_prototypes, read_rows
from trainer.trunk.withheld import read_withheld


@dataclass(frozen=True, kw_only=True)
class TrunkOptions(RunOptions):
    """Options of the presets in the space of a pack.

    Without `data`, stage 1 trains on class vectors alone, and stage 2 on the photos of the starter data.

    Attributes
    ----------
    pack : name or folder of the pack with the audio encoder and the class vectors
    withhold : file of taxa whose names, class vectors and recordings are left out
    """

    pack: str
    withhold: Path | None = None


@dataclass(frozen=True)
class StageStart:
    """Everything that a stage starts from."""

    model: Vita
    tokenizer: Tokenizer
    preset: Preset
    stage: Stage
    evaluate: Callable[[Vita], dict[str, float]]


class TrunkSession(Messages):
    """One call of the trainer for a preset in the space of a pack."""

    def __init__(self, options: TrunkOptions, console: Console) -> None:
        self.options, self.console = options, console
        self.device = pick_device(options.device)
        self.ranks = join(cuda=self.device.type == "cuda")
        torch.set_num_threads(options.threads)
        keep_freed_memory()
        self.failed: list[str] = []
        self.pack = load_pack(options.pack)
        self.preset = of_pack(options.preset, self.pack)
        taxa, _ = read_rows(self.pack)
        withheld: tuple[str, ...] = ()
        if options.withhold:
            withheld, unknown = read_withheld(options.withhold, taxa)
            if unknown:
                self.tell(f"{options.withhold}: {len(unknown)} names without a class vector, the first {unknown[0]}")
        self.learned, self.withheld = read_prototypes(self.pack, withheld)

    def train(self, stage: str) -> None:
        """Train a stage.

        Raises
        ------
        ConfigError
            When the preset has no such stage.
        CheckpointError
            When its folder holds a run with other settings.
        """
        if stage not in self.preset.stages:
            raise ConfigError(f"stage '{stage}' does not exist", f"choose {', '.join(self.preset.stages)}")
        folder, fresh = self.options.out / FOLDER_OF[stage], self.options.restart
        config = self.config(stage)
        if not fresh and (checkpoint.finished(folder) or (folder / checkpoint.RESUME).exists()):
            same_run(checkpoint.load_config(folder), config, folder)
        if not fresh and checkpoint.finished(folder):
            self.tell(f"stage {stage} is finished in {folder}; --restart trains it again")
            return
        torch.manual_seed(self.options.seed)
        start = self.photos if self.preset.stages[stage].after else self.names
        begin = start(stage)
        config = dataclasses.replace(config, preset=begin.preset)
        self.ranks.wait()
        if fresh and folder.is_dir() and self.ranks.first:
            checkpoint.clear(folder)
        self.ranks.wait()
        run = Run(folder, config, begin.tokenizer, self.console, begin.evaluate, self.ranks, self.report, True)
        fit(begin.model, begin.stage, run)
        self.tell(f"stage {stage} is in {folder}")

    def names(self, stage: str) -> StageStart:
        """Stage 1: a new text tower."""
        origins = Origins(texts=lambda: [text for taxon in self.learned.taxa for text in prompts(taxon).values()])
        model, tokenizer, towers = family_of(self.preset.towers).load(self.preset.towers, origins)
        model.to(self.device)
        bank = TextBank(self.learned.taxa, tokenizer)
        recordings = None
        if self.options.data:
            o = self.options
            recordings = read_recordings(
                self.pack, o.data, o.media, self.learned.taxa, o.held_out, o.seed, o.threads, self.report
            )
        names = ClassNames(
            stage,
            model,
            self.preset.stages[stage],
            self.learned.taxa,
            bank,
            tokenizer,
            torch.from_numpy(self.learned.vectors),
            recordings,
            self.device,
        )
        preset = dataclasses.replace(self.preset, towers=towers)
        return StageStart(model, tokenizer, preset, names, self.evaluation(tokenizer))

    def photos(self, stage: str) -> StageStart:
        """Stage 2: the towers of stage 1, and an image tower that starts from the photo network.

        Raises
        ------
        CheckpointError
            When the previous stage is missing or has other settings, or the photo network is missing.
        DataError
            When there are no photos.
        """
        o, folder = self.options, self.options.out / FOLDER_OF[self.preset.stages[stage].after]
        loaded = checkpoint.load(folder)
        same_start(loaded.config, self.config(stage), folder)
        model = loaded.model.to(self.device)
        bank = TextBank(self.learned.taxa, loaded.tokenizer)
        texts = F.normalize(bank.embed_all(model.text, self.device).mean(dim=0), dim=-1)
        size = loaded.config.preset.image_size
        photos, held = read_photos(o.data, o.media, self.learned.taxa, o.held_out, o.seed, size, self.report)
        preset = dataclasses.replace(self.preset, towers=loaded.config.preset.towers)
        prototypes = self.learned.vectors
        trained, preset = photo_stage(
            stage, model, preset, self.learned.taxa, prototypes, texts, photos, o.pretrained, o.seed, self.device
        )
        shown = held if len(held.pictures) else photos

        def evaluate(model: Vita) -> dict[str, float]:
            return photo_metrics(model, shown, prototypes, self.device)

        return StageStart(model, loaded.tokenizer, preset, trained, evaluate)

    def config(self, stage: str) -> RunConfig:
        """Settings of the checkpoint: its taxa are those trained on, its data is the pack."""
        return RunConfig(
            preset=self.preset,
            stage=stage,
            data=f"{self.pack.name} {self.pack.space}",
            held_out=self.options.held_out,
            seed=self.options.seed,
            taxa=tuple(taxon.scientific_name for taxon in self.learned.taxa),
        )

    def evaluation(self, tokenizer: Tokenizer) -> Callable[[Vita], dict[str, float]]:
        """Retrieval by name for the log: of withheld taxa among themselves, or of those trained on."""
        which: Prototypes = self.withheld if self.withheld.taxa else self.learned
        bank = TextBank(which.taxa, tokenizer)
        return lambda model: names_found(model, bank, which.vectors, self.device)


def of_pack(preset: Preset, pack: Pack) -> Preset:
    """The preset with the dimension, sampling rate and windows of a pack."""
    towers = cast(TrunkTowers, preset.towers)
    mel = dataclasses.replace(towers.mel, rate_hz=pack.audio.rate_hz)
    return dataclasses.replace(
        preset,
        towers=dataclasses.replace(towers, dim=pack.dim, mel=mel),
        window_s=pack.audio.window_s,
        hop_s=pack.audio.hop_s,
        pad=pack.audio.pad,
    )


def same_run(begun: RunConfig, wanted: RunConfig, folder: Path) -> None:
    """Refuse to resume a run with other settings."""
    stage = wanted.stage
    checkpoint.require_same(
        folder,
        "use the same, or --restart",
        ("preset", wanted.preset.name, begun.preset.name),
        ("pack", wanted.data, begun.data),
        ("seed", wanted.seed, begun.seed),
        ("list of taxa", wanted.taxa, begun.taxa),
        ("settings", wanted.preset.stages[stage], begun.preset.stages[stage]),
    )


def same_start(before: RunConfig, wanted: RunConfig, folder: Path) -> None:
    """Refuse a previous stage of another pack or other taxa: its vectors are in another space."""
    checkpoint.require_same(
        folder,
        "use the same, or another --out",
        ("preset", wanted.preset.name, before.preset.name),
        ("pack", wanted.data, before.data),
        ("list of taxa", wanted.taxa, before.taxa),
    )
