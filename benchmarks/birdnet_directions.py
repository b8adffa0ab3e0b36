"""Retrieval in six directions at three ranks in BirdNET's space: sound, photos and names.

    python -m trainer --preset birdnet --stage 1 --withhold NAMES --out runs/withheld
    python -m trainer --preset birdnet --stage 2 --withhold NAMES --out runs/withheld
    python benchmarks/birdnet_directions.py --run runs/withheld/stage2

Of a run with withheld taxa these are asked for, among themselves: neither their names nor their photos nor their class
vectors were trained on. Of a run without, the taxa with recordings or photos that were held out of it: their names and
class vectors were trained on, the photos were not. Recordings are never trained on. `--data` names the starter's
manifest if it is not found.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeapp.pack.installed import load_pack
from gallery.errors import BiovitaError
from trainer import checkpoint
from trainer.bank import TextBank
from trainer.data.manifest import default_manifest, read_manifest, taxa_of
from trainer.data.pictures import embed_pictures
from trainer.evaluate import Embedded
from trainer.models.photo import PhotoConfig
from trainer.trunk.evaluate import name_vectors, six_directions
from trainer.trunk.photos import read_photos
from trainer.trunk.recordings import hear_samples, manifest_rows
from trainer.trunk.vectors import read_rows

CPU = torch.device("cpu")
SIZE = PhotoConfig(resembled=0).size


def retrieved(run: Path, pack_name: str, data: Sequence[Path], threads: int) -> list[dict[str, Any]]:
    """Every direction and rank of a run."""
    pack, loaded = load_pack(pack_name), checkpoint.load(run)
    manifest = read_manifest(data, None)
    taxa, _ = read_rows(pack)
    place = manifest_rows(manifest, taxa)
    trained = set(loaded.config.taxa)
    present = {
        int(place[one])
        for one in np.unique([*taxa_of(manifest.recordings), *taxa_of(manifest.photos)])
        if place[one] >= 0
    }
    withheld = {row for row in present if taxa[row].scientific_name not in trained}
    chosen = sorted(withheld or present)
    among = [taxa[row] for row in chosen]
    row_of = {row: number for number, row in enumerate(chosen)}
    held_out = 0.0 if withheld else loaded.config.held_out
    learned, held = read_photos(data, None, among, held_out, loaded.config.seed, SIZE, complain)
    photos = learned if withheld else held
    with torch.no_grad():
        vectors = embed_pictures(loaded.model, photos.pictures, CPU).numpy()
    samples = [one for one in manifest.recordings if int(place[one.taxon]) in row_of]
    heard, _ = hear_samples(pack, samples, threads, complain)
    heard = replace(heard, taxon=np.array([row_of[int(place[taxon])] for taxon in heard.taxon]))
    names = name_vectors(loaded.model, TextBank(among, loaded.tokenizer), CPU)
    which = f"{len(withheld)} withheld taxa" if withheld else f"{len(among)} taxa that were trained on"
    complain([f"{which}: {len(heard)} recordings, {len(vectors)} photos"])
    return six_directions(heard, names, among, Embedded(vectors, photos.taxa))


def show(rows: Sequence[dict[str, Any]]) -> None:
    """As Markdown, in percent."""
    print("| rank | query | target | Top-1 | Top-5 | Top-10 | queries | candidates |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for one in rows:
        tops = " | ".join(f"{100 * one['top'][k]:.1f}" for k in (1, 5, 10))
        print(
            f"| {one['level']} | {one['query']} | {one['target']} | {tops} | {one['queries']} | {one['candidates']} |"
        )


def complain(lines: Sequence[str]) -> None:
    """On standard error."""
    for line in lines:
        print(line, file=sys.stderr)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished stage 2")
    parser.add_argument("--pack", default="birdnet", help="pack whose class vectors and audio encoder are used")
    parser.add_argument("--data", type=Path, action="append", help="manifest; the starter's if not given")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = retrieved(given.run, given.pack, given.data or [default_manifest()], given.threads)
    if given.json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows)
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except BiovitaError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
