"""A benchmark in the published layout from any manifest: six directions, three levels, seen and unseen species.

*Seen* are the species that were trained on; what asks and what answers are their held-out samples, split by source as
`trainer.data.manifest.hold_out` does with the same share and seed. *Unseen* are species of which nothing was trained
on: those with the fewest recordings, as many as asked for, withheld whole, and those that the manifest's own split
leaves out of training. With species withheld, `training.csv` is what to train on; its column `split` is this split.

At genus and family the samples of the query's own species do not stand for its group, as in the paper. A scenario that
cannot be filled has a header and no row, and `benchmark.json` says why.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gallery import Taxon
from gallery.files import replacing, write_text
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
)
from trainer.data.manifest import Manifest, Sample, Samples, held_rows, hold_out, source_codes, taxa_of
from trainer.errors import ConfigError, DataError

CANDIDATES = 100  # taxa of a query, the right one included
MOST_SAMPLES = 20  # of a candidate; a family has thousands, and each row of a task names those of 100 candidates
SUMMARY, TRAINING = "benchmark.json", "training.csv"
RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
TRAINING_COLUMNS = (
    *("modality", "path", "offset", "size", "scientific_name", "common_name", *RANKS),
    *("source_repo", "source_id", "author", "licence", "split"),
)


@dataclass(frozen=True)
class Plan:
    """How a benchmark is made.

    Attributes
    ----------
    share, seed : of the split, as in training; the seed also draws everything else
    unseen : species to withhold
    candidates : taxa of a query
    most : samples that stand for a candidate
    queries : most queries of a scenario, None for all
    """

    share: float = 0.2
    seed: int = 1
    unseen: int = 0
    candidates: int = CANDIDATES
    most: int = MOST_SAMPLES
    queries: int | None = None


@dataclass(frozen=True)
class Scenario:
    """What became of a scenario.

    Attributes
    ----------
    queries, not_asked : samples that ask, and those that cannot
    why : nothing was written; empty when it was filled
    taxa : candidate taxa there are, when they are too few
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
    """Samples of one modality in one split: id is the row, taxon [n] the row in the manifest's taxa."""

    samples: Sequence[Sample] | None  # None for text
    taxon: np.ndarray


def make_benchmark(manifest: Manifest, out: Path, plan: Plan = Plan()) -> list[Scenario]:
    """Write all 36 scenarios and what goes with them.

    Raises
    ------
    ConfigError
        When a number makes no sense.
    DataError
        When more species are to be withheld than have both sound and pictures.
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
    """The species with both sound and pictures that have the fewest recordings; of equals the first by name."""
    recordings, photos = (
        np.bincount(samples.taxon, minlength=len(manifest.taxa)) for samples in (manifest.recordings, manifest.photos)
    )
    whole = np.flatnonzero((recordings > 0) & (photos > 0))
    if count > len(whole):
        raise DataError(
            f"{manifest.path}: {len(whole)} species have both sound and pictures, {count} cannot be withheld",
            "give a smaller --unseen",
        )
    return np.sort(whole[np.argsort(recordings[whole], kind="stable")[:count]])


def others(samples: Samples, withheld: np.ndarray) -> Samples:
    """Samples of other taxa, less those cut from a source that a withheld taxon is also in."""
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
    """Write a scenario, or its header alone.

    Parameters
    ----------
    ends : taxon of each query and of each target
    names : [taxa] group of each taxon, "" where unknown

    Returns
    -------
    queries written, samples that have no other sample to find, why nothing was written, and the number of candidate
    taxa when that is why
    """
    asks, answers = ends
    group_names, of_taxon = np.unique(names.astype(str), return_inverse=True)
    own, of_target = of_taxon[asks], of_taxon[answers]
    members = {group: rows for group, rows in grouped(of_target) if group_names[group]}  # rows of the target side
    candidates = np.array(sorted(members), dtype=int)
    there = np.isin(own, candidates)
    right: dict[int, np.ndarray] = {}  # rows that a query is to find
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
        why = "no query has anything to find"
    elif len(candidates) < plan.candidates:
        few = len(candidates)
        why = f"{few} candidate taxa, {plan.candidates} are asked for"
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
    """Each value of [n] with the rows that have it, ascending."""
    order = np.argsort(of, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(of[order])) + 1) if len(order) else ():
        yield int(of[rows[0]]), rows


def some(rng: np.random.Generator, rows: np.ndarray, most: int) -> list[int]:
    """At most so many of the rows, drawn evenly."""
    return (rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))).tolist()


def write_training(path: Path, taxa: Sequence[Taxon], rest: dict[str, Samples], held: dict[str, np.ndarray]) -> None:
    """Write the manifest without what is withheld; it brings its taxonomy along, and the split of its rows.

    The split is written out because less than the whole manifest might be split otherwise: a source may have more than
    a fifth of what is left, and count as a collection.
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


def write_csv(path: Path, columns: Sequence[str], rows: Iterator[dict[str, Any]]) -> None:
    """Write a CSV, whole or not at all."""
    with replacing(path, parents=True) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
