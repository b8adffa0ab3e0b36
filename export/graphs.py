"""Export of towers as ONNX graphs with a dynamic batch size."""

from __future__ import annotations

import copy
import dataclasses
import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from trainer.frontend import LogMel
from trainer.models.vita import SoundTower, Vita
from trainer.presets import Preset

OPSET = 18  # LayerNormalization is a single node from 17 on


def folded(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, with batch norms folded into the preceding convolutions in a copy of it.

    Without any, it is the module itself: a copy of ViT-L takes 1.2 GB.
    """
    if not any(foldable(part) for part in module.modules()):
        return module.eval()
    module = copy.deepcopy(module).eval()
    for part in module.modules():
        for position in foldable(part):
            assert isinstance(part, nn.Sequential)
            convolution, norm = part[position], part[position + 1]
            assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            part[position] = fuse_conv_bn_eval(convolution, norm)
            part[position + 1] = nn.Identity()
    return module


def foldable(part: nn.Module) -> list[int]:
    """Positions in a sequence of the convolutions that a batch norm follows."""
    if not isinstance(part, nn.Sequential):
        return []
    pairs = zip(part, list(part)[1:])
    return [n for n, (a, b) in enumerate(pairs) if isinstance(a, nn.Conv2d) and isinstance(b, nn.BatchNorm2d)]


def to_onnx(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    inputs: Sequence[str],
    output: str,
    free: tuple[dict[int, Any], ...],
) -> onnx.ModelProto:
    """A module as an ONNX model.

    Parameters
    ----------
    examples : inputs of the right shapes and types
    inputs, output : their names in the graph
    free : for each input, its dynamic axes and their names
    """
    with torch.no_grad(), warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # of the exporter's own internals
        logging.disable(logging.WARNING)
        try:
            program = torch.onnx.export(
                folded(module),
                examples,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=free,
            )
            assert program is not None
            program.optimize()  # again: once leaves the text tower's output with a name that is there twice
        finally:
            logging.disable(logging.NOTSET)
    return without_metadata(program.model_proto)


def export_graph(module: nn.Module, example: Tensor, name: str, path: Path) -> None:
    """Write a tower as an ONNX graph `name` -> `embedding`, both with a dynamic first axis.

    Parameters
    ----------
    example : [n, ...] an input of the right shape and type, n at least 2
    """
    free = ({0: torch.export.Dim("n")},)
    onnx.save_model(to_onnx(module, (example,), [name], "embedding", free), str(path))


def without_metadata(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the exporter's metadata, which includes stack traces with paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    return model


def single_front(audio: SoundTower) -> SoundTower:
    """The tower with a float32 front end if its own is float64, which TensorRT does not have.

    Bands far below the loudest of their frame then differ, vectors do not (see `CLAP_MEL`).
    """
    front = getattr(audio, "front", None)
    if not isinstance(front, LogMel) or not front.config.double:
        return audio
    audio = copy.deepcopy(audio)
    audio.front = LogMel(dataclasses.replace(front.config, double=False))
    return audio


def export_waveform(audio: SoundTower, samples: int, path: Path) -> None:
    """Write the graph from waveform [n, samples] float32 to unit vectors, including the front end."""
    export_graph(audio, torch.randn(2, samples) * 0.1, "waveform", path)


def export_text(model: Vita, preset: Preset, path: Path) -> None:
    """Write the graph from token ids [n, context] int64 to unit vectors."""
    export_graph(model.text, torch.ones((2, preset.context), dtype=torch.int64), "tokens", path)


def export_image(model: Vita, preset: Preset, path: Path) -> None:
    """Write the graph from RGB 0..255 [n, 3, size, size] float32 to unit vectors, including normalisation."""
    export_graph(model.image, torch.rand(2, 3, preset.image_size, preset.image_size) * 255, "image", path)
