"""From the command line to a stage of a preset with a given audio encoder: pack, names, class vectors, model, run."""

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
from trainer.errors import CheckpointError, ConfigError
from trainer.families.registry import Origins, family_of
from trainer.loop import Run, fit
from trainer.messages import Messages
from trainer.models.trunk import TrunkTowers
from trainer.models.vita import Vita
from trainer.presets import FOLDER_OF, Preset
from trainer.ranks import join
from trainer.session import pick_device
from trainer.stages import ClassNames, Stage
from trainer.trunk.evaluate import names_found
from trainer.trunk.photos import photo_metrics, photo_stage, read_photos
from trainer.trunk.recordings import read_recordings
from trainer.trunk.vectors import Prototypes, read_prototypes, read_rows
from trainer.trunk.withheld import read_withheld


@dataclass(frozen=True)
class TrunkOptions:
    """What a person said.

    Attributes
    ----------
    pack : name or folder of the pack whose audio encoder and class vectors are learned from
    withhold : file of taxa whose names, class vectors and recordings take no part
    data, media : stage 1: manifest of recordings to learn from beside the class vectors; none for class vectors alone.
        Stage 2: manifest of photos; none for the starter data
    pretrained : folder of the photo network; None is the one beside the project
    """

    preset: Preset
    pack: str
    out: Path
    withhold: Path | None = None
    data: tuple[Path, ...] = ()
    media: Path | None = None
    held_out: float = 0.0
    seed: int = 1
    device: str = "auto"
    threads: int = 1
    restart: bool = False
    pretrained: Path | None = None


@dataclass(frozen=True)
class Ready:
    """What a stage begins with."""

    model: Vita
    tokenizer: Tokenizer
    preset: Preset
    stage: Stage
    evaluate: Callable[[Vita], dict[str, float]]


class TrunkSession(Messages):
    """One call of the trainer for a preset that stands on a pack.

    Attributes
    ----------
    failed : one line for each input that could not be used
    """

    def __init__(self, options: TrunkOptions, console: Console) -> None:
        self.options, self.console = options, console
        self.device = pick_device(options.device)
        self.ranks = join(cuda=self.device.type == "cuda")
        torch.set_num_threads(options.threads)
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
            When an unfinished or finished run of other settings lies in its folder.
        """
        if stage not in self.preset.stages:
            raise ConfigError(f"stage '{stage}' does not exist", f"choose {', '.join(self.preset.stages)}")
        folder, fresh = self.options.out / FOLDER_OF[stage], self.options.restart
        config = self.config(stage)
        if not fresh and (checkpoint.finished(folder) or (folder / checkpoint.RESUME).exists()):
            same_run(checkpoint.load_config(folder), config, folder)
        if not fresh and checkpoint.finished(folder):
            self.tell(f"stage {stage} is finished in {folder}; --restart trains it anew")
            return
        torch.manual_seed(self.options.seed)
        start = self.photos if self.preset.stages[stage].after else self.names
        ready = start(stage)
        config = dataclasses.replace(config, preset=ready.preset)
        self.ranks.wait()
        if fresh and folder.is_dir() and self.ranks.first:
            checkpoint.clear(folder)
        self.ranks.wait()
        run = Run(folder, config, ready.tokenizer, self.console, ready.evaluate, self.ranks, self.report, True)
        fit(ready.model, ready.stage, run)
        self.tell(f"stage {stage} is in {folder}")

    def names(self, stage: str) -> Ready:
        """Stage 1: a text tower that begins with the prompts."""
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
        return Ready(model, tokenizer, preset, names, self.evaluation(tokenizer))

    def photos(self, stage: str) -> Ready:
        """Stage 2: an image tower that begins with the photo network, beside the towers of stage 1.

        Raises
        ------
        CheckpointError
            When the stage before is missing or of other settings, or the photo network is.
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

        return Ready(model, loaded.tokenizer, preset, trained, evaluate)

    def config(self, stage: str) -> RunConfig:
        """What the checkpoint is made from: its taxa are those that were learned, its data is the pack."""
        return RunConfig(
            preset=self.preset,
            stage=stage,
            data=f"{self.pack.name} {self.pack.space}",
            held_out=self.options.held_out,
            seed=self.options.seed,
            taxa=tuple(taxon.scientific_name for taxon in self.learned.taxa),
        )

    def evaluation(self, tokenizer: Tokenizer) -> Callable[[Vita], dict[str, float]]:
        """Retrieval by name for the log: of withheld taxa among themselves, or of those that were learned."""
        which: Prototypes = self.withheld if self.withheld.taxa else self.learned
        bank = TextBank(which.taxa, tokenizer)
        return lambda model: names_found(model, bank, which.vectors, self.device)


def of_pack(preset: Preset, pack: Pack) -> Preset:
    """The preset with the sizes of a pack: its space, its rate, its windows."""
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
    """A run goes on as it began.

    Raises
    ------
    CheckpointError
        When it was begun with something else.
    """
    stage = wanted.stage
    for name, was, now in (
        ("preset", begun.preset.name, wanted.preset.name),
        ("pack", begun.data, wanted.data),
        ("seed", begun.seed, wanted.seed),
        ("list of taxa", begun.taxa, wanted.taxa),
        ("settings", begun.preset.stages[stage], wanted.preset.stages[stage]),
    ):
        if was != now:
            raise CheckpointError(f"{folder}: was trained with another {name}", "use the same, or --restart")


def same_start(before: RunConfig, wanted: RunConfig, folder: Path) -> None:
    """A stage goes on from one of the same pack and taxa: vectors of other spaces cannot be compared.

    Raises
    ------
    CheckpointError
        When the stage before was trained with something else.
    """
    for name, was, now in (
        ("preset", before.preset.name, wanted.preset.name),
        ("pack", before.data, wanted.data),
        ("list of taxa", before.taxa, wanted.taxa),
    ):
        if was != now:
            raise CheckpointError(f"{folder}: was trained with another {name}", "use the same, or another --out")
