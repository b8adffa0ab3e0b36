"""Towers to ONNX graphs with a free batch size."""

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

OPSET = 18  # LayerNormalization is one node from 17 on


def folded(module: nn.Module) -> nn.Module:
    """A copy whose batch norms are folded into the convolutions before them."""
    module = copy.deepcopy(module).eval()
    for part in module.modules():
        if isinstance(part, nn.Sequential):
            for position in range(len(part) - 1):
                convolution, norm = part[position], part[position + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    part[position] = fuse_conv_bn_eval(convolution, norm)
                    part[position + 1] = nn.Identity()
    return module


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
    free : for each input, the axes of any length and what they are called
    """
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
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
            program.optimize()
        finally:
            logging.disable(logging.NOTSET)
    return without_notes(program.model_proto)


def export_graph(module: nn.Module, example: Tensor, name: str, path: Path) -> None:
    """Write one tower as an ONNX graph `name` -> `embedding`; the first axis of both is free.

    Parameters
    ----------
    example : [n, ...] an input of the right shape and type, n at least 2
    """
    free = ({0: torch.export.Dim("n")},)
    onnx.save_model(to_onnx(module, (example,), [name], "embedding", free), str(path))


def without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take out what the exporter notes of the machine it ran on: stack traces with paths, node by node."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    return model


def single_front(audio: SoundTower) -> SoundTower:
    """The tower with a front end that computes in float32, where its own computes in float64.

    TensorRT has no float64. Bands far below the loudest of their frame then differ, vectors do not (see `CLAP_MEL`).
    """
    front = getattr(audio, "front", None)
    if not isinstance(front, LogMel) or not front.config.double:
        return audio
    audio = copy.deepcopy(audio)
    audio.front = LogMel(dataclasses.replace(front.config, double=False))
    return audio


def export_waveform(audio: SoundTower, samples: int, path: Path) -> None:
    """Waveform [n, samples] float32 at the front end's rate to unit vectors; the front end is in the graph."""
    export_graph(audio, torch.randn(2, samples) * 0.1, "waveform", path)


def export_text(model: Vita, preset: Preset, path: Path) -> None:
    """Token ids [n, context] int64 to unit vectors."""
    export_graph(model.text, torch.ones((2, preset.context), dtype=torch.int64), "tokens", path)


def export_image(model: Vita, preset: Preset, path: Path) -> None:
    """RGB 0..255 [n, 3, size, size] float32 to unit vectors; the scaling is in the graph."""
    export_graph(model.image, torch.rand(2, 3, preset.image_size, preset.image_size) * 255, "image", path)
