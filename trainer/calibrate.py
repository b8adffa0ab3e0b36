"""Decision parameters of a checkpoint, fitted on its held-out recordings.

Similarities become probabilities by one multiplier a kind of entry (Guo et al., "On Calibration of Modern Neural Networks", ICML
2017): the one with the least negative log-likelihood. Kinds are brought to one level of logits and then weighted; "nothing" gets the
logit at which most windows of plain noise are nothing while most held-out recordings still are something.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from edgeapp.audio.windows import HOP_S
from gallery import DecisionParameters, Index, Similarities, Taxon, logits, pool, probabilities
from trainer.bank import TextBank
from trainer.models.vita import Vita
from trainer.pictures import PictureStore
from trainer.sounds import SoundStore
from trainer.stages import embed_pictures
from trainer.windows import recording_windows

SCALES = np.geomspace(2.0, 100.0, 60)
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # share of the pictures beside the text
POOLS = (1, 2, 3, 5)
FLOOR = 0.5  # more likely than not
SILENCE_DBFS = -85.0  # the quietest usable starter recording has -74, dithered 16-bit silence about -93
KEPT = 0.95  # share of the held-out recordings that must stay something
NOISE_WINDOWS = 64


@dataclass(frozen=True)
class Heard:
    """Held-out recordings: the window vectors of each, and its taxon."""

    windows: list[np.ndarray]  # [n_windows, dim] each
    taxon: np.ndarray  # [recordings]


@torch.no_grad()
def hear(model: Vita, sounds: SoundStore, window_s: float, device: torch.device) -> Heard:
    """Embed recordings window by window, as the device does."""
    vectors = [
        model.audio(torch.from_numpy(recording_windows(sounds.whole(row), sounds.rate_hz, window_s, HOP_S)).to(device))
        .cpu()
        .numpy()
        for row in range(len(sounds))
    ]
    return Heard(vectors, np.array([sample.taxon for sample in sounds.samples]))


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


def index_of(model: Vita, taxa: list[Taxon], bank: TextBank, pictures: PictureStore, device: torch.device) -> Index:
    """The gallery of a checkpoint in memory: mean of the five prompts and mean of the photos of each taxon."""
    texts = bank.embed_all(model.text, device).mean(dim=0).cpu().numpy()
    photos = embed_pictures(model, pictures, device).cpu().numpy()
    images = np.zeros_like(texts)
    np.add.at(images, [sample.taxon for sample in pictures.samples], photos)
    centroids = {"text": texts, "image": images}
    norms = {kind: np.linalg.norm(rows, axis=1, keepdims=True) for kind, rows in centroids.items()}
    return Index(taxa, {kind: rows / np.maximum(norms[kind], 1e-12) for kind, rows in centroids.items()})


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
        scale={kind: 20.0 for kind in ("text", "image", "audio")},
        bias={kind: 0.0 for kind in ("text", "image", "audio")},
        weight={"text": 1.0, "image": 1.0, "audio": 1.0},
        null_logit=-1e3,
        floor=FLOOR,
        silence_dbfs=SILENCE_DBFS,
        pool_windows=3,
    )
    for kind in ("text", "image"):
        losses = [tables.loss(scaled(parameters, kind, scale), (kind,)) for scale in SCALES]
        parameters = scaled(parameters, kind, float(SCALES[int(np.argmin(losses))]))
    parameters = replace(parameters, bias={**parameters.bias, **levels(tables, parameters)})
    both = ("text", "image")
    parameters = min((weighted(parameters, share) for share in WEIGHTS), key=lambda p: tables.loss(p, both))
    parameters = min((replace(parameters, pool_windows=n) for n in POOLS), key=lambda p: tables.loss(p, both))
    # Recordings as entries: sound is nearer to sound than to text, so it gets the text's scale and half the say.
    parameters = replace(parameters, scale={**parameters.scale, "audio": parameters.scale["text"]})
    parameters = replace(parameters, null_logit=null_logit(tables, parameters, index.match(noise), both))
    figures = {
        f"{name}_top{k}": round(tables.top(parameters, kinds, k), 4)
        for name, kinds in (("text", ("text",)), ("image", ("image",)), ("together", both))
        for k in (1, 5)
    }
    empty = probabilities(logits(index.match(noise), parameters, both), parameters)[:, -1]
    figures |= {"recordings": len(heard.taxon), "noise_is_nothing": round(float((empty > 1 - FLOOR).mean()), 4)}
    return parameters, figures


def scaled(parameters: DecisionParameters, kind: str, scale: float) -> DecisionParameters:
    return replace(parameters, scale={**parameters.scale, kind: round(scale, 3)})


def weighted(parameters: DecisionParameters, share: float) -> DecisionParameters:
    return replace(parameters, weight={**parameters.weight, "text": round(1 - share, 3), "image": share})


def levels(tables: Fit, parameters: DecisionParameters) -> dict[str, float]:
    """Bias of the pictures that brings their mean logit to that of the texts, over the taxa that have both."""
    both = tables.present["text"] & tables.present["image"]
    means = {
        kind: np.mean([found.by_kind[kind][:, both].mean() for found in tables.found]) * parameters.scale[kind]
        for kind in ("text", "image")
    }
    return {"image": round(float(means["text"] - means["image"]), 4)}


def null_logit(tables: Fit, parameters: DecisionParameters, noise: Similarities, kinds: tuple[str, ...]) -> float:
    """The largest logit of "nothing" at which `KEPT` of the recordings keep more probability than it in their best window,
    yet no larger than what makes all the noise nothing."""

    def masses(found: Similarities) -> np.ndarray:
        z = logits(found, parameters, kinds).astype(np.float64)
        top = z.max(axis=1)
        return top + np.log(np.exp(z - top[:, None]).sum(axis=1))

    of_noise = masses(noise)
    of_sound = np.array([masses(found).max() for found in tables.found])
    return round(float(min(np.quantile(of_sound, 1 - KEPT), of_noise.max())), 4)
