"""Write the BirdNET pack: graphs, gallery, occurrence model, licences and pack.json."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgeapp.pack.format import Pack, adopt_gallery, write_pack_json
from edgeapp.pack.range import RangeSpec
from edgeapp.pack.specs import WINDOWS_S, AudioSpec, ImageSpec, TextSpec
from edgeapp.runtime.encoders import TextEncoder
from export.birdnet.parity import judge, measure, original
from export.birdnet.sources import LICENCE, VERSION, Sources, digest
from export.birdnet.towers import IMAGE, TEXT, TOKENIZER, Space, Towers
from export.errors import ExportError
from export.folder import new_pack, today
from export.labels import distinct_taxa, tell_others
from export.precision import FP32, Precision
from export.precision import convert as lower
from export.storage import halve
from export.tflite.convert import OUTPUT, Converted, convert, convert_whole
from export.tflite.reader import read_model
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
TEXT_BATCH = 512  # taxa


@dataclass(frozen=True)
class Naming:
    """Name, version and licence of a pack."""

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
    """Build a pack of a TFLite classifier and the towers of its space.

    Parameters
    ----------
    out : Path
        An existing pack there is replaced once the new one is complete.
    sources : Sources
    towers : Towers
        Used completely for BirdNET itself; for another network only the names of its labels.
    naming : Naming
    tell : callable
        Called with a message for each step.
    precision : Precision
        Of the audio graph.
    data : Path or None
        Manifest of recordings on which the graph is checked, and on every other window of which a precision is fitted;
        the bundled example if None.

    Raises
    ------
    ExportError
        `out` is not a pack or cannot be written, the network cannot be converted, or the labels do not match it.
    ParityError
        The graph does not agree with the public network; nothing is written.
    """
    own = sources.official  # the towers were trained for the space of this network only
    with new_pack(out) as folder:
        tell(f"converting {sources.model.name}")
        converted = convert(read_model(sources.model))
        labels = towers.labels if own else distinct_taxa(sources.labels, towers.labels)
        if len(labels) != len(converted.weights):
            raise ExportError(
                f"{sources.labels}: {len(labels)} labels for {len(converted.weights)} classes", "name its own --labels"
            )
        if not any(label.is_species for label in labels):
            raise ExportError(
                f"{sources.labels}: no label is a scientific name", "write Scientific name_Common name: Parus major_Tit"
            )
        if not own:
            tell_others(labels, tell)
        if converted.samples < WINDOWS_S[0] * RATE_HZ:
            raise ExportError(
                f"{sources.model}: takes {converted.samples} samples, less than {WINDOWS_S[0]:g} s at {RATE_HZ} Hz",
                "name a classifier of sound",
            )
        if converted.head == "SOFTMAX":
            raise ExportError(
                f"{sources.model}: ends with SOFTMAX, so its classes share one confidence",
                "export it with sigmoid or without activation, like BirdNET",
            )
        space = towers.space(converted.dim) if own else Space.identity(converted.dim)
        onnx.save_model(into_space(converted, space), str(folder / AUDIO))
        described: dict[str, Any] = {
            "name": naming.name,
            "version": naming.version or today(),
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
            tell(f"choosing the layers that can be {precision.name}")
            kept = lower(folder / AUDIO, precision, known.windows[::2], judge(converted, space, precision))
            described |= {"precision": precision.name, "in_fp32": {"audio": kept}}
        write_pack_json(folder, **described)
        described["parity"] = measure(Pack.load(folder), converted, space, known, precision)
        if not described["parity"]:
            tell(f"parity was not measured: {known.against}")
        write_pack_json(folder, **described)
        pack = Pack.load(folder)
        tell(f"building the gallery of {sum(label.is_species for label in labels)} species")
        with build(folder / GALLERY, pack.identity) as gallery:
            fill(gallery, pack, converted, labels, space, towers if own else None)
        adopt_gallery(pack, GALLERY)
    return Pack.load(out)


def into_space(converted: Converted, space: Space) -> onnx.ModelProto:
    """The graph of the embedding, followed by the map to the space."""
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
    """Add class vectors, names and recordings to a gallery."""
    rows, biases = space.class_vectors(converted.weights, converted.bias)
    species = [
        (label.taxon, row, bias) for label, row, bias in zip(labels, rows, biases) if label.is_species and row.any()
    ]
    recordings = towers.recordings() if towers is not None else []
    taxa = [label.taxon for label in labels if label.is_species]
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
    """One vector per taxon, the mean of its prompts."""
    encoder = TextEncoder(pack)
    for start in range(0, len(taxa), TEXT_BATCH):
        part = taxa[start : start + TEXT_BATCH]
        forms = [list(prompts(taxon).values()) for taxon in part]
        vectors = encoder.encode([form for one in forms for form in one]).reshape(len(part), -1, pack.dim)
        for taxon, mean in zip(part, vectors.mean(axis=1)):
            yield Entry(
                taxon.scientific_name, "text", mean / np.linalg.norm(mean), f"names: {prompts(taxon)['common']}"
            )


def _others(towers: Towers | None) -> list[Taxon]:
    """Taxa of recordings without a class, from the project's species table."""
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
    halve(folder / RANGE_GRAPH)  # as in the public file
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
            "The network was converted to ONNX without changing its weights. Text and image towers, the map to the "
            f"space, vectors of recordings and decision parameters were trained by biovita-edge; {TERMS}. Authors and "
            "licences of the recordings are in the gallery.\n"
        )
    else:
        made_from = f"Built from `{sources.model.name}` (sha256 {digest(sources.model)})"
        text = f"# {naming.name}\n\n{made_from}; {naming.licence}.\n"
    (folder / CARD).write_text(text, encoding="utf-8")
