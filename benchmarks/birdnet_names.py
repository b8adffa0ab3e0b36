r"""Zero-shot recognition: recordings of taxa that were withheld from training, identified by their names alone.

    python -m export birdnet --fetch --out packs/birdnet
    python -m trainer --preset birdnet --stage 1 --pack packs/birdnet --out runs/withheld \
        --withhold ../shared/starter/manifest.csv
    python benchmarks/birdnet_names.py --pack packs/birdnet --run runs/withheld/stage1

Candidates are the taxa that have a class vector in the pack and whose names the run did not see. Each of their
recordings is identified by the text tower alone, as on the device; then with 1, 3 and 5 recordings of other sources
added per taxon, without training, for taxa with at least one recording more. Last, retrieval between audio, image and
text in six directions at three levels; a pack without photos has no rows for them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from edgeapp.pack.installed import load_pack  # noqa: E402
from trainer import checkpoint  # noqa: E402
from trainer.bank import TextBank  # noqa: E402
from trainer.data.manifest import default_manifest, read_manifest, taxa_of  # noqa: E402
from trainer.trunk.evaluate import ADDED, name_vectors, named, named_with, six_directions  # noqa: E402
from trainer.trunk.recordings import hear_samples, manifest_rows  # noqa: E402
from trainer.trunk.vectors import read_rows  # noqa: E402


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--pack", default="birdnet", help="name or folder of the pack")
    words.add_argument("--run", type=Path, required=True, help="folder of a stage trained with --withhold")
    words.add_argument("--data", type=Path, action="append", help="manifest; default: the starter's")
    words.add_argument("--media", type=Path, help="folder with the files of the manifest")
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--json", action="store_true", help="print JSON")
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    pack, loaded = load_pack(given.pack), checkpoint.load(given.run)
    manifest = read_manifest(given.data or [default_manifest()], None, given.media)
    taxa, _ = read_rows(pack)
    place = manifest_rows(manifest, taxa)
    seen = set(loaded.config.taxa)
    recorded = {int(place[taxon]) for taxon in np.unique(taxa_of(manifest.recordings))}
    withheld = sorted(row for row in recorded if row >= 0 and taxa[row].scientific_name not in seen)
    if not withheld:
        sys.exit(f"{given.run}: was trained on every name of {manifest.path}; train it with --withhold")
    among = [taxa[row] for row in withheld]
    row_of = {row: number for number, row in enumerate(withheld)}
    samples = [one for one in manifest.recordings if int(place[one.taxon]) in row_of]
    heard, kept = hear_samples(pack, samples, given.threads, complain)
    heard = replace(heard, taxon=np.array([row_of[int(place[taxon])] for taxon in heard.taxon]))
    names = name_vectors(loaded.model, TextBank(among, loaded.tokenizer), torch.device("cpu"))
    sources = [sample.source for sample in kept]
    found = {"taxa": len(among), "recordings": len(heard), "chance": round(1 / len(among), 4)}
    rows = [{"recordings_added": 0, **named(heard, names, among)}]
    rows += [{"recordings_added": count, **named_with(heard, names, among, sources, count)} for count in ADDED]
    retrieval = six_directions(heard, names, among)
    if given.json:
        print(json.dumps({**found, "named": rows, "retrieval": retrieval}, indent=1))
        return
    print(f"{len(heard)} recordings of {len(among)} taxa whose names were never trained on; chance {found['chance']}")
    print("recordings added   queries   Top-1   Top-5")
    for row in rows:
        print(f"{row['recordings_added']:16d}   {row['queries']:7.0f}   {row['top1']:.3f}   {row['top5']:.3f}")
    print("\nrank      query   target   Top-1   Top-5   Top-10   queries")
    for one in retrieval:
        if one["queries"]:
            tops = "   ".join(f"{one['top'][k]:.3f}" for k in (1, 5, 10))
            print(f"{one['level']:8s}  {one['query']:6s}  {one['target']:6s}   {tops}    {one['queries']}")


def complain(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
