"""A pack small enough to reason about: four species, each a tone, a word and (three of them) a colour.

| species | tone | word | photo |
|---|---|---|---|
| Parus major | 1 kHz | Great, major | red |
| Cuculus canorus | 3 kHz | Cuckoo, canorus | green |
| Parus minor | 2 kHz | Japanese, minor | blue |
| Bufo bufo | 500 Hz | Toad, bufo | - |

Noise lies between all of them and is nothing known; of two tones at once, both are heard.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from edgeapp.pack.format import Pack, adopt_gallery, write_pack_json
from edgeapp.pack.range import RangeSpec
from edgeapp.pack.specs import AudioSpec, ImageSpec, TextSpec
from edgeapp.recognition.gallery_build import build_gallery
from gallery.parameters import DecisionParameters
from gallery.taxon import Taxon

MOST_KEPT_S = 60.0  # of a sound that is asked for again
RATE_HZ = 8_000
WINDOW_S = 10.0
FRAME = 800  # 0.1 s: a tone of a multiple of 10 Hz is one bin
TONES_HZ = {"Parus major": 1000, "Cuculus canorus": 3000, "Parus minor": 2000, "Bufo bufo": 500}
WORDS = {"Great": 0, "major": 0, "Cuckoo": 1, "canorus": 1, "Japanese": 2, "minor": 2, "Toad": 3, "bufo": 3}
DIM = len(TONES_HZ)
CONTEXT = 16
IMAGE_SIZE = 16


def taxa() -> list[Taxon]:
    """The four species."""
    passerine = ("Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Parus")
    cuckoo = ("Animalia", "Chordata", "Aves", "Cuculiformes", "Cuculidae", "Cuculus")
    toad = ("Animalia", "Chordata", "Amphibia", "Anura", "Bufonidae", "Bufo")
    return [
        Taxon("Parus major", *passerine, common_names={"en": "Great Tit"}),
        Taxon("Cuculus canorus", *cuckoo, common_names={"en": "Common Cuckoo"}),
        Taxon("Parus minor", *passerine, common_names={"en": "Japanese Tit"}),
        Taxon("Bufo bufo", *toad, common_names={"en": "Common Toad"}),
    ]


def decision() -> DecisionParameters:
    """Similarity 1 is sure (logit 10), 0.5 (noise) is not (-5)."""
    modalities = ("text", "image", "audio")
    return DecisionParameters(
        scale=dict.fromkeys(modalities, 30.0),
        bias=dict.fromkeys(modalities, -20.0),
        weight={"text": 1.0, "image": 0.5, "audio": 1.0},
        null_logit=0.0,
        slope=1.0,
        offset=0.0,
        threshold=0.7,
        floor=0.7,
        evidence=0.0,
        silence_dbfs=-80.0,
        pool_windows=3,
    )


def make(folder: Path, space: str = "toy", window_s: float = WINDOW_S, **audio: Any) -> Path:
    """Write the pack, its gallery included; `audio` are more fields of its `AudioSpec`."""
    folder.mkdir(parents=True)
    _save(folder / "audio.onnx", *_audio(window_s))
    _save(folder / "text.onnx", *_text())
    _save(folder / "image.onnx", *_image())
    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {word: i for i, word in enumerate(WORDS, start=2)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder, space, window_s, **audio)
    build_gallery(folder / "gallery.sqlite", Pack.load(folder), taxa())
    adopt_gallery(Pack.load(folder))
    return folder


def write(folder: Path, space: str = "toy", window_s: float = WINDOW_S, **audio: Any) -> None:
    """Write the pack.json of a pack that has no gallery yet."""
    write_pack_json(
        folder,
        name="toy",
        version="1.0",
        licence="CC0-1.0",
        preset="toy",
        space=space,
        dim=DIM,
        audio=AudioSpec("audio.onnx", RATE_HZ, window_s, **audio),
        text=TextSpec("text.onnx", "tokenizer.json", CONTEXT),
        image=ImageSpec("image.onnx", IMAGE_SIZE),
        decision=decision(),
        metrics={"top1": 1.0},
    )


def add_range(folder: Path, threshold: float = 0.03) -> Path:
    """Give a toy pack an occurrence model.

    Parus major is everywhere (0.9), the cuckoo in weeks 17 to 24 (0.6, else 0.01, and 0.3 in the whole year), Parus
    minor east of 60 degrees (0.8, else 0.02). It knows nothing of the toad, and has an output that is no species.
    """
    floats = {"zero": 0.0, "first": 16.5, "last": 24.5, "east": 60.0, "p9": 0.9, "p8": 0.8, "p6": 0.6, "p3": 0.3}
    floats |= {"p02": 0.02, "p01": 0.01}
    constants = [numpy_helper.from_array(np.float32(value), name) for name, value in floats.items()]
    constants += [numpy_helper.from_array(np.array([n], np.int64), f"at{n}") for n in (1, 2, 3)]
    node = helper.make_node
    nodes = [
        node("Slice", ["place", "at1", "at2", "at1"], ["longitude"]),
        node("Slice", ["place", "at2", "at3", "at1"], ["week"]),
        node("Greater", ["week", "first"], ["begun"]),
        node("Less", ["week", "last"], ["lasts"]),
        node("And", ["begun", "lasts"], ["season"]),
        node("Less", ["week", "zero"], ["year"]),
        node("Greater", ["longitude", "east"], ["eastern"]),
        node("Where", ["season", "p6", "p01"], ["in_week"]),
        node("Where", ["year", "p3", "in_week"], ["cuckoo"]),
        node("Where", ["eastern", "p8", "p02"], ["minor"]),
        node("Where", ["eastern", "p9", "p9"], ["major"]),
        node("Concat", ["major", "cuckoo", "major", "minor"], ["occurrence"], axis=1),
    ]
    given = helper.make_tensor_value_info("place", TensorProto.FLOAT, ["n", 3])
    got = helper.make_tensor_value_info("occurrence", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph(nodes, "range", [given], [got], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "range.onnx"))
    (folder / "range.txt").write_text("Parus major\nCuculus canorus\n\nParus minor\n", encoding="utf-8")
    return write_again(folder, RangeSpec("range.onnx", "range.txt", threshold))


def write_again(folder: Path, range: RangeSpec | None = None) -> Path:
    """Write the pack.json of a pack whose files were changed on purpose."""
    pack = Pack.load(folder, verify=False)
    write_pack_json(
        folder,
        name=pack.name,
        version=pack.version,
        licence=pack.licence,
        preset=pack.preset,
        space=pack.space,
        dim=pack.dim,
        audio=pack.audio,
        decision=pack.decision,
        text=pack.text,
        image=pack.image,
        gallery=pack.gallery,
        range=range or pack.range,
    )
    return folder


def tone(*frequencies_hz: float, seconds: float = 10.0, rate_hz: int = RATE_HZ, level: float = 0.1) -> np.ndarray:
    """Sines of equal loudness, float32 mono."""
    make = _tone if seconds <= MOST_KEPT_S else _tone.__wrapped__
    return make(frequencies_hz, seconds, rate_hz, level).copy()


@functools.lru_cache(maxsize=20)
def _tone(frequencies_hz: tuple[float, ...], seconds: float, rate_hz: int, level: float) -> np.ndarray:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * sum(np.sin(2 * np.pi * f * t) for f in frequencies_hz)).astype(np.float32)


def noise(seconds: float = 10.0, rate_hz: int = RATE_HZ, level: float = 0.1) -> np.ndarray:
    """White noise."""
    make = _noise if seconds <= MOST_KEPT_S else _noise.__wrapped__
    return make(seconds, rate_hz, level).copy()


@functools.lru_cache(maxsize=8)
def _noise(seconds: float, rate_hz: int, level: float) -> np.ndarray:
    return (level * np.random.default_rng(1).standard_normal(round(seconds * rate_hz))).astype(np.float32)


def _unit(name: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceL2", [name], ["length"], axes=[1], keepdims=1),
        helper.make_node("Max", ["length", "tiny"], ["safe"]),
        helper.make_node("Div", [name, "safe"], ["embedding"]),
    ]


def _audio(window_s: float) -> tuple:
    t = np.arange(FRAME) / RATE_HZ
    waves = [wave(2 * np.pi * f * t) for f in TONES_HZ.values() for wave in (np.cos, np.sin)]
    nodes = [
        helper.make_node("Reshape", ["waveform", "frames"], ["framed"]),
        helper.make_node("MatMul", ["framed", "waves"], ["bins"]),
        helper.make_node("Mul", ["bins", "bins"], ["power"]),
        helper.make_node("ReduceMean", ["power"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "pairs"], ["bands"]),
        helper.make_node("Sqrt", ["bands"], ["loudness"]),
        *_unit("loudness"),
    ]
    constants = {
        "frames": np.array([0, -1, FRAME], np.int64),
        "waves": np.stack(waves, axis=1).astype(np.float32),
        "pairs": np.repeat(np.eye(DIM, dtype=np.float32), 2, axis=0),
    }
    return (
        nodes,
        constants,
        helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["n", round(RATE_HZ * window_s)]),
    )


def _text() -> tuple:
    table = np.zeros((len(WORDS) + 2, DIM), np.float32)
    for token, band in enumerate(WORDS.values(), start=2):
        table[token, band] = 1.0
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["words"], axis=0),
        helper.make_node("ReduceMean", ["words"], ["mean"], axes=[1], keepdims=0),
        *_unit("mean"),
    ]
    return nodes, {"table": table}, helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", CONTEXT])


def _image() -> tuple:
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["colour", "colours"], ["mean"]),
        *_unit("mean"),
    ]
    size = ["n", 3, IMAGE_SIZE, IMAGE_SIZE]
    return (
        nodes,
        {"colours": np.eye(3, DIM, dtype=np.float32)},
        helper.make_tensor_value_info("image", TensorProto.FLOAT, size),
    )


def _save(path: Path, nodes: list, constants: dict, given: onnx.ValueInfoProto) -> None:
    constants = constants | {"tiny": np.array([1e-9], np.float32)}
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIM])
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, path.stem, [given], [out], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
