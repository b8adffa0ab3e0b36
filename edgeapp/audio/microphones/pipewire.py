"""PipeWire as a backend, where nothing speaks PulseAudio's protocol for it: `pw-record` records, `pw-dump` lists."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

from edgeapp.audio.microphones.backends import Device, ServerSource
from edgeapp.audio.microphones.raw_reader import RawReader
from edgeapp.audio.microphones.remedies import OF_A_USER
from edgeapp.audio.microphones.sound_server import answer_of
from edgeapp.errors import DeviceError

PREFIX = "pipewire:"
MONITOR = ".monitor"  # of a speaker, as PulseAudio calls it
SERVER = "PipeWire"
MISSING = "on Debian and Ubuntu: sudo apt install pipewire-bin"
RATE_HZ = 48_000  # of the graph; a source that says nothing runs at it
SOURCES = {"Audio/Source": "", "Audio/Source/Virtual": "", "Audio/Sink": MONITOR, "Audio/Duplex": ""}


class PipeWire:
    """See `edgeapp.audio.microphones.backends.Backend`."""

    def unreached(self, device: Device) -> DeviceError | None:
        """It records the nodes that the server names."""
        if (device.server or "").startswith(PREFIX):
            return None
        return DeviceError(f"{device.name} is no source of PipeWire", "name one: `--device pipewire:NAME`")

    def reader(self, device: Device, listed: Sequence[Device], stall_s: float) -> RawReader:
        """At the rate and with the channels of the node; a node that is gone is not exchanged for another one."""
        if shutil.which("pw-record") is None:
            raise DeviceError("pw-record is missing", MISSING)
        name = (device.server or "").removeprefix(PREFIX)
        properties = {
            "node.dont-reconnect": "true",
            "application.name": "biovita-edge",
            "stream.capture.sink": str(name.endswith(MONITOR)).lower(),
        }
        rate_hz, channels = device.rate_hz or RATE_HZ, device.channels or 2
        command = ["pw-record", "--target", name.removesuffix(MONITOR), "-P", json.dumps(properties)]
        command += [f"--rate={rate_hz}", f"--channels={channels}", "--format=f32"]
        # Newer ones write the header of a file without it.
        if "--raw" in answer_of(["pw-record", "--help"], SERVER, MISSING, failing=True):
            command.append("--raw")
        return RawReader([*command, "-"], rate_hz, channels)


def sources() -> list[ServerSource]:
    """The sources that the server has now, microphones before the monitors of speakers.

    Raises
    ------
    DeviceError
        `pw-dump` is missing, or no server answers.
    """
    try:
        told = json.loads(answer_of(["pw-dump"], SERVER, MISSING))
    except ValueError:
        raise DeviceError("no PipeWire answers (pw-dump lists nothing)", OF_A_USER) from None
    nodes = [node for one in told if str(one.get("type")).endswith(":Node") and (node := one.get("info"))]
    default = _default(told)
    found = []
    for node in nodes:
        said = node.get("props") or {}
        if said.get("media.class") not in SOURCES or not said.get("node.name"):
            continue
        name = said["node.name"] + SOURCES[said["media.class"]]
        form = _format(node)
        channels = form.get("channels") or said.get("audio.channels") or 2
        rate_hz = form.get("rate") or said.get("audio.rate") or RATE_HZ
        found.append(
            ServerSource(name, str(said.get("node.description") or ""), _number(channels, 2), _number(rate_hz, RATE_HZ))
        )
    marked = [ServerSource(one.name, one.description, one.channels, one.rate_hz, one.name == default) for one in found]
    return sorted(marked, key=lambda source: source.name.endswith(MONITOR))


def _format(node: dict[str, Any]) -> dict[str, Any]:
    """The format a node runs at, or the first one that it offers."""
    offered = node.get("params") or {}
    for name in ("Format", "EnumFormat"):
        for form in offered.get(name) or ():
            if isinstance(form, dict):
                return form
    return {}


def _number(value: Any, otherwise: int) -> int:
    """A number that may be a choice, `{"default": 48000, "min": 1, ...}`."""
    if isinstance(value, dict):
        value = value.get("default")
    try:
        return int(value)
    except (TypeError, ValueError):
        return otherwise


def _default(told: list[dict[str, Any]]) -> str:
    for one in told:
        for entry in one.get("metadata") or ():
            if entry.get("key") == "default.audio.source" and isinstance(entry.get("value"), dict):
                return str(entry["value"].get("name", ""))
    return ""
