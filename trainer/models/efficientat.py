"""EfficientAT ``mn04``: MobileNetV3-Large at width 0.4 over a log-mel spectrogram.

Structure and parameter names follow the published weights (Schmid, Koutini and Widmer, "Efficient Large-Scale Audio
Tagging via Transformer-to-CNN Knowledge Distillation", ICASSP 2023), so their state dict loads unchanged.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainer.errors import CheckpointError
from trainer.models.vita import AudioTrunk

WIDTH = 0.4
FEATURES = 384  # channels of the last 1x1 convolution at width 0.4
BANDS = 4  # frequency bands left of 128 mel bands after five strides of two


class Block(NamedTuple):
    """One inverted residual of MobileNetV3-Large (Howard et al., 2019, table 1), before the width multiplier."""

    in_channels: int
    kernel: int
    expanded: int
    out_channels: int
    squeeze: bool
    hardswish: bool
    stride: int


BLOCKS = (
    Block(16, 3, 16, 16, False, False, 1),
    Block(16, 3, 64, 24, False, False, 2),
    Block(24, 3, 72, 24, False, False, 1),
    Block(24, 5, 72, 40, True, False, 2),
    Block(40, 5, 120, 40, True, False, 1),
    Block(40, 5, 120, 40, True, False, 1),
    Block(40, 3, 240, 80, False, True, 2),
    Block(80, 3, 200, 80, False, True, 1),
    Block(80, 3, 184, 80, False, True, 1),
    Block(80, 3, 184, 80, False, True, 1),
    Block(80, 3, 480, 112, True, True, 1),
    Block(112, 3, 672, 112, True, True, 1),
    Block(112, 5, 672, 160, True, True, 2),
    Block(160, 5, 960, 160, True, True, 1),
    Block(160, 5, 960, 160, True, True, 1),
)


def rounded(channels: float) -> int:
    """Channels rounded to a multiple of 8, at most a tenth below `channels`."""
    value = max(8, int(channels + 4) // 8 * 8)
    return value + 8 if value < 0.9 * channels else value


def conv_norm(
    i: int, o: int, kernel: int, stride: int = 1, groups: int = 1, act: nn.Module | None = None
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(i, o, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(o, eps=0.001, momentum=0.01),
    ]
    return nn.Sequential(*layers, act) if act is not None else nn.Sequential(*layers)


class SqueezeExcitation(nn.Module):
    """Channel gate from the mean over frequency and time."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean(dim=(2, 3))))))
        return x * gate[:, :, None, None]


class Gate(nn.Module):
    """Gives the gate its parameter names in the published weights."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([SqueezeExcitation(channels, squeezed)])

    def forward(self, x: Tensor) -> Tensor:
        return self.conc_se_layers[0](x)


class InvertedResidual(nn.Module):
    def __init__(self, block: Block, width: float) -> None:
        super().__init__()
        i, e, o = (rounded(channels * width) for channels in (block.in_channels, block.expanded, block.out_channels))
        act: type[nn.Module] = nn.Hardswish if block.hardswish else nn.ReLU
        layers: list[nn.Module] = []
        if e != i:
            layers.append(conv_norm(i, e, 1, act=act()))
        layers.append(conv_norm(e, e, block.kernel, block.stride, groups=e, act=act()))
        if block.squeeze:
            layers.append(Gate(e, rounded(e // 4)))
        layers.append(conv_norm(e, o, 1))
        self.block = nn.Sequential(*layers)
        self.residual = block.stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + y if self.residual else y


class MobileNetAudio(AudioTrunk):
    """Log-mel [n, 128, frames] to features [n, 384 * 4], averaged over time.

    The published tagger also averages over the four frequency bands. Here they are kept, because the pitch of a call is
    characteristic of a species.
    """

    def __init__(self, width: float = WIDTH) -> None:
        super().__init__()
        first, last = rounded(BLOCKS[0].in_channels * width), rounded(BLOCKS[-1].out_channels * width)
        self.out_features = 6 * last * BANDS
        layers: list[nn.Module] = [conv_norm(1, first, 3, 2, act=nn.Hardswish())]
        layers += [InvertedResidual(block, width) for block in BLOCKS]
        layers += [conv_norm(last, 6 * last, 1, act=nn.Hardswish())]
        self.features = nn.Sequential(*layers)

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.pool(self.features(log_mel[:, None]))

    @staticmethod
    def pool(maps: Tensor) -> Tensor:
        """Feature maps [n, 384, 4, frames] to features."""
        return maps.mean(dim=3).flatten(1)


def load_published(trunk: MobileNetAudio, path: Path) -> None:
    """Load the published checkpoint into `trunk`; every tensor of the trunk must be present and of the right size.

    The AudioSet head in the file is ignored.

    Raises
    ------
    CheckpointError
        When the file is missing, is not a checkpoint, or lacks a tensor.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file", "name the folder of the public weights with --pretrained")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: not a PyTorch checkpoint ({error})", "fetch the file again") from error
    body = {name: tensor for name, tensor in state.items() if name.startswith("features.")}
    try:
        trunk.load_state_dict(body, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: {str(error).splitlines()[-1].strip()}", "this preset needs mn04_as") from error
