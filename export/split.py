"""The audio tower as two graphs, so that overlapping windows share frames of the spectrogram.

`front.onnx` converts sound of any length to frames, and `trunk.onnx` the log-mel of a window to its vector. Frames must
not depend on their window, but the tower first subtracts the mean of each window and normalises its level. Both are
applied between the graphs (`edgeapp.pack.split.Between`): with the mean m of a window, whose spectrum is that of a
constant, the power of a band is P - 2 a C + a² D, where P is the power without correction, C the product of both
spectra, D the power of the constant, and a = m or, after a pre-emphasis p, (1 - p) m; the level is a factor of the
power. C is stored only for the lowest bands: a constant under a Hann window is 109 dB down where the others begin.

Weights and constants are not copied: both graphs refer to their positions in `audio.onnx`, which accelerators and
checks run as a whole. The two graphs thus add less than a twentieth to the size of the audio encoder.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import onnx
import torch
from onnx import TensorProto, external_data_helper
from torch import Tensor, nn
from torch.nn import functional as F

from edgeapp.pack.split import Between, SplitSpec
from export.graphs import folded, to_onnx
from trainer.frontend import LogMel
from trainer.models.efficientat import InvertedResidual
from trainer.models.vita import LevelledTower
from trainer.presets import Preset

FRONT, TRUNK = "front.onnx", "trunk.onnx"
MIN_BYTES = 256  # of a tensor that is stored as a reference
MIN_HARDSWISH = -0.375  # x (x + 3) / 6 at x = -1.5


class Front(nn.Module):
    """Waveform [1, hop m] to the power in the mel bands, followed by C of the lowest: [1, n_mels + low, m]."""

    offset: Tensor

    def __init__(self, front: LogMel) -> None:
        super().__init__()
        self.front = front
        reach = front.reaches[0]
        self.low, self.bins = reach.bands.stop, reach.bins
        one = front.transform(torch.ones(1, front.config.win_length), 1)
        product = one[0, :, :, self.bins, 0] * front.get_buffer("mel0").reshape(self.low, 2, 1, -1)
        self.register_buffer("offset", product.reshape(self.low, -1), persistent=False)

    def constant_power(self) -> Tensor:
        """D of the lowest bands, [low]."""
        one = self.front.transform(torch.ones(1, self.front.config.win_length), 1)
        return self.front.bands(one)[0, : self.low, 0]

    def forward(self, waveform: Tensor) -> Tensor:
        c = self.front.config
        frames = waveform.shape[1] // c.hop
        if c.preemphasis:
            waveform = waveform[:, 1:] - c.preemphasis * waveform[:, :-1]
        left = c.win_length // 2
        right = c.win_length - c.hop - left + (1 if c.preemphasis else 0)
        padded = F.pad(waveform[:, None, :], (left, right), mode="reflect")[:, 0]
        spectrum = self.front.transform(padded, frames)
        low = torch.matmul(self.offset, spectrum[:, :, :, self.bins].flatten(1, 3))
        return torch.cat([self.front.bands(spectrum), low], dim=1)


class Trunk(nn.Module):
    """Log-mel [n, n_mels, frames] to unit vectors."""

    def __init__(self, audio: LevelledTower) -> None:
        super().__init__()
        self.audio = cast(LevelledTower, folded(audio))
        join_first_block(self.audio.lowest_blocks())

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.audio.embed(log_mel)


def join_first_block(stem: nn.Sequential) -> None:
    """Fold the projection of the first block, and the addition of its input, into the expansion of the second.

    Both are linear: expansion(x + projection(y)) is one convolution over x and y. Together they have 16 channels, the
    width of an AVX-512 register, to which ONNX Runtime pads 8 anyway. The depthwise convolution passes the input
    through in additional channels, shifted above zero so that the following ReLU does not change it.
    """
    head, first, second = stem[0], stem[1], stem[2]
    assert isinstance(first, InvertedResidual) and isinstance(second, InvertedResidual) and first.residual
    widen = second.block[0]
    assert isinstance(head, nn.Sequential) and isinstance(widen, nn.Sequential)
    into, into_bias = weights(head[0])
    depthwise, depthwise_bias = weights(first.block[0])
    projection, projection_bias = weights(first.block[1])
    expansion, expansion_bias = weights(widen)
    passing = torch.zeros_like(depthwise)
    passing[:, :, 1, 1] = 1.0
    lift = torch.full_like(depthwise_bias, -MIN_HARDSWISH)
    straight, through = expansion[:, :, 0, 0], projection[:, :, 0, 0]
    bias = expansion_bias + straight @ projection_bias - straight @ lift
    head[0] = convolution(torch.cat([into, into]), torch.cat([into_bias, into_bias]), stride=2)
    both = convolution(torch.cat([passing, depthwise]), torch.cat([lift, depthwise_bias]), groups=2 * len(depthwise))
    stem[1] = nn.Sequential(both, nn.ReLU())
    joined = convolution(torch.cat([straight, straight @ through], dim=1)[:, :, None, None], bias)
    widen[0] = joined


def weights(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution, or of the first layer of a sequence."""
    convolution = layer[0] if isinstance(layer, nn.Sequential) else layer
    assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
    return convolution.weight.detach(), convolution.bias.detach()


def convolution(weight: Tensor, bias: Tensor, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution with "same" padding."""
    o, i, kernel, _ = weight.shape
    made = nn.Conv2d(i * groups, o, kernel, stride, kernel // 2, groups=groups)
    made.weight, made.bias = nn.Parameter(weight), nn.Parameter(bias)
    return made


def export_split(audio: LevelledTower, preset: Preset, whole: Path) -> SplitSpec | None:
    """Write both graphs beside the whole one; None if windows do not consist of whole frames."""
    mel = preset.mel
    if preset.window_samples % mel.hop:
        return None
    frames = preset.window_samples // mel.hop
    front, trunk = Front(audio.front), Trunk(audio)
    sound = torch.randn(1, preset.window_samples) * 0.1
    count = torch.export.Dim("frames", min=4)
    made = to_onnx(front, (sound,), ["waveform"], "frames", ({1: mel.hop * count},))
    onnx.save_model(stored_in(made, whole), str(whole.with_name(FRONT)))
    example = torch.randn(2, mel.n_mels, frames)
    made = to_onnx(trunk, (example,), ["log_mel"], "embedding", ({0: torch.export.Dim("n")},))
    onnx.save_model(stored_in(made, whole), str(whole.with_name(TRUNK)))
    between = Between(
        constant=tuple(front.constant_power().tolist()),
        preemphasis=mel.preemphasis,
        rms=audio.level.target,
        least_rms=audio.level.least,
        floor=mel.log_floor,
        shift=mel.shift,
        spread=mel.spread,
    )
    return SplitSpec(FRONT, TRUNK, mel.hop, math.ceil(mel.win_length / 2 / mel.hop), between)


def stored_in(model: onnx.ModelProto, other: Path) -> onnx.ModelProto:
    """The model with references to another file for tensors whose bytes are in it."""
    held = other.read_bytes()
    for tensor in model.graph.initializer:
        raw = tensor.raw_data
        at = held.find(raw) if len(raw) >= MIN_BYTES else -1
        if at >= 0:
            external_data_helper.set_external_data(tensor, other.name, at, len(raw))
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
    return model
