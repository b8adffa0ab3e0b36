"""A pack with the class vectors of 96 species: relatives lie near each other, and sound lies at its class vector."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import onnx
import soundfile
from onnx import TensorProto, helper, numpy_helper

from edgeapp.audio.windows import ZERO
from edgeapp.pack.format import write_pack_json
from edgeapp.pack.specs import AudioSpec
from gallery import DecisionParameters, EncoderIdentity, Entry, Taxon, build
from tests.trainer.tiny import call

DIM, RATE_HZ, WINDOW_S = 24, 8000, 0.5
FAMILIES, GENERA, SPECIES = 4, 6, 4  # genera of a family, species of a genus
EPITHETS = ("albus", "niger", "ruber", "minor")
NOUNS = ("Warbler", "Owl", "Crake", "Finch")
UNIT = DecisionParameters(
    scale={"audio": 20.0, "text": 20.0},
    bias={"audio": 0.0, "text": 0.0},
    weight={"audio": 1.0, "text": 1.0},
    null_logit=-1e3,
    slope=1.0,
    offset=0.0,
    threshold=0.5,
    floor=0.5,
    evidence=3.0,
    silence_dbfs=-85.0,
    pool_windows=3,
)


def taxa() -> list[Taxon]:
    """Species in the order of their class vectors."""
    return [
        Taxon(
            f"{genus(family, number)} {epithet}",
            "Animalia",
            "Chordata",
            "Aves",
            f"Ordo{family // 2}formes",
            f"Familia{family}idae",
            genus(family, number),
            {"en": f"{epithet.title()} {genus(family, number)[:4]} {NOUNS[family]}"},
        )
        for family in range(FAMILIES)
        for number in range(GENERA)
        for epithet in EPITHETS
    ]


def words(pack: Path) -> list[str]:
    """What the command line needs to train names on one core."""
    return ["--preset", "trunk", "--stage", "1", "--pack", str(pack), "--threads", "1"]


def train_without(folder: Path, pack: Path) -> None:
    """Train stage 1 without `WITHHELD` into the folder's ``run``."""
    from trainer.__main__ import main

    folder.mkdir()
    names = folder / "withheld.txt"
    names.write_text("\n".join((*WITHHELD, "Homo sapiens")), encoding="utf-8")
    ended = call(main, *words(pack), "--withhold", names, "--out", folder / "run")
    assert ended.code == 0, ended.err


def genus(family: int, number: int) -> str:
    return ("Cantor", "Strix", "Rallus", "Pinzo")[family] + ("el", "ania", "opsis", "ura", "ornis", "ix")[number]


def rows() -> np.ndarray:
    """Rows of the classifier [species, DIM]: family, genus and epithet add up, over what all have in common."""
    rng = np.random.default_rng(0)
    family, tribe, epithet = (rng.standard_normal((n, DIM)) for n in (FAMILIES, FAMILIES * GENERA, SPECIES))
    found = [
        family[f] + tribe[f * GENERA + g] + 0.7 * epithet[e] + 0.8 * rng.standard_normal(DIM)
        for f in range(FAMILIES)
        for g in range(GENERA)
        for e in range(SPECIES)
    ]
    return (np.stack(found) + 3.0 * rng.standard_normal(DIM)).astype(np.float32)


def listening() -> np.ndarray:
    """What the audio graph multiplies a window with: [samples, DIM], orthonormal columns."""
    noise = np.random.default_rng(1).standard_normal((round(RATE_HZ * WINDOW_S), DIM))
    return np.linalg.qr(noise)[0].astype(np.float32)


def make_pack(folder: Path) -> Path:
    """Write the pack."""
    folder.mkdir(parents=True)
    weights = numpy_helper.from_array(listening(), "weights")
    inside = helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["n", len(listening())])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIM])
    node = helper.make_node("MatMul", ["waveform", "weights"], ["embedding"])
    graph = helper.make_graph([node], "audio", [inside], [out], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "audio.onnx"))
    identity = EncoderIdentity("linear", DIM, "linear 1")
    with build(folder / "gallery.sqlite", identity) as gallery:
        gallery.add_taxa(taxa())
        gallery.add_entries(
            Entry(
                taxon.scientific_name,
                "audio",
                row / np.linalg.norm(row),
                "class",
                logit_scale=float(np.linalg.norm(row)),
                logit_bias=0.0,
            )
            for taxon, row in zip(taxa(), rows())
        )
    write_pack_json(
        folder,
        name="linear",
        version="1",
        licence="CC0-1.0",
        preset="trunk",
        space="linear",
        dim=DIM,
        audio=AudioSpec("audio.onnx", RATE_HZ, WINDOW_S, hop_s=WINDOW_S, pad=ZERO, unit=False),
        decision=UNIT,
        gallery="gallery.sqlite",
    )
    return folder


def write_recordings(folder: Path, names: list[str], each: int = 3) -> Path:
    """Recordings of one second that the graph hears at the centred class vector of their species; their manifest."""
    folder.mkdir(parents=True)
    centred = rows() - rows().mean(axis=0)
    place = {taxon.scientific_name: row for row, taxon in enumerate(taxa())}
    rng = np.random.default_rng(2)
    lines = []
    for name in names:
        for piece in range(each):
            vector = centred[place[name]] + 0.3 * rng.standard_normal(DIM)
            window = listening() @ vector
            path = folder / f"{name.replace(' ', '_')}_{piece}.wav"
            soundfile.write(path, np.tile(0.5 * window / np.abs(window).max(), 2), RATE_HZ, "FLOAT")
            lines.append(("audio", path.name, name, "tests", f"{name} {piece}", *place_of(name)))
    manifest = folder / "manifest.csv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("modality", "path", "scientific_name", "source_repo", "source_id", *RANKS))
        writer.writerows(lines)
    return manifest


RANKS = ("common_name", "kingdom", "phylum", "class", "order", "family", "genus")


def place_of(name: str) -> tuple[str, ...]:
    taxon = next(taxon for taxon in taxa() if taxon.scientific_name == name)
    return (taxon.common_name, *taxon.path("genus"))


WITHHELD = tuple(taxon.scientific_name for taxon in taxa()[2::5])  # no genus altogether
