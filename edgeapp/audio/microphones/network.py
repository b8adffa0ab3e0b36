"""Sources in the network as a backend: cameras (RTSP), web radio (HTTP, Icecast) and HLS, decoded by PyAV.

They are received by `receive.py` in a process of its own, which gets the address on its standard input: everybody may
read the command line of a process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from edgeapp.audio.microphones.backends import Device
from edgeapp.audio.microphones.messages import FromMessages
from edgeapp.errors import DeviceError

RECEIVER = "edgeapp.audio.microphones.receive"


class Network:
    """See `edgeapp.audio.microphones.backends.Backend`."""

    def unreached(self, device: Device) -> DeviceError | None:
        """It opens addresses."""
        if device.address is not None:
            return None
        return DeviceError(f"{device.name} is no address in the network", "give one, such as `--device rtsp://...`")

    def reader(self, device: Device, listed: Sequence[Device], stall_s: float) -> FromMessages:
        """The stream is taken as it comes, with its rate and channels."""
        check_installed()
        asked = json.dumps({"address": device.address, "name": device.name, "stall_s": 2 * stall_s})
        return FromMessages([sys.executable, "-m", RECEIVER], asked.encode() + b"\n")


def check_installed() -> None:
    """Raise DeviceError without PyAV."""
    if find_spec("av") is None:
        raise DeviceError("sources in the network need PyAV", "install it with `pip install 'biovita-edge[formats]'`")
