"""Settings of clips, their defaults and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeapp.errors import UsageError

FORMATS = {"flac": ("FLAC", "PCM_16"), "wav": ("WAV", "PCM_16"), "ogg": ("OGG", "VORBIS")}  # as libsndfile names them
FORMAT = "flac"
PRE_ROLL_S, POST_ROLL_S, MOST_ROLL_S = 2.0, 2.0, 60.0
LONGEST_S, LEAST_CLIP_S, MOST_CLIP_S = 60.0, 1.0, 600.0
JUDGED_WITHIN_S = 30.0  # how late a window may be judged before the beginning of its clip leaves the ring

DISK_SHARE = 0.9
KEEP_PER_SPECIES = 10


@dataclass(frozen=True)
class ClipSettings:
    """How clips are cut and where they go.

    Attributes
    ----------
    folder : Path
    format : str
        wav and flac (16 bit, every sample as it was heard) or ogg (Vorbis, a tenth of the size).
    pre_roll_s, post_roll_s : float
        Sound before and after the detection.
    longest_s : float
        Detections whose sound touches share one clip up to this length. The rolls are shortened to keep to it; a
        detection itself never is.

    Raises
    ------
    UsageError
        A format that is not known, or a length that is not possible.
    """

    folder: Path
    format: str = FORMAT
    pre_roll_s: float = PRE_ROLL_S
    post_roll_s: float = POST_ROLL_S
    longest_s: float = LONGEST_S

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"clips cannot be written as {self.format!r}", f"choose one of {', '.join(FORMATS)}")
        for name in ("pre_roll_s", "post_roll_s"):
            if not 0 <= getattr(self, name) <= MOST_ROLL_S:
                raise UsageError(f"{name} of a clip is {getattr(self, name):g}", f"give 0 to {MOST_ROLL_S:g} seconds")
        if not LEAST_CLIP_S <= self.longest_s <= MOST_CLIP_S:
            remedy = f"give {LEAST_CLIP_S:g} to {MOST_CLIP_S:g} seconds"
            raise UsageError(f"longest_s of a clip is {self.longest_s:g}", remedy)

    @property
    def ring_s(self) -> float:
        """How much sound a `Ring` must keep for these clips: 92 s for the defaults, 9 MB at 48 kHz."""
        return self.longest_s + self.pre_roll_s + JUDGED_WITHIN_S
