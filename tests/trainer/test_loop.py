"""The loop: a killed run goes on as if nothing had been, and every epoch is one line of the log."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.trainer import apart
from tests.trainer.tiny import EPOCHS, Tiny, call
from trainer import checkpoint, loop
from trainer.__main__ import main
from trainer.checkpoint import LOG, RESUME, WEIGHTS
from trainer.families.registry import build
from trainer.optimize import Average, learning_rate
from trainer.presets import DISTILL, FOLDER_OF, PRESETS, STUDENT, StageConfig

FOLDERS = {stage: name for stage, name in FOLDER_OF.items() if stage != STUDENT}  # which needs a teacher


class Killed(Exception):
    """What stands for a kill in this process."""


def words(tiny: Tiny, out: Path, stage: str, *more: object) -> list[str]:
    return ["--stage", stage, "--epochs", str(EPOCHS), "--out", str(out), *tiny.words(), *map(str, more)]


def started(run_folder: Path, out: Path, stage: str) -> Path:
    """A run in which the stages before `stage` are finished."""
    for before in list(FOLDERS)[: list(FOLDERS).index(stage)]:
        shutil.copytree(run_folder / FOLDERS[before], out / FOLDERS[before])
    return out


@pytest.fixture(scope="module")
def unbroken(tiny: Tiny, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder of each stage, trained without a break: those of the finished run, and what is no part of it."""
    out = started(run_folder, tmp_path_factory.mktemp("unbroken"), DISTILL)
    ended = call(main, *words(tiny, out, DISTILL))
    assert ended.code == 0, ended.err
    return {stage: (out if stage == DISTILL else run_folder) / name for stage, name in FOLDERS.items()}


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def same_run(folder: Path, unbroken: Path) -> bool:
    """Equal to the last bit, and logged alike but for the time it took."""
    own, theirs = load_file(str(folder / WEIGHTS)), load_file(str(unbroken / WEIGHTS))
    timeless = [[{k: v for k, v in line.items() if k != "seconds"} for line in log(f)] for f in (folder, unbroken)]
    return all(torch.equal(own[name], theirs[name]) for name in theirs) and timeless[0] == timeless[1]


def kill_at(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, call_number: int, before: bool) -> None:
    """Die before or after the n-th call of a function."""
    whole, count = getattr(where, name), 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if before and count == call_number:
            raise Killed
        result = whole(*args, **kwargs)
        if count == call_number:
            raise Killed
        return result

    monkeypatch.setattr(where, name, dying)


def killed(tiny: Tiny, out: Path, stage: str, monkeypatch: pytest.MonkeyPatch, *kill: Any) -> None:
    """Train until the n-th call of a function, see `kill_at`."""
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, *kill)
        call(main, *words(tiny, out, stage))
    assert not checkpoint.finished(out / FOLDERS[stage])


@pytest.mark.usefixtures("uncalibrated")
@pytest.mark.parametrize("stage", ["2", *(pytest.param(one, marks=pytest.mark.slow) for one in ("base", DISTILL))])
def test_a_run_killed_after_an_epoch_ends_like_an_unbroken_one(
    stage: str, tiny: Tiny, run_folder: Path, unbroken: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = started(run_folder, tmp_path, stage)
    killed(tiny, out, stage, monkeypatch, loop, "store", 1, False)
    ended = call(main, *words(tiny, out, stage))
    assert ended.code == 0, ended.err
    assert f"epoch 2/{EPOCHS}" in ended.err and f"epoch 1/{EPOCHS}" not in ended.err
    assert same_run(out / FOLDERS[stage], unbroken[stage])


def test_a_kill_at_any_moment_of_storing_an_epoch_loses_nothing(
    tiny: Tiny, run_folder: Path, unbroken: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run that dies at one moment after the other, and goes on each time with what it finds.

    A run that goes on first writes the weights of the epoch that it goes on from.
    """
    out = started(run_folder, tmp_path, "1")
    killed(tiny, out, "1", monkeypatch, checkpoint, "save_resume", 1, True)  # logged, not stored
    assert len(log(out / "stage1")) == 1 and not (out / "stage1" / RESUME).exists()
    killed(tiny, out, "1", monkeypatch, checkpoint, "save", 1, True)  # stored, weights of no epoch
    assert (out / "stage1" / RESUME).exists() and not (out / "stage1" / WEIGHTS).exists()
    killed(tiny, out, "1", monkeypatch, loop, "store", 1, False)  # between two epochs
    killed(tiny, out, "1", monkeypatch, checkpoint, "save", 2, True)  # all stored, weights of the epoch before
    assert len(log(out / "stage1")) == EPOCHS
    killed(tiny, out, "1", monkeypatch, checkpoint, "save", 2, False)  # all done, not said so
    ended = call(main, *words(tiny, out, "1"))
    assert ended.code == 0, ended.err
    assert "epoch 1/" not in ended.err and same_run(out / "stage1", unbroken["1"])


def test_a_process_killed_in_the_middle_finishes_with_the_same_command(
    tiny: Tiny, run_folder: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    out = started(run_folder, tmp_path, "1")
    with apart.apart(apart.train, words(tiny, out, "1"), tmp_path / "said") as process:
        apart.wait_for(out / "stage1" / WEIGHTS, process)
        process.kill()
        assert apart.ended(process) == -signal.SIGKILL
    assert (out / "stage1" / RESUME).exists() and len(log(out / "stage1")) < EPOCHS
    again = call(main, *words(tiny, out, "1"))
    assert again.code == 0, again.err
    assert same_run(out / "stage1", unbroken["1"])
    assert not (out / "stage1" / RESUME).exists()


def test_ctrl_c_says_that_the_same_command_goes_on(tiny: Tiny, run_folder: Path, tmp_path: Path) -> None:
    out = started(run_folder, tmp_path, "1")
    with apart.apart(apart.train, words(tiny, out, "1", "--epochs", 5000), tmp_path / "said") as process:
        apart.wait_for(out / "stage1" / WEIGHTS, process)
        assert process.pid
        os.kill(process.pid, signal.SIGINT)
        assert apart.ended(process) == 130
    said = (tmp_path / "said").read_text()
    assert "repeat the command to resume" in said.splitlines()[-1] and "Traceback" not in said


def test_every_epoch_is_one_line_of_the_log(unbroken: dict[str, Path]) -> None:
    for stage, folder in unbroken.items():
        lines = log(folder)
        if stage == DISTILL:  # which also says what it began with
            before = lines.pop(0)
            assert before["epoch"] == 0 and before["held_out"].keys() == lines[-1]["held_out"].keys()
        assert [line["epoch"] for line in lines] == [1, 2, 3]
        assert all(line["stage"] == stage and line["samples"] > 0 and 0 <= line["accuracy"] <= 1 for line in lines)
        assert "held_out" in lines[-1] and "held_out" not in lines[0]
    assert {"atc", "aic", "itc", "lambda"} <= log(unbroken["2"])[0].keys()


def test_lambda_of_stage_2_is_logged_growing(unbroken: dict[str, Path]) -> None:
    first, second, third = (line["lambda"] for line in log(unbroken["2"]))
    assert first < second < third == pytest.approx(0.1)


def test_a_stage_changes_its_own_towers_alone(tiny: Tiny, unbroken: dict[str, Path], tmp_path: Path) -> None:
    base, one, two, distilled = (load_file(str(unbroken[stage] / WEIGHTS)) for stage in FOLDERS)
    ended = call(main, *words(tiny, tmp_path, "base", "--epochs", 1))
    assert ended.code == 0, ended.err
    shorter = load_file(str(tmp_path / "base" / WEIGHTS))

    def changed(old: dict[str, torch.Tensor], new: dict[str, torch.Tensor]) -> set[str]:
        return {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}

    assert changed(base, one) == changed(base, distilled) == {"audio", "logit_scale"}
    assert changed(one, two) == {"audio", "text", "logit_scale"}
    assert changed(shorter, base) == {"text", "image", "base_logit_scale"}
    model = build(PRESETS["starter"].towers)
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen and all(torch.equal(shorter[name], new[name]) for name in frozen for new in (base, one, two))


@pytest.fixture(scope="module")
def broken(tiny: Tiny, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed after the first epoch of stage 1; not to be changed."""
    out = started(run_folder, tmp_path_factory.mktemp("broken"), "1")
    with pytest.MonkeyPatch.context() as patch:
        killed(tiny, out, "1", patch, loop, "store", 1, False)
    return out


def test_an_unfinished_stage_is_not_resumed_with_another_number_of_epochs(
    tiny: Tiny, broken: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(broken, tmp_path / "run"))
    ended = call(main, *words(tiny, out, "1", "--epochs", EPOCHS + 3))
    assert ended.code == 3 and f"started with epochs {EPOCHS}, not {EPOCHS + 3}" in ended.err
    assert (out / "stage1" / checkpoint.RESUME).exists()


def test_a_resume_state_of_another_model_is_refused(tiny: Tiny, broken: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(broken, tmp_path / "run"))
    checkpoint.save_resume(out / "stage1", {"epoch": 1, "model": {}, "optimizer": {}, "average": {}, "steps": 1})
    ended = call(main, *words(tiny, out, "1"))
    assert ended.code == 3 and RESUME in ended.lines()[-1] and "--restart" in ended.lines()[-1]


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    config = StageConfig(epochs=1, batch=1, lr=1.0, trunk_lr=1.0, warmup=0.1)
    rates = [learning_rate(config, p / 100) for p in range(101)]
    assert rates[0] == 0.0 and rates[100] == pytest.approx(0.0)
    assert max(rates) == rates[10] > 0.95
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[:11] == sorted(rates[:11])


def test_the_average_follows_the_weights_and_is_exchanged_with_them() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    average = Average(model, decay=0.9)
    model.weight.data.fill_(1.0)
    for _ in range(200):
        average.update()
    assert average.weights["weight"].item() == pytest.approx(1.0, abs=1e-3)
    model.weight.data.fill_(5.0)
    average.swap()
    assert model.weight.item() == pytest.approx(1.0, abs=1e-3) and average.weights["weight"].item() == 5.0


@pytest.mark.parametrize("most", [0.0, 1e-3])
def test_the_norm_of_the_gradient_is_limited_if_asked_for(
    most: float, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms = []

    class Watched(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            gradients = [one.grad for group in self.param_groups for one in group["params"] if one.grad is not None]
            norms.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    ended = call(main, *words(tiny, tmp_path, "base", "--epochs", 1, "--set", f"clip={most}"))
    assert ended.code == 0, ended.err
    assert norms and (max(norms) <= most * 1.001 if most else max(norms) > 1e-3)
