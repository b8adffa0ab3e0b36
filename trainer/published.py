"""Published weights of the full size: CLAP and BioCLIP 2 to start from, or the complete BioVITA.

Layouts, each in a folder or a repository of the hub (`trainer.hub`):

    CLAP        config.json and model.safetensors or pytorch_model.bin, as `transformers.ClapModel` saves them
    BioCLIP 2   open_clip_config.json and open_clip_model.safetensors or open_clip_pytorch_model.bin
    BioVITA     as BioCLIP 2, and clap_weights.pth with `clap_audio`, tensors of a ClapModel, and `audio_adapter`

Every tensor of a tower must be present, finite and of the right size; only the adapter of `open_sources` starts from
random weights. Only tensors are read from pickled files; a file that would run code is refused.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from trainer.errors import CheckpointError
from trainer.hub import find_file, pinned
from trainer.models.bioclip import CLIP_MEAN, CLIP_STD
from trainer.models.biovita import CLAP_MEL, ClapBioclip, build_towers
from trainer.models.clap import audio_fields, audio_sizes
from trainer.models.vita import Vita

CLAP = "hf-hub:laion/clap-htsat-unfused@8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a"
BIOLINGUAL = "hf-hub:davidrrobinson/BioLingual"  # a ClapModel; text distillation starts from it
BIOCLIP = "hf-hub:imageomics/bioclip-2"
BIOVITA = "hf-hub:risashinoda/BioVITA@64aea8edfcc846842a167944f4a5a052d932d0b4"

AGAIN = "fetch it again"
POINTER = b"version https://git-lfs"  # start of a pointer that Git LFS leaves in place of a file
AUDIO_PARTS = ("audio_model.", "audio_projection.")
VISUAL = "visual."
SCALES = ("logit_scale", "logit_bias")
Channels = tuple[float, float, float]
SIZES = {  # of towers, and the largest that is not taken for damage
    **{"embed_dim": 16_384, "width": 16_384, "head_width": 16_384, "heads": 1024, "layers": 200},
    **{"image_size": 4096, "patch_size": 1024, "context_length": 4096, "vocab_size": 1_000_000},
}
COMPUTED = ("relative_position_index", "num_batches_tracked")  # buffers that old files may lack


@dataclass(frozen=True)
class Sources:
    """Weights that the towers start from.

    `audio` is any unfused ClapModel: LAION's CLAP, or `BIOLINGUAL`. BioLingual and BioCLIP 2 are not pinned to a
    revision here; pin one for a reproducible run.
    """

    audio: str = CLAP
    clip: str = BIOCLIP


def open_sources(
    sources: Sources = Sources(), tell: Callable[[str], None] = lambda line: None
) -> tuple[ClapBioclip, Vita]:
    """The model before training: CLAP and BioCLIP 2 as published, the adapter random (`torch.manual_seed`).

    `tell` is called with the commit of a source that names none.

    Raises
    ------
    CheckpointError
        When a file is missing, damaged or of another model.
    """
    audio, state, where = read_clap(sources.audio)
    clip = read_clip(sources.clip)
    for source, file in ((sources.audio, where), (sources.clip, clip.path)):
        if pinned(source, file) != source:
            tell(f"{source}: using its newest commit; to repeat this run give {pinned(source, file)}")
    return assembled(audio, state, where, clip, adapter=None)


def open_published(source: str = BIOVITA) -> tuple[ClapBioclip, Vita]:
    """BioVITA as its authors published it.

    It has no configuration of the audio tower: sizes are derived from the tensors, all else is HTS-AT's default.

    Raises
    ------
    CheckpointError
        When a file is missing, damaged or of another model.
    """
    path = find_file(source, "clap_weights.pth")
    parts = read_weights(path)
    for name in ("clap_audio", "audio_adapter"):
        if name not in parts:
            raise CheckpointError(f"{path}: has no {name}", "name the folder of the published BioVITA")
    adapter = parts["audio_adapter"]
    if isinstance(adapter, Mapping):
        adapter = adapter.get("weight")
    if not isinstance(adapter, Tensor) or adapter.ndim != 2:
        raise CheckpointError(f"{path}: audio_adapter is not a matrix", AGAIN)
    state = tensors(parts["clap_audio"], path)
    config, vita = assembled(audio_sizes(state, str(path)), state, path, read_clip(source), adapter)
    with torch.no_grad():
        vita.logit_scale.copy_(vita.base_logit_scale)  # the only one in the files
    return config, vita


def files_of(source: str) -> list[Path]:
    """The files of the published BioVITA, downloaded if they are on the hub.

    Raises
    ------
    CheckpointError
        When one is missing or cannot be downloaded.
    """
    weights = find_file(source, "open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return [find_file(source, "clap_weights.pth"), find_file(source, "open_clip_config.json"), weights]


@dataclass(frozen=True)
class Clip:
    """Configuration and tensors of an open_clip model."""

    model: dict[str, Any]
    mean: Channels
    std: Channels
    state: dict[str, Tensor]
    path: Path


def assembled(
    audio: dict[str, Any], state: dict[str, Tensor], path: Path, clip: Clip, adapter: Tensor | None
) -> tuple[ClapBioclip, Vita]:
    """Build the model and load its weights; without `adapter`, that one stays random."""
    if audio["num_mel_bins"] != CLAP_MEL.n_mels:
        bands = f"{audio['num_mel_bins']} mel bands, not {CLAP_MEL.n_mels}"
        raise CheckpointError(f"{path}: has {bands}", "name the weights of a ClapModel")
    config = ClapBioclip(audio=audio, clip=clip.model, mean=clip.mean, std=clip.std, dim=int(clip.model["embed_dim"]))
    tower, text, image = build_towers(config)
    vita = Vita(tower, text, image, config.dim)
    fill(tower.clap, {name: value for name, value in state.items() if name.startswith(AUDIO_PARTS)}, "", path)
    if adapter is not None:
        fill(tower.adapter, {"audio_adapter.weight": adapter}, "audio_adapter.", path)
    fill_clip(vita, clip)
    return config, vita.eval()


def fill_clip(vita: Vita, clip: Clip) -> None:
    """Fill the text and image towers of a model, and its scale, from an open_clip model of their sizes."""
    fill_towers(vita.text.get_submodule("tower"), vita.image.get_submodule("tower"), clip)
    with torch.no_grad():
        vita.base_logit_scale.copy_(clip.state[SCALES[0]].reshape(()))


def fill_towers(text: nn.Module, image: nn.Module, clip: Clip) -> None:
    """Fill a text and an image tower from an open_clip model of their sizes."""
    visual = {name: value for name, value in clip.state.items() if name.startswith(VISUAL)}
    rest = {name: value for name, value in clip.state.items() if not name.startswith((VISUAL, *SCALES))}
    fill(image, visual, VISUAL, clip.path)
    fill(text, rest, "text." if any(name.startswith("text.") for name in rest) else "", clip.path)


def read_clap(source: str) -> tuple[dict[str, Any], dict[str, Tensor], Path]:
    """Audio configuration, tensors and path of a ClapModel."""
    path = find_file(source, "config.json")
    values = read_json(path)
    if values.get("model_type") != "clap":
        raise CheckpointError(f"{path}: has model type {values.get('model_type')}, not clap", "name a ClapModel")
    audio = values.get("audio_config") or {}
    if not isinstance(audio, dict):
        raise CheckpointError(f"{path}: audio_config is not one", "name a ClapModel")
    audio = dict(audio)
    audio.update({name: values[name] for name in ("projection_dim", "projection_hidden_act") if name in values})
    weights = find_file(source, "model.safetensors", "pytorch_model.bin")
    return audio_fields(audio, str(path)), tensors(read_weights(weights), weights), weights


def read_clip(source: str) -> Clip:
    """Configuration and tensors of an open_clip model."""
    path = find_file(source, "open_clip_config.json")
    values = read_json(path)
    model, seen = values.get("model_cfg"), values.get("preprocess_cfg") or {}
    parts = ("vision_cfg", "text_cfg")
    if not (isinstance(model, dict) and isinstance(seen, dict) and "embed_dim" in model) or not all(
        [isinstance(model.get(part), dict) for part in parts]
    ):
        raise CheckpointError(f"{path}: not a configuration of open_clip", AGAIN)
    check_sizes(model, path)
    foreign = [name for name in ("hf_model_name", "hf_tokenizer_name") if model["text_cfg"].get(name)]
    if foreign:
        raise CheckpointError(f"{path}: its text tower is not CLIP's ({foreign[0]})", "name BioCLIP 2")
    resize = [seen.get("resize_mode", "shortest"), seen.get("interpolation", "bicubic")]
    if resize != ["shortest", "bicubic"]:
        raise CheckpointError(f"{path}: pictures are resized by {' '.join(map(str, resize))}", "name BioCLIP 2")
    weights = find_file(source, "open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    state = tensors(read_weights(weights), weights)
    scale = state.get(SCALES[0])
    if scale is None or scale.numel() != 1 or not scale.isfinite().all():
        raise CheckpointError(
            f"{weights}: tensor {SCALES[0]} is missing or not a number", "name the weights of this model"
        )
    mean, std = channels(seen, "mean", CLIP_MEAN, path), channels(seen, "std", CLIP_STD, path)
    return Clip(model, mean, std, state, weights)


def check_sizes(model: Mapping[str, Any], path: Path) -> None:
    """Raise CheckpointError for a size of a tower that no tower has, before memory is asked for."""
    for part in (model, model["vision_cfg"], model["text_cfg"]):
        for name, value in part.items():
            if name in SIZES and not (type(value) is int and 0 < value <= SIZES[name]):
                raise CheckpointError(f"{path}: {name} is {str(value)[:20]}, not 1 to {SIZES[name]:,}", AGAIN)


def channels(seen: Mapping[str, Any], name: str, default: Channels, path: Path) -> Channels:
    """Mean or standard deviation of the three channels."""
    try:
        red, green, blue = (float(value) for value in seen.get(name) or default)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {name} is not one number for each of red, green, blue", AGAIN) from error
    if not all(math.isfinite(value) and (value > 0 or name != "std") for value in (red, green, blue)):
        raise CheckpointError(f"{path}: {name} is {red:g}, {green:g}, {blue:g}, which no photos have", AGAIN)
    return red, green, blue


def read_json(path: Path) -> dict[str, Any]:
    refuse_pointer(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})", AGAIN) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: not a configuration", AGAIN)
    return values


def read_weights(path: Path) -> dict[str, Any]:
    """Contents of a weights file, tensors on the CPU.

    Raises
    ------
    CheckpointError
        When the file is empty, truncated, a Git LFS pointer, not a weights file, or would run code.
    """
    refuse_pointer(path)
    try:
        values = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
        )
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):
            what = f"{path}: not loaded, because it contains more than tensors and could run code"
            raise CheckpointError(what, "get the file from its authors, preferably as safetensors") from error
        raise CheckpointError(f"{path}: not a weights file, or damaged", AGAIN) from error
    except Exception as error:  # of a pickle that is damaged; safetensors, zipfile and torch have no common one
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: truncated or damaged ({reason})", AGAIN) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: holds no tensors by name", AGAIN)
    return values


def refuse_pointer(path: Path) -> None:
    """Refuse an empty file and a Git LFS pointer."""
    try:
        with path.open("rb") as file:
            start = file.read(len(POINTER))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})", "name a file that can be read") from error
    if not start:
        raise CheckpointError(f"{path}: is empty", AGAIN)
    if start == POINTER:
        raise CheckpointError(f"{path}: only a Git LFS pointer", f"run 'git lfs pull' in {path.parent}")


def tensors(values: Any, path: Path) -> dict[str, Tensor]:
    """Tensors by name, without a wrapping `state_dict` and the prefix of a parallel model."""
    if isinstance(values, Mapping) and isinstance(values.get("state_dict"), Mapping):
        values = values["state_dict"]
    if not isinstance(values, Mapping) or not values:
        raise CheckpointError(f"{path}: holds no tensors by name", AGAIN)
    for name, value in values.items():
        plain = isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
        if not plain or not isinstance(name, str):
            raise CheckpointError(f"{path}: {name} is not a tensor", AGAIN)
    parallel = all(name.startswith("module.") for name in values)
    return {name.removeprefix("module.") if parallel else name: value for name, value in values.items()}


def fill(module: nn.Module, state: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    """Load every tensor of a module; in `state` their names have a `prefix`.

    Raises
    ------
    CheckpointError
        When one is missing, unknown, of another size, or not finite.
    """
    own = {prefix + name: tensor for name, tensor in module.state_dict().items()}
    for name, tensor in own.items():
        if name in state:
            if state[name].shape != tensor.shape:
                sizes = f"{list(state[name].shape)}, not {list(tensor.shape)}"
                raise CheckpointError(
                    f"{path}: tensor {name} is {sizes}", "name weights and configuration of one model"
                )
            if state[name].is_floating_point() != tensor.is_floating_point():
                raise CheckpointError(f"{path}: tensor {name} is of {state[name].dtype}, not {tensor.dtype}", AGAIN)
        elif not name.endswith(COMPUTED):
            raise CheckpointError(f"{path}: tensor {name} is missing", "name the weights of this model")
    for name, tensor in state.items():
        if name not in own:
            raise CheckpointError(f"{path}: tensor {name} is of another model", "name the weights of this model")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointError(f"{path}: tensor {name} has values that are not finite", AGAIN)
    module.load_state_dict({name[len(prefix) :]: tensor for name, tensor in state.items()}, strict=False)
