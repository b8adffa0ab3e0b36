"""From the command line to everything a stage needs: manifest, split, decoded data, tokenizer, model, device."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.nn import functional as F

from gallery import prompts, read_taxa, starter_taxa
from trainer import checkpoint
from trainer.bank import TextBank
from trainer.calibrate import DECISION, calibrate, keep
from trainer.checkpoint import RunConfig
from trainer.data.manifest import shared_folder
from trainer.data.material import Data, Material, open_data
from trainer.data.unlabelled import open_unlabelled
from trainer.errors import CheckpointError, ConfigError
from trainer.evaluate import embed_all, summary
from trainer.families.registry import Origins, family_of
from trainer.heard import field_noise, hear
from trainer.loop import Run, fit
from trainer.messages import Messages
from trainer.models.vita import Vita
from trainer.presets import BIOVITA, DISTILL, FOLDER_OF, STUDENT, Preset, StageConfig, with_towers
from trainer.published import BIOLINGUAL
from trainer.ranks import join
from trainer.stages import AudioText, AudioTextImage, Base, Stage, Student
from trainer.teacher import Kept, Teacher, open_teacher, preset_of_student, same_split, same_teacher


@dataclass(frozen=True)
class Options:
    """What a person said."""

    preset: Preset
    data: tuple[Path, ...]  # none: the starter data
    media: Path | None
    taxa: Path | None
    out: Path
    pretrained: Path | None
    held_out: float
    seed: int
    device: str
    threads: int
    restart: bool
    workers: int = 0
    audio: str | None = None
    bioclip: str | None = None
    teacher: Path | None = None  # of a student


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda`.

    Raises
    ------
    ConfigError
        When the device is unknown or not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"device '{name}' is unknown", "choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device that this PyTorch can use", "choose --device cpu")
    return torch.device(name)


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 arithmetic is in the hardware: elsewhere it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    capabilities = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(capabilities())


def field_folder() -> Path | None:
    """Folder of the field recordings beside the project, over which mixtures are made; None where there is none."""
    shared = shared_folder()
    folder = shared / "field_recordings" if shared else None
    return folder if folder is not None and folder.is_dir() else None


class Session(Messages):
    """One call of the trainer: decodes what is needed once, and trains stages with it.

    Attributes
    ----------
    failed : one line for each input that could not be used
    """

    def __init__(self, options: Options, console: Console) -> None:
        self.options, self.console = options, console
        self.device = pick_device(options.device)
        self.ranks = join(cuda=self.device.type == "cuda")
        if self.device.type == "cuda":
            self.device = torch.device("cuda", self.ranks.local)
            torch.backends.cudnn.allow_tf32 = False  # the front end is a convolution, and needs all of float32
        torch.set_num_threads(options.threads)
        self.preset = options.preset
        self.teacher: Teacher | None = None
        if options.teacher:
            self.teacher = open_teacher(options.teacher, self.device)
            same_split(self.teacher.loaded.config, options.teacher, options.held_out, options.seed)
            self.preset = preset_of_student(options.preset, self.teacher)
        self.data = self.open_data()
        self.failed: list[str] = []
        self.report(self.data.manifest.missing)
        for line in self.data.manifest.notes:
            self.tell(line)
        self.material = Material(self.data, self.preset, options.out, options.threads, options.workers, self.report)

    def open_data(self) -> Data:
        """Manifest and split; a student also hears what has no labels."""
        o, teacher = self.options, self.teacher
        if teacher is None:
            return open_data(o.data, o.media, o.taxa, o.held_out, o.seed)
        return open_unlabelled(o.data, o.media, o.taxa, lambda: teacher.taxa(o.taxa), o.held_out, o.seed)

    def train(self, stage: str) -> None:
        """Train a stage; one that stands on a base first makes it, when there is none.

        Raises
        ------
        ConfigError
            When the stage does not exist or an unfinished run of other settings lies in its folder.
        CheckpointError
            When the stage before is missing or was trained with other settings.
        """
        stages = self.options.preset.stages
        if stage not in stages:
            raise ConfigError(f"stage '{stage}' does not exist", f"choose {', '.join(stages)}")
        before, folder = stages[stage].after, self.options.out / FOLDER_OF[stage]
        if before == "base" and not checkpoint.finished(self.options.out / FOLDER_OF[before]):
            self.train(before)
        fresh = self.options.restart
        if not fresh and checkpoint.finished(folder):
            loaded = checkpoint.load(folder)
            self.same_settings(loaded.config, folder)
            self.console.print(f"stage {stage} is finished in {folder}; --restart trains it anew", highlight=False)
            if not (folder / DECISION).exists():  # it may have been killed before its decision parameters were fitted
                self.calibrate(stage, loaded.model.to(self.device), TextBank(self.data.manifest.taxa, loaded.tokenizer))
            return
        if not fresh and (folder / checkpoint.RESUME).exists():
            begun = checkpoint.load_config(folder)
            self.same_settings(begun, folder)
            self.same_stage(begun.preset.stages[stage], self.preset.stages[stage], folder)
        model, tokenizer, preset = self.start_of(stage)
        self.preset = self.material.preset = preset
        self.ranks.wait()  # all have seen what lies in the folder
        if fresh and folder.is_dir() and self.ranks.first:  # only now: what is thrown away can be trained anew
            checkpoint.clear(folder)
        self.ranks.wait()
        config = RunConfig(
            preset=preset,
            stage=stage,
            data=self.data.manifest.path.name,
            held_out=self.options.held_out,
            seed=self.options.seed,
            taxa=tuple(taxon.scientific_name for taxon in self.data.manifest.taxa),
        )
        model.to(self.device)
        model.audio.bf16 = preset.stages[stage].bf16 and has_bf16(self.device)
        bank = TextBank(self.data.manifest.taxa, tokenizer)
        evaluate = self.evaluation(bank) if len(self.data.held_recordings) else None
        untrained = stage in (DISTILL, STUDENT)  # what distillation is worth shows beside what it began with
        run = Run(folder, config, tokenizer, self.console, evaluate, self.ranks, self.report, untrained)
        fit(model, self.stage(stage, model, bank), run)
        if self.ranks.first:
            if evaluate and untrained:
                self.say_before_and_after(folder)
            self.calibrate(stage, model, bank)
            self.console.print(f"stage {stage} is in {folder}", highlight=False)
        self.material.say_skipped()
        self.ranks.wait()

    def say_before_and_after(self, folder: Path) -> None:
        """Retrieval before the first and after the last epoch, a line each, from the log."""
        lines = [json.loads(line) for line in (folder / checkpoint.LOG).read_text(encoding="utf-8").splitlines()]
        metrics = [line["held_out"] for line in lines if "held_out" in line]
        for when, those in (("before", metrics[0]), ("after", metrics[-1])):
            told = [f"{name} {value:.3f}" for name, value in those.items() if not name.startswith("image_")]
            self.console.print(f"{when}: {', '.join(told)}", highlight=False, soft_wrap=True)

    def start_of(self, stage: str) -> tuple[Vita, Any, Preset]:
        """Model, tokenizer and preset that a stage starts from: public weights, or the stage before."""
        torch.manual_seed(self.options.seed)
        preset = self.preset if self.teacher else self.options.preset
        before = preset.stages[stage].after
        if before:
            loaded = checkpoint.load(self.options.out / FOLDER_OF[before])
            self.same_settings(loaded.config, loaded.folder)
            towers = loaded.config.preset.towers  # of public weights in other sizes than the preset's own
            return loaded.model, loaded.tokenizer, with_towers(preset, towers)
        origins = Origins(
            self.options.pretrained,
            self.options.audio or (BIOLINGUAL if stage == DISTILL else None),
            self.options.bioclip,
            lambda: [text for taxon in self.data.manifest.taxa for text in prompts(taxon).values()],
            (self.teacher.loaded.model, self.teacher.loaded.tokenizer) if self.teacher else None,
            self.tell,
        )
        model, tokenizer, towers = family_of(preset.towers).load(preset.towers, origins)
        return model, tokenizer, with_towers(preset, towers)

    def same_settings(self, config: RunConfig, folder: Path) -> None:
        """Stages of one run share split, seed and taxa, else what was held out would have been trained on."""
        taxa = tuple(taxon.scientific_name for taxon in self.data.manifest.taxa)
        for name, own, theirs in (
            ("preset", self.options.preset.name, config.preset.name),
            ("held-out share", self.options.held_out, config.held_out),
            ("seed", self.options.seed, config.seed),
            ("list of taxa", taxa, config.taxa),
        ):
            if own != theirs:
                raise CheckpointError(f"{folder}: was trained with another {name}", "use the same, or another --out")
        if self.teacher:
            same_teacher(config, self.preset.towers, folder)

    def same_stage(self, begun: StageConfig, wanted: StageConfig, folder: Path) -> None:
        """An unfinished stage goes on as it began: its schedule counts on it."""
        for field in dataclasses.fields(StageConfig):
            was, now = getattr(begun, field.name), getattr(wanted, field.name)
            if was != now:
                raise CheckpointError(
                    f"{folder}: was begun with {field.name} {was}, not {now}", "use the same, or --restart"
                )

    def stage(self, name: str, model: Vita, bank: TextBank) -> Stage:
        """The stage's own object, with its data decoded."""
        preset, device, material = self.preset, self.device, self.material
        if name == "base":
            return Base(model, preset.stages[name], bank, material.pictures("train"), device)
        if name == "2":
            with self.ranks.first_alone():
                photos, photo_taxon = material.photo_vectors(model, "train", device)
            return AudioTextImage(name, model, preset, bank, material.sounds("train"), photos, photo_taxon, device)
        with self.ranks.first_alone():
            vectors = bank.embed_kept(model.text, self.options.out, device)
        if self.teacher:
            names = F.normalize(vectors.mean(dim=0), dim=-1)
            sounds = material.sounds("every", max(preset.mel.rate_hz, self.teacher.rate_hz))
            return Student(name, model, self.teacher, preset, sounds, names)
        return AudioText(name, model, preset, bank, material.sounds("train"), vectors, device)

    def calibrate(self, stage: str, model: Vita, bank: TextBank) -> None:
        """Fit the decision parameters of a last stage on the held-out recordings and keep them beside it."""
        if any(config.after == stage for config in self.options.preset.stages.values()):
            return
        if not len(self.data.held_recordings):
            return
        if self.teacher and not (len(self.data.recordings) and len(self.data.photos)):
            self.tell(
                "no decision parameters: they need photos, and recordings with names; python -m trainer calibrate"
            )
            return
        folder = self.options.out / FOLDER_OF[stage]
        fitted = calibrate(
            model,
            self.preset,
            list(self.data.manifest.taxa),
            bank,
            self.material.sounds("held"),
            self.material.embedded_photos(model, "train", self.device),
            self.material.sounds("few"),
            field_noise(field_folder(), self.preset.mel.rate_hz),
            self.device,
        )
        keep(fitted, folder)
        for name, values in fitted["metrics"].items():
            self.console.print(f"{name.replace('_', ' ')}: {values}", highlight=False)

    def evaluation(self, bank: TextBank) -> Callable[[Vita], dict[str, float]]:
        """What gives the metrics on the held-out split; of a student, what it keeps of its teacher."""
        if self.teacher is None:
            return lambda trained: self.metrics(trained, bank)
        sounds = self.material.sounds("held", max(self.preset.mel.rate_hz, self.teacher.rate_hz))
        return Kept(self.teacher, sounds, bank, self.data.manifest.taxa, self.preset).metrics

    def metrics(self, model: Vita, bank: TextBank) -> dict[str, float]:
        """Retrieval on the held-out split, for the log."""
        photos = self.material.embedded_photos(model, "held", self.device)
        sounds, rate_hz = self.material.sounds("held"), self.preset.mel.rate_hz
        heard = hear(
            model.audio, sounds, rate_hz, self.preset.window_s, self.device, self.preset.hop_s, self.preset.pad
        )
        return summary(embed_all(model, bank, heard, photos, self.device), heard, self.data.manifest.taxa)


@dataclass(frozen=True)
class HeldOut:
    """A checkpoint with the samples it was not trained on."""

    config: RunConfig
    model: Vita
    bank: TextBank
    data: Data
    material: Material
    device: torch.device
    failed: list[str]


def open_held_out(
    folder: Path, data: tuple[Path, ...], media: Path | None, taxa: Path | None, device: str, threads: int
) -> HeldOut:
    """Load a checkpoint and the samples it held out; what cannot be decoded is named on stderr.

    Raises
    ------
    ConfigError
        When nothing was held out, or the data is not what the checkpoint was trained on.
    """
    threads = threads or cores()
    torch.set_num_threads(threads)
    loaded = checkpoint.load(folder)
    config = loaded.config
    if not config.held_out:
        raise ConfigError(f"{folder}: was trained on everything, nothing is held out", "name another checkpoint")
    split = open_data(data, media, taxa, config.held_out, config.seed)
    if tuple(taxon.scientific_name for taxon in split.manifest.taxa) != config.taxa:
        raise ConfigError(f"{split.manifest.path}: has other taxa than {folder}", "name the data it was trained on")
    failed: list[str] = []

    def say(lines: Sequence[str]) -> None:
        failed.extend(lines)
        for line in lines:
            print(line, file=sys.stderr)

    say(split.manifest.missing)
    where = pick_device(device)
    material = Material(split, config.preset, folder.parent, threads, 0, say)
    bank = TextBank(split.manifest.taxa, loaded.tokenizer)
    return HeldOut(config, loaded.model.to(where), bank, split, material, where, failed)


def adopt(source: str, out: Path, taxa: Path | None) -> None:
    """Write published weights as a checkpoint whose names are those of a species table.

    Raises
    ------
    CheckpointError
        When a file is missing, damaged or of another model, or something else lies in `out`.
    """
    from trainer.models.bioclip import clip_tokenizer
    from trainer.published import open_published

    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / checkpoint.CONFIG).exists())):
        raise CheckpointError(f"{out}: exists and is no checkpoint", "name another folder with --out")
    table = read_taxa(taxa) if taxa else starter_taxa()
    torch.manual_seed(0)
    towers, model = open_published(source)
    config = RunConfig(
        preset=dataclasses.replace(BIOVITA, towers=towers),
        stage="2",
        data=source,
        held_out=0.0,
        seed=0,
        taxa=tuple(taxon.scientific_name for taxon in table),
    )
    checkpoint.save(out, model, {}, clip_tokenizer(towers.context), config)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
