"""A student of a pack's audio encoder, and the starter that begins with what it learned."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeapp.pack.format import Pack
from tests.conftest import Once
from tests.trainer.tiny import Ended, Tiny, call
from tests.trainer.trunk import classes
from trainer import checkpoint
from trainer.__main__ import main
from trainer.attribution import ATTRIBUTION
from trainer.calibrate import DECISION
from trainer.errors import CheckpointError
from trainer.models.student import StudentTower
from trainer.models.vita import AudioTower
from trainer.presets import AUGMENT_STUDENT, STARTER
from trainer.teacher import open_teacher, preset_of_student
from trainer.tuned import unheard

CPU = torch.device("cpu")


def learn(tiny: Tiny, out: Path, *more: object) -> Ended:
    words = ["--recipe", "student", "--epochs", 1, "--set", "batch=8", "--out", out, *tiny.words()]
    return call(main, *words, *more)


def base(tiny: Tiny, out: Path, *more: object) -> Ended:
    return call(main, "--stage", "base", "--epochs", 1, "--out", out, *tiny.words(), *more)


def attribution(folder: Path) -> list[list[str]]:
    with (folder / ATTRIBUTION).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture(scope="session")
def named(once: Once, linear_pack: Path) -> Path:
    """A checkpoint of names in the space of the pack, whose folder it names; not to be changed."""

    def made(folder: Path) -> None:
        ended = call(main, *classes.words(linear_pack), "--epochs", 1, "--out", folder)
        assert ended.code == 0, ended.err

    return once("named_in_pack", made) / "stage1"


@pytest.fixture(scope="session")
def learned(once: Once, tiny: Tiny, named: Path, linear_pack: Path) -> Path:
    """A student of the pack, and beside it what was said; not to be changed."""

    def made(folder: Path) -> None:
        ended = learn(tiny, folder, "--teacher", named, "--pack", linear_pack)
        assert ended.code == 0, ended.err
        (folder / "said.txt").write_text(ended.err, encoding="utf-8")

    return once("student_of_pack", made) / "student"


def test_a_teacher_in_the_space_of_a_pack_hears_as_the_pack_does(named: Path, linear_pack: Path) -> None:
    teacher = open_teacher(named, CPU, str(linear_pack))
    sound = np.random.default_rng(2).standard_normal((3, classes.listening().shape[0])).astype(np.float32)
    wanted = sound @ classes.listening()
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert teacher.rate_hz == classes.RATE_HZ
    assert np.allclose(teacher.embed(sound, classes.RATE_HZ).numpy(), wanted, atol=1e-5)


def test_its_student_has_its_window_and_names_its_weights(learned: Path, linear_pack: Path) -> None:
    own, pack = checkpoint.load(learned), Pack.load(linear_pack)
    assert isinstance(own.model.audio, StudentTower)
    assert (own.config.preset.window_s, own.config.preset.dim) == (classes.WINDOW_S, classes.DIM)
    assert ["weights", "", pack.name, pack.space, "", pack.licence, ""] in attribution(learned)
    assert {row[0] for row in attribution(learned)} == {"audio", "weights"}
    said = (learned.parent / "said.txt").read_text(encoding="utf-8")
    assert not (learned / DECISION).exists() and "there is no image tower" in said


def test_no_pack_is_made_of_a_student_without_image_tower(tiny: Tiny, learned: Path, tmp_path: Path) -> None:
    from export.cli import main as export

    words = ["--checkpoint", learned, "--uncalibrated", "--out", tmp_path / "pack", *tiny.data_words()]
    ended = call(export, *words)
    assert ended.code != 0 and "has no image tower; distil a teacher of stage 2" in ended.lines()[-1], ended.err
    assert not (tmp_path / "pack").exists()


def test_masks_hide_no_larger_share_of_a_shorter_window(named: Path, linear_pack: Path) -> None:
    masked = preset_of_student(STARTER, open_teacher(named, CPU, str(linear_pack))).stages["student"].augment
    assert masked is not None
    share = AUGMENT_STUDENT.time_mask_frames / STARTER.window_s
    assert masked.time_mask_frames == round(share * classes.WINDOW_S) == 5


def test_the_starter_begins_with_the_trunk_of_a_student(tiny: Tiny, learned: Path, tmp_path: Path) -> None:
    ended = base(tiny, tmp_path, "--audio", learned)
    assert ended.code == 0, ended.err
    student, started = checkpoint.load(learned), checkpoint.load(tmp_path / "base")
    audio = started.model.audio
    assert isinstance(audio, AudioTower) and isinstance(student.model.audio, StudentTower)
    blocks = student.model.audio.branch.blocks
    public = torch.load(tiny.pretrained / "efficientat_mn04_as.pt", weights_only=True)
    changed = 0
    for branch in (audio.general, audio.special):
        for name, tensor in branch.blocks.state_dict().items():
            assert torch.equal(tensor, blocks.state_dict()[name]), name
            changed += not torch.equal(tensor, public[f"features.{name}"])
    assert changed > 20
    assert started.config.preset.towers.trunk == student.space
    weights = [row for row in attribution(learned) if row[0] == "weights"]
    assert len(weights) == 1 and weights[0] in attribution(tmp_path / "base")


def test_a_run_on_another_trunk_is_not_gone_on_with(tiny: Tiny, learned: Path, own_run: Path) -> None:
    ended = call(main, "--stage", "1", "--out", own_run, *tiny.words(), "--audio", learned)
    assert ended.code == 3 and "was trained with another audio trunk" in ended.lines()[-1]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--audio", "absent"], 3, "absent: no such folder; name a finished student"),
        (["--audio", "UNFINISHED"], 3, "is unfinished"),
        (["--audio", "NAMED"], 3, "is no student"),
        (["--audio", "SMALL", "--held-out", "0.4"], 3, "another held-out share; train it with --held-out 0.4 --seed 1"),
        (["--audio", "SMALL", "--seed", "2"], 3, "another seed"),
        (["--bioclip", "x"], 2, "--bioclip has no effect with preset starter"),
        (["--pack", "x"], 2, "--pack and --withhold go with"),
    ],
)
def test_what_is_no_beginning_is_refused(
    words: list[str], code: int, says: str, tiny: Tiny, learned: Path, named: Path, tmp_path: Path
) -> None:
    unfinished = tmp_path / "unfinished"
    shutil.copytree(learned, unfinished)
    (unfinished / checkpoint.RESUME).touch()
    places = {"UNFINISHED": unfinished, "NAMED": named, "SMALL": learned}
    ended = base(tiny, tmp_path / "run", *(places.get(word, word) for word in words))
    assert ended.code == code and says in ended.lines()[-1], ended.err
    assert not (tmp_path / "run").exists()


def test_a_student_of_a_part_may_begin_what_trains_on_everything(learned: Path) -> None:
    unheard(learned, held_out=0.0, seed=1)
    with pytest.raises(CheckpointError, match="held-out share"):
        unheard(learned, held_out=0.1, seed=1)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--teacher", "NAMED"], 3, "pack"),
        (["--teacher", "NAMED", "--pack", "OTHER"], 3, "name the pack that it was trained in with --pack"),
        (["--teacher", "OWN", "--pack", "PACK"], 2, "has an audio tower of its own; leave out --pack"),
        (["--teacher", "OWN", "--audio", "x"], 2, "--audio has no effect with --recipe student"),
    ],
)
def test_a_teacher_and_its_pack_belong_together(
    words: list[str],
    code: int,
    says: str,
    tiny: Tiny,
    named: Path,
    run_folder: Path,
    linear_pack: Path,
    tmp_path: Path,
) -> None:
    other = Path(shutil.copytree(linear_pack, tmp_path / "other"))
    described = (other / "pack.json").read_text(encoding="utf-8")
    space = Pack.load(other).space
    (other / "pack.json").write_text(described.replace(space, "another"), encoding="utf-8")
    places = {"NAMED": named, "OWN": run_folder / "stage2", "PACK": linear_pack, "OTHER": other}
    ended = learn(tiny, tmp_path / "run", *(places.get(word, word) for word in words))
    assert ended.code == code and says in ended.lines()[-1], ended.err
