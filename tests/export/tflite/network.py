"""Small TFLite files of BirdNET's operators, in its form, and what TensorFlow Lite gives for them."""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.tflite.reader import OPTIONS

SAMPLES = 4_800  # 0.1 s at 48 kHz
BANDS, EMBEDDING, HIDDEN = 12, 16, 10
SPECTROGRAMS = ((128, 72), (64, 74))  # length and hop, with as many frames of both
LOW, BINS_USED = (512, 66), 5  # with as many frames
CLASSES = 5
TABLES = {code: table for code, (table, _) in OPTIONS.items()} | {
    "SHAPE": "ShapeOptions",
    "SPLIT_V": "SplitVOptions",
}
SAME, VALID = 0, 1
RELU = 1
INT32 = 2  # of TensorType


class Network:
    """A TFLite graph while it is put together; tensors are numbers."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.tensors: list[tuple[tuple[int, ...], np.dtype[Any], np.ndarray | None]] = []
        self.operators: list[tuple[str, list[int], list[int], dict[str, int | float]]] = []

    def tensor(self, shape: tuple[int, ...], dtype: Any = np.float32, data: np.ndarray | None = None) -> int:
        """A tensor that an operator gives, or an input."""
        self.tensors.append((shape, np.dtype(dtype), data))
        return len(self.tensors) - 1

    def constant(self, values: Any, dtype: Any = np.float32) -> int:
        """A stored tensor."""
        data = np.asarray(values, dtype)
        return self.tensor(data.shape, dtype, data)

    def weights(self, *shape: int, scale: float = 1.0, dtype: Any = np.float32) -> int:
        """Stored random numbers, smaller where more of them are added up."""
        fan = max(1, int(np.prod(shape[1:])))
        return self.constant(self.random.normal(0, scale / np.sqrt(fan), shape), dtype)

    def op(self, code: str, inputs: list[int], shape: tuple[int, ...], dtype: Any = np.float32, **options: Any) -> int:
        """An operator with one output."""
        out = self.tensor(shape, dtype)
        self.operators.append((code, inputs, [out], options))
        return out

    def write(self, path: Path, inputs: list[int], outputs: list[int]) -> Path:
        """Write the file."""
        flatbuffers, schema = pytest.importorskip("flatbuffers"), pytest.importorskip("tflite")
        b = flatbuffers.Builder(1 << 16)
        codes = list(dict.fromkeys(code for code, *_ in self.operators))

        def vector(start: Any, rows: list[int]) -> int:
            start(b, len(rows))
            for row in reversed(rows):
                b.PrependUOffsetTRelative(row)
            return int(b.EndVector())

        def ints(values: Any) -> int:
            return int(b.CreateNumpyVector(np.asarray(values, np.int32)))

        buffers = []
        for data in (None, *(data for _, _, data in self.tensors)):
            held = b.CreateByteVector(data.tobytes()) if data is not None and data.size else None
            schema.BufferStart(b)
            if held is not None:
                schema.BufferAddData(b, held)
            buffers.append(schema.BufferEnd(b))
        tensors = []
        for number, (shape, dtype, _) in enumerate(self.tensors):
            name, dims = b.CreateString(f"t{number}"), ints(shape)
            schema.TensorStart(b)
            schema.TensorAddShape(b, dims)
            schema.TensorAddType(b, getattr(schema.TensorType, dtype.name.upper()))
            schema.TensorAddBuffer(b, number + 1)
            schema.TensorAddName(b, name)
            tensors.append(schema.TensorEnd(b))
        operators = []
        for code, given, made, options in self.operators:
            table, taken, kept = TABLES.get(code, ""), ints(given), ints(made)
            held = None
            options = {field: ints(value) if isinstance(value, list) else value for field, value in options.items()}
            if options:
                getattr(schema, f"{table}Start")(b)
                for field, value in options.items():
                    getattr(schema, f"{table}Add{field}")(b, value)
                held = getattr(schema, f"{table}End")(b)
            schema.OperatorStart(b)
            schema.OperatorAddOpcodeIndex(b, codes.index(code))
            schema.OperatorAddInputs(b, taken)
            schema.OperatorAddOutputs(b, kept)
            if held is not None:
                schema.OperatorAddBuiltinOptionsType(b, getattr(schema.BuiltinOptions, table))
                schema.OperatorAddBuiltinOptions(b, held)
            operators.append(schema.OperatorEnd(b))
        kinds = []
        for code in codes:
            custom = b.CreateString(code.removeprefix("custom ")) if code.startswith("custom ") else None
            number = getattr(schema.BuiltinOperator, "CUSTOM" if custom is not None else code)
            schema.OperatorCodeStart(b)
            schema.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
            schema.OperatorCodeAddBuiltinCode(b, number)
            schema.OperatorCodeAddVersion(b, 1)
            if custom is not None:
                schema.OperatorCodeAddCustomCode(b, custom)
            kinds.append(schema.OperatorCodeEnd(b))
        all_tensors = vector(schema.SubGraphStartTensorsVector, tensors)
        all_operators = vector(schema.SubGraphStartOperatorsVector, operators)
        given, made = ints(inputs), ints(outputs)
        schema.SubGraphStart(b)
        schema.SubGraphAddTensors(b, all_tensors)
        schema.SubGraphAddInputs(b, given)
        schema.SubGraphAddOutputs(b, made)
        schema.SubGraphAddOperators(b, all_operators)
        graphs = vector(schema.ModelStartSubgraphsVector, [schema.SubGraphEnd(b)])
        all_kinds = vector(schema.ModelStartOperatorCodesVector, kinds)
        all_buffers = vector(schema.ModelStartBuffersVector, buffers)
        schema.ModelStart(b)
        schema.ModelAddVersion(b, 3)
        schema.ModelAddOperatorCodes(b, all_kinds)
        schema.ModelAddSubgraphs(b, graphs)
        schema.ModelAddBuffers(b, all_buffers)
        b.Finish(schema.ModelEnd(b), file_identifier=b"TFL3")
        path.write_bytes(bytes(b.Output()))
        return path

    # parts of BirdNET

    def scaled(self, sound: int) -> int:
        """The waveform scaled to its own range, -1 to 1."""
        n = self.tensors[sound][0][1]
        axis = self.constant(1, np.int32)
        low = self.op("REDUCE_MIN", [sound, axis], (1, 1), KeepDims=True)
        above = self.op("SUB", [sound, low], (1, n))
        high = self.op("REDUCE_MAX", [above, axis], (1, 1), KeepDims=True)
        high = self.op("ADD", [high, self.constant(1e-6)], (1, 1))
        share = self.op("DIV", [above, high], (1, n))
        share = self.op("SUB", [share, self.constant(0.5)], (1, n))
        return self.op("MUL", [share, self.constant(2.0)], (1, n))

    def spectrogram(self, sound: int, length: int, hop: int, flip: bool = True, bins_used: int | None = None) -> int:
        """[1, bands, frames, 1], framed and transformed as BirdNET does it, shapes computed as it computes them."""
        i, part = np.int32, gcd(length, hop)
        one, none = self.constant([1], i), self.constant(np.zeros(0), i)
        shape = self.op("SHAPE", [sound], (2,), i, OutType=INT32)
        batch, n, rest = (self.tensor((size,), i) for size in (1, 1, 0))
        sizes = [self.constant([1, 1, 0], i), self.constant(0, i)]
        self.operators.append(("SPLIT_V", [shape, *sizes], [batch, n, rest], {"NumSplits": 3}))
        n = self.op("RESHAPE", [n, none], (), i)
        parts = self.op("FLOOR_DIV", [n, self.constant(part, i)], (), i)
        cut = self.op("MUL", [parts, self.constant(part, i)], (), i)
        cut = self.op("CONCATENATION", [batch, self.op("RESHAPE", [cut, one], (1,), i)], (2,), i, Axis=0)
        inner = self.op("PACK", [parts, self.constant(part, i)], (2,), i, Axis=0, ValuesCount=2)
        inner = self.op("CONCATENATION", [batch, inner], (3,), i, Axis=0)
        ends = [self.constant([0, 0], i), cut, self.constant([1, 1], i)]
        pieces = self.op("RESHAPE", [self.op("STRIDED_SLICE", [sound, *ends], (1, 1)), inner], (1, 1, part))
        frames = self.op("SUB", [n, self.constant(length, i)], (), i)
        frames = self.op("FLOOR_DIV", [frames, self.constant(hop, i)], (), i)
        frames = self.op("ADD", [frames, self.constant(1, i)], (), i)
        frames = self.op("MAXIMUM", [frames, self.constant(0, i)], (), i)
        column = self.op("PACK", [frames, self.constant(1, i)], (2,), i, Axis=0, ValuesCount=2)
        framed = self.op("PACK", [frames, self.constant(length, i)], (2,), i, Axis=0, ValuesCount=2)
        framed = self.op("CONCATENATION", [batch, framed], (3,), i, Axis=0)
        starts = self.op("RANGE", [self.constant(0, i), frames, self.constant(1, i)], (1,), i)
        starts = self.op("MUL", [starts, self.constant(hop // part, i)], (1,), i)
        starts = self.op("RESHAPE", [starts, column], (1, 1), i)
        inside = self.constant(np.arange(length // part)[None], i)
        places = self.op("ADD", [starts, inside], (1, length // part), i)
        taken = self.op("GATHER", [pieces, places], (1, 1, length // part, part), Axis=1)
        taken = self.op("RESHAPE", [taken, framed], (1, 1, length))
        window = self.constant(np.hanning(length + 1)[:-1])
        windowed = self.op("MUL", [taken, window], (1, 1, length))
        wide = self.op("EXPAND_DIMS", [windowed, self.constant(-2, i)], (1, 1, 1, length))
        bins = length // 2 + 1
        spectrum = self.op("RFFT2D", [wide, self.constant([1, length], i)], (1, 1, 1, bins), np.complex64)
        spectrum = self.op("SQUEEZE", [spectrum], (1, 1, bins), np.complex64, SqueezeDims=[-2])
        real = self.op("CAST", [spectrum], (1, 1, bins))
        of_real = self.op("SHAPE", [real], (3,), i, OutType=INT32)
        outer = self.op("GATHER", [of_real, self.constant([0, 1], i)], (2,), i, Axis=0)
        rows = self.op("REDUCE_PROD", [outer, self.constant([0], i)], (), i, KeepDims=False)
        wanted = self.op("CONCATENATION", [outer, self.constant([BANDS], i)], (3,), i, Axis=0)
        last = self.op("GATHER", [of_real, self.constant([2], i)], (1,), i, Axis=0)
        last = self.op("REDUCE_PROD", [last, self.constant([0], i)], (), i, KeepDims=False)
        flat = self.op("PACK", [rows, last], (2,), i, Axis=0, ValuesCount=2)
        flat = self.op("RESHAPE", [real, flat], (1, 1))
        weights = np.abs(self.random.normal(0, 0.3, (BANDS, bins)))
        if bins_used is not None:
            weights[:, bins_used:] = 0
        mel = self.constant(weights)
        bands = self.op("RESHAPE", [self.op("FULLY_CONNECTED", [flat, mel], (1, BANDS)), wanted], (1, 1, BANDS))
        power = self.op("MUL", [bands, bands], (1, 1, BANDS))
        power = self.op("POW", [power, self.constant(0.23)], (1, 1, BANDS))
        if flip:
            power = self.op("REVERSE_V2", [power, self.constant([2], i)], (1, 1, BANDS))
        turned = self.op("TRANSPOSE", [power, self.constant([0, 2, 1], i)], (1, BANDS, 1))
        return self.op("EXPAND_DIMS", [turned, self.constant(-1, i)], (1, BANDS, 1, 1))

    def convolution(self, value: int, shape: tuple[int, ...], channels: int, taps: int = 1, stride: int = 1) -> int:
        """A convolution over [1, height, width, channels] with a bias."""
        filters = self.weights(channels, taps, taps, shape[3])
        bias, options = self.weights(channels), {"Padding": SAME, "StrideH": stride, "StrideW": stride}
        size = tuple(-(-n // stride) for n in shape[1:3])
        options |= {"DilationHFactor": 1, "DilationWFactor": 1}
        return self.op("CONV_2D", [value, filters, bias], (1, *size, channels), **options)

    def pooled(self, value: int, shape: tuple[int, ...], size: int = 2, stride: int = 2) -> int:
        """Means and maxima of squares, in one image."""
        pool = {"Padding": VALID, "StrideH": stride, "StrideW": stride, "FilterHeight": size, "FilterWidth": size}
        shape = (1, (shape[1] - size) // stride + 1, (shape[2] - size) // stride + 1, shape[3])
        both = [self.op(code, [value], shape, **pool) for code in ("AVERAGE_POOL_2D", "MAX_POOL_2D")]
        return self.op("CONCATENATION", both, (*shape[:3], 2 * shape[3]), Axis=3)

    def swish(self, value: int) -> int:
        """x sigmoid(x)."""
        shape = self.tensors[value][0]
        return self.op("MUL", [value, self.op("LOGISTIC", [value], shape)], shape)


def birdnet(
    path: Path,
    classes: int = CLASSES,
    hidden: bool = False,
    head: str = "",
    activation: str = "",
    seed: int = 0,
    low: bool = False,
    uneven: bool = False,
    appended: int = 0,
    last: float = 3.0,
) -> Path:
    """A classifier as small as can be in BirdNET's form.

    Parameters
    ----------
    hidden : a layer between the network's embedding and the last one, as custom classifiers have
    head : operator behind the last layer
    activation : an operator put behind the first convolution
    low : the first spectrogram has long frames and low bands only
    uneven : numbers of channels that are no multiple of 4, and pools of them
    appended : classes of a second last layer, over the network's own embedding, behind the first one's
    last : scale of the weights of the last layer
    """
    net = Network(seed)
    sound = net.tensor((1, SAMPLES))
    scaled = net.scaled(sound)
    frames = (SAMPLES - SPECTROGRAMS[0][0]) // SPECTROGRAMS[0][1] + 1
    shape = (1, BANDS, frames, 2)
    spectrograms = ((*LOW, BINS_USED), (*SPECTROGRAMS[1], None)) if low else [(*one, None) for one in SPECTROGRAMS]
    both = [net.spectrogram(scaled, length, hop, bins_used=used) for length, hop, used in spectrograms]
    value = net.op("CONCATENATION", both, (1, BANDS, 1, 2), Axis=3)
    if uneven:
        value = net.swish(net.convolution(value, shape, 6, 3))
        value = net.pooled(value, (*shape[:3], 6), 1, 1)
        shape = (*shape[:3], 12)
    value = net.swish(net.convolution(value, shape, 8, 3, 2))
    shape = (1, -(-BANDS // 2), -(-frames // 2), 8)
    if activation:
        value = net.op(activation, [value], shape)
    taps = {"Padding": SAME, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    filters = net.weights(1, 3, 3, 8, scale=2.0)
    deep = net.swish(net.op("DEPTHWISE_CONV_2D", [value, filters, net.weights(8)], shape, DepthMultiplier=1, **taps))
    axes = net.constant([1, 2], np.int32)
    squeezed = net.op(
        "RESHAPE", [net.op("MEAN", [deep, axes], (1, 8)), net.constant([-1, 1, 1, 8], np.int32)], (1, 1, 1, 8)
    )
    narrow = 3 if uneven else 4
    gate = net.swish(net.convolution(squeezed, (1, 1, 1, 8), narrow))
    gate = net.op("LOGISTIC", [net.convolution(gate, (1, 1, 1, narrow), 8)], (1, 1, 1, 8))
    value = net.op("ADD", [value, net.op("MUL", [deep, gate], shape)], shape)
    value = net.pooled(value, shape)
    shape = (1, shape[1] // 2, shape[2] // 2, 8)
    value = net.op(
        "PAD", [value, net.constant([[0, 0], [0, 1], [1, 0], [0, 0]], np.int32)], (1, shape[1] + 1, shape[2] + 1, 16)
    )
    shape = (1, shape[1] + 1, shape[2] + 1, 16)
    value = net.swish(net.convolution(value, shape, EMBEDDING))
    value = net.op("MEAN", [value, axes], (1, EMBEDDING))
    width, own = EMBEDDING, value
    if hidden:
        layer = [value, net.weights(HIDDEN, EMBEDDING, scale=3.0), net.weights(HIDDEN)]
        value, width = net.op("FULLY_CONNECTED", layer, (1, HIDDEN), FusedActivationFunction=RELU), HIDDEN
    layer = [value, net.weights(classes, width, scale=last), net.weights(classes)]
    value = net.op("FULLY_CONNECTED", layer, (1, classes))
    if appended:
        layer = [own, net.weights(appended, EMBEDDING, scale=3.0), net.weights(appended)]
        both = [value, net.op("FULLY_CONNECTED", layer, (1, appended))]
        value, classes = net.op("CONCATENATION", both, (1, classes + appended), Axis=1), classes + appended
    if head:
        value = net.op(head, [value], (1, classes), **({"Beta": 1.0} if head == "SOFTMAX" else {}))
    return net.write(path, [sound], [value])


def occurrence(path: Path, labels: int) -> Path:
    """A model of occurrence in the form of BirdNET's: weights in float16, places as sines."""
    net = Network(3)

    def stored(data: Any) -> int:
        half = net.constant(data, np.float16)
        return net.op("DEQUANTIZE", [half], net.tensors[half][0])

    given, parts = net.tensor((1, 3)), []
    for column, (shift, scale) in enumerate(((90.0, 1 / 180), (180.0, 1 / 360), (-1.0, 1 / 48))):
        ends = [net.constant([0, column], np.int32), net.constant([0, column + 1], np.int32)]
        mask = {"BeginMask": 1, "EndMask": 1, "ShrinkAxisMask": 2}
        one = net.op("STRIDED_SLICE", [given, *ends, net.constant([1, 1], np.int32)], (1,), **mask)
        one = net.op("MUL", [net.op("ADD", [one, stored(shift)], (1,)), stored(scale)], (1,))
        wide = net.op("EXPAND_DIMS", [one, net.constant(1, np.int32)], (1, 1))
        turned = net.op("ADD", [net.op("MUL", [wide, stored(6.28)], (1, 1)), stored(np.arange(4.0))], (1, 4))
        parts.append(net.op("SIN", [turned], (1, 4)))
    both = net.op("CONCATENATION", parts, (1, 12), Axis=1)
    layer = [both, stored(net.random.normal(0, 1, (labels, 12))), stored(net.random.normal(0, 1, labels))]
    return net.write(path, [given], [net.op("LOGISTIC", [net.op("FULLY_CONNECTED", layer, (1, labels))], (1, labels))])


def tensorflow_lite(path: Path, inputs: np.ndarray) -> np.ndarray:
    """The first output of a TFLite file [n, ...] for inputs [n, ...], by TensorFlow Lite."""
    litert: Any = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = litert.Interpreter(str(path), experimental_op_resolver_type=plain, num_threads=1)
    interpreter.allocate_tensors()
    rows = []
    for one in inputs.astype(np.float32):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], one[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].copy())
    return np.stack(rows)


def sounds(n: int = 3, samples: int = SAMPLES) -> np.ndarray:
    """Tones in noise, [n, samples]."""
    random, t = np.random.default_rng(5), np.arange(samples) / 48_000
    tones = [np.sin(2 * np.pi * hz * t) for hz in random.uniform(500, 9000, n)]
    return (0.3 * np.stack(tones) + random.normal(0, 0.05, (n, samples))).astype(np.float32)
