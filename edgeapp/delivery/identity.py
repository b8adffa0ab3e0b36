"""What a station is called where others must tell it from all others: in topics, at the broker, in Home Assistant.

All of it comes from the name of the station, and is the same after every restart. Two names never become one, except in
capitals, blanks and punctuation.
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

_RANDOM_NODE = 1 << 40  # set by `uuid.getnode` where the machine has no address of its own


def topic_level(name: str) -> str:
    """A name as one level of a topic: in lower case, with what a topic cannot hold made ``_``.

    A name that would lose more than blanks and punctuation, such as emoji, or the vowel signs of Hindi, gets a hash.
    """
    whole = unicodedata.normalize("NFC", name).strip().lower()
    level = re.sub(r"[^\w-]+", "_", whole).strip("_")
    lost = re.sub(r"[\w-]", "", whole)
    if any(unicodedata.category(one)[0] in "MS" for one in lost if not one.isascii()) or (whole and not level):
        return f"{level or NAMELESS}_{_hash(whole)}"
    return level or NAMELESS


def node_id(name: str) -> str:
    """The id of a station in Home Assistant, of ASCII letters, digits, ``_`` and ``-``."""
    level = topic_level(name)
    if level.isascii():
        return f"{PREFIX}-{level}"
    letters = unicodedata.normalize("NFKD", level).encode("ascii", "ignore").decode()
    readable = re.sub(r"[^a-z0-9_-]+", "_", letters).strip("_")
    return f"{PREFIX}-{readable or NAMELESS}_{_hash(level)}"


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


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
