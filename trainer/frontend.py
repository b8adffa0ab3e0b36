"""Log-mel front end, from waveform to spectrogram, as convolutions and matrix products only.

One implementation is used by all presets, in training, evaluation and export. It has no FFT operator, because that of
ONNX does not run on every target; the transform of 1024 points is split as 32 x 2 x 16 (Cooley and Tukey, 1965), which
costs a fourteenth of a plain DFT matrix and is differentiable, batched and exportable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

RADIX = 32
N_FFT = RADIX * RADIX  # 1024 points, the transform length of both presets
HALF = RADIX // 2 + 1  # 17 first-stage bins: the input is real, the others are their conjugates
PAIRS = RADIX // 2  # second-stage bins d and 31 - d are neighbours in frequency, one of them even and one odd

PART_ENDS = (2, 5, PAIRS)  # pairs, from the lowest up, at which a mel bank is split

KALDI, SLANEY = "kaldi", "slaney"  # mel scales
SLANEY_BREAK_HZ = 1000.0  # linear below, logarithmic above
SLANEY_STEP_HZ = 200.0 / 3.0  # width of a mel below the break
SLANEY_LOG_STEP = np.log(6.4) / 27.0  # of the logarithm of the frequency, a mel above the break


@dataclass(frozen=True)
class LogMelConfig:
    """Parameters of a spectrogram. Window and hop are multiples of 32 samples.

    With `decibel` the values are 10 log10(max(mel, log_floor)), otherwise (ln(mel + log_floor) + shift) / spread.
    """

    rate_hz: int = 32_000
    win_length: int = 800  # samples of a frame, 25 ms
    hop: int = 320  # 10 ms
    n_mels: int = 128
    fmin_hz: float = 0.0
    fmax_hz: float = 15_000.0
    preemphasis: float = 0.97  # y[t] = x[t+1] - 0.97 x[t]
    log_floor: float = 1e-5
    shift: float = 4.5  # (ln(mel + floor) + 4.5) / 5, the scaling the EfficientAT weights were trained with
    spread: float = 5.0
    periodic: bool = False  # Hann window of period `win_length`; otherwise symmetric
    scale: str = KALDI  # kaldi: triangles on the mel axis, peak 1; slaney: triangles on the axis of Hz, area 1
    decibel: bool = False
    double: bool = False  # transform and bands in float64, exact even 100 dB below the loudest; the result is float32

    def frames(self, samples: int) -> int:
        """Number of spectrogram frames of a waveform of `samples` samples."""
        return 1 + (samples - (1 if self.preemphasis else 0)) // self.hop


def kaldi_mel_bank(config: LogMelConfig) -> np.ndarray:
    """Triangles that are linear on the mel scale of Kaldi, mel = 1127 ln(1 + f / 700).

    Returns
    -------
    [n_mels, 513] float64, weights of the FFT bins from 0 Hz to half the sample rate.
    """

    def mel(hz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hz, dtype=np.float64) / 700.0)

    edges = np.linspace(mel(config.fmin_hz), mel(config.fmax_hz), config.n_mels + 2)
    bins = mel(np.arange(N_FFT // 2 + 1) * config.rate_hz / N_FFT)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    bank = np.maximum(0.0, np.minimum(rising, falling))
    bank[:, -1] = 0.0  # Kaldi has no bin at half the sample rate
    return bank


def slaney_mel_bank(config: LogMelConfig) -> np.ndarray:
    """Triangles of area one, linear in Hz, with edges at equal steps of the mel scale of Slaney's Auditory Toolbox.

    Returns
    -------
    [n_mels, 513] float64, weights of the FFT bins from 0 Hz to half the sample rate.
    """
    break_mel = SLANEY_BREAK_HZ / SLANEY_STEP_HZ

    def mel(hz: float) -> float:
        above = np.log(max(hz, SLANEY_BREAK_HZ) / SLANEY_BREAK_HZ) / SLANEY_LOG_STEP
        return float(min(hz, SLANEY_BREAK_HZ) / SLANEY_STEP_HZ + above)

    mels = np.linspace(mel(config.fmin_hz), mel(config.fmax_hz), config.n_mels + 2)
    above = np.exp((np.maximum(mels, break_mel) - break_mel) * SLANEY_LOG_STEP)
    edges = np.minimum(mels, break_mel) * SLANEY_STEP_HZ * above
    bins = np.arange(N_FFT // 2 + 1) * config.rate_hz / N_FFT
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (right - left)


BANKS = {KALDI: kaldi_mel_bank, SLANEY: slaney_mel_bank}


def hann(config: LogMelConfig) -> np.ndarray:
    """The analysis window [win_length] float64."""
    return np.hanning(config.win_length + 1)[:-1] if config.periodic else np.hanning(config.win_length)


def first_stage(window: np.ndarray) -> np.ndarray:
    """Kernels of the first stage: windowed transforms of every 32nd sample, at the frequencies of 17 bins.

    Sample 32 a + b is rotated by its own position in the window, so the second stage needs no twiddle factors.

    Parameters
    ----------
    window : [w] with w a multiple of 32 and at most 1024.

    Returns
    -------
    [32 * 34, 1, w / 32]: for each of the 32 phases b, the real parts of 17 bins c and then the imaginary ones.
    """
    taps = window.reshape(-1, RADIX)  # [a, b]
    places = np.arange(len(window)).reshape(taps.shape)
    turn = np.exp(-2j * np.pi * np.arange(HALF)[:, None, None] * places / N_FFT)  # [c, a, b]
    kernel = (turn * taps).transpose(2, 0, 1)
    return np.stack([kernel.real, kernel.imag], axis=1).reshape(RADIX * 2 * HALF, 1, len(taps))


def second_stage(pairs: int) -> np.ndarray:
    """Matrices of the second stage, which is the same for each first-stage bin c; FFT bin k = c + 32 d.

    Even d use the sum of phases b and b + 16, odd d their difference (decimation in frequency).

    Parameters
    ----------
    pairs : number of pairs of bins to compute, from the lowest up

    Returns
    -------
    [2, 2 * pairs, 32]: for even and odd d, from (phase b < 16, re/im) to (re/im, d in `pair_order`).
    """
    order = pair_order()[:, :pairs]
    turn = np.exp(-2j * np.pi * order[:, :, None] * np.arange(PAIRS) / RADIX)  # [2, d, b]
    matrices = np.empty((2, 2, pairs, PAIRS, 2))
    matrices[:, 0, ..., 0], matrices[:, 0, ..., 1] = turn.real, -turn.imag
    matrices[:, 1, ..., 0], matrices[:, 1, ..., 1] = turn.imag, turn.real
    return matrices.reshape(2, 2 * pairs, 2 * PAIRS)


def pair_order() -> np.ndarray:
    """The even and the odd second-stage bins d of a first-stage bin, each from the lowest frequencies to the highest.

    FFT bin k = c + 32 d is between 32 d and 32 (d + 1), and above half the rate its mirror 1024 - k is between
    32 (31 - d) and 32 (32 - d).

    Returns
    -------
    [2, 16]: 0, 30, 2, 28, … and 31, 1, 29, 3, …
    """
    low = np.arange(PAIRS)
    mirror = RADIX - 1 - low
    even = low % 2 == 0
    return np.stack([np.where(even, low, mirror), np.where(even, mirror, low)])


def spread_over_bins(bank: np.ndarray) -> np.ndarray:
    """Reorder a mel bank from FFT bins to the output order of the second stage.

    Second-stage bin (d, c) is FFT bin k = c + 32 d, or its mirror 1024 - k above half the rate. Bins that occur twice
    (c = 0 and c = 16 are their own mirrors) are used once.

    Returns
    -------
    [n_mels, 2, 16, 17], the axes between in `pair_order`.
    """
    k = (RADIX * pair_order()[:, :, None] + np.arange(HALF)).reshape(-1)
    mirror = np.minimum(k, N_FFT - k)
    spread = np.zeros((len(bank), len(k)))
    _, first = np.unique(mirror, return_index=True)
    spread[:, first] = bank[:, mirror[first]]
    return spread.reshape(len(bank), 2, PAIRS, HALF)


class Reach(NamedTuple):
    """Adjacent mel bands and the pairs of second-stage bins that they use."""

    bands: slice
    pairs: slice

    @property
    def bins(self) -> slice:
        """Position of the pairs in a spectrum, with 17 bins per pair."""
        return slice(self.pairs.start * HALF, self.pairs.stop * HALF)


def reaches(spread: np.ndarray) -> list[Reach]:
    """Split a mel bank, so that the many low bands are not multiplied with the high bins they do not use.

    Parameters
    ----------
    spread : [n_mels, 2, 16, 17], from `spread_over_bins`.

    Returns
    -------
    Parts with each band once, from the lowest up.
    """
    used = np.asarray(spread.any(axis=(1, 3)))  # [n_mels, 16]
    parts = []
    first = 0
    for end in PART_ENDS:
        within = ~np.asarray(used[first:, end:].any(axis=1))  # bands are in rising order, so the first ones end lower
        count = int(np.argmin(within)) if not within.all() else len(within)
        if count:
            pairs = np.flatnonzero(used[first : first + count].any(axis=0))
            parts.append(Reach(slice(first, first + count), slice(int(pairs[0]), int(pairs[-1]) + 1)))
        first += count
    return parts


class LogMel(nn.Module):
    """Waveform [n, samples] to log-mel spectrogram [n, n_mels, frames] float32.

    In the starter preset, equal to pre-emphasis, centred STFT with reflected edges, power, Kaldi mel bands and
    logarithm of EfficientAT (Schmid et al., ICASSP 2023, `AugmentMelSTFT`). In the full size, equal to
    `ClapFeatureExtractor` of the `transformers` library for the unfused model.
    """

    analysis: Tensor
    rotation: Tensor

    def __init__(self, config: LogMelConfig = LogMelConfig()) -> None:
        super().__init__()
        if config.win_length % RADIX or config.hop % RADIX or config.win_length > N_FFT:
            raise ValueError(
                f"win_length {config.win_length} and hop {config.hop} must be multiples of {RADIX}, "
                f"win_length at most {N_FFT}"
            )
        if config.scale not in BANKS:
            raise ValueError(f"mel scale '{config.scale}' is none of {', '.join(BANKS)}")
        self.config = config
        bank = spread_over_bins(BANKS[config.scale](config))
        self.reaches = reaches(bank)
        self.pairs = max(reach.pairs.stop for reach in self.reaches)  # no band uses higher ones
        constants = {"analysis": first_stage(hann(config)), "rotation": second_stage(self.pairs)}
        for number, reach in enumerate(self.reaches):
            part = bank[reach.bands, :, reach.pairs]
            constants[f"mel{number}"] = part.reshape(len(part), -1)
        dtype = np.float64 if config.double else np.float32
        for name, array in constants.items():
            self.register_buffer(name, torch.from_numpy(array.astype(dtype)), persistent=False)

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> LogMel:
        """Move the buffers to another device with the model, but keep their precision."""
        exact = dict(self.named_buffers())
        super()._apply(fn, recurse)
        for name, buffer in exact.items():
            setattr(self, name, buffer.to(getattr(self, name).device))
        return self

    def spectrum(self, waveform: Tensor) -> Tensor:
        """Spectrum of all frames, [n, 2, 2, pairs * 17, frames]: even and odd d, real and imaginary parts."""
        c = self.config
        n, samples = waveform.shape
        frames = c.frames(samples)
        if c.preemphasis:
            waveform = waveform[:, 1:] - c.preemphasis * waveform[:, :-1]
        left = c.win_length // 2
        right = (frames - 1) * c.hop + c.win_length - left - waveform.shape[-1]
        padded = F.pad(waveform[:, None, :], (left, max(right, 0)), mode="reflect").squeeze(1)
        return self.transform(padded[:, : (frames - 1) * c.hop + c.win_length], frames)

    def transform(self, padded: Tensor, frames: int) -> Tensor:
        """Spectrum, as that of `spectrum`, of samples that are already padded."""
        n = padded.shape[0]
        low, high = self.first_bins(padded, frames).reshape(n, 2, 2 * PAIRS, HALF * frames).unbind(dim=1)
        both = torch.matmul(self.rotation, torch.stack([low + high, low - high], dim=1))
        return both.reshape(n, 2, 2, self.pairs * HALF, frames)

    def bands(self, spectrum: Tensor) -> Tensor:
        """Power in the mel bands, [n, n_mels, frames] float32."""
        power = (spectrum * spectrum).sum(dim=2)
        parts = [
            torch.matmul(self.get_buffer(f"mel{number}"), power[:, :, reach.bins].flatten(1, 2))
            for number, reach in enumerate(self.reaches)
        ]
        return torch.cat(parts, dim=1).float()

    def logarithm(self, mel: Tensor) -> Tensor:
        """Power in the mel bands to log-mel values."""
        c = self.config
        if c.decibel:
            return 10.0 * torch.log10(mel.clamp_min(c.log_floor))
        return (torch.log(mel + c.log_floor) + c.shift) / c.spread

    def first_bins(self, padded: Tensor, frames: int) -> Tensor:
        """First stage over padded samples: [n, 32 * 2 * 17, frames]."""
        c = self.config
        n, samples = padded.shape
        if not c.double:
            phases = padded.reshape(n, -1, RADIX).transpose(1, 2)  # [n, 32, rows]: phase b of row a is sample 32 a + b
            return F.conv1d(phases, self.analysis, stride=c.hop // RADIX, groups=RADIX)
        # ONNX Runtime has no float64 convolution on CPU: the frames are materialised
        hops = -(-c.win_length // c.hop)
        padded = F.pad(padded, (0, (frames - 1 + hops) * c.hop - samples))
        steps = padded.reshape(n, frames - 1 + hops, c.hop)
        framed = torch.cat([steps[:, at : at + frames] for at in range(hops)], dim=2)[:, :, : c.win_length]
        taps = framed.reshape(n, frames, -1, RADIX).permute(0, 3, 2, 1)  # [n, 32 phases, w / 32, frames]
        return torch.matmul(self.analysis.reshape(RADIX, 2 * HALF, -1), taps)

    def forward(self, waveform: Tensor) -> Tensor:
        return self.logarithm(self.bands(self.spectrum(waveform.to(self.rotation.dtype))))


class LevelNorm(nn.Module):
    """Normalise the level of every window: mean removed, RMS set to `target_dbfs`.

    Field recordings differ by 60 dB in level, and the trunk was pretrained on few quiet ones. The gain is limited to
    `max_gain_db`, so that silence stays finite.
    """

    def __init__(self, target_dbfs: float = -20.0, max_gain_db: float = 70.0) -> None:
        super().__init__()
        self.target = 10.0 ** (target_dbfs / 20.0)
        self.least = self.target / 10.0 ** (max_gain_db / 20.0)

    def forward(self, waveform: Tensor) -> Tensor:
        centred = waveform - waveform.mean(dim=-1, keepdim=True)
        rms = centred.square().mean(dim=-1, keepdim=True).sqrt()
        return centred * (self.target / rms.clamp_min(self.least))
