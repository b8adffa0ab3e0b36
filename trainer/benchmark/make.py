"""A benchmark in the published layout from any manifest: six directions, three levels, seen and unseen species.

*Seen* species are those trained on; their queries and targets are held-out samples, split by source as
`trainer.data.manifest.hold_out` does with the same share and seed. *Unseen* species are not trained on at all: a given
number of those with the fewest recordings, withheld completely, and those that the manifest's own split leaves out of
training. With withheld species, `training.csv` is the manifest to train on; its column `split` is this split.

At genus and family the samples of the query's own species do not represent its group, as in the paper. A scenario that
cannot be filled has a header and no rows, and `benchmark.json` gives the reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gallery import Taxon
from gallery.files import write_text
from trainer.benchmark.draws import distinct
from trainer.benchmark.layout import (
    BLOCK,
    DIRECTIONS,
    FOLDERS,
    INDEX_COLUMNS,
    LEVELS,
    TASK_COLUMNS,
    code,
    task_name,
    write_csv,
)
from trainer.data.manifest import Manifest, Sample, Samples, held_rows, hold_out, source_codes, taxa_of
from trainer.errors import ConfigError, DataError

CANDIDATES = 100  # taxa per query, the correct one included
MOST_SAMPLES = 20  # per candidate; a family has thousands, and each row of a task lists those of 100 candidates
SUMMARY, TRAINING = "benchmark.json", "training.csv"
RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
TRAINING_COLUMNS = (
    *("modality", "path", "offset", "size", "scientific_name", "common_name", *RANKS),
    *("source_repo", "source_id", "author", "licence", "split"),
)


@dataclass(frozen=True)
class Plan:
    """Settings of a benchmark.

    Attributes
    ----------
    share, seed : of the split, as in training; the seed is also that of all other draws
    unseen : number of species to withhold
    candidates : taxa per query
    most : maximum number of samples per candidate
    queries : maximum number of queries per scenario; None for all
    """

    share: float = 0.2
    seed: int = 1
    unseen: int = 0
    candidates: int = CANDIDATES
    most: int = MOST_SAMPLES
    queries: int | None = None


@dataclass(frozen=True)
class Scenario:
    """Result of making a scenario.

    Attributes
    ----------
    queries, not_asked : number of queries, and of samples that have no target
    why : reason for writing no rows; empty if it was filled
    taxa : number of candidate taxa, if they are too few
    """

    split: str
    level: str
    query: str
    target: str
    queries: int
    not_asked: int
    why: str = ""
    taxa: int = 0


@dataclass(frozen=True)
class Side:
    """Samples of one modality in one split; ids are their positions, taxon [n] the rows in the manifest's taxa."""

    samples: Sequence[Sample] | None  # None for text
    taxon: np.ndarray


def make_benchmark(manifest: Manifest, out: Path, plan: Plan = Plan()) -> list[Scenario]:
    """Write all 36 scenarios with their indexes and summary.

    Raises
    ------
    ConfigError
        When a number is out of range.
    DataError
        When more species are to be withheld than have both recordings and photos.
    """
    for name, value, least in (("candidates", plan.candidates, 2), ("most", plan.most, 1), ("unseen", plan.unseen, 0)):
        if value < least:
            raise ConfigError(f"--{name} {value} is less than {least}", "give a larger number")
    if plan.queries is not None and plan.queries < 1:
        raise ConfigError(f"--queries {plan.queries} is less than 1", "leave it out for all")
    withheld = rare(manifest, plan.unseen)
    parts = {"audio": manifest.recordings, "image": manifest.photos}
    rest = {modality: others(samples, withheld) for modality, samples in parts.items()}
    split = {modality: hold_out(samples, plan.share, plan.seed) for modality, samples in rest.items()}
    trained = np.unique(np.concatenate([taxa_of(training) for training, _ in split.values()]))
    sides: dict[str, dict[str, Side]] = {name: {} for name in FOLDERS}
    for modality, samples in parts.items():
        held = split[modality][1]
        known = np.isin(taxa_of(held), trained)
        sides["seen"][modality] = Side(held[known] if isinstance(held, Samples) else held, taxa_of(held)[known])
        new = ~np.isin(samples.taxon, trained)
        sides["unseen"][modality] = Side(samples[new], samples.taxon[new])
    sides["seen"]["text"] = Side(None, trained)
    sides["unseen"]["text"] = Side(None, np.unique(np.concatenate([s.taxon for s in sides["unseen"].values()])))
    scenarios = []
    for number, (name, folder) in enumerate(FOLDERS.items()):
        root = out / folder / "benchmark"
        for modality, side in sides[name].items():
            write_index(root / f"{modality}_index.csv", modality, side, manifest.taxa)
        for level in LEVELS:
            groups = np.array([taxon.at(level) for taxon in manifest.taxa], dtype=object)
            for place, (query, target) in enumerate(DIRECTIONS):
                path = root / level / task_name(query, target)
                rng = np.random.default_rng((plan.seed, number, LEVELS.index(level), place))
                ends = sides[name][query].taxon, sides[name][target].taxon
                made = write_task(path, code(query, target), level, ends, groups, plan, rng)
                scenarios.append(Scenario(name, level, query, target, *made))
    if len(withheld):
        held_out = {modality: held_rows(samples, plan.share, plan.seed) for modality, samples in rest.items()}
        write_training(out / TRAINING, manifest.taxa, rest, held_out)
    summary = {
        "manifest": str(manifest.path),
        **asdict(plan),
        "withheld": [manifest.taxa[row].scientific_name for row in withheld],
        "train_with": f"--data {out / TRAINING if len(withheld) else manifest.path} --held-out {plan.share:g} "
        f"--seed {plan.seed}",
        "scenarios": [asdict(scenario) for scenario in scenarios],
    }
    text = json.dumps(summary, indent=1, ensure_ascii=False)
    write_text(out / SUMMARY, text + "\n", parents=True)
    return scenarios


def rare(manifest: Manifest, count: int) -> np.ndarray:
    """The species with the fewest recordings among those with recordings and photos; ties are broken by name."""
    recordings, photos = (
        np.bincount(samples.taxon, minlength=len(manifest.taxa)) for samples in (manifest.recordings, manifest.photos)
    )
    whole = np.flatnonzero((recordings > 0) & (photos > 0))
    if count > len(whole):
        raise DataError(
            f"{manifest.path}: {len(whole)} species have both recordings and photos, {count} cannot be withheld",
            "give a smaller --unseen",
        )
    return np.sort(whole[np.argsort(recordings[whole], kind="stable")[:count]])


def others(samples: Samples, withheld: np.ndarray) -> Samples:
    """Samples of other taxa, without those from a source that also has a withheld taxon."""
    sources, of = source_codes(samples), np.isin(samples.taxon, withheld)
    return samples[~np.isin(sources, sources[of])]


def write_index(path: Path, modality: str, side: Side, taxa: Sequence[Taxon]) -> None:
    """Write the index of one modality."""
    columns = list(INDEX_COLUMNS[modality])
    if modality == "text":
        columns += ["class", "common_name"]
    elif any(sample.size is not None for sample in side.samples or ()):
        columns += ["offset", "size"]

    def rows() -> Iterator[dict[str, Any]]:
        for row, number in enumerate(side.taxon.tolist()):
            taxon = taxa[number]
            values = {"id": row, "class": taxon.class_, "common_name": taxon.common_name}
            yield {**values, **{level: taxon.at(level) for level in LEVELS}}

    def files() -> Iterator[dict[str, Any]]:
        for values, sample in zip(rows(), side.samples or ()):
            piece = {} if sample.size is None else {"offset": sample.offset, "size": sample.size}
            yield {**values, "file_path": str(sample.path.resolve()), **piece}

    write_csv(path, columns, rows() if modality == "text" else files())


def write_task(
    path: Path,
    direction: str,
    level: str,
    ends: tuple[np.ndarray, np.ndarray],
    names: np.ndarray,
    plan: Plan,
    rng: np.random.Generator,
) -> tuple[int, int, str, int]:
    """Write a scenario, or only its header.

    Parameters
    ----------
    ends : taxon of each query and of each target
    names : [taxa] group of each taxon, "" if unknown

    Returns
    -------
    Number of queries, number of samples without a target, reason for writing no rows, and the number of candidate taxa
    if there are too few.
    """
    asks, answers = ends
    group_names, of_taxon = np.unique(names.astype(str), return_inverse=True)
    own, of_target = of_taxon[asks], of_taxon[answers]
    members = {group: rows for group, rows in grouped(of_target) if group_names[group]}  # rows of the target side
    candidates = np.array(sorted(members), dtype=int)
    there = np.isin(own, candidates)
    right: dict[int, np.ndarray] = {}  # target rows of each query
    for query in np.flatnonzero(there).tolist():
        of_group = members[int(own[query])]
        found = of_group if level == "species" else of_group[answers[of_group] != asks[query]]
        if len(found):
            right[query] = found
    queries = np.array(list(right), dtype=int)
    why, few = "", 0
    if not len(asks) or not len(answers):
        why = "no samples"
    elif not len(queries):
        why = "no query has a target"
    elif len(candidates) < plan.candidates:
        few = len(candidates)
        why = f"{few} candidate taxa, {plan.candidates} are needed"
    if why:
        write_csv(path, TASK_COLUMNS, iter(()))
        return 0, len(asks), why, few
    not_asked = len(asks) - len(queries)
    if plan.queries is not None and len(queries) > plan.queries:
        queries = np.sort(rng.choice(queries, plan.queries, replace=False))
    cells = {group: json.dumps(some(rng, found, plan.most)) for group, found in members.items()}

    def rows() -> Iterator[dict[str, Any]]:
        for start in range(0, len(queries), BLOCK):
            several = queries[start : start + BLOCK]
            place = np.searchsorted(candidates, own[several])
            among = distinct(rng, np.full(len(several), len(candidates) - 1), plan.candidates - 1)
            among += among >= place[:, None]
            for query, drawn in zip(several.tolist(), among):
                group = int(own[query])
                taxa = [group, *candidates[drawn].tolist()]
                rng.shuffle(taxa)
                own_cell = json.dumps(some(rng, right[query], plan.most))
                ids = ", ".join(own_cell if other == group else cells[other] for other in taxa)
                yield {
                    "query_id": f"{direction}_{level}_{query}",
                    "query_payload_id": query,
                    "task": direction,
                    "taxon_level": level,
                    "correct_taxon": group_names[group],
                    "candidates_taxa": json.dumps([str(group_names[other]) for other in taxa], ensure_ascii=False),
                    "candidates_target_ids": f"[{ids}]",
                }

    write_csv(path, TASK_COLUMNS, rows())
    return len(queries), not_asked, "", 0


def grouped(of: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each value in [n] with its rows, ascending."""
    order = np.argsort(of, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(of[order])) + 1) if len(order) else ():
        yield int(of[rows[0]]), rows


def some(rng: np.random.Generator, rows: np.ndarray, most: int) -> list[int]:
    """At most `most` of the rows, drawn at random."""
    return (rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))).tolist()


def write_training(path: Path, taxa: Sequence[Taxon], rest: dict[str, Samples], held: dict[str, np.ndarray]) -> None:
    """Write the manifest without the withheld species, with its taxonomy and the split of its rows.

    The split is written because it might differ for a part of the manifest: a source that then has more than a fifth of
    the rows would count as a collection.
    """

    def rows() -> Iterator[dict[str, Any]]:
        for modality, samples in rest.items():
            for sample, held_out in zip(samples, held[modality].tolist(), strict=True):
                taxon = taxa[sample.taxon]
                yield {
                    "modality": modality,
                    "path": str(sample.path.resolve()),
                    "offset": "" if sample.size is None else sample.offset,
                    "size": "" if sample.size is None else sample.size,
                    "scientific_name": taxon.scientific_name,
                    "common_name": taxon.common_name,
                    **{taxon_rank: taxon.at(taxon_rank) for taxon_rank in RANKS},
                    "source_repo": sample.source[0],
                    "source_id": sample.source[1],
                    "author": sample.author,
                    "licence": sample.licence,
                    "split": "test" if held_out else "train",
                }

    write_csv(path, TRAINING_COLUMNS, rows())
