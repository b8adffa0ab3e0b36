"""What an encoder wants to hear decides how sound is cut."""

from __future__ import annotations

import numpy as np
import pytest

from edgeapp.audio.centred import KEPT
from edgeapp.audio.cutting import ONSET, Cutting
from edgeapp.audio.memory import MemorySource
from edgeapp.errors import AudioError

RATE_HZ = 1_000
SOUND = np.concatenate([np.zeros(3 * RATE_HZ), np.ones(4 * RATE_HZ)]).astype(np.float32)


def spans(cutting: Cutting, sound: np.ndarray, live: bool = False) -> list[tuple[float, float]]:
    source = MemorySource(sound, RATE_HZ, live=live)
    return [(window.start_s, window.end_s) for window in cutting.windows(source)]


def test_windows_start_at_the_onset_on_the_clock_of_the_recording() -> None:
    cutting = Cutting(RATE_HZ, 2.0, 1.0, start=ONSET)
    assert spans(cutting, SOUND) == pytest.approx(np.array([(2.8, 4.8), (3.8, 5.8), (4.8, 6.8), (5.0, 7.0)]))
    assert spans(Cutting(RATE_HZ, 2.0, 1.0), SOUND)[0] == (0.0, 2.0)


def test_a_microphone_is_heard_from_its_beginning() -> None:
    assert spans(Cutting(RATE_HZ, 2.0, 1.0, start=ONSET), SOUND, live=True)[0] == (0.0, 2.0)


def test_the_shortest_sound_that_is_heard_is_the_encoders_own() -> None:
    click = np.ones(300, np.float32)
    with pytest.raises(AudioError, match="at least 0.5 s"):
        spans(Cutting(RATE_HZ, 2.0), click)
    assert spans(Cutting(RATE_HZ, 2.0, min_clip_s=0.05), click) == [(0.0, 0.3)]


def test_the_hop_can_be_another() -> None:
    source = MemorySource(SOUND, RATE_HZ)
    assert [window.start_s for window in Cutting(RATE_HZ, 3.0, 1.0).windows(source, 2.0)] == [0.0, 2.0, 4.0]


def test_an_offset_is_removed_unless_the_encoder_keeps_it() -> None:
    tone = np.sin(np.arange(4 * RATE_HZ, dtype=np.float32)) / 10
    means = [
        window.samples.mean()
        for cutting in (Cutting(RATE_HZ, 2.0), Cutting(RATE_HZ, 2.0, offset=KEPT))
        for window in cutting.windows(MemorySource(tone + np.float32(0.2), RATE_HZ), 4.0)
    ]
    assert means == pytest.approx([0.0, 0.0, 0.2, 0.2], abs=0.001)
