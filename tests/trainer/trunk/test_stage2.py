"""Stage 2 on photos of one colour: what is learned, what stays, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from export.towers import write_towers
from tests.conftest import Once
from tests.trainer.tiny import IMAGE_SIZE, call
from tests.trainer.trunk import classes, photo_set
from tests.trainer.trunk.classes import words
from trainer import checkpoint, loop
from trainer.__main__ import main
from trainer.models.mobilenet import MobileNetImage, load_given
from trainer.models.photo import PhotoTower
from trainer.trunk.photo_network import LABELS, NETWORK

SHOWN = (*photo_set.KNOWN, *photo_set.LACKED)


@pytest.fixture(scope="session")
def photo_run(once: Once, linear_pack: Path) -> Path:
    """Folder of both stages, with `photos` and `network` beside it; not to be changed."""

    def train(folder: Path) -> None:
        photo_set.write_photos(folder / "photos")
        photo_set.write_network(folder / "network")
        ended = call(main, *words(linear_pack), "--epochs", 1, "--out", folder / "run")
        assert ended.code == 0, ended.err
        ended = call(main, *second(linear_pack, folder), "--out", folder / "run")
        assert ended.code == 0, ended.err

    return once("photo_run", train)


def second(pack: Path, folder: Path) -> list[str]:
    """What the command line needs for stage 2."""
    given = ["--preset", "trunk", "--stage", "2", "--pack", str(pack), "--threads", "1", "--held-out", "0"]
    data = ["--data", str(folder / "photos" / "manifest.csv"), "--pretrained", str(folder / "network")]
    return [*given, *data, "--epochs", "2"]


def vectors(run: Path) -> np.ndarray:
    """Vectors [species, dim] of a photo of each species that no training saw."""
    from torch.nn.functional import interpolate

    pixels = np.stack([photo_set.picture(species, 7) for species in SHOWN]).transpose(0, 3, 1, 2)
    views = interpolate(torch.from_numpy(pixels.astype(np.float32)), (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear")
    with torch.no_grad():
        return checkpoint.load(run / "stage2").model.image(views).numpy()


def centred() -> np.ndarray:
    found = classes.rows() - classes.rows().mean(axis=0)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_photos_lie_where_their_species_sound(photo_run: Path) -> None:
    similarity = vectors(photo_run / "run") @ centred().T  # all 96 species are candidates
    position = [(row > row[species]).sum() for row, species in zip(similarity, SHOWN)]
    assert np.mean([place < 5 for place in position[: len(photo_set.KNOWN)]]) >= 0.75  # chance is 0.05
    assert np.mean([place < 10 for place in position[len(photo_set.KNOWN) :]]) >= 0.6  # of a family never known


def test_towers_of_stage_1_stay_as_they_were(photo_run: Path) -> None:
    before, after = (checkpoint.load(photo_run / "run" / stage) for stage in ("stage1", "stage2"))
    assert isinstance(after.model.image, PhotoTower)
    for name, tensor in before.model.text.state_dict().items():
        assert torch.equal(tensor, after.model.text.state_dict()[name])
    assert after.config.data == before.config.data and after.config.taxa == before.config.taxa


def test_the_network_is_tuned_and_its_lower_blocks_are_not(photo_run: Path) -> None:
    given = MobileNetImage()
    load_given(given, photo_run / "network" / NETWORK)
    tower = checkpoint.load(photo_run / "run" / "stage2").model.image
    tuned = tower.get_submodule("trunk").state_dict()
    same = {name: torch.equal(tensor, tuned[name]) for name, tensor in given.state_dict().items()}
    assert same["layers.0.0.weight"] and not same[f"layers.{len(given.layers) - 1}.0.weight"]


def test_without_epochs_the_network_is_placed_as_it_is(photo_run: Path, linear_pack: Path, tmp_path: Path) -> None:
    shutil.copytree(photo_run / "run" / "stage1", tmp_path / "stage1")
    given = second(linear_pack, photo_run)[:-2]
    ended = call(main, *given, "--out", tmp_path)  # the preset has none
    assert ended.code == 0, ended.err
    network = MobileNetImage()
    load_given(network, photo_run / "network" / NETWORK)
    placed = checkpoint.load(tmp_path / "stage2").model.image.get_submodule("trunk").state_dict()
    assert all(torch.equal(tensor, placed[name]) for name, tensor in network.state_dict().items())
    similarity = vectors(tmp_path) @ centred().T
    position = [(row > row[species]).sum() for row, species in zip(similarity, photo_set.KNOWN)]
    assert np.mean([place < 5 for place in position]) >= 0.75  # chance is 0.05
    lines = (tmp_path / "stage2" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0]
    assert "is finished" in call(main, *given, "--out", tmp_path).err


@pytest.mark.slow  # the loop is that of `tests/trainer/test_loop.py`
def test_killed_run_ends_as_an_unbroken_one(
    photo_run: Path, linear_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photo_run / "run" / "stage1", tmp_path / "stage1")
    given = [*second(linear_pack, photo_run), "--out", tmp_path]
    kept = loop.store

    def dies(*state: object) -> None:
        kept(*state)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "store", dies)
        assert call(main, *given).code == 130
    assert call(main, *given).code == 0
    whole, killed = (checkpoint.load(folder / "stage2") for folder in (photo_run / "run", tmp_path))
    for name, tensor in whole.model.state_dict().items():
        assert torch.allclose(tensor, killed.model.state_dict()[name], atol=1e-6), name


def test_towers_are_written_with_the_size_of_pictures(photo_run: Path, tmp_path: Path) -> None:
    parities = write_towers(photo_run / "run" / "stage2", tmp_path)
    assert set(parities) == {"text.onnx", "image.onnx"} and parities["image.onnx"].least > 0.99
    document = json.loads((tmp_path / "towers.json").read_text(encoding="utf-8"))
    assert document["size"] == IMAGE_SIZE and document["context"] == 48
    assert (tmp_path / "image.onnx").stat().st_size < 8e6


def no_stage_1(folder: Path) -> None:
    shutil.rmtree(folder / "run" / "stage1")


def no_labels(folder: Path) -> None:
    (folder / "network" / LABELS).unlink()


def fewer_labels(folder: Path) -> None:
    path = folder / "network" / LABELS
    path.write_text("\n".join(path.read_text(encoding="utf-8").splitlines()[1:]), encoding="utf-8")


def strange_labels(folder: Path) -> None:
    path = folder / "network" / LABELS
    count = len(path.read_text(encoding="utf-8").splitlines())
    path.write_text("\n".join(f"Nullus n{number}" for number in range(count)), encoding="utf-8")


def no_network(folder: Path) -> None:
    (folder / "network" / NETWORK).unlink()


def damaged_network(folder: Path) -> None:
    (folder / "network" / NETWORK).write_bytes(b"no graph")


def no_photos(folder: Path) -> None:
    path = folder / "photos" / "manifest.csv"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("image")]
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("broken", "code", "says"),
    [
        (no_stage_1, 3, "train this stage first"),
        (no_labels, 3, f"{LABELS}: cannot be read"),
        (fewer_labels, 3, "has no last layer with the 4 classes"),
        (strange_labels, 3, "has no taxon with a class vector"),
        (no_network, 3, f"{NETWORK}: no such file"),
        (damaged_network, 3, f"{NETWORK}: not an ONNX model"),
        (no_photos, 2, "has no photos of taxa with a class vector"),
    ],
    ids=["no stage 1", "no labels", "fewer labels", "strange labels", "no network", "damaged network", "no photos"],
)
def test_what_stage_2_lacks_is_said_in_a_line(
    photo_run: Path,
    linear_pack: Path,
    tmp_path: Path,
    broken: object,
    code: int,
    says: str,
) -> None:
    own = Path(shutil.copytree(photo_run, tmp_path / "own", ignore=shutil.ignore_patterns("stage2")))
    broken(own)  # type: ignore[operator]
    ended = call(main, *second(linear_pack, own), "--out", own / "run")
    assert ended.code == code, ended.err
    assert says in ended.err and "Traceback" not in ended.err
    assert not (own / "run" / "stage2").exists()
