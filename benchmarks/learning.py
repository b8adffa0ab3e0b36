"""What a station learns from reviews: precision and recall before and after 5, 20 and 50 of them.

    python benchmarks/learning.py PACK

Recordings are those of the starter data (or --data), split by source into two halves, anew for each of --splits seeds.
The first half is a journal: every species that the pack detects in a recording is a detection with the vector of its
surest window. So many detections drawn from it are reviewed as the labels say: right ones are confirmed, wrong ones
corrected to what the recording is of, or only rejected. `learn` writes the learned gallery, and the second half is
recognised with and without it. A pair of a recording and a species counts: species that a review named, and all others
that the pack can name.

The gallery is the pack's without its recordings, which come from these sources. The space of a pack made of BirdNET is
fitted anew on the first half, as the pack's own was fitted on all of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.clock.system import Moment
from edgeapp.errors import AudioError
from edgeapp.journal import Deployment, Detection, Journal, Review, Stream
from edgeapp.journal.learning import learn
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import load_pack
from edgeapp.pack.names import names_of
from edgeapp.paths import BIRDNET_TOWERS
from edgeapp.recognition.recogniser import Recogniser
from gallery import Gallery, Index, Reviewed, Taxon, TaxonError, Vocabulary, recognise
from gallery.search import ClassVectors
from trainer.data.manifest import default_manifest, read_manifest, source_codes
from trainer.trunk.space import SPACE, Whitening, fit_space

COUNTS = (5, 20, 50)
CORRECTS, REJECTS = "confirms and corrects", "confirms and rejects"
NOON = Moment(datetime(2026, 5, 1, 12, tzinfo=timezone.utc), 0.0)
STREAM = Stream("recordings", "", "file", 48_000, "boot")


@dataclass(frozen=True, eq=False)
class Heard:
    """Windows of recordings.

    Attributes
    ----------
    vectors, levels, recording : [n, dim], [n], [n]
    truth : [recordings] names of the species, of the pack where it knows them
    source : [recordings]
    """

    vectors: np.ndarray
    levels: np.ndarray
    recording: np.ndarray
    truth: np.ndarray
    source: np.ndarray


@dataclass
class Score:
    """Pairs of a recording and a species: detected and right, detected and wrong, and all that are right."""

    right: int = 0
    wrong: int = 0
    there: int = 0

    def add(self, other: Score) -> None:
        self.right, self.wrong, self.there = (
            self.right + other.right,
            self.wrong + other.wrong,
            self.there + other.there,
        )

    @property
    def shown(self) -> str:
        """Precision and recall."""
        precision = self.right / max(1, self.right + self.wrong)
        return f"{precision:.3f}, {self.right / max(1, self.there):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", help="name or folder of a pack")
    parser.add_argument("--data", type=Path, default=None, help="manifest; default: the starter data")
    parser.add_argument("--towers", type=Path, default=BIRDNET_TOWERS, help="towers that a pack of BirdNET was made of")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="file for what the pack makes of the sound, read where it is there")
    asked = parser.parse_args()
    pack = load_pack(asked.pack)
    heard = listen(pack, asked.data or default_manifest(), asked.keep)
    with Gallery.open(pack.gallery_path(), pack.identity) as opened:
        index = Index.of(opened, pack.decision)
    of_space = Whitening.load(asked.towers) if index.class_vectors and (asked.towers / SPACE).is_file() else None
    totals: dict[tuple[str, int, bool, bool], Score] = {}
    for seed in range(asked.splits):
        for key, score in one_split(pack, index, heard, of_space, np.random.default_rng(seed)):
            totals.setdefault(key, Score()).add(score)
        print(f"split {seed + 1} of {asked.splits}", file=sys.stderr, flush=True)
    print("| reviews | reviewer | species reviewed: before | after | all others: before | after |")
    print("|---:|---|---:|---:|---:|---:|")
    for count in COUNTS:
        for reviewer in (CORRECTS, REJECTS):
            cells = [totals[reviewer, count, named, after].shown for named in (True, False) for after in (False, True)]
            print(f"| {count} | {reviewer} | {' | '.join(cells)} |")


def listen(pack: Pack, data: Path, keep: Path | None) -> Heard:
    """Encode the recordings of a manifest."""
    manifest = read_manifest(data)
    samples = manifest.recordings
    names = names_of(load_taxa(pack))
    truth = []
    for taxon in samples.taxon.tolist():
        try:
            truth.append(names.find(manifest.taxa[taxon].scientific_name, suggest=False).scientific_name)
        except TaxonError:
            truth.append(manifest.taxa[taxon].scientific_name)
    if keep is not None and keep.is_file():
        with np.load(keep) as file:
            vectors, levels, recording = (file[name] for name in ("vectors", "levels", "recording"))
    else:
        recogniser = Recogniser(pack, threads=1)
        found = []
        for row, sample in enumerate(samples):
            try:
                found += [(row, one) for one in recogniser.windows(FileSource(sample.path)) if one.vector is not None]
            except AudioError as error:
                print(error, file=sys.stderr)
        recording = np.array([row for row, _ in found])
        vectors = np.stack([one.vector for _, one in found if one.vector is not None])
        levels = np.array([one.level_dbfs for _, one in found])
        if keep is not None:
            np.savez(keep, vectors=vectors, levels=levels, recording=recording)
    return Heard(vectors, levels, recording, np.array(truth), source_codes(samples))


def load_taxa(pack: Pack) -> list[Taxon]:
    with Gallery.open(pack.gallery_path()) as opened:
        return opened.taxa()


def one_split(
    pack: Pack, index: Index, heard: Heard, of_space: Whitening | None, rng: np.random.Generator
) -> Iterator[tuple[tuple[str, int, bool, bool], Score]]:
    """Reviewer, reviews, whether of the species reviewed, whether after learning; and the score."""
    first = rng.integers(0, 2, int(heard.source.max()) + 1)[heard.source] == 0  # [recordings]
    vectors, own = heard.vectors, without_recordings(index)
    if of_space is not None:
        vectors, own = in_own_space(own, heard, first, of_space)
    vocabulary = Vocabulary(own, pack.decision)
    journal_windows = np.flatnonzero(first[heard.recording])
    test_windows = np.flatnonzero(~first[heard.recording])
    surest: dict[tuple[int, str], tuple[float, int]] = {}
    for window, name, confidence in detected(vocabulary, vectors, heard, journal_windows):
        key = int(heard.recording[window]), name
        surest[key] = max(surest.get(key, (0.0, 0)), (confidence, window))
    order = rng.permutation(len(surest)).tolist()
    found = list(surest.items())
    before = pairs(vocabulary, vectors, heard, test_windows)
    for reviewer in (CORRECTS, REJECTS):
        for count in COUNTS:
            chosen = [(rec, name, vectors[window], c) for (rec, name), (c, window) in (found[n] for n in order[:count])]
            concerned = {name for _, name, _, _ in chosen}
            if reviewer == CORRECTS:
                concerned |= {str(heard.truth[recording]) for recording, _, _, _ in chosen} & set(vocabulary.rows)
            vocabulary.reviewed = taught(pack, heard, chosen, reviewer)
            after = pairs(vocabulary, vectors, heard, test_windows)
            vocabulary.reviewed = None
            for is_after, told in ((False, before), (True, after)):
                for named in (True, False):
                    those = {name for name in vocabulary.rows if (name in concerned) is named}
                    yield (reviewer, count, named, is_after), score(told, heard, ~first, those)


def without_recordings(index: Index) -> Index:
    """Class vectors alone, beside which names and photos have no weight; a gallery without them stays as it is."""
    return index if index.class_vectors is None else Index(index.taxa, {}, index.class_vectors)


def in_own_space(index: Index, heard: Heard, first: np.ndarray, of_space: Whitening) -> tuple[np.ndarray, Index]:
    """Vectors and class vectors in a space that was fitted on the first half; taxa without a class are left out."""
    assert index.class_vectors is not None
    embeddings = of_space.embeddings(heard.vectors)
    kept = [row for row in np.unique(heard.recording).tolist() if first[row]]
    taxon = np.unique(heard.truth, return_inverse=True)[1]
    space = fit_space([embeddings[heard.recording == row] for row in kept], taxon[kept])
    classes = index.class_vectors
    weights, bias = space.rows(*of_space.layer(classes.weights, classes.bias))
    taxa = [index.taxa[row] for row in classes.rows.tolist()]
    return space.vectors(embeddings), Index(taxa, {}, ClassVectors(np.arange(len(taxa)), weights, bias))


def detected(
    vocabulary: Vocabulary, vectors: np.ndarray, heard: Heard, windows: np.ndarray
) -> Iterator[tuple[int, str, float]]:
    """Window, species and confidence of what is detected."""
    for window, told in zip(windows.tolist(), recognise(vectors[windows], heard.levels[windows], vocabulary)):
        for one in told.detections:
            if one.taxon_rank == "species":
                yield window, one.scientific_name, one.confidence


def pairs(vocabulary: Vocabulary, vectors: np.ndarray, heard: Heard, windows: np.ndarray) -> set[tuple[int, str]]:
    """Recordings and the species detected in them."""
    return {(int(heard.recording[window]), name) for window, name, _ in detected(vocabulary, vectors, heard, windows)}


def taught(pack: Pack, heard: Heard, chosen: list[tuple[int, str, np.ndarray, float]], reviewer: str) -> Reviewed:
    """Write a journal with reviewed detections, and learn from it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.learned.sqlite"
        with Journal.open(Path(folder) / "journal.sqlite") as journal:
            deployment = Deployment(pack.name, pack.version, pack.space, "", "0", pack.audio.hop_s, {})
            stream = journal.open_stream(journal.begin(deployment, NOON), STREAM, NOON)
            for recording, name, vector, confidence in chosen:
                one = Detection(NOON, 0.0, 1.0, "species", name, "", confidence, (), -30.0, vector=vector)
                truth = str(heard.truth[recording])
                number = journal.record(stream, one)
                if truth == name:
                    journal.add_review(Review(number, "confirmed", "labels"))
                elif reviewer == CORRECTS:
                    journal.add_review(Review(number, "corrected", "labels", truth))
                else:
                    journal.add_review(Review(number, "rejected", "labels"))
            learn(journal, pack, path)
        with closing(Gallery.open(path, pack.identity)) as learned:
            return Reviewed.of(learned)


def score(told: set[tuple[int, str]], heard: Heard, test: np.ndarray, species: set[str]) -> Score:
    """Of some species."""
    kept = [(recording, name) for recording, name in told if name in species]
    right = sum(heard.truth[recording] == name for recording, name in kept)
    return Score(right, len(kept) - right, sum(name in species for name in heard.truth[test].tolist()))


if __name__ == "__main__":
    main()
