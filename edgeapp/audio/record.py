"""The child process that records through PortAudio and writes messages to standard output.

A sound library that hangs, or one whose list of devices is frozen, is gone with its process. `capture` starts this
module; nobody else has to.

    python -m edgeapp.audio.record --device NAME|INDEX     messages until standard input or output is closed
    python -m edgeapp.audio.record --list                  the devices that can record, as JSON

A message is a kind (one byte), the length of its content (4 bytes, little endian) and the content:

    H   JSON: name and rate_hz, once, before the first samples
    S   position, lost and captured samples (8 bytes each), then mono float32 samples
    E   JSON: what and remedy of the error that ends the recording
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import struct
import sys
import threading
from dataclasses import asdict

from edgeapp.audio import microphone
from edgeapp.errors import DeviceError

HEAD = struct.Struct("<cI")
COUNTS = struct.Struct("<qqq")
HELLO, SAMPLES, ERROR = b"H", b"S", b"E"

_STDIN, _STDOUT = 0, 1


def main() -> int:
    """Record or list, as the arguments say; the exit status."""
    parser = argparse.ArgumentParser(description="The recording process behind `biovita-edge listen`.")
    parser.add_argument("--device", help="index or name; the default microphone if not given")
    parser.add_argument("--stall", type=float, default=microphone.STALL_S, help="seconds without a sample")
    parser.add_argument("--list", action="store_true", help="print the devices that can record, as JSON")
    words = parser.parse_args()
    out = _own_stdout()
    if words.list:
        return _list(out)
    # Ctrl-C is handled by the parent, which drains the recorded sound before it ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        _record(out, words.device, words.stall)
    except DeviceError as error:
        _write(out, ERROR, json.dumps({"what": error.what, "remedy": error.remedy}).encode())
        return error.exit_code
    return 0


def _record(out: int, device: str | None, stall_s: float) -> None:
    source = microphone.Microphone(device, stall_s=stall_s)
    _write(out, HELLO, json.dumps({"name": source.name, "rate_hz": source.rate_hz}).encode())
    for block in source.blocks():
        counts = COUNTS.pack(block.start, source.dropped_samples, source.captured_samples)
        _write(out, SAMPLES, counts + block.samples.tobytes())


def _list(out: int) -> int:
    try:
        answer = {"devices": [asdict(device) for device in microphone.all_devices()]}
    except DeviceError as error:
        answer = {"what": error.what, "remedy": error.remedy}  # type: ignore[dict-item]
    _all_of(out, json.dumps(answer).encode())
    return 0


def _write(out: int, kind: bytes, content: bytes) -> None:
    try:
        _all_of(out, HEAD.pack(kind, len(content)) + content)
    except BrokenPipeError:
        os._exit(0)  # the parent has gone; a hanging library cannot block this exit


def _all_of(out: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(out, view) :]


def _own_stdout() -> int:
    """A descriptor for the messages alone; whatever a library prints goes to standard error instead."""
    out = os.dup(_STDOUT)
    os.dup2(sys.stderr.fileno(), _STDOUT)
    return out


def _end_with_the_parent() -> None:
    while os.read(_STDIN, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
