"""HTS-AT written for its graph: the network's own weights, and as little moving of numbers as it allows.

The library's module takes every token to its window and back in each block, and projects to queries, keys and values
one after the other. Here the tokens of a block lie in the order of its windows from its first norm to its last sum, and
one Gather takes them on to the next block, its cyclic shift or patch merging included. Queries, keys and values are one
layer, which takes the scale of the scores with it; of their biases only that of the queries is left, because a softmax
does not see what all keys of a window have in common, and its weights add up to one for that of the values. Relative
position bias and shift mask are added as one tensor. The bicubic interpolation that fills the spectrogram up to the
size of the network is a product with the few frames it takes from.

Tokens are [tokens, n, channels], the places of a window outermost: ONNX Runtime then takes queries, keys and values for
its products as they lie.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.clap import ClapTower
from trainer.models.vita import SoundTower

MASKED = -100.0  # the library's: added to the score of a token that the cyclic shift brought from the other edge
STRETCH = 64  # frames, at most, that are interpolated by one matrix


def written_out(audio: ClapTower, samples: int) -> SoundTower:
    """The tower as it is best exported; itself, unless this module knows all parts of it.

    Parameters
    ----------
    samples : of a window
    """
    frames = audio.front.config.frames(samples)
    encoder = audio.clap.audio_model.audio_encoder
    if not known(encoder, frames):
        return audio
    with torch.no_grad():
        return HtsAt(audio, frames).eval()


def known(encoder: Any, frames: int) -> bool:
    """Whether an encoder has nothing that is fused, and is made of whole patches, windows and pairs of tokens."""
    config = encoder.config
    window, size, ratio = config.window_size, config.spec_size, encoder.freq_ratio
    high, wide = pair(config.patch_stride)
    return (
        not config.enable_fusion
        and config.flatten_patch_embeds
        and config.patch_embed_input_channels == 1
        and pair(config.patch_size) == (high, wide)
        and frames <= size * ratio
        and size % ratio == size // ratio % high == size % wide == 0
        and all(height % window == width % window == 0 for height, width in encoder.input_resolutions)
        and all(height % 2 == width % 2 == 0 for height, width in encoder.input_resolutions[:-1])
    )


def pair(size: Any) -> tuple[int, int]:
    """A height and a width, where one number says both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A layer of these numbers."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    made.weight = nn.Parameter(weight.clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.clone())
    return made


def bias_of(layer: nn.Linear) -> Tensor:
    """Its bias, of zeros where it has none."""
    return layer.bias if layer.bias is not None else torch.zeros(layer.out_features)


class Windows:
    """A grid of tokens in windows, behind a cyclic shift.

    Attributes
    ----------
    order : [tokens] which token of the grid, row by row, lies where: place by place, and window by window in each
    """

    def __init__(self, height: int, width: int, window: int, shift: int) -> None:
        def partition(grid: Tensor) -> Tensor:
            parts = grid.reshape(height // window, window, width // window, window)
            return parts.permute(1, 3, 0, 2).flatten()

        def parts(size: int) -> Tensor:
            at = torch.arange(size)
            return (at >= size - window).long() + (at >= size - shift).long()

        grid = torch.arange(height * width).reshape(height, width)
        self.places, self.shift = window * window, shift
        self.order = partition(grid.roll((-shift, -shift), (0, 1)))
        self.part = partition(3 * parts(height)[:, None] + parts(width))  # what the shift brought together is apart

    def mask(self) -> Tensor:
        """What is added to scores: [windows, 1, 1, places, places], or [1, 1, 1, 1, 1] without a shift."""
        if not self.shift:
            return torch.zeros(1, 1, 1, 1, 1)
        part = self.part.reshape(self.places, -1).T
        apart = part[:, :, None] != part[:, None, :]
        return MASKED * apart[:, None, None].float()


class Spectrogram(nn.Module):
    """Log-mel [n, bands, frames] to patches [tokens, n, numbers of a patch], row by row, each column by column.

    As the library does it: each band normalised, frames and bands interpolated, stretches of time laid one below the
    other as an image, and patches cut out of it.
    """

    gain: Tensor
    shift: Tensor
    bands: Tensor
    taken: Tensor
    kernels: Tensor

    def __init__(self, encoder: Any, frames: int) -> None:
        super().__init__()
        config, norm = encoder.config, encoder.batch_norm
        self.ratio, self.size = encoder.freq_ratio, config.spec_size
        self.patch = pair(config.patch_stride)
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        self.register_buffer("gain", gain[:, None], persistent=False)
        self.register_buffer("shift", (norm.bias - norm.running_mean * gain)[:, None], persistent=False)
        self.higher = config.num_mel_bins != self.size // self.ratio
        self.register_buffer("bands", bicubic(config.num_mel_bins, self.size // self.ratio), persistent=False)
        self.longer = frames != self.size * self.ratio
        taken, kernels = stretches(bicubic(frames, self.size * self.ratio))
        self.register_buffer("taken", taken, persistent=False)
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, log_mel: Tensor) -> Tensor:
        bands = log_mel * self.gain + self.shift
        if self.higher:
            bands = torch.matmul(self.bands, bands)
        frames = bands.transpose(1, 2)
        if self.longer:
            count, _, each = self.kernels.shape
            frames = frames.index_select(1, self.taken).reshape(-1, count, each, frames.shape[2])
            frames = torch.matmul(self.kernels, frames)
        high, wide = self.patch
        rows, columns = self.size // self.ratio // high, self.size // wide
        parts = frames.reshape(-1, self.ratio, columns, wide, rows, high)
        return parts.permute(1, 4, 2, 0, 3, 5).reshape(self.ratio * rows * columns, -1, wide * high)


def bicubic(before: int, after: int) -> Tensor:
    """The library's interpolation along one axis as a matrix [after, before]."""
    one = torch.eye(before)
    if before == after:
        return one
    return F.interpolate(one[None, None], (after, before), mode="bicubic", align_corners=True)[0, 0]


def stretches(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix [after, before] with its weights along the diagonal, as small ones for stretches of what comes out.

    Returns
    -------
    [count * each] which of what goes in each stretch takes, one stretch after the other, and [count, rows, each]
    """
    after, before = matrix.shape
    rows = max(size for size in range(1, STRETCH + 1) if after % size == 0)
    matrix = matrix.reshape(-1, rows, before)
    used = [columns.nonzero()[:, 0] for columns in matrix.ne(0.0).any(dim=1)]
    each = max(int(columns[-1] - columns[0]) + 1 for columns in used)
    first = torch.tensor([min(int(columns[0]), before - each) for columns in used])
    taken = first[:, None] + torch.arange(each)
    return taken.flatten(), matrix.gather(2, taken[:, None].expand(-1, rows, -1))


class Moved(nn.Module):
    """Tokens [tokens, n, channels] from one order to another, and as many of them side by side as become one."""

    taken: Tensor

    def __init__(self, before: Tensor, after: Tensor, together: int = 1) -> None:
        super().__init__()
        self.together = together
        self.register_buffer("taken", before.argsort()[after], persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens.index_select(0, self.taken)
        if self.together == 1:
            return tokens
        count, channels = len(self.taken) // self.together, tokens.shape[2]
        tokens = tokens.reshape(count, self.together, -1, channels).transpose(1, 2)
        return tokens.reshape(count, -1, self.together * channels)


class Block(nn.Module):
    """One block, on tokens [tokens, n, channels] in the order of its windows."""

    query: Tensor
    bias: Tensor
    kind: Tensor

    def __init__(self, block: Any, windows: Windows, gelu: bool) -> None:
        super().__init__()
        own, out = block.attention.self, block.attention.output.dense
        self.places, self.width = windows.places, own.attention_head_size
        scale = 1.0 / math.sqrt(self.width)
        self.before, self.after = block.layernorm_before, block.layernorm_after
        self.project = linear(torch.cat([own.query.weight * scale, own.key.weight, own.value.weight]))
        self.register_buffer("query", bias_of(own.query) * scale, persistent=False)
        self.out = linear(out.weight, out.bias + out.weight @ bias_of(own.value))
        self.widen, self.narrow = block.intermediate.dense, block.output.dense
        self.act = Gelu() if gelu else block.intermediate.intermediate_act_fn
        table = own.relative_position_bias_table[own.relative_position_index.flatten()]
        masks, kind = windows.mask().unique(dim=0, return_inverse=True)
        bias = table.reshape(self.places, self.places, -1).permute(2, 0, 1) + masks
        self.register_buffer("bias", bias, persistent=False)  # [kinds of windows, 1, heads, places, places]
        self.register_buffer("kind", kind, persistent=False)

    def attend(self, tokens: Tensor) -> Tensor:
        """Tokens to what the attention of their windows gives for them."""
        count, _, channels = tokens.shape
        query, key, value = self.project(tokens).split(channels, dim=2)
        query, key, value = (
            part.reshape(self.places, -1, self.width).transpose(0, 1) for part in (query + self.query, key, value)
        )
        bias = self.bias.index_select(0, self.kind)  # made when the graph is loaded, so that the file has few
        scores = torch.matmul(query, key.transpose(1, 2)).reshape(len(self.kind), -1, *self.bias.shape[2:])
        weights = (scores + bias).softmax(dim=-1).reshape(-1, self.places, self.places)
        return self.out(torch.matmul(weights, value).transpose(0, 1).reshape(count, -1, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attend(self.before(tokens))
        return tokens + self.narrow(self.act(self.widen(self.after(tokens))))


class Gelu(nn.Module):
    """x Phi(x), its factors in the order that ONNX Runtime knows as one operator."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1.0 + torch.erf(x / math.sqrt(2.0))) * 0.5


class HtsAt(SoundTower):
    """Waveform to unit vectors, as the tower it is made of gives them.

    Parameters
    ----------
    frames : of the log-mel of a window; there may be no others
    """

    def __init__(self, audio: ClapTower, frames: int) -> None:
        super().__init__()
        encoder = audio.clap.audio_model.audio_encoder
        window, gelu = encoder.config.window_size, encoder.config.hidden_act == "gelu"
        self.front = audio.front
        self.spectrogram = Spectrogram(encoder, frames)
        patch = encoder.patch_embed
        height, width = encoder.input_resolutions[0]
        order = Windows(height, width, window, 0).order
        steps: list[nn.Module] = [Moved(torch.arange(len(order)), order)]
        steps += [linear(patch.proj.weight.transpose(2, 3).flatten(1), patch.proj.bias), patch.norm]
        for stage, (height, width) in zip(encoder.layers, encoder.input_resolutions, strict=True):
            for block in stage.blocks:
                shift = block.shift_size if min(height, width) > window else 0
                windows = Windows(height, width, window, shift)
                if not torch.equal(order, windows.order):
                    steps.append(Moved(order, windows.order))
                steps.append(Block(block, windows, gelu))
                order = windows.order
            if stage.downsample is not None:
                grid = torch.arange(height * width).reshape(height, width)
                four = torch.stack([grid[row::2, column::2] for column in range(2) for row in range(2)], dim=-1)
                after = Windows(height // 2, width // 2, window, 0).order
                merging = Moved(order, four.reshape(-1, 4)[after].flatten(), together=4)
                steps += [merging, stage.downsample.norm, stage.downsample.reduction]
                order = after
        self.steps = nn.Sequential(*steps, encoder.norm)
        self.head = audio.clap.audio_projection
        self.adapter = audio.adapter

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Log-mel [n, n_mels, frames] in dB."""
        return self.front(waveform)

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        """Log-mel to unit vectors of the tower; it has one branch."""
        features = self.steps(self.spectrogram(log_mel)).mean(dim=0)
        return [F.normalize(self.adapter(self.head(features)), dim=-1)]
