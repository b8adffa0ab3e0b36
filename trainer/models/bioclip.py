"""The text and image towers of the full size: BioCLIP 2 (Gu et al., 2025), a CLIP model of open_clip.

Both are open_clip's own classes, so published weights load unchanged. Only its tokenizer is rebuilt for the
`tokenizers` library, so that a device needs neither open_clip nor torch.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.errors import CheckpointError, ConfigError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures; open_clip's default
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
CONTEXT = 77  # tokens of a prompt, with start and end
MERGES = 49_152 - 256 - 2  # of CLIP's vocabulary: 49152 without the bytes and two special tokens
WORD = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
START, END = "<start_of_text>", "<end_of_text>"
WORD_END = "</w>"

# Replacements that open_clip makes in a text before tokenizing it (ftfy, then HTML entities).
REPLACEMENTS = {
    "[\u02bc\u2018-\u201b]": "'",
    "[\u201c-\u201f]": '"',
    "[\\x00-\\x08\\x0b\\x0e-\\x1f\\x7f\ufeff\ufff9-\ufffc\u206a-\u206f]": "",
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "\u017ft",
    "\ufb06": "st",
    "[\u0132\u0133]": "ij",
    "\u0149": "'n",
    "[\u01c4-\u01c6]": "d\u017e",
    "[\u01c7-\u01c9]": "lj",
    "[\u01ca-\u01cc]": "nj",
    "[\u01f1-\u01f3]": "dz",
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": '"',
    "&#39;|&apos;": "'",
    "&nbsp;": " ",
    "(?<=\\p{L})\u03a3(?!\\p{L})": "\u03c2",  # a capital sigma at the end of a word
}


@dataclass(frozen=True, kw_only=True)
class ClipTowers:
    """Sizes of text and image towers of an open_clip model, as plain values of JSON.

    Parameters
    ----------
    clip : `model_cfg` of open_clip: embed_dim, vision_cfg, text_cfg
    mean, std : of the channels of a picture on a scale of 0..1
    dim : of the space
    """

    clip: dict[str, Any]
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    dim: int = 768

    @property
    def level_dbfs(self) -> None:
        """The level of a window is left unchanged."""

    @property
    def context(self) -> int:
        """Tokens of a prompt."""
        return int(self.clip["text_cfg"].get("context_length", CONTEXT))

    @property
    def image_size(self) -> int:
        """Side of a picture in pixels."""
        return int(self.clip["vision_cfg"].get("image_size", 224))


class ClipText(nn.Module):
    """Token ids [n, length] to unit vectors [n, dim].

    Attention is causal, so padding after the end of the longest text changes nothing: prompts of 20 tokens cost a
    quarter of 77.
    """

    def __init__(self, tower: Any, context: int) -> None:
        super().__init__()
        self.tower = tower
        self.context = context

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens.int()  # the tower uses argmax, which ONNX Runtime 1.18 lacks for int64
        length = tokens.shape[1]
        whole: Tensor | None = self.tower.attn_mask
        if whole is None:  # not causal
            tokens = F.pad(tokens, (0, self.context - length))
        try:
            if whole is not None and length < len(
                whole
            ):  # open_clip cuts its positions to the length, but not its mask
                self.tower.attn_mask = whole[:length, :length]
            return F.normalize(self.tower(tokens).float(), dim=-1)
        finally:
            self.tower.attn_mask = whole


class ClipImage(nn.Module):
    """RGB [n, 3, size, size] of 0..255 to unit vectors [n, dim], including normalisation."""

    mean: Tensor
    std: Tensor

    def __init__(self, tower: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.tower = tower
        self.register_buffer("mean", torch.tensor(mean).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return F.normalize(self.tower((pixels / 255.0 - self.mean) / self.std).float(), dim=-1)


def build_clip(clip: Mapping[str, Any], mean: Sequence[float], std: Sequence[float]) -> tuple[ClipText, ClipImage]:
    """Text and image tower of an open_clip model, with random weights.

    Parameters
    ----------
    clip : the `model_cfg` of an open_clip configuration

    Raises
    ------
    ConfigError
        When open_clip is missing.
    CheckpointError
        When open_clip cannot build the configuration.
    """
    try:
        from open_clip import CustomTextCLIP
    except ImportError:
        raise ConfigError("the open_clip library is missing", "pip install 'biovita-edge[train]'") from None
    try:
        model = CustomTextCLIP(**{name: value for name, value in clip.items() if name != "custom_text"})
    except Exception as error:  # what open_clip raises depends on its version and the setting
        raise CheckpointError(
            f"open_clip cannot build this model ({error})", "pip install -U open_clip_torch"
        ) from error
    return ClipText(model.text, model.context_length), ClipImage(model.visual, mean, std)


def clip_tokenizer(context: int = CONTEXT) -> Tokenizer:
    """CLIP's tokenizer, byte-level BPE in lower case: the ids of `open_clip.get_tokenizer`, padded with zeros.

    open_clip cleans its texts with ftfy first. The parts of that which matter for names are done here: composed
    letters, curly quotes, ligatures, invisible characters and some HTML entities. Wrongly decoded text ("CafÃ©") and
    letters of full or half width (Japanese) are left unchanged.
    """
    try:
        from open_clip.tokenizer import default_bpe
    except ImportError:
        raise ConfigError("the open_clip library is missing", "pip install 'biovita-edge[train]'") from None
    lines = gzip.decompress(Path(default_bpe()).read_bytes()).decode("utf-8").split("\n")
    merges = [(pair[0], pair[1]) for pair in (line.split() for line in lines[1 : MERGES + 1])]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, *(letter + WORD_END for letter in alphabet), *("".join(pair) for pair in merges), START, END]
    vocabulary = {word: row for row, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix=WORD_END))
    tokenizer.add_special_tokens([AddedToken(token, normalized=True, special=True) for token in (START, END)])
    replaced = [normalizers.Replace(Regex(pattern), by) for pattern, by in REPLACEMENTS.items()]
    tokenizer.normalizer = normalizers.Sequence([*replaced, normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(token, vocabulary[token]) for token in (START, END)]
    )
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(pad_id=0, pad_token=words[0], length=context)
    return tokenizer
