"""Audio-to-image retrieval on SSW60 (Van Horn et al. 2022).

    audio_ml.csv, images_inat.csv, images_nabirds.csv     asset_id, label, split, …
    audio_ml/ASSET.wav, images_inat/ASSET.jpg, images_nabirds/ASSET.jpg
    taxa.csv                                              label, scientific_name, …

Every recording of the split is a query; the gallery is all photos of one image set in the same split, ranked by cosine.

- mAP is the mean over recordings of the average precision: the mean, over the photos of the recording's species, of the
  precision at that photo's rank. Photos of equal cosine share the last of their ranks.
- Recall@k is the share of recordings with a photo of their species among the first k; ties count against it.

The data set's own task is classification of videos. Retrieval was first reported by Moummad et al. 2026, who give one
mAP without naming the image set; so both sets can be scored, and results name their set. Encoders trained on public
photos may have been trained on the iNaturalist photos or similar ones of that site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.errors import ConfigError, DataError
from trainer.probes.encode import encode
from trainer.probes.labelled import read_lines, read_named

IMAGE_SETS = ("inat", "nabirds")
SPLIT = "test"
TOPS = (1, 5, 10)
BATCH = 32  # files
CELLS = 1 << 22  # cosines in memory at once


@dataclass(frozen=True)
class Assets:
    """One modality of one split: asset ids, files and labels [n], and a line for each file that is listed twice."""

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: np.ndarray
    repeated: tuple[str, ...] = ()

    def kept(self, keep: Sequence[bool] | np.ndarray) -> Assets:
        """Those where `keep` [n] is true."""
        rows = np.flatnonzero(keep)
        ids, paths = tuple(self.ids[r] for r in rows), tuple(self.paths[r] for r in rows)
        return Assets(ids, paths, self.labels[rows], self.repeated)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Ssw60Result:
    """Audio-to-image retrieval on one image set.

    Attributes
    ----------
    map : mean average precision over the recordings
    chance : expected mean average precision of a random ranking
    recall : k -> share of recordings with a correct photo among the first k
    of_species : scientific name -> mean average precision of its recordings
    queries, gallery : number of recordings and of photos
    missing : files of the split that do not exist, or that are not in the feature file
    undecodable : a line for each file that could not be encoded
    without_photo : recordings left out because the gallery has no photo of their species
    repeated : a line for each file that the archive lists more than once, and that counts once
    """

    images: str
    split: str
    map: float
    chance: float
    recall: dict[int, float]
    of_species: dict[str, float]
    queries: int
    gallery: int
    missing: tuple[str, ...]
    undecodable: tuple[str, ...]
    without_photo: tuple[str, ...]
    repeated: tuple[str, ...] = ()


def evaluate_ssw60(
    root: Path,
    encoder: Any,
    images: str = "inat",
    split: str = SPLIT,
    batch: int = BATCH,
    done: Callable[[int], None] = lambda files: None,
) -> Ssw60Result:
    """Encode the split and score it.

    Parameters
    ----------
    root : folder of the unpacked archive
    encoder : has `audio(paths)` and `images(paths)`, which give unit vectors [n, dim]
    images : inat or nabirds
    batch : files given to the encoder at once
    done : called with the number of files just processed, for a progress bar

    Raises
    ------
    DataError
        The folder is not SSW60, or no recording or no photo can be used.
    """
    sides: list[Assets] = []
    vectors: list[np.ndarray] = []
    missing: list[str] = []
    undecodable: list[str] = []
    for name, embed in (("audio_ml", encoder.audio), (image_folder(images), encoder.images)):
        listed = read_assets(root, name, split)
        there = [path.is_file() for path in listed.paths]
        missing += [str(path) for path, found in zip(listed.paths, there) if not found]
        side = listed.kept(there)
        encoded = encode(embed, side.paths, batch, done)
        if encoded is None:
            raise DataError(f"the model cannot encode {name}", "name one with an audio and an image tower")
        kept, made, faults = encoded
        side, undecodable = side.kept(kept), undecodable + faults
        if not len(side):
            raise DataError(
                f"{root}: no file of {name}, split {split}, can be used; {(faults + missing)[0]}",
                "unpack the complete archive",
            )
        sides.append(side)
        vectors.append(made)
    return score(root, images, split, sides, vectors, missing, undecodable)


def score_features(root: Path, path: Path, images: str = "inat", split: str = SPLIT) -> Ssw60Result:
    """Score precomputed vectors; only the CSV files of the archive are needed.

    Parameters
    ----------
    path : `.npz` with audio_ids [n], audio [n, dim], image_ids and image; ids are asset ids, numbers or strings, and
        may include other splits

    Raises
    ------
    DataError
        The file or the folder cannot be used, or has nothing of the split.
    """
    sides, missing, vectors = [], [], []
    for name, modality in (("audio_ml", "audio"), (image_folder(images), "image")):
        found = read_named(path, modality, f"{modality}_ids")
        listed = read_assets(root, name, split)
        row_of = {asset: row for row, asset in enumerate(found[0])} if found else {}
        there = [asset in row_of for asset in listed.ids]
        missing += [f"{name} {asset}" for asset, has in zip(listed.ids, there) if not has]
        side = listed.kept(there)
        if found is None or not len(side):
            raise DataError(f"{path}: has no vector of {name}, split {split}", f"give {modality} and {modality}_ids")
        sides.append(side)
        vectors.append(found[1][[row_of[asset] for asset in side.ids]])
    return score(root, images, split, sides, vectors, missing, [])


def image_folder(images: str) -> str:
    """Name of an image set in the archive."""
    if images not in IMAGE_SETS:
        raise ConfigError(f"image set '{images}' is unknown", f"SSW60 has {' and '.join(IMAGE_SETS)}")
    return f"images_{images}"


def read_assets(root: Path, name: str, split: str) -> Assets:
    """The files of a split listed in a CSV of the archive.

    Raises
    ------
    DataError
        The CSV is missing or damaged, or lists nothing for this split.
    """
    path, suffix = root / f"{name}.csv", "wav" if name == "audio_ml" else "jpg"
    if not path.is_file():
        raise DataError(f"{path} is missing", "name the folder unpacked from ssw60.tar.gz")
    _, lines = read_lines(path, ("asset_id", "label", "split"))
    rows = [(line, fields) for line, fields in lines if fields["split"] == split]
    if not rows:
        splits = ", ".join(sorted({fields["split"] for _, fields in lines}))
        raise DataError(f"{path}: no row of split '{split}'", f"its splits are {splits}")
    first: dict[tuple[str, str], tuple[int, dict[str, str]]] = {}
    repeated = []
    for line, fields in rows:
        asset = fields["asset_id"], fields["label"].strip()
        if asset in first:
            repeated.append(f"{path} line {line}: {asset[0]} is listed in line {first[asset][0]}")
        else:
            first[asset] = line, fields
    rows = list(first.values())
    ids = tuple(fields["asset_id"] for _, fields in rows)
    paths = tuple(root / name / f"{asset}.{suffix}" for asset in ids)
    return Assets(ids, paths, _labels(path, rows), tuple(repeated))


def read_species(root: Path) -> dict[int, str]:
    """Scientific name of each label."""
    path = root / "taxa.csv"
    _, lines = read_lines(path, ("label", "scientific_name"))
    return dict(zip(_labels(path, lines).tolist(), (fields["scientific_name"] for _, fields in lines)))


def score(
    root: Path,
    images: str,
    split: str,
    sides: Sequence[Assets],
    vectors: Sequence[np.ndarray],
    missing: Sequence[str],
    undecodable: Sequence[str],
) -> Ssw60Result:
    """Rank photos for recordings, given (recordings, photos) and their unit vectors [n, dim]."""
    (sounds, photos), species = sides, read_species(root)
    if vectors[0].shape[1] != vectors[1].shape[1]:
        raise DataError(
            f"vectors of sound have {vectors[0].shape[1]} dimensions, of photos {vectors[1].shape[1]}",
            "compare encoders of one space",
        )
    unknown = sorted({*sounds.labels.tolist(), *photos.labels.tolist()} - set(species))
    if unknown:
        raise DataError(f"{root}: label {unknown[0]} is not in taxa.csv", "unpack the archive again")
    asked = np.isin(sounds.labels, photos.labels)
    if not asked.any():
        raise DataError(f"{root}: no recording has a photo of its species", "unpack the complete archive")
    labels = sounds.labels[asked]
    precision, place = retrieve(vectors[0][asked], labels, vectors[1], photos.labels)
    right = {label: int((photos.labels == label).sum()) for label in np.unique(labels).tolist()}
    return Ssw60Result(
        images,
        split,
        float(precision.mean()),
        float(np.mean([random_precision(right[label], len(photos)) for label in labels.tolist()])),
        {top: float((place < top).mean()) for top in TOPS},
        {species[label]: float(precision[labels == label].mean()) for label in right},
        int(asked.sum()),
        len(photos),
        tuple(missing),
        tuple(undecodable),
        tuple(str(path) for path, has in zip(sounds.paths, asked) if not has),
        (*sounds.repeated, *photos.repeated),
    )


def retrieve(
    queries: np.ndarray, query_labels: np.ndarray, gallery: np.ndarray, gallery_labels: np.ndarray, cells: int = CELLS
) -> tuple[np.ndarray, np.ndarray]:
    """Rank the gallery for each query, in blocks of queries.

    Parameters
    ----------
    queries, gallery : [q, dim] and [g, dim] unit vectors
    query_labels, gallery_labels : [q] and [g]; each label of a query is in the gallery
    cells : cosines in memory at once

    Returns
    -------
    Average precision [q], and number of wrong samples before the first correct one [q].
    """
    precision, place = np.zeros(len(queries)), np.zeros(len(queries), dtype=int)
    rows = max(1, cells // max(1, len(gallery)))
    for start in range(0, len(queries), rows):
        cosine = queries[start : start + rows] @ gallery.T
        for row, scores in enumerate(cosine, start=start):
            precision[row], place[row] = average_precision(scores, gallery_labels == query_labels[row])
    return precision, place


def average_precision(scores: np.ndarray, relevant: np.ndarray) -> tuple[float, int]:
    """Average precision of a ranking, and the number of wrong samples before or tied with the first correct one.

    Each correct sample contributes the share of correct ones among all with at least its score, so ties are counted
    together.

    Parameters
    ----------
    scores : [g]
    relevant : [g] bool, true at least once
    """
    own = np.sort(scores[relevant])
    reached = len(scores) - np.searchsorted(np.sort(scores), own)
    right = len(own) - np.searchsorted(own, own)
    return float((right / reached).mean()), int(reached[-1] - right[-1])


def random_precision(relevant: int, total: int) -> float:
    """Expected average precision of a random ranking of `total` samples, `relevant` of which are correct."""
    if total == 1:
        return 1.0
    harmonic = float((1.0 / np.arange(1, total + 1)).sum())
    return (harmonic + (relevant - 1) / (total - 1) * (total - harmonic)) / total


def _labels(path: Path, lines: Sequence[tuple[int, dict[str, str]]]) -> np.ndarray:
    try:
        return np.array([int(fields["label"]) for _, fields in lines], dtype=int)
    except ValueError:
        line, fields = next((line, f) for line, f in lines if not f["label"].strip().lstrip("-").isdigit())
        raise DataError(
            f"{path} line {line}: label '{fields['label']}' is not a number", "copy the file again"
        ) from None
