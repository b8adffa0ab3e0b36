"""Models that a benchmark can score: a protocol of three methods, and the built-in models.

| kind | sound | pictures | names | source |
|---|---|---|---|---|
| checkpoint | x | x | x | folder of a trained stage |
| biovita | x | x | x | the published BioVITA |
| clap, biolingual | x | - | x | a ClapModel with its own text tower |
| bioclip | - | x | x | BioCLIP 2 |

A source is a folder or `hf-hub:organisation/name@revision`. Pictures are preprocessed as on the device: shorter side
scaled, centre square. The published extraction script takes open_clip's training view instead, a random part of the
picture. Names are embedded as they are, without a template.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeapp.audio.centred import REMOVED
from edgeapp.audio.cutting import BEGINNING, Cutting
from edgeapp.audio.file import FileSource, decode
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.onset import BEFORE_S, onset
from edgeapp.audio.resample import SOXR
from edgeapp.audio.windows import HOP_S, MIN_CLIP_S, REPEAT
from edgeapp.runtime.inputs import image_pixels
from trainer import checkpoint, published
from trainer.data.manifest import Sample
from trainer.data.media import called, opened
from trainer.errors import CheckpointError, ConfigError, DataError
from trainer.models.biovita import CLAP_MEL
from trainer.models.text import tokenize
from trainer.presets import HEARD_AS_PUBLISHED

WINDOWS, ONSET = "windows", "onset"
EXCERPTS = (WINDOWS, ONSET)
BATCH = 32  # windows, pictures or names
CLAP_WINDOW_S = 10.0


class BenchmarkEncoder(Protocol):
    """A model that a benchmark can score.

    Each method gives unit vectors [n, dim] float32, or None if the model lacks the modality, and raises an error that
    names a file that cannot be decoded. A file may be part of a shard: a `Sample` with a size.

    Attributes
    ----------
    name : of the row in the table
    origin : everything that the vectors depend on, as values of JSON
    """

    name: str
    origin: dict[str, Any]

    def audio(self, paths: Sequence[Path | Sample]) -> np.ndarray | None: ...

    def images(self, paths: Sequence[Path | Sample]) -> np.ndarray | None: ...

    def texts(self, strings: Sequence[str]) -> np.ndarray | None: ...


class TorchEncoder:
    """Torch modules for some of the three modalities.

    Parameters
    ----------
    sound : waveform [n, samples] at `rate_hz` to unit vectors, or None
    picture : RGB 0..255 [n, 3, size, size] to unit vectors, or None
    text : list of names to unit vectors
    excerpt : windows, the mean of all windows as on the device; or onset, the 10 s that the published script takes

    Attributes
    ----------
    damaged : one line for each recording that ends early; the part that could be decoded is used
    """

    def __init__(
        self,
        name: str,
        origin: dict[str, Any],
        device: torch.device,
        text: Callable[[list[str]], Tensor],
        sound: Callable[[Tensor], Tensor] | None = None,
        picture: Callable[[Tensor], Tensor] | None = None,
        rate_hz: int = 0,
        window_s: float = CLAP_WINDOW_S,
        hop_s: float = HOP_S,
        pad: str = REPEAT,
        start: str = BEGINNING,
        resampler: str = SOXR,
        min_clip_s: float = MIN_CLIP_S,
        offset: str = REMOVED,
        image_size: int = 0,
        excerpt: str = WINDOWS,
        threads: int = 2,
    ) -> None:
        described = f"mean of {window_s:g}-s windows every {hop_s:g} s"
        if excerpt == ONSET:
            described = f"{window_s:g} s from {BEFORE_S:g} s before the first sample above 1 % of the peak, zero-padded"
        self.name = name
        self.damaged: list[str] = []
        self.origin = {
            **origin,
            "sound": f"{described}, {rate_hz} Hz" if sound else None,
            "pictures": f"shorter side to {image_size}, centre square" if picture else None,
            "names": "bare",
        }
        self._device, self._text, self._sound, self._picture = device, text, sound, picture
        self._rate_hz, self._image_size, self._excerpt = rate_hz, image_size, excerpt
        self._cutting = Cutting(rate_hz or CLAP_MEL.rate_hz, window_s, hop_s, pad, start, resampler, min_clip_s, offset)
        self._pool = ThreadPoolExecutor(max(1, threads))

    def audio(self, paths: Sequence[Path | Sample]) -> np.ndarray | None:
        """One vector per recording."""
        if self._sound is None:
            return None
        sounds = list(self._pool.map(self._decode, paths))
        cut = ((row, window) for row, sound in enumerate(sounds) for window in self._windows(sound))
        sums: np.ndarray | None = None
        while several := list(islice(cut, BATCH)):
            each = self._embed(self._sound, [torch.from_numpy(window) for _, window in several])
            sums = np.zeros((len(sounds), each.shape[1]), dtype=np.float32) if sums is None else sums
            np.add.at(sums, [row for row, _ in several], each)
        if sums is None:
            return np.zeros((0, 0), dtype=np.float32)
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)

    def images(self, paths: Sequence[Path | Sample]) -> np.ndarray | None:
        """One vector per picture."""
        if self._picture is None:
            return None
        decoded = list(self._pool.map(self._pixels, paths))
        return self._embed(self._picture, [torch.from_numpy(pixels) for pixels in decoded])

    @torch.no_grad()
    def texts(self, strings: Sequence[str]) -> np.ndarray:
        """One vector per name."""
        parts = [self._text(list(strings[at : at + BATCH])) for at in range(0, len(strings), BATCH)]
        return torch.cat(parts).float().cpu().numpy()

    def _decode(self, file: Path | Sample) -> np.ndarray:
        """The whole recording [samples]."""
        with ExitStack() as closing:
            source = FileSource(closing.enter_context(opened(file)) if isinstance(file, Sample) else file)
            sound = decode(source, self._rate_hz, self._cutting.resampler, self._cutting.offset)
        if len(sound) < (self._cutting.min_clip_s if self._excerpt == WINDOWS else 0) * self._rate_hz or not len(sound):
            raise DataError(f"{called(file)}: is only {len(sound) / self._rate_hz:.2f} s long", "copy the file again")
        if source.fault:
            self.damaged.append(f"{called(file)}: {source.fault}")
        return sound

    def _windows(self, sound: np.ndarray) -> Iterator[np.ndarray]:
        """Windows [window samples] of a recording to embed, cut as they are needed."""
        if self._excerpt == ONSET:
            yield from_onset(sound, self._rate_hz, round(self._cutting.window_s * self._rate_hz))
        else:
            for window in self._cutting.windows(MemorySource(sound, self._rate_hz)):
                yield window.samples

    def _pixels(self, file: Path | Sample) -> np.ndarray:
        from PIL import Image

        try:
            if isinstance(file, Sample):
                with opened(file) as piece, Image.open(piece) as picture:
                    return image_pixels(picture, self._image_size)
            return image_pixels(file, self._image_size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's readers raise all
            raise DataError(f"{called(file)}: not a picture ({error})", "copy the file again") from error

    @torch.no_grad()
    def _embed(self, tower: Callable[[Tensor], Tensor], items: list[Tensor]) -> np.ndarray:
        parts = [
            tower(torch.stack(items[at : at + BATCH]).to(self._device)).float().cpu()
            for at in range(0, len(items), BATCH)
        ]
        return torch.cat(parts).numpy()


def from_onset(sound: np.ndarray, rate_hz: int, samples: int) -> np.ndarray:
    """The window [samples] that the published extraction script cuts from a recording [m]."""
    start = onset(sound, rate_hz)
    window = sound[start : start + samples].astype(np.float32)
    return np.pad(window, (0, samples - len(window)))


def open_encoder(spec: str, device: torch.device, excerpt: str = WINDOWS, threads: int = 2) -> TorchEncoder:
    """A built-in encoder.

    Parameters
    ----------
    spec : [NAME=]KIND[:SOURCE], as `checkpoint:runs/starter/stage2`, `biovita` or `mine=clap:folder`; a kind alone
        stands for the published model, a folder alone for a checkpoint

    Raises
    ------
    ConfigError, CheckpointError
        When the kind does not exist, or the source cannot be used.
    """
    name, kind, source = parsed(spec)
    if excerpt not in EXCERPTS:
        raise ConfigError(f"excerpt '{excerpt}' does not exist", f"choose {' or '.join(EXCERPTS)}")
    parts = FAMILIES[kind].load(source, device)
    origin = {"kind": kind, "source": source, "weights": parts.pop("weights")}
    return TorchEncoder(name, origin, device, excerpt=excerpt, threads=threads, **parts)


def parsed(spec: str) -> tuple[str, str, str]:
    """Name, kind and source of a model given on the command line."""
    name, named, rest = spec.partition("=")
    if not named or Path(spec).is_dir():  # a folder may have a = in its name
        name, rest = "", spec
    kind, colon, source = rest.partition(":")
    if rest and kind not in FAMILIES and Path(rest).is_dir():
        kind, source = "checkpoint", rest
    if kind not in FAMILIES:
        raise ConfigError(
            f"model '{spec}' is of an unknown kind", f"give KIND:SOURCE with one of {', '.join(FAMILIES)}"
        )
    source = source or FAMILIES[kind].published
    if not source:
        raise ConfigError(f"model '{spec}' names no folder", "give checkpoint:FOLDER")
    default = source if kind == "checkpoint" else f"{kind}:{Path(source).name}" if colon else kind
    return name or default, kind, source


def _checkpoint(source: str, device: torch.device) -> dict[str, Any]:
    found = checkpoint.load(Path(source))
    preset, model = found.config.preset, found.model.to(device).eval()
    return {
        "weights": found.space,
        "sound": model.audio,
        "picture": model.image,
        "text": lambda names: model.text(tokenize(found.tokenizer, names).to(device)),
        "rate_hz": preset.mel.rate_hz,
        "window_s": preset.window_s,
        "hop_s": preset.hop_s,
        "pad": preset.pad,
        "start": preset.start,
        "resampler": preset.resampler,
        "min_clip_s": preset.min_clip_s,
        "offset": preset.offset,
        "image_size": preset.image_size,
    }


def _biovita(source: str, device: torch.device) -> dict[str, Any]:
    from trainer.models.bioclip import clip_tokenizer

    config, model = published.open_published(source)
    model = model.to(device).eval()
    tokenizer = clip_tokenizer(config.context)
    return {
        "weights": _state(source, "clap_weights.pth", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
        "sound": model.audio,
        "picture": model.image,
        "text": lambda names: model.text(tokenize(tokenizer, names).to(device)),
        "rate_hz": config.mel.rate_hz,
        **HEARD_AS_PUBLISHED,
        "image_size": config.image_size,
    }


def _bioclip(source: str, device: torch.device) -> dict[str, Any]:
    from trainer.models.bioclip import build_clip, clip_tokenizer

    clip = published.read_clip(source)
    text, image = build_clip(clip.model, clip.mean, clip.std)
    published.fill_towers(text.tower, image.tower, clip)
    text, image = text.to(device).eval(), image.to(device).eval()
    tokenizer = clip_tokenizer(text.context)
    return {
        "weights": _of_file(clip.path),
        "picture": image,
        "text": lambda names: text(tokenize(tokenizer, names).to(device)),
        "image_size": int(clip.model["vision_cfg"].get("image_size", 224)),
    }


def _clap(source: str, device: torch.device) -> dict[str, Any]:
    """A ClapModel in its own space: projected sound and projected names, of unit length."""
    from trainer.hub import HUB, find_file
    from trainer.models.clap import ClapTower, library

    fields, state, path = published.read_clap(source)
    if fields["num_mel_bins"] != CLAP_MEL.n_mels:
        raise CheckpointError(f"{path}: has {fields['num_mel_bins']} mel bands", "name an unfused LAION CLAP")
    tower = ClapTower(fields, CLAP_MEL, fields["projection_dim"])
    audio = {name: value for name, value in state.items() if name.startswith(published.AUDIO_PARTS)}
    published.fill(tower.clap, audio, "", path)
    find_file(source, "tokenizer.json", "vocab.json")  # without one the library makes an empty tokenizer
    transformers = library()
    try:
        config = transformers.ClapTextConfig(
            **{
                **published.read_json(find_file(source, "config.json")).get("text_config", {}),
                "projection_dim": fields["projection_dim"],
                "projection_hidden_act": fields["projection_hidden_act"],
            }
        )
        reader = transformers.ClapTextModelWithProjection(config)
        repository, _, revision = source.removeprefix(HUB).partition("@")
        hub = {"revision": revision} if revision and source.startswith(HUB) else {}
        tokenizer = transformers.AutoTokenizer.from_pretrained(repository, **hub)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{source}: its text tower cannot be built ({reason})", "name a complete ClapModel"
        ) from error
    read = {n: v for n, v in state.items() if n.startswith(("text_model.", "text_projection."))}
    own = reader.state_dict()
    published.fill(reader, {n: v for n, v in read.items() if n in own or not n.endswith("_ids")}, "", path)
    tower, reader = tower.to(device).eval(), reader.to(device).eval()

    def text(names: list[str]) -> Tensor:
        longest = config.max_position_embeddings - config.pad_token_id - 1
        tokens = tokenizer(names, padding=True, truncation=True, max_length=longest, return_tensors="pt").to(device)
        vectors = reader(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).text_embeds
        return F.normalize(vectors, dim=-1)

    def sound(waveform: Tensor) -> Tensor:
        log_mel = tower.log_mel(waveform)
        return F.normalize(tower.clap(input_features=log_mel.transpose(1, 2)[:, None]).audio_embeds, dim=-1)

    return {"weights": _of_file(path), "sound": sound, "text": text, "rate_hz": CLAP_MEL.rate_hz}


def _state(source: str, first: str, *others: str) -> str:
    """Fingerprint of two files."""
    from trainer.hub import find_file

    return f"{_of_file(find_file(source, first))} {_of_file(find_file(source, *others))}"


def _of_file(path: Path) -> str:
    """Fingerprint of a file that does not read it: its resolved path, size and modification time."""
    status = os.stat(path)
    text = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class EncoderFamily:
    """Encoders of one kind.

    Attributes
    ----------
    load : from a source and a device to the arguments of a `TorchEncoder`, and a fingerprint of the source as `weights`
    published : default source; empty if one must be given
    """

    load: Callable[[str, torch.device], dict[str, Any]]
    published: str = ""


# To add a family, write the function that loads it and a line here.
FAMILIES = {
    "checkpoint": EncoderFamily(_checkpoint),
    "biovita": EncoderFamily(_biovita, published.BIOVITA),
    "clap": EncoderFamily(_clap, published.CLAP),
    "biolingual": EncoderFamily(_clap, published.BIOLINGUAL),
    "bioclip": EncoderFamily(_bioclip, published.BIOCLIP),
}
