"""The spectrograms that a page shows of sound as it comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeapp.audio.source import Block
from edgeapp.clips.ring import Ring
from edgeapp.web.live import Live

RATE_HZ = 16_000


@dataclass(eq=False)
class Worker:
    """A source of the station, as far as a page looks at it."""

    name: str


def heard(seconds: float) -> Ring:
    ring = Ring(RATE_HZ, 5.0)
    tone = np.sin(2 * np.pi * 2_000 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)
    ring.add(Block(0, tone))
    return ring


def test_only_the_newest_stream_of_a_source_is_kept():
    live, recorder = Live(), Worker("night-1.wav")
    live.opened(recorder, heard(1.0))
    recorder.name = "night-2.wav"
    live.opened(recorder, heard(2.0))
    live.opened(Worker("usb"), heard(1.0))
    assert [(sound.name, sound.number) for sound in live._now()] == [("night-2.wav", 2), ("usb", 3)]


def test_a_tone_is_bright_in_its_row_alone():
    live = Live()
    live.opened(Worker("usb"), heard(2.0))
    [sound] = live._now()
    sound.advance()
    columns = sound.after(0)
    assert len(columns.values) > 30 and -3.2 < columns.level_dbfs < -2.8
    row = int(columns.values.mean(axis=0).argmax())
    assert abs((row + 0.5) * sound.high_hz / columns.values.shape[1] - 2_000) < 150
    assert np.sort(columns.values.mean(axis=0))[-10] < 0.7 * columns.values.mean(axis=0).max()
