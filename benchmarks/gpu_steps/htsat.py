"""HTS-AT in torch: windows per second in bfloat16, eager and compiled, and cosine similarity to float32.

Windows are in the memory of the device; the spectrogram is computed there, in float32, and is part of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_steps.card import bf16_peak, device_of, shares, synchronise
from benchmarks.gpu_steps.clock import per_second
from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Report
from benchmarks.gpu_steps.sounds import heard
from benchmarks.gpu_steps.towers import preset_of, random_htsat
from export.htsat import rewritten
from export.parity import cosines
from trainer.models.clap import ClapTower
from trainer.models.vita import SoundTower

BATCHES = {"cuda": (256, 64, 16), "cpu": (8,)}  # the first that fits into memory
LEAST_COSINE = 0.99  # of bfloat16 (8 bits of precision) with float32
SECONDS = 2.0


class Bf16(nn.Module):
    """A tower whose network computes in bfloat16: waveform [n, samples] to unit vectors [n, dim] float32."""

    def __init__(self, tower: SoundTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, waveform: Tensor) -> Tensor:
        log_mel = self.tower.log_mel(waveform)
        with torch.autocast(waveform.device.type, torch.bfloat16):
            if not isinstance(self.tower, ClapTower):
                return self.tower.embed(log_mel).float()
            features = self.tower.clap(input_features=log_mel.transpose(1, 2)[:, None]).audio_embeds
        return F.normalize(self.tower.adapter(features.float()), dim=-1)


@torch.no_grad()
def run(settings: Settings, report: Report) -> None:
    """Measure every variant."""
    torch.backends.cudnn.allow_tf32 = False
    device, preset = device_of(settings), preset_of(settings)
    library = random_htsat(preset)
    own = rewritten(library, preset.window_samples).to(device)
    library.to(device)
    sounds = heard(settings, preset.mel.rate_hz, preset.window_s, 8)
    few = torch.from_numpy(np.concatenate([windows[:1] for _, windows in sounds.checking])).float().to(device)
    with FlopCounterMode(display=False) as counted:
        wanted = library(few).cpu().numpy()
    gflop = counted.get_total_flops() / len(few) / 1e9
    peak = bf16_peak(device, 256 if settings.tiny else None)
    batches, seconds = ((2,), 0.2) if settings.tiny else (BATCHES[settings.device], SECONDS)
    compiler = "eager" if settings.tiny else "inductor"  # eager: the captured graph runs without code generation
    ways: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
        "float32, eager": lambda: library,
        "bf16, eager": lambda: Bf16(library),
        "bf16, eager, as exported": lambda: Bf16(own),
        f"bf16, compiled ({compiler}), as exported": lambda: torch.compile(Bf16(own), backend=compiler),
    }
    for name, made in ways.items():
        with report.measuring(name) as figures:
            found, rate = timed(made(), few, batches, device, seconds)
            figures |= {"windows_per_s": rate, "times_real_time": rate * preset.window_s, "batch": len(found)}
            figures |= {"gflop": gflop, **shares(rate * gflop / 1e3, peak, device)}
            same = min(len(found), len(wanted))
            figures |= nearness(wanted[:same], found[:same])
            if not figures["least_cosine"] >= LEAST_COSINE:
                raise ValueError(f"cosine {figures['least_cosine']:.4f} with float32, below {LEAST_COSINE}")


def timed(
    way: Callable[[Tensor], Tensor], few: Tensor, batches: tuple[int, ...], device: torch.device, seconds: float
) -> tuple[np.ndarray, float]:
    """Vectors of the first batch that fits into memory, and windows per second.

    Only one size is run: a compiled network is recompiled for another.
    """
    for batch in batches:
        run = partial(way, few[torch.arange(batch, device=device) % len(few)])
        try:
            return run().cpu().numpy(), per_second(run, batch, seconds, partial(synchronise, device))
        except torch.OutOfMemoryError:
            if batch == batches[-1]:
                raise
            torch.cuda.empty_cache()
    raise AssertionError("no batch sizes")


def nearness(wanted: np.ndarray, given: np.ndarray) -> dict[str, float]:
    """Least cosine between corresponding vectors, and, for comparison, between vectors of different windows."""
    others = cosines(wanted, np.roll(wanted, 1, axis=0))
    return {"least_cosine": float(cosines(wanted, given).min()), "between_windows": float(others.min())}
