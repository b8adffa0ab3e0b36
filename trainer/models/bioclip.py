"""The text and image towers of the full size: a CLIP model as open_clip has it, BioCLIP 2 (Gu et al., 2025).

Both are open_clip's own classes, so that published weights load as they are. Only its tokenizer is rebuilt, for the
`tokenizers` library: a device then needs neither open_clip nor torch.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.errors import CheckpointError, ConfigError

CONTEXT = 77  # tokens of a prompt, both ends included
MERGES = 49_152 - 256 - 2  # of CLIP's vocabulary: 49152 less the bytes and two special tokens
WORD = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
START, END = "<start_of_text>", "<end_of_text>"
WORD_END = "</w>"

# What open_clip does to a text before it is split: ftfy, then HTML's entities. Patterns and what takes their place.
MENDED = {
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


class ClipText(nn.Module):
    """Token ids [n, length] to unit vectors [n, dim].

    A token sees those before it alone, so that padding after the last text's end changes nothing: prompts of 20 tokens
    cost a quarter of 77.
    """

    def __init__(self, tower: Any, context: int) -> None:
        super().__init__()
        self.tower = tower
        self.context = context

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens.int()  # the tower looks for the largest; ONNX Runtime 1.18 finds none among int64
        length = tokens.shape[1]
        whole: Tensor | None = self.tower.attn_mask
        if whole is None:  # this tower looks both ways
            tokens = F.pad(tokens, (0, self.context - length))
        try:
            if whole is not None and length < len(whole):  # open_clip cuts positions to the length, not its mask
                self.tower.attn_mask = whole[:length, :length]
            return F.normalize(self.tower(tokens).float(), dim=-1)
        finally:
            self.tower.attn_mask = whole


class ClipImage(nn.Module):
    """RGB [n, 3, size, size] of 0..255 to unit vectors [n, dim]; scaling is inside."""

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
        When the configuration is none that open_clip can build.
    """
    try:
        from open_clip import CustomTextCLIP
    except ImportError:
        raise ConfigError("the open_clip library is missing", "pip install 'biovita-edge[train]'") from None
    try:
        model = CustomTextCLIP(**{name: value for name, value in clip.items() if name != "custom_text"})
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise CheckpointError(
            f"open_clip cannot build this model ({error})", "pip install -U open_clip_torch"
        ) from error
    return ClipText(model.text, model.context_length), ClipImage(model.visual, mean, std)


def clip_tokenizer(context: int = CONTEXT) -> Tokenizer:
    """CLIP's tokenizer, byte-level BPE in lower case: the ids of `open_clip.get_tokenizer`, padded with zeros.

    open_clip mends its texts with ftfy first. Of that, what a name may hold is done here: composed letters, curly
    quotes, ligatures, invisible signs and HTML's entities of a few signs. Text that was decoded wrongly ("CafÃ©") and
    letters of full or half width (of Japanese) are left as they are.
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
    mended = [normalizers.Replace(Regex(pattern), by) for pattern, by in MENDED.items()]
    tokenizer.normalizer = normalizers.Sequence([*mended, normalizers.NFC(), normalizers.Lowercase()])
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
