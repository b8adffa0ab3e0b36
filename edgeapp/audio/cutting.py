"""How sound becomes the windows of an encoder: on the device, in galleries, and in the trainer's evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgeapp.audio.centred import REMOVED, centred
from edgeapp.audio.onset import FromOnset
from edgeapp.audio.resample import SOXR, resampled
from edgeapp.audio.source import AudioSource
from edgeapp.audio.windows import HOP_S, MIN_CLIP_S, REPEAT, Window, windows

BEGINNING, ONSET = STARTS = ("beginning", "onset")


@dataclass(frozen=True)
class Cutting:
    """Input requirements of an encoder.

    Attributes
    ----------
    rate_hz : int
    window_s, hop_s : float
        Length of a window, and seconds from one to the next.
    pad : str
        How a sound shorter than a window fills it, see `edgeapp.audio.windows.fill`.
    start : str
        Where recordings are heard from: ``beginning``, or ``onset`` (`edgeapp.audio.onset`). A microphone is heard from
        its beginning.
    resampler : str
        ``soxr``, or ``sinc`` (`edgeapp.audio.sinc`).
    min_clip_s : float
        Minimum length of a sound, in seconds.
    offset : str
        Whether a constant offset is ``removed`` or ``kept``, see `edgeapp.audio.centred`.
    """

    rate_hz: int
    window_s: float
    hop_s: float = HOP_S
    pad: str = REPEAT
    start: str = BEGINNING
    resampler: str = SOXR
    min_clip_s: float = MIN_CLIP_S
    offset: str = REMOVED

    def windows(self, source: AudioSource, hop_s: float | None = None) -> Iterator[Window]:
        """The windows of a source at any rate, in order.

        Parameters
        ----------
        hop_s : float or None
            Seconds between windows, instead of the encoder's own.

        Raises
        ------
        AudioError
            As `edgeapp.audio.windows.windows`.
        """
        heard = resampled(centred(source, self.offset), self.rate_hz, self.resampler)
        if self.start == ONSET and not source.live:
            heard = FromOnset(heard)
        hop = self.hop_s if hop_s is None else hop_s
        return windows(heard, self.window_s, hop, self.min_clip_s, self.pad)
