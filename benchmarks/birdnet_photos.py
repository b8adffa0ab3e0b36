"""Photos in BirdNET's space: retrieval from sound to photos and from photos to names; no pairs in training.

    python -m export birdnet --fetch
    python -m trainer --preset birdnet --stage 1
    python -m trainer --preset birdnet --stage 2
    python benchmarks/birdnet_photos.py --run runs/birdnet/stage2

Candidates are the species with a class vector and photos of adult animals. The photos of a species are averaged, and
so are the windows of a recording. The rows:

- the photo network's classes, weighted by its probabilities: nothing trained
- unseen: five folds, each trained without the photos of a fifth of the species, which are then evaluated (the head
  alone; the photo network is not tuned). Figures for names are of these, so that no evaluated photo was trained on
- as trained: the tower of the run, for sound to photos. It was trained on these photos with their names, and on no
  recording

`--starter` is the folder with recordings, photos and manifest.csv. `--keep FOLDER` caches what does not depend on
`--run`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeapp.pack.installed import load_pack
from gallery.errors import BiovitaError
from trainer import checkpoint
from trainer.data.manifest import read_manifest
from trainer.evaluate import recording_vectors
from trainer.hub import default_pretrained
from trainer.models.mobilenet import load_given
from trainer.models.photo import PhotoConfig, PhotoTower
from trainer.stages.class_photos import features_of
from trainer.trunk.photo_network import NETWORK, PhotoClasses, read_photo_classes
from trainer.trunk.photos import VIEWS, read_photos
from trainer.trunk.recordings import hear_samples, manifest_rows
from trainer.trunk.relatives import Relatives
from trainer.trunk.resemblance import SyntheticFeatures, added_groups, begin, fit_groups, shares_of, target_vectors
from trainer.trunk.vectors import read_prototypes

FOLDS = 5
CPU = torch.device("cpu")
Share = tuple[float, float, int]


def shares(similarity: np.ndarray, right: np.ndarray, which: np.ndarray) -> Share:
    """Top-1, Top-5 and count over the rows `which` of similarities [n, candidates]."""
    position = (similarity > similarity[np.arange(len(right)), right][:, None]).sum(axis=1)[which]
    if not len(position):
        return 0.0, 0.0, 0
    return float((position < 1).mean()), float((position < 5).mean()), len(position)


def line(what: str, found: Share) -> str:
    return f"| {what} | {found[0]:.3f} | {found[1]:.3f} | {found[2]} |"


def fresh_tower(resembled: int, dim: int, pretrained: Path) -> PhotoTower:
    tower = PhotoTower(PhotoConfig(resembled=resembled), dim)
    load_given(tower.trunk, pretrained / NETWORK)
    return tower.eval()


@torch.no_grad()
def unseen_vectors(
    classes: PhotoClasses,
    features: np.ndarray,
    taxa_of: np.ndarray,
    taxa: Sequence,
    relatives: Relatives,
    pretrained: Path,
    seed: int,
) -> Tensor:
    """Vectors [photos, dim], each from a head trained without photos of its species."""
    dim = relatives.vectors.shape[1]
    species = np.unique(taxa_of)
    known = np.isin(species, classes.known)
    fold = np.zeros(len(species), int)
    rng = np.random.default_rng(seed)
    for mask in (known, ~known):
        fold[mask] = rng.permutation(mask.sum()) % FOLDS
    fold_of = fold[np.searchsorted(species, taxa_of)]
    vectors = torch.zeros((len(taxa_of), dim))
    for number in range(FOLDS):
        left = fold_of != number
        groups = added_groups(taxa_of[left], classes.known, taxa)
        made = SyntheticFeatures(classes, features[left], taxa_of[left])
        each = np.stack([shares_of(int(taxon), groups, taxa) for taxon in taxa_of[left]])
        with torch.enable_grad():
            rows = fit_groups(classes, groups, made, features[left], each, seed)
        tower = fresh_tower(len(classes.taxa) + len(groups), dim, pretrained)
        begin(tower, classes, rows, target_vectors(classes, groups, relatives))
        vectors[torch.from_numpy(~left)] = tower.place(torch.from_numpy(features[~left, 0]))
        print(f"fold {number + 1} of {FOLDS}", file=sys.stderr)
    return vectors


def kept(folder: Path | None, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array from a cache folder, computed and stored if missing."""
    if folder is None:
        return make()
    path = folder / f"{name}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, make())
    return np.load(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--run", type=Path, help="folder of a finished stage 2; if not given, its rows are left out")
    parser.add_argument("--pack", default="birdnet", help="pack whose class vectors and audio encoder are used")
    parser.add_argument("--starter", type=Path, required=True, help="folder with manifest.csv, recordings and photos")
    parser.add_argument("--pretrained", type=Path, help="folder of the photo network; default: beside the project")
    parser.add_argument("--keep", type=Path, help="cache folder; one for each pack and starter folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)

    def say(lines: Sequence[str]) -> None:
        for one in lines:
            print(one, file=sys.stderr)

    pack, pretrained = load_pack(given.pack), given.pretrained or default_pretrained()
    learned, _ = read_prototypes(pack)
    taxa = list(learned.taxa)
    manifest = given.starter / "manifest.csv"
    photos, _ = read_photos([manifest], None, taxa, 0.0, given.seed, 224, say)
    classes = read_photo_classes(pretrained, taxa)
    relatives = Relatives(taxa, learned.vectors, classes.known)
    candidates = np.unique(photos.taxa)
    right = np.searchsorted(candidates, photos.taxa)
    known = np.isin(photos.taxa, classes.known)
    dim = learned.vectors.shape[1]

    tower = fresh_tower(len(classes.taxa), dim, pretrained)
    features = kept(given.keep, "features", lambda: features_of(tower, photos.pictures, VIEWS, given.seed, CPU))
    logits = torch.from_numpy(features[:, 0] @ classes.weights.T + classes.bias)

    def unseen() -> np.ndarray:
        return unseen_vectors(classes, features, photos.taxa, taxa, relatives, pretrained, given.seed).numpy()

    ways = {
        "photo network's classes, weighted": F.normalize(
            logits.softmax(dim=1) @ torch.from_numpy(learned.vectors[classes.taxa]), dim=1
        ),
        "unseen": torch.from_numpy(kept(given.keep, f"unseen{given.seed}", unseen)),
    }
    if given.run:
        image = checkpoint.load(given.run).model.image.eval()
        assert isinstance(image, PhotoTower)
        every = range(len(photos.pictures))
        with torch.no_grad():
            parts = [image(photos.pictures.centre(every[at : at + 16])) for at in every[::16]]
        ways["as trained"] = torch.cat(parts)

    read = read_manifest(manifest, None)
    place = manifest_rows(read, taxa)
    wanted = [sample for sample in read.recordings if place[sample.taxon] in set(candidates.tolist())]

    def hear() -> np.ndarray:
        heard = recording_vectors(hear_samples(pack, wanted, given.threads, say)[0])
        return np.concatenate([heard.vectors, place[heard.taxon][:, None]], axis=1)

    heard = kept(given.keep, "heard", hear)
    heard_vectors, heard_taxa = heard[:, :-1], heard[:, -1].astype(int)
    sounding = np.searchsorted(candidates, heard_taxa)
    sound_known = np.isin(heard_taxa, classes.known)

    print(f"{len(candidates)} species, {len(right)} photos, {len(sounding)} recordings\n")
    print("| photo -> name | Top-1 | Top-5 | photos |\n|---|---:|---:|---:|")
    names = learned.vectors[candidates]
    for what, vectors in ways.items():
        if what == "as trained":
            continue
        similarity = vectors.numpy() @ names.T
        print(line(f"{what}: species that the photo network knows", shares(similarity, right, known)))
        print(line(f"{what}: others", shares(similarity, right, ~known)))
    print("\n| sound -> photos | Top-1 | Top-5 | recordings |\n|---|---:|---:|---:|")
    for what, vectors in ways.items():
        sums = np.zeros((len(candidates), dim), np.float32)
        np.add.at(sums, right, vectors.numpy())
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
        similarity = heard_vectors @ sums.T
        print(line(what, shares(similarity, sounding, np.ones(len(sounding), bool))))
        print(line(f"{what}: of species that the photo network lacks", shares(similarity, sounding, ~sound_known)))
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except BiovitaError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
