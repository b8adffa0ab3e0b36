"""Conversion of a TFLite audio classifier to an ONNX graph of its embedding, and the rows of its last layer.

The graph has a dynamic batch and no Fourier transform (`export.tflite.spectrogram`). The last layer is not part of it:
its rows are class vectors in a gallery, beside names, photos and recordings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx

from edgeapp.pack.specs import MOST_WINDOW_SAMPLES
from edgeapp.runtime.ort import first_line
from export.errors import ExportError
from export.tflite.builder import Builder, Unsupported, Value
from export.tflite.folding import BATCHES, FOLDS, Known, constant, fold, is_constant
from export.tflite.operators import LOWERINGS, REMEDY, Operand, Step
from export.tflite.reader import DAMAGED, MALFORMED, OMITTED, Model, Operator
from export.tflite.spectrogram import Factors, Place, Spectrogram, factored, find_spectrograms, measure

INPUT, OUTPUT = "waveform", "embedding"
LINEAR = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div"}  # by a number, of a sound
HEADS = ("LOGISTIC", "SOFTMAX")  # that may follow the last layer
INVALID = (onnx.checker.ValidationError, onnx.shape_inference.InferenceError)
MISFIT = f"{REMEDY}, or copy the file again"
FLOAT = "use the FP32 file of the network"
MOST_VALUES = 1 << 27  # of one output, for each of BATCHES; BirdNET has 1 << 23


@dataclass(frozen=True, eq=False)
class Converted:
    """A classifier as a graph and a last layer.

    Attributes
    ----------
    model : onnx.ModelProto
        ``waveform`` [n, samples] to ``embedding`` [n, dim], float32.
    samples, dim : int
    weights : numpy.ndarray
        [classes, dim] float32; a logit is ``embedding @ weights.T + bias``.
    bias : numpy.ndarray
        [classes] float32
    head : str
        Activation after the last layer: `LOGISTIC`, `SOFTMAX`, or an empty string.
    tensor : int
        Number of the embedding in the file.
    """

    model: onnx.ModelProto
    samples: int
    dim: int
    weights: np.ndarray
    bias: np.ndarray
    head: str
    tensor: int


def convert(model: Model) -> Converted:
    """Convert an audio classifier.

    Raises
    ------
    ExportError
        An operator is not supported, or the model is not an audio classifier.
    """
    with _named(model):
        source, samples = _input(model)
        layers, head = _last_layers(model)
        tensor = layers[0].inputs[0]
        conversion = _Conversion(model, source, samples, tensor)
        embedding = conversion.output()
        dim = embedding.shapes[0][-1]
        rows, biases = zip(*(conversion.layer(one, dim) for one in layers), strict=True)
        made = conversion.build.model("audio", [(INPUT, samples)], (embedding.name, OUTPUT, dim))
        return Converted(made, samples, dim, np.concatenate(rows), np.concatenate(biases), head, tensor)


def convert_whole(model: Model, name: str = "whole", output: str = "output") -> onnx.ModelProto:
    """Convert a whole network: `input` [n, values] to its first output [n, values], float32.

    Raises
    ------
    ExportError
        An operator is not supported.
    """
    with _named(model):
        source, numbers = _input(model)
        conversion = _Conversion(model, source, numbers, model.outputs[0], "input")
        value = conversion.output()
        return conversion.build.model(name, [("input", numbers)], (value.name, output, value.shapes[0][-1]))


@contextmanager
def _named(model: Model) -> Iterator[None]:
    """Name the file where its numbers do not fit together, which no schema forbids."""
    try:
        yield
    except (*MALFORMED, *INVALID) as error:
        raise ExportError(f"{model.path}: cannot be converted ({first_line(error)})", MISFIT) from error


def _input(model: Model) -> tuple[int, int]:
    """The input, and the size of a row."""
    shape = model.tensors[model.inputs[0]].shape
    if len(model.inputs) != 1 or len(shape) != 2 or model.tensors[model.inputs[0]].dtype != np.float32:
        shapes = ", ".join(str(list(model.tensors[i].shape)) for i in model.inputs)
        raise ExportError(f"{model.path}: takes {shapes}, not float32 sound [n, samples]", "name an audio classifier")
    if shape[1] > MOST_WINDOW_SAMPLES:
        raise ExportError(f"{model.path}: takes {shape[1]} samples, more than {MOST_WINDOW_SAMPLES}", DAMAGED)
    return model.inputs[0], shape[1]


def _last_layers(model: Model) -> tuple[list[Operator], str]:
    """The layers over the classes, whose classes follow one another, and the activation behind them.

    BirdNET-Analyzer appends the classes of a custom classifier to BirdNET's own as a second layer.
    """
    makers = {output: one for one in model.operators for output in one.outputs}
    last, head = makers.get(model.outputs[0]), ""
    if last is not None and last.code in HEADS:
        head = last.code
        last = makers.get(last.inputs[0])
    found = [last]
    if last is not None and last.code == "CONCATENATION" and last.options.get("Axis", 0) in (-1, 1):
        found = [makers.get(tensor) for tensor in last.inputs]
    layers = [one for one in found if one is not None and one.code == "FULLY_CONNECTED"]
    if len(layers) < len(found) or any(one.options.get("FusedActivationFunction", 0) for one in (last, *layers) if one):
        raise ExportError(
            f"{model.path}: does not end with a linear layer over the classes", "name a classifier, not an embedding"
        )
    if len({one.inputs[0] for one in layers}) > 1:
        raise ExportError(
            f"{model.path}: ends with layers over different embeddings", "train the classifier without hidden layers"
        )
    return layers, head


class _Conversion:
    """Conversion of the operators that an output needs."""

    def __init__(self, model: Model, source: int, numbers: int, target: int, called: str = INPUT) -> None:
        self.model, self.source, self.numbers, self.target = model, source, numbers, target
        self.build = Builder()
        self.known: dict[int, Known] = {
            i: constant(tensor.data) for i, tensor in enumerate(model.tensors) if tensor.data is not None
        }
        shapes = tuple((batch, numbers) for batch in BATCHES)
        self.values: dict[int, Value] = {source: Value(called, shapes, (0, 1))}
        self.spectrograms = {place.result: place for place in find_spectrograms(model)}
        self.centres: dict[int, tuple[str, str, str]] = {}
        self.linear = {
            one.outputs[0]: one
            for one in model.operators
            if one.code in LINEAR and not one.options.get("FusedActivationFunction", 0)
        }
        self.inside = {number for place in self.spectrograms.values() for number in place.operators}

    def output(self) -> Value:
        """Convert the operators, and return the output."""
        live = self.live()
        unknown = sorted({self.model.operators[i].code for i in live if not self.can(self.model.operators[i])})
        if unknown:
            raise ExportError(f"{self.model.path}: operator {', '.join(unknown)} is not supported", REMEDY)
        for number in live:
            operator = self.model.operators[number]
            try:
                self.take(number, operator)
            except Unsupported as error:
                raise ExportError(f"{self.model.path}: operator {operator.code}: {error}", REMEDY) from None
            except MALFORMED as error:
                raise ExportError(
                    f"{self.model.path}: operator {operator.code} does not fit its inputs", MISFIT
                ) from error
        if self.target not in self.values:
            raise ExportError(f"{self.model.path}: its classes do not depend on the sound", "name a classifier")
        return self.build.plain(self.values[self.target])

    def layer(self, operator: Operator, dim: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights [classes, dim] and bias [classes] of a layer over the classes, float32."""
        weights, *bias = [self.constant(tensor) for tensor in operator.inputs[1:] if tensor != OMITTED]
        added = bias[0] if bias else np.zeros(len(weights), np.float32)
        if weights.ndim != 2 or weights.shape[1] != dim or added.shape != (len(weights),):
            raise ExportError(f"{self.model.path}: the last layer does not fit its embedding", DAMAGED)
        return weights, added

    def constant(self, tensor: int) -> np.ndarray:
        """Weights of the last layer, stored or computed from others, float32."""
        if tensor not in self.known:
            raise ExportError(f"{self.model.path}: the weights of the last layer are computed", REMEDY)
        found = self.known[tensor][0]
        if found.dtype.kind != "f":
            raise ExportError(f"{self.model.path}: the last layer has weights of the type {found.dtype}", FLOAT)
        if not np.isfinite(found).all():
            raise ExportError(f"{self.model.path}: the last layer has weights that are not finite", DAMAGED)
        return found.astype(np.float32)

    def can(self, operator: Operator) -> bool:
        """Whether an operator can be folded or lowered."""
        return operator.code in LOWERINGS or operator.code in FOLDS or operator.code == "SHAPE"

    def live(self) -> list[int]:
        """The operators that the output needs, in order; of a spectrogram only the last one."""
        makers = {output: number for number, one in enumerate(self.model.operators) for output in one.outputs}
        found: set[int] = set()
        wanted = [self.target]
        while wanted:
            tensor = wanted.pop()
            if tensor in self.spectrograms:
                place = self.spectrograms[tensor]
                needed = [place.source]
                for number in (*place.framing, place.window, place.transform, place.bands):
                    needed += [i for i in self.model.operators[number].inputs[1:] if i not in self.known]
                wanted += [i for i in needed if i not in self.made_inside]
                found.add(makers[tensor])
            elif tensor in makers and makers[tensor] not in found:
                found.add(makers[tensor])
                wanted += [i for i in self.model.operators[makers[tensor]].inputs if i >= 0]
        return sorted(found)

    @property
    def made_inside(self) -> set[int]:
        """Tensors that only exist inside a spectrogram."""
        return {output for number in self.inside for output in self.model.operators[number].outputs}

    def take(self, number: int, operator: Operator) -> None:
        """Fold or lower one operator."""
        [result, *_] = operator.outputs
        if result in self.spectrograms:
            self.values[result] = self.spectrogram(self.spectrograms[result])
            return
        if operator.code == "SHAPE":
            shapes = self.values[operator.inputs[0]].shapes
            self.known[result] = tuple(np.array(shape, np.int32) for shape in shapes)
            return
        if all(i in self.known for i in operator.inputs):
            folded = [fold(operator, [self.known[i][at] for i in operator.inputs]) for at in range(len(BATCHES))]
            if all(made is not None for made in folded):
                for at, output in enumerate(operator.outputs):
                    self.known[output] = tuple(made[at] for made in folded if made is not None)
                return
        inputs: list[Operand | None] = [
            None if i < 0 else self.values[i] if i in self.values else self.known[i] for i in operator.inputs
        ]
        if operator.code not in LOWERINGS:
            raise Unsupported("its inputs are computed from sound")
        value = LOWERINGS[operator.code](Step(self.build, operator, inputs))
        if any(min(shape, default=1) < 1 or math.prod(shape) > MOST_VALUES for shape in value.shapes):
            raise Unsupported(f"an output of the shape {list(value.shapes[0])}")
        self.values[result] = value

    def spectrogram(self, place: Place) -> Value:
        """Spectrogram [n, frames, bands], in the order of the convolution's output."""
        build, found = self.build, measure(self.model, place, self.known.get, self.numbers)
        sound, scale, mean = self.centred(place.source)
        factors = factored(found.filters, found.hop)
        bands = self.bands(sound, found) if factors is None else self.bands_of_blocks(sound, found, factors)
        if scale:
            bands = build.node("Mul", [bands, scale])
        of_offset = build.constant(found.filters.sum(axis=1)[None, :, None].astype(np.float32))
        name = build.node("Add", [bands, build.node("Mul", [mean, of_offset])])
        shapes = tuple((batch, found.frames, len(found.filters)) for batch in BATCHES)
        return Value(name, shapes, (0, 2, 1))

    def centred(self, tensor: int) -> tuple[str, str, str]:
        """Sound [n, 1, samples] less its mean before it was scaled, the scale and the mean after that, [n, 1, 1].

        A constant offset is subtracted before the filters and added after them: BirdNET scales a window to its own
        range, which gives it an offset far above its sound, so that the filters would lose precision. The scale is for
        the bands, which are fewer numbers; it is empty where there is none.
        """
        if tensor not in self.centres:
            build, steps, source = self.build, [], tensor
            while (step := self.linear.get(source)) is not None and (number := self.number(step.inputs[1])):
                steps.append((LINEAR[step.code], number))
                source = step.inputs[0]
            wide = build.node("Unsqueeze", [build.plain(self.values[source]).name, build.integers([1])])
            mean, scale = build.node("ReduceMean", [wide], axes=[2], keepdims=1), ""
            sound = build.node("Sub", [wide, mean])
            for code, number in reversed(steps):
                mean = build.node(code, [mean, number])
                if code in ("Mul", "Div"):
                    scale = build.node(code, [scale or build.constant(np.array(1, np.float32)), number])
            self.centres[tensor] = sound, scale, mean
        return self.centres[tensor]

    def number(self, tensor: int) -> str:
        """Name of one number for each window [n, 1, 1], or for all of them; empty if the tensor is something else."""
        if tensor in self.known and is_constant(self.known[tensor]) and self.known[tensor][0].size == 1:
            return self.build.constant(self.known[tensor][0].reshape(()).astype(np.float32))
        value = self.values.get(tensor)
        if value is None or any(shape[1:] != (1,) for shape in value.shapes):
            return ""
        return self.build.node("Unsqueeze", [value.name, self.build.integers([1])])

    def bands(self, sound: str, found: Spectrogram) -> str:
        """Bands [n, bands, frames] of sound [n, 1, samples] by one filter for each."""
        build, length = self.build, found.filters.shape[1]
        end = found.first + (found.frames - 1) * found.hop + length
        if found.first > 0 or self.numbers - end >= found.hop:  # else no other frame fits
            sound = build.node("Slice", [sound, *(build.integers([n]) for n in (found.first, end, 2))])
        filters = build.constant(found.filters[:, None].astype(np.float32))
        return build.node("Conv", [sound, filters], kernel_shape=[length], strides=[found.hop])

    def bands_of_blocks(self, sound: str, found: Spectrogram, factors: Factors) -> str:
        """The same by filters over blocks."""
        build, (block, _), blocks = self.build, factors.basis.shape, factors.filters.shape[2]
        parts = found.hop // block
        count = (found.frames - 1) * parts + blocks
        end = found.first + count * block
        if end > self.numbers:  # of the last block, what lies behind the last frame
            sound = build.node("Pad", [sound, build.integers([0] * 5 + [end - self.numbers])])
        if (found.first, end) != (0, self.numbers):
            sound = build.node("Slice", [sound, *(build.integers([n]) for n in (found.first, end, 2))])
        cut = build.node("Reshape", [sound, build.integers([-1, count, block])])
        seen = build.node("MatMul", [cut, build.constant(factors.basis.astype(np.float32))])
        turned = build.node("Transpose", [seen], perm=[0, 2, 1])
        # A convolution over an image of one row: ONNX Runtime has no fast one over a line.
        row, filters = build.integers([2]), build.constant(factors.filters[:, :, None].astype(np.float32))
        wide = build.node("Unsqueeze", [turned, row])
        bands = build.node("Conv", [wide, filters], kernel_shape=[1, blocks], strides=[1, parts])
        return build.node("Squeeze", [bands, row])
