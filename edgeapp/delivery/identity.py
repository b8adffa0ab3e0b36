"""What a station is called where others must tell it from all others: in topics, at the broker, in Home Assistant.

All of it comes from the name of the station, and is the same after every restart. A name that can stand there as it is
does; one that cannot is made readable and gets a hash of what it was, so that two names never become one. How a name is
encoded (NFC, NFD) and blanks around it are no part of it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import uuid
from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")
DIGITS = 8  # of a hash: among a thousand stations the chance of two alike is one in ten thousand
PREFIX = "biovita-edge"
NAMELESS = "station"

_TAKEN = re.compile(rf"_([0-9a-f]{{{DIGITS}}}|microphone_\d+)$")  # how ids end that were made of another name
_RANDOM_NODE = 1 << 40  # set by `uuid.getnode` where the machine has no address of its own


def topic_level(name: str) -> str:
    """A name as one level of a topic: small letters of any script, digits, ``_`` and ``-``."""
    whole = _whole(name)
    return _unique(whole, _readable(whole))


def node_id(name: str) -> str:
    """The id of a station in Home Assistant: small ASCII letters, digits, ``_`` and ``-``."""
    whole = _whole(name)
    letters = unicodedata.normalize("NFKD", _readable(whole)).encode("ascii", "ignore").decode()
    return f"{PREFIX}-{_unique(whole, _readable(letters))}"


def client_id(name: str, journal: Path) -> str:
    """The id of a client at a broker: that of the station, on this machine and with this journal.

    Stations of the same name on two machines, or with two journals, do not throw each other out.
    """
    address = uuid.getnode()
    parts = [_machine_id(), "" if address & _RANDOM_NODE else f"{address:x}", str(journal.resolve())]
    return f"{node_id(name)}-{_hash(chr(10).join(parts))}"


def _machine_id() -> str:
    try:
        return MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _whole(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _readable(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name.lower()).strip("_")


def _unique(name: str, readable: str) -> str:
    """The readable form of a name, with a hash unless it is the name itself and no other name can lead to it."""
    if readable == name and readable and not _TAKEN.search(readable):
        return readable
    return f"{readable or NAMELESS}_{_hash(name)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
