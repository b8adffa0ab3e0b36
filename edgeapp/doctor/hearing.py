"""The microphone: it exists, opens, and records sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from edgeapp.audio.microphones.capture import Capture
from edgeapp.audio.microphones.channel_health import ChannelFault, Fault, faults_in
from edgeapp.audio.microphones.devices import listing
from edgeapp.audio.microphones.microphone import SEE_DEVICES
from edgeapp.config.settings import Settings
from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Finding, Findings, error, ok, skipped, warning
from edgeapp.errors import DeviceError, UsageError
from edgeapp.station.sources import Microphone, microphones_of

SETTLE_S, RECORD_S = 0.5, 2.0  # cards begin with zeros or a click
STALL_S = 5.0
CLIPPED = 0.999
CLIPPING_SHARE = 0.001
DEAF_DBFS = -90.0  # below the noise of any 16-bit card with its microphone open
OFFSET = 0.1
OF_CHANNELS = {
    Fault.DEAD: "check the plug and the supply of this channel, or choose another one (--channel NUMBER)",
    Fault.NOISY: "check its cable, or take the clearest one (--channel best)",
    Fault.INVERTED: "swap the wires of one of them, or choose one (--channel 1)",
}


@dataclass(frozen=True)
class Sound:
    """What two seconds sound like.

    Attributes
    ----------
    level_dbfs : float
        Root mean square without the offset; ``-inf`` for a flat line.
    peak_dbfs : float
    offset : float
        Mean of the samples, full scale is 1.
    clipped : float
        Share of samples at full scale.
    """

    level_dbfs: float
    peak_dbfs: float
    offset: float
    clipped: float


def sound_of(samples: np.ndarray) -> Sound:
    """Measure samples ``[n]`` float32, full scale 1."""
    offset = float(samples.mean(dtype=np.float64))
    return Sound(
        _dbfs(float(np.sqrt(np.mean((samples.astype(np.float64) - offset) ** 2)))),
        _dbfs(float(np.abs(samples).max())),
        offset,
        float(np.mean(np.abs(samples) >= CLIPPED)),
    )


def judged(name: str, sound: Sound, lost: int = 0) -> Finding:
    """Findings on a microphone with this sound."""
    if sound.level_dbfs == -math.inf:
        what = f"{name}: opens, but gives only one constant value"
        return error("microphone", what, "unmute it (`alsamixer`), check its plug, or choose another --device")
    level = f"{name}: level {sound.level_dbfs:.0f} dBFS, peak {sound.peak_dbfs:.0f} dBFS"
    if sound.clipped > CLIPPING_SHARE:
        share = f"{100 * sound.clipped:.1f} % of samples at full scale"
        return warning("microphone", f"{level}, {share}", "turn the gain down (`alsamixer`)")
    if sound.level_dbfs < DEAF_DBFS:
        return warning("microphone", f"{level}, nearly silent", "turn the gain up (`alsamixer`), check the plug")
    if abs(sound.offset) > OFFSET:
        what = f"{level}, offset {100 * sound.offset:.0f} % of full scale"
        return warning("microphone", what, "check cable and supply of the microphone")
    if lost:
        return warning("microphone", f"{level}, {lost} samples lost in {RECORD_S:g} s", "end other programs")
    return ok("microphone", level)


def microphone(context: Context) -> Findings:
    """Record two seconds from each microphone of the settings."""
    settings = context.settings
    if not context.microphone:
        yield skipped("microphone", "skipped (--no-microphone)")
    elif context.hears_now:
        yield skipped("microphone", "in use by the running station")
    elif settings.input.watch is not None:
        yield skipped("microphone", f"not used: the station watches {settings.input.watch}")
    else:
        try:
            wanted = microphones_of(settings)
        except UsageError as fault:
            yield error("microphone", fault.what, fault.remedy)
            return
        for one in wanted:
            yield from _heard(settings, one)


def _heard(settings: Settings, wanted: Microphone) -> Findings:
    channel = wanted.channel
    try:
        device = wanted.located
        if device is None and all(found.ghost for found in listing()):
            what = "none found"
            yield warning("microphone", what, "plug one in and check that `arecord -l` shows it, or watch a folder")
            return
        source = Capture(device, settings.microphone.backend, stall_s=STALL_S, channel=channel)
        frames: list[np.ndarray] = []
        source.on_frames = frames.append
        samples = _record(source)
    except (DeviceError, UsageError) as fault:
        yield error("microphone", fault.what, fault.remedy or SEE_DEVICES)
        return
    yield judged(source.name, sound_of(samples), source.dropped_samples)
    if frames and not channel.number:  # of one that a person chose, the others do not matter
        skip = round(SETTLE_S * source.rate_hz)
        yield from judged_channels(source.name, faults_in(np.concatenate(frames)[skip:], source.rate_hz))


def judged_channels(name: str, faults: Sequence[ChannelFault]) -> Findings:
    """Findings on the channels of a microphone."""
    for one in faults:
        yield warning("microphone", f"{name}: {one.why}", OF_CHANNELS[one.fault])


def _record(source: Capture) -> np.ndarray:
    skip, wanted = round(SETTLE_S * source.rate_hz), round(RECORD_S * source.rate_hz)
    parts: list[np.ndarray] = []
    with closing(source.blocks()) as blocks:  # type: ignore[type-var]  # a generator
        for block in blocks:
            parts.append(block.samples)
            if sum(map(len, parts)) >= skip + wanted:
                break
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if len(samples) < skip + 1:
        raise DeviceError(f"microphone {source.name} ended after {len(samples)} samples", SEE_DEVICES)
    return samples[skip : skip + wanted]


def _dbfs(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 1e-9 else -math.inf
