"""HTS-AT rewritten for an efficient graph: the same weights with as little movement of data as possible.

The library's module partitions the tokens into windows and reverses that in each block, and projects to queries, keys
and values one after the other. Here the tokens of a block are in the order of its windows from its first norm to its
last sum, and one Gather reorders them for the next block, including its cyclic shift or patch merging. Queries, keys
and values are one layer, which includes the scale of the scores. Only the bias of the queries remains: that of the keys
is constant over a softmax, and that of the values can be moved behind it, because its weights sum to one. Relative
position bias and shift mask are added as one tensor. The bicubic interpolation of the spectrogram to the size of the
network is a product with the few frames that it uses.

Tokens are [tokens, n, channels] with the positions of a window outermost, so ONNX Runtime uses queries, keys and values
in its products without transposing them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.models.clap import ClapTower
from trainer.models.vita import SoundTower

MASKED = -100.0  # as in the library: added to scores between tokens that only the cyclic shift made neighbours
STRETCH = 64  # maximum number of frames interpolated by one matrix


def rewritten(audio: ClapTower, samples: int) -> SoundTower:
    """The tower rewritten for export, or unchanged if it has a part that this module does not support.

    Parameters
    ----------
    samples : length of a window
    """
    frames = audio.front.config.frames(samples)
    encoder = audio.clap.audio_model.audio_encoder
    if not supported(encoder, frames):
        return audio
    with torch.no_grad():
        return HtsAt(audio, frames).eval()


def supported(encoder: Any, frames: int) -> bool:
    """Whether an encoder is unfused and consists of whole patches, windows and pairs of tokens."""
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
    """Height and width, given as two numbers or as one for both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer with given weights."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    made.weight = nn.Parameter(weight.clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.clone())
    return made


def bias_of(layer: nn.Linear) -> Tensor:
    """The bias of a layer, or zeros."""
    return layer.bias if layer.bias is not None else torch.zeros(layer.out_features)


class Windows:
    """The partition of a grid of tokens into windows after a cyclic shift.

    Attributes
    ----------
    order : [tokens] tokens of the grid (in row-major order) by position in a window, then by window
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
        self.part = partition(3 * parts(height)[:, None] + parts(width))  # parts that only the shift made neighbours

    def mask(self) -> Tensor:
        """Mask added to scores: [windows, 1, 1, places, places], or [1, 1, 1, 1, 1] without a shift."""
        if not self.shift:
            return torch.zeros(1, 1, 1, 1, 1)
        part = self.part.reshape(self.places, -1).T
        separate = part[:, :, None] != part[:, None, :]
        return MASKED * separate[:, None, None].float()


class Spectrogram(nn.Module):
    """Log-mel [n, bands, frames] to patches [tokens, n, values of a patch], in row-major order, each column by column.

    As in the library: normalise each band, interpolate frames and bands, stack segments of time as an image, and cut it
    into patches.
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
    """The library's bicubic interpolation along one axis as a matrix [after, before]."""
    one = torch.eye(before)
    if before == after:
        return one
    return F.interpolate(one[None, None], (after, before), mode="bicubic", align_corners=True)[0, 0]


def stretches(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Split a matrix [after, before] with a diagonal band into small ones for segments of the output.

    Returns
    -------
    Inputs of each segment, concatenated [count * each], and their matrices [count, rows, each].
    """
    after, before = matrix.shape
    rows = max(size for size in range(1, STRETCH + 1) if after % size == 0)
    matrix = matrix.reshape(-1, rows, before)
    used = [columns.nonzero()[:, 0] for columns in matrix.ne(0.0).any(dim=1)]
    each = max(int(columns[-1] - columns[0]) + 1 for columns in used)
    first = torch.tensor([min(int(columns[0]), before - each) for columns in used])
    taken = first[:, None] + torch.arange(each)
    return taken.flatten(), matrix.gather(2, taken[:, None].expand(-1, rows, -1))


class Reordered(nn.Module):
    """Tokens [tokens, n, channels] from one order to another, with `together` adjacent tokens merged into one."""

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
    """A block on tokens [tokens, n, channels] in the order of its windows."""

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
        """Attention within windows."""
        count, _, channels = tokens.shape
        query, key, value = self.project(tokens).split(channels, dim=2)
        query, key, value = (
            part.reshape(self.places, -1, self.width).transpose(0, 1) for part in (query + self.query, key, value)
        )
        bias = self.bias.index_select(0, self.kind)  # expanded when the graph is loaded, which keeps the file small
        scores = torch.matmul(query, key.transpose(1, 2)).reshape(len(self.kind), -1, *self.bias.shape[2:])
        weights = (scores + bias).softmax(dim=-1).reshape(-1, self.places, self.places)
        return self.out(torch.matmul(weights, value).transpose(0, 1).reshape(count, -1, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attend(self.before(tokens))
        return tokens + self.narrow(self.act(self.widen(self.after(tokens))))


class Gelu(nn.Module):
    """GELU, with the order of factors that ONNX Runtime fuses into one operator."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1.0 + torch.erf(x / math.sqrt(2.0))) * 0.5


class HtsAt(SoundTower):
    """Waveform to unit vectors, equal to those of the original tower.

    Parameters
    ----------
    frames : number of frames of a window, which is fixed
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
        steps: list[nn.Module] = [Reordered(torch.arange(len(order)), order)]
        steps += [linear(patch.proj.weight.transpose(2, 3).flatten(1), patch.proj.bias), patch.norm]
        for stage, (height, width) in zip(encoder.layers, encoder.input_resolutions, strict=True):
            for block in stage.blocks:
                shift = block.shift_size if min(height, width) > window else 0
                windows = Windows(height, width, window, shift)
                if not torch.equal(order, windows.order):
                    steps.append(Reordered(order, windows.order))
                steps.append(Block(block, windows, gelu))
                order = windows.order
            if stage.downsample is not None:
                grid = torch.arange(height * width).reshape(height, width)
                four = torch.stack([grid[row::2, column::2] for column in range(2) for row in range(2)], dim=-1)
                after = Windows(height // 2, width // 2, window, 0).order
                merging = Reordered(order, four.reshape(-1, 4)[after].flatten(), together=4)
                steps += [merging, stage.downsample.norm, stage.downsample.reduction]
                order = after
        self.steps = nn.Sequential(*steps, encoder.norm)
        self.head = audio.clap.audio_projection
        self.adapter = audio.adapter

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Log-mel [n, n_mels, frames] in dB."""
        return self.front(waveform)

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        """Log-mel to unit vectors of the tower, which has one branch."""
        features = self.steps(self.spectrogram(log_mel)).mean(dim=0)
        return [F.normalize(self.adapter(self.head(features)), dim=-1)]
