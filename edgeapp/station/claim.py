"""What only one station may have at a time: a journal, a folder of clips, a microphone.

A claim is a lock on a file, which ends with the process that holds it, however that ends. The file says who it is, for
the station that comes second. Where a file system has no locks, or the file cannot be made, the station is taken at its
word.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.errors import BiovitaError, DeviceError, UsageError
from edgeapp.file_names import printable
from gallery import locks
from gallery.utc import now_text, utc_of

SHARED = Path("/run/lock")  # of all users of the machine
# Whose device it is, and which one, where it is not a card's.
OF_SERVER = ("PULSE_SERVER", "PULSE_SOURCE", "PIPEWIRE_REMOTE", "XDG_RUNTIME_DIR")
MOST_BYTES = 4_000


class Claims:
    """What a station has for itself; a context manager.

    Parameters
    ----------
    station : str
        Its name, for the others.
    """

    def __init__(self, station: str) -> None:
        self._station = station
        self._held: dict[Path, int] = {}
        self._lock = threading.Lock()  # two channels of a microphone are opened by two threads

    def journal(self, path: Path) -> None:
        """Claim a journal; once more when it is made, so that another name of it (a hard link) is known for it as well.

        Raises
        ------
        UsageError
            Another station has it.
        """
        self.file(path, "the journal", "--journal")
        with suppress(OSError):
            state = path.stat()
            lock = shared_folder() / f"biovita-edge-journal-{state.st_dev:x}-{state.st_ino:x}.lock"
            self._take(lock, f"{path}: the journal", "stop that one, or give another --journal", UsageError)

    def file(self, path: Path, what: str, flag: str) -> None:
        """Claim a file that a station writes: the journal, its status, its log.

        Raises
        ------
        UsageError
            Another station has it.
        """
        with suppress(OSError):  # a folder that cannot be made is an error of whoever writes
            path.parent.mkdir(parents=True, exist_ok=True)
        real = path.resolve()
        lock = real.with_name(f".{real.name}.lock")
        self._take(lock, f"{path}: {what}", f"stop that one, or give another {flag}", UsageError)

    def clips(self, folder: Path) -> None:
        """Claim a folder of clips.

        Raises
        ------
        UsageError
            Another station has it.
        """
        with suppress(OSError):  # a folder that cannot be made is an error of the clips
            folder.mkdir(parents=True, exist_ok=True)
        lock = folder.resolve() / ".lock"
        self._take(lock, f"{folder}: the folder of clips", "stop that one, or give another --clips", UsageError)

    def device(self, device: SoundDevice) -> None:
        """Claim a microphone, as long as the station runs. One that this station has already is given again.

        A source in the network is nobody's: any number may hear it.

        Raises
        ------
        DeviceError
            Another station has it.
        """
        if device.address is not None:
            return
        name = device.device_id or device.name
        if device.card is None:
            name = "\n".join((name, *(os.environ.get(variable, "") for variable in OF_SERVER)))
        lock = shared_folder() / f"biovita-edge-{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"
        self._take(lock, f"microphone {device.name}", "stop that one, or choose another --device", DeviceError)

    def close(self) -> None:
        """Give everything back; idempotent."""
        while self._held:
            _, handle = self._held.popitem()
            with suppress(OSError):
                os.ftruncate(handle, 0)
            os.close(handle)

    def __enter__(self) -> Claims:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, lock: Path, what: str, remedy: str, kind: Callable[[str, str], BiovitaError]) -> None:
        with self._lock:
            if lock not in self._held:
                self._take_new(lock, what, remedy, kind)

    def _take_new(self, lock: Path, what: str, remedy: str, kind: Callable[[str, str], BiovitaError]) -> None:
        try:
            handle = _opened(lock)
        except OSError:
            return
        if not locks.take_now(handle):
            holder = _holder(handle)
            os.close(handle)
            raise kind(f"{what} is used by {holder}", remedy)
        self._held[lock] = handle
        told = json.dumps({"pid": os.getpid(), "station": self._station, "since_utc": now_text("seconds")})
        with suppress(OSError):  # a full disk
            os.ftruncate(handle, 0)
            os.write(handle, told.encode())


def _opened(lock: Path) -> int:
    """A lock's file, made if it is not there; one in a folder of all users is for all of them, whatever their umask.

    One that is there is not opened as if it were to be made: the kernel forbids that with another user's file.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    with suppress(FileNotFoundError):
        return os.open(lock, flags)
    handle = os.open(lock, flags | os.O_CREAT, 0o666)
    if lock.parent in (SHARED, Path(tempfile.gettempdir())):
        with suppress(OSError):
            os.chmod(handle, 0o666)
    return handle


def _holder(handle: int) -> str:
    """Who holds a lock, in words."""
    try:
        told = json.loads(os.read(handle, MOST_BYTES))
        since = f"{utc_of(told['since_utc']).astimezone():%Y-%m-%d %H:%M:%S}"
        return f"station {printable(str(told['station']))} (process {int(told['pid'])}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another station"


def shared_folder() -> Path:
    """Folder of the locks that other stations of this machine see."""
    return SHARED if os.access(SHARED, os.W_OK) else Path(tempfile.gettempdir())
