"""Products of whole numbers by ONNX Runtime: exact on every processor, the largest ones too."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from edgeapp.pack.format import Pack
from edgeapp.paths import STARTER_PACK
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.runtime.integers import integer_products, model
from gallery.rounded import OF_TAXON, OF_WINDOW, ZERO


def known(windows: np.ndarray, taxa: np.ndarray, steps: np.ndarray) -> np.ndarray:
    sums = (windows.astype(np.int64) - ZERO) @ taxa.astype(np.int64)
    return sums.astype(np.float32) * steps


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("dim", "m"), [(1, 1), (7, 5), (96, 130), (768, 515)])
def test_products_are_those_of_whole_numbers(dim, m, threads):
    rng = np.random.default_rng(dim)
    taxa = rng.integers(-OF_TAXON, OF_TAXON + 1, (dim, m)).astype(np.int8)
    steps = rng.random(m).astype(np.float32)
    products = integer_products(threads)(taxa, steps)
    for n in (1, 2, 33):
        windows = rng.integers(ZERO - OF_WINDOW, ZERO + OF_WINDOW + 1, (n, dim)).astype(np.uint8)
        assert (products(windows) == known(windows, taxa, steps)).all()


@pytest.mark.parametrize("of_window", [ZERO - OF_WINDOW, ZERO + OF_WINDOW])
@pytest.mark.parametrize("of_taxon", [-OF_TAXON, OF_TAXON])
def test_the_largest_numbers_overflow_nowhere(of_window, of_taxon):
    taxa, steps = np.full((768, 33), of_taxon, np.int8), np.ones(33, np.float32)
    windows = np.full((4, 768), of_window, np.uint8)
    assert (integer_products(1)(taxa, steps)(windows) == (of_window - ZERO) * of_taxon * 768).all()


def test_the_model_is_one_that_onnx_takes():
    onnx = pytest.importorskip("onnx")
    made = onnx.load_model_from_string(model(np.zeros((300, 200), np.int8), np.ones(200, np.float32)))
    onnx.checker.check_model(made, full_check=True)
    assert [node.op_type for node in made.graph.node] == ["MatMulInteger", "Cast", "Mul"]


def test_without_onnx_runtime_there_are_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert integer_products(1) is None


def test_a_recogniser_has_them(starter_pack):
    assert Recogniser(Pack.load(STARTER_PACK, verify=False), threads=1).integers is not None
