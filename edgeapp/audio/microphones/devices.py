"""The microphones of this machine, however they are reached, under names that survive a restart.

PortAudio numbers devices by the order in which they were found, and ALSA numbers cards so. What stays is where a USB
microphone is plugged in (``usb-path:1-1.2``) and what it is (``usb-id:0d8c:013c``, with its serial number where it has
one). Both are read from sysfs and joined with what PortAudio lists.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeapp.audio.microphones import backends
from edgeapp.audio.microphones.addresses import checked, is_address, redacted
from edgeapp.audio.microphones.backends import SERVER_BACKENDS
from edgeapp.audio.microphones.microphone import GHOST, SEE_DEVICES
from edgeapp.audio.microphones.server_sources import chosen_source, server_sources
from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.errors import DeviceError
from edgeapp.paths import child_environment

LIST_S = 20.0  # a library that has not listed its devices by then hangs

SERVERS = ("default", "pulse", "pipewire")  # ALSA devices without a card behind them that can hear

_CAPTURE = re.compile(r"^pcmC(\d+)D(\d+)c$")
_HW_NUMBER = re.compile(r"\(hw:(\d+),(\d+)\)$")
_HW = re.compile(r"^(?:plug)?hw:(?:CARD=)?(?P<card>[^,]+)(?:,(?:DEV=)?(?P<device>\d+))?$", re.IGNORECASE)
_OF_SERVER = re.compile(rf"^\s*({'|'.join(SERVER_BACKENDS)}):(.*)$", re.IGNORECASE)
_ANY_ALSA = re.compile(r"^(plughw|dsnoop|sysdefault|front|plug):", re.IGNORECASE)


def listing(
    root: Path = Path("/"),
    portaudio: Callable[[], Sequence[Mapping[str, Any]]] | None = None,
    servers: Callable[[], Sequence[str]] | None = None,
    sources: Callable[[], list[SoundDevice]] | None = None,
) -> list[SoundDevice]:
    """Every device that can record, a Jetson's ghosts among them.

    Parameters
    ----------
    root : Path
        Folder that has ``sys/class/sound`` and ``proc/asound``.
    portaudio : Callable
        Gives PortAudio's inputs, as dictionaries of `microphone.InputDevice`; raises DeviceError where it is missing.
    servers : Callable
        Gives the names of ALSA devices that lead to a sound server.
    sources : Callable
        Gives the sources of sound servers.
    """
    cards = capture_devices(root)
    try:
        heard = list((portaudio or portaudio_inputs)())
    except DeviceError:
        heard = []
    found = [_joined(device, cards) for device in heard]
    listed = {device.alsa for device in found}
    found += [card for card in cards if card.alsa not in listed]
    found += [SoundDevice(name, alsa=name) for name in (servers or sound_servers)() if name not in listed]
    found += server_sources() if sources is None else sources()
    if not any(device.default and device.server is None for device in found):
        # Without PortAudio nobody names a default: the sound server's, else the first card that is not a ghost.
        usable = [device for device in found if not device.ghost and device.server is None] or found
        chosen = next((device for device in usable if device.alsa == "default"), usable[0] if usable else None)
        found = [replace(device, default=device is chosen or _leads(device)) for device in found]
    return found


def _leads(device: SoundDevice) -> bool:
    """Whether it is the default of its own sound server."""
    return device.default and device.server is not None


def capture_devices(root: Path = Path("/")) -> list[SoundDevice]:
    """What sysfs knows of the cards that can record, in the order of their numbers."""
    folder = root / "sys/class/sound"
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    captures = sorted((int(found[1]), int(found[2])) for name in names if (found := _CAPTURE.match(name)))
    titles = _titles(root / "proc/asound/cards")
    devices = []
    for card, pcm in captures:
        place = folder / f"card{card}"
        identity = _text(place / "id") or str(card)
        path, usb_id, product = _usb(place / "device")
        name = product or titles.get(card) or identity
        devices.append(
            SoundDevice(
                name=f"{name} (hw:{card},{pcm})",
                alsa=f"hw:CARD={identity},DEV={pcm}",
                card=card,
                pcm=pcm,
                usb_path=f"{path}/{pcm}" if path and pcm else path,  # the first device of a card needs no number
                usb_id=usb_id,
                ghost=any(GHOST.search(text) for text in (name, identity, titles.get(card, ""))),
            )
        )
    return devices


def portaudio_inputs() -> list[dict[str, Any]]:
    """PortAudio's inputs as it lists them now, asked in a process of its own: it never looks twice in one process.

    Raises
    ------
    DeviceError
        PortAudio is missing, or hangs.
    """
    command = [sys.executable, "-m", "edgeapp.audio.microphones.record", "--list"]
    try:
        done = subprocess.run(
            command,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIST_S,
            start_new_session=True,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"PortAudio did not list its devices within {LIST_S:g} s", "try `--backend arecord`"
        ) from None
    except ValueError:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise DeviceError(f"PortAudio cannot list its devices ({last})", "try `--backend arecord`") from None
    if "what" in answer:
        raise DeviceError(answer["what"], answer["remedy"])
    return list(answer["devices"])


def sound_servers() -> list[str]:
    """Names of ALSA devices that lead to a sound server, as `arecord -L` lists them; none where it is missing."""
    try:
        done = subprocess.run(
            ["arecord", "-L"], capture_output=True, text=True, timeout=LIST_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line in SERVERS]


def find(wanted: str | int | None, backend: str, devices: Sequence[SoundDevice]) -> tuple[SoundDevice, str]:
    """The one device that is meant, and the backend that records it.

    Parameters
    ----------
    wanted : str, int or None
        PortAudio's index, part of a name in any case, ``usb-path:…``, ``usb-id:…`` with or without serial number,
        ``hw:…`` by number or name, or any other ALSA name that `arecord` takes; ``pulse:…`` or ``pipewire:…`` with the
        name of a source, part of it, or ``default``; the address of a source in the network. None is the default.
    backend : str
        ``auto`` or one of `backends.BACKENDS`; ``auto`` is PortAudio where it lists the device, else arecord.
    devices : Sequence[SoundDevice]
        From `listing`.

    Raises
    ------
    DeviceError
        No such device, several that fit, or one that the backend does not reach.
    """
    if isinstance(wanted, str) and is_address(wanted):
        device = SoundDevice(redacted(wanted), address=checked(wanted))
    elif wanted is None and backend in SERVER_BACKENDS:
        device = chosen_source(backend, "default", devices)
    elif isinstance(wanted, str) and (of_server := _OF_SERVER.match(wanted)) is not None:
        device = chosen_source(of_server[1].lower(), of_server[2].strip(), devices)
    else:
        device = _meant(wanted, devices)
    return device, backends.choose(backend, device)


def table(devices: Sequence[SoundDevice]) -> list[str]:
    """Lines for `listen --list-devices`: a line for each microphone, its stable names below it."""
    lines = []
    for device in devices:
        if device.ghost:
            continue
        index = "" if device.index is None else str(device.index)
        facts = [
            f"{device.channels} channels" if device.channels else "",
            f"{device.rate_hz} Hz" if device.rate_hz else "",
            "default" if device.default else "",
        ]
        lines.append(f"{index:>3}  {device.name}  {', '.join(filter(None, facts))}".rstrip())
        names = (device.usb_path, device.usb_id, device.alsa, device.server)
        ids = [name for name in names if name and name != device.name]
        if ids:
            lines.append("     " + "  ".join(ids))
    return lines


def _meant(wanted: str | int | None, devices: Sequence[SoundDevice]) -> SoundDevice:
    visible = [device for device in devices if not device.ghost]
    if isinstance(wanted, str):
        wanted = wanted.strip()
        if wanted.isdecimal():
            wanted = int(wanted)
    if isinstance(wanted, int):
        for device in devices:
            if device.index == wanted:
                return device
        raise DeviceError(f"no microphone has index {wanted}{_choice(visible)}", SEE_DEVICES)
    if wanted is None:
        for device in sorted((one for one in visible if one.default), key=_leads):
            return device
        raise DeviceError("no microphone found", "plug one in and check that `arecord -l` shows it")
    fitting = _fitting(wanted, visible)
    if not fitting and _ANY_ALSA.match(wanted):
        return SoundDevice(wanted, alsa=wanted)
    if not fitting:
        raise DeviceError(f"no microphone matches {wanted!r}{_choice(visible)}", SEE_DEVICES)
    if len(fitting) > 1:
        paths = all(device.usb_path for device in fitting)
        remedy = "give its usb-path" if paths else "give more of the name, or the index"
        raise DeviceError(f"{wanted!r} fits {len(fitting)} microphones{_choice(fitting)}", remedy)
    return fitting[0]


def _fitting(wanted: str, devices: Sequence[SoundDevice]) -> list[SoundDevice]:
    part = wanted.casefold()
    if part.startswith("usb-path:"):
        return [device for device in devices if device.usb_path == part]
    if part.startswith("usb-id:"):
        ids = [(device, (device.usb_id or "").casefold()) for device in devices]
        whole = part.count(":") >= 2  # vendor and product; a vendor alone is no microphone
        return [device for device, usb_id in ids if whole and (usb_id == part or usb_id.startswith(part + ":"))]
    hardware = _HW.match(wanted)
    if hardware is not None and hardware["card"]:
        numbered = [device for device in devices if _is_card(device, hardware["card"], hardware["device"] or "0")]
        # plughw converts what the card has, so it is an ALSA name of its own and no other word for the card.
        return [] if part.startswith("plug") else numbered
    devices = [device for device in devices if device.server is None]  # the same card once more; asked for as such
    exact = [device for device in devices if part in (device.name.casefold(), (device.alsa or "").casefold())]
    return exact or [device for device in devices if part in f"{device.name}, {device.alsa or ''}".casefold()]


def _is_card(device: SoundDevice, card: str, pcm: str) -> bool:
    if device.card is None or str(device.pcm) != pcm:
        return False
    return card == str(device.card) or (device.alsa or "").casefold() == f"hw:card={card},dev={pcm}".casefold()


def _choice(devices: Sequence[SoundDevice]) -> str:
    def words(device: SoundDevice) -> str:
        first = device.usb_path or device.server
        return f"{first} {device.name}" if first else f"{_key(device)}{device.name}"

    return " (there is " + ", ".join(words(device) for device in devices) + ")" if devices else ""


def _key(device: SoundDevice) -> str:
    return "" if device.index is None else f"{device.index}: "


def _joined(heard: Mapping[str, Any], cards: Sequence[SoundDevice]) -> SoundDevice:
    """A device of PortAudio with what sysfs knows of the same one."""
    known = SoundDevice(
        name=heard["name"],
        index=heard["index"],
        channels=heard["channels"],
        rate_hz=heard["rate_hz"],
        default=heard["default"],
        ghost=heard["ghost"],
    )
    if heard["host_api"] != "ALSA":
        return known
    numbers = _HW_NUMBER.search(heard["name"])
    if numbers is None:  # PortAudio calls the others as ALSA calls them
        return replace(known, alsa=heard["name"])
    card, pcm = int(numbers[1]), int(numbers[2])
    for other in cards:
        if (other.card, other.pcm) == (card, pcm):
            return replace(
                known,
                card=card,
                pcm=pcm,
                alsa=other.alsa,
                usb_path=other.usb_path,
                usb_id=other.usb_id,
            )
    return replace(known, card=card, pcm=pcm, alsa=f"hw:{card},{pcm}")


def _usb(interface: Path) -> tuple[str | None, str | None, str | None]:
    """Path id, device id and product of the USB device that a card's ``device`` link leads into."""
    for place in (here := interface.resolve(), *here.parents):
        vendor, product = _text(place / "idVendor"), _text(place / "idProduct")
        if vendor and product:
            serial = _text(place / "serial")
            # A serial number is any text; blanks would break it in a shell.
            identity = ":".join(filter(None, (vendor, product, re.sub(r"\s+", "_", serial) if serial else None)))
            return f"usb-path:{place.name}", f"usb-id:{identity}", _text(place / "product")
    return None, None, None


def _titles(cards: Path) -> dict[int, str]:
    """Long names of the cards, from lines such as `` 0 [PCH            ]: HDA-Intel - HDA Intel PCH``."""
    found = re.finditer(r"^ *(\d+) \[[^]]*\]: (?:.*? - )?(.*)$", _text(cards) or "", re.MULTILINE)
    return {int(match[1]): match[2].strip() for match in found}


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip("\n\x00 ") or None
    except OSError:
        return None
