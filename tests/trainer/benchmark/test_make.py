"""A benchmark made from a manifest: nothing that was trained on asks, and every row is one that the paper would ask."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gallery import Taxon, read_taxa
from tests.trainer.benchmark import small_bench as bench
from tests.trainer.tiny import Tiny
from trainer.benchmark.layout import DIRECTIONS, LEVELS, TASK_COLUMNS, media, read_benchmark, task_name
from trainer.benchmark.make import SUMMARY, TRAINING, Plan, make_benchmark, rare
from trainer.benchmark.protocols import PUBLISHED, SCORED, evaluate
from trainer.data.manifest import Manifest, Sample, default_manifest, hold_out, read_manifest
from trainer.errors import ConfigError, DataError

COLUMNS = ("modality", "path", "scientific_name", "source_repo", "source_id")


def taxon(name: str, genus: str, family: str) -> Taxon:
    return Taxon(name, "Animalia", "Chordata", bench.class_of(genus), "", family, genus, {"en": f"common {name}"})


TAXA = [taxon(*names) for names in bench.SPECIES]


def lines() -> Iterator[tuple[str, ...]]:
    """Five recordings and four photos of each species, of as many sources; Davus alter has fewer recordings."""
    for name, *_ in bench.SPECIES:
        for piece in range(3 if name == "Davus alter" else 5):
            yield "audio", f"{name}{piece}.wav", name, "sounds", f"{name} {piece}"
        for piece in range(4):
            yield "image", f"{name}{piece}.jpg", name, "photos", f"{name} {piece}"


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(bench.write(tmp_path / "manifest.csv", COLUMNS, list(lines())), TAXA)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def files(samples) -> set[str]:
    return {str(sample.path.resolve()) for sample in samples}


PLAN = Plan(share=0.4, seed=3, unseen=4, candidates=3)


def test_all_36_scenarios_are_there_filled_or_with_a_reason(manifest: Manifest, tmp_path: Path) -> None:
    scenarios = make_benchmark(manifest, tmp_path / "bench", PLAN)
    assert {(s.split, s.level, s.query, s.target) for s in scenarios} == {
        (split, level, *direction) for split in ("seen", "unseen") for level in LEVELS for direction in DIRECTIONS
    }
    told = json.loads((tmp_path / "bench" / SUMMARY).read_text())
    assert told["seed"] == 3 and len(told["scenarios"]) == 36 and len(told["withheld"]) == 4
    for scenario in scenarios:
        folder = tmp_path / "bench" / {"seen": "test", "unseen": "unseen"}[scenario.split] / "benchmark"
        path = folder / scenario.level / task_name(scenario.query, scenario.target)
        assert tuple(next(csv.reader(path.open()))) == TASK_COLUMNS
        assert len(rows(path)) == scenario.queries and bool(scenario.why) == (scenario.queries == 0)
    assert 20 < sum(not scenario.why for scenario in scenarios) < 36


def test_seen_queries_and_answers_are_what_training_holds_out(manifest: Manifest, tmp_path: Path) -> None:
    make_benchmark(manifest, tmp_path / "bench", Plan(share=0.4, seed=3, candidates=3))
    assert not (tmp_path / "bench" / TRAINING).exists()  # train on the manifest as it is
    for modality, samples in (("audio", manifest.recordings), ("image", manifest.photos)):
        held = hold_out(samples, 0.4, 3)[1]
        index = rows(tmp_path / "bench" / "test" / "benchmark" / f"{modality}_index.csv")
        assert {row["file_path"] for row in index} == files(held)


def test_what_to_train_on_has_nothing_unseen_and_holds_out_queries(manifest: Manifest, tmp_path: Path) -> None:
    make_benchmark(manifest, tmp_path / "bench", PLAN)
    told = json.loads((tmp_path / "bench" / SUMMARY).read_text())
    assert told["train_with"] == f"--data {tmp_path / 'bench' / TRAINING} --held-out 0.4 --seed 3"
    assert "Davus alter" in told["withheld"]  # the fewest recordings
    for taxa in (TAXA, None):  # with a species table, and with the taxonomy that the file brings along
        again = read_manifest(tmp_path / "bench" / TRAINING, taxa)
        assert not {one.scientific_name for one in again.taxa} & set(told["withheld"]) and len(again.taxa) == 8
        for modality, samples in (("audio", again.recordings), ("image", again.photos)):
            training, held = hold_out(samples, 0.4, 3)
            index = {
                split: rows(tmp_path / "bench" / split / "benchmark" / f"{modality}_index.csv")
                for split in ("test", "unseen")
            }
            assert {row["file_path"] for row in index["test"]} == files(held)
            asked = {row["file_path"] for split in index.values() for row in split}
            assert not asked & files(training)
            assert {row["species"] for row in index["unseen"]} == set(told["withheld"])


def test_the_rows_are_those_of_the_paper(manifest: Manifest, tmp_path: Path) -> None:
    make_benchmark(manifest, tmp_path / "bench", PLAN)
    parents = {one.scientific_name: one for one in TAXA}
    seen = 0
    for split in read_benchmark(tmp_path / "bench"):
        for (level, query, target), path in split.tasks.items():
            asks, answers = split.indexes[query], split.indexes[target]
            species = dict(zip(answers.ids.tolist(), answers.names["species"]))
            for row in rows(path):
                own = asks.names["species"][asks.ids.tolist().index(int(row["query_payload_id"]))]
                taxa, groups = json.loads(row["candidates_taxa"]), json.loads(row["candidates_target_ids"])
                assert len(taxa) == len(groups) == 3 == len(set(taxa)) and all(groups)
                assert row["correct_taxon"] == parents[own].at(level) and row["correct_taxon"] in taxa
                assert "" not in taxa
                for name, ids in zip(taxa, groups):
                    assert {parents[species[i]].at(level) for i in ids} == {name}
                    if level != "species":
                        assert own not in {species[i] for i in ids}
                seen += 1
    assert seen > 250


def test_the_right_taxon_stands_anywhere_and_distractors_are_any(manifest: Manifest, tmp_path: Path) -> None:
    make_benchmark(manifest, tmp_path / "bench", Plan(share=0.4, seed=3, candidates=5))
    path = tmp_path / "bench" / "test" / "benchmark" / "species" / task_name("audio", "text")
    asked = [(row["correct_taxon"], json.loads(row["candidates_taxa"])) for row in rows(path)]
    assert {taxa.index(right) for right, taxa in asked} == set(range(5))
    assert {name for _, taxa in asked for name in taxa} == {one.scientific_name for one in TAXA}


def test_the_same_seed_makes_the_same_files_and_another_does_not(manifest: Manifest, tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        make_benchmark(manifest, tmp_path / name, Plan(share=0.4, seed=seed, candidates=3))
    paths = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.csv")]
    one, same, other = (
        {path: (tmp_path / name / path).read_bytes() for path in paths} for name in ("one", "same", "other")
    )
    assert len(paths) == 42 and one == same and one != other


def test_too_few_candidates_are_an_error_until_fewer_are_asked_for(manifest: Manifest, tmp_path: Path) -> None:
    scenarios = make_benchmark(manifest, tmp_path / "bench", Plan(share=0.4, seed=3))
    assert all(scenario.why for scenario in scenarios)
    assert "12 candidate taxa, 100 are needed" in {scenario.why for scenario in scenarios}
    fewest = min(scenario.taxa for scenario in scenarios if scenario.taxa)
    again = make_benchmark(manifest, tmp_path / "fewer", Plan(share=0.4, seed=3, candidates=fewest))
    assert [not scenario.why for scenario in again] == [scenario.taxa > 0 for scenario in scenarios]
    for split in read_benchmark(tmp_path / "bench"):
        states = {score.state for score in evaluate(split, bench.features(), (PUBLISHED,))}
        assert states == {"empty"}


def test_a_source_that_an_unseen_species_is_in_leaves_training(tmp_path: Path) -> None:
    """Two species in one recording: it may train neither when one of them is withheld."""
    both = [*lines(), ("audio", "both.wav", "Davus alter", "sounds", "both")]
    both.append(("audio", "both2.wav", "Avus primus", "sounds", "both"))
    manifest = read_manifest(bench.write(tmp_path / "manifest.csv", COLUMNS, both), TAXA)
    make_benchmark(manifest, tmp_path / "bench", Plan(share=0.4, seed=3, unseen=1, candidates=3))
    assert json.loads((tmp_path / "bench" / SUMMARY).read_text())["withheld"] == ["Davus alter"]
    assert "both" not in (tmp_path / "bench" / TRAINING).read_text()


def test_what_is_left_to_train_on_is_split_as_the_whole_was(manifest: Manifest, tmp_path: Path) -> None:
    """A photo site with a fifth of all photos has more of those that are left, and would count as a collection."""
    withheld = {manifest.taxa[row].scientific_name for row in rare(manifest, 4)}
    kept = [name for name, *_ in bench.SPECIES if name not in withheld]
    site = [("image", f"site{n}.jpg", kept[n % len(kept)], "photos", "Photo Site") for n in range(12)]
    whole = read_manifest(bench.write(tmp_path / "manifest.csv", COLUMNS, [*lines(), *site]), TAXA)
    assert not whole.notes
    for seed in range(6):
        out = tmp_path / f"bench{seed}"
        make_benchmark(whole, out, Plan(share=0.4, seed=seed, unseen=4, candidates=3))
        again = read_manifest(out / TRAINING, TAXA)
        assert "'photos Photo Site' has more than 20% of the photos (12)" in again.notes[0]
        training, held = hold_out(again.photos, 0.4, seed)
        asked = {row["file_path"] for row in rows(out / "test" / "benchmark" / "image_index.csv")}
        assert asked == files(held) and not asked & files(training)


def test_a_file_that_is_listed_twice_asks_once(tmp_path: Path) -> None:
    twice = [*lines(), *lines()]
    manifest = read_manifest(bench.write(tmp_path / "manifest.csv", COLUMNS, twice), TAXA)
    make_benchmark(manifest, tmp_path / "bench", Plan(share=0.4, seed=3, candidates=3))
    asked = [row["file_path"] for row in rows(tmp_path / "bench" / "test" / "benchmark" / "audio_index.csv")]
    assert len(asked) == len(set(asked)) > 10


def test_species_that_the_manifest_leaves_out_of_training_are_unseen(tmp_path: Path) -> None:
    """With a column `split`, what it holds out asks; a species of which it trains nothing is unseen."""

    def side(name: str, path: str) -> str:
        return "unseen" if name.startswith("Ranus") else "test" if path[-5] == "0" else "train"

    marked = [(*line, side(line[2], line[1])) for line in lines()]
    manifest = read_manifest(bench.write(tmp_path / "manifest.csv", (*COLUMNS, "split"), marked), TAXA)
    make_benchmark(manifest, tmp_path / "bench", Plan(candidates=2))
    seen, unseen = (rows(tmp_path / "bench" / name / "benchmark" / "audio_index.csv") for name in ("test", "unseen"))
    assert {row["genus"] for row in unseen} == {"Ranus"} and len(unseen) == 10
    assert len(seen) == 10 and all(row["file_path"].endswith("0.wav") for row in seen)


def test_samples_of_a_candidate_and_queries_of_a_scenario_are_limited(manifest: Manifest, tmp_path: Path) -> None:
    make_benchmark(manifest, tmp_path / "bench", Plan(share=0.4, seed=3, unseen=4, candidates=3, most=2, queries=5))
    for split in read_benchmark(tmp_path / "bench"):
        for path in split.tasks.values():
            asked = rows(path)
            assert len(asked) <= 5
            assert all(len(ids) <= 2 for row in asked for ids in json.loads(row["candidates_target_ids"]))


def test_pieces_of_shards_keep_their_place(tmp_path: Path) -> None:
    cut = [(*line, "", "") if line[0] == "audio" else (*line, str(512 * n), "100") for n, line in enumerate(lines())]
    path = bench.write(tmp_path / "manifest.csv", (*COLUMNS, "offset", "size"), cut)
    manifest = read_manifest(path, TAXA)
    make_benchmark(manifest, tmp_path / "bench", PLAN)
    for split in read_benchmark(tmp_path / "bench"):
        found, _ = media(split, "image")
        assert found and all(isinstance(one, Sample) and one.size == 100 and one.offset % 512 == 0 for one in found)
        assert {(one.path, one.offset) for one in found if isinstance(one, Sample)} <= {
            (one.path.resolve(), one.offset) for one in manifest.photos
        }
        assert all(isinstance(one, Path) for one in media(split, "audio")[0])
    again = read_manifest(tmp_path / "bench" / TRAINING, TAXA)
    assert {(one.offset, one.size) for one in again.photos} <= {(one.offset, one.size) for one in manifest.photos}


def test_numbers_that_make_no_sense_are_refused_and_nothing_is_written(manifest: Manifest, tmp_path: Path) -> None:
    for plan, says in (
        (Plan(candidates=1), "--candidates 1"),
        (Plan(unseen=-1), "--unseen -1"),
        (Plan(most=0), "--most 0"),
        (Plan(queries=0), "--queries 0"),
    ):
        with pytest.raises(ConfigError, match=says):
            make_benchmark(manifest, tmp_path / "bench", plan)
    with pytest.raises(DataError, match="12 species have both recordings and photos, 13 cannot be withheld"):
        make_benchmark(manifest, tmp_path / "bench", Plan(unseen=13))
    with pytest.raises(DataError, match="--held-out 0.9"):
        make_benchmark(manifest, tmp_path / "bench", Plan(share=0.9))
    assert not (tmp_path / "bench").exists()


def test_what_was_made_can_be_scored(tiny: Tiny, tmp_path: Path) -> None:
    manifest = read_manifest(tiny.manifest, read_taxa(tiny.taxa))
    make_benchmark(manifest, tmp_path, Plan(candidates=2))
    (seen,) = [split for split in read_benchmark(tmp_path) if split.name == "seen"]
    index = seen.indexes["audio"]
    assert all(Path(file).is_file() for file in index.files) and index.names["family"][0]
    rng = np.random.default_rng(0)
    parts = {name: bench.Vectors(i.ids, rng.normal(size=(len(i), 4)).astype("f4")) for name, i in seen.indexes.items()}
    scores = list(evaluate(seen, bench.Features("random", parts), (PUBLISHED,)))
    assert {(s.query, s.target) for s in scores if s.level == "species" and s.state == SCORED} == set(DIRECTIONS)


def test_the_starter_data_fills_what_it_can(shared: Path, tmp_path: Path) -> None:
    from gallery import starter_taxa

    scenarios = make_benchmark(read_manifest(default_manifest(), starter_taxa()), tmp_path)
    filled = {(s.split, s.level, s.query, s.target) for s in scenarios if not s.why}
    assert filled >= {("seen", "species", "audio", "text"), ("seen", "species", "image", "text")}
    assert all(s.why for s in scenarios if s.split == "unseen")
