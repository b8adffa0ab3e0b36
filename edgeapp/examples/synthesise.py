"""Make a bird-like song from nothing: deterministic, so that anybody can make the example again, sample by sample.

A song is a list of notes; a note is a tone that slides through a few frequencies while it swells and fades, with a
weaker octave above it. The frequencies and times are those field guides give for the species.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RATE_HZ = 48_000
SECONDS = 12.0
SEED = 5
OCTAVE = 0.12  # strength of the octave: a whistle, not a flute
WIND = 0.0001  # -80 dBFS: a still morning, and a file that stays small
PEAK = 0.3


@dataclass(frozen=True)
class Note:
    """One note.

    Attributes
    ----------
    seconds : float
    hertz : tuple of float
        Frequencies it slides through, evenly spaced in time.
    loudness : float
        0 to 1.
    """

    seconds: float
    hertz: tuple[float, ...]
    loudness: float = 1.0


@dataclass(frozen=True)
class Song:
    """Phrases of notes, again and again.

    Attributes
    ----------
    phrases : tuple of tuple of Note
        One is chosen each time.
    between_notes_s, between_phrases_s : float
        From the end of one to the start of the next.
    phrases_per_bout : int
        How many phrases follow each other before a longer rest of ``rest_s``.
    rest_s : float
    """

    phrases: tuple[tuple[Note, ...], ...]
    between_notes_s: float
    between_phrases_s: float
    phrases_per_bout: int
    rest_s: float


_CHIFF = (Note(0.11, (7200, 5600, 4700, 4500)),)
_CHAFF = (Note(0.12, (5800, 4600, 3700, 3600), 0.9),)
_TEACHER = (Note(0.13, (5400, 5300)), Note(0.16, (3700, 3650), 0.9))
_CUCKOO = (Note(0.22, (660, 680, 670)), Note(0.32, (545, 550, 530), 0.9))

SONGS = {
    # two notes of about 0.1 s, falling to 4.5 and 3.6 kHz, three a second, in no order
    "chiffchaff": Song((_CHIFF, _CHAFF), 0.0, 0.23, 12, 0.9),
    # a falling third near 600 Hz, a call every 1.3 s
    "cuckoo": Song((_CUCKOO,), 0.12, 0.65, 6, 1.5),
    # "tea-cher tea-cher": high then low, twice a second
    "great-tit": Song((_TEACHER,), 0.04, 0.11, 6, 1.6),
}


def synthesise(song: Song, seconds: float = SECONDS, rate_hz: int = RATE_HZ, seed: int = SEED) -> np.ndarray:
    """Sing.

    Parameters
    ----------
    song : Song
    seconds : float
        Length of the sound; a note that would not fit is not begun.
    rate_hz : int
    seed : int
        Chooses phrases and the small differences between notes.

    Returns
    -------
    np.ndarray
        ``[round(seconds * rate_hz)]`` float32, its peak at 0.3.
    """
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * rate_hz))
    at_s, sung = 0.4, 0
    while True:
        for note in song.phrases[rng.integers(len(song.phrases))]:
            tone = _tone(note, rate_hz, pitch=1.0 + 0.01 * rng.standard_normal(), loudness=rng.uniform(0.8, 1.0))
            start = round(at_s * rate_hz)
            if start + len(tone) > len(sound):
                sound *= PEAK / max(np.abs(sound).max(), 1e-9)
                return (sound + _wind(len(sound), rng)).astype(np.float32)
            sound[start : start + len(tone)] += tone
            at_s += note.seconds + song.between_notes_s
        sung += 1
        at_s += song.between_phrases_s * rng.uniform(0.9, 1.1)
        if sung % song.phrases_per_bout == 0:
            at_s += song.rest_s


def _tone(note: Note, rate_hz: int, pitch: float, loudness: float) -> np.ndarray:
    n = round(note.seconds * rate_hz)
    place = np.linspace(0.0, 1.0, n)
    hertz = pitch * np.interp(place, np.linspace(0.0, 1.0, len(note.hertz)), note.hertz)
    phase = 2 * np.pi * np.cumsum(hertz) / rate_hz
    swell = np.sin(np.pi * place**0.7) ** 2  # quicker to come than to go
    return note.loudness * loudness * swell * (np.sin(phase) + OCTAVE * np.sin(2 * phase))


def _wind(n: int, rng: np.random.Generator) -> np.ndarray:
    """Noise, softer with each octave as outdoor noise is."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum *= 1.0 / np.sqrt(np.arange(len(spectrum)) + n / 500)
    wind = np.fft.irfft(spectrum, n)
    return WIND * wind / wind.std()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a song to a file."""
    import soundfile

    parser = argparse.ArgumentParser(description="Make a synthetic bird-like song.")
    parser.add_argument("path", help="file to write, such as example.flac")
    parser.add_argument("--song", choices=sorted(SONGS), default="great-tit")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=int, default=RATE_HZ)
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args(arguments)
    sound = synthesise(SONGS[chosen.song], chosen.seconds, chosen.rate, chosen.seed)
    soundfile.write(chosen.path, sound, chosen.rate, subtype="PCM_16")


if __name__ == "__main__":
    main()
