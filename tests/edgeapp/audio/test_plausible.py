"""A fault of a recording is noted once, whatever the blocks in which it is read, and a good one has no note."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import soundfile

from edgeapp.audio.file import FileSource
from edgeapp.audio.plausible import Listening
from edgeapp.audio.resample import resampled

RATE_HZ = 48_000
SECONDS = 5


def fixed(samples: np.ndarray) -> np.ndarray:
    """Samples that are made once, for many tests."""
    samples.flags.writeable = False
    return samples


@cache
def noise(level: float, seed: int = 1, rate_hz: int = RATE_HZ) -> np.ndarray:
    return fixed((level * np.random.default_rng(seed).standard_normal(SECONDS * rate_hz)).astype(np.float32))


@cache
def song(level: float = 0.2, hz: float = 4_000.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    time = np.arange(SECONDS * rate_hz) / rate_hz
    notes = np.clip(5 * np.sin(2 * np.pi * 2 * time), 0, 1)
    warbled = np.sin(2 * np.pi * hz * time + 30 * np.sin(2 * np.pi * 4 * time))
    return fixed((level * notes * warbled).astype(np.float32))


def good() -> np.ndarray:
    return song() + noise(0.002)


def noted(samples: np.ndarray, rate_hz: int = RATE_HZ, block: int = 65_536) -> list[str]:
    frames = samples.reshape(len(samples), 1 if samples.ndim == 1 else samples.shape[1])
    listening = Listening(frames.shape[1], rate_hz)
    given = [listening.add(frames[at : at + block]) for at in range(0, len(frames), block)] + [listening.finish()]
    assert sum(map(len, given)) == len(frames)
    return listening.notes


def with_gaps(samples: np.ndarray, *gaps_s: tuple[float, float]) -> np.ndarray:
    cut = samples.copy()
    for start_s, end_s in gaps_s:
        cut[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] = 0
    return cut


def telephone() -> np.ndarray:
    """A voice sampled at 8 kHz and brought to 48 kHz."""
    import soxr

    return soxr.resample(song(hz=2_000.0, rate_hz=8_000) + noise(0.005, rate_hz=8_000), 8_000, RATE_HZ)


def with_dither(samples: np.ndarray, db: float) -> np.ndarray:
    """What was brought to a higher rate, with noise of that level under the sound added afterwards."""
    return samples + noise(float(samples.std()) * 10 ** (db / 20), 7)


def clipped_below(level: float, gain: float = 1.0, added: float = 0.0) -> np.ndarray:
    """What an amplifier clips before it reaches full scale; then amplified, and a little noise of what follows."""
    return gain * np.clip(8 * song() + noise(0.01), -level, level) + noise(added, 5)


def mains(level: float) -> np.ndarray:
    time = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    return (level * sum(np.sin(2 * np.pi * 50 * n * time) for n in range(1, 16))).astype(np.float32)


def pink() -> np.ndarray:
    spectrum = np.fft.rfft(noise(1.0))
    made = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 20)))
    return (0.01 * made / made.std()).astype(np.float32)


FAULTS = {
    "clipping": (np.clip(8 * song() + noise(0.01), -1, 1), "clipped: "),
    "clipping above": (np.clip(2 * good() + 0.9, -1, 1), "clipped: "),
    "clipping below": (clipped_below(0.7), "clipped at -3 dBFS: "),
    "clipping before a gain": (clipped_below(0.7, 0.1), "clipped at -23 dBFS: "),
    "clipping before noise": (clipped_below(0.7, added=3e-4), "clipped at -3 dBFS: "),
    "clipping on one side": (np.maximum(8 * song() + noise(0.01), -0.7) / 2, "clipped at -9 dBFS: "),
    "offset": (good() + 0.2, "constant offset of +20.0% of full scale"),
    "negative offset": (0.2 * good() - 0.06, "constant offset of -6.0% of full scale"),
    "silence": (np.zeros(SECONDS * RATE_HZ, np.float32), "digital silence: every sample is 0"),
    "low level": (2e-4 * good(), "very low level: hardly ever above "),
    "white noise": (noise(0.05), "nothing stands out of the noise"),
    "pink noise": (pink(), "nothing stands out of the noise"),
    "one dropout": (with_gaps(good() + noise(0.01), (1.9, 2.1)), "1 dropout: zeros for 0.20 s in the midst of sound"),
    "dropouts": (
        with_gaps(good() + noise(0.01), (0.5, 0.51), (1.9, 2.1), (2.995, 3.0), (4.0, 4.005)),
        "4 dropouts: zeros for 0.22 s in the midst of sound",
    ),
    "8 kHz before": (telephone(), "nothing above 4 kHz: it seems to have been recorded at 8 kHz"),
    "8 kHz before, with dither": (
        with_dither(telephone(), -40),
        "nothing above 4 kHz: it seems to have been recorded at 8 kHz",
    ),
    "hum": (0.1 * good() + mains(0.1), "loud steady hum near "),
}


@pytest.mark.parametrize("block", [1_000, 65_536, 10**7])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noted_once(fault, block):
    samples, told = FAULTS[fault]
    notes = noted(samples, block=block)
    [note] = [note for note in notes if not note.startswith("clipped") or told.startswith("clipped")][:1]
    assert note.startswith(told)


@pytest.mark.parametrize("fault", FAULTS)
def test_notes_do_not_depend_on_the_blocks(fault):
    samples, _ = FAULTS[fault]
    assert noted(samples, block=777) == noted(samples, block=65_536) == noted(samples, block=10**7)


def test_16_bits_are_examined_as_they_are():
    clipped = np.clip(8 * song(), -1, 1)
    samples = np.clip(np.round(clipped * 32_768), -32_768, 32_767).astype(np.int16)
    assert noted(samples) == noted(clipped)


@pytest.mark.parametrize(
    "samples",
    [
        good(),
        0.01 * good(),
        good() / np.abs(good()).max(),  # touches full scale
        good() + 0.02,  # a Song Meter's offset
        song() + pink(),
        np.concatenate([np.zeros(RATE_HZ, np.float32), good(), np.zeros(RATE_HZ, np.float32)]),  # silence around it
        np.round(good() * 2_000) / 32_768,  # a quiet one of 16 bits, in which zeros are many
        song(hz=400.0) + pink(),  # an owl
        0.6 * np.tanh(3 * song()) + noise(0.002),  # a limiter
        np.sin(np.arange(SECONDS * RATE_HZ) * 0.01).astype(np.float32) * 0.5 + good(),  # a slow wave
        noise(0.005) + np.sin(np.arange(SECONDS * RATE_HZ) * 0.6).astype(np.float32) * 0.05,  # a cricket
        np.stack([good(), good()], axis=1),
    ],
)
def test_a_good_recording_has_no_note(samples):
    assert noted(samples.astype(np.float32)) == []


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 96_000, 256_000])
def test_any_rate_is_examined(rate_hz):
    assert noted(song(rate_hz=rate_hz, hz=2_000) + noise(0.002, rate_hz=rate_hz), rate_hz) == []


@pytest.mark.parametrize("n", [0, 1, 10, 1_000])
def test_very_short_sound_is_examined_without_an_error(n):
    assert all(isinstance(note, str) for note in noted(good()[:n]))


def test_samples_beyond_reason_are_examined_without_a_word(recwarn):
    noted(noise(1e30))
    assert not recwarn.list


def test_a_file_tells_its_notes_once_it_was_read(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([good() + 0.2, -good() - 0.2], axis=1), RATE_HZ, subtype="FLOAT")
    source = resampled(FileSource(path), 32_000)
    assert list(source.notes) == []
    for _ in source.blocks():
        pass
    assert list(source.notes) == [
        "channels cancel each other: one of them is used instead",
        "constant offset of +20.0% of full scale",
    ]
