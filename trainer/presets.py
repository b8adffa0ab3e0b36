"""Presets: all sizes and hyper-parameters of a model and its stages, one line each with a short reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeapp.audio.centred import KEPT, OFFSETS, REMOVED
from edgeapp.audio.cutting import BEGINNING, ONSET, STARTS, Cutting
from edgeapp.audio.resample import RESAMPLERS, SINC, SOXR
from edgeapp.audio.windows import HOP_S, MIN_CLIP_S, PADS, REPEAT, ZERO
from trainer.augment import AugmentConfig
from trainer.errors import ConfigError
from trainer.families.registry import towers_from_dict
from trainer.frontend import LogMelConfig
from trainer.models.biovita import FULL
from trainer.models.sizes import Towers, tuples
from trainer.models.starter import StarterTowers
from trainer.models.trunk import TrunkTowers
from trainer.official import OFFICIAL, with_official

DISTILL = "distill"  # the stage of text distillation
STUDENT = "student"  # the stage that distils a large audio tower into a small one
FOLDER_OF = {"base": "base", "1": "stage1", "2": "stage2", DISTILL: DISTILL, STUDENT: STUDENT}


@dataclass(frozen=True)
class StageConfig:
    """How one stage is trained."""

    epochs: int  # 0 keeps what the stage starts from
    batch: int  # of one process
    lr: float  # of modules with random weights
    trunk_lr: float  # of pretrained modules
    after: str = ""  # the stage that it starts from; empty for public weights
    weight_decay: float = 0.05  # both papers
    schedule: str = "cosine"  # or constant, as in the papers
    warmup: float = 0.05  # share of the steps
    smoothing: float = 0.1  # share of the target spread over all candidates
    clip: float = 1.0  # maximum gradient norm; 0 is none
    ema: float = 0.995  # decay of the averaged weights, which are evaluated and saved; 0 is none
    most_per_taxon: int = 20  # maximum number of recordings of a species per epoch (both papers)
    least_per_taxon: int = 3  # minimum, drawn with replacement; the released code has 5
    candidates: str = "bank"  # names that a sample is compared with: of all taxa (bank) or of its batch
    positives: str = "taxon"  # in a batch: all samples of the same taxon, or only the diagonal (paper)
    ridge: bool = False  # start stage 1 and end stage 2 with projections by ridge regression
    spread: float = 0.0  # weight of the squared cosines between the names of different taxa, base
    lambda_top: float = 0.1  # of AIC + ITC, stage 2
    lambda_epochs: float = 2.0  # over which lambda rises from 0
    mix_epochs: int = 0  # released code, stage 2: first epochs of 0.8 ATC + 0.2 AIC with a frozen text tower
    gate: bool = False  # released code, stage 2: AIC and ITC pause while ATC is worse than at the start
    temperature: float = 0.0  # fixed, such as 0.2 in stage 2 of the released code; 0 learns it from 0.07
    mix_lr: float = 0.0  # of everything while mixing; 0 is as afterwards
    mix_text: bool = False  # while mixing, train positions, last norm and projection of the text tower
    mix_scale: bool = False  # learn the logit scale while mixing, if the temperature is fixed afterwards
    clamp_scale: bool = True  # limit the logit scale to 100
    gather: str = "all"  # whose vectors have a gradient in the joint loss: of all processes, or local
    beta1: float = 0.9  # of AdamW
    beta2: float = 0.999  # of AdamW, after mixing
    eps: float = 1e-8  # of AdamW
    decay_norms: str = "never"  # weight decay of norms, biases and scales: never, always or (while) mixing
    reset_optimizer: bool = False  # forget the moments of AdamW when mixing ends
    text_lr: float = 0.0  # of the text tower, stage 2; 0 is trunk_lr
    text_weight_decay: float = 0.0  # of the text tower, stage 2; 0 is weight_decay
    trunk_weight_decay: float = 0.0  # of the pretrained audio tower; 0 is weight_decay
    unfreeze_step: int = 0  # steps after mixing until the pretrained audio tower is trained
    unfreeze: str = ""  # parts of the names of its parameters that are trained then, with commas; empty is all
    aic_steps: int = 0  # over which the weight of AIC rises, instead of lambda_epochs
    itc_steps: int = 0  # over which the weight of ITC rises, instead of lambda_epochs
    triplets: str = "drawn"  # in every epoch, or fixed: drawn once, with one prompt for each species
    most_photos: int = 0  # maximum number of photos of a species, its first; 0 is all
    photoless: str = "keep"  # species without photos in stage 2, for ATC alone, or drop them
    native_frames: bool = False  # cut as many frames at a recording's own rate as a window has, see Shape
    batch_statistics: bool = False  # update the statistics of batch norm in the audio tower
    mixed: float = 0.0  # share of the windows mixed with another recording, student
    bf16: bool = True  # bfloat16 in the audio tower if the hardware supports it
    augment: AugmentConfig | None = None


@dataclass(frozen=True)
class Preset:
    """A model and its stages."""

    name: str
    window_s: float
    streamed: bool  # whether recordings and photo vectors are read from disk as needed, or all are in memory
    towers: Towers
    stages: dict[str, StageConfig]
    hop_s: float = HOP_S  # between windows, in evaluation and on the device
    pad: str = REPEAT  # how a recording shorter than a window fills it: repeat or zero
    start: str = BEGINNING  # where recordings are heard from outside of training: beginning or onset
    resampler: str = SOXR  # soxr or sinc, as torchaudio
    min_clip_s: float = MIN_CLIP_S  # the shortest sound heard outside of training
    names: str = "accepted"  # that taxa have: accepted, or as given in the column scientific_name
    offset: str = REMOVED  # whether a constant offset is removed outside of training, or kept

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

    @property
    def cutting(self) -> Cutting:
        """How recordings become windows outside of training."""
        rate_hz, length = self.mel.rate_hz, self.window_s
        return Cutting(rate_hz, length, self.hop_s, self.pad, self.start, self.resampler, self.min_clip_s, self.offset)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


AUGMENT = AugmentConfig()
# For the student only, while the teacher gets the clean sound: noise, microphones and masks, at the same pitch.
AUGMENT_STUDENT = AugmentConfig(speed=0.0, mixup_share=0.0, only_noise_share=0.0)
# For both, if teacher and student have the same spectrogram: the teacher gives the target of the augmented sound.
AUGMENT_BOTH = AugmentConfig(mixup_share=0.0, only_noise_share=0.06, time_masks=0, mel_masks=0)

STARTER = Preset(
    name="starter",
    window_s=10.0,
    streamed=False,
    towers=StarterTowers(),
    stages={
        "base": StageConfig(epochs=12, batch=16, lr=2e-3, trunk_lr=2e-4, spread=40.0),
        "1": StageConfig(epochs=22, batch=32, lr=1e-3, trunk_lr=5e-4, after="base", ridge=True, augment=AUGMENT),
        # half the rate of stage 1, as in the paper
        "2": StageConfig(epochs=8, batch=32, lr=5e-4, trunk_lr=2.5e-4, after="1", ridge=True, augment=AUGMENT),
        DISTILL: StageConfig(epochs=22, batch=32, lr=1e-3, trunk_lr=5e-4, after="base", augment=AUGMENT),
        STUDENT: StageConfig(epochs=12, batch=32, lr=1e-3, trunk_lr=5e-4, mixed=0.5, augment=AUGMENT_STUDENT),
    },
)

# BioVITA as in the paper: constant rate, no smoothing, no clipping, no averaging, candidates of the batch.
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

# How the published weights are tried by their authors: 10 s from the onset of any sound, followed by silence.
HEARD_AS_PUBLISHED: dict[str, Any] = {
    "pad": ZERO,
    "start": ONSET,
    "resampler": SINC,
    "min_clip_s": 0.05,
    "offset": KEPT,
}

# Names in the space of a classifier, from a ridge regression at a low rate; more epochs overfit the known names.
NAMES = StageConfig(
    epochs=4,
    batch=512,
    lr=1e-4,
    trunk_lr=0.0,
    ridge=True,
    bf16=False,
)

# Photos in the space of a classifier: the photo network's own last layer as it is placed. Epochs tune it at a low rate;
# three did not help species without photos.
PHOTOS = StageConfig(
    epochs=0,
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

# Any pack with class vectors; space, sampling rate and windows are the pack's.
TRUNK = dataclasses.replace(BIRDNET, name="trunk")

PRESETS = {preset.name: preset for preset in (STARTER, BIRDNET, BIOVITA, TRUNK)}


def find_preset(name: str) -> Preset:
    """Preset by name.

    Raises
    ------
    ConfigError
        When the preset does not exist.
    """
    if name not in PRESETS:
        *names, last = PRESETS
        raise ConfigError(f"preset '{name}' does not exist", f"choose {', '.join(names)} or {last}")
    return PRESETS[name]


def with_towers(preset: Preset, towers: Towers) -> Preset:
    """The preset with other towers, and with their windows if they define any."""
    windows = {name: getattr(towers, name) for name in ("window_s", "hop_s", "pad") if hasattr(towers, name)}
    return dataclasses.replace(preset, towers=towers, **windows)


CHOICES = {
    "schedule": ("cosine", "constant"),
    "candidates": ("bank", "batch"),
    "positives": ("taxon", "diagonal"),
    "gather": ("all", "local"),
    "decay_norms": ("never", "always", "mixing"),
    "triplets": ("drawn", "fixed"),
    "photoless": ("keep", "drop"),
}
OF_PRESET = {
    "pad": PADS,
    "start": STARTS,
    "resampler": RESAMPLERS,
    "offset": OFFSETS,
    "names": ("accepted", "given"),
}
FIXED = ("after", "augment")


def with_settings(preset: Preset, stage: str, settings: Sequence[str]) -> Preset:
    """The preset with changed settings of one stage, each given as name=value.

    Raises
    ------
    ConfigError
        When a setting does not exist or its value is invalid.
    """
    changed: dict[str, Any] = {}
    of_preset: dict[str, Any] = {}
    types = {field.name: type(getattr(preset.stages[stage], field.name)) for field in dataclasses.fields(StageConfig)}
    names = [name for name in types if name not in FIXED]
    for setting in with_official(preset.name, stage, list(settings)):
        name, equals, value = setting.partition("=")
        if not equals or name not in (*names, *OF_PRESET):
            every = ", ".join((*names, *OF_PRESET, OFFICIAL))
            raise ConfigError(f"--set {setting}: no such setting", f"write name=value with one of {every}")
        choices = {**CHOICES, **OF_PRESET}.get(name)
        if choices and value not in choices:
            raise ConfigError(f"--set {setting}: no such choice", f"choose {' or '.join(choices)}")
        if name in OF_PRESET:
            of_preset[name] = value
        else:
            changed[name] = parsed(setting, types[name], value)
    config = dataclasses.replace(preset.stages[stage], **changed)
    if config.mix_epochs and config.mix_epochs >= config.epochs:
        raise ConfigError(
            f"--set mix_epochs={config.mix_epochs}: leaves none of {config.epochs} epochs to align names and photos",
            f"give more than {config.mix_epochs} with --epochs",
        )
    if config.triplets == "fixed" and config.candidates == "bank":
        raise ConfigError("--set triplets=fixed: has no effect with candidates=bank", "add --set candidates=batch")
    if config.native_frames and not preset.streamed:
        raise ConfigError(f"--set native_frames=true: has no effect with preset {preset.name}", "leave it out")
    return dataclasses.replace(preset, stages={**preset.stages, stage: config}, **of_preset)


def parsed(setting: str, kind: type, value: str) -> Any:
    """The value of a setting in the type of its default; numbers must not be negative."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        if kind in (int, float):
            number = kind(value)
            if not 0 <= number < float("inf"):
                raise ValueError
            return number
    except (KeyError, ValueError):
        wanted = {bool: "true or false", int: "an integer of at least 0", float: "a number of at least 0"}[kind]
        raise ConfigError(f"--set {setting}: the value is not {wanted}", "correct it") from None
    return value


def preset_from_dict(values: dict[str, Any]) -> Preset:
    """Preset as stored with a checkpoint; the inverse of `Preset.to_dict`."""
    stages = {
        name: StageConfig(**{**stage, "augment": stage["augment"] and AugmentConfig(**tuples(stage["augment"]))})
        for name, stage in values["stages"].items()
    }
    return Preset(**{**values, "towers": towers_from_dict(values["towers"]), "stages": stages})
