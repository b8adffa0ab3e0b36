"""A student: a small audio tower in its teacher's space, from recordings without labels."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gallery import read_taxa
from tests.trainer import published
from tests.trainer.tiny import Ended, Tiny, call, short, tone
from trainer import checkpoint
from trainer.__main__ import main
from trainer.checkpoint import LOG, RESUME, WEIGHTS
from trainer.data.manifest import Sample, read_manifest
from trainer.data.samples import Concatenated
from trainer.data.sounds import SoundStore
from trainer.data.unlabelled import open_unlabelled
from trainer.data.windows import at_rate
from trainer.errors import DataError
from trainer.families.registry import Origins, family_of
from trainer.groups import Groups
from trainer.models.student import StudentTower, StudentTowers, start_from_teacher
from trainer.models.vita import AudioTower
from trainer.optimize import freeze_others
from trainer.presets import AUGMENT_BOTH, AUGMENT_STUDENT, STARTER, with_settings
from trainer.ranks import Ranks
from trainer.stages.student import Student, mixed
from trainer.teacher import Teacher, open_teacher, preset_of_student

CPU = torch.device("cpu")
EPOCHS = ("--epochs", "2", "--set", "bf16=false", "--set", "batch=8")


def learn(tiny: Tiny, teacher: Path, out: Path, *more: object, data: list[Path] | None = None) -> Ended:
    words = [word for path in data or [tiny.manifest] for word in ("--data", path)]
    words += ["--taxa", tiny.taxa, "--pretrained", tiny.pretrained, "--threads", "1", "--workers", "0", *EPOCHS]
    return call(main, "--recipe", "student", "--teacher", teacher, "--out", out, *words, *more)


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


@pytest.fixture(scope="session")
def teacher(run_folder: Path) -> Path:
    return run_folder / "stage2"


@pytest.fixture(scope="session")
def taught(tiny: Tiny, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A finished student of the tiny run, and what was said; not to be changed."""
    out = tmp_path_factory.mktemp("taught")
    return out / "student", learn(tiny, teacher, out)


@pytest.fixture(scope="session")
def large(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the published layout: HTS-AT of the library's own class at 48 kHz, small, of short windows."""
    folder = tmp_path_factory.mktemp("large")
    source = published.write_biovita(folder / "source")
    with short():
        ended = call(main, "import", source, "--out", folder / "own", "--taxa", tiny.taxa)
    assert ended.code == 0, ended.err
    return folder / "own"


@pytest.fixture(scope="session")
def taught_by_large(tiny: Tiny, large: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished student of the large one; not to be changed."""
    out = tmp_path_factory.mktemp("taught_by_large")
    ended = learn(tiny, large, out, "--epochs", "1")
    assert ended.code == 0, ended.err
    return out / "student"


@pytest.fixture
def recordings(tiny: Tiny, tmp_path: Path) -> Path:
    """The recordings of the tiny data set in a folder, without labels."""
    folder = tmp_path / "recordings"
    (folder / "deep").mkdir(parents=True)
    for number, path in enumerate(sorted(tiny.manifest.parent.glob("*_*.*"))):
        if path.suffix != ".png":
            shutil.copy(path, folder / ("deep" if number % 2 else "") / f"{number}{path.suffix}")
    return folder


def test_a_student_is_a_small_ear_beside_the_towers_of_its_teacher(taught: tuple[Path, Ended], teacher: Path) -> None:
    folder, ended = taught
    assert ended.code == 0, ended.err
    own, theirs = checkpoint.load(folder), checkpoint.load(teacher)
    assert isinstance(own.config.preset.towers, StudentTowers) and isinstance(own.model.audio, StudentTower)
    assert own.config.preset.towers.space == theirs.space
    kept = {name: t for name, t in theirs.model.state_dict().items() if not name.startswith("audio.")}
    assert all(torch.equal(own.model.state_dict()[name], tensor) for name, tensor in kept.items())
    small, large = (sum(p.numel() for p in loaded.model.audio.parameters()) for loaded in (own, theirs))
    assert small < 0.6 * large


def test_it_says_before_and_after_what_it_keeps_of_its_teacher(taught: tuple[Path, Ended]) -> None:
    folder, ended = taught
    before, _, after = log(folder)
    names = {"cosine", "agreement", "recordings", "audio_text_top1", "audio_text_top5"}
    names |= {"teacher_audio_text_top1", "teacher_audio_text_top5"}
    assert set(before["held_out"]) == set(after["held_out"]) == names
    assert before["held_out"]["teacher_audio_text_top1"] == after["held_out"]["teacher_audio_text_top1"]
    assert 0.0 < before["held_out"]["cosine"] <= 1.0
    told = [line for line in ended.lines() if line.startswith(("before:", "after:"))]
    assert len(told) == 2 and all("cosine" in line and "agreement" in line for line in told)
    assert (folder / "decision.json").exists()


def test_only_the_upper_blocks_and_the_projection_learn(taught: tuple[Path, Ended], tiny: Tiny) -> None:
    state = checkpoint.load(taught[0]).model.state_dict()
    public = torch.load(tiny.pretrained / "efficientat_mn04_as.pt", weights_only=True)
    moved = {name for name, t in public.items() if name.startswith("features.") and not torch.equal(t, of(state, name))}
    assert moved and not any(name.startswith(tuple(f"features.{n}." for n in range(4))) for name in moved)
    assert not any("running" in name for name in moved)


def of(state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return state[name.replace("features.", "audio.branch.blocks.", 1)]


@pytest.mark.usefixtures("uncalibrated")
def test_a_run_killed_and_resumed_ends_with_the_same_weights(
    tiny: Tiny, teacher: Path, taught: tuple[Path, Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import loop

    whole = loop.store

    def dying(*args: Any) -> None:
        whole(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "store", dying)
        assert learn(tiny, teacher, tmp_path).code == 130
    assert (tmp_path / "student" / RESUME).exists()
    assert learn(tiny, teacher, tmp_path).code == 0
    own, whole_run = (load_file(str(folder / WEIGHTS)) for folder in (tmp_path / "student", taught[0]))
    assert all(torch.equal(own[name], whole_run[name]) for name in whole_run)
    assert [line["epoch"] for line in log(tmp_path / "student")] == [0, 1, 2]


def test_labels_are_not_asked_for(tiny: Tiny, teacher: Path, recordings: Path, tmp_path: Path) -> None:
    """A plain folder is enough; what needs names is left out, and said."""
    ended = learn(tiny, teacher, tmp_path, data=[recordings])
    assert ended.code == 0, ended.err
    loaded, lines = checkpoint.load(tmp_path / "student"), log(tmp_path / "student")
    assert loaded.config.taxa == checkpoint.load(teacher).config.taxa
    assert set(lines[-1]["held_out"]) == {"cosine", "agreement", "recordings"}
    assert lines[-1]["held_out"]["recordings"] == 4  # a fifth of 21 files
    assert lines[-1]["samples"] == 16 and not (tmp_path / "student" / "decision.json").exists()
    assert any("no decision parameters" in line for line in ended.lines())


@pytest.mark.usefixtures("uncalibrated")
def test_a_folder_beside_a_manifest_is_heard_too(
    tiny: Tiny, teacher: Path, recordings: Path, tmp_path: Path, taught: tuple[Path, Ended]
) -> None:
    ended = learn(tiny, teacher, tmp_path, "--epochs", "1", data=[tiny.manifest, recordings])
    assert ended.code == 0, ended.err
    more = log(tmp_path / "student")[-1]
    alone = log(taught[0])[-1]
    assert more["samples"] == 17 + 21 and alone["samples"] == 16  # a rest of one is left to another epoch
    assert more["held_out"]["recordings"] == alone["held_out"]["recordings"]


def test_a_table_may_name_files_alone(tiny: Tiny, teacher: Path, recordings: Path) -> None:
    files = sorted(path.relative_to(recordings) for path in recordings.rglob("*.*"))
    table = recordings / "table.csv"
    table.write_text("path\n" + "".join(f"{path}\n" for path in files))
    data = open_unlabelled([table], None, None, tuple, 0.0, 1)
    assert [sample.path for sample in data.unlabelled] == [recordings / path for path in files]
    assert not len(data.recordings) and not len(data.held_recordings)


def learning(tiny: Tiny, teacher: Path, *settings: str) -> Student:
    """A student at its start, with six recordings to learn from."""
    opened = open_teacher(teacher, CPU)
    preset = preset_of_student(with_settings(STARTER, "student", settings), opened)
    origins = Origins(tiny.pretrained, teacher=(opened.loaded.model, opened.loaded.tokenizer))
    model, _, _ = family_of(preset.towers).load(preset.towers, origins)
    rate_hz = max(32_000, opened.rate_hz)
    samples = read_manifest(tiny.manifest, read_taxa(tiny.taxa)).recordings
    return Student("student", model, opened, preset, SoundStore(samples[:6], rate_hz), torch.eye(4, preset.dim))


@pytest.mark.parametrize("size", ["small", "large"])
def test_steps_bring_it_nearer_to_its_teacher_however_large(size: str, tiny: Tiny, teacher: Path, large: Path) -> None:
    stage = learning(tiny, {"small": teacher, "large": large}[size], "lr=1e-3", "trunk_lr=1e-6")
    stage.config = replace(stage.config, augment=None)
    torch.nn.init.normal_(stage.tower.branch.projection.weight, std=0.01)  # the fit leaves little to learn
    freeze_others(stage.model, stage)
    optimizer, generator = Groups(stage).optimizer, torch.Generator()
    (batch,) = stage.feed([list(range(6))], 0, Ranks())
    losses = []
    for _ in range(6):
        loss, figures = stage.loss(batch, 0.0, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        assert losses[-1] == pytest.approx(1.0 - figures["cosine"], abs=1e-5)
    assert losses[-1] < 0.9 * losses[0] and not any(p.grad is not None for p in stage.teacher.audio.parameters())


def test_a_teacher_of_the_same_spectrogram_sees_what_its_student_does(
    tiny: Tiny, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = learning(tiny, teacher)
    assert stage.config.augment == AUGMENT_BOTH
    monkeypatch.setattr(stage.tower, "embed", stage.teacher.audio.embed)  # a student that has learned everything
    (batch,) = stage.feed([list(range(4))], 0, Ranks())
    loss, _ = stage.loss(batch, 0.0, torch.Generator().manual_seed(0))
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)


def test_only_the_student_gets_noise_if_spectrograms_differ(
    tiny: Tiny, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = learning(tiny, large)
    shorter = round(AUGMENT_STUDENT.time_mask_frames * stage.preset.window_s / STARTER.window_s)
    assert stage.config.augment == replace(AUGMENT_STUDENT, time_mask_frames=shorter)
    (batch,) = stage.feed([list(range(4))], 0, Ranks())
    heard: list[np.ndarray] = []
    embed = Teacher.embed

    def listening(teacher: Teacher, sound: np.ndarray, rate_hz: int) -> torch.Tensor:
        heard.append(sound)
        return embed(teacher, sound, rate_hz)

    monkeypatch.setattr(Teacher, "embed", listening)
    stage.loss(batch, 0.0, torch.Generator().manual_seed(0))
    assert len(heard) == 1 and np.array_equal(heard[0], batch.sound)


def test_it_begins_between_the_two_branches_of_a_teacher_of_its_trunk(tiny: Tiny, teacher: Path) -> None:
    stage = learning(tiny, teacher)
    theirs = stage.teacher.audio
    assert isinstance(theirs, AudioTower)
    with torch.no_grad():  # branches of an untrained teacher are nearly alike
        for p in theirs.special.blocks.parameters():
            p.add_(torch.randn_like(p))
    start_from_teacher(stage.tower, theirs)
    shared = len(theirs.stem)
    blocks = stage.tower.branch.blocks
    log_mel = torch.randn(1, 1, 128, 100)
    with torch.no_grad():
        assert torch.equal(blocks[:shared](log_mel), theirs.stem(log_mel))
    general, special = (dict(branch.blocks.named_parameters()) for branch in (theirs.general, theirs.special))
    own = dict(blocks[shared:].named_parameters())
    assert own.keys() == general.keys() and len(own) > 50
    assert all(torch.allclose(own[name], (general[name] + special[name]) / 2, atol=1e-6) for name in own)


def test_a_large_teacher_hears_48_khz_and_its_student_32(taught_by_large: Path, large: Path) -> None:
    own, theirs = checkpoint.load(taught_by_large), checkpoint.load(large)
    assert (own.config.preset.mel.rate_hz, theirs.config.preset.mel.rate_hz) == (32_000, 48_000)
    assert own.config.preset.dim == published.DIM and own.config.preset.streamed
    kept = {name: t for name, t in theirs.model.state_dict().items() if not name.startswith("audio.")}
    assert all(torch.equal(own.model.state_dict()[name], tensor) for name, tensor in kept.items())
    assert all(-1.0 <= line["held_out"]["cosine"] <= 1.0 for line in log(taught_by_large) if "held_out" in line)
    sound = tone(1000, seconds=theirs.config.preset.window_s, rate_hz=48_000)[None]
    with torch.no_grad():
        right = theirs.model.audio(torch.from_numpy(sound))
    opened = open_teacher(large, CPU)
    assert torch.equal(opened.embed(sound, 48_000), right)
    lower = opened.embed(at_rate(sound, 48_000, 32_000), 32_000)
    assert float((lower * right).sum()) > 0.9


def test_the_ear_of_a_student_of_a_large_teacher_is_exported(taught_by_large: Path, tmp_path: Path) -> None:
    from onnxruntime import InferenceSession

    from export.lowerings import export_audio

    own = checkpoint.load(taught_by_large)
    export_audio(own.model, own.config.preset, tmp_path / "audio.onnx")
    sound = tone(1000, seconds=own.config.preset.window_s, rate_hz=32_000)[None]
    (given,) = InferenceSession(str(tmp_path / "audio.onnx")).run(None, {"waveform": sound})
    with torch.no_grad():
        wanted = own.model.audio(torch.from_numpy(sound)).numpy()
    assert given.shape == (1, published.DIM) and (given * wanted).sum() >= 0.9999


@pytest.mark.slow
def test_a_student_of_a_large_teacher_becomes_a_pack(tiny: Tiny, taught_by_large: Path, tmp_path: Path) -> None:
    from edgeapp.pack.format import Pack
    from export.cli import main as export

    words = ["--checkpoint", taught_by_large, "--out", tmp_path / "pack", *tiny.data_words()]
    ended = call(export, *words)
    assert ended.code == 0, ended.err
    pack = Pack.load(tmp_path / "pack")
    assert (pack.audio.rate_hz, pack.dim, pack.image.size) == (32_000, published.DIM, published.IMAGE_SIZE)
    assert all(pack.parity[graph]["least"] >= 0.9999 for graph in ("audio", "text", "image"))
    assert pack.parity["decisions"]["same_species"] == 1.0
    assert pack.audio.split is not None and pack.parity["split"]["least"] >= 0.9999


def test_a_student_has_one_teacher(
    tiny: Tiny, teacher: Path, large: Path, taught: tuple[Path, Ended], tmp_path: Path, run_folder: Path
) -> None:
    shutil.copytree(taught[0], tmp_path / "student")
    for other, says in ((run_folder / "stage1", "another teacher"), (large, "of 256 dimensions, not 32")):
        ended = learn(tiny, other, tmp_path)
        assert ended.code == 3 and says in ended.lines()[-1], ended.err
    assert "is finished" in learn(tiny, teacher, tmp_path).err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--recipe", "student"], 2, "--recipe student needs a teacher"),
        (["--recipe", "student", "--teacher", "absent"], 3, "absent: no such folder"),
        (["--recipe", "student", "--teacher", "."], 3, "no checkpoint"),
        (["--recipe", "student", "--teacher", "TEACHER", "--stage", "2"], 2, "has no stage 2"),
        (["--recipe", "student", "--teacher", "TEACHER", "--preset", "biovita"], 2, "leave out --preset"),
        (["--recipe", "student", "--teacher", "TEACHER", "--seed", "7"], 3, "another seed; give --seed 1"),
        (["--recipe", "student", "--teacher", "TEACHER", "--held-out", "0.4"], 3, "another held-out share"),
        (["--recipe", "student", "--teacher", "TEACHER", "--data", "EMPTY"], 2, "contains no recordings"),
        (["--recipe", "student", "--teacher", "TEACHER", "--data", "absent.csv"], 2, "absent.csv"),
        (["--stage", "1", "--teacher", "TEACHER"], 2, "--teacher goes with --recipe student"),
        (["--recipe", "pupil"], 2, "choose vita, text-distillation or student"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    tiny: Tiny, teacher: Path, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    (tmp_path / "empty").mkdir()
    given = {"TEACHER": str(teacher), "EMPTY": str(tmp_path / "empty")}
    own = [given.get(word, word) for word in words]
    data = [] if "--data" in own else ["--data", tiny.manifest]
    rest = ["--taxa", tiny.taxa, "--pretrained", tiny.pretrained, "--threads", "1"]
    ended = call(main, *data, *rest, *own, "--out", tmp_path / "run")
    assert ended.code == code and says in ended.err and "Traceback" not in ended.err, ended.err
    assert not (tmp_path / "run").exists()


def test_recordings_none_of_which_can_be_decoded_are_named(tiny: Tiny, teacher: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for number in range(3):
        (tmp_path / "folder" / f"{number}.wav").write_text("no sound")
    ended = learn(tiny, teacher, tmp_path / "run", data=[tmp_path / "folder"])
    assert ended.code == 2 and "none of the recordings could be decoded" in ended.lines()[-1]


def test_a_table_without_names_needs_the_column_path(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("file\na.wav\n")
    with pytest.raises(DataError, match="column path is missing"):
        open_unlabelled([tmp_path / "table.csv"], None, None, tuple, 0.2, 1)


def test_a_share_of_the_windows_is_a_mixture_of_two() -> None:
    sound = np.random.default_rng(0).standard_normal((200, 50)).astype(np.float32)
    both = mixed(sound, 0.5, np.random.default_rng(1), 200, slice(0, 200))
    changed = (both != sound).any(axis=1)
    assert 0.4 < changed.mean() < 0.6 and both.dtype == np.float32
    added = both - sound
    loudness = np.sqrt(np.square(added).mean(axis=1) / np.square(sound).mean(axis=1))[changed]
    assert loudness.max() < 1.01 and loudness.min() > 0.24  # 0 to 12 dB below
    of_other = [np.corrcoef(added[row], sound[row - 1])[0, 1] for row in np.flatnonzero(changed)]
    assert np.min(of_other) > 0.999
    assert np.array_equal(mixed(sound, 0.0, np.random.default_rng(1), 200, slice(0, 200)), sound)


def test_two_processes_mix_what_one_would() -> None:
    """Which windows are mixed and how loud is drawn for the joint batch."""
    sound = np.ones((4, 8), np.float32)
    joint = mixed(sound, 0.5, np.random.default_rng(3), 4, slice(0, 4))
    parts = [mixed(sound[part], 0.5, np.random.default_rng(3), 4, part) for part in (slice(0, 2), slice(2, 4))]
    assert np.allclose(joint, np.concatenate(parts))


def test_sound_at_another_rate_is_what_a_file_of_that_rate_would_be() -> None:
    sound = tone(1000, seconds=1.0, rate_hz=48_000)[None]
    other = at_rate(sound, 48_000, 32_000)
    assert other.shape == (1, 32_000)
    t = np.arange(32_000) / 32_000
    middle = slice(4_000, 28_000)
    assert np.corrcoef(other[0, middle], np.sin(2 * np.pi * 1000 * t)[middle])[0, 1] > 0.99
    assert at_rate(sound, 48_000, 48_000) is sound


def test_samples_of_two_lists_are_one_list() -> None:
    first, second = (
        [Sample(Path(name), number, ("a", name)) for number, name in enumerate(names)] for names in ("ab", "c")
    )
    both = Concatenated(first, second)
    assert [sample.path.name for sample in both] == ["a", "b", "c"] and both[-1].path.name == "c"
    assert both[1:] == [first[1], second[0]] and both.taxon.tolist() == [0, 1, 0]
