"""A pack with the full-size audio encoder, for `bench`, `identify` and `benchmarks/birdnet.py`: HTS-AT in int8.

    python benchmarks/full_size.py --out packs/htsat-int8
    python benchmarks/birdnet.py --python ../birdnet/bin/python --pack packs/htsat-int8 --hop 10

Its weights are random, and so is its gallery of the starter's names: its results mean nothing. Its cost is that of a
trained pack if int8 leaves the same layers in float32; `pack info` lists them. Needs the dependencies of `export`,
transformers, and the recordings of the starter data for calibration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch

from edgeapp.pack.format import Pack, adopt_gallery, write_pack_json
from edgeapp.pack.specs import AudioSpec
from export.graphs import export_graph, single_front
from export.htsat import rewritten
from export.inputs import calibration_split, read_inputs
from export.parity import cosines
from export.precision import PRECISIONS, Precision, convert
from export.sessions import vectors
from gallery import Entry, starter_taxa
from gallery.store import build
from trainer.data.manifest import default_manifest, read_manifest
from trainer.heard import uncalibrated
from trainer.models.biovita import FULL
from trainer.models.clap import ClapTower
from trainer.presets import BIOVITA, Preset

AUDIO, GALLERY = "audio.onnx", "gallery.sqlite"
MOST = 48  # maximum number of windows, for calibration and for the check


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pack."""
    parser = argparse.ArgumentParser(description="A pack with HTS-AT at full size and random weights.")
    parser.add_argument("--out", type=Path, required=True, help="output folder; must not exist")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="int8")
    chosen = parser.parse_args(arguments)
    precision = PRECISIONS[chosen.precision]
    chosen.out.mkdir(parents=True)
    torch.manual_seed(0)
    tower = ClapTower(FULL.audio, FULL.mel, FULL.dim).eval()
    export_htsat(tower, BIOVITA.window_samples, chosen.out / AUDIO)
    calibrating, checking = (
        np.concatenate([windows[:1] for _, windows in read_inputs(part, BIOVITA).windows])[:MOST]
        for part in calibration_split(read_manifest(default_manifest(), starter_taxa()))
    )
    pack = add_gallery(finish(chosen.out, BIOVITA, precision, tower, calibrating, checking))
    least, kept = pack.parity["audio"]["least"], pack.in_fp32["audio"]
    print(f"{chosen.out}: {precision.name}, cosine at least {least:.4f}, {len(kept)} layers in fp32", file=sys.stderr)


def export_htsat(tower: ClapTower, samples: int, path: Path) -> None:
    """Export an HTS-AT in float32; `samples` is the length of a window."""
    single = cast(ClapTower, single_front(tower))
    whole = rewritten(single.float(), samples)
    export_graph(whole, torch.randn(2, samples) * 0.1, "waveform", path)


def finish(
    folder: Path,
    preset: Preset,
    precision: Precision,
    tower: ClapTower,
    calibrating: np.ndarray,
    checking: np.ndarray,
) -> Pack:
    """Complete a pack without a gallery in a folder with the graph of `export_htsat`.

    Parameters
    ----------
    calibrating, checking : windows [n, samples]
    """
    path = folder / AUDIO
    with torch.no_grad():
        wanted = tower(torch.from_numpy(checking)).numpy()
    kept: list[str] = []
    if precision.name != "fp32":
        kept = convert(path, precision, calibrating, lambda a, b: "" if cosines(a, b).min() >= precision.aim else "far")
    least = float(cosines(wanted, vectors(onnx.load(str(path)), checking)).min())
    decision = uncalibrated(("text",))
    write_pack_json(
        folder,
        name="full-size",
        version="0",
        licence="CC0-1.0",
        preset="biovita",
        space="random",
        dim=preset.dim,
        audio=AudioSpec(AUDIO, preset.mel.rate_hz, preset.window_s),
        decision=decision,
        parity={"audio": {"least": least, "inputs": len(checking)}},
        precision=precision.name,
        in_fp32={"audio": kept},
    )
    return Pack.load(folder)


def add_gallery(pack: Pack) -> Pack:
    """Add a gallery of the starter's names, each with a random vector."""
    taxa, rng = starter_taxa(), np.random.default_rng(0)
    with build(pack.path(GALLERY), pack.identity) as gallery:
        gallery.add_taxa(taxa)
        directions = rng.standard_normal((len(taxa), pack.dim)).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        gallery.add_entries(
            Entry(taxon.scientific_name, "text", vector, label="random")
            for taxon, vector in zip(taxa, directions, strict=True)
        )
    return adopt_gallery(pack)


if __name__ == "__main__":
    main()
