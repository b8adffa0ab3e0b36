"""MobileNetV2 with folded batch norms, as in the public photo network.

That network is an ONNX file with constant weights `w0, b0, w1, b1 …` in the order of its layers and with TensorFlow's
padding. This is a torch module that can be fine-tuned: Sandler et al., "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018, table 2.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.errors import CheckpointError

FEATURES = 1280
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: the odd pixel goes to the right and the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        k, s = self.kernel_size[0], self.stride[0]
        if s == 1:
            return F.conv2d(x, self.weight, self.bias, padding=k // 2, groups=self.groups)
        h, w = ((-(-size // s) - 1) * s + k - size for size in x.shape[-2:])
        padded = F.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))
        return F.conv2d(padded, self.weight, self.bias, stride=s, groups=self.groups)


class Bottleneck(nn.Module):
    def __init__(self, i: int, o: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = i * expansion
        layers: list[nn.Module] = [SameConv(i, hidden, 1), nn.ReLU6()] if expansion > 1 else []
        layers += [SameConv(hidden, hidden, 3, stride, groups=hidden), nn.ReLU6(), SameConv(hidden, o, 1)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNetImage(nn.Module):
    """Picture [n, 3, 224, 224], RGB 0..255, to pooled features [n, 1280], including normalisation."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Sequential(SameConv(3, 32, 3, 2), nn.ReLU6())]
        i = 32
        for expansion, o, count, stride in STAGES:
            for position in range(count):
                layers.append(Bottleneck(i, o, expansion, stride if position == 0 else 1))
                i = o
        layers.append(nn.Sequential(SameConv(i, FEATURES, 1), nn.ReLU6()))
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers((image - 127.5) / 128.0).mean(dim=(2, 3))


def load_given(trunk: MobileNetImage, path: Path) -> None:
    """Copy the weights of the public photo network into `trunk`.

    Raises
    ------
    CheckpointError
        When the file is missing, is not an ONNX model, or does not have the layers of MobileNetV2.
    """
    import onnx
    from onnx import numpy_helper

    if not path.is_file():
        raise CheckpointError(f"{path}: no such file", "name the folder of the public weights with --pretrained")
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:
        raise CheckpointError(f"{path}: not an ONNX model ({type(error).__name__})", "fetch the file again") from error
    given = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    convolutions = [module for module in trunk.modules() if isinstance(module, SameConv)]
    with torch.no_grad():
        for row, convolution in enumerate(convolutions):
            for kind, parameter in convolution.named_parameters():
                name = f"{kind[0]}{row}"
                if name not in given or given[name].shape != tuple(parameter.shape):
                    raise CheckpointError(
                        f"{path}: tensor {name} is missing or of another size", "give MobileNetV2 1.0"
                    )
                parameter.copy_(torch.from_numpy(given[name].copy()))
