"""A recorder in a child process, and those who listen to it.

A thread reads what the child writes, as it comes, and hands it to every listener. Sources of one device share one
recorder, since most cards can be opened only once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from edgeapp.audio.microphones import backends
from edgeapp.audio.microphones.backends import Heard, Reader
from edgeapp.audio.microphones.child import Child
from edgeapp.audio.microphones.remedies import refused
from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.errors import DeviceError

OPEN_S = 30.0  # a small board takes seconds to start Python and to let ALSA try every sound server
WAKE_S = 0.2  # how soon the reading thread sees that nobody listens any more

UNPLUGGED = "check its cable and that no other program holds it"
UNREACHED = "check the network, and that it is on"


class Listener(Protocol):
    """What hears a recording: `joined` first, then the others by the recording's thread."""

    @property
    def ended(self) -> bool:
        """Whether it wants no more."""
        ...

    def joined(self, recording: Recording) -> None: ...

    def arrived(self, heard: Heard) -> None: ...

    def failed(self, error: DeviceError) -> None: ...


def gone(device: SoundDevice, what: str) -> DeviceError:
    """The error of a device that gives nothing any more."""
    return DeviceError(f"microphone {device.name}{what}", UNPLUGGED if device.address is None else UNREACHED)


class Recording:
    """A device that is being recorded.

    The recorder starts at once. It ends when nobody listens any more, or with this process, however that ends.

    Parameters
    ----------
    device : SoundDevice
        With the number of channels to record.
    backend : str
        One of `backends.BACKENDS`.
    listed : sequence of SoundDevice
        All of this machine.
    stall_s : float

    Attributes
    ----------
    device : SoundDevice
    rate_hz, channels : int
        What the device gives.
    pid : int
        Of the child process, which leads a session of its own.
    thread : threading.Thread
        Reads the child.

    Raises
    ------
    DeviceError
        The recorder does not start, or refuses the device.
    """

    def __init__(self, device: SoundDevice, backend: str, listed: Sequence[SoundDevice], stall_s: float) -> None:
        self.device = device
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._over = False
        self._child, self._reader, self._first = self._opened(
            backends.load(backend).reader(device, listed, stall_s), OPEN_S
        )
        self.pid = self._child.pid
        self.rate_hz = self._reader.rate_hz
        self.channels = self._first[0].samples.reshape(len(self._first[0].samples), -1).shape[1]
        self.thread = threading.Thread(target=self._follow, name="microphone", daemon=True)

    def join(self, listener: Listener) -> bool:
        """Have somebody listen; False where the recording has ended meanwhile."""
        with self._lock:
            if self._over:
                return False
            listener.joined(self)
            self._listeners.append(listener)
            if len(self._listeners) == 1:
                self.thread.start()
            return True

    def fail(self, error: DeviceError) -> None:
        """End it for all who listen."""
        with self._lock:
            self._over = True
            listeners = list(self._listeners)
        for listener in listeners:
            if not listener.ended:
                listener.failed(error)

    def left(self) -> None:
        """Wait for the end of the child if nobody listens any more."""
        if all(listener.ended for listener in self._listeners):
            self.thread.join(timeout=10.0)

    def _opened(self, reader: Reader, open_s: float) -> tuple[Child, Reader, list[Heard]]:
        """Start a recorder and wait for its first samples, or its error."""
        while True:
            child = Child(reader.command, getattr(reader, "first", b""))
            try:
                return child, reader, self._started(child, reader, open_s)
            except DeviceError:
                other = reader.otherwise("\n".join(child.told))
                if other is None:
                    raise
                reader = other

    def _started(self, child: Child, reader: Reader, open_s: float) -> list[Heard]:
        end = time.monotonic() + open_s
        try:
            while time.monotonic() < end:
                raw, told, ended = child.read(WAKE_S)
                heard = reader.feed(raw, told, child.told)
                if heard:
                    return heard
                if ended:
                    child.end()  # so that all of its messages are read
                    raise reader.error or refused(self.device, child.last_words)
        except BaseException:
            child.end()
            raise
        child.end()
        raise gone(self.device, f": no samples for {open_s:g} s after it was opened")

    def _follow(self) -> None:
        """Read until the end: the reading thread."""
        try:
            self._give(self._first)
            while self._is_heard():
                raw, told, ended = self._child.read(WAKE_S)
                self._give(self._reader.feed(raw, told, self._child.told))
                if ended or self._reader.error is not None:
                    self._child.end()  # so that all of its messages are read
                    self.fail(self._reader.error or gone(self.device, f" is gone ({self._child.last_words})"))
                    return
        except DeviceError as error:
            self.fail(error)
        finally:
            self._child.end()

    def _is_heard(self) -> bool:
        with self._lock:
            self._over = self._over or all(listener.ended for listener in self._listeners)
            return not self._over

    def _give(self, pieces: list[Heard]) -> None:
        for heard in pieces:
            frames = heard.samples.reshape(len(heard.samples), -1)
            whole = heard if frames is heard.samples else replace(heard, samples=frames)
            for listener in self._listeners:
                if not listener.ended:
                    listener.arrived(whole)


class Recordings:
    """The recordings of a station, so that sources of one device share one; safe to use from several threads."""

    def __init__(self) -> None:
        self._open: dict[object, Recording] = {}
        self._locks: dict[object, threading.Lock] = {}
        self._lock = threading.Lock()

    def join(self, key: object, listener: Listener, open_recording: Callable[[], Recording]) -> Recording:
        """Have somebody listen to a device, which is opened unless it is open.

        Raises
        ------
        DeviceError
            From `open_recording`.
        """
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            recording = self._open.get(key)
            if recording is not None and recording.join(listener):
                return recording
            recording = self._open[key] = open_recording()
            recording.join(listener)
            return recording
