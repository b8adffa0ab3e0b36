"""Recordings of a pack built from a classifier: the space, their vectors, and their decision parameters."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.pack.format import Pack
from edgeapp.pack.installed import load_pack
from edgeapp.terminal import tell
from gallery import Gallery, Index, Taxon
from gallery.files import replacing, write_text
from trainer.data.manifest import Manifest, default_manifest, read_manifest
from trainer.data.samples import Samples
from trainer.errors import DataError
from trainer.heard import field_noise
from trainer.session import field_folder
from trainer.trunk.fusion import TOPS as RANKED
from trainer.trunk.fusion import fit_fusion, measure, nested, read, starting
from trainer.trunk.held_out import Classes, Query, queries, recording_vector
from trainer.trunk.recordings import PackAudio, Report, manifest_rows
from trainer.trunk.sound import Embedded, embed, hear_windows
from trainer.trunk.space import SPACE, Whitening, fit_space
from trainer.trunk.withheld import read_withheld

RECORDINGS, CREDITS, DOCUMENT = "recordings.npz", "recordings.csv", "towers.json"
COLUMNS = ("scientific_name", "author", "licence", "source", "sha256")
MIXTURES = 600
FITTED, REPORTED = 0, 1  # seeds of the mixtures for fitting and of those for the metrics
TOPS = {**RANKED, "noise": (1, 5)}


@dataclass(frozen=True, eq=False)
class Studied:
    """A pack's classifier and recordings, both as embeddings before the map to the space.

    Attributes
    ----------
    samples : the recordings that could be decoded
    """

    classes: Classes
    embedded: Embedded
    samples: Samples


def fit_recordings(
    folder: Path,
    pack: str,
    manifests: Sequence[Path],
    media: Path | None,
    field: Path | None,
    keep: Path | None,
    threads: int,
) -> None:
    """Run `python -m trainer recordings`; the arguments are its options."""

    def report(lines: Sequence[str]) -> None:
        for line in lines:
            tell(line)

    opened, manifest = load_pack(pack), read_manifest(manifests or [default_manifest()], None, media)
    noise = field_noise(field or field_folder(), opened.audio.rate_hz)
    space = Whitening.load(folder) if (folder / SPACE).is_file() else None
    tell(f"encoding {len(manifest.recordings)} recordings with {opened.name}")
    fitted = study(opened, manifest, space, noise, FITTED, threads, report, keep=keep)
    if space is None:
        space = fit_space(fitted.embedded.windows, fitted.embedded.taxon)
        space.save(folder)
        space = Whitening.load(folder)  # in the stored precision
    tell(f"fitting on {MIXTURES} mixtures and {len(fitted.embedded.noise)} windows of noise")
    found: dict[str, Sequence[Query]] = {name: list(queries(fitted.embedded, fitted.classes, name)) for name in TOPS}
    evidence = read(found)
    parameters = fit_fusion(evidence, starting())
    metrics = {name: measure(found[name], parameters, TOPS[name]) for name in TOPS}
    by_fold = nested(evidence, starting())
    for name in RANKED:
        of_each = [by_fold[query.folds[0]] for query in found[name]]
        metrics[f"{name}, fitted without its fold"] = measure(found[name], of_each, TOPS[name])
    write_recordings(folder, fitted, space)
    document = read_document(folder)
    document["decision"] = parameters.to_dict()
    document["metrics"] = {**document.get("metrics", {}), "recordings": metrics}
    write_text(folder / DOCUMENT, json.dumps(document, indent=1) + "\n")
    print(json.dumps({"decision": document["decision"], "metrics": metrics}, indent=1))


def fit_unseen_space(
    folder: Path, pack: str, towers: Path, manifests: Sequence[Path], media: Path | None, withhold: Path, threads: int
) -> None:
    """Run `python -m trainer space`; the arguments are its options.

    Raises
    ------
    DataError
        The list names none of the recordings' taxa, or too few recordings are left.
    """

    def report(lines: Sequence[str]) -> None:
        for line in lines:
            tell(line)

    opened, manifest = load_pack(pack), read_manifest(manifests or [default_manifest()], None, media)
    withheld, _ = read_withheld(withhold, list(manifest.taxa))
    left_out = np.array([taxon.scientific_name in withheld for taxon in manifest.taxa])
    samples = [sample for sample in manifest.recordings if not left_out[sample.taxon]]
    tell(f"encoding {len(samples)} recordings with {opened.name}; those of {len(withheld)} taxa are left out")
    if not samples:
        raise DataError(f"{withhold}: leaves no recording of {manifest.path}", "withhold fewer taxa")
    heard, _ = hear_windows(PackAudio(opened, threads, unit=False), samples, threads, report)
    windows = heard.windows
    if (towers / SPACE).is_file():
        own = Whitening.load(towers)
        windows = [own.embeddings(of_one) for of_one in windows]
    folder.mkdir(parents=True, exist_ok=True)
    fit_space(windows, heard.taxon).save(folder)
    tell(f"the space of {len(windows)} recordings is in {folder / SPACE}")


def study(
    pack: Pack,
    manifest: Manifest,
    space: Whitening | None,
    field: Sequence[np.ndarray],
    seed: int,
    threads: int,
    report: Report,
    mixtures: int = MIXTURES,
    keep: Path | None = None,
) -> Studied:
    """Embed the recordings of a manifest, mixtures of them and noise, and read the classifier from the gallery.

    Parameters
    ----------
    space : that of the pack, which is inverted; None for a pack without one
    keep : cache of the vectors, for the same pack, manifest and seed

    Raises
    ------
    DataError
        The pack has no class vectors, no recording can be decoded, or the file is of another manifest.
    """
    with Gallery.open(pack.gallery_path(), pack.identity) as gallery:
        index = Index.of(gallery)
    vectors = index.class_vectors
    if vectors is None:
        raise DataError(f"{pack.gallery_path()}: has no class vectors", "name a pack built from a classifier")
    named = [index.taxa[row] for row in vectors.rows]
    taxa, of_manifest = with_new_taxa(named, manifest)
    weights, bias = (vectors.weights, vectors.bias) if space is None else space.layer(vectors.weights, vectors.bias)
    samples = manifest.recordings
    if keep is not None and keep.is_file():
        embedded = Embedded.load(keep)
    else:
        embedded = embed(pack, list(samples), field, mixtures, seed, threads, report)
        if keep is not None:
            embedded.save(keep)
    if len(embedded.decoded) != len(samples):
        raise DataError(f"{keep}: was made from another manifest", "delete it; it is rebuilt")
    if space is not None:
        embedded = embedded.mapped(space.embeddings)
    embedded = replace(embedded, taxon=of_manifest[embedded.taxon])
    return Studied(Classes(taxa, np.arange(len(named)), weights, bias), embedded, samples[embedded.decoded])


def with_new_taxa(named: Sequence[Taxon], manifest: Manifest) -> tuple[tuple[Taxon, ...], np.ndarray]:
    """Taxa with a class, followed by those of a manifest without one, and the row of each taxon of the manifest."""
    rows = manifest_rows(manifest, named)
    new = np.flatnonzero(rows < 0)
    rows[new] = len(named) + np.arange(len(new))
    return (*named, *(manifest.taxa[number] for number in new)), rows


def write_recordings(folder: Path, studied: Studied, space: Whitening) -> None:
    """Write the vector of each recording in the space, with its author and licence."""
    vectors = [recording_vector(space.vectors(windows)) for windows in studied.embedded.windows]
    names = [studied.classes.taxa[row].scientific_name for row in studied.embedded.taxon]
    with replacing(folder / RECORDINGS) as path, path.open("wb") as file:
        np.savez_compressed(file, vectors=np.stack(vectors).astype(np.float16), scientific_name=np.array(names))
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(COLUMNS)
    digests = studied.samples.columns().texts["sha256"].to_pylist()
    for name, sample, digest in zip(names, studied.samples, digests, strict=True):
        table.writerow((name, sample.author, sample.licence, " ".join(filter(None, sample.source)), digest))
    write_text(folder / CREDITS, lines.getvalue())


def read_document(folder: Path) -> dict[str, Any]:
    """The document of the towers; empty if there is none.

    Raises
    ------
    DataError
        It cannot be read.
    """
    path = folder / DOCUMENT
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read ({error})", "correct it, or remove it") from error
