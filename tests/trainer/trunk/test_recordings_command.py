"""`python -m trainer recordings`: how recordings count in a pack made of a classifier, fitted on other sources."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeapp.pack.format import Pack
from export.birdnet.towers import Towers
from gallery import DecisionParameters
from tests.conftest import Once
from tests.trainer.tiny import call
from tests.trainer.trunk import classes
from trainer.__main__ import main
from trainer.data.manifest import read_manifest
from trainer.trunk.fusion import fit_fusion, measure, nested, read, starting
from trainer.trunk.held_out import evidence, odds, queries, queries_of_few
from trainer.trunk.space import Whitening
from trainer.trunk.study import study

KNOWN = [taxon.scientific_name for taxon in classes.taxa()[::8]]
STRANGER = "Ignotus novus"  # has recordings and no class vector


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = classes.write_recordings(tmp_path_factory.mktemp("sound") / "recordings", KNOWN, each=4)
    rows = list(csv.reader(path.open(encoding="utf-8", newline="")))
    stranger = [[STRANGER if cell == KNOWN[0] else cell for cell in row] for row in rows if row[2] == KNOWN[0]]
    kept = [row for row in rows if row[2] != KNOWN[0]]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([*kept, *stranger])
    return path


@pytest.fixture(scope="module")
def towers(once: Once, linear_pack: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    noise = tmp_path_factory.mktemp("noise")
    (folder / "towers.json").write_text(json.dumps({"context": 48, "metrics": {"names": 1}}), encoding="utf-8")
    words = ["recordings", folder, "--pack", linear_pack, "--data", manifest, "--field", noise]
    ended = call(main, *map(str, words), "--keep", str(folder / "vectors.npz"))
    assert ended.code == 0, ended.err
    return folder


def test_towers_get_space_recordings_and_decision(towers: Path):
    document = json.loads((towers / "towers.json").read_text(encoding="utf-8"))
    decision = DecisionParameters.from_dict(document["decision"])
    assert (decision.slope, decision.offset, decision.rule) == (1.0, 0.0, "independent")
    assert decision.beside_class["audio"] > 0 and decision.class_entries > 0 and decision.class_scale > 0
    assert document["context"] == 48 and document["metrics"]["names"] == 1
    found = document["metrics"]["recordings"]
    assert found["single"]["top1"] > 0.6
    assert found["single, fitted without its fold"]["windows"] == found["single"]["windows"]
    rows = list(csv.DictReader((towers / "recordings.csv").open(encoding="utf-8", newline="")))
    with np.load(towers / "recordings.npz") as file:
        assert file["vectors"].shape == (len(rows), classes.DIM) and file["vectors"].dtype == np.float16
        assert file["scientific_name"].tolist() == [row["scientific_name"] for row in rows]
    assert {row["scientific_name"] for row in rows} == {*KNOWN[1:], STRANGER}
    assert all(row["source"].startswith("tests ") for row in rows)
    assert len(Towers.open(towers).recordings()) == len(rows)
    assert Whitening.load(towers).matrix.shape == (classes.DIM, classes.DIM)


def test_no_recording_is_named_with_its_own_source_in_the_gallery(linear_pack: Path, manifest: Path, towers: Path):
    studied = study(
        Pack.load(linear_pack), read_manifest(manifest), None, [], 0, 1, lambda lines: None, 20, towers / "vectors.npz"
    )
    found = list(queries(studied.embedded, studied.classes, "single"))
    assert len(found) == 4 * len(KNOWN)
    for query in found:
        assert query.index.lengths["audio"][query.taxa[0]] <= 3.0 + 1e-4  # the other three recordings
        assert query.others.shape[1] == len(classes.taxa()) - len(KNOWN) + 1
    few = list(queries_of_few(studied.embedded, studied.classes, 2))
    assert all(query.index.class_vectors is None for query in few)
    assert max(query.index.lengths["audio"].max() for query in few) <= 2.0 + 1e-4


def test_the_evidence_read_is_what_the_vocabulary_weighs(linear_pack: Path, manifest: Path, towers: Path):
    document = json.loads((towers / "towers.json").read_text(encoding="utf-8"))
    parameters = DecisionParameters.from_dict(document["decision"])
    studied = study(
        Pack.load(linear_pack), read_manifest(manifest), None, [], 0, 1, lambda lines: None, 20, towers / "vectors.npz"
    )
    found = list(queries(studied.embedded, studied.classes, "mixture"))[:5]
    said = evidence(found, parameters.class_entries)
    by_vocabulary = np.concatenate([odds(query, parameters) for query in found])
    np.testing.assert_allclose(said.fused(parameters), by_vocabulary, atol=0.05)
    again = measure(list(queries(studied.embedded, studied.classes, "single")), parameters, (1, 5))
    assert again == document["metrics"]["recordings"]["single"]


def test_parameters_of_a_fold_come_from_the_sources_of_others(linear_pack: Path, manifest: Path, towers: Path):
    studied = study(
        Pack.load(linear_pack), read_manifest(manifest), None, [], 0, 1, lambda lines: None, 20, towers / "vectors.npz"
    )
    found = {name: list(queries(studied.embedded, studied.classes, name)) for name in ("single", "mixture", "noise")}
    material = read(found)
    asked = found["single"][0]
    by_fold = nested(material, starting())
    [fold] = asked.folds
    others = {name: [query for query in of_one if fold not in query.folds] for name, of_one in found.items()}
    assert all(len(others[name]) < len(found[name]) for name in ("single", "mixture"))
    assert by_fold[fold] == fit_fusion(read(others), starting())


def test_vectors_of_another_manifest_are_refused(linear_pack: Path, manifest: Path, towers: Path, tmp_path: Path):
    other = tmp_path / "fewer"
    shutil.copytree(manifest.parent, other)
    lines = (other / "manifest.csv").read_text(encoding="utf-8").splitlines()
    (other / "manifest.csv").write_text("\n".join(lines[:-4]), encoding="utf-8")
    words = ["recordings", towers, "--pack", linear_pack, "--data", other / "manifest.csv"]
    ended = call(main, *map(str, words), "--keep", str(towers / "vectors.npz"))
    assert ended.code != 0 and "was made from another manifest" in ended.err


def test_a_space_without_taxa_knows_nothing_of_their_recordings(linear_pack: Path, manifest: Path, tmp_path: Path):
    listed = tmp_path / "withheld.txt"
    listed.write_text("\n".join(KNOWN[1:3]), encoding="utf-8")
    words = ["space", "--pack", linear_pack, "--towers", tmp_path, "--withhold", listed]
    ended = call(main, *map(str, words), "--data", str(manifest), str(tmp_path / "all"))
    assert ended.code == 0 and "those of 2 taxa are left out" in ended.err
    fewer = tmp_path / "fewer"
    shutil.copytree(manifest.parent, fewer)
    rows = list(csv.reader((fewer / "manifest.csv").open(encoding="utf-8", newline="")))
    with (fewer / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(row for row in rows if not set(KNOWN[1:3]) & set(row))
    listed.write_text(KNOWN[3], encoding="utf-8")
    ended = call(main, *map(str, words), "--data", str(fewer / "manifest.csv"), str(tmp_path / "three"))
    assert ended.code == 0, ended.err
    listed.write_text("\n".join(KNOWN[1:4]), encoding="utf-8")
    ended = call(main, *map(str, words), "--data", str(manifest), str(tmp_path / "again"))
    assert ended.code == 0, ended.err
    three, again = (Whitening.load(tmp_path / name) for name in ("three", "again"))
    np.testing.assert_array_equal(three.matrix, again.matrix)
    assert (three.matrix != Whitening.load(tmp_path / "all").matrix).any()


def test_a_space_needs_recordings_of_other_taxa(linear_pack: Path, manifest: Path, tmp_path: Path):
    listed = tmp_path / "withheld.txt"
    listed.write_text("\n".join([*KNOWN[1:], STRANGER]), encoding="utf-8")
    words = ["space", "--pack", linear_pack, "--towers", tmp_path, "--withhold", listed, "--data", manifest]
    ended = call(main, *map(str, words), str(tmp_path / "none"))
    assert ended.code != 0 and "leaves no recording" in ended.err and "withhold fewer taxa" in ended.err
    assert not (tmp_path / "none").exists()
