"""Why a device does not open, and what to do about it: who holds it, and what a sound server has to do with that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from edgeapp.errors import DeviceError

SERVERS = ("pulseaudio", "pipewire", "wireplumber", "pipewire-media-", "jackd", "jackdbus")
OWNER = re.compile(r"^owner_pid\s*:\s*(\d+)", re.MULTILINE)
BUSY = re.compile(r"busy|Device unavailable", re.IGNORECASE)
NO_SERVER = re.compile(r"Connection refused|Host is down|connection failure", re.IGNORECASE)

CLOSE_OTHERS = "close other programs that record, or choose another --device"
OF_A_USER = (
    "a sound server belongs to a logged-in user: run the station as that user (`biovita-edge service install` without "
    "--system), or record the card itself (`--device hw:...`)"
)


class Card(Protocol):
    """The part of `edgeapp.audio.microphones.devices.SoundDevice` that is used."""

    @property
    def name(self) -> str: ...

    @property
    def card(self) -> int | None: ...

    @property
    def pcm(self) -> int | None: ...


def refused(device: Card, words: str, root: Path = Path("/")) -> DeviceError:
    """The error of a device that does not open, from the recorder's own words."""
    what = f"microphone {device.name} does not open ({words})"
    if NO_SERVER.search(words):
        return DeviceError(what, OF_A_USER)
    held = holder(device, root) if BUSY.search(words) else None
    if held is None:
        return DeviceError(what, CLOSE_OTHERS)
    program, pid = held
    what = f"microphone {device.name} does not open: {program} (process {pid}) holds it"
    if program in SERVERS:
        return DeviceError(
            what,
            "record through that sound server as its user (`biovita-edge devices` names its sources: `--device "
            "pulse:NAME`), or have it leave the card alone (`pactl set-card-profile CARD off`)",
        )
    return DeviceError(what, f"end {program}, or choose another --device")


def holder(device: Card, root: Path = Path("/")) -> tuple[str, int] | None:
    """The program that records from a card, and its process; None where nobody does or nobody can tell."""
    if device.card is None:
        return None
    folder = root / f"proc/asound/card{device.card}/pcm{device.pcm or 0}c"
    try:
        for status in sorted(folder.glob("sub*/status")):
            if owner := OWNER.search(status.read_text()):
                pid = int(owner[1])
                return (root / f"proc/{pid}/comm").read_text().strip(), pid
    except OSError:
        pass
    return None
