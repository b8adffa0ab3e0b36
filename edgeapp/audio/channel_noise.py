"""How noisy the channels of a sound are, beside each other."""

from __future__ import annotations

import numpy as np

from edgeapp.audio.spectra.bands import HIGH, LOW, Levels, Spectra

EVERY = 4  # of so many frames that are looked at one is looked at for noise
FLOOR = 0.2  # of the frames of a sound are quieter than its noise floor
PEAKS = 0.98  # are quieter than what stands out of it
NOISY_DB = 20.0  # above the floor of another channel
HUM_DB = 10.0  # that a microphone may have above another one
CLEARER_DB = 6.0  # by which that channel's sound stands out more
DEAF_DB = 35.0  # below the loudest sounds of another channel: what a plug without a microphone has is its own noise


class ChannelNoise:
    """How far sound stands out of the noise of each channel, in constant memory."""

    def __init__(self, channels: int) -> None:
        self._floors = {band: [Levels() for _ in range(channels)] for band in (LOW, HIGH)}
        self._peaks = [Levels() for _ in range(channels)]

    def add(self, spectra: Spectra, powers: np.ndarray) -> None:
        """Count cells ``[channels, frames, bins]``."""
        some = powers[:, ::EVERY]
        for band, floors in self._floors.items():
            cells = some[:, :, spectra.bins(band)]
            if not cells.size:
                continue
            for floor, found in zip(floors, np.median(cells, axis=2), strict=True):
                floor.add(found)
            if band == HIGH:
                for peak, found in zip(self._peaks, cells.max(axis=2), strict=True):
                    peak.add(found)

    def clarity_db(self, channel: int) -> float:
        """How far the peaks of a channel, from 0, are above its noise in the band of most voices, 1 to 10 kHz."""
        return self._peaks[channel].db(PEAKS) - self._floors[HIGH][channel].db(FLOOR)

    def hum_db(self, channel: int, others: list[int]) -> float:
        """How much more of the noise of a channel is below the voices than in the other channel with least of that."""

        def tilt(one: int) -> float:
            return self._floors[LOW][one].db(FLOOR) - self._floors[HIGH][one].db(FLOOR)

        return tilt(channel) - min(tilt(other) for other in others)

    def merit_db(self, channel: int, among: list[int]) -> float:
        """How good a channel is: `clarity_db`, less a hum that others do not have."""
        others = [one for one in among if one != channel]
        return self.clarity_db(channel) - (max(0.0, self.hum_db(channel, others) - HUM_DB) if others else 0.0)

    def excess_db(self, channel: int, others: list[int]) -> float:
        """How far the noise of a channel is above that of the quietest other one, in the band where that is most."""
        return max(
            floors[channel].db(FLOOR) - min(floors[other].db(FLOOR) for other in others)
            for floors in self._floors.values()
        )

    def noisy(self, channels: list[int], less_db: float = 0.0) -> list[tuple[int, float]]:
        """Which of these channels, from 0, are far noisier than another one that hears more, and by how much in dB.

        All bounds may be lower by `less_db`.
        """
        found = []
        for channel in channels:
            others = [one for one in channels if one != channel]
            if not others:
                continue
            excess = self.excess_db(channel, others)
            clearer = max(self.clarity_db(other) for other in others) - self.clarity_db(channel)
            hums = self.hum_db(channel, others) >= NOISY_DB - less_db
            if excess >= NOISY_DB - less_db and (clearer >= CLEARER_DB - less_db or hums):
                found.append((channel, excess))
        return found

    def deaf(self, channels: list[int]) -> list[tuple[int, float]]:
        """Which of these channels, from 0, have none of what another one hears, and by how much in dB it is louder."""
        found = []
        for channel in channels:
            others = [one for one in channels if one != channel]
            if not others:
                continue
            below = max(self._peaks[other].db(PEAKS) for other in others) - self._peaks[channel].db(PEAKS)
            clearer = max(self.clarity_db(other) for other in others) - self.clarity_db(channel)
            if below >= DEAF_DB and clearer >= CLEARER_DB:
                found.append((channel, below))
        return found

    def notes(self, channels: list[int]) -> list[str]:
        """`deaf` and `noisy` in words."""
        return [
            f"channel {channel + 1} hears next to nothing, {below:.0f} dB below another one: try --channel best"
            for channel, below in self.deaf(channels)
        ] + [
            f"channel {channel + 1} is noisy, {excess:.0f} dB above another one: try --channel best"
            for channel, excess in self.noisy(channels)
        ]
