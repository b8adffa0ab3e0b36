"""What confirms the wall clock: a time service, a GPS receiver, a clock with a battery, or the settings.

The kernel is asked first, since every time service tells it (but chrony without ``rtcsync``), then timesyncd by its
file, chrony by its own protocol, gpsd by its own. A real-time clock does when it kept its time: it agrees with the
wall clock, is not before this program or the newest rows of the journal, and does not report that its battery failed.
A board without a battery begins in 1970, or goes on from its last shutdown, and its clock then agrees with nothing.
"""

from __future__ import annotations

import ctypes
import json
import secrets
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from gallery.utc import utc_of

KERNEL, TIMESYNCD, CHRONY, GPSD, RTC = "kernel", "timesyncd", "chrony", "gpsd", "rtc"
TRUSTED, NOBODY_CAN_TELL, NONE = "trusted", "unknown", ""

BUILT_UTC = datetime(2026, 1, 1, tzinfo=timezone.utc)  # no clock that is set can be before this program was written
CHRONY_AT, GPSD_AT = ("127.0.0.1", 323), ("127.0.0.1", 2947)
CHRONY_S, GPSD_S = 0.3, 2.5  # gpsd reports once a second
RTC_AGREES = timedelta(minutes=2)  # two crystals part by seconds a day; a clock without a battery is off by far more
GPS_AGREES = timedelta(seconds=5)

_SYNCHRONISED = "run/systemd/timesync/synchronized"
_TIMEX_BYTES = 256  # larger than `struct timex` on every Linux; with modes = 0 it is only read
_STATUS_OFFSET = 5 * ctypes.sizeof(ctypes.c_long)  # modes (padded), offset, freq, maxerror, esterror, then status
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_RTC_VL_READ = 0x80047013  # ioctl of linux/rtc.h
_RTC_VL_LOST = 0b101  # data invalid, or backup battery empty
# chrony's candm.h: version 6; a request is as long as its answer; the answer's body begins after 28 bytes.
_CHRONY_VERSION, _REQUEST, _REPLY, _TRACKING, _OF_TRACKING = 6, 1, 2, 33, 5
_CHRONY_BYTES, _CHRONY_BODY = 104, 28
_LEAP_AT = _CHRONY_BODY + 4 + 20 + 2  # after the reference's id, its address and its stratum
_UNSYNCHRONISED = 3


@dataclass(frozen=True)
class Judgement:
    """What is known of the wall clock.

    Attributes
    ----------
    source : str
        What confirms it; `NONE` when nothing does.
    why : str
        In words.
    """

    source: str
    why: str

    @property
    def is_set(self) -> bool:
        """Whether its times can be trusted."""
        return self.source != NONE


@dataclass(frozen=True)
class Sources:
    """Where to ask, all of them given for tests.

    Attributes
    ----------
    trusted : bool
        The settings confirm the clock.
    root : Path
        Under which /run, /sys and /etc are looked for.
    chrony, gpsd : tuple of (str, int)
        Address and port.
    kernel : bool
        Ask the kernel.
    """

    trusted: bool = False
    root: Path = Path("/")
    chrony: tuple[str, int] = CHRONY_AT
    gpsd: tuple[str, int] = GPSD_AT
    kernel: bool = True

    def quick(self) -> Judgement | None:
        """What confirms it, as far as that takes no time; None when others have to be asked."""
        if self.trusted:
            return Judgement(TRUSTED, "by the settings (clock = trusted)")
        if (self.root / _SYNCHRONISED).exists():
            return Judgement(TIMESYNCD, "set by systemd-timesyncd")
        state = _kernel_state() if self.kernel else False
        if state is None:
            return Judgement(NOBODY_CAN_TELL, "this system does not tell whether it was set")
        return Judgement(KERNEL, "synchronised, as the kernel says") if state else None

    def asked(self, not_before: datetime) -> Judgement:
        """What confirms it, the others asked.

        Parameters
        ----------
        not_before : datetime
            A clock that was set cannot be before it.
        """
        found = self.quick()
        if found is not None:
            return found
        if chrony_is_synchronised(self.chrony):
            return Judgement(CHRONY, "synchronised, as chrony says")
        gps = gps_time(self.gpsd)
        if gps is not None:
            time_utc, at = gps
            off = at - time_utc
            if abs(off) <= GPS_AGREES:
                return Judgement(GPSD, "agrees with the time of GPS")
            off_s = off.total_seconds()
            return Judgement(NONE, f"{off_s:+.0f} s off the time of GPS; let chrony or ntpd set it from gpsd")
        return rtc_judgement(self.root, not_before)


def _kernel_state() -> bool | None:
    """Whether the kernel knows the time as synchronised; None where it cannot be asked."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        timex = ctypes.create_string_buffer(_TIMEX_BYTES)
        state = libc.adjtimex(timex)
    except (OSError, AttributeError, TypeError):
        return None
    if state < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return not (state == _TIME_ERROR and status & _STA_UNSYNC)


def chrony_is_synchronised(address: tuple[str, int] = CHRONY_AT) -> bool:
    """Whether a chronyd answers that it is synchronised; it tells the kernel only with ``rtcsync``."""
    sequence = secrets.randbits(32)
    request = struct.pack("!BBBBHHI", _CHRONY_VERSION, _REQUEST, 0, 0, _TRACKING, 0, sequence)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(CHRONY_S)
            asking.connect(address)
            asking.send(request.ljust(_CHRONY_BYTES, b"\0"))
            answer = asking.recv(1024)
    except OSError:
        return False
    if len(answer) < _LEAP_AT + 2:
        return False
    version, kind, _, _, command, reply, status, _, _, _, of = struct.unpack("!BBBBHHHHHHI", answer[:20])
    expected = (_CHRONY_VERSION, _REPLY, _TRACKING, _OF_TRACKING, 0, sequence)
    if (version, kind, command, reply, status, of) != expected:
        return False
    [leap] = struct.unpack("!H", answer[_LEAP_AT : _LEAP_AT + 2])
    return bool(leap != _UNSYNCHRONISED)


def gps_time(address: tuple[str, int] = GPSD_AT) -> tuple[datetime, datetime] | None:
    """The time of a GPS receiver with a fix, from gpsd, and the wall clock's as it came; None without one."""
    end = time.monotonic() + GPSD_S
    try:
        with socket.create_connection(address, timeout=CHRONY_S) as asking:
            asking.sendall(b'?WATCH={"enable":true,"json":true};\n')
            lines = asking.makefile("rb")
            while (left_s := end - time.monotonic()) > 0:
                asking.settimeout(left_s)
                line = lines.readline()
                now = datetime.now(timezone.utc)
                if not line:
                    return None
                with suppress(ValueError, AttributeError):
                    told = json.loads(line)
                    if told.get("class") == "TPV" and told.get("mode", 0) >= 2 and "time" in told:
                        return utc_of(str(told["time"])), now
    except OSError:
        return None
    return None


def rtc_judgement(root: Path, not_before: datetime, now: datetime | None = None) -> Judgement:
    """Whether a real-time clock kept its time, and the wall clock goes by it."""
    clocks = sorted((root / "sys/class/rtc").glob("rtc[0-9]*"), key=lambda path: (_text(path / "hctosys") != "1", path))
    if not clocks:
        return Judgement(NONE, "no time service says that it is right, and there is no real-time clock")
    name = clocks[0].name
    try:
        told = datetime.fromtimestamp(int(_text(clocks[0] / "since_epoch")), timezone.utc)
    except (ValueError, OverflowError, OSError):
        return Judgement(NONE, f"the real-time clock {name} cannot be read")
    now = now or datetime.now(timezone.utc)
    if _text(root / "etc/adjtime").endswith("LOCAL"):
        told -= now.astimezone().utcoffset() or timedelta(0)
    if _lost_power(root / "dev" / name):
        return Judgement(NONE, f"the real-time clock {name} lost its time: its battery is empty")
    if told < max(BUILT_UTC, not_before):
        return Judgement(NONE, f"the real-time clock {name} lost its time: it says {told:%Y-%m-%d %H:%M} UTC")
    if abs(told - now) > RTC_AGREES:
        return Judgement(NONE, f"the real-time clock {name} says {told:%Y-%m-%d %H:%M} UTC")
    return Judgement(RTC, f"the real-time clock {name} kept its time")


def _lost_power(device: Path) -> bool:
    """Whether a clock says that its battery failed; only some do, and only to root."""
    try:
        import fcntl

        with open(device, "rb", buffering=0) as opened:
            flags = bytearray(4)
            fcntl.ioctl(opened, _RTC_VL_READ, flags)
    except (ImportError, OSError):
        return False
    return bool(int.from_bytes(flags, "little") & _RTC_VL_LOST)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
