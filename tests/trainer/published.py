"""Small models of the libraries' own classes, saved in the layouts of the published weights.

`write_clap`, `write_clip` and `write_biovita` fill a folder and give it back; `small_clap` and `small_clip` are what
they save, to compare with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

PROJECTED = 24  # dimensions of CLAP's projection
DIM = 32  # of the space
IMAGE_SIZE = 48

AUDIO = {
    "patch_embeds_hidden_size": 16,
    "hidden_size": 128,
    "depths": [1, 1, 2, 1],  # with fewer, a clip has nearly the same vector by another resampler
    "num_attention_heads": [1, 2, 4, 8],
}
TEXT = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}
CLIP = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": IMAGE_SIZE, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
MEAN, STD = [0.5, 0.45, 0.4], [0.27, 0.26, 0.25]  # not CLIP's own: they must be read


def stirred(model: nn.Module, seed: int) -> Any:
    """The model with weights large enough that what goes in tells in what comes out."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                spread = parameter[0].numel() ** -0.5 if "embedding" not in name else 0.3
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
            elif name.endswith(("bias", "class_embedding")):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):  # of log-mel bands in dB
                buffer.copy_(-40.0 + 10.0 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(200.0 + 100.0 * torch.rand(buffer.shape, generator=generator))
    return model.eval()


def small_clap(seed: int = 0) -> Any:
    """A `transformers.ClapModel`."""
    from transformers import ClapConfig, ClapModel

    return stirred(ClapModel(ClapConfig(text_config=TEXT, audio_config=AUDIO, projection_dim=PROJECTED)), seed)


def small_clip(seed: int = 1) -> Any:
    """A CLIP model of open_clip."""
    from open_clip.model import CLIP as Clip

    return stirred(Clip(**CLIP), seed)  # type: ignore[arg-type]


def write_clap(folder: Path, safetensors: bool = True, seed: int = 0) -> Path:
    """`small_clap` as `config.json` and `model.safetensors`, or `pytorch_model.bin`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    model = small_clap(seed)
    model.config.save_pretrained(str(folder))
    if safetensors:
        save_file(model.state_dict(), str(folder / "model.safetensors"), metadata={"format": "pt"})
    else:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def write_clip(folder: Path, safetensors: bool = True, seed: int = 1) -> Path:
    """`small_clip` as `open_clip_config.json` and `open_clip_model.safetensors`, or `open_clip_pytorch_model.bin`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    seen = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    text = json.dumps({"model_cfg": CLIP, "preprocess_cfg": seen})
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")
    state = {name: tensor.contiguous() for name, tensor in small_clip(seed).state_dict().items()}
    if safetensors:
        save_file(state, str(folder / "open_clip_model.safetensors"))
    else:
        torch.save(state, folder / "open_clip_pytorch_model.bin")
    return folder


def small_adapter(seed: int = 2) -> Tensor:
    """An adapter [DIM, PROJECTED]."""
    return torch.randn((DIM, PROJECTED), generator=torch.Generator().manual_seed(seed))


def write_biovita(folder: Path) -> Path:
    """The published BioVITA, of `small_clip(4)`, `small_clap(3)` and `small_adapter()`."""
    write_clip(folder, safetensors=False, seed=4)
    parts = {"clap_audio": small_clap(3).state_dict(), "audio_adapter": {"weight": small_adapter()}}
    torch.save(parts, folder / "clap_weights.pth")
    return folder


clap_folder, bioclip_folder, biovita_folder = write_clap, write_clip, write_biovita  # each gives back the folder
