"""A pack's encoder in BioCLIP 2's space: from class vectors and names, then through both stages, to a pack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgeapp.pack.format import Pack
from edgeapp.runtime.encoders import AudioEncoder
from export.cli import main as export
from gallery import PROMPT_FORMS
from tests.trainer import published
from tests.trainer.tiny import Tiny, call
from tests.trainer.trunk import classes
from trainer import checkpoint
from trainer.__main__ import main
from trainer.bank import TextBank
from trainer.errors import CheckpointError
from trainer.evaluate import TEXT_FORM
from trainer.models.adapted import AdaptedTower

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bioclip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BioCLIP 2 in its published layout."""
    folder = tmp_path_factory.mktemp("published") / "bioclip"
    published.write_clip(folder)
    return folder


@pytest.fixture(scope="module")
def distilled(linear_pack: Path, bioclip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint made of class vectors and names alone."""
    out = tmp_path_factory.mktemp("adapted") / "distill"
    ended = call(main, "adapt", linear_pack, "--bioclip", bioclip, "--out", out)
    assert ended.code == 0, ended.err
    assert "names of 96 taxa" in ended.err
    return out


@pytest.fixture(scope="module")
def stages(linear_pack: Path, bioclip: Path, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages on recordings and photos."""
    out = tmp_path_factory.mktemp("stages")
    words = ["--preset", "biovita", "--audio", linear_pack, "--bioclip", bioclip, "--epochs", 1, "--out", out]
    words += [*tiny.data_words(), "--device", "cpu", "--threads", "1", "--workers", "0", "--set", "batch=4"]
    for stage in ("1", "2"):
        ended = call(main, *words, "--stage", stage)
        assert ended.code == 0, ended.err
    return out


def adapter_of(folder: Path) -> AdaptedTower:
    tower = checkpoint.load(folder).model.audio
    assert isinstance(tower, AdaptedTower)
    return tower


def test_class_vectors_find_their_names_without_a_recording(distilled: Path) -> None:
    loaded = checkpoint.load(distilled)
    names = TextBank(classes.taxa(), loaded.tokenizer).embed_form(loaded.model.text, PROMPT_FORMS.index(TEXT_FORM), CPU)
    centred = torch.from_numpy(classes.rows() - classes.rows().mean(axis=0))
    with torch.no_grad():
        heard = F.normalize(adapter_of(distilled).adapter(F.normalize(centred, dim=1)), dim=1)
    similarity = heard @ names.t()
    nearer = (similarity.diagonal()[:, None] > similarity).float().mean()
    assert nearer > 0.75  # by chance 0.5: a text tower of random weights says little of relatives


def test_windows_are_those_of_the_pack_and_the_trunk_is_not_stored(distilled: Path) -> None:
    loaded = checkpoint.load(distilled)
    preset = loaded.config.preset
    assert (preset.window_s, preset.mel.rate_hz, preset.pad) == (classes.WINDOW_S, classes.RATE_HZ, "zero")
    assert preset.dim == published.DIM
    audio = [name for name in loaded.model.state_dict() if name.startswith("audio.")]
    assert audio == ["audio.adapter.weight", "audio.adapter.bias"]


def test_stages_train_the_adapter_and_stage_2_the_names(stages: Path, distilled: Path) -> None:
    one, two = (checkpoint.load(stages / stage).model.state_dict() for stage in ("stage1", "stage2"))
    begun = checkpoint.load(distilled).model.state_dict()
    assert not torch.equal(begun["audio.adapter.weight"], one["audio.adapter.weight"])
    assert not torch.equal(one["audio.adapter.weight"], two["audio.adapter.weight"])
    texts = [name for name in one if name.startswith("text.")]
    assert all(torch.equal(begun[name], one[name]) for name in texts)
    assert not all(torch.equal(one[name], two[name]) for name in texts)


def test_pack_hears_what_the_checkpoint_hears(stages: Path, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "decision.json").write_text(json.dumps({"decision": classes.UNIT.to_dict()}), encoding="utf-8")
    words = ["--checkpoint", stages / "stage2", "--decision", tmp_path / "decision.json", "--out", tmp_path / "pack"]
    ended = call(export, *words, "--data", tiny.manifest, "--taxa", tiny.taxa)
    assert ended.code == 0, ended.err
    pack = Pack.load(tmp_path / "pack")
    assert (pack.audio.window_s, pack.audio.rate_hz, pack.dim) == (classes.WINDOW_S, classes.RATE_HZ, published.DIM)
    windows = np.random.default_rng(0).standard_normal((3, pack.audio.window_samples)).astype(np.float32)
    given = AudioEncoder(pack).encode(windows)
    with torch.no_grad():
        wanted = checkpoint.load(stages / "stage2").model.audio(torch.from_numpy(windows)).numpy()
    assert np.allclose(given, wanted, atol=1e-5)


def test_another_pack_of_that_name_is_refused(distilled: Path) -> None:
    path = distilled / "config.json"
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept.replace('"space": "linear"', '"space": "other"'), encoding="utf-8")
    try:
        with pytest.raises(CheckpointError, match="the adapter was trained on other"):
            adapter_of(distilled).pack()
    finally:
        path.write_text(kept, encoding="utf-8")


def test_a_pack_without_class_vectors_teaches_no_adapter(bioclip: Path, tmp_path: Path) -> None:
    ended = call(main, "adapt", "starter", "--bioclip", bioclip, "--out", tmp_path / "out")
    assert ended.code == 2 and "has 0 class vectors" in ended.err
    assert not (tmp_path / "out").exists()
