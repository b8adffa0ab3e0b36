"""Published weights load whole or not at all, from a folder or from the hub's cache."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from tests.libraries import needs
from tests.trainer import published
from trainer.errors import CheckpointError, ConfigError
from trainer.models.bioclip import build_clip
from trainer.models.biovita import FULL, build_biovita
from trainer.models.clap import ClapTower, audio_fields
from trainer.published import CLAP, Sources, open_published, open_sources

pytestmark = needs("transformers", "open_clip")

SOUND = 0.1 * torch.randn((2, 480_000), generator=torch.Generator().manual_seed(1))
TOKENS = torch.tensor([[49406, 320, 1929, 49407] + [0] * 73, [49406, 3329, 49407] + [0] * 74])
PIXELS = 255 * torch.rand((2, 3, 48, 48), generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small weights in every layout; not to be changed."""
    folder = tmp_path_factory.mktemp("published")
    return {
        "clap": published.write_clap(folder / "clap"),
        "clap pickled": published.write_clap(folder / "clap-bin", safetensors=False),
        "bioclip": published.write_clip(folder / "bioclip"),
        "bioclip pickled": published.write_clip(folder / "bioclip-bin", safetensors=False),
        "biovita": published.write_biovita(folder / "biovita"),
    }


@pytest.fixture
def own(folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a folder, to be damaged."""
    return lambda name: Path(shutil.copytree(folders[name], tmp_path / name))


def clip_vectors(clip: Any) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (published.MEAN, published.STD))
    image = clip.encode_image((PIXELS / 255 - mean) / std)
    return F.normalize(clip.encode_text(TOKENS), dim=-1), F.normalize(image, dim=-1)


def clap_features(clap: Any, model: Any) -> torch.Tensor:
    features = clap.get_audio_features(input_features=model.audio.log_mel(SOUND).transpose(1, 2)[:, None])
    return getattr(features, "pooler_output", features)


@pytest.mark.parametrize("kind", ["", " pickled"], ids=["safetensors", "pickled"])
def test_training_begins_with_clap_and_bioclip_as_published(kind: str, folders: dict[str, Path]) -> None:
    config, model = open_sources(Sources(str(folders["clap" + kind]), str(folders["bioclip" + kind])))
    clap, clip = published.small_clap(), published.small_clip()
    with torch.no_grad():
        text, image = clip_vectors(clip)
        audio = F.normalize(model.audio.adapter(clap_features(clap, model)), dim=-1)  # type: ignore[operator]
        assert torch.allclose(model.text(TOKENS), text, atol=1e-6)
        assert torch.allclose(model.image(PIXELS), image, atol=1e-6)
        assert torch.allclose(model.audio(SOUND), audio, atol=1e-5)
    assert model.base_logit_scale == clip.logit_scale
    assert config.dim == published.DIM and config.image_size == published.IMAGE_SIZE and config.context == 77
    assert config.mean == tuple(published.MEAN) and config.std == tuple(published.STD)


def test_the_published_biovita_is_whole(folders: dict[str, Path]) -> None:
    config, model = open_published(str(folders["biovita"]))
    clap, clip = published.small_clap(3), published.small_clip(4)
    with torch.no_grad():
        text, image = clip_vectors(clip)
        audio = F.normalize(clap_features(clap, model) @ published.small_adapter().T, dim=-1)
        assert torch.allclose(model.text(TOKENS), text, atol=1e-6)
        assert torch.allclose(model.image(PIXELS), image, atol=1e-6)
        assert torch.allclose(model.audio(SOUND), audio, atol=1e-5)
    assert config.audio["depths"] == published.AUDIO["depths"]


def test_only_the_adapter_is_random_and_the_seed_decides_it(folders: dict[str, Path]) -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(open_sources(Sources(str(folders["clap"]), str(folders["bioclip"])))[1].state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert [name for name in states[0] if not torch.equal(states[0][name], states[2][name])] == ["audio.adapter.weight"]


def test_an_adapter_may_be_a_bare_matrix_and_the_tensors_half_precision(own: Callable[[str], Path]) -> None:
    path = own("biovita") / "clap_weights.pth"
    parts = torch.load(path, weights_only=True)
    state = {name: value.half() if value.is_floating_point() else value for name, value in parts["clap_audio"].items()}
    torch.save({"clap_audio": state, "audio_adapter": parts["audio_adapter"]["weight"]}, path)
    _, model = open_published(str(path.parent))
    assert torch.equal(model.audio.adapter.weight, published.small_adapter())  # type: ignore[union-attr]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_text_tensors_of_clap_are_not_needed(own: Callable[[str], Path]) -> None:
    path = own("clap") / "model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if name.startswith("audio_")}, path)
    open_sources(Sources(str(path.parent), str(own("bioclip"))))


def test_the_configuration_builds_the_model_without_the_sources(folders: dict[str, Path]) -> None:
    config, model = open_published(str(folders["biovita"]))
    stored = json.loads(json.dumps(asdict(config)))
    assert stored["audio"] == config.audio and stored["clip"] == config.clip
    again = build_biovita(replace(config, audio=stored["audio"], clip=stored["clip"]))
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval().audio(SOUND), model.audio(SOUND))


# Damage: what is done to which file, and the line that names it.


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def pointer(path: Path) -> None:
    start = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 614526123\n"
    path.write_text(start.ljust(240))


def web_page(path: Path) -> None:
    path.write_text("<!doctype html><title>404</title>" * 20)


class Program:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was-run",)


def armed(path: Path) -> None:
    torch.save({"tensor": Program()}, path)


def a_list(path: Path) -> None:
    torch.save([torch.zeros(1)], path)


PICKLES = [("clap pickled", "pytorch_model.bin"), ("bioclip pickled", "open_clip_pytorch_model.bin")]
PICKLES += [("biovita", "clap_weights.pth"), ("biovita", "open_clip_pytorch_model.bin")]
SAFE = [("clap", "model.safetensors"), ("bioclip", "open_clip_model.safetensors")]
JSON = [("clap", "config.json"), ("bioclip", "open_clip_config.json")]


def opened(name: str, folder: Path, folders: dict[str, Path]) -> None:
    if name == "biovita":
        open_published(str(folder))
    elif name.startswith("clap"):
        open_sources(Sources(str(folder), str(folders["bioclip"])))
    else:
        open_sources(Sources(str(folders["clap"]), str(folder)))


def complaint(name: str, folder: Path, folders: dict[str, Path]) -> str:
    with pytest.raises(CheckpointError) as caught:
        opened(name, folder, folders)
    line = str(caught.value)
    assert "\n" not in line and caught.value.remedy
    return line


@pytest.mark.parametrize("name, file", [*PICKLES, *SAFE, *JSON])
@pytest.mark.parametrize(
    "damage, said",
    [
        (emptied, "is empty; fetch it again"),
        (cut, ""),
        (pointer, "only a Git LFS pointer; run 'git lfs pull' in "),
        (web_page, ""),
    ],
)
def test_a_damaged_file_is_named(
    name: str,
    file: str,
    damage: Callable[[Path], None],
    said: str,
    own: Callable[[str], Path],
    folders: dict[str, Path],
) -> None:
    path = own(name) / file
    damage(path)
    line = complaint(name, path.parent, folders)
    assert line.startswith(f"{path}: {said}")
    assert said or any(word in line for word in ("truncated or damaged", "not a weights file", "cannot be read"))


@pytest.mark.parametrize("name, file", PICKLES)
def test_a_pickle_with_a_program_is_not_run(
    name: str,
    file: str,
    own: Callable[[str], Path],
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = own(name) / file
    armed(path)
    assert "contains more than tensors" in complaint(name, path.parent, folders)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("name, file", PICKLES)
def test_a_file_without_tensors_by_name_is_refused(
    name: str, file: str, own: Callable[[str], Path], folders: dict[str, Path]
) -> None:
    path = own(name) / file
    a_list(path)
    assert f"{path}: holds no tensors by name" in complaint(name, path.parent, folders)


def without(state: dict[str, Any], name: str) -> None:
    del state[name]


def reshaped(state: dict[str, Any], name: str) -> None:
    state[name] = torch.zeros((*state[name].shape[:-1], state[name].shape[-1] + 1))


def broken(state: dict[str, Any], name: str) -> None:
    state[name] = state[name].clone()
    state[name].view(-1)[-1] = float("nan")


def doubled(state: dict[str, Any], name: str) -> None:
    state[f"{name}.more"] = state[name].clone()


def of_flags(state: dict[str, Any], name: str) -> None:
    state[name] = state[name].bool()


TENSORS = [
    ("clap", "model.safetensors", "audio_model.audio_encoder.layers.2.blocks.1.output.dense.weight"),
    ("clap", "model.safetensors", "audio_model.audio_encoder.batch_norm.running_mean"),
    ("clap", "model.safetensors", "audio_projection.linear2.bias"),
    ("bioclip", "open_clip_model.safetensors", "visual.transformer.resblocks.0.mlp.c_fc.weight"),
    ("bioclip", "open_clip_model.safetensors", "visual.proj"),
    ("bioclip", "open_clip_model.safetensors", "token_embedding.weight"),
    ("bioclip", "open_clip_model.safetensors", "positional_embedding"),
    ("bioclip", "open_clip_model.safetensors", "text_projection"),
]


@pytest.mark.parametrize("name, file, tensor", TENSORS, ids=[tensor for _, _, tensor in TENSORS])
@pytest.mark.parametrize(
    "damage, said",
    [
        (without, "is missing"),
        (reshaped, " is ["),
        (broken, "not finite"),
        (doubled, "is of another model"),
        (of_flags, "torch.bool"),
    ],
)
def test_a_tensor_that_is_missing_wrong_or_unknown_is_named(
    name: str,
    file: str,
    tensor: str,
    damage: Callable[[dict[str, Any], str], None],
    said: str,
    own: Callable[[str], Path],
    folders: dict[str, Path],
) -> None:
    path = own(name) / file
    state = load_file(path)
    damage(state, tensor)
    save_file(state, path)
    line = complaint(name, path.parent, folders)
    assert line.startswith(f"{path}: tensor {tensor}") and said in line


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda parts: parts.pop("clap_audio"), "has no clap_audio"),
        (lambda parts: parts.pop("audio_adapter"), "has no audio_adapter"),
        (lambda parts: parts.update(audio_adapter=torch.zeros(3)), "audio_adapter is not a matrix"),
        (
            lambda parts: parts.update(audio_adapter=torch.zeros(31, 24)),
            "tensor audio_adapter.weight is [31, 24], not [32, 24]",
        ),
        (lambda parts: parts.update(audio_adapter=torch.full((32, 24), torch.inf)), "not finite"),
        (lambda parts: parts.update(clap_audio={}), "holds no tensors by name"),
        (lambda parts: parts.update(clap_audio={"a": 1}), "a is not a tensor"),
        (lambda parts: parts.update(clap_audio={1: torch.zeros(2)}), "1 is not a tensor"),
        (lambda parts: parts.update(clap_audio={"a": torch.zeros(2, 2).to_sparse()}), "a is not a tensor"),
        (
            lambda parts: parts["clap_audio"].pop("audio_model.audio_encoder.patch_embed.proj.weight"),
            "patch_embed.proj.weight is missing",
        ),
        (lambda parts: parts["clap_audio"].pop("audio_model.audio_encoder.norm.weight"), "norm.weight is missing"),
    ],
)
def test_a_published_biovita_with_something_amiss_is_named(
    change: Callable[[dict[str, Any]], object], said: str, own: Callable[[str], Path], folders: dict[str, Path]
) -> None:
    path = own("biovita") / "clap_weights.pth"
    parts = torch.load(path, weights_only=True)
    parts["clap_audio"] = dict(parts["clap_audio"])
    change(parts)
    torch.save(parts, path)
    line = complaint("biovita", path.parent, folders)
    assert line.startswith(str(path)) and said in line


@pytest.mark.parametrize(
    "name, change, said",
    [
        ("clap", {"model_type": "bert"}, "has model type bert, not clap"),
        ("clap", {"audio_config": published.AUDIO | {"num_mel_bins": 32, "spec_size": 128}}, "has 32 mel bands"),
        ("clap", {"audio_config": published.AUDIO | {"enable_fusion": True}}, "this CLAP is a fused one"),
        ("bioclip", {"model_cfg": None}, "not a configuration of open_clip"),
        ("bioclip", {"preprocess_cfg": {"mean": [0.5]}}, "mean is not one number for each"),
        ("bioclip", {"preprocess_cfg": [0.5]}, "not a configuration of open_clip"),
        ("bioclip", {"preprocess_cfg": {"std": [0.5, 0, 0.5]}}, "std is 0.5, 0, 0.5, which no photos have"),
        (
            "bioclip",
            {"preprocess_cfg": {"mean": [0.5, 0.5, float("nan")]}},
            "mean is 0.5, 0.5, nan, which no photos have",
        ),
        ("bioclip", {"model_cfg": published.CLIP | {"embed_dim": None}}, "embed_dim is None, not 1 to"),
        ("bioclip", {"model_cfg": published.CLIP | {"embed_dim": float("nan")}}, "embed_dim is nan, not 1 to"),
        ("bioclip", {"model_cfg": published.CLIP | {"vision_cfg": 7}}, "not a configuration of open_clip"),
        (
            "bioclip",
            {"model_cfg": published.CLIP | {"text_cfg": {"layers": 10**9}}},
            "layers is 1000000000, not 1 to 200",
        ),
        ("clap", {"audio_config": "tiny"}, "audio_config is not one"),
        ("bioclip", {"preprocess_cfg": {"resize_mode": "squash"}}, "pictures are resized by squash bicubic"),
        (
            "bioclip",
            {"model_cfg": published.CLIP | {"text_cfg": {"hf_model_name": "roberta-base"}}},
            "its text tower is not CLIP's",
        ),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    name: str, change: dict[str, Any], said: str, own: Callable[[str], Path], folders: dict[str, Path]
) -> None:
    path = own(name) / ("config.json" if name == "clap" else "open_clip_config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert said in complaint(name, path.parent, folders)


@pytest.mark.parametrize("library", ["transformers", "open_clip", "huggingface_hub"])
def test_a_missing_library_is_named_with_its_remedy(
    library: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    audio = CLAP if library == "huggingface_hub" else str(folders["clap"])
    with pytest.raises(ConfigError) as caught:
        open_sources(Sources(audio, str(folders["bioclip"])))
    assert str(caught.value) == f"the {library} library is missing; pip install 'biovita-edge[train]'"


def test_the_full_size_is_that_of_the_paper() -> None:
    from transformers import ClapTextConfig, ClapTextModelWithProjection

    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    audio = ClapTower(FULL.audio, FULL.mel, FULL.dim)
    with torch.device("meta"):
        text, image = build_clip(FULL.clip, FULL.mean, FULL.std)
        unused = ClapTextModelWithProjection(ClapTextConfig())
    adapter, scales = 512 * 768, 2
    assert count(audio.adapter) == adapter
    assert count(text) + count(image) + 1 == 427_616_513  # and the logit scale of BioCLIP 2
    assert count(audio) - adapter + count(unused) + scales == 153_492_890  # the whole of CLAP
    assert 427_616_513 + adapter + 153_492_890 == 581_502_619  # as published, with CLAP's unused text tower
    assert FULL.audio == audio_fields({}, "the library's defaults")


@pytest.mark.slow
def test_the_full_size_runs() -> None:
    model = build_biovita(FULL).eval()
    with torch.no_grad():
        for vector in (model.audio(SOUND[:1]), model.text(TOKENS[:1]), model.image(255 * torch.rand(1, 3, 224, 224))):
            assert vector.shape == (1, 768) and vector.norm().item() == pytest.approx(1.0, abs=1e-5)
