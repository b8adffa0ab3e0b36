"""A training session: manifest, split, decoded data, tokenizer, model and device of the stages it trains."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from torch.nn import functional as F

from edgeapp.board.machine import available_cores
from edgeapp.terminal import tell
from gallery import prompts
from trainer import checkpoint
from trainer.attribution import ATTRIBUTION, AUDIO, IMAGE, record, rows_of
from trainer.bank import TextBank
from trainer.calibrate import DECISION, calibrate, save, too_few
from trainer.checkpoint import RunConfig
from trainer.data.manifest import shared_folder, taxa_of
from trainer.data.material import Data, Material, open_data
from trainer.data.unlabelled import open_unlabelled
from trainer.errors import ConfigError
from trainer.evaluate import embed_all, summary
from trainer.families.registry import Origins, family_of
from trainer.freed import keep_freed_memory
from trainer.heard import field_noise, hear
from trainer.loop import Run, fit
from trainer.messages import Messages
from trainer.models.vita import Vita
from trainer.presets import DISTILL, FOLDER_OF, STUDENT, Preset, with_towers
from trainer.published import BIOLINGUAL
from trainer.ranks import join
from trainer.stages import AudioText, AudioTextImage, Base, Stage, Student
from trainer.teacher import Agreement, Teacher, open_teacher, preset_of_student, same_split, same_teacher
from trainer.tuned import open_tuned, unheard


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of the command line that all presets have.

    Attributes
    ----------
    data : manifests; none for the starter data
    media : folder that paths in the manifests are relative to; None for the manifests' own
    pretrained : folder of the public weights; None for the one beside the project
    """

    preset: Preset
    out: Path
    data: tuple[Path, ...] = ()
    media: Path | None = None
    pretrained: Path | None = None
    held_out: float = 0.0
    seed: int = 1
    device: str = "auto"
    threads: int = 1
    restart: bool = False


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Options of the presets that train all towers."""

    taxa: Path | None = None
    workers: int = 0
    audio: str | None = None
    bioclip: str | None = None
    teacher: Path | None = None  # of a student
    pack: str | None = None  # with the audio encoder of a teacher that has none


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda`.

    Raises
    ------
    ConfigError
        When the device is unknown or not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"device '{name}' is unknown", "choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device that this PyTorch can use", "choose --device cpu")
    return torch.device(name)


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16; where it does not, bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    capabilities = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(capabilities())


def field_folder() -> Path | None:
    """Folder of the field noise beside the project, to make mixtures with; None if there is none."""
    shared = shared_folder()
    folder = shared / "field_recordings" if shared else None
    return folder if folder is not None and folder.is_dir() else None


class Session(Messages):
    """One call of the trainer: decodes the data it needs once, and trains stages on it."""

    def __init__(self, options: Options, console: Console) -> None:
        self.options, self.console = options, console
        self.device = pick_device(options.device)
        self.ranks = join(cuda=self.device.type == "cuda")
        if self.device.type == "cuda":
            self.device = torch.device("cuda", self.ranks.local)
            torch.backends.cudnn.allow_tf32 = False  # the front end is a convolution, and needs all of float32
        torch.set_num_threads(options.threads)
        keep_freed_memory()
        self.preset = options.preset
        self.teacher: Teacher | None = None
        if options.teacher:
            self.teacher = open_teacher(options.teacher, self.device, options.pack, options.threads)
            same_split(self.teacher.loaded.config, options.teacher, options.held_out, options.seed)
            self.preset = preset_of_student(options.preset, self.teacher)
        self.trunk = ""
        if options.audio and self.preset.towers.family == "starter":
            self.trunk = open_tuned(Path(options.audio))[1]
            unheard(Path(options.audio), options.held_out, options.seed)
        self.data = self.open_data()
        self.failed: list[str] = []
        self.report(self.data.manifest.missing)
        for line in self.data.manifest.notes:
            self.tell(line)
        self.material = Material(self.data, self.preset, options.out, options.threads, options.workers, self.report)

    def open_data(self) -> Data:
        """Manifest and split; a student also trains on unlabelled recordings."""
        o, teacher = self.options, self.teacher
        if teacher is None:
            return open_data(o.data, o.media, o.taxa, o.held_out, o.seed, o.preset.names)
        return open_unlabelled(o.data, o.media, o.taxa, lambda: teacher.taxa(o.taxa), o.held_out, o.seed)

    def train(self, stage: str) -> None:
        """Train a stage, after its base stage if that has not been trained.

        Raises
        ------
        ConfigError
            When the stage does not exist.
        CheckpointError
            When the previous stage is missing, or its folder or this one's holds a run with other settings.
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
            self.console.print(f"stage {stage} is finished in {folder}; --restart trains it again", highlight=False)
            if not (folder / ATTRIBUTION).exists() and loaded.config.data == self.data.manifest.path.name:
                self.attribute(stage)  # of a checkpoint older than the file
            if not (folder / DECISION).exists():  # the run may have been killed before they were fitted
                self.calibrate(stage, loaded.model.to(self.device), TextBank(self.data.manifest.taxa, loaded.tokenizer))
            return
        if not fresh and (folder / checkpoint.RESUME).exists():
            begun = checkpoint.load_config(folder)
            self.same_settings(begun, folder)
            checkpoint.require_same_stage(folder, begun.preset, self.preset, stage)
        model, tokenizer, preset = self.start_of(stage)
        self.preset = self.material.preset = preset
        self.ranks.wait()  # until all processes have read the folder
        if fresh and folder.is_dir() and self.ranks.first:  # only now is it certain that the stage can be trained
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
        config_of_stage = preset.stages[stage]
        model.audio.bf16 = config_of_stage.bf16 and has_bf16(self.device)
        model.audio.batch_statistics = config_of_stage.batch_statistics
        self.material.native_frames = config_of_stage.native_frames
        bank = TextBank(self.data.manifest.taxa, tokenizer)
        if self.ranks.first:
            self.attribute(stage)
        evaluate = self.evaluation(bank) if len(self.data.held_recordings) else None
        compare = stage in (DISTILL, STUDENT)  # with the metrics before training
        run = Run(folder, config, tokenizer, self.console, evaluate, self.ranks, self.report, compare)
        fit(model, self.stage(stage, model, bank), run)
        if self.ranks.first:
            if evaluate and compare:
                self.print_before_and_after(folder)
            self.calibrate(stage, model, bank)
            self.console.print(f"stage {stage} is in {folder}", highlight=False)
        self.material.report_skipped()
        self.ranks.wait()

    def attribute(self, stage: str) -> None:
        """Keep authors and licences of what a stage is trained on beside its checkpoint."""
        data, taxa = self.data, self.data.manifest.taxa
        rows = chain(
            rows_of(AUDIO, data.recordings if stage != "base" else (), taxa),
            rows_of(AUDIO, data.unlabelled if stage == STUDENT else (), taxa),
            rows_of(IMAGE, data.photos if stage in ("base", "2") else (), taxa),
        )
        before = self.preset.stages[stage].after
        earlier = [self.options.out / FOLDER_OF[before]] if before else []
        if self.trunk:
            earlier.append(Path(cast(str, self.options.audio)))
        published = [self.teacher.weights] if self.teacher and self.teacher.weights else []
        record(
            self.options.out / FOLDER_OF[stage],
            chain(published, rows),
            [*earlier, *filter(None, [self.options.teacher])],
        )

    def print_before_and_after(self, folder: Path) -> None:
        """Print the retrieval metrics before the first and after the last epoch, from the log."""
        lines = [json.loads(line) for line in (folder / checkpoint.LOG).read_text(encoding="utf-8").splitlines()]
        metrics = [line["held_out"] for line in lines if "held_out" in line]
        for when, those in (("before", metrics[0]), ("after", metrics[-1])):
            values = [f"{name} {value:.3f}" for name, value in those.items() if not name.startswith("image_")]
            self.console.print(f"{when}: {', '.join(values)}", highlight=False, soft_wrap=True)

    def start_of(self, stage: str) -> tuple[Vita, Any, Preset]:
        """Model, tokenizer and preset that a stage starts from: public weights, or the previous stage."""
        torch.manual_seed(self.options.seed)
        preset = self.preset if self.teacher else self.options.preset
        before = preset.stages[stage].after
        if before:
            loaded = checkpoint.load(self.options.out / FOLDER_OF[before])
            self.same_settings(loaded.config, loaded.folder)
            towers = loaded.config.preset.towers  # public weights may have other sizes than the preset
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
        """Refuse a run with another split, seed or list of taxa: held-out samples would have been trained on."""
        checkpoint.require_same(
            folder,
            "use the same, or another --out",
            ("preset", self.options.preset.name, config.preset.name),
            ("held-out share", self.options.held_out, config.held_out),
            ("seed", self.options.seed, config.seed),
            ("list of taxa", tuple(taxon.scientific_name for taxon in self.data.manifest.taxa), config.taxa),
        )
        if self.teacher:
            same_teacher(config, self.preset.towers, folder)
        if self.trunk:
            started = getattr(config.preset.towers, "trunk", "")
            remedy = "leave out --audio, or use another --out or --restart"
            checkpoint.require_same(folder, remedy, ("audio trunk", self.trunk, started))

    def stage(self, name: str, model: Vita, bank: TextBank) -> Stage:
        """The stage, with its data decoded."""
        preset, device, material = self.preset, self.device, self.material
        if name == "base":
            return Base(model, preset.stages[name], bank, material.pictures("train"), device)
        if name == "2":
            with self.ranks.first_alone():
                photos, photo_taxon = material.photo_vectors(model, "train", device)
            sounds, seed = material.sounds("train"), self.options.seed
            return AudioTextImage(name, model, preset, bank, sounds, photos, photo_taxon, device, seed)
        with self.ranks.first_alone():
            vectors = bank.embed_cached(model.text, self.options.out, device)
        if self.teacher:
            names = F.normalize(vectors.mean(dim=0), dim=-1)
            sounds = material.sounds("every", max(preset.mel.rate_hz, self.teacher.rate_hz))
            return Student(name, model, self.teacher, preset, sounds, names)
        return AudioText(name, model, preset, bank, material.sounds("train"), vectors, device)

    def calibrate(self, stage: str, model: Vita, bank: TextBank) -> None:
        """Fit the decision parameters of a last stage on the held-out recordings and save them beside it."""
        if any(config.after == stage for config in self.options.preset.stages.values()):
            return
        if not len(self.data.held_recordings):
            return
        if self.teacher and not (len(self.data.recordings) and len(self.data.photos)):
            self.tell(
                "no decision parameters: they need photos and labelled recordings; run python -m trainer calibrate"
            )
            return
        if not model.pictured:
            self.tell("no decision parameters: they need photos, and there is no image tower")
            return
        if few := too_few(taxa_of(self.data.held_recordings)):
            self.tell(f"decision parameters are fitted on {few}; hold out more, or export with --uncalibrated")
        fitted = calibrated(model, bank, self.material, field_folder(), self.device)
        save(fitted, self.options.out / FOLDER_OF[stage])
        for name, values in fitted["metrics"].items():
            self.console.print(f"{name.replace('_', ' ')}: {values}", highlight=False)

    def evaluation(self, bank: TextBank) -> Callable[[Vita], dict[str, float]]:
        """Function that gives the metrics on the held-out split; for a student, its agreement with the teacher."""
        if self.teacher is None:
            return lambda trained: self.metrics(trained, bank)
        sounds = self.material.sounds("held", max(self.preset.mel.rate_hz, self.teacher.rate_hz))
        return Agreement(self.teacher, sounds, bank, self.data.manifest.taxa, self.preset).metrics

    def metrics(self, model: Vita, bank: TextBank) -> dict[str, float]:
        """Retrieval metrics on the held-out split, for the log."""
        photos = self.material.embedded_photos(model, "held", self.device)
        heard = hear(model.audio, self.material.sounds("held"), self.preset.cutting, self.device)
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
    """Load a checkpoint and the samples it held out; files that cannot be decoded are listed on stderr.

    Raises
    ------
    ConfigError
        When nothing was held out, or the data is not what the checkpoint was trained on.
    """
    threads = threads or available_cores()
    torch.set_num_threads(threads)
    loaded = checkpoint.load(folder)
    config = loaded.config
    if not config.held_out:
        raise ConfigError(f"{folder}: was trained on all data, nothing is held out", "name another checkpoint")
    split = open_data(data, media, taxa, config.held_out, config.seed, config.preset.names)
    if tuple(taxon.scientific_name for taxon in split.manifest.taxa) != config.taxa:
        raise ConfigError(f"{split.manifest.path}: has other taxa than {folder}", "name the data it was trained on")
    failed: list[str] = []

    def report(lines: Sequence[str]) -> None:
        failed.extend(lines)
        for line in lines:
            tell(line)

    report(split.manifest.missing)
    where = pick_device(device)
    material = Material(split, config.preset, folder.parent, threads, 0, report)
    bank = TextBank(split.manifest.taxa, loaded.tokenizer)
    return HeldOut(config, loaded.model.to(where), bank, split, material, where, failed)


def calibrated(
    model: Vita, bank: TextBank, material: Material, field: Path | None, device: torch.device
) -> dict[str, Any]:
    """Decision parameters of a model, fitted on the held-out recordings; see `trainer.calibrate.calibrate`.

    Parameters
    ----------
    field : folder of field noise; None for none
    """
    return calibrate(
        model,
        material.preset,
        list(material.data.manifest.taxa),
        bank,
        material.sounds("held"),
        material.embedded_photos(model, "train", device),
        material.sounds("few"),
        field_noise(field, material.preset.mel.rate_hz),
        device,
    )
