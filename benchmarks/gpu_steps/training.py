"""Training of `biovita`: this project's loop compared with the straightforward one, by stage, with random weights."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.gpu_steps.card import bf16_peak, device_of, shares
from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Report
from benchmarks.gpu_steps.sounds import photo_files, sound_files
from benchmarks.gpu_steps.towers import preset_of
from benchmarks.training import OWN, STAGES, STRAIGHTFORWARD, Setting, measured
from edgeapp.board.machine import available_cores
from gallery import starter_taxa
from trainer.bank import TextBank
from trainer.data.manifest import Sample
from trainer.models.bioclip import clip_tokenizer
from trainer.models.biovita import build_biovita
from trainer.models.vita import Vita

ASKED = {"1": 3.0, "2": 10.0}  # target: times the straightforward loop
MOST_WORKERS = 16
# The first steps of this project's loop use batches that its workers have prefetched: on a GPU, many more are timed.
STEPS = {"cuda": {STRAIGHTFORWARD: 3, OWN: 20}, "cpu": {STRAIGHTFORWARD: 2, OWN: 2}}


def run(settings: Settings, report: Report) -> None:
    """Measure both loops in both stages."""
    torch.backends.cudnn.allow_tf32 = False  # as the trainer has it
    with tempfile.TemporaryDirectory() as folder:
        with report.measuring("data and model") as figures:
            setting, figures["sounds"] = setting_of(settings, Path(folder))
            figures |= {"batch": setting.batch, "processes_that_decode": setting.workers}
            torch.manual_seed(0)
            model = build_biovita(setting.preset.towers)  # type: ignore[arg-type]  # the preset is biovita's
            start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            model.to(setting.device)
            peak = bf16_peak(setting.device, 256 if settings.tiny else None)
            figures["parameters_M"] = round(sum(p.numel() for p in model.parameters()) / 1e6, 1)
        if report.rows[-1].status != "done":
            return
        for stage in STAGES:
            rates: dict[str, float] = {}
            for way in (STRAIGHTFORWARD, OWN):
                with report.measuring(f"stage {stage}, {way}") as figures:
                    again(model, start)
                    steps = 1 if settings.tiny else STEPS[settings.device][way]
                    once: dict[str, float] = {}
                    loop = measured(replace(setting, steps=steps), model, stage, way, once)
                    rates[way] = loop.samples_per_s
                    figures |= {"samples_per_s": loop.samples_per_s, "gflop": loop.gflop_per_sample}
                    figures |= shares(loop.tflop_per_s, peak, setting.device)
                    figures["waiting"] = loop.waiting
                    if way == OWN:
                        figures |= {name: round(value, 2) for name, value in once.items()}
                    if way == OWN and STRAIGHTFORWARD in rates:
                        figures |= {"ratio": rates[OWN] / rates[STRAIGHTFORWARD], "asked": ASKED[stage]}


def setting_of(settings: Settings, folder: Path) -> tuple[Setting, str]:
    """Settings of both loops, and a description of the sounds."""
    device, preset = device_of(settings), preset_of(settings)
    taxa = starter_taxa()[:6] if settings.tiny else starter_taxa()
    sounds, said = sound_files(settings, folder, 6 if settings.tiny else 192)
    photos = photo_files(settings, folder, 6 if settings.tiny else 128)

    def samples(paths: list[Path]) -> list[Sample]:
        shown = min(len(taxa), len(photos))  # every species with a recording has a photo
        return [Sample(path, row % shown, ("benchmark", str(row))) for row, path in enumerate(paths)]

    batch = 2 if settings.tiny else 64 if settings.device == "cuda" else 8
    workers = 1 if settings.tiny else max(1, min(MOST_WORKERS, available_cores() - 1))
    bank = TextBank(taxa, clip_tokenizer(preset.context))
    return Setting(preset, taxa, samples(sounds), samples(photos), bank, device, batch, 1, workers), said


def again(model: Vita, start: dict[str, torch.Tensor]) -> None:
    """Reset the model to its initial weights."""
    model.load_state_dict(start)
    for parameter in model.parameters():
        parameter.grad = None
        parameter.requires_grad_(True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
