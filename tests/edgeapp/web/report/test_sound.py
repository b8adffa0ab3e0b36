"""Sound of a report is a small file that sounds like the recording, louder where that is quiet."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from edgeapp.web.report import sound
from edgeapp.web.report.sound import encode, gain_db, rate_of
from tests.edgeapp import toy_pack as toy


@pytest.mark.parametrize(
    ("rate_hz", "encoded_hz"), [(4_000, 8_000), (8_000, 8_000), (22_050, 22_050), (32_000, 32_000), (250_000, 32_000)]
)
def test_sound_is_encoded_at_a_rate_that_mp3_has(rate_hz, encoded_hz):
    assert rate_of(rate_hz) == encoded_hz


@pytest.mark.parametrize("rate_hz", sound.RATES_HZ)
def test_sound_is_small_and_as_long_as_it_was(rate_hz):
    samples = toy.tone(440, seconds=5, rate_hz=rate_hz)
    made = encode(np.array_split(samples, 7), rate_hz)
    heard, read_hz = soundfile.read(io.BytesIO(made.content))
    assert made.media_type == "audio/mpeg" and read_hz == rate_hz
    assert len(made.content) == pytest.approx(64_000 / 8 * 5, rel=0.15)
    assert len(heard) == pytest.approx(len(samples), abs=2_400)
    assert int(np.abs(np.fft.rfft(heard)).argmax()) * rate_hz / len(heard) == pytest.approx(440, abs=1)


@pytest.mark.parametrize(("peak", "gain"), [(1.0, 0), (0.8, 0), (0.1, 19), (1e-6, 40), (0.0, 0)])
def test_quiet_sound_is_made_louder_within_reason(peak, gain):
    assert gain_db(peak) == pytest.approx(gain)


def test_a_gain_changes_the_sound_and_does_not_wrap_round():
    made = encode([toy.tone(440, seconds=2, level=0.5)], toy.RATE_HZ, gain_db=20.0)
    heard, _ = soundfile.read(io.BytesIO(made.content))
    assert 0.9 < np.abs(heard).max() < 1.4


def test_without_mp3_in_libsndfile_it_is_vorbis(monkeypatch):
    monkeypatch.setattr(soundfile, "check_format", lambda *format: False)
    sound._format.cache_clear()
    try:
        made = encode([toy.tone(440, seconds=2)], toy.RATE_HZ)
    finally:
        sound._format.cache_clear()
    assert made.media_type == "audio/ogg" and made.content[:4] == b"OggS"
