"""Replace a spectrogram (framing, window, transform and mel bands) in a graph by one strided convolution.

BirdNET uses only the real part of the spectrum, `Re(rfft(window * frame)) @ mel`. That is linear in the frame: band b
of a frame x is `sum_n x[n] window[n] sum_k mel[k, b] cos(2 pi k n / length)`. It is therefore a convolution in time
with one filter per band, which avoids a transform that neither TensorRT nor older versions of ONNX Runtime support.

Filters of low bands are made of few vectors when they are cut into blocks: sound below 3 kHz has some 30 numbers in 139
samples at 48 kHz. Where that is less work, blocks of sound are projected to a basis once, and the convolution runs over
the projections (`factored`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from export.errors import ExportError
from export.tflite.channels import CHANNELS
from export.tflite.folding import Known, fold
from export.tflite.reader import DAMAGED, Model

FRAMING = ("STRIDED_SLICE", "RESHAPE", "GATHER")  # operators that cut sound into frames without computing
AFTER = ("SQUEEZE", "CAST", "RESHAPE", "FULLY_CONNECTED", "RESHAPE")  # operators after the transform
REMEDY = "only networks with the spectrogram of BirdNET 2.4 are supported"
TOLERANCE = 1e-6  # of the largest singular value: what float32 loses in the sums anyway
MOST_PARTS = 4  # of a hop


@dataclass(frozen=True)
class Place:
    """Position of a spectrogram in a graph.

    Attributes
    ----------
    source, result : int
        Tensors: the sound [n, samples], and the bands of its frames [n, frames, bands].
    framing : tuple of int
        Operators that cut the sound into frames, in order.
    window, transform, bands : int
        Operators that multiply by the window, transform, and sum into bands.
    operators : tuple of int
        All operators of the spectrogram.
    """

    source: int
    result: int
    framing: tuple[int, ...]
    window: int
    transform: int
    bands: int
    operators: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """A spectrogram as a convolution.

    Attributes
    ----------
    filters : numpy.ndarray
        [bands, length] float64
    first, hop, frames : int
        First sample of the first frame, samples between frames, number of frames.
    """

    filters: np.ndarray
    first: int
    hop: int
    frames: int


@dataclass(frozen=True, eq=False)
class Factors:
    """Filters over blocks of sound instead of samples.

    Attributes
    ----------
    basis : numpy.ndarray
        [block, rank] float64, orthonormal
    filters : numpy.ndarray
        [bands, rank, blocks of a frame] float64
    """

    basis: np.ndarray
    filters: np.ndarray


def find_spectrograms(model: Model) -> list[Place]:
    """Every spectrogram of a graph.

    Raises
    ------
    ExportError
        A transform does not belong to a spectrogram.
    """
    makers = {output: number for number, one in enumerate(model.operators) for output in one.outputs}
    takers: dict[int, list[int]] = {}
    for number, one in enumerate(model.operators):
        for tensor in one.inputs:
            takers.setdefault(tensor, []).append(number)
    transforms = [number for number, one in enumerate(model.operators) if one.code == "RFFT2D"]
    return [_place(model, number, makers, takers) for number in transforms]


def _place(model: Model, transform: int, makers: dict[int, int], takers: dict[int, list[int]]) -> Place:
    operators, tensors = model.operators, model.tensors
    widening = makers.get(operators[transform].inputs[0], -1)
    window = makers.get(operators[widening].inputs[0], -1) if operators[widening].code == "EXPAND_DIMS" else -1
    if window < 0 or operators[window].code != "MUL":
        raise ExportError(f"{model.path}: RFFT2D of something other than frames", REMEDY)
    [source, *others] = [tensor for tensor in operators[window].inputs if tensors[tensor].data is None]
    framing: list[int] = []
    while source in makers and operators[makers[source]].code in FRAMING:
        framing.insert(0, makers[source])
        source = operators[framing[0]].inputs[0]
    if others or not framing:
        raise ExportError(f"{model.path}: frames of a spectrogram without a window", REMEDY)

    after: list[int] = []
    result = operators[transform].outputs[0]
    shapes: list[int] = []
    for code in AFTER:
        users = takers.get(result, [])
        following = [user for user in users if operators[user].code == code]
        if len(following) != 1 or any(operators[user].code not in (code, "SHAPE") for user in users):
            raise ExportError(f"{model.path}: no {code} where the bands of a spectrogram are made", REMEDY)
        shapes += [user for user in users if operators[user].code == "SHAPE"]
        after.append(following[0])
        result = operators[following[0]].outputs[0]
    bands = after[AFTER.index("FULLY_CONNECTED")]
    if operators[bands].options.get("FusedActivationFunction", 0) or any(i >= 0 for i in operators[bands].inputs[2:]):
        raise ExportError(f"{model.path}: bands of a spectrogram with a bias", REMEDY)
    inside = (*framing, window, widening, transform, *after, *shapes)
    return Place(source, result, tuple(framing), window, transform, bands, inside)


def measure(model: Model, place: Place, known: Callable[[int], Known | None], samples: int) -> Spectrogram:
    """The convolution that is equal to a spectrogram.

    Parameters
    ----------
    model : Model
    place : Place
    known : callable
        Tensor to its value, if it is folded.
    samples : int
        Length of the sound.

    Raises
    ------
    ExportError
        Its frames are not evenly spaced, or its window and bands are computed.
    """

    def value(tensor: int) -> np.ndarray:
        found = known(tensor)
        if found is None:
            raise ExportError(f"{model.path}: a spectrogram whose window or bands are computed", REMEDY)
        return found[0]

    operators = model.operators
    [weights] = [value(i).astype(np.float64) for i in operators[place.window].inputs if known(i) is not None]
    mel = value(operators[place.bands].inputs[1]).astype(np.float64)  # [bands, length / 2 + 1]
    length = int(value(operators[place.transform].inputs[1])[-1])

    # Sample number of each value of each frame, [frames, length]: numbered samples are cut into frames.
    cut = np.arange(2 * samples, dtype=np.int64).reshape(2, samples)
    for number in place.framing:
        made = fold(operators[number], [cut, *(value(i) for i in operators[number].inputs[1:])])
        assert made is not None  # all of FRAMING can be folded
        cut = made[0]
    positions = cut[0]
    first, hop = int(positions[0, 0]), int(positions[1, 0] - positions[0, 0])
    if positions.shape[1] != length or mel.shape[1] != length // 2 + 1 or weights.size != length:
        raise ExportError(f"{model.path}: frames that do not fit the transform of {length}", REMEDY)
    if not np.array_equal(positions, first + hop * np.arange(len(positions))[:, None] + np.arange(length)):
        raise ExportError(f"{model.path}: frames that are not evenly spaced", REMEDY)
    turns = np.outer(np.arange(mel.shape[1]), np.arange(length)) % length
    filters = (mel @ np.cos(2 * np.pi * turns / length)) * weights.reshape(-1)
    if not np.isfinite(filters).all():
        raise ExportError(f"{model.path}: window or bands of a spectrogram that are not finite", DAMAGED)
    return Spectrogram(filters, first, hop, len(positions))


def factored(filters: np.ndarray, hop: int) -> Factors | None:
    """Filters [bands, length] over blocks; None if that takes more than half the multiplications.

    A block is a whole fraction of the hop. The rank is rounded up to a multiple of `CHANNELS`.
    """
    bands, length = filters.shape
    scaled = filters / np.maximum(np.linalg.norm(filters, axis=1, keepdims=True), np.finfo(float).tiny)
    best, least = None, bands * length / 2
    for block in (hop // parts for parts in range(1, MOST_PARTS + 1) if hop % parts == 0):
        blocks = -(-length // block)
        room = ((0, 0), (0, blocks * block - length))
        _, values, basis = np.linalg.svd(np.pad(scaled, room).reshape(-1, block), full_matrices=False)
        rank = -(-int((values > TOLERANCE * values[0]).sum()) // CHANNELS) * CHANNELS
        work = rank * (hop + bands * blocks)
        if rank <= len(basis) and work < least:
            pieces = np.pad(filters, room).reshape(bands, blocks, block)
            best, least = Factors(basis[:rank].T, (pieces @ basis[:rank].T).transpose(0, 2, 1)), work
    return best
