"""The child process that records through PortAudio and writes `edgeapp.audio.microphones.messages` to standard output.

A sound library that hangs, or one whose list of devices is frozen, is gone with its process. `capture` starts this
module; nobody else has to.

    python -m edgeapp.audio.microphones.record --device NAME|INDEX     messages until standard input or output is closed
    python -m edgeapp.audio.microphones.record --list                  the devices that can record, as JSON
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict

from edgeapp.audio.microphones import microphone
from edgeapp.audio.microphones.messages import Outlet, end_with_the_parent
from edgeapp.errors import DeviceError


def main() -> int:
    """Record or list, as the arguments say; the exit status."""
    parser = argparse.ArgumentParser(description="The recording process behind `biovita-edge listen`.")
    parser.add_argument("--device", help="index or name; the default microphone if not given")
    parser.add_argument("--channels", type=int, help="channels to record; those it has, or 2, if not given")
    parser.add_argument("--stall", type=float, default=microphone.STALL_S, help="seconds without a sample")
    parser.add_argument("--list", action="store_true", help="print the devices that can record, as JSON")
    words = parser.parse_args()
    out = Outlet()
    if words.list:
        return _list(out)
    # Ctrl-C is handled by the parent, which drains the recorded sound before it ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_the_parent()
    try:
        source = microphone.Microphone(words.device, stall_s=words.stall, channels=words.channels)
        out.hello(source.name, source.rate_hz, source.channels)
        for start, frames in source.frames():
            out.samples(start, source.dropped_samples, source.captured_samples, frames)
    except DeviceError as error:
        out.error(error)
        return error.exit_code
    return 0


def _list(out: Outlet) -> int:
    try:
        answer = {"devices": [asdict(device) for device in microphone.all_devices()]}
    except DeviceError as error:
        answer = {"what": error.what, "remedy": error.remedy}  # type: ignore[dict-item]
    out.plain(json.dumps(answer).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
