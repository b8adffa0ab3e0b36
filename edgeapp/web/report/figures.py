"""Spectrograms with boxes: the rows of a recording, and a stretch in detail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np

from edgeapp.audio.spectra.spectrogram import PNG, WEBP, Spectrogram, picture, scale_of, spectrogram
from edgeapp.web.report.attachments import Attachment, Attachments
from edgeapp.web.report.model import COLOURS, Box, Figure, Heard, Sound
from edgeapp.web.report.name import Name

DETAIL_COLUMN_S = 0.01
DETAIL_COLUMNS = 1000  # at most, in one picture
QUALITY = 55  # of WebP


@cache
def picture_format() -> tuple[str, str]:
    """Format of pictures and its media type: WebP unless Pillow was built without it."""
    from PIL import features

    return (WEBP, "image/webp") if features.check("webp") else (PNG, "image/png")


def attached(shades: np.ndarray, store: Attachments) -> Attachment:
    """A picture in grey, which the page colours for dark and light surroundings."""
    format, media_type = picture_format()
    return store.add(picture(shades, None, format, QUALITY), media_type)


def row_pictures(whole: Spectrogram, rows: int, store: Attachments) -> list[tuple[Spectrogram, Attachment]]:
    """A recording in rows of equal length; none where it has no sound."""
    scale = scale_of(whole.levels)
    row_s = (whole.end_s - whole.start_s) / rows
    parts = (whole.between(whole.start_s + row * row_s, whole.start_s + (row + 1) * row_s) for row in range(rows))
    return [(part, attached(scale.shades(part.levels), store)) for part in parts if len(part.levels)]


def detail_picture(
    samples: np.ndarray, rate_hz: int, start_s: float, high_hz: float, store: Attachments
) -> tuple[Spectrogram, Attachment]:
    """A stretch in detail.

    Parameters
    ----------
    samples : np.ndarray
        ``[n]`` float32, mono; at least one.
    rate_hz : int
    start_s : float
        Where it begins, on the clock of its recording.
    high_hz : float
        Upper end of the frequency axis, if that is below the Nyquist frequency.
    store : Attachments
    """
    duration_s = len(samples) / rate_hz
    column_s = max(DETAIL_COLUMN_S, duration_s / DETAIL_COLUMNS, 1 / rate_hz)
    found = spectrogram(samples, rate_hz, column_s, high_hz=high_hz, start_s=start_s)
    return found, attached(scale_of(found.levels).shades(found.levels), store)


def figure(
    shown: Spectrogram,
    attachment: Attachment,
    recording: str,
    title: str,
    heard: Iterable[Heard],
    colours: Mapping[Name, int],
    sounds: Sequence[Sound] = (),
    own: Sound | None = None,
    caption: str = "",
) -> Figure:
    """A spectrogram with the detections that lie in it.

    Parameters
    ----------
    shown : Spectrogram
    attachment : Attachment
        Its picture.
    recording, title : str
    heard : iterable of Heard
        Of this recording.
    colours : Mapping
        Taxon to the number of its colour.
    sounds : sequence of Sound
        Of this recording.
    own : Sound, optional
        The one that is played below this figure.
    caption : str, optional
    """
    boxes = tuple(_boxes(shown, heard, colours, sounds))
    return Figure(
        recording,
        title,
        shown.start_s,
        shown.end_s,
        shown.high_hz / 1000,
        attachment,
        boxes,
        own,
        next((one for one in sounds if covers(one, (shown.start_s + shown.end_s) / 2)), None),
        caption,
    )


def _boxes(
    shown: Spectrogram, heard: Iterable[Heard], colours: Mapping[Name, int], sounds: Sequence[Sound]
) -> Iterable[Box]:
    length_s = shown.end_s - shown.start_s
    lane_ends: list[float] = []
    inside = [one for one in heard if one.start_s < shown.end_s and one.end_s > shown.start_s]
    for one in sorted(inside, key=lambda one: (one.start_s, -one.end_s)):
        start_s, end_s = max(one.start_s, shown.start_s), min(one.end_s, shown.end_s)
        lane = next((lane for lane, end in enumerate(lane_ends) if end <= start_s + 1e-6), len(lane_ends))
        lane_ends[lane:] = [end_s, *lane_ends[lane + 1 :]]
        yield Box(
            one,
            round(100 * (start_s - shown.start_s) / length_s, 3),
            round(100 * (end_s - start_s) / length_s, 3),
            lane,
            colours.get(one.name, 0) % COLOURS,
            any(covers(sound, one.best_s) for sound in sounds),
        )


def covers(sound: Sound, at_s: float) -> bool:
    """Whether a moment of the recording is in a sound."""
    return sound.start_s <= at_s < sound.end_s
