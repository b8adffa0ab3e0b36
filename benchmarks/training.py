"""Training throughput compared with a straightforward loop: one machine, the same sizes, one run.

The straightforward loop is what one writes first: it decodes and resamples each recording as a whole, computes each
spectrogram with `ClapFeatureExtractor` on the CPU, runs the text tower on padded prompts in every step, and in
stage 2 the ViT-L on every photo. The other loop is this project's: a window is cut before it is resampled, the
spectrogram is part of the model, prompts are embedded once (stage 1) or without padding (stage 2), photos once.

    python benchmarks/training.py --batch 8 --steps 3
    python benchmarks/training.py --size small            # one minute, small towers

Weights are random: speed does not depend on them. What is computed once is timed separately. `waiting` is the share
of a step spent waiting for the next batch; the straightforward loop makes its batches itself, and all of that time
counts as waiting. Compare figures only within one run, not with a fixed limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from benchmarks.gpu_steps.card import bf16_peak  # noqa: E402
from edgeapp.board.machine import available_cores  # noqa: E402
from gallery import Taxon, prompts, starter_taxa  # noqa: E402
from trainer.bank import TextBank  # noqa: E402
from trainer.data.manifest import Sample, default_manifest, read_manifest  # noqa: E402
from trainer.data.samples import taxa_of  # noqa: E402
from trainer.data.stream import SoundFiles  # noqa: E402
from trainer.data.vectors import VectorStore  # noqa: E402
from trainer.groups import Groups  # noqa: E402
from trainer.loop import Step  # noqa: E402
from trainer.models.bioclip import clip_tokenizer  # noqa: E402
from trainer.models.biovita import FULL, ClapBioclip, build_biovita  # noqa: E402
from trainer.models.text import tokenize  # noqa: E402
from trainer.models.vita import Vita  # noqa: E402
from trainer.optimize import freeze_others, train_mode  # noqa: E402
from trainer.presets import BIOVITA, Preset  # noqa: E402
from trainer.ranks import Ranks  # noqa: E402
from trainer.session import has_bf16, pick_device  # noqa: E402
from trainer.stages import AudioText, AudioTextImage  # noqa: E402

SMALL_CLIP = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 128, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
SMALL = replace(FULL, clip=SMALL_CLIP, dim=64)
STAGES = ("1", "2")
STRAIGHTFORWARD, OWN = "straightforward", "this project"


@dataclass(frozen=True)
class Loop:
    """Measurement of one loop in one stage."""

    stage: str
    way: str
    samples_per_s: float
    gflop_per_sample: float  # of the towers, without decoding
    waiting: float  # share of the step time
    loss: float

    @property
    def tflop_per_s(self) -> float:
        return self.samples_per_s * self.gflop_per_sample / 1e3


@dataclass(frozen=True)
class Setting:
    """What both loops share."""

    preset: Preset
    taxa: Sequence[Taxon]
    recordings: list[Sample]
    photos: list[Sample]
    bank: TextBank
    device: torch.device
    batch: int
    steps: int
    workers: int


@dataclass
class Waiting:
    """Context manager that adds up the seconds spent inside it."""

    seconds: float = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        self.seconds += time.perf_counter() - self._began


def straightforward(setting: Setting, model: Vita, stage: str, waiting: Waiting) -> Callable[[], float]:
    """The step function of the straightforward loop; it returns the loss."""
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(
        truncation="rand_trunc", padding="repeatpad", max_length_s=round(setting.preset.window_s)
    )
    rate_hz, samples = setting.preset.mel.rate_hz, setting.preset.window_samples
    tokenizer = clip_tokenizer(setting.preset.context)
    taxa = setting.taxa
    rng = np.random.default_rng(0)
    learning = [*model.audio.parameters(), model.logit_scale, *(model.text.parameters() if stage == "2" else ())]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in learning:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(learning, lr=1e-4, weight_decay=0.05)
    audio: Any = model.audio
    by_taxon: dict[int, list[Sample]] = {}
    for photo in setting.photos:
        by_taxon.setdefault(photo.taxon, []).append(photo)

    def features(sample: Sample) -> Tensor:
        sound, rate = soundfile.read(sample.path, dtype="float32", always_2d=True)
        whole = soxr.resample(sound.mean(axis=1), rate, rate_hz)
        start = int(rng.integers(max(1, len(whole) - samples + 1)))
        window = whole[start : start + samples]
        window = np.pad(window, (0, samples - len(window)))
        return extractor(window, sampling_rate=rate_hz, return_tensors="pt")["input_features"][0]

    def step() -> float:
        with waiting:
            rows = [setting.recordings[int(row)] for row in rng.choice(len(setting.recordings), setting.batch)]
            heard = torch.stack([features(sample) for sample in rows]).to(setting.device)
            texts = [str(rng.choice(list(prompts(taxa[sample.taxon]).values()))) for sample in rows]
            tokens = tokenize(tokenizer, texts).to(setting.device)
        audio.train()
        with torch.autocast(setting.device.type, torch.bfloat16, enabled=has_bf16(setting.device)):
            vectors = F.normalize(audio.adapter(audio.clap(input_features=heard).audio_embeds.float()), dim=-1)
            with torch.set_grad_enabled(stage == "2"):
                names = model.text(tokens)
            pairs = [(vectors, names)]
            if stage == "2":
                with waiting:
                    shown = [by_taxon.get(sample.taxon, setting.photos)[0] for sample in rows]
                    pixels = torch.stack([pixels_of(photo, setting.preset.image_size) for photo in shown])
                with torch.no_grad():
                    pictures = model.image(pixels.to(setting.device))
                pairs += [(vectors, pictures), (pictures, names)]
        diagonal = torch.arange(setting.batch, device=setting.device)
        loss = torch.zeros((), device=setting.device)
        for one, other in pairs:
            logits = Vita.scale(model.logit_scale) * one.float() @ other.float().t()
            loss = loss + (F.cross_entropy(logits, diagonal) + F.cross_entropy(logits.t(), diagonal)) / 2
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def pixels_of(sample: Sample, size: int) -> Tensor:
    """Pixels [3, size, size] of a photo, decoded in every step."""
    with Image.open(sample.path) as photo:
        small = photo.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(small, np.float32).transpose(2, 0, 1).copy())


def own(
    setting: Setting, model: Vita, stage: str, waiting: Waiting, folder: Path, once: dict[str, float]
) -> Callable[[], float]:
    """The step function of this project's loop, which returns the loss; what is computed once is recorded in `once`."""
    preset = replace(
        setting.preset, stages={s: replace(c, batch=setting.batch) for s, c in setting.preset.stages.items()}
    )
    sounds = SoundFiles(setting.recordings, preset.mel.rate_hz, setting.workers)
    model.eval()
    began = time.perf_counter()
    if stage == "1":
        vectors = setting.bank.embed_cached(model.text, folder, setting.device)
        once["prompts_per_s"] = setting.bank.taxa * len(vectors) / (time.perf_counter() - began)
        made: AudioText | AudioTextImage = AudioText("1", model, preset, setting.bank, sounds, vectors, setting.device)
    else:
        photos = VectorStore.open_or_build(
            folder / "photos",
            key="benchmark",
            samples=setting.photos,
            embed=lambda pixels: model.image(pixels.to(setting.device)),
            dim=model.dim,
            size=preset.image_size,
            workers=setting.workers,
            batch=setting.batch,
        )
        once["photos_per_s"] = len(setting.photos) / (time.perf_counter() - began)
        of = taxa_of(setting.photos)
        made = AudioTextImage("2", model, preset, setting.bank, sounds, photos, of, setting.device)
    freeze_others(model, made)
    optimizer = Groups(made).optimizer
    model.audio.bf16 = has_bf16(setting.device)
    loop = Step(model, made)
    train_mode(model, made)
    rng, generator = np.random.default_rng(0), torch.Generator(device=setting.device).manual_seed(0)
    plan = [rng.choice(len(setting.recordings), setting.batch).tolist() for _ in range(setting.steps + 1)]
    feed = made.feed(plan, 0, Ranks())

    def step() -> float:
        with waiting:
            batch = next(feed)
        loss, _ = loop(batch, 1.0, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def measured(setting: Setting, model: Vita, stage: str, way: str, once: dict[str, float]) -> Loop:
    """Measure one loop in one stage, over the steps after the first.

    Parameters
    ----------
    model : on the device of the setting; its weights are changed
    once : receives the throughput of what this project computes once
    """
    waiting = Waiting()
    with tempfile.TemporaryDirectory() as folder:
        if way == STRAIGHTFORWARD:
            step = straightforward(setting, model, stage, waiting)
        else:
            step = own(setting, model, stage, waiting, Path(folder), once)
        with FlopCounterMode(display=False) as counted:
            step()
        waiting.seconds = 0.0
        seconds, loss = [], 0.0
        for _ in range(setting.steps):
            began = time.perf_counter()
            loss = step()
            if setting.device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
    rate = setting.batch / statistics.median(seconds)
    gflop = counted.get_total_flops() / setting.batch / 1e9
    return Loop(stage, way, rate, gflop, waiting.seconds / sum(seconds), loss)


def row_of(loops: list[Loop], peak: float) -> str:
    """The last loop as a table row, compared with the straightforward loop of its stage."""
    loop = loops[-1]
    times = loop.samples_per_s / next(one.samples_per_s for one in loops if one.stage == loop.stage)
    figures = f"{loop.samples_per_s:.3f} | {times:.1f} | {loop.gflop_per_sample:.0f} | {loop.tflop_per_s:.3f}"
    shares = f"{loop.tflop_per_s / peak:.1%} | {loop.waiting:.1%}"
    return f"| {loop.stage} | {loop.way} | {figures} | {shares} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("full", "small"), default="full")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--photos", type=int, default=16, help="number of photos to embed")
    parser.add_argument("--workers", type=int, default=1, help="decoding processes")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    towers: ClapBioclip = FULL if args.size == "full" else SMALL
    preset = replace(BIOVITA, towers=towers)
    table = starter_taxa()
    manifest = read_manifest(default_manifest(), table)
    rows = {taxon.scientific_name: row for row, taxon in enumerate(table)}
    there = [rows[taxon.scientific_name] for taxon in manifest.taxa]
    recordings = [replace(sample, taxon=there[sample.taxon]) for sample in manifest.recordings]
    photos = [replace(sample, taxon=there[sample.taxon]) for sample in manifest.photos]
    photos = photos[: args.photos]
    shown = {photo.taxon for photo in photos}
    recordings = [sample for sample in recordings if sample.taxon in shown]
    device = pick_device(args.device)
    setting = Setting(
        preset,
        table,
        recordings,
        photos,
        TextBank(table, clip_tokenizer()),
        device,
        args.batch,
        args.steps,
        args.workers,
    )
    peak = bf16_peak(device)
    loops: list[Loop] = []
    once: dict[str, float] = {}
    if not args.json:
        print(f"{args.size}, batch {args.batch}, {device.type}, {available_cores()} cores, torch {torch.__version__}")
        print(f"{peak:.2f} TFLOP/s reached by a large bfloat16 matrix product on this machine")
        print("| stage | loop | samples per second | speed-up | GFLOP per sample | TFLOP/s | of that peak | waiting |")
        print("|---|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for stage in STAGES:
        for way in (STRAIGHTFORWARD, OWN):
            torch.manual_seed(0)
            model = build_biovita(towers).to(device)
            loops.append(measured(setting, model, stage, way, once))
            del model
            if not args.json:
                print(row_of(loops, peak), flush=True)
    if args.json:
        told = {"size": args.size, "peak_tflop_per_s": peak, "loops": [asdict(loop) for loop in loops], "once": once}
        print(json.dumps(told, indent=1))
        return
    print("once: " + ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in once.items()))


if __name__ == "__main__":
    main()
