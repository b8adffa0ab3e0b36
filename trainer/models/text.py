"""A small text tower for prompts of taxa, with a tokenizer trained on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn

PAD, END = 0, 1


@dataclass(frozen=True)
class TextConfig:
    """Size of the tower: 0.7 M parameters are enough for names."""

    vocabulary: int = 2048
    context: int = 48  # the longest prompt of the starter taxa has 40 tokens
    width: int = 128
    layers: int = 2
    heads: int = 4
    features: int = 512  # after a wide last layer, without which the rank of the vectors is limited to the width
    dropout: float = 0.1


def learn_tokenizer(texts: Iterable[str], config: TextConfig) -> Tokenizer:
    """Byte-level BPE (Sennrich et al., 2016), which can encode any name in any script.

    Every text ends with the token END; padding is PAD.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary,
        special_tokens=["<pad>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(set(texts)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", END)])
    tokenizer.enable_truncation(config.context)
    tokenizer.enable_padding(pad_id=PAD, pad_token="<pad>", length=config.context)
    return tokenizer


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Texts to token ids [n, context] int64."""
    return torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(list(texts))], dtype=torch.int64)


class Attention(nn.Module):
    """Self-attention without the fused operator, which some TensorRT releases convert wrongly (TensorRT #4333)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, blocked: Tensor) -> Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5 + blocked
        return self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(n, length, width))


class Layer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.before_mlp = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, 4 * config.width), nn.GELU(), nn.Linear(4 * config.width, config.width)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, blocked: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.before_attention(x), blocked))
        return x + self.dropout(self.mlp(self.before_mlp(x)))


class TextTower(nn.Module):
    """Token ids [n, context] to features [n, features]: a transformer, averaged over all tokens but padding."""

    def __init__(self, config: TextConfig = TextConfig()) -> None:
        super().__init__()
        self.config = config
        self.out_features = config.features
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Parameter(torch.randn(config.context, config.width) * 0.02)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.widen = nn.Sequential(nn.Linear(config.width, config.features), nn.GELU(), nn.LayerNorm(config.features))
        nn.init.normal_(self.tokens.weight, std=0.05)

    def forward(self, tokens: Tensor) -> Tensor:
        kept = (tokens != PAD).to(self.positions.dtype)
        blocked = (1.0 - kept)[:, None, None, :] * -1e4
        x = self.tokens(tokens) + self.positions[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, blocked)
        x = self.norm(x) * kept[:, :, None]
        return self.widen(x.sum(dim=1) / kept.sum(dim=1, keepdim=True))
