"""SSW60: which files are asked and ranked, and what mAP and recall say of the ranking."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from PIL import Image

from gallery.errors import BiovitaError
from tests.trainer import tiny as tiny_set
from trainer.errors import ConfigError, DataError
from trainer.probes.ssw60 import (
    average_precision,
    evaluate_ssw60,
    random_precision,
    read_assets,
    retrieve,
    score_features,
)
from trainer.probes.ssw60_command import ssw60

TAXA = """\
label,species_code,scientific_name
0,cangoo,Branta canadensis
1,wooduc,Aix sponsa
2,mallar3,Anas platyrhynchos
"""
# asset_id, label, split
SOUNDS = (("11", 0, "test"), ("12", 0, "test"), ("13", 1, "test"), ("14", 2, "test"), ("15", 0, "train"))
PHOTOS = (("a1", 0, "test"), ("a2", 0, "test"), ("b1", 1, "test"), ("b2", 1, "test"), ("a3", 0, "train"))
INAT = (("901", 1, "test"), ("902", 0, "test"), ("903", 2, "test"), ("904", 2, "val"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An archive of a few files, in the published layout."""
    (tmp_path / "taxa.csv").write_text(TAXA, encoding="utf-8")
    for name, suffix, rows in (
        ("audio_ml", "wav", SOUNDS),
        ("images_nabirds", "jpg", PHOTOS),
        ("images_inat", "jpg", INAT),
    ):
        (tmp_path / name).mkdir()
        for asset, _, _ in rows:
            (tmp_path / name / f"{asset}.{suffix}").write_bytes(b"media")
        lines = [f"{asset},{label},{split},3" for asset, label, split in rows]
        (tmp_path / f"{name}.csv").write_text(
            "\n".join(["asset_id,label,split,channels", *lines]) + "\n", encoding="utf-8"
        )
    return tmp_path


class Told:
    """An encoder that is told the vector of each file; a file without one cannot be decoded."""

    def __init__(self, **angles: float) -> None:
        self.angles = {name.lstrip("_"): angle for name, angle in angles.items()}
        self.asked: list[str] = []
        self.most = 0

    def _vectors(self, paths: Sequence[Path]) -> np.ndarray:
        self.most = max(self.most, len(paths))
        self.asked += [path.name for path in paths]
        for path in paths:
            if path.stem not in self.angles:
                raise OSError(f"{path.name} is damaged")
        turned = [math.radians(self.angles[path.stem]) for path in paths]
        return np.array([[math.cos(a), math.sin(a)] for a in turned], np.float32)

    def audio(self, paths: Sequence[Path]) -> np.ndarray:
        return self._vectors(paths)

    def images(self, paths: Sequence[Path]) -> np.ndarray:
        return self._vectors(paths)


# Seen from 11 the photos stand in the order a1 b1 a2 b2, from 13 b2 a2 b1 a1.
FOUR = {"_11": 0, "_12": 0, "_13": 90, "_14": 0, "a1": 10, "b1": 30, "a2": 50, "b2": 70}


def slow_average_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    """Sum over thresholds, from the highest, of the recall gained times the precision there."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        kept = scores >= threshold
        recall, precision = relevant[kept].sum() / relevant.sum(), relevant[kept].mean()
        total, before = total + (recall - before) * precision, recall
    return total


@pytest.mark.parametrize("levels", [3, 10, 10**6])
def test_average_precision_is_the_area_under_precision_and_recall(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(50):
        scores = rng.integers(0, levels, 40) / levels
        relevant = rng.random(40) < rng.uniform(0.1, 0.9)
        relevant[0] = True
        assert average_precision(scores, relevant)[0] == pytest.approx(slow_average_precision(scores, relevant))


def test_average_precision_of_known_rankings() -> None:
    right = np.array([True, False, True, False])
    assert average_precision(np.array([4, 3, 2, 1.0]), right) == (pytest.approx((1 + 2 / 3) / 2), 0)
    assert average_precision(np.array([1, 2, 3, 4.0]), right) == (pytest.approx((1 / 2 + 2 / 4) / 2), 1)
    assert average_precision(np.array([4, 1, 3, 2.0]), right) == (1.0, 0)


def test_an_encoder_that_tells_nothing_apart_gains_nothing_from_ties() -> None:
    same = np.ones(4)
    assert average_precision(same, np.array([True, False, False, False])) == (0.25, 3)


def test_every_test_recording_ranks_the_test_photos_of_the_image_set(root: Path) -> None:
    encoder = Told(**FOUR)
    result = evaluate_ssw60(root, encoder, images="nabirds")
    assert sorted(encoder.asked) == ["11.wav", "12.wav", "13.wav", "14.wav", "a1.jpg", "a2.jpg", "b1.jpg", "b2.jpg"]
    assert (result.images, result.split, result.queries, result.gallery) == ("nabirds", "test", 3, 4)
    goose, duck = (1 + 2 / 3) / 2, (1 + 2 / 3) / 2
    assert result.map == pytest.approx((2 * goose + duck) / 3)
    assert result.recall == {1: 1.0, 5: 1.0, 10: 1.0}
    assert result.of_species == {"Branta canadensis": pytest.approx(goose), "Aix sponsa": pytest.approx(duck)}


def test_recall_counts_recordings_with_a_right_photo_among_the_first(root: Path) -> None:
    result = evaluate_ssw60(root, Told(**{**FOUR, "_11": 30, "_12": 70}), images="nabirds")
    assert result.recall == {1: pytest.approx(1 / 3), 5: 1.0, 10: 1.0}


def test_a_recording_whose_species_has_no_photo_is_left_out_by_name(root: Path) -> None:
    result = evaluate_ssw60(root, Told(**FOUR), images="nabirds")
    assert [Path(name).name for name in result.without_photo] == ["14.wav"]


def test_a_file_that_the_archive_lists_again_counts_once_and_is_named(root: Path) -> None:
    with (root / "images_nabirds.csv").open("a", encoding="utf-8") as file:
        file.write("a1,0,test,3\na1,2,test,3\n")  # the second shows another species too
    result = evaluate_ssw60(root, Told(**FOUR), images="nabirds")
    assert (result.gallery, result.without_photo) == (5, ())
    assert result.repeated == (f"{root / 'images_nabirds.csv'} line 7: a1 is listed in line 2",)


def test_the_other_image_set_is_another_gallery(root: Path) -> None:
    result = evaluate_ssw60(root, Told(**FOUR, _901=80, _902=20, _903=5), images="inat")
    assert (result.queries, result.gallery, result.without_photo) == (4, 3, ())
    assert result.of_species["Anas platyrhynchos"] == 1.0 and result.of_species["Branta canadensis"] == 0.5


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_damaged_file_costs_itself_alone_and_is_named(root: Path, batch: int) -> None:
    encoder = Told(**{name: angle for name, angle in FOUR.items() if name not in ("_12", "b1")})
    result = evaluate_ssw60(root, encoder, images="nabirds", batch=batch)
    assert (result.queries, result.gallery) == (2, 3)
    (sound, photo) = result.undecodable
    assert "12.wav" in sound and "b1.jpg" in photo and "damaged" in sound
    assert encoder.most <= batch


def test_a_vector_without_direction_is_a_file_that_could_not_be_encoded(root: Path) -> None:
    class Silent(Told):
        def audio(self, paths: Sequence[Path]) -> np.ndarray:
            return super().audio(paths) * np.array([[path.stem != "12"] for path in paths])

    result = evaluate_ssw60(root, Silent(**FOUR), images="nabirds")
    assert result.queries == 2
    assert "12.wav" in result.undecodable[0]


def test_a_model_without_pictures_is_told_from_damaged_files(root: Path) -> None:
    class Deaf(Told):
        def images(self, paths: Sequence[Path]) -> None:  # type: ignore[override]
            return None

    with pytest.raises(DataError, match="the model cannot encode images_nabirds"):
        evaluate_ssw60(root, Deaf(**FOUR), images="nabirds")


def test_files_that_are_not_there_are_counted_and_named(root: Path) -> None:
    (root / "audio_ml" / "11.wav").unlink()
    (root / "images_nabirds" / "b2.jpg").unlink()
    result = evaluate_ssw60(root, Told(**FOUR), images="nabirds")
    assert [Path(name).name for name in result.missing] == ["11.wav", "b2.jpg"]
    assert (result.queries, result.gallery) == (2, 3)


def test_progress_is_told_of_every_file(root: Path) -> None:
    files: list[int] = []
    evaluate_ssw60(root, Told(**FOUR), images="nabirds", batch=3, done=files.append)
    assert sum(files) == 8


def save(path: Path, names: dict[str, Sequence[str]], angles: dict[str, float], kind: type = str) -> Path:
    """Vectors of assets, as any other program may write them: not of unit length."""
    arrays: dict[str, np.ndarray] = {}
    for modality, assets in names.items():
        turned = [math.radians(angles[asset]) for asset in assets]
        arrays[modality] = 3 * np.array([[math.cos(a), math.sin(a)] for a in turned])
        arrays[f"{modality}_ids"] = np.array([kind(asset) for asset in assets])
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


ANGLES = {name.lstrip("_"): float(angle) for name, angle in FOUR.items()} | {"901": 80.0, "902": 20.0, "903": 5.0}


def test_vectors_from_a_file_score_as_those_of_an_encoder(root: Path, tmp_path: Path) -> None:
    sounds = ["14", "13", "12", "11"]
    path = save(tmp_path / "f.npz", {"audio": sounds, "image": ["b2", "a2", "b1", "a1"]}, ANGLES)
    from_file, from_encoder = score_features(root, path, "nabirds"), evaluate_ssw60(root, Told(**FOUR), "nabirds")
    assert from_file == from_encoder
    numbers = save(tmp_path / "n.npz", {"audio": sounds, "image": ["901", "902", "903"]}, ANGLES, int)
    assert score_features(root, numbers, "inat") == evaluate_ssw60(root, Told(**FOUR, _901=80, _902=20, _903=5), "inat")


def test_assets_without_features_are_missing_and_other_splits_unused(root: Path, tmp_path: Path) -> None:
    angles = {**ANGLES, "15": 0.0, "a3": 0.0}
    path = save(tmp_path / "f.npz", {"audio": ["11", "13", "15"], "image": ["a1", "b1", "b2", "a3"]}, angles)
    result = score_features(root, path, "nabirds")
    assert (result.queries, result.gallery) == (2, 3)
    assert result.missing == ("audio_ml 12", "audio_ml 14", "images_nabirds a2")


def test_a_few_queries_at_a_time_give_what_all_at_once_give() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = (rng.standard_normal((n, 8)).astype(np.float32) for n in (37, 101))
    labels, of_gallery = rng.integers(0, 5, 37), rng.integers(0, 5, 101)
    whole = retrieve(queries, labels, gallery, of_gallery)
    for cells in (1, 250, 101 * 36):
        parts = retrieve(queries, labels, gallery, of_gallery, cells)
        np.testing.assert_allclose(parts[0], whole[0], atol=1e-6)
        assert parts[1].tolist() == whole[1].tolist()


def test_never_more_cosines_in_memory_than_asked_for() -> None:
    most = 0

    class Counted(np.ndarray):
        def __matmul__(self, other: np.ndarray) -> np.ndarray:
            nonlocal most
            made = np.asarray(self) @ np.asarray(other)
            most = max(most, made.size)
            return made

    queries = np.eye(64, dtype=np.float32).view(Counted)
    retrieve(queries, np.arange(64), np.eye(64, dtype=np.float32), np.arange(64), cells=1000)
    assert 0 < most <= 1000


@pytest.mark.parametrize(("relevant", "total"), [(1, 1), (1, 7), (3, 12), (12, 12)])
def test_chance_is_the_mean_of_random_rankings(relevant: int, total: int) -> None:
    rng = np.random.default_rng(0)
    right = np.arange(total) < relevant
    drawn = [average_precision(rng.permutation(total), right)[0] for _ in range(4000)]
    assert random_precision(relevant, total) == pytest.approx(np.mean(drawn), abs=0.015)


def test_the_split_is_read_from_the_archive(root: Path) -> None:
    assert read_assets(root, "images_inat", "val").ids == ("904",)
    listed = read_assets(root, "audio_ml", "train")
    assert (listed.paths, listed.labels.tolist()) == ((root / "audio_ml" / "15.wav",), [0])


def replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda root: (root / "audio_ml.csv").unlink(),
            "audio_ml.csv is missing; name the folder unpacked from ssw60.tar.gz",
        ),
        (lambda root: (root / "taxa.csv").unlink(), "taxa.csv"),
        (
            lambda root: replace(root / "audio_ml.csv", "test", "held"),
            "no row of split 'test'; its splits are held, train",
        ),
        (lambda root: replace(root / "audio_ml.csv", "asset_id", "asset"), "column asset_id is missing"),
        (lambda root: replace(root / "audio_ml.csv", "13,1,", "13,duck,"), "line 4: label 'duck' is not a number"),
        (lambda root: replace(root / "taxa.csv", "1,wooduc", "7,wooduc"), "label 1 is not in taxa.csv"),
        (lambda root: [path.unlink() for path in (root / "audio_ml").iterdir()], "no file of audio_ml, split test"),
        (lambda root: replace(root / "images_nabirds.csv", ",0,test", ",2,test"), None),
    ],
)
def test_an_archive_that_cannot_be_used_says_why(root: Path, spoil, says: str | None) -> None:
    spoil(root)
    if says is None:
        assert evaluate_ssw60(root, Told(**FOUR), images="nabirds").queries == 2
        return
    with pytest.raises(DataError) as error:
        evaluate_ssw60(root, Told(**FOUR), images="nabirds")
    assert says in str(error.value)


def test_when_nothing_can_be_decoded_the_first_reason_is_given(root: Path) -> None:
    with pytest.raises(DataError, match=r"no file of audio_ml, split test, can be used; .*11\.wav is damaged"):
        evaluate_ssw60(root, Told(), images="nabirds")


def test_an_image_set_that_ssw60_does_not_have_is_named(root: Path) -> None:
    with pytest.raises(ConfigError, match="image set 'cub' is unknown; SSW60 has inat and nabirds"):
        evaluate_ssw60(root, Told(**FOUR), images="cub")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"audio": np.eye(2)}, "array 'audio_ids' is missing"),
        ({"audio": np.eye(2), "audio_ids": [11, 12]}, "has no vector of images_nabirds, split test"),
        ({"audio": np.eye(3), "audio_ids": [11, 12]}, "'audio' is [3, 3] for 2 names"),
        ({"audio": np.zeros((1, 2)), "audio_ids": [11]}, "1 of 1 vectors are zero or not finite"),
        (
            {"audio": np.eye(2), "audio_ids": [11, 12], "image": np.eye(3)[:2], "image_ids": ["a1", "b1"]},
            "vectors of sound have 2 dimensions, of photos 3",
        ),
    ],
)
def test_features_that_cannot_be_used_say_why(root: Path, tmp_path: Path, arrays: dict, says: str) -> None:
    np.savez(tmp_path / "f.npz", **{name: np.asarray(value) for name, value in arrays.items()})
    with pytest.raises(BiovitaError) as error:
        score_features(root, tmp_path / "f.npz", "nabirds")
    assert says in str(error.value)


def test_a_file_that_is_no_feature_file_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "f.npz").write_bytes(b"not zip")
    for name in ("f.npz", "absent.npz"):
        with pytest.raises(DataError, match=name):
            score_features(root, tmp_path / name)


# --- the command


def call(*words: object) -> tiny_set.Ended:
    """Run the command as `python -m trainer` does."""
    app = typer.Typer(add_completion=False)
    app.command()(ssw60)

    def main() -> None:
        try:
            app()
        except BiovitaError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from None

    return tiny_set.call(main, *words)


def test_the_command_prints_map_and_recall_and_names_what_it_left_out(root: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "f.npz", {"audio": ["11", "13", "14"], "image": ["a1", "b1", "a2", "b2"]}, ANGLES)
    ended = call(root, "--features", path, "--images", "nabirds")
    assert ended.code == 1  # a recording of the split has no vector
    assert "83.33" in ended.out and "images_nabirds" in ended.out
    assert "missing: audio_ml 12" in ended.err and "no photo of its species" in ended.err
    whole = save(tmp_path / "g.npz", {"audio": ["11", "12", "13", "14"], "image": ["a1", "b1", "a2", "b2"]}, ANGLES)
    ended = call(root, "--features", whole, "--images", "nabirds", "--json")
    assert ended.code == 0
    told = json.loads(ended.out)
    assert told["map"] == pytest.approx(5 / 6) and told["recall"]["1"] == 1.0 and told["queries"] == 3


def test_a_trained_stage_is_asked(root: Path, run_folder: Path) -> None:
    for n, (asset, _, _) in enumerate(SOUNDS):
        soundfile.write(root / "audio_ml" / f"{asset}.wav", tiny_set.tone(500 * (n + 1)), 22_050)
    for n, (asset, _, _) in enumerate(PHOTOS):
        Image.new("RGB", (40, 30), (60 * n, 0, 200)).save(root / "images_nabirds" / f"{asset}.jpg")
    (root / "images_nabirds" / "b2.jpg").write_bytes(b"no picture")
    ended = call(root, "--model", run_folder / "stage2", "--images", "nabirds", "--json", "--threads", 1)
    assert ended.code == 1, ended.err
    told = json.loads(ended.out)
    assert (told["queries"], told["gallery"]) == (3, 3)
    assert 0 < told["map"] <= 1
    assert "not encoded" in ended.err and "b2.jpg" in ended.err


def test_one_source_of_vectors_is_needed(root: Path) -> None:
    for words in ((), ("--model", "clap", "--features", "f.npz")):
        ended = call(root, *words)
        assert ended.code == 2 and "either --model or --features is required" in ended.err
