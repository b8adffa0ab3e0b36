"""Packs of one checkpoint in several precisions compared: size, CPU time, vectors and species.

Give the pack in fp32 first; the others are compared with it. Vectors and species are compared on all recordings of a
manifest, including those used for calibration and verification at export. The time is the median of the audio encoder
alone, one window at a time, with the packs interleaved, so that load on the machine affects all of them.

    python -m export --out packs/fp32
    python -m export --out packs/int8 --precision int8
    python benchmarks/precision.py packs/fp32 packs/int8

Only ratios within one run are meaningful.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
THREADS = (1, 2)
ROUNDS = 15
WINDOWS = 4  # of one recording, from its start


@dataclass(frozen=True)
class Agreement:
    """A pack compared with the first: cosines of window vectors, and share of recordings with the same species."""

    least: float
    mean: float
    same_species: float


@dataclass(frozen=True)
class Row:
    """One pack; times are milliseconds per window, by number of threads."""

    pack: str
    precision: str
    audio_mb: float
    all_mb: float
    time_ms: dict[int, float]
    speed: dict[int, float]  # times as fast as the first pack
    agreement: Agreement | None


def recordings(manifest: Path | None, spec: Any) -> list[tuple[str, np.ndarray]]:
    """Windows [n, samples] of each recording of a manifest, at the rate and length of a pack's audio encoder."""
    from gallery import starter_taxa
    from trainer.data.manifest import default_manifest, read_manifest

    samples = read_manifest(manifest or default_manifest(), starter_taxa()).recordings
    return decoded([sample.path for sample in samples], spec.cutting)


def decoded(paths: Sequence[Path], cutting: Any) -> list[tuple[str, np.ndarray]]:
    """Windows [n, samples] of each file; files that cannot be decoded are reported on standard error and left out."""
    from edgeapp.audio.file import load
    from edgeapp.errors import AudioError
    from trainer.data.windows import recording_windows

    heard = []
    for path in paths:
        try:
            cut = recording_windows(load(path, cutting.rate_hz), cutting.rate_hz, cutting)
        except AudioError as error:
            print(error, file=sys.stderr)
            continue
        heard.append((path.name, cut[:WINDOWS].astype(np.float16)))  # half the memory; the same for every pack
    return heard


def texts_of(pack: Any) -> np.ndarray:
    """Mean text vector [taxa, dim] of the prompts of each taxon of the starter, by the pack's text encoder."""
    from edgeapp.runtime.encoders import TextEncoder
    from gallery import prompts, starter_taxa

    text = TextEncoder(pack, provider="cpu")
    return np.stack([text.encode(list(prompts(taxon).values())).mean(axis=0) for taxon in starter_taxa()])


def vectors_and_names(
    pack: Any, heard: list[tuple[str, np.ndarray]], texts: np.ndarray, provider: str = "cpu"
) -> tuple[np.ndarray, list[str]]:
    """Window vectors [n, dim] of all recordings, and the most likely species of each.

    Parameters
    ----------
    texts : result of `texts_of`
    provider : execution provider of the audio encoder
    """
    from edgeapp.runtime.encoders import AudioEncoder
    from export.agreement import likeliest
    from gallery import starter_taxa

    audio = AudioEncoder(pack, provider=provider)
    found = [audio.encode(windows.astype(np.float32)) for _, windows in heard]
    return np.concatenate(found), likeliest(heard, found, texts, starter_taxa(), pack.decision)


def times(packs: list[Any], window: np.ndarray, threads: int) -> list[float]:
    """Median time of each pack's audio encoder for one window, in milliseconds."""
    from edgeapp.runtime.encoders import AudioEncoder

    encoders = [AudioEncoder(pack, threads, provider="cpu") for pack in packs]
    spent: list[list[float]] = [[] for _ in packs]
    for _ in range(ROUNDS):
        for encoder, found in zip(encoders, spent):
            encoder.encode(window)  # brings its weights back into the cache
            start = time.perf_counter()
            encoder.encode(window)
            found.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(found) for found in spent]


def measure(folders: list[Path], manifest: Path | None) -> list[Row]:
    """A row for each pack."""
    from edgeapp.pack.format import Pack
    from export.parity import cosines

    packs = [Pack.load(folder) for folder in folders]
    spec = packs[0].audio
    heard = recordings(manifest, spec)
    window = heard[0][1][:1].astype(np.float32)
    timed = {threads: times(packs, window, threads) for threads in THREADS}
    first, rows = vectors_and_names(packs[0], heard, texts_of(packs[0])), []
    for place, pack in enumerate(packs):
        kept = None
        if place:
            vectors, names = vectors_and_names(pack, heard, texts_of(pack))
            near = cosines(first[0], vectors)
            same = np.mean([name == other for name, other in zip(first[1], names) if name])
            kept = Agreement(float(near.min()), float(near.mean()), float(same))
        sizes = {path.name: path.stat().st_size / 1e6 for path in pack.folder.glob("*.onnx")}
        rows.append(
            Row(
                str(pack.folder),
                pack.precision,
                sizes[spec.file],
                sum(sizes.values()),
                {threads: found[place] for threads, found in timed.items()},
                {threads: found[0] / found[place] for threads, found in timed.items()},
                kept,
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", nargs="+", type=Path, metavar="PACK")
    parser.add_argument("--data", type=Path, help="manifest; the starter's if not given")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = measure(asked.packs, asked.data)
    if asked.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    speeds = " | ".join(f"speed, {threads} threads" for threads in THREADS)
    print(f"| precision | audio.onnx | all graphs | {speeds} | cosine least | mean | same species |")
    print("|---" * (6 + len(THREADS)) + "|")
    for row in rows:
        kept = [f"{value:.4f}" for value in asdict(row.agreement).values()] if row.agreement else ["-"] * 3
        speed = [f"{value:.2f}x" for value in row.speed.values()]
        print(
            "| " + " | ".join([row.precision, f"{row.audio_mb:.2f} MB", f"{row.all_mb:.2f} MB", *speed, *kept]) + " |"
        )


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    main()
