"""The encoders of a pack, as ``pack.json`` describes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from edgeapp.audio.centred import OFFSETS, REMOVED
from edgeapp.audio.cutting import BEGINNING, STARTS, Cutting
from edgeapp.audio.resample import RESAMPLERS, SOXR
from edgeapp.audio.windows import HOP_S, MIN_CLIP_S, PADS, REPEAT
from edgeapp.pack.split import SplitSpec
from edgeapp.pack.values import boolean, number, shown, whole, words

RATES_HZ = (1_000, 1_000_000)  # of sound that an encoder takes; bats are recorded at up to 500 kHz
WINDOWS_S = (0.05, 300.0)
MOST_WINDOW_SAMPLES = 1 << 24  # 64 MB, and a batch has several
HOPS_S = (0.001, 3_600.0)
LATER = (
    "start",
    "resampler",
    "min_clip_s",
    "offset",
)  # fields that older programs do not know, written where they say something
MOST_TOKENS = 8_192
SIZES_PX = (8, 4_096)


@dataclass(frozen=True)
class AudioSpec:
    """The audio encoder: waveform ``[n, round(rate_hz * window_s)]`` in, vectors ``[n, dim]`` out.

    Attributes
    ----------
    hop_s : float
        Seconds between windows if nobody says otherwise.
    pad : str
        How a sound shorter than a window fills it: ``repeat`` from its start, or ``zero`` after its end.
    unit : bool
        Whether vectors are of unit length. The lengths of others count for class vectors.
    start, resampler, min_clip_s, offset
        See `edgeapp.audio.cutting.Cutting`.
    """

    file: str
    rate_hz: int
    window_s: float
    input: str = "waveform"
    output: str = "embedding"
    split: SplitSpec | None = None
    hop_s: float = HOP_S
    pad: str = REPEAT
    unit: bool = True
    start: str = BEGINNING
    resampler: str = SOXR
    min_clip_s: float = MIN_CLIP_S
    offset: str = REMOVED

    def __post_init__(self) -> None:
        for name in ("file", "input", "output"):
            words(f"audio: {name}", getattr(self, name))
        whole("audio: rate_hz", self.rate_hz, *RATES_HZ)
        number("audio: window_s", self.window_s, *WINDOWS_S)
        number("audio: hop_s", self.hop_s, *HOPS_S)
        if self.window_samples > MOST_WINDOW_SAMPLES:
            raise ValueError(f"audio: a window of {self.window_samples} samples, more than {MOST_WINDOW_SAMPLES}")
        number("audio: min_clip_s", self.min_clip_s, 0.0, WINDOWS_S[1])
        choices_of = {"pad": PADS, "start": STARTS, "resampler": RESAMPLERS, "offset": OFFSETS}
        for name, choices in choices_of.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"audio: {name} must be {' or '.join(choices)}, not {shown(getattr(self, name))}")
        boolean("audio: unit", self.unit)
        if self.split is not None:
            whole("audio: split: hop", self.split.hop, 1, self.window_samples)

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.rate_hz * self.window_s)

    @property
    def cutting(self) -> Cutting:
        """How sound becomes its windows."""
        how = {name: getattr(self, name) for name in ("pad", *LATER)}
        return Cutting(self.rate_hz, self.window_s, self.hop_s, **how)

    def to_dict(self) -> dict[str, Any]:
        """The encoder as ``pack.json`` has it."""
        usual = {field.name: field.default for field in fields(self) if field.name in LATER}
        return {name: value for name, value in asdict(self).items() if name not in usual or value != usual[name]}


@dataclass(frozen=True)
class TextSpec:
    """The text encoder: token ids ``[n, context]`` in, unit vectors ``[n, dim]`` out."""

    file: str
    tokenizer: str
    context: int
    input: str = "tokens"
    output: str = "embedding"

    def __post_init__(self) -> None:
        for name in ("file", "tokenizer", "input", "output"):
            words(f"text: {name}", getattr(self, name))
        whole("text: context", self.context, 1, MOST_TOKENS)


@dataclass(frozen=True)
class ImageSpec:
    """The image encoder: RGB 0..255 ``[n, 3, size, size]`` in, unit vectors ``[n, dim]`` out."""

    file: str
    size: int
    input: str = "image"
    output: str = "embedding"

    def __post_init__(self) -> None:
        for name in ("file", "input", "output"):
            words(f"image: {name}", getattr(self, name))
        whole("image: size", self.size, *SIZES_PX)
