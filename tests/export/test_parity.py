"""The comparison of a graph with its checkpoint, on functions whose cosine is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from export.errors import ParityError
from export.parity import Parity
from export.parity import compare as compare_vectors
from export.precision import FP32

INPUTS = [("one.wav", np.eye(2)), ("two.wav", np.array([[3.0, 4.0]]))]


def compare(graph: str, inputs: list[tuple[str, np.ndarray]], *run: Callable[[np.ndarray], np.ndarray]) -> Parity:
    wanted, given = ([one(values) for _, values in inputs] for one in run)
    return compare_vectors(graph, [label for label, _ in inputs], wanted, given, FP32.cosine)


def same(values: np.ndarray) -> np.ndarray:
    return values


def turned(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return lambda values: values @ rotation


def test_equal_vectors_pass_and_are_counted() -> None:
    parity = compare("audio.onnx", INPUTS, same, same)
    assert (parity.least, parity.mean, parity.inputs) == (pytest.approx(1.0), pytest.approx(1.0), 3)


def test_the_least_cosine_is_kept_and_its_input_named() -> None:
    def off_on_two(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda values: turned(degrees)(values) if len(values) == 1 else values

    parity = compare("audio.onnx", INPUTS, same, off_on_two(0.5))
    assert parity.least == pytest.approx(np.cos(np.deg2rad(0.5)))
    assert parity.to_dict() == {"least": 0.9999619, "mean": 0.9999873, "inputs": 3}
    with pytest.raises(ParityError, match="two.wav"):
        compare("audio.onnx", INPUTS, same, off_on_two(0.9))


@pytest.mark.parametrize("degrees", [0.9, 5.0, 90.0, 180.0])
def test_a_difference_beyond_the_bound_names_graph_clip_and_cosine(degrees: float) -> None:
    with pytest.raises(ParityError) as error:
        compare("audio.onnx", INPUTS, same, turned(degrees))
    line = str(error.value)
    assert "audio.onnx" in line and ".wav" in line and f"{np.cos(np.deg2rad(degrees)):.6f}" in line
    assert str(FP32.cosine) in line and "\n" not in line and error.value.exit_code == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_vectors_that_are_none_do_not_pass(value: float) -> None:
    with pytest.raises(ParityError, match="one.wav"):
        compare("audio.onnx", INPUTS, same, lambda values: np.full(values.shape, value))


def test_nothing_to_compare_on_is_no_parity() -> None:
    with pytest.raises(ParityError, match="nothing to compare on"):
        compare("image.onnx", [], same, same)
