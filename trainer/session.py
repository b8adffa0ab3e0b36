"""From the command line to everything a stage needs: manifest, split, decoded data, tokenizer, model, device."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from gallery import prompts, read_taxa, starter_taxa
from trainer import checkpoint
from trainer.bank import TextBank
from trainer.calibrate import DECISION, calibrate, keep
from trainer.checkpoint import RunConfig
from trainer.errors import CheckpointError, ConfigError, DataError
from trainer.evaluate import embed_all, summary
from trainer.loop import Run, fit
from trainer.manifest import Manifest, Sample, default_manifest, hold_out, read_manifest, shared_folder
from trainer.models.text import learn_tokenizer
from trainer.models.vita import Vita
from trainer.pictures import PictureStore
from trainer.presets import STAGES, Preset, StageConfig, build
from trainer.sounds import SoundStore
from trainer.stages import AudioText, AudioTextImage, Base, Stage

FOLDER_OF = {"base": "base", "1": "stage1", "2": "stage2"}


@dataclass(frozen=True)
class Options:
    """What a person said."""

    preset: Preset
    data: Path | None
    taxa: Path | None
    out: Path
    pretrained: Path | None
    held_out: float
    seed: int
    device: str
    threads: int
    restart: bool


@dataclass(frozen=True)
class Data:
    """A manifest, split by source."""

    manifest: Manifest
    recordings: tuple[Sample, ...]
    photos: tuple[Sample, ...]
    held_recordings: tuple[Sample, ...]
    held_photos: tuple[Sample, ...]


def open_data(path: Path | None, taxa: Path | None, held_out: float, seed: int) -> Data:
    """Read and split a manifest; a share of the sources of every taxon with more than one is held out."""
    table = read_taxa(taxa) if taxa else starter_taxa()
    manifest = read_manifest(path or default_manifest(), table)
    recordings, held_recordings = hold_out(manifest.recordings, held_out, seed)
    photos, held_photos = hold_out(manifest.photos, held_out, seed)
    return Data(manifest, recordings, photos, held_recordings, held_photos)


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


def default_pretrained() -> Path:
    """Folder of the public weights beside the project.

    Raises
    ------
    CheckpointError
        When it is not there.
    """
    shared = shared_folder()
    if shared is None or not (shared / "pretrained").is_dir():
        raise CheckpointError("no public weights beside the project", "name their folder with --pretrained")
    return shared / "pretrained"


class Session:
    """One call of the trainer: decodes what is needed once, and trains stages with it.

    Attributes
    ----------
    failed : one line for each input that could not be used
    """

    def __init__(self, options: Options, console: Console) -> None:
        self.options, self.console = options, console
        self.device = pick_device(options.device)
        torch.set_num_threads(options.threads)
        self.data = open_data(options.data, options.taxa, options.held_out, options.seed)
        self.failed: list[str] = []
        self.report(self.data.manifest.missing)
        self._decoded: dict[str, Any] = {}

    def report(self, lines: Sequence[str]) -> None:
        """Say on stderr what could not be used."""
        self.failed += lines
        for line in lines:
            self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def sounds(self, which: str) -> SoundStore:
        """Decoded recordings, `train` or `held`."""
        key = f"sounds {which}"
        if key not in self._decoded:
            samples = self.data.recordings if which == "train" else self.data.held_recordings
            with self.console.status(f"decoding {len(samples)} recordings"):
                store = SoundStore(samples, self.options.preset.mel.rate_hz, threads=self.options.threads)
            self.report([*store.undecodable, *store.damaged])
            self._decoded[key] = store
        return self._decoded[key]

    def pictures(self, which: str) -> PictureStore:
        """Decoded photos, `train` or `held`."""
        key = f"pictures {which}"
        if key not in self._decoded:
            samples = self.data.photos if which == "train" else self.data.held_photos
            with self.console.status(f"decoding {len(samples)} photos"):
                store = PictureStore(samples, self.options.preset.image_size)
            self.report(store.undecodable)
            if which == "train" and not len(store):
                raise DataError(f"{self.data.manifest.path}: no photo to train on", "add rows with modality image")
            self._decoded[key] = store
        return self._decoded[key]

    def train(self, stage: str) -> None:
        """Train a stage; stage 1 first makes the base it stands on, when there is none.

        Raises
        ------
        ConfigError
            When the stage does not exist or an unfinished run of other settings lies in its folder.
        CheckpointError
            When the stage before is missing or was trained with other settings.
        """
        if stage not in STAGES:
            raise ConfigError(f"stage '{stage}' does not exist", f"choose {', '.join(STAGES)}")
        folder = self.options.out / FOLDER_OF[stage]
        if stage == "1" and not checkpoint.finished(self.options.out / FOLDER_OF["base"]):
            self.train("base")
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
            self.same_stage(begun.preset.stages[stage], self.options.preset.stages[stage], folder)
        model, tokenizer = self.start_of(stage)
        if fresh and folder.is_dir():  # only now: what is thrown away can be trained anew
            for path in folder.iterdir():
                path.unlink()
        config = RunConfig(
            preset=self.options.preset,
            stage=stage,
            data=self.data.manifest.path.name,
            held_out=self.options.held_out,
            seed=self.options.seed,
            taxa=tuple(taxon.scientific_name for taxon in self.data.manifest.taxa),
        )
        model.to(self.device)
        model.audio.bf16 = has_bf16(self.device)
        bank = TextBank(self.data.manifest.taxa, tokenizer)
        evaluate = (lambda trained: self.figures(trained, bank)) if self.data.held_recordings else None
        fit(model, self.stage(stage, model, bank), Run(folder, config, tokenizer, self.console, evaluate))
        self.calibrate(stage, model, bank)
        self.console.print(f"stage {stage} is in {folder}", highlight=False)

    def start_of(self, stage: str) -> tuple[Vita, Any]:
        """Model and tokenizer that a stage starts from: public weights for the base, else the stage before."""
        torch.manual_seed(self.options.seed)
        if stage == "base":
            texts = [text for taxon in self.data.manifest.taxa for text in prompts(taxon).values()]
            tokenizer = learn_tokenizer(texts, self.options.preset.text)
            return build(self.options.preset, self.options.pretrained or default_pretrained()), tokenizer
        before = checkpoint.load(self.options.out / FOLDER_OF[STAGES[STAGES.index(stage) - 1]])
        self.same_settings(before.config, before.folder)
        return before.model, before.tokenizer

    def same_settings(self, config: RunConfig, folder: Path) -> None:
        """Stages of one run share split, seed and taxa, else what was held out would have been trained on."""
        taxa = tuple(taxon.scientific_name for taxon in self.data.manifest.taxa)
        for name, own, theirs in (
            ("held-out share", self.options.held_out, config.held_out),
            ("seed", self.options.seed, config.seed),
            ("list of taxa", taxa, config.taxa),
        ):
            if own != theirs:
                raise CheckpointError(f"{folder}: was trained with another {name}", "use the same, or another --out")

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
        preset, device = self.options.preset, self.device
        if name == "base":
            return Base(model, preset, bank, self.pictures("train"), device)
        if name == "1":
            return AudioText(model, preset, bank, self.sounds("train"), device)
        return AudioTextImage(model, preset, bank, self.sounds("train"), self.pictures("train"), device)

    def calibrate(self, stage: str, model: Vita, bank: TextBank) -> None:
        """Fit the decision parameters of the last stage on the held-out recordings and keep them beside it."""
        if stage != STAGES[-1] or not self.data.held_recordings:
            return
        folder = self.options.out / FOLDER_OF[stage]
        fitted = calibrate(
            model,
            self.options.preset,
            list(self.data.manifest.taxa),
            bank,
            self.sounds("held"),
            self.pictures("train"),
            self.sounds("train"),
            self.device,
        )
        keep(fitted, folder)
        self.console.print(f"held out: {fitted['figures']['held_out']}", highlight=False)

    def figures(self, model: Vita, bank: TextBank) -> dict[str, float]:
        """Retrieval on the held-out split, for the log."""
        embedded = embed_all(
            model, bank, self.sounds("held"), self.pictures("held"), self.options.preset.window_s, self.device
        )
        return summary(embedded, self.data.manifest.taxa)


@dataclass(frozen=True)
class HeldOut:
    """A checkpoint with the recordings it was not trained on."""

    config: RunConfig
    model: Vita
    bank: TextBank
    data: Data
    sounds: SoundStore
    device: torch.device
    failed: tuple[str, ...]


def open_held_out(folder: Path, data: Path | None, taxa: Path | None, device: str, threads: int) -> HeldOut:
    """Load a checkpoint and decode the recordings it held out; what cannot be decoded is named on stderr.

    Raises
    ------
    ConfigError
        When nothing was held out, or the data is not what the checkpoint was trained on.
    """
    torch.set_num_threads(threads or cores())
    loaded = checkpoint.load(folder)
    config = loaded.config
    if not config.held_out:
        raise ConfigError(f"{folder}: was trained on everything, nothing is held out", "name another checkpoint")
    split = open_data(data, taxa, config.held_out, config.seed)
    if tuple(taxon.scientific_name for taxon in split.manifest.taxa) != config.taxa:
        raise ConfigError(f"{split.manifest.path}: has other taxa than {folder}", "name the data it was trained on")
    where = pick_device(device)
    sounds = SoundStore(split.held_recordings, config.preset.mel.rate_hz)
    failed = (*split.manifest.missing, *sounds.undecodable, *sounds.damaged)
    for line in failed:
        print(line, file=sys.stderr)
    bank = TextBank(split.manifest.taxa, loaded.tokenizer)
    return HeldOut(config, loaded.model.to(where), bank, split, sounds, where, failed)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
