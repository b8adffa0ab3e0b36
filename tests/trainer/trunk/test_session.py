"""Stage 1 on class vectors and names: what is learned, what is withheld, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer.tiny import call
from tests.trainer.trunk import classes
from tests.trainer.trunk.classes import WITHHELD, words
from trainer import checkpoint, loop
from trainer.__main__ import main
from trainer.bank import TextBank
from trainer.trunk.evaluate import name_vectors

CPU = torch.device("cpu")


def last_metrics(run: Path) -> dict[str, float]:
    lines = (run / "stage1" / checkpoint.LOG).read_text(encoding="utf-8").splitlines()
    return json.loads(lines[-1])["held_out"]


def centred() -> np.ndarray:
    found = classes.rows() - classes.rows().mean(axis=0)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_withheld_names_find_their_class_vectors(withheld_run: Path) -> None:
    metrics = last_metrics(withheld_run)
    assert metrics["names"] == len(WITHHELD) == 19
    assert metrics["class_text_top1"] > 0.5  # chance is 0.05


def test_what_is_withheld_takes_no_part_in_training(withheld_run: Path) -> None:
    loaded = checkpoint.load(withheld_run / "stage1")
    assert not set(loaded.config.taxa) & set(WITHHELD)
    assert len(loaded.config.taxa) + len(WITHHELD) == len(classes.taxa())
    known = loaded.tokenizer.get_vocab()
    assert all(f"Ġ{name.split()[0].lower()}" in known for name in loaded.config.taxa[:4])


def test_sizes_of_space_and_windows_are_those_of_the_pack(withheld_run: Path) -> None:
    preset = checkpoint.load(withheld_run / "stage1").config.preset
    assert (preset.dim, preset.mel.rate_hz, preset.window_s) == (classes.DIM, classes.RATE_HZ, classes.WINDOW_S)
    assert (preset.hop_s, preset.pad) == (classes.WINDOW_S, "zero")


def test_names_that_have_no_class_vector_are_told(linear_pack: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text(f"note,scientific_name\n,{WITHHELD[0]}\n,Homo sapiens\n", encoding="utf-8")
    ended = call(main, *words(linear_pack), "--epochs", 1, "--withhold", names, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    assert "1 names without a class vector, the first Homo sapiens" in ended.err
    assert last_metrics(tmp_path / "run")["names"] == 1


def test_finished_stage_is_left_and_another_list_is_refused(
    withheld_run: Path, linear_pack: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(withheld_run, tmp_path / "run"))
    names = tmp_path / "withheld.txt"
    names.write_text("\n".join(WITHHELD), encoding="utf-8")
    again = call(main, *words(linear_pack), "--withhold", names, "--out", own)
    assert again.code == 0 and "is finished" in again.err
    other = call(main, *words(linear_pack), "--out", own)
    assert other.code == 3 and "another list of taxa" in other.err


def test_killed_run_ends_as_an_unbroken_one(linear_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [*words(linear_pack), "--epochs", 2, "--out"]
    assert call(main, *given, tmp_path / "whole").code == 0
    kept = loop.store

    def dies(*state: object) -> None:
        kept(*state)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "store", dies)
        assert call(main, *given, tmp_path / "killed").code == 130
    ended = call(main, *given, tmp_path / "killed")
    assert ended.code == 0, ended.err
    one, other = (checkpoint.load(tmp_path / out / "stage1").model.state_dict() for out in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_recordings_pull_the_name_of_their_species(linear_pack: Path, tmp_path: Path) -> None:
    name = classes.taxa()[0].scientific_name
    manifest = classes.write_recordings(tmp_path / "sounds", [name])
    found = []
    for more in ([], ["--data", manifest, "--held-out", "0"]):
        out = tmp_path / f"run{len(found)}"
        ended = call(
            main, *words(linear_pack), "--set", "ridge=false", "--epochs", 30, "--set", "lr=1e-2", *more, "--out", out
        )
        assert ended.code == 0, ended.err
        loaded = checkpoint.load(out / "stage1")
        bank = TextBank(classes.taxa()[:1], loaded.tokenizer)
        found.append(name_vectors(loaded.model, bank, CPU)[0])
    assert not np.allclose(found[0], found[1], atol=1e-4)
    assert found[1] @ centred()[0] > 0.5


@pytest.mark.parametrize(
    ("words_", "code", "says"),
    [
        (["--preset", "trunk", "--stage", "1"], 2, "needs a pack; name it with --pack"),
        (["--preset", "trunk", "--stage", "3", "--pack", "PACK"], 2, "stage '3' does not exist"),
        (
            ["--preset", "trunk", "--stage", "1", "--pack", "PACK", "--withhold", "absent"],
            2,
            "species list absent cannot be read",
        ),
        (["--preset", "trunk", "--stage", "1", "--pack", "PACK", "--workers", "2"], 2, "--workers has no effect"),
        (["--preset", "starter", "--stage", "1", "--pack", "PACK"], 2, "--pack and --withhold go with"),
        (["--preset", "trunk", "--stage", "1", "--pack", "starter"], 2, "has 0 class vectors"),
    ],
    ids=["no pack", "stage", "list", "option", "preset", "pack without classes"],
)
def test_what_cannot_be_done_is_said_in_a_line(
    linear_pack: Path, tmp_path: Path, words_: list[str], code: int, says: str
) -> None:
    given = [str(linear_pack) if word == "PACK" else word for word in words_]
    ended = call(main, *given, "--threads", "1", "--out", tmp_path / "run")
    assert ended.code == code, ended.err
    assert says in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()


def test_nothing_is_left_to_learn_when_all_is_withheld(linear_pack: Path, tmp_path: Path) -> None:
    names = tmp_path / "all.txt"
    names.write_text("\n".join(taxon.scientific_name for taxon in classes.taxa()), encoding="utf-8")
    ended = call(main, *words(linear_pack), "--withhold", names, "--out", tmp_path / "run")
    assert ended.code == 2 and "0 of 96 names are left" in ended.err
