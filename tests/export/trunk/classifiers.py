"""Small ONNX classifiers in the published form of Perch 2 and of BirdNET 3.0, and labels as those come with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RATE_HZ, WINDOW_S, SAMPLES = 32_000, 0.2, 6_400
DIM, TAPS, FILTERS = 12, 64, 8
PERCH_LABELS = "inat2024_fsd50k\nParus major\nBufo bufo\nTetrao tetrix\nDoorbell\nGryllus campestris\n"
BIRDNET_LABELS = (
    "idx;id;sci_name;com_name;class\n0;a1;Parus major;Great Tit;Aves\n1;a2;Bufo bufo;Common Toad;Amphibia\n"
    "2;a3;Lyrurus tetrix;Black Grouse;Aves\n3;a4;Noise;Noise;\n4;a5;Gryllus campestris;Field Cricket;Insecta\n"
)
CLASSES = 5


def classifier(
    path: Path,
    given: str = "inputs",
    shape: tuple[Any, ...] = ("batch", SAMPLES),
    outputs: tuple[str, ...] = ("embedding", "spatial_embedding", "spectrogram", "label"),
    head: str = "",
    gemm: bool = False,
    half: bool = False,
    last: str = "linear",
    seed: int = 0,
) -> Path:
    """Write a classifier: a filter bank, its energy by time, two layers.

    Parameters
    ----------
    given, shape : of its input
    outputs : embedding, feature map, spectrogram, classes; an empty name is left out
    head : operator behind the last layer
    gemm : last layer as one node, with weights [classes, dim]
    half : weights of the last layer stored as float16
    last : ``linear``, or ``prototypes`` for distances to prototypes, which are no linear layer
    """
    random = np.random.default_rng(seed)
    constants: dict[str, np.ndarray] = {
        "bank": random.normal(0, 0.3, (FILTERS, 1, TAPS)).astype(np.float32),
        "dense": random.normal(0, 1, (FILTERS, DIM)).astype(np.float32),
        "weights": random.normal(0, 1, (DIM, CLASSES)).astype(np.float32),
        "bias": random.normal(0, 1, CLASSES).astype(np.float32),
        "tiny": np.float32(1e-3),
        "axis": np.array([1], np.int64),
        "time": np.array([2], np.int64),
    }
    node = helper.make_node
    wide = len(shape) == 3
    nodes = [] if wide else [node("Unsqueeze", [given, "axis"], ["wide"])]
    nodes += [
        node("Conv", [given if wide else "wide", "bank"], ["bands"], strides=[TAPS // 2], kernel_shape=[TAPS]),
        node("Abs", ["bands"], ["size"]),
        node("Add", ["size", "tiny"], ["positive"]),
        node("Log", ["positive"], ["loud"]),
        node("ReduceMean", ["loud"], ["mean"], axes=[2], keepdims=0),
        node("MatMul", ["mean", "dense"], ["inner"]),
        node("Tanh", ["inner"], ["features"]),
    ]
    names = dict(zip(("embedding", "map", "spectrogram", "classes"), outputs))
    if last == "prototypes":
        constants["prototypes"] = random.normal(0, 1, (1, CLASSES, DIM)).astype(np.float32)
        nodes += [
            node("Unsqueeze", ["features", "axis"], ["row"]),
            node("Sub", ["row", "prototypes"], ["apart"]),
            node("ReduceL2", ["apart"], ["logits"], axes=[2], keepdims=0),
        ]
    elif gemm:
        constants["weights"] = np.ascontiguousarray(constants["weights"].T)
        nodes.append(node("Gemm", ["features", "weights", "bias"], ["logits"], transB=1))
    else:
        weights = "weights"
        if half:
            constants["weights"] = constants["weights"].astype(np.float16)
            nodes.append(node("Cast", ["weights"], ["float_weights"], to=TensorProto.FLOAT))
            weights = "float_weights"
        nodes += [node("MatMul", ["features", weights], ["product"]), node("Add", ["product", "bias"], ["logits"])]
    nodes.append(node(head or "Identity", ["logits"], [names["classes"]]))
    made = {names["classes"]: ["batch", CLASSES]}
    if names["embedding"]:
        nodes.append(node("Identity", ["features"], [names["embedding"]]))
        made[names["embedding"]] = ["batch", DIM]
    if names["map"]:
        nodes.append(node("Unsqueeze", ["loud", "axis"], [names["map"]]))
        made[names["map"]] = ["batch", 1, FILTERS, None]
    if names["spectrogram"]:
        nodes.append(node("Identity", ["loud"], [names["spectrogram"]]))
        made[names["spectrogram"]] = ["batch", FILTERS, None]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in made.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


def perch(folder: Path, **changes: Any) -> tuple[Path, Path]:
    """Perch 2: logits out, an embedding and more beside them, labels under one header."""
    (folder / "labels.csv").write_text(PERCH_LABELS, encoding="utf-8")
    return classifier(folder / "perch_v2.onnx", **changes), folder / "labels.csv"


def birdnet3(folder: Path, **changes: Any) -> tuple[Path, Path]:
    """BirdNET 3.0: sound of any length in, embeddings and probabilities out, a table with semicolons."""
    (folder / "labels.csv").write_text(BIRDNET_LABELS, encoding="utf-8")
    form: dict[str, Any] = {"given": "input", "shape": ("batch", "samples"), "head": "Sigmoid", "gemm": True}
    form["outputs"] = ("embeddings", "", "", "predictions")
    return classifier(folder / "BirdNET_V3.onnx", **{**form, **changes}), folder / "labels.csv"


def run(path: Path, heard: np.ndarray, output: str) -> np.ndarray:
    """An output of a classifier [n, numbers] for windows [n, samples]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()
    shaped = heard[:, None] if len(given.shape) == 3 else heard
    return np.asarray(session.run([output], {given.name: shaped})[0])


def sounds(n: int) -> np.ndarray:
    """Tones in noise, [n, samples]."""
    random, t = np.random.default_rng(5), np.arange(SAMPLES) / RATE_HZ
    tones = [np.sin(2 * np.pi * hz * t) for hz in random.uniform(500, 9000, n)]
    return (0.3 * np.stack(tones) + random.normal(0, 0.05, (n, SAMPLES))).astype(np.float32)
