"""Presets: every size and hyper-parameter of a model and its stages, one line each with a short reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeapp.audio.windows import HOP_S, REPEAT, ZERO
from trainer.augment import AugmentConfig
from trainer.errors import ConfigError
from trainer.families.registry import towers_from_dict
from trainer.frontend import LogMelConfig
from trainer.models.biovita import FULL
from trainer.models.sizes import Towers, tuples
from trainer.models.starter import StarterTowers
from trainer.models.trunk import TrunkTowers

DISTILL = "distill"  # the stage of text distillation
STUDENT = "student"  # the stage that makes a small audio tower of a large one
FOLDER_OF = {"base": "base", "1": "stage1", "2": "stage2", DISTILL: DISTILL, STUDENT: STUDENT}


@dataclass(frozen=True)
class StageConfig:
    """How one stage is trained."""

    epochs: int
    batch: int  # of one process
    lr: float  # of the parts that start from nothing
    trunk_lr: float  # of the pretrained parts
    after: str = ""  # the stage whose weights it starts from; none: public weights
    weight_decay: float = 0.05  # both papers
    schedule: str = "cosine"  # or constant, as the papers
    warmup: float = 0.05  # share of the steps; then a cosine to zero, or a constant
    smoothing: float = 0.1  # share of the target spread over all candidates
    clip: float = 1.0  # largest gradient norm; 0 is none
    ema: float = 0.995  # weight averaging: the average is what is evaluated and kept; 0 is none
    most_per_taxon: int = 20  # recordings of a species and epoch (both papers)
    least_per_taxon: int = 3  # the rare ones are drawn again, as in the released code, which takes 5
    candidates: str = "bank"  # what a sample is compared with: the names of all taxa, or those of its batch
    positives: str = "taxon"  # in a batch: all samples of the same taxon, or the paper's plain diagonal
    ridge: bool = False  # begin stage 1 and end stage 2 with projections in closed form
    spread: float = 0.0  # weight of the squared cosines between the names of different taxa, base
    lambda_top: float = 0.1  # of AIC + ITC, stage 2
    lambda_epochs: float = 2.0  # over which lambda grows from 0
    mix_epochs: int = (
        0  # released code, stage 2: epochs of 0.8 ATC + 0.2 AIC with the text tower at rest, before the rest
    )
    gate: bool = False  # released code, stage 2: AIC and ITC pause while ATC is worse than at the start
    temperature: float = 0.0  # fixed, as the released code's 0.2 in stage 2; 0 is learned from 0.07
    mixed: float = 0.0  # share of the windows in which two recordings sound at once, student
    bf16: bool = True  # bfloat16 arithmetic in the audio tower where the processor has it
    augment: AugmentConfig | None = None


@dataclass(frozen=True)
class Preset:
    """A model and its stages."""

    name: str
    window_s: float
    streamed: bool  # recordings and photo vectors are read from disk as they are needed; else all is in memory
    towers: Towers
    stages: dict[str, StageConfig]
    hop_s: float = HOP_S  # between windows, where recordings are evaluated and on the device
    pad: str = REPEAT  # how a recording shorter than a window fills it: repeat, or zero behind it

    @property
    def dim(self) -> int:
        return self.towers.dim

    @property
    def mel(self) -> LogMelConfig:
        return self.towers.mel

    @property
    def context(self) -> int:
        """Tokens of a prompt."""
        return self.towers.context

    @property
    def image_size(self) -> int:
        """Side of a picture in pixels."""
        return self.towers.image_size

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.mel.rate_hz)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


AUGMENT = AugmentConfig()
# What a student hears beside its teacher: the same animal through wind and other microphones, at its own pitch.
DISTURB = AugmentConfig(speed=0.0, mixup_share=0.0, only_noise_share=0.0)
# What both hear where they have the same spectrogram: each change is one more question, and the teacher answers it.
TOGETHER = AugmentConfig(mixup_share=0.0, only_noise_share=0.06, time_masks=0, mel_masks=0)

STARTER = Preset(
    name="starter",
    window_s=10.0,
    streamed=False,
    towers=StarterTowers(),
    stages={
        "base": StageConfig(epochs=12, batch=16, lr=2e-3, trunk_lr=2e-4, spread=40.0),
        "1": StageConfig(epochs=22, batch=32, lr=1e-3, trunk_lr=5e-4, after="base", ridge=True, augment=AUGMENT),
        # half the rate of stage 1, as the paper
        "2": StageConfig(epochs=8, batch=32, lr=5e-4, trunk_lr=2.5e-4, after="1", ridge=True, augment=AUGMENT),
        DISTILL: StageConfig(epochs=22, batch=32, lr=1e-3, trunk_lr=5e-4, after="base", augment=AUGMENT),
        STUDENT: StageConfig(epochs=12, batch=32, lr=1e-3, trunk_lr=5e-4, mixed=0.5, augment=DISTURB),
    },
)

# BioVITA as the paper has it: constant rate, no smoothing, no clipping, no averaging, contrast within the batch.
PAPER = StageConfig(
    epochs=30,
    batch=64,
    lr=1e-4,
    trunk_lr=1e-4,
    schedule="constant",
    warmup=0.0,
    smoothing=0.0,
    clip=0.0,
    ema=0.0,
    least_per_taxon=5,
    candidates="batch",
)

BIOVITA = Preset(
    name="biovita",
    window_s=10.0,
    streamed=True,
    towers=FULL,
    stages={
        "1": PAPER,
        "2": dataclasses.replace(PAPER, epochs=10, lr=5e-5, trunk_lr=5e-5, after="1"),
        DISTILL: PAPER,
    },
)

# Names in the space of a classifier: from the best ridge regression, gently; more epochs only fit the known names.
NAMES = StageConfig(
    epochs=4,
    batch=512,
    lr=1e-4,
    trunk_lr=0.0,
    smoothing=0.1,
    ridge=True,
    bf16=False,
)

# Photos in the space of a classifier: from the photo network's own last layer, gently.
PHOTOS = StageConfig(
    epochs=5,
    batch=16,
    lr=5e-4,
    trunk_lr=2e-5,
    after="1",
    weight_decay=0.01,
    smoothing=0.0,
    ema=0.98,
    most_per_taxon=4,
    least_per_taxon=1,
    lambda_top=0.3,
    temperature=0.033,
    bf16=False,
)

BIRDNET = Preset(
    name="birdnet",
    window_s=3.0,
    streamed=False,
    towers=TrunkTowers(),
    stages={"1": NAMES, "2": PHOTOS},
    hop_s=1.5,
    pad=ZERO,
)

# Any pack whose gallery has class vectors: space, rate and windows are the pack's.
TRUNK = dataclasses.replace(BIRDNET, name="trunk")

PRESETS = {preset.name: preset for preset in (STARTER, BIRDNET, BIOVITA, TRUNK)}


def find_preset(name: str) -> Preset:
    """Preset by name.

    Raises
    ------
    ConfigError
        When there is none of that name.
    """
    if name not in PRESETS:
        *names, last = PRESETS
        raise ConfigError(f"preset '{name}' does not exist", f"choose {', '.join(names)} or {last}")
    return PRESETS[name]


def with_towers(preset: Preset, towers: Towers) -> Preset:
    """The preset with other towers, and with the windows that they ask for where they ask for any."""
    asked = {name: getattr(towers, name) for name in ("window_s", "hop_s", "pad") if hasattr(towers, name)}
    return dataclasses.replace(preset, towers=towers, **asked)


CHOICES = {"schedule": ("cosine", "constant"), "candidates": ("bank", "batch"), "positives": ("taxon", "diagonal")}
FIXED = ("after", "augment")


def with_settings(preset: Preset, stage: str, settings: Sequence[str]) -> Preset:
    """The preset with settings of one stage changed, each given as name=value.

    Raises
    ------
    ConfigError
        When a setting does not exist or its value is none.
    """
    changed: dict[str, Any] = {}
    types = {field.name: type(getattr(preset.stages[stage], field.name)) for field in dataclasses.fields(StageConfig)}
    names = [name for name in types if name not in FIXED]
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in names:
            raise ConfigError(f"--set {setting}: no such setting", f"write name=value with one of {', '.join(names)}")
        changed[name] = parsed(setting, types[name], value)
        if name in CHOICES and value not in CHOICES[name]:
            raise ConfigError(f"--set {setting}: no such choice", f"choose {' or '.join(CHOICES[name])}")
    stages = {**preset.stages, stage: dataclasses.replace(preset.stages[stage], **changed)}
    return dataclasses.replace(preset, stages=stages)


def parsed(setting: str, kind: type, value: str) -> Any:
    """A setting's value as the type of the one it replaces; numbers are not negative."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        if kind in (int, float):
            number = kind(value)
            if not 0 <= number < float("inf"):
                raise ValueError
            return number
    except (KeyError, ValueError):
        wanted = {bool: "true or false", int: "a whole number from 0", float: "a number from 0"}[kind]
        raise ConfigError(f"--set {setting}: the value is not {wanted}", "correct it") from None
    return value


def preset_from_dict(values: dict[str, Any]) -> Preset:
    """Preset as stored beside a checkpoint; the inverse of `Preset.to_dict`."""
    stages = {
        name: StageConfig(**{**stage, "augment": stage["augment"] and AugmentConfig(**tuples(stage["augment"]))})
        for name, stage in values["stages"].items()
    }
    return Preset(**{**values, "towers": towers_from_dict(values["towers"]), "stages": stages})
