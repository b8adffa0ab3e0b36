"""A microphone as an audio source, through PortAudio.

The callback runs on PortAudio's own thread, so it only copies what arrived into a bounded queue. What does not fit is
counted and its place on the sample clock is kept: the consumer hears zeros there, and every later position stays true.
"""

from __future__ import annotations

import logging
import queue
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeapp import foreign
from edgeapp.audio.source import Block
from edgeapp.errors import DeviceError

log = logging.getLogger(__name__)

BLOCK_S = 0.1  # one callback; shorter wakes small boards for nothing, longer delays the end of a window
LATENCY_S = 0.5  # buffer asked of the driver: a small board that is busy for less loses nothing
QUEUE_S = 30.0  # sound kept while the encoder is busy, before samples are dropped
STALL_S = 10.0  # without a sample for this long the microphone counts as lost
PREFERRED_HZ = 48_000  # what nearly every card and sound server runs at; PortAudio calls 44.1 kHz the default of any
RATES_HZ = (44_100, 32_000, 96_000, 192_000, 16_000)  # tried after that and the device's default

MOST_CHANNELS, FEW_CHANNELS = 8, 2

SEE_DEVICES = "see the microphones with `biovita-edge devices`"

# The Jetson's audio processing engine shows its internal links as twenty cards, most with 16 inputs that hear nothing.
GHOST = re.compile(r"\bAPE\b|tegra-dlink|ADMAIF", re.IGNORECASE)


def channels_to_record(offered: int | None, number: int = 0) -> int:
    """How many channels of a device are recorded.

    All that a card has, since one of them alone may be the dead one. A device without a card behind it, such as a
    sound server's, offers dozens and has none of its own.

    Parameters
    ----------
    offered : int or None
        Most channels of the device, where that is known.
    number : int
        A channel that is wanted, from 1; 0 for none in particular.
    """
    return max(number, offered if offered and offered <= MOST_CHANNELS else FEW_CHANNELS)


@dataclass(frozen=True)
class InputDevice:
    """One device that can record.

    Attributes
    ----------
    index : int
        PortAudio's number; changes when devices come and go.
    channels : int
        Most channels it records at once.
    rate_hz : int
        What PortAudio calls its default rate.
    default : bool
        Used when no device is named.
    ghost : bool
        An internal link of a Jetson that announces inputs; reachable by its index only.
    """

    index: int
    name: str
    host_api: str
    channels: int
    rate_hz: int
    default: bool = False
    ghost: bool = False


def inputs(
    devices: Sequence[Mapping[str, Any]], host_apis: Sequence[Mapping[str, Any]], default: int = -1
) -> list[InputDevice]:
    """The devices that can record, ghosts among them, out of PortAudio's whole list.

    Parameters
    ----------
    devices, host_apis
        As `sounddevice.query_devices()` and `sounddevice.query_hostapis()` return them.
    default : int
        Index of the default input, -1 where PortAudio knows none.
    """
    found = [
        InputDevice(
            index=index,
            name=device["name"],
            host_api=host_apis[device["hostapi"]]["name"],
            channels=device["max_input_channels"],
            rate_hz=round(device["default_samplerate"]),
            ghost=bool(GHOST.search(device["name"])),
        )
        for index, device in enumerate(devices)
        if device["max_input_channels"] > 0
    ]
    usable = [device.index for device in found if not device.ghost]
    # A board whose default cannot hear anything still has a microphone worth taking: the first real one.
    chosen = default if default in usable else usable[0] if usable else None
    return [replace(device, default=device.index == chosen) for device in found]


def find(devices: Sequence[InputDevice], wanted: str | int | None = None) -> InputDevice:
    """The one device meant by an index, by part of a name (any case), or by nothing (the default).

    Raises
    ------
    DeviceError
        No microphone at all, no such index or name, or a name that fits several.
    """
    visible = [device for device in devices if not device.ghost]
    if isinstance(wanted, str) and wanted.strip().isdecimal():
        wanted = int(wanted)
    if isinstance(wanted, int):
        for device in devices:
            if device.index == wanted:
                return device
        raise DeviceError(f"no microphone has index {wanted}{_choice(visible)}", SEE_DEVICES)
    if not visible:
        raise DeviceError("no microphone found", "plug one in and check that `arecord -l` shows it")
    if wanted is None:
        return next(device for device in visible if device.default)
    part = wanted.strip().casefold()
    exact = [device for device in visible if device.name.casefold() == part]
    fitting = exact or [device for device in visible if part in f"{device.name}, {device.host_api}".casefold()]
    if not fitting:
        raise DeviceError(f"no microphone matches {wanted!r}{_choice(visible)}", SEE_DEVICES)
    if len(fitting) > 1:
        raise DeviceError(
            f"{wanted!r} fits {len(fitting)} microphones{_choice(fitting)}", "give more of the name, or the index"
        )
    return fitting[0]


def _choice(devices: Sequence[InputDevice]) -> str:
    return " (there is " + ", ".join(f"{device.index}: {device.name}" for device in devices) + ")" if devices else ""


def all_devices() -> list[InputDevice]:
    """What PortAudio says can record, ghosts among them.

    Raises
    ------
    DeviceError
        PortAudio is missing.
    """
    return _all_inputs(_portaudio())


class Microphone:
    """A microphone as an `AudioSource`: mono float32 blocks, gap-free on the sample clock of the sound card.

    Parameters
    ----------
    device : str | int | None
        Index or part of the name; None is the default microphone.
    stall_s : float
        Seconds without a sample after which the microphone counts as lost.
    queue_s : float
        Seconds of sound kept for a busy consumer.
    channels : int or None
        Channels to record; as `channels_to_record` says if None. Fewer where the card has no more.

    Attributes
    ----------
    rate_hz : int
        A rate the card has; the pipeline resamples.
    channels : int
        Channels of the frames.
    captured_samples : int
        Position after the newest sample, dropped ones counted.
    dropped_samples : int
        Samples lost because the card overran or the queue was full; the consumer got zeros in their place.

    Raises
    ------
    DeviceError
        PortAudio or the device is missing, ambiguous, or refuses every rate.
    """

    live = True
    notes: tuple[str, ...] = ()
    fault: str | None = None  # its state is reported as an error, not as a note

    def __init__(
        self,
        device: str | int | None = None,
        *,
        stall_s: float = STALL_S,
        queue_s: float = QUEUE_S,
        channels: int | None = None,
    ) -> None:
        self._portaudio = _portaudio()
        self.device = find(_all_inputs(self._portaudio), device)
        self.name = self.device.name
        self.rate_hz, self.channels = self._settings(
            min(channels or channels_to_record(self.device.channels), self.device.channels)
        )
        self.stall_s = stall_s
        self.captured_samples = 0
        self.dropped_samples = 0
        self._block = max(1, round(self.rate_hz * BLOCK_S))
        self._queue_blocks = max(1, round(queue_s / BLOCK_S))
        # SimpleQueue.put is reentrant, so that a signal handler may call close() while this thread waits in get().
        self._queue: queue.SimpleQueue[tuple[int, np.ndarray] | None] = queue.SimpleQueue()
        self._expected_s: float | None = None  # when the next sample is due on the card's clock

    def blocks(self) -> Iterator[Block]:
        """`frames` with their channels averaged."""
        for start, frames in self.frames():
            yield Block(start, frames.mean(axis=1, dtype=np.float32))

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """Record until `close()`.

        Yields
        ------
        int, np.ndarray
            Position, and about 0.1 s of frames ``[n, channels]``; zeros where samples were dropped.

        Raises
        ------
        DeviceError
            The device does not open, or no sample came for `stall_s` seconds.
        """
        stream = self._start()
        position = 0
        try:
            while True:
                try:
                    arrived = self._queue.get(timeout=self.stall_s)
                except queue.Empty:
                    raise DeviceError(
                        f"microphone {self.name}: no samples for {self.stall_s:g} s",
                        "check its cable and that no other program holds it, then start again",
                    ) from None
                if arrived is None:
                    return
                start, samples = arrived
                while position < start:
                    hole = min(start - position, self._block)
                    yield position, np.zeros((hole, self.channels), np.float32)
                    position += hole
                yield position, samples
                position += len(samples)
        finally:
            with _chatter_logged():
                # abort, not stop: stop waits for buffers, for ever when the device was unplugged
                stream.abort(ignore_errors=True)
                stream.close(ignore_errors=True)

    def close(self) -> None:
        """End `blocks()` after what has been heard so far. Safe in a signal handler; idempotent."""
        self._queue.put(None)

    def _receive(self, indata: np.ndarray, frames: int, time: Any, status: Any) -> None:
        if status.input_overflow and self._expected_s is not None:
            lost = max(0, round((time.inputBufferAdcTime - self._expected_s) * self.rate_hz))
            self.captured_samples += lost
            self.dropped_samples += lost
        if self._queue.qsize() < self._queue_blocks:
            self._queue.put((self.captured_samples, indata.copy()))
        else:
            self.dropped_samples += frames
        self.captured_samples += frames
        self._expected_s = time.inputBufferAdcTime + frames / self.rate_hz

    def _settings(self, wanted: int) -> tuple[int, int]:
        """The first rate and number of channels that the card accepts."""
        refusal: Exception | None = None
        for rate_hz in dict.fromkeys((PREFERRED_HZ, self.device.rate_hz, *RATES_HZ)):
            for channels in dict.fromkeys((wanted, min(2, self.device.channels), 1, self.device.channels)):
                try:
                    with _chatter_logged():
                        self._portaudio.check_input_settings(
                            device=self.device.index, channels=channels, dtype="float32", samplerate=rate_hz
                        )
                except self._portaudio.PortAudioError as error:
                    refusal = refusal or error
                else:
                    return rate_hz, channels
        raise self._refused(refusal)

    def _start(self) -> Any:
        try:
            with _chatter_logged():
                stream = self._portaudio.InputStream(
                    device=self.device.index,
                    channels=self.channels,
                    samplerate=self.rate_hz,
                    blocksize=self._block,
                    dtype="float32",
                    latency=LATENCY_S,
                    callback=self._receive,
                )
                stream.start()
        except self._portaudio.PortAudioError as error:
            raise self._refused(error) from error
        return stream

    def _refused(self, error: Exception | None) -> DeviceError:
        reason = " ".join(str(error).split())
        return DeviceError(
            f"microphone {self.name} does not open ({reason})",
            "close other programs that record, or choose another --device",
        )


def _all_inputs(portaudio: Any) -> list[InputDevice]:
    with _chatter_logged():
        try:
            return inputs(portaudio.query_devices(), portaudio.query_hostapis(), portaudio.default.device[0])
        except portaudio.PortAudioError as error:
            raise DeviceError(
                f"PortAudio cannot list the devices ({error})", "check that `arecord -l` works"
            ) from error


def _portaudio() -> Any:
    """sounddevice, imported here so that nothing but a microphone needs PortAudio."""
    try:
        with _chatter_logged():
            import sounddevice
    except ImportError as error:
        raise DeviceError(
            "the Python package sounddevice is missing", "install it with `pip install sounddevice`"
        ) from error
    except OSError as error:
        raise DeviceError(
            f"the PortAudio library is missing ({error})", "on Debian and Ubuntu: sudo apt install libportaudio2"
        ) from error
    return sounddevice


@contextmanager
def _chatter_logged() -> Iterator[None]:
    """Move what ALSA, JACK and PortAudio write to file descriptor 2 into the debug log.

    These C libraries report every sound server that they tried in vain; nothing but the descriptor itself reaches them.
    """
    with foreign.apart() as chatter:
        try:
            yield
        finally:
            chatter.seek(0)
            for line in chatter.read().decode(errors="replace").splitlines():
                log.debug("%s", line)
