"""A benchmark in the published layout, small enough to score by hand, with features whose dot products are exact.

Twelve species: two of each of four genera, four alone in theirs; families of one to three genera; birds and frogs.
Vectors are of small whole numbers, so that no order of summation changes a dot product and ties are ties everywhere.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.benchmark.features import Features, Vectors

LEVELS = ("species", "genus", "family")
DIRECTIONS = {
    "A2I": ("audio", "image"),
    "I2A": ("image", "audio"),
    "A2T": ("audio", "text"),
    "T2A": ("text", "audio"),
    "I2T": ("image", "text"),
    "T2I": ("text", "image"),
}
GENERA = {"Avus": "Avidae", "Bavus": "Avidae", "Cavus": "Cavidae", "Davus": "Davidae", "Ranus": "Ranidae", "Sanus": ""}
SPECIES = [(f"{genus} {epithet}", genus, family) for genus, family in GENERA.items() for epithet in ("primus", "alter")]
TEXT_FORMS = ("species", "genus", "family", "common_name")
DIM = 6


def class_of(genus: str) -> str:
    return "Amphibia" if genus == "Ranus" else "Aves"


def write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def samples(seed: int) -> dict[str, list[tuple[int, str, str, str]]]:
    """Id, species, genus and family of every sample; ids are neither in order nor from zero."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[int, str, str, str]]] = {}
    for modality, most in (("audio", 3), ("image", 4), ("text", 1)):
        names = [taxon for taxon in SPECIES for _ in range(int(rng.integers(1, most + 1)))]
        ids = rng.permutation(len(names)) + 100
        found[modality] = [(int(i), *taxon) for i, taxon in zip(ids, names)]
    return found


def make(root: Path, seed: int = 0, candidates: int = 5, columns: Sequence[str] = ()) -> Path:
    """Write `unseen/benchmark` with all eighteen tasks; every sample asks once in each direction that it can."""
    rng = np.random.default_rng(seed)
    folder = root / "unseen" / "benchmark"
    found = samples(seed)
    for modality in ("audio", "image"):
        rows = [(i, f"{modality}/{i}.x", *names) for i, *names in found[modality]]
        write(folder / f"{modality}_index.csv", ("id", "file_path", *LEVELS), rows)
    texts = [(i, *names, class_of(names[1]), f"common {names[0]}") for i, *names in found["text"]]
    write(folder / "text_index.csv", ("id", *LEVELS, "class", "common_name"), texts)
    for place, level in enumerate(LEVELS):
        for code, (query, target) in DIRECTIONS.items():
            groups: dict[str, list[int]] = {}
            for i, *names in found[target]:
                if names[place]:
                    groups.setdefault(names[place], []).append(i)
            rows = []
            for i, *names in found[query]:
                right = names[place]
                if right not in groups:
                    continue
                others = sorted(set(groups) - {right})
                taxa = [right, *rng.permutation(others)[: candidates - 1].tolist()]
                rng.shuffle(taxa)
                ids = [groups[name] for name in taxa]
                rows.append((f"{code}_{len(rows)}", i, code, level, right, json.dumps(taxa), json.dumps(ids)))
            header = ("query_id", "query_payload_id", "task", "taxon_level", "correct_taxon")
            name = f"test_{query}_to_{target}.csv"
            write(folder / level / name, (*header, "candidates_taxa", "candidates_target_ids"), rows)
    return root


def features(
    seed: int = 0, largest: int = 2, leave_out: Callable[[str, int], bool] = lambda part, i: False
) -> Features:
    """Whole numbers up to `largest`: the smaller, the more ties."""
    rng = np.random.default_rng(seed + 1)
    parts = {}
    for modality, rows in samples(seed).items():
        for part in [modality] if modality != "text" else [f"text_{form}" for form in TEXT_FORMS]:
            ids = np.array(sorted(i for i, *_ in rows if not leave_out(part, i)))
            vectors = rng.integers(-largest, largest + 1, (len(ids), DIM)).astype(np.float32)
            parts[part] = Vectors(ids, vectors)
    return Features("small", parts)


def arrays(given: Features) -> dict[str, Any]:
    """What `numpy.savez` is given."""
    made: dict[str, Any] = {}
    for name, part in given.parts.items():
        made |= {f"{name}_ids": part.ids, name: part.vectors}
    return made
