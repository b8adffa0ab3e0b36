"""Decision parameters of a checkpoint, fitted on its held-out recordings.

Similarities become probabilities by one multiplier a kind of entry (Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017): the one with the least negative log-likelihood. Kinds are brought to one level of logits and then
weighted so that no kind harms the ranks that the others reach. "Nothing" gets the largest logit that leaves most
held-out recordings something.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeapp.audio.windows import HOP_S
from gallery import KINDS, DecisionParameters, Index, Similarities, Taxon, decide, logits, pool, probabilities
from gallery.files import write_text
from trainer.bank import TextBank
from trainer.data.sounds import Sounds, each_whole, taxon_of
from trainer.data.windows import recording_windows
from trainer.errors import DataError
from trainer.evaluate import Embedded
from trainer.models.vita import Vita
from trainer.presets import Preset

SCALES = np.geomspace(2.0, 100.0, 60)
IMAGE_WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # share of the photos beside the names
AUDIO_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the recordings beside names and photos, whose shares make one
POOLS = (1, 2, 3, 5)
FLOOR = 0.5  # more likely than not
EVIDENCE = 3.0  # Bayes factor that is called substantial (Kass and Raftery, JASA 1995)
SILENCE_DBFS = -85.0  # the quietest usable starter recording has -74, dithered 16-bit silence about -93
KEPT = 0.95  # share of the held-out recordings that must stay something
NOISE_WINDOWS = 64
PHOTOS = ("text", "image")  # names and photos

DECISION = "decision.json"


def calibrate(
    model: Vita,
    preset: Preset,
    taxa: list[Taxon],
    bank: TextBank,
    held: Sounds,
    photos: Embedded,
    recordings: Sounds,
    device: torch.device,
) -> dict[str, Any]:
    """Fit the decision parameters of a model on held-out recordings.

    The gallery they are matched with has the prompts of all taxa, and the photos and recordings the model was trained
    on.

    Returns
    -------
    What `decision.json` holds: the parameters under `decision`, what they reach under `figures`.
    """
    heard = hear(model, held, preset.window_s, device)
    noise = hear_noise(model, preset.window_samples, 0, device)
    trained = hear(model, recordings, preset.window_s, device)
    centroids = {
        "text": bank.embed_all(model.text, device).mean(dim=0).cpu().numpy(),
        "image": sums(photos.vectors, photos.taxon, len(taxa)),
        "audio": sums(np.stack([windows.mean(axis=0) for windows in trained.windows]), trained.taxon, len(taxa)),
    }
    norms = {kind: np.linalg.norm(rows, axis=1, keepdims=True) for kind, rows in centroids.items()}
    index = Index(taxa, {kind: rows / np.maximum(norms[kind], 1e-12) for kind, rows in centroids.items()})
    parameters, figures = fit(index, heard, noise)
    return {"decision": parameters.to_dict(), "figures": {"held_out": figures}}


def keep(fitted: dict[str, Any], folder: Path) -> None:
    """Write `decision.json` beside a checkpoint."""
    write_text(folder / DECISION, json.dumps(fitted, indent=1) + "\n", parents=True)


@dataclass(frozen=True)
class Heard:
    """Held-out recordings: the window vectors of each, and its taxon."""

    windows: list[np.ndarray]  # [n_windows, dim] each
    taxon: np.ndarray  # [recordings]


@torch.no_grad()
def hear(model: Vita, sounds: Sounds, window_s: float, device: torch.device) -> Heard:
    """Embed recordings window by window, as the device does."""
    vectors, rows = [], []
    for row, sound in each_whole(sounds):
        windows = torch.from_numpy(recording_windows(sound, sounds.rate_hz, window_s, HOP_S))
        vectors.append(model.audio(windows.to(device)).cpu().numpy())
        rows.append(row)
    if not rows:
        raise DataError("not one recording could be decoded to fit decisions on", "get the files again")
    return Heard(vectors, taxon_of(sounds.samples)[rows])


@torch.no_grad()
def hear_noise(model: Vita, samples: int, seed: int, device: torch.device) -> np.ndarray:
    """Vectors [n, dim] of coloured noise, from rain (flat) to wind (1/f^2)."""
    rng = np.random.default_rng(seed)
    frequency = np.arange(1, samples // 2 + 2)
    vectors = []
    for colour in np.linspace(0.0, 2.0, NOISE_WINDOWS):
        spectrum = np.fft.rfft(rng.standard_normal(samples)) * frequency ** (-colour / 2)
        noise = np.fft.irfft(spectrum, samples).astype(np.float32)
        noise *= 0.1 / noise.std()
        vectors.append(model.audio(torch.from_numpy(noise[None]).to(device)).cpu().numpy())
    return np.concatenate(vectors)


def sums(vectors: np.ndarray, taxon: np.ndarray, taxa: int) -> np.ndarray:
    """Sum of the vectors of each taxon [taxa, dim]; zero where there is none."""
    rows = np.zeros((taxa, vectors.shape[1]), vectors.dtype)
    np.add.at(rows, taxon, vectors)
    return rows


class Fit:
    """Figures of parameters on heard recordings."""

    def __init__(self, index: Index, heard: Heard) -> None:
        self.found = [index.match(windows) for windows in heard.windows]
        self.taxon = heard.taxon
        self.present = index.present

    def pooled(self, parameters: DecisionParameters, kinds: tuple[str, ...]) -> np.ndarray:
        """Probabilities of the recordings [n, taxa + 1]."""
        return np.stack(
            [pool(probabilities(logits(found, parameters, kinds), parameters), parameters) for found in self.found]
        )

    def asked(self, kinds: tuple[str, ...]) -> np.ndarray:
        """Recordings whose taxon has an entry of these kinds."""
        return np.any([self.present[kind][self.taxon] for kind in kinds], axis=0)

    def loss(self, parameters: DecisionParameters, kinds: tuple[str, ...]) -> float:
        """Mean negative log-likelihood of the right taxon."""
        rows = np.flatnonzero(self.asked(kinds))
        p = self.pooled(parameters, kinds)[rows, self.taxon[rows]]
        return float(-np.log(np.maximum(p, 1e-9)).mean())

    def top(self, parameters: DecisionParameters, kinds: tuple[str, ...], k: int) -> float:
        """Share of recordings whose taxon is among the first k; a taxon without an entry counts as missed."""
        p = self.pooled(parameters, kinds)[:, :-1]
        right = p[np.arange(len(p)), self.taxon]
        return float(((p > right[:, None]).sum(axis=1) < k)[right > 0].sum() / len(p))


def fit(index: Index, heard: Heard, noise: np.ndarray) -> tuple[DecisionParameters, dict[str, float]]:
    """Fit decision parameters.

    Returns
    -------
    The parameters, and what they reach on the recordings they were fitted on.
    """
    tables = Fit(index, heard)
    parameters = DecisionParameters(
        scale=dict.fromkeys(KINDS, 20.0),
        bias=dict.fromkeys(KINDS, 0.0),
        weight=dict.fromkeys(KINDS, 1.0),
        null_logit=-1e3,
        floor=FLOOR,
        silence_dbfs=SILENCE_DBFS,
        pool_windows=3,
        evidence=EVIDENCE,
    )
    for kind in index.kinds:
        losses = [tables.loss(scaled(parameters, kind, scale), (kind,)) for scale in SCALES]
        parameters = scaled(parameters, kind, float(SCALES[int(np.argmin(losses))]))
    parameters = replace(parameters, bias={**parameters.bias, **levels(tables, parameters)})
    shares = [weighted(parameters, text=1 - share, image=share) for share in IMAGE_WEIGHTS]
    parameters = likeliest_harmless(tables, shares, PHOTOS, than=("text",))
    kinds = tuple(index.kinds)
    if "audio" in kinds:
        weights = [weighted(parameters, audio=weight) for weight in AUDIO_WEIGHTS]
        parameters = likeliest_harmless(tables, weights, kinds, than=PHOTOS)
    parameters = min((replace(parameters, pool_windows=n) for n in POOLS), key=lambda p: tables.loss(p, kinds))
    parameters = replace(parameters, null_logit=null_logit(tables, parameters, index.match(noise), kinds))
    figures = {
        f"{name}_top{k}": round(tables.top(parameters, named, k), 4)
        for name, named in (*((kind, (kind,)) for kind in kinds), ("together", PHOTOS), ("all", kinds))
        for k in (1, 5)
    }
    of_noise = probabilities(logits(index.match(noise), parameters, kinds), parameters)
    decisions = [decide(p, index.taxa, parameters) for p in of_noise]
    figures |= {
        "recordings": len(heard.taxon),
        "noise_is_nothing": round(float(np.mean([decision is None for decision in decisions])), 4),
        "noise_is_no_species": round(float(np.mean([d is None or d.rank != "species" for d in decisions])), 4),
    }
    return parameters, figures


def likeliest_harmless(
    tables: Fit, tried: Sequence[DecisionParameters], kinds: tuple[str, ...], than: tuple[str, ...]
) -> DecisionParameters:
    """A kind more may only help.

    Among the parameters that rank the recordings with `kinds` no worse than with the fewer kinds `than`, the likeliest;
    failing all, the first, which are to give the new kind least.
    """
    harmless = [p for p in tried if all(tables.top(p, kinds, k) >= tables.top(p, than, k) for k in (1, 5))]
    return min(harmless or tried[:1], key=lambda p: tables.loss(p, kinds))


def scaled(parameters: DecisionParameters, kind: str, scale: float) -> DecisionParameters:
    return replace(parameters, scale={**parameters.scale, kind: round(scale, 3)})


def weighted(parameters: DecisionParameters, **weights: float) -> DecisionParameters:
    return replace(parameters, weight={**parameters.weight, **{kind: round(w, 3) for kind, w in weights.items()}})


def levels(tables: Fit, parameters: DecisionParameters) -> dict[str, float]:
    """Bias of photos and recordings that brings their mean logit to that of the texts, over the taxa that have both."""
    bias = {}
    for kind in tables.present:
        both = tables.present["text"] & tables.present[kind]
        text, other = (
            np.mean([found.by_kind[one][:, both].mean() for found in tables.found]) * parameters.scale[one]
            for one in ("text", kind)
        )
        bias[kind] = round(float(text - other), 4)
    return bias


def null_logit(tables: Fit, parameters: DecisionParameters, noise: Similarities, kinds: tuple[str, ...]) -> float:
    """The largest logit of "nothing" that lets recordings through.

    At it, `KEPT` of the recordings keep more probability than "nothing" in their best window; it is no larger than
    what makes all the noise nothing.
    """

    def masses(found: Similarities) -> np.ndarray:
        z = logits(found, parameters, kinds).astype(np.float64)
        top = z.max(axis=1)
        return top + np.log(np.exp(z - top[:, None]).sum(axis=1))

    of_noise = masses(noise)
    of_sound = np.array([masses(found).max() for found in tables.found])
    return round(float(min(np.quantile(of_sound, 1 - KEPT), of_noise.max())), 4)
