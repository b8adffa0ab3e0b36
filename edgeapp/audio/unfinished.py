"""Whether a recorder is done with a file: what its header says, and whether anybody has it open to write."""

from __future__ import annotations

import os
from pathlib import Path

from edgeapp.audio.formats.decoder import DamagedError
from edgeapp.audio.formats.ogg_pages import ends_stream
from edgeapp.audio.formats.wave import is_wav, layout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HEAD = 64
FLAC, OGG = b"fLaC", b"OggS"


def ends_too_early(path: Path) -> bool:
    """Whether the header of a recording announces more than there is, or nothing yet, as while it is written.

    False where the format does not tell, and of what is no recording.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            if is_wav(head):
                found = layout(file)
                return found.announced is None or found.announced == 0 or found.size < found.announced
            if head[:4] == FLAC:  # the number of samples: 36 bits, which an encoder writes last
                return len(head) < 26 or int.from_bytes(head[21:26], "big") & (1 << 36) - 1 == 0
            if head[:4] == OGG:
                return not ends_stream(file)
    except DamagedError:
        return head[:4] in (b"RIFF", b"RF64", b"BW64")  # a header without its sound
    except OSError:
        return False
    return False


def is_open_to_write(path: Path) -> bool | None:
    """Whether a process of this machine has a file open to write; None where the system does not tell.

    A lease to read is given by Linux only where nobody has; see fcntl(2).
    """
    if fcntl is None or not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:  # another user's file, or a file system without leases
        return None
    finally:
        os.close(handle)
    return False
