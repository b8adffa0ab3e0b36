"""The example clip is what its script makes, and is small."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
import soundfile

from edgeapp.audio.file import FileSource
from edgeapp.examples.synthesise import RATE_HZ, SECONDS, SONGS, main, synthesise
from edgeapp.paths import EXAMPLE


def test_the_example_is_what_the_script_makes():
    written, rate_hz = soundfile.read(str(EXAMPLE), dtype="float32")
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(written, synthesise(SONGS["great-tit"]), atol=1.5 / 32768)


def test_the_example_is_a_small_ordinary_recording():
    source = FileSource(str(EXAMPLE))
    assert (source.duration_s, source.channels, source.notes) == (SECONDS, 1, [])
    assert len(EXAMPLE.read_bytes()) < 500_000
    assert "synthetic" in (resources.files("edgeapp") / "examples" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("song", "lowest_hz", "highest_hz"), [("chiffchaff", 3400, 6000), ("cuckoo", 480, 720), ("great-tit", 3400, 5600)]
)
def test_a_song_sings_where_its_bird_does(song, lowest_hz, highest_hz):
    sound = synthesise(SONGS[song], seconds=10)
    power = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    inside = (hertz > lowest_hz) & (hertz < highest_hz)
    assert power[inside].sum() > 0.8 * power.sum()
    assert np.abs(sound).max() == pytest.approx(0.3, abs=0.01)


def test_seed_seconds_and_rate_can_be_chosen(tmp_path):
    main([str(tmp_path / "a.flac"), "--song", "cuckoo", "--seconds", "11", "--rate", "32000", "--seed", "3"])
    sound, rate_hz = soundfile.read(tmp_path / "a.flac", dtype="float32")
    assert (rate_hz, len(sound)) == (32_000, 352_000)
    assert not np.array_equal(synthesise(SONGS["cuckoo"], seed=1), synthesise(SONGS["cuckoo"], seed=2))
