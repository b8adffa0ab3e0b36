"""Speed and size of a gallery at full size: opening, decisions, pictures, adding, building, search.

    python benchmarks/full_gallery.py FOLDER
    python benchmarks/full_gallery.py FOLDER --taxa 1000 --per-taxon 20 --json

builds a gallery of random unit vectors in FOLDER, clustered by taxon (--spread is the length of what a vector has
beside the direction of its taxon), measures it, and removes it unless --keep is given. A gallery that is there is
measured as it is. Times are processor times; wall times stand beside them, and on a machine that is used by others they
are longer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edgeapp.runtime.integers import integer_products
from gallery import DecisionParameters, EncoderIdentity, Entry, Gallery, Index, Taxon, Vocabulary, build, recognise
from gallery.nearest import Nearest
from gallery.pictures import pictures

OF_NEAREST = 10
TIMES = 5
SCALE = 40.0
SHA = "{:064x}"


def taxon(number: int) -> Taxon:
    genus, family, order, class_ = (f"Genus{number // 5}", f"Familia{number // 40}", f"Ordo{number // 600}", "Classis")
    name = f"{genus} species{number}"
    return Taxon(name, "Animalia", "Chordata", class_, order, family, genus, {"en": f"Common name {number}"})


def center(number: int, dim: int) -> np.ndarray:
    """Direction of a taxon, that of its genus and its family in it."""
    parts = [
        np.random.default_rng((level, at)).standard_normal(dim)
        for level, at in ((1, number // 40), (2, number // 5), (3, number))
    ]
    total = parts[0] * 0.6 + parts[1] * 0.6 + parts[2]
    return total / np.linalg.norm(total)


def photos(number: int, asked: argparse.Namespace) -> np.ndarray:
    rng = np.random.default_rng((4, number))
    noise = rng.standard_normal((asked.per_taxon, asked.dim), np.float32) * (asked.spread / np.sqrt(asked.dim))
    vectors = center(number, asked.dim).astype(np.float32) + noise
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def entries(asked: argparse.Namespace, spent: list[float]) -> Iterator[Entry]:
    """Photos of all taxa; the time that making their vectors takes is added to `spent`."""
    for number in range(asked.taxa):
        begun = time.process_time()
        name, vectors = taxon(number).scientific_name, photos(number, asked)
        spent[0] += time.process_time() - begun
        for at, vector in enumerate(vectors):
            id = number * 1000 + at
            provenance = (f"A. Photographer {id % 997}", "CC BY-NC 4.0", f"inaturalist {id}", SHA.format(id))
            yield Entry(name, "image", vector, f"{id}.jpg", *provenance)


def timed(function: Callable[[], object], times: int = TIMES) -> tuple[float, float]:
    """Least processor time and least wall time of a call, in seconds, after one that is not counted."""
    function()
    found = []
    for _ in range(times):
        processor, wall = time.process_time(), time.perf_counter()
        function()
        found.append((time.process_time() - processor, time.perf_counter() - wall))
    return min(one for one, _ in found), min(one for _, one in found)


def parameters() -> DecisionParameters:
    return DecisionParameters(
        scale={"image": SCALE},
        bias={"image": 0.0},
        weight={"image": 1.0},
        null_logit=14.0,
        slope=1.0,
        offset=0.0,
        threshold=0.5,
        floor=0.6,
        evidence=3.0,
        silence_dbfs=-70.0,
        pool_windows=3,
    )


def made(path: Path, asked: argparse.Namespace) -> dict[str, float]:
    spent, wall = [0.0], time.perf_counter()
    with build(path, EncoderIdentity("benchmark", asked.dim, "benchmark 1")) as gallery:
        gallery.add_taxa(taxon(number) for number in range(asked.taxa))
        begun = time.process_time()
        gallery.add_entries(entries(asked, spent))
        processor = time.process_time() - begun - spent[0]
    n = asked.taxa * asked.per_taxon
    return {"built_entries_per_s": n / processor, "built_wall_s": time.perf_counter() - wall}


def opened(path: Path) -> dict[str, float]:
    """Of a process of its own: its memory is not that of the others."""
    done = subprocess.run(
        [sys.executable, __file__, str(path), "--opening"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def memory_mb() -> float:
    """Most memory that this process had resident so far; unlike that of `resource`, without that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def opening(path: Path) -> dict[str, float]:
    before = memory_mb()
    found = []
    for _ in range(5):
        processor, wall = time.process_time(), time.perf_counter()
        with Gallery.open(path) as gallery:
            vocabulary = Vocabulary(Index.of(gallery), parameters())
        found.append((time.process_time() - processor, time.perf_counter() - wall))
        if len(found) == 1:
            memory = memory_mb()
        del vocabulary
    return {
        "opening_s": min(one for one, _ in found),
        "opening_wall_s": min(one for _, one in found),
        "memory_mb": memory,
        "memory_before_mb": before,
    }


def windows(sounding: np.ndarray, rng: np.random.Generator, asked: argparse.Namespace) -> np.ndarray:
    """Windows [windows, dim] that hold one or two of some taxa in noise."""
    n, dim = asked.windows, asked.dim
    first, second = (np.stack([center(one, dim) for one in rng.choice(sounding, n).tolist()]) for _ in range(2))
    vectors = first + 0.7 * second * (rng.random((n, 1)) < 0.3)
    vectors = vectors + rng.standard_normal(vectors.shape) * (0.8 / np.sqrt(dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def decided(vocabulary: Vocabulary, asked: argparse.Namespace) -> dict[str, float]:
    """Of windows of 16 taxa, as in a recording, and of windows that each hold others."""
    rng, found, least = np.random.default_rng(7), {}, np.full(asked.windows, -20.0)
    for name, kinds in (("recurring", 16), ("all_different", asked.taxa)):
        sounding = rng.permutation(asked.taxa)[:kinds]
        for together in (1, 8, 64, asked.windows):
            n = 16 if together == 1 else asked.windows
            sets = iter([windows(sounding, rng, asked)[:n] for _ in range(TIMES + 1)])

            def decide(together: int = together, n: int = n, sets: Iterator[np.ndarray] = sets) -> None:
                vectors = next(sets)
                for at in range(0, n, together):
                    some = vectors[at : at + together]
                    recognise(some, least[: len(some)], vocabulary)

            processor, wall = timed(decide)
            found[f"decision_ms_{name}_{together}"] = processor / n * 1e3
            found[f"decision_wall_ms_{name}_{together}"] = wall / n * 1e3
    return found


def products(asked: argparse.Namespace) -> dict[str, float]:
    """Of as many windows as are decided with as many vectors as there are taxa: nothing is decided in less.

    Other species in every window take two products.
    """
    rng, found = np.random.default_rng(11), {}
    taxa = rng.standard_normal((asked.taxa, asked.dim), np.float32)
    for together in (1, asked.windows):
        some = rng.standard_normal((together, asked.dim), np.float32)
        processor, wall = timed(lambda some=some: some @ taxa.T, 4 * TIMES)  # type: ignore[misc]
        found[f"product_ms_{together}"] = processor / together * 1e3
        found[f"product_wall_ms_{together}"] = wall / together * 1e3
    return found


def searched(gallery: Gallery, asked: argparse.Namespace) -> dict[str, float]:
    search, rng = Nearest(gallery), np.random.default_rng(8)
    near, exact, walls, shares = [], [], [], []
    for _ in range(asked.queries):
        vector = photos(int(rng.integers(asked.taxa)), asked)[0] + rng.standard_normal(asked.dim) * (
            0.7 / np.sqrt(asked.dim)
        )
        processor = time.process_time()
        found = {one.id for one in search.find(vector, OF_NEAREST)}
        near.append(time.process_time() - processor)
        processor, wall = time.process_time(), time.perf_counter()
        wanted = {one.id for one in search.find(vector, OF_NEAREST, exact=True)}
        exact.append(time.process_time() - processor)
        walls.append(time.perf_counter() - wall)
        shares.append(len(found & wanted) / len(wanted))
    return {
        "search_ms": float(np.median(near)) * 1e3,
        "search_recall": float(np.mean(shares)),
        "exact_s": float(np.median(exact)),
        "exact_wall_s": float(np.median(walls)),
    }


def added(path: Path, asked: argparse.Namespace) -> dict[str, float]:
    """A species with five prompts and ten photos, committed."""
    rng, found = np.random.default_rng(9), []
    vectors = rng.standard_normal((15, asked.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with Gallery.open(path, readonly=False) as gallery:
        for at in range(5):
            name = f"Novum species{at}"
            new = Taxon(name, "Animalia", "", "", "", "", "Novum", {})
            mixed = [Entry(name, "image", vector, f"{row}.jpg") for row, vector in enumerate(vectors[:10])]
            mixed += [Entry(name, "text", vector, f"prompt {row}") for row, vector in enumerate(vectors[10:])]
            begun = time.process_time()
            with gallery.transaction():
                gallery.add_taxa([new])
                gallery.add_entries(mixed)
            found.append(time.process_time() - begun)
        for at in range(5):
            gallery.remove_taxon(f"Novum species{at}")
    return {"adding_ms": min(found) * 1e3}


def measured(path: Path, asked: argparse.Namespace) -> dict[str, float]:
    found = {"file_gb": path.stat().st_size / 1e9, **opened(path)}
    with Gallery.open(path) as gallery:
        vocabulary = Vocabulary(Index.of(gallery), parameters(), integers=integer_products(asked.threads))
        found |= decided(vocabulary, asked) | products(asked)
        rng = np.random.default_rng(10)
        names = [taxon(int(one)).scientific_name for one in rng.integers(0, asked.taxa, 20)]
        vector = rng.standard_normal(asked.dim).astype(np.float32)
        processor, _ = timed(lambda: [pictures(gallery, name, vector) for name in names])
        found["pictures_ms"] = processor / len(names) * 1e3
        del vocabulary
        found |= searched(gallery, asked)
    return found | added(path, asked)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--taxa", type=int, default=14_133)
    parser.add_argument("--per-taxon", type=int, default=200)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--spread", type=float, default=1.0)
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1, help="of products in whole numbers")
    parser.add_argument("--windows", type=int, default=256, help="that are decided together, at most")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--opening", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.opening:
        print(json.dumps(opening(asked.folder)))
        return 0
    asked.folder.mkdir(parents=True, exist_ok=True)
    path = asked.folder / "gallery.sqlite"
    found = {} if path.exists() else made(path, asked)
    try:
        found |= measured(path, asked)
    finally:
        if not asked.keep:
            path.unlink()
    if asked.json:
        print(json.dumps(found))
        return 0
    print(f"{asked.taxa} taxa with {asked.per_taxon} photos, {asked.dim} numbers; {os.cpu_count()} cores\n")
    print("| figure | value |\n|---|---:|")
    for name, value in found.items():
        print(f"| {name} | {value:.3g} |" if value < 1000 else f"| {name} | {value:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
