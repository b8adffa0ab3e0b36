"""Decision parameters of a checkpoint, fitted on its held-out recordings, on mixtures of two, and on noise.

Similarities become logits by one scale per modality (Guo et al., "On Calibration of Modern Neural Networks", ICML
2017). Biases bring the modalities to the same mean logit; weights are chosen so that no modality lowers the ranks that
the others reach. The null logit is the largest at which most held-out recordings are still detected. The map from
log-odds to confidence (Platt scaling) is fitted on single recordings, mixtures and noise together. All metrics go
through `gallery.recognise`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeapp.progress_bar import progress
from gallery import MODALITIES, DecisionParameters, Index, Recognition, Taxon, Vocabulary, recognise
from gallery.files import write_text
from gallery.recognition import MOST_SPECIES
from trainer.bank import TextBank
from trainer.data.rows import sums_of_taxa
from trainer.data.sounds import Sounds
from trainer.evaluate import Embedded
from trainer.heard import Heard, hear, hear_mixtures, hear_noise, identified, uncalibrated
from trainer.models.vita import Vita
from trainer.presets import Preset
from trainer.reliability import reliability

SCALES = np.geomspace(4.0, 60.0, 16)
IMAGE_WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # of the photos; the names have the rest of 1
AUDIO_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the recordings, beside names and photos with 1 together
POOLS = (1, 2, 3, 5)
DETECTED = 0.95  # share of the held-out recordings that must be detected
MIXTURES = 300
FITTED, REPORTED = 0, 1  # seeds of the mixtures for fitting and of those for the metrics
PHOTOS = ("text", "image")  # names and photos
MIN_CONFIDENCE = 1e-6  # in a loss
STEPS = 50  # of Newton's method
SHORTER = 0.5 ** np.arange(12)  # shares of a step that are tried, as long as it does not help
MIN_SLOPE = 0.05
FEW, FEW_TAXA = 20, 2  # held-out recordings, and taxa, below which parameters are not to be relied on
THRESHOLDS = np.arange(0.5, 0.96, 0.05)

DECISION = "decision.json"


def calibrate(
    model: Vita,
    preset: Preset,
    taxa: list[Taxon],
    bank: TextBank,
    held: Sounds,
    photos: Embedded,
    recordings: Sounds,
    field: Sequence[np.ndarray],
    device: torch.device,
) -> dict[str, Any]:
    """Fit the decision parameters of a model on held-out recordings.

    The gallery has the prompts of all taxa, and the photos and recordings the model was trained on.

    Parameters
    ----------
    field : field noise under the mixtures, see `trainer.heard.field_noise`

    Returns
    -------
    Contents of `decision.json`: the parameters under `decision`, their metrics under `metrics`.
    """
    audio = model.audio
    with progress("calibration", len(held) + len(recordings) + 2 * MIXTURES) as done:
        heard = hear(audio, held, preset.cutting, device, done)
        trained = hear(audio, recordings, preset.cutting, device, done)
        mixtures = [
            hear_mixtures(audio, held, field, preset.window_samples, MIXTURES, seed, device, preset.pad, done)
            for seed in (FITTED, REPORTED)
        ]
    noise = hear_noise(audio, preset.window_samples, 0, device)
    index = Index(
        taxa,
        {
            "text": bank.embed_all(model.text, device).mean(dim=0).cpu().numpy(),
            "image": sums_of_taxa(photos.vectors, photos.taxon, len(taxa)),
            "audio": sums_of_taxa(
                np.stack([windows.mean(axis=0) for windows in trained.windows]), trained.taxon, len(taxa)
            ),
        },
    )
    parameters = fit(index, heard, mixtures[0], noise)
    return {"decision": parameters.to_dict(), "metrics": report(index, parameters, heard, mixtures[1], noise)}


def too_few(taxon: np.ndarray) -> str:
    """What is wrong with recordings of these taxa [recordings] for fitting parameters on; empty if nothing is."""
    if len(taxon) >= FEW and len(np.unique(taxon)) >= FEW_TAXA:
        return ""
    return f"{len(taxon)} recordings of {len(np.unique(taxon))} species, too few to calibrate on ({FEW} of {FEW_TAXA})"


def save(fitted: dict[str, Any], folder: Path) -> None:
    """Write `decision.json` beside a checkpoint."""
    write_text(folder / DECISION, json.dumps(fitted, indent=1) + "\n", parents=True)


def fit(index: Index, heard: Heard, mixtures: Heard, noise: Heard) -> DecisionParameters:
    """Fit decision parameters on single recordings, mixtures of two, and noise."""
    single = SingleRecordings(index, heard, most=1)
    parameters = uncalibrated(MODALITIES)
    for modality in index.modalities:
        losses = [single.loss(scaled(parameters, modality, scale), (modality,)) for scale in SCALES]
        parameters = scaled(parameters, modality, float(SCALES[int(np.argmin(losses))]))
    parameters = replace(parameters, bias={**parameters.bias, **biases(index, heard, parameters)})
    modalities = tuple(index.modalities)
    for other in set(MODALITIES) - set(modalities):  # entries added later count as names do
        parameters = scaled(parameters, other, parameters.scale["text"])
    if "image" in modalities:
        shares = [weighted(parameters, text=1 - share, image=share) for share in IMAGE_WEIGHTS]
        parameters = likeliest_harmless(single, shares, PHOTOS, than=("text",))
    if "audio" in modalities:
        weights = [weighted(parameters, audio=weight) for weight in AUDIO_WEIGHTS]
        parameters = likeliest_harmless(single, weights, modalities, than=without_recordings(modalities))
    parameters = min((replace(parameters, pool_windows=n) for n in POOLS), key=lambda p: single.loss(p, modalities))
    parameters = replace(parameters, null_logit=null_logit(index, parameters, heard, noise))
    every = CalibrationSets(index, heard, mixtures, noise)
    parameters = every.scaled(parameters)
    return replace(parameters, threshold=every.threshold(parameters))


class SingleRecordings:
    """Metrics of parameters on recordings of one taxon each.

    Parameters
    ----------
    most : maximum number of species in a window; 1 while parameters are fitted
    """

    def __init__(self, index: Index, heard: Heard, most: int = MOST_SPECIES) -> None:
        self.index, self.heard, self.most = index, heard, most

    def confidences(self, parameters: DecisionParameters, modalities: tuple[str, ...]) -> np.ndarray:
        """Confidences [recordings, taxa]; 0 for a taxon without an entry of these modalities."""
        vocabulary = Vocabulary(self.index, parameters, modalities)
        every = np.zeros((len(self.heard), len(self.index.taxa)))
        every[:, places(self.index, vocabulary)] = identified(self.heard, vocabulary, self.most)
        return every

    def asked(self, modalities: tuple[str, ...]) -> np.ndarray:
        """Whether the taxon of each recording has an entry of these modalities [recordings] bool."""
        return np.any([self.index.present[modality][self.heard.taxon] for modality in modalities], axis=0)

    def loss(self, parameters: DecisionParameters, modalities: tuple[str, ...]) -> float:
        """Mean negative log-likelihood of the correct taxon and no other."""
        return self.loss_of(self.confidences(parameters, modalities), modalities)

    def loss_of(self, confidences: np.ndarray, modalities: tuple[str, ...]) -> float:
        """The loss at the confidences [recordings, taxa] of these modalities."""
        rows = np.flatnonzero(self.asked(modalities))
        truth = np.zeros((len(rows), len(self.index.taxa)), bool)
        truth[np.arange(len(rows)), self.heard.taxon[rows]] = True
        return cross_entropy(confidences[rows], truth)

    def top(self, confidences: np.ndarray, k: int) -> float:
        """Share of recordings whose taxon is among the first k; a taxon without an entry counts as missed.

        Parameters
        ----------
        confidences : [recordings, taxa]
        """
        right = confidences[np.arange(len(confidences)), self.heard.taxon]
        return float(((confidences > right[:, None]).sum(axis=1) < k)[right > 0].sum() / len(right))


class CalibrationSets:
    """Single recordings, mixtures and noise with their taxa.

    Of a single recording, the window with the highest confidence of its taxon counts: others may have no song.
    """

    def __init__(self, index: Index, heard: Heard, mixtures: Heard, noise: Heard) -> None:
        self.index, self.sets = index, {"single": heard, "mixture": mixtures, "noise": noise}

    def windows(self, parameters: DecisionParameters) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Confidences and truth [n, taxa] of each set."""
        return {name: with_truth(heard, self.index, parameters) for name, heard in self.sets.items() if len(heard)}

    def scaled(self, parameters: DecisionParameters) -> DecisionParameters:
        """Parameters with slope and offset of the confidence (Platt, 1999), with equal weight for each set."""
        odds, truth, share = [], [], []
        plain = replace(parameters, slope=1.0, offset=0.0)
        for confidences, right in self.windows(plain).values():
            c = np.clip(confidences, MIN_CONFIDENCE, 1 - MIN_CONFIDENCE)
            odds.append(np.log(c / (1 - c)).ravel())
            truth.append(right.ravel())
            share.append(np.full(right.size, 1 / len(right)))
        slope, offset = platt(np.concatenate(odds), np.concatenate(truth), np.concatenate(share))
        return replace(parameters, slope=round(slope, 4), offset=round(offset, 4))

    def threshold(self, parameters: DecisionParameters) -> float:
        """The lowest threshold from 0.5 on at which no species is detected in noise."""
        for threshold in THRESHOLDS:
            tried = replace(parameters, threshold=round(float(threshold), 2))
            vocabulary, noise = Vocabulary(self.index, tried), self.sets["noise"]
            found = [recognise(w, level, vocabulary) for w, level in zip(noise.windows, noise.levels)]
            if not any(names_species(window) for windows in found for window in windows):
                break
        return tried.threshold


def with_truth(heard: Heard, index: Index, parameters: DecisionParameters) -> tuple[np.ndarray, np.ndarray]:
    """Confidences and truth [n, taxa]; the confidence of a taxon is its maximum over the windows of a recording."""
    vocabulary = Vocabulary(index, parameters)
    confidences = np.zeros((len(heard), len(index.taxa)))
    truth = np.zeros(confidences.shape, bool)
    at = places(index, vocabulary)
    for row, (windows, level) in enumerate(zip(heard.windows, heard.levels, strict=True)):
        found = recognise(windows, level, vocabulary)
        confidences[row, at] = np.max([window.confidences for window in found], axis=0)
        truth[row, heard.taxon[row]] = True
    return confidences, truth


def places(index: Index, vocabulary: Vocabulary) -> list[int]:
    """Row in the index of each taxon of a vocabulary."""
    row_of = {taxon.scientific_name: row for row, taxon in enumerate(index.taxa)}
    return [row_of[taxon.scientific_name] for taxon in vocabulary.taxa]


def cross_entropy(confidences: np.ndarray, truth: np.ndarray) -> float:
    """Binary cross-entropy [n, taxa], summed over the taxa, mean over n."""
    c = np.clip(np.where(truth, confidences, 1.0 - confidences), MIN_CONFIDENCE, 1.0)
    return float(-np.log(c).sum(axis=1).mean())


def platt(odds: np.ndarray, truth: np.ndarray, share: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the logistic regression of truth on log-odds.

    Minimised with the targets and the backtracking Newton method of Lin, Lin and Weng ("A note on Platt's probabilistic
    outputs for support vector machines", Machine Learning, 2007): the fewer recordings, the further are the targets
    from 0 and 1, so that log-odds which separate them perfectly have finite parameters as well. The slope is at least
    `MIN_SLOPE`.

    Parameters
    ----------
    odds, truth, share : [n] log-odds, whether the taxon is present, and the weight of the pair
    """
    present = int(truth.sum())
    targets = np.where(truth, (present + 1) / (present + 2), 1 / (len(truth) - present + 2))
    inputs = np.stack([odds, np.ones(len(odds))])

    def loss(weights: np.ndarray) -> float:
        z = weights @ inputs
        return float(share @ (np.logaddexp(0.0, z) - targets * z))

    mean = float(share @ targets / share.sum())
    weights = np.array([MIN_SLOPE, np.log(mean / (1.0 - mean))])  # where nothing is saturated
    least = loss(weights)
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(weights @ inputs, -50.0, 50.0)))
        gradient = inputs @ (share * (p - targets))
        curvature = (inputs * (share * p * (1.0 - p))) @ inputs.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        if weights[0] <= MIN_SLOPE and step[0] > 0:  # the slope is at its bound, and only the offset is left
            step = np.array([0.0, gradient[1] / curvature[1, 1]])
        for shorter in SHORTER:
            tried = weights - shorter * step
            tried[0] = max(tried[0], MIN_SLOPE)
            if (found := loss(tried)) < least:
                weights, least = tried, found
                break
        else:
            break
    return float(weights[0]), float(weights[1])


def without_recordings(modalities: Sequence[str]) -> tuple[str, ...]:
    """Names, and photos where there are any."""
    return tuple(modality for modality in PHOTOS if modality in modalities)


def likeliest_harmless(
    single: SingleRecordings, tried: Sequence[DecisionParameters], modalities: tuple[str, ...], than: tuple[str, ...]
) -> DecisionParameters:
    """The parameters of lowest loss at which an additional modality does not lower Top-1 or Top-5.

    Recordings are ranked with `modalities` and, for comparison, with the fewer modalities `than`. If all parameters
    lower them, the first are returned, which must give the additional modality the least weight.
    """
    harmless: list[tuple[float, DecisionParameters]] = []
    for parameters in tried:
        more, fewer = (single.confidences(parameters, those) for those in (modalities, than))
        if all(single.top(more, k) >= single.top(fewer, k) for k in (1, 5)):
            harmless.append((single.loss_of(more, modalities), parameters))
    return min(harmless, key=lambda one: one[0])[1] if harmless else tried[0]


def scaled(parameters: DecisionParameters, modality: str, scale: float) -> DecisionParameters:
    return replace(parameters, scale={**parameters.scale, modality: round(scale, 3)})


def weighted(parameters: DecisionParameters, **weights: float) -> DecisionParameters:
    return replace(parameters, weight={**parameters.weight, **{name: round(w, 3) for name, w in weights.items()}})


def biases(index: Index, heard: Heard, parameters: DecisionParameters) -> dict[str, float]:
    """Bias of each modality that makes its mean logit that of the names, over the taxa that have both."""
    mean = np.mean([windows.mean(axis=0) for windows in heard.windows], axis=0)
    bias = {}
    for modality in index.modalities:
        both = index.present["text"] & index.present[modality]
        text, other = (
            float((index.centroids[m][both] @ mean).mean()) * parameters.scale[m] for m in ("text", modality)
        )
        bias[modality] = round(text - other, 4)
    return bias


def null_logit(index: Index, parameters: DecisionParameters, heard: Heard, noise: Heard) -> float:
    """The largest null logit at which a share `DETECTED` of the recordings is detected.

    A recording is detected if "something" is more likely than "nothing" in its best window. The null logit is at most
    the value at which nothing is detected in the noise.
    """
    vocabulary = Vocabulary(index, parameters)

    def most(windows: np.ndarray, level: np.ndarray) -> float:
        return max(window.anything for window in recognise(windows, level, vocabulary, most=1)) + parameters.null_logit

    of_sound = [most(windows, level) for windows, level in zip(heard.windows, heard.levels)]
    of_noise = [most(windows, level) for windows, level in zip(noise.windows, noise.levels)]
    finite = [value for value in of_sound if np.isfinite(value)]  # a silent recording has none
    return round(float(min(np.quantile(finite, 1 - DETECTED), max(of_noise))), 4)


def names_species(window: Recognition) -> bool:
    return any(detection.taxon_rank == "species" for detection in window.detections)


def report(
    index: Index, parameters: DecisionParameters, heard: Heard, mixtures: Heard, noise: Heard
) -> dict[str, dict[str, Any]]:
    """Metrics of parameters on held-out sound: ranks by modality, and reliability on each set."""
    single, modalities = SingleRecordings(index, heard), tuple(index.modalities)
    together = without_recordings(modalities)
    ranks: dict[str, Any] = {}
    for name, named in (*((m, (m,)) for m in modalities), ("together", together), ("all", modalities)):
        confidences = single.confidences(parameters, named)
        ranks |= {f"{name}_top{k}": round(single.top(confidences, k), 4) for k in (1, 5)}
    vocabulary = Vocabulary(index, parameters)
    windows = [recognise(w, level, vocabulary)[0] for w, level in zip(noise.windows, noise.levels)]
    ranks |= {
        "recordings": len(heard),
        "noise_is_nothing": round(float(np.mean([not window.detections for window in windows])), 4),
        "noise_is_no_species": round(float(np.mean([not names_species(window) for window in windows])), 4),
    }
    sets = {"single": heard, "mixture": mixtures, "noise": noise}
    calibration = {
        name: reliability(*with_truth(those, index, parameters), parameters.threshold).to_dict()
        for name, those in sets.items()
        if len(those)
    }
    return {"held_out": ranks, "calibration": calibration}
