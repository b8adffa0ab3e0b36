"""Write the BirdNET pack: graphs, gallery, occurrence model, licences, and pack.json last, in one move."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgeapp.pack.format import AudioSpec, ImageSpec, Pack, TextSpec, adopt_gallery, write_pack_json
from edgeapp.pack.range import RangeSpec
from edgeapp.runtime.encoders import TextEncoder
from export.birdnet.labels import taxa_of
from export.birdnet.parity import judge, measure, original
from export.birdnet.sources import LICENCE, VERSION, Sources, digest
from export.birdnet.towers import IMAGE, TEXT, TOKENIZER, Space, Towers
from export.errors import ExportError
from export.precision import FP32, Precision
from export.precision import convert as lower
from export.storage import halve
from export.tflite.convert import OUTPUT, Converted, convert, convert_whole
from export.tflite.reader import read_model
from gallery import files
from gallery.entry import Entry
from gallery.labels import Label
from gallery.prompts import prompts
from gallery.store import Gallery, build
from gallery.taxon import Taxon

AUDIO, RANGE_GRAPH, RANGE_TAXA, GALLERY, CARD = (
    "audio.onnx",
    "range.onnx",
    "range.txt",
    "gallery.sqlite",
    "MODEL_CARD.md",
)
RATE_HZ, PRESET = 48000, "birdnet"
TERMS = "CC BY-NC-SA 4.0"
CITATION = (
    "Kahl, S., Wood, C. M., Eibl, M., Klinck, H. (2021): BirdNET: A deep learning solution for avian diversity "
    "monitoring. Ecological Informatics 61, 101236."
)
MAKERS = (
    "K. Lisa Yang Center for Conservation Bioacoustics, Cornell Lab of Ornithology; Chemnitz University of Technology"
)
TEXTS_AT_ONCE = 512  # taxa whose names are encoded together


@dataclass(frozen=True)
class Naming:
    """What the pack is called."""

    name: str = PRESET
    version: str = ""
    licence: str = TERMS


def write_birdnet(
    out: Path,
    sources: Sources,
    towers: Towers,
    naming: Naming,
    tell: Callable[[str], None] = lambda line: None,
    precision: Precision = FP32,
    data: Path | None = None,
) -> Pack:
    """Make a pack of a TFLite classifier and the towers of its space.

    Parameters
    ----------
    out : Path
        An older pack there is replaced once the new one is complete.
    sources : Sources
    towers : Towers
        Used in whole for BirdNET itself; of another network only the names of its labels.
    naming : Naming
    tell : callable
        Told of each step.
    precision : Precision
        Of the audio graph.
    data : Path or None
        Manifest of recordings that the graph is checked on, and every other window of which a precision is fitted on;
        the bundled example if None.

    Raises
    ------
    ExportError
        `out` is no pack or cannot be written, the network cannot be converted, or the labels do not fit it.
    ParityError
        The graph does not give what the public network gives; nothing is written then.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "pack.json").exists())):
        raise ExportError(f"{out}: exists and is no pack", "name another folder with --out")
    tell(f"converting {sources.model.name}")
    converted = convert(read_model(sources.model))
    labels = towers.labels if sources.official else taxa_of(sources.labels, towers.labels)
    if len(labels) != len(converted.weights):
        raise ExportError(
            f"{sources.labels}: {len(labels)} labels for {len(converted.weights)} classes", "name its own --labels"
        )
    if converted.head == "SOFTMAX":
        raise ExportError(
            f"{sources.model}: ends with SOFTMAX, by which classes share one confidence",
            "export it with sigmoid or without activation, as BirdNET is",
        )
    own = sources.official  # the towers were trained into the space of this very network
    space = towers.space(converted.dim) if own else Space.identity(converted.dim)
    try:
        return _written(out, sources, towers, naming, tell, precision, data, converted, labels, space)
    except OSError as error:
        raise ExportError(
            f"{error.filename or out}: {error.strerror or error}", "check the folder and the disk"
        ) from None


def _written(
    out: Path,
    sources: Sources,
    towers: Towers,
    naming: Naming,
    tell: Callable[[str], None],
    precision: Precision,
    data: Path | None,
    converted: Converted,
    labels: list[Label],
    space: Space,
) -> Pack:
    own = sources.official
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        folder = Path(beside) / "pack"
        folder.mkdir()
        onnx.save_model(into_space(converted, space), str(folder / AUDIO))
        described: dict[str, Any] = {
            "name": naming.name,
            "version": naming.version or datetime.now(timezone.utc).strftime("%Y.%m.%d"),
            "licence": naming.licence,
            "preset": PRESET,
            "space": _space_id(sources, space),
            "dim": converted.dim,
            "audio": AudioSpec(
                AUDIO,
                RATE_HZ,
                converted.samples / RATE_HZ,
                hop_s=converted.samples / RATE_HZ,
                pad="zero",
                unit=False,
            ),
            "decision": towers.decision,
            "metrics": dict(towers.document.get("metrics", {})) if own else {},
        }
        if own:
            described |= _encoders(towers, folder)
        if sources.range is not None:
            tell(f"converting {sources.range.name}")
            described["range"] = _range(sources.range, labels, folder)
        _terms(folder, sources, naming)
        known = original(sources, converted, described["audio"], towers, data)
        if precision.lower is not None:
            tell(f"searching what can be {precision.name}")
            kept = lower(folder / AUDIO, precision, known.windows[::2], judge(converted, space, precision))
            described |= {"precision": precision.name, "in_fp32": {"audio": kept}}
        write_pack_json(folder, **described)
        described["parity"] = measure(Pack.load(folder), converted, space, known, precision)
        if not described["parity"]:
            tell(f"parity is not measured: {known.against}")
        write_pack_json(folder, **described)
        pack = Pack.load(folder)
        tell(f"making the gallery of {sum(label.is_species for label in labels)} species")
        with build(folder / GALLERY, pack.identity) as gallery:
            fill(gallery, pack, converted, labels, space, towers if own else None)
        adopt_gallery(pack, GALLERY)
        files.replace_folder(folder, out, Path(beside) / "older")
    return Pack.load(out)


def into_space(converted: Converted, space: Space) -> onnx.ModelProto:
    """The graph of the embedding, with the map into the space at its end."""
    if space.is_identity:
        return converted.model
    model = onnx.ModelProto()
    model.CopyFrom(converted.model)
    graph = model.graph
    graph.node[-1].output[0] = f"{OUTPUT}.network"
    offset = -(space.matrix.astype(np.float64) @ space.mean.astype(np.float64))
    for name, array in (("space.matrix", space.matrix.T), ("space.offset", offset)):
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
    graph.node.append(helper.make_node("Gemm", [f"{OUTPUT}.network", "space.matrix", "space.offset"], [OUTPUT]))
    onnx.checker.check_model(model, full_check=True)
    return model


def fill(
    gallery: Gallery, pack: Pack, converted: Converted, labels: list[Label], space: Space, towers: Towers | None
) -> None:
    """Put class vectors, names and recordings into a gallery."""
    rows, biases = space.class_vectors(converted.weights, converted.bias)
    species = [(label.taxon, row, bias) for label, row, bias in zip(labels, rows, biases) if label.is_species]
    recordings = towers.recordings() if towers is not None else []
    taxa = [taxon for taxon, _, _ in species]
    known = {taxon.scientific_name for taxon in taxa}
    gallery.add_taxa([*taxa, *(taxon for taxon in _others(towers) if taxon.scientific_name not in known)])
    gallery.add_entries(
        Entry(
            taxon.scientific_name,
            "audio",
            (row / np.linalg.norm(row)).astype(np.float32),
            f"class of BirdNET {VERSION}" if towers is not None else f"class of {pack.name}",
            MAKERS if towers is not None else "",
            pack.licence,
            logit_scale=float(np.linalg.norm(row)),
            logit_bias=float(bias),
        )
        for taxon, row, bias in species
    )
    gallery.add_entries(recordings)
    if pack.text is not None:
        gallery.add_entries(names_of(pack, gallery.taxa()))


def names_of(pack: Pack, taxa: list[Taxon]) -> Iterator[Entry]:
    """A vector for the names of each taxon: the mean of those of its prompts, which are five times as many."""
    encoder = TextEncoder(pack)
    for start in range(0, len(taxa), TEXTS_AT_ONCE):
        part = taxa[start : start + TEXTS_AT_ONCE]
        forms = [list(prompts(taxon).values()) for taxon in part]
        vectors = encoder.encode([form for one in forms for form in one]).reshape(len(part), -1, pack.dim)
        for taxon, mean in zip(part, vectors.mean(axis=1)):
            yield Entry(
                taxon.scientific_name, "text", mean / np.linalg.norm(mean), f"names: {prompts(taxon)['common']}"
            )


def _others(towers: Towers | None) -> list[Taxon]:
    """Taxa of the recordings that have no class, as the program's own table has them."""
    if towers is None:
        return []
    from gallery.taxon import starter_taxa

    wanted = {entry.scientific_name for entry in towers.recordings()}
    return [taxon for taxon in starter_taxa() if taxon.scientific_name in wanted]


def _encoders(towers: Towers, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if towers.has(TEXT) and towers.has(TOKENIZER):
        for name in (TEXT, TOKENIZER):
            shutil.copyfile(towers.folder / name, folder / name)
        found["text"] = TextSpec(TEXT, TOKENIZER, int(towers.document["context"]))
    if towers.has(IMAGE):
        shutil.copyfile(towers.folder / IMAGE, folder / IMAGE)
        found["image"] = ImageSpec(IMAGE, int(towers.document["size"]))
    return found


def _range(path: Path, labels: list[Label], folder: Path) -> RangeSpec:
    model = convert_whole(read_model(path), "range", "occurrence")
    onnx.save_model(model, str(folder / RANGE_GRAPH))
    halve(folder / RANGE_GRAPH)  # as the public file has them
    lines = (label.taxon.scientific_name if label.is_species else "" for label in labels)
    (folder / RANGE_TAXA).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return RangeSpec(RANGE_GRAPH, RANGE_TAXA)


def _space_id(sources: Sources, space: Space) -> str:
    found = hashlib.sha256(digest(sources.model).encode())
    if not space.is_identity:
        found.update(space.mean.tobytes() + space.matrix.tobytes())
    return found.hexdigest()[:16]


def _terms(folder: Path, sources: Sources, naming: Naming) -> None:
    if sources.licence is not None:
        shutil.copyfile(sources.licence, folder / LICENCE)
    if sources.official:
        text = (
            f"# BirdNET {VERSION} in biovita-edge\n\n"
            f"Audio network, class vectors and occurrence model: BirdNET {VERSION}, {MAKERS}; {TERMS} (`{LICENCE}`). "
            f"Please cite: {CITATION}\n\n"
            "The network was converted to ONNX without change to its weights. Text and image towers, the map into the "
            f"space, vectors of recordings and decision parameters were trained by biovita-edge; {TERMS}. Authors and "
            "licences of the recordings are in the gallery.\n"
        )
    else:
        text = (
            f"# {naming.name}\n\nMade of `{sources.model.name}` (sha256 {digest(sources.model)}); {naming.licence}.\n"
        )
    (folder / CARD).write_text(text, encoding="utf-8")
