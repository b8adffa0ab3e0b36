"""The audio tower of the full size is CLAP's own pipeline with an adapter, in one differentiable piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeapp.audio.file import FileSource, decode
from edgeapp.audio.windows import fill
from tests.libraries import needs
from tests.trainer import published
from trainer.errors import CheckpointError
from trainer.models.biovita import CLAP_MEL
from trainer.models.clap import ClapTower, audio_fields, audio_sizes

pytestmark = needs("transformers")

SAMPLES = 480_000  # 10 s at 48 kHz


def tower_of(clap: Any, adapter: Tensor) -> ClapTower:
    """The tower with the weights of a ClapModel."""
    tower = ClapTower(audio_fields(published.AUDIO | {"projection_dim": published.PROJECTED}, "test"), CLAP_MEL, 32)
    state = {name: value for name, value in clap.state_dict().items() if name.startswith("audio_")}
    tower.clap.load_state_dict(state)
    tower.adapter.load_state_dict({"weight": adapter})
    return tower.eval()


@pytest.fixture(scope="module")
def clap() -> Any:
    return published.small_clap()


@pytest.fixture
def tower(clap: Any) -> ClapTower:
    return tower_of(clap, published.small_adapter())


def reference(clap: Any, sounds: Tensor) -> Tensor:
    """CLAP's own feature extractor and model, then the adapter."""
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(frequency_min=50, frequency_max=14_000, truncation="rand_trunc")
    features = extractor(list(sounds.numpy()), sampling_rate=48_000, return_tensors="pt")["input_features"]
    with torch.no_grad():
        projected = clap.get_audio_features(input_features=features.float())
    projected = getattr(projected, "pooler_output", projected)  # an object from transformers 5 on
    return F.normalize(projected @ published.small_adapter().T, dim=-1)


def songs(count: int = 3) -> Tensor:
    """Whistles of different pitch and rhythm over noise, [count, SAMPLES]."""
    time = torch.arange(SAMPLES) / 48_000
    noise = torch.randn((count, SAMPLES), generator=torch.Generator().manual_seed(5))
    whistles = [
        torch.sin(2 * torch.pi * (900 * (row + 1) * time + 40 * torch.sin(5 * time)))
        * (torch.sin(2 * (row + 1) * time) > 0)
        for row in range(count)
    ]
    return 0.2 * torch.stack(whistles) + 0.003 * noise


def test_a_waveform_becomes_what_claps_own_pipeline_makes_of_it(clap: Any, tower: ClapTower) -> None:
    sounds = torch.cat([songs(), 0.001 * songs(1), torch.zeros(1, SAMPLES)])
    with torch.no_grad():
        ours = tower(sounds)
    assert ours.shape == (5, published.DIM)
    assert (ours * reference(clap, sounds)).sum(dim=1).min() > 0.99999
    assert (ours[:3] @ ours[:3].T).fill_diagonal_(0).max() < 0.995  # the model does tell them apart


def test_real_recordings_become_what_claps_own_pipeline_makes_of_them(
    clap: Any, tower: ClapTower, shared: Path
) -> None:
    paths = sorted((shared / "starter" / "audio").rglob("*.*"))[::80]
    clips = [decode(FileSource(path), 48_000)[:SAMPLES] for path in paths]
    sounds = torch.from_numpy(np.stack([fill(clip, SAMPLES) for clip in clips])).float()
    with torch.no_grad():
        ours = tower(sounds)
    assert (ours * reference(clap, sounds)).sum(dim=1).min() > 0.99999


def test_the_gradient_reaches_encoder_adapter_and_waveform(tower: ClapTower) -> None:
    sounds = songs(2).requires_grad_()
    tower.train()
    tower(sounds)[:, 0].sum().backward()
    assert sounds.grad is not None and sounds.grad.isfinite().all() and sounds.grad.abs().max() > 0
    for name, parameter in tower.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0 or name.endswith("key.bias"), name  # softmax cancels the bias of keys


def test_training_drops_out_as_published_and_keeps_band_statistics(tower: ClapTower) -> None:
    mel = tower.log_mel(songs(2))
    norm = tower.clap.audio_model.audio_encoder.batch_norm
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    tower.train()
    torch.manual_seed(1)
    first, second = tower.embed(mel), tower.embed(mel)
    assert not torch.allclose(first, second)  # dropout of 0.1
    assert torch.equal(norm.running_mean, mean) and torch.equal(norm.running_var, variance)
    tower.eval()
    assert torch.equal(tower.embed(mel), tower.embed(mel))


def test_a_window_is_embedded_the_same_whatever_stands_beside_it(clap: Any) -> None:
    tower = tower_of(clap, published.small_adapter()).train()
    for part in tower.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    mel = tower.log_mel(songs(3))
    together, alone = tower.embed(mel)[:1], tower.embed(mel[:1])
    assert (together * alone).sum() > 1 - 1e-6


def test_bfloat16_is_for_training_only_and_never_for_the_front_end(tower: ClapTower) -> None:
    sounds = songs(2)
    mel, exact = tower.log_mel(sounds), tower(sounds)
    tower.bf16 = True
    assert torch.equal(tower(sounds), exact)
    for part in tower.train().modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    rounded = tower(sounds)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact) and (rounded * exact).sum(dim=1).min() > 0.99
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(tower.log_mel(sounds), mel)


def test_every_parameter_is_either_pretrained_or_fresh(tower: ClapTower) -> None:
    parts = [parameter for part in (*tower.pretrained_parts(), *tower.fresh_parts()) for parameter in part.parameters()]
    assert {id(parameter) for parameter in parts} == {id(parameter) for parameter in tower.parameters()}
    assert len(parts) == len(list(tower.parameters()))


def test_the_adapter_begins_as_the_seed_says() -> None:
    made = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        made.append(ClapTower(published.AUDIO | {"projection_dim": 24}, CLAP_MEL, 32).adapter.weight)
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_sizes_are_read_off_the_tensors(clap: Any) -> None:
    given = audio_fields(published.AUDIO | {"projection_dim": published.PROJECTED}, "test")
    assert audio_sizes(clap.state_dict(), "test") == given


def test_a_clap_that_fuses_spectrograms_is_refused() -> None:
    with pytest.raises(CheckpointError, match="this CLAP is a fused one; use laion/clap-htsat-unfused"):
        audio_fields({"enable_fusion": True, "fusion_type": "aff_2d"}, "config.json")


@pytest.mark.parametrize(
    "wrong", [{"hidden_size": 100}, {"depths": "two"}, {"patch_embeds_hidden_size": None}], ids=lambda w: next(iter(w))
)
def test_a_configuration_that_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"^config.json: .*; fetch it again$"):
        audio_fields(published.AUDIO | wrong, "config.json")
