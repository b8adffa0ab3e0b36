"""The full-size preset from public weights to a trained checkpoint, on small weights in the published layout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gallery import read_taxa
from tests.trainer import apart, published
from tests.trainer.tiny import Ended, Tiny, call, short
from trainer import checkpoint
from trainer.__main__ import main
from trainer.bank import TextBank
from trainer.checkpoint import LOG, WEIGHTS
from trainer.data.manifest import PROJECT

SMALL = ["--preset", "biovita", "--device", "cpu", "--threads", "1", "--workers", "0", "--epochs", "2"]
SMALL += ["--set", "bf16=false"]  # whose rounding depends on the size of a batch
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tests.trainer.tiny")


@pytest.fixture(scope="module", autouse=True)
def short_windows() -> Iterator[None]:
    with short():
        yield


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Small CLAP and BioCLIP 2 folders; without dropout, which no two processes draw as one does."""
    folder = tmp_path_factory.mktemp("published")
    published.write_clap(folder / "clap")
    config = json.loads((folder / "clap" / "config.json").read_text())
    config["audio_config"]["hidden_dropout_prob"] = 0.0
    (folder / "clap" / "config.json").write_text(json.dumps(config))
    published.write_clip(folder / "bioclip")
    return ["--audio", str(folder / "clap"), "--bioclip", str(folder / "bioclip")]


def train(stage: str, tiny: Tiny, sources: list[str], out: Path, *more: object) -> Ended:
    words = ["--stage", stage, *SMALL, *tiny.data_words(), *sources, "--out", out, *more]
    ended = call(main, *words)
    assert ended.code == 0, ended.err
    return ended


@pytest.fixture(scope="module")
def stages(tiny: Tiny, sources: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of both stages; not to be changed."""
    out = tmp_path_factory.mktemp("biovita")
    train("1", tiny, sources, out, "--set", "batch=4")
    train("2", tiny, sources, out, "--set", "batch=4")
    return out


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], tower: str) -> bool:
    return any(not torch.equal(before[name], after[name]) for name in before if name.startswith(tower))


def test_both_stages_train_what_the_paper_trains(stages: Path) -> None:
    one, two = (load_file(str(stages / stage / WEIGHTS)) for stage in ("stage1", "stage2"))
    assert changed(one, two, "audio.") and changed(one, two, "text.")
    assert not changed(one, two, "image.")
    lines = log(stages / "stage2")
    assert len(lines) == 2 and {"atc", "aic", "itc", "lambda", "held_out"} <= set(lines[-1])
    assert 0.0 < lines[0]["lambda"] < lines[1]["lambda"] <= 0.1


def test_stage_1_starts_from_public_weights_and_keeps_other_towers(
    tiny: Tiny, sources: list[str], stages: Path
) -> None:
    from trainer.published import Sources, open_sources

    _, public = open_sources(Sources(sources[1], sources[3]))
    state, one = public.state_dict(), load_file(str(stages / "stage1" / WEIGHTS))
    for name, tensor in state.items():
        if name.startswith(("text.", "image.")):
            assert torch.equal(tensor, one[name]), name
    assert changed({name: t for name, t in state.items() if name.startswith("audio.clap")}, one, "audio.clap")


def test_a_run_killed_and_resumed_ends_with_the_same_weights(
    tiny: Tiny, sources: list[str], stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import loop

    whole = loop.store

    def dying(*args: Any) -> None:
        whole(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "store", dying)
        call_raw("1", tiny, sources, tmp_path)
    assert not checkpoint.finished(tmp_path / "stage1")
    train("1", tiny, sources, tmp_path, "--set", "batch=4")
    own, theirs = (load_file(str(run / "stage1" / WEIGHTS)) for run in (tmp_path, stages))
    assert all(torch.equal(own[name], theirs[name]) for name in theirs)


def call_raw(stage: str, tiny: Tiny, sources: list[str], out: Path) -> None:
    """The session itself: the command line would turn Ctrl-C into an exit code."""
    from rich.console import Console

    from trainer.presets import PRESETS, with_settings
    from trainer.session import Options, Session

    preset = with_settings(PRESETS["biovita"], stage, ["epochs=2", "bf16=false", "batch=4"])
    options = Options(
        preset=preset,
        out=out,
        data=(tiny.manifest,),
        taxa=tiny.taxa,
        held_out=0.2,
        device="cpu",
        audio=sources[1],
        bioclip=sources[3],
    )
    Session(options, Console(stderr=True)).train(stage)


@pytest.mark.parametrize("stage", [pytest.param("1", marks=pytest.mark.slow), "2"])  # whose loss has that of stage 1
def test_two_processes_train_as_one_with_the_joint_batch(
    stage: str, tiny: Tiny, sources: list[str], stages: Path, tmp_path: Path
) -> None:
    """Real processes over gloo: the same losses as one process, to rounding.

    Those of stage 1 are started as by hand, where each loads all, and those of stage 2 are copies of this one.
    """
    folder = {"1": "stage1", "2": "stage2"}[stage]
    out = tmp_path / "two"
    if stage == "2":
        (out / "stage1").mkdir(parents=True)
        for path in (stages / "stage1").iterdir():
            if path.is_file():
                (out / "stage1" / path.name).write_bytes(path.read_bytes())
    words = ["--stage", stage, *SMALL, *tiny.data_words(), *sources, "--out", str(out), "--set", "batch=2"]
    if stage == "1":
        command, environment = [sys.executable, *TORCHRUN, *words], {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    else:
        each = [(words, tmp_path / rank["RANK"], rank) for rank in apart.ranks(2)]
        codes = apart.together(apart.train, each)
        assert codes == [0, 0], [said.read_text()[-3000:] for _, said, _ in each if said.exists()]
    one, two = log(stages / folder), log(out / folder)
    assert len(one) == len(two)
    for alone, joint in zip(one, two):
        assert joint["samples"] == alone["samples"]
        assert joint["loss"] == pytest.approx(alone["loss"], rel=1e-4)
    assert sum(path.suffix == ".safetensors" for path in (out / folder).iterdir()) == 1


@pytest.mark.usefixtures("uncalibrated")
def test_what_the_released_code_does_beyond_the_paper_can_be_asked_for(
    tiny: Tiny, sources: list[str], stages: Path, tmp_path: Path
) -> None:
    out = tmp_path / "released"
    out.mkdir()
    (out / "stage1").symlink_to(stages / "stage1")
    extras = ("batch=4", "mix_epochs=1", "temperature=0.2", "gate=true", "positives=diagonal")
    train("2", tiny, sources, out, *(word for extra in extras for word in ("--set", extra)))
    first, second = log(out / "stage2")
    assert "lambda" not in first and "lambda" in second  # 0.8 ATC + 0.2 AIC, then the paper's loss
    assert first["loss"] == pytest.approx(0.8 * first["atc"] + 0.2 * first["aic"], rel=1e-3)
    before, after = (load_file(str(run / WEIGHTS)) for run in (stages / "stage1", out / "stage2"))
    assert torch.equal(before["logit_scale"], after["logit_scale"])


@pytest.mark.usefixtures("uncalibrated")
def test_all_that_the_released_code_does_otherwise_trains(
    tiny: Tiny, sources: list[str], stages: Path, tmp_path: Path
) -> None:
    out = tmp_path / "official"
    out.mkdir()
    (out / "stage1").symlink_to(stages / "stage1")
    extras = ("official=true", "mix_epochs=1", "batch=4", "most_per_taxon=4", "names=accepted", "unfreeze_step=2")
    train("2", tiny, sources, out, *(word for extra in extras for word in ("--set", extra)))
    first, second = log(out / "stage2")
    assert first["samples"] == second["samples"] == 3 * 4  # three species have photos
    assert "lambda" not in first and 0.0 < second["lambda"] < second["lambda_itc"] < 0.1
    before, after = (load_file(str(run / WEIGHTS)) for run in (stages / "stage1", out / "stage2"))
    assert changed(before, after, "text.tower.transformer") and changed(before, after, "audio.adapter")
    statistics = "audio.clap.audio_model.audio_encoder.batch_norm.running_mean"
    assert changed(before, after, statistics) and not changed(before, after, "image.")
    settings = json.loads((out / "stage2" / "config.json").read_text())["preset"]
    assert (settings["pad"], settings["start"], settings["resampler"]) == ("zero", "onset", "sinc")


@pytest.mark.usefixtures("uncalibrated")
def test_text_distillation_says_what_it_is_worth(tiny: Tiny, sources: list[str], tmp_path: Path) -> None:
    words = ["--recipe", "text-distillation", *SMALL, *tiny.data_words(), *sources, "--out", tmp_path]
    ended = call(main, *words, "--set", "batch=4")
    assert ended.code == 0, ended.err
    told = [line for line in ended.lines() if line.startswith(("before:", "after:"))]
    assert len(told) == 2 and all("audio_image_top1" in line for line in told)
    assert [line["epoch"] for line in log(tmp_path / "distill")] == [0, 1, 2]
    assert "aic" not in log(tmp_path / "distill")[-1]


def test_what_cannot_be_decoded_is_logged_and_the_rest_is_trained_on(
    tiny: Tiny, sources: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(tiny.manifest.parent, folder)
    broken = sorted(folder.glob("Parus_major_*.wav"))[0]
    broken.write_bytes(b"RIFF of nothing")
    own = replace(tiny, manifest=folder / tiny.manifest.name)
    words = ["--stage", "1", *SMALL, *own.data_words(), *sources, "--out", tmp_path / "run", "--held-out", "0"]
    ended = call(main, *words, "--set", "batch=4")
    assert checkpoint.finished(tmp_path / "run" / "stage1"), ended.err
    first, second = log(tmp_path / "run" / "stage1")
    (line,) = first["skipped"]
    assert str(broken) in line and "; " in line and "skipped" not in second
    assert line in " ".join(ended.err.split()) or broken.name in ended.err
    assert first["samples"] == second["samples"]  # another recording took its place


def test_figures_go_to_tensorboard_too(stages: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(stages / "stage2" / "tensorboard")).Reload()
    lines = log(stages / "stage2")
    assert {"2/loss", "2/atc", "2/lambda", "2/audio_text_top1"} <= set(board.Tags()["scalars"])
    told = [event.value for event in board.Scalars("2/loss")]
    assert told == pytest.approx([line["loss"] for line in lines])


def test_names_are_embedded_once_and_found_again(tiny: Tiny, sources: list[str], stages: Path, tmp_path: Path) -> None:
    kept = list(stages.glob("prompts-*.npy"))
    assert len(kept) == 1
    loaded = checkpoint.load(stages / "stage1")
    taxa = checkpoint.taxa_in_order(loaded.config, read_taxa(tiny.taxa))
    bank = TextBank(taxa, loaded.tokenizer)
    loaded.model.text.forward = None  # not to be called: the vectors lie there
    vectors = bank.embed_cached(loaded.model.text, stages, torch.device("cpu"))
    assert vectors.shape == (5, len(taxa), loaded.config.preset.dim)


def test_published_weights_become_a_checkpoint(tiny: Tiny, tmp_path: Path) -> None:
    source = tmp_path / "BioVITA"
    published.write_biovita(source)
    out = tmp_path / "own"
    ended = call(main, "import", source, "--out", out, "--taxa", tiny.taxa)
    assert ended.code == 0, ended.err
    loaded = checkpoint.load(out)
    assert loaded.config.preset.name == "biovita" and "Parus major" in loaded.config.taxa
    sound = torch.randn(1, loaded.config.preset.window_samples) * 0.1
    from trainer.published import open_published

    _, theirs = open_published(str(source))
    with torch.no_grad():
        assert torch.allclose(loaded.model.audio(sound), theirs.eval().audio(sound), atol=1e-6)


def test_a_loss_that_is_not_finite_ends_the_run_with_one_line(
    tiny: Tiny, sources: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.stages import AudioText

    def broken(self: Any, *args: Any) -> Any:
        loss, figures = torch.tensor(float("nan"), requires_grad=True), {"accuracy": 0.0}
        return loss, figures

    monkeypatch.setattr(AudioText, "loss", broken)
    words = ["--stage", "1", *SMALL, *tiny.data_words(), *sources, "--out", tmp_path]
    ended = call(main, *words)
    assert ended.code == 1 and "epoch 1 step 1: the loss is nan" in ended.lines()[-1]
    assert not (tmp_path / "stage1" / WEIGHTS).exists()


def test_the_preset_is_part_of_what_stages_share(run_folder: Path, tiny: Tiny, sources: list[str]) -> None:
    words = ["--stage", "2", *SMALL, *tiny.data_words(), *sources, "--out", run_folder]
    ended = call(main, *words)
    assert ended.code == 3 and "another preset" in ended.lines()[-1]
