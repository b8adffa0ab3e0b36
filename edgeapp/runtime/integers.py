"""Products of whole numbers of 8 bits by ONNX Runtime, which has the processor's instructions for them.

The graph is three operators, written out here: a device does without the package `onnx`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from edgeapp.runtime.ort import options_of
from edgeapp.runtime.settings import CPU
from gallery.rounded import ZERO, IntegerProducts

FLOAT, UINT8, INT8 = 1, 2, 3  # TensorProto.DataType
IR_VERSION, OPSET = 8, 13
VARINT_BITS = 7


def integer_products(threads: int) -> IntegerProducts | None:
    """How a gallery makes products of whole numbers, on so many threads; None without ONNX Runtime."""
    try:
        import onnxruntime  # noqa: F401 - the gallery goes on in float32
    except ImportError:
        return None
    return partial(_products, threads)


def _products(threads: int, taxa: np.ndarray, steps: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model(taxa, steps), options_of(threads), providers=[CPU])

    def products(windows: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run(["products"], {"windows": windows})[0]
        return found

    return products


def model(taxa: np.ndarray, steps: np.ndarray) -> bytes:
    """An ONNX model: ``windows`` [n, dim] uint8 -> ``products`` [n, m] float32, as `IntegerProducts` has it.

    Source: the messages and field numbers of onnx.proto3 (ONNX, IR version 8).
    """
    dim, m = taxa.shape
    graph = b"".join(
        [
            _message(1, _node("MatMulInteger", ["windows", "taxa", "zero"], "sums")),
            _message(
                1, _node("Cast", ["sums"], "numbers", _message(5, _text(1, "to") + _number(3, FLOAT) + _number(20, 2)))
            ),
            _message(1, _node("Mul", ["numbers", "steps"], "products")),
            _text(2, "products"),
            _message(5, _tensor("taxa", INT8, taxa)),
            _message(5, _tensor("steps", FLOAT, steps)),
            _message(5, _tensor("zero", UINT8, np.array(ZERO, np.uint8))),
            _message(11, _value("windows", UINT8, dim)),
            _message(12, _value("products", FLOAT, m)),
        ]
    )
    return _number(1, IR_VERSION) + _message(7, graph) + _message(8, _number(2, OPSET))


def _node(operator: str, inputs: list[str], output: str, attribute: bytes = b"") -> bytes:
    return b"".join(_text(1, one) for one in inputs) + _text(2, output) + _text(4, operator) + attribute


def _attribute(name: str, value: int) -> bytes:
    return _message(5, _text(1, name) + _number(3, value) + _number(20, 2))  # AttributeProto.INT


def _tensor(name: str, kind: int, array: np.ndarray) -> bytes:
    shape = b"".join(_number(1, size) for size in array.shape)
    return shape + _number(2, kind) + _text(8, name) + _message(9, array.tobytes())


def _value(name: str, kind: int, size: int) -> bytes:
    """A matrix of any number of rows."""
    shape = _message(1, _text(2, "n")) + _message(1, _number(1, size))
    return _text(1, name) + _message(2, _message(1, _number(1, kind) + _message(2, shape)))


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode("ascii"))


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    digits = []
    while value >= 1 << VARINT_BITS:
        digits.append(value & ((1 << VARINT_BITS) - 1) | 1 << VARINT_BITS)
        value >>= VARINT_BITS
    return bytes([*digits, value])
