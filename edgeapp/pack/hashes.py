"""Hashes of files, those of large ones remembered: a gallery of gigabytes is not read through at every start.

A file is taken for the same as long as its size, its inode and its times of change are. So what was hashed once is not
hashed again; damage to vectors of a gallery since then shows in their own checksums.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from edgeapp.paths import cache_folder
from gallery.files import write_text

LARGE_BYTES = 256_000_000  # some tenths of a second of hashing
SETTLED_S = 2.0  # age of a change from which another one has another time on any file system
MOST = 100  # files remembered
REMEMBERED = "hashes.json"


def sha256(path: Path) -> str:
    """Hash of a file, hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def known_sha256(path: Path) -> str:
    """The same, remembered of a large file.

    Raises
    ------
    OSError
        It cannot be read.
    """
    found = os.stat(path)
    if found.st_size < LARGE_BYTES:
        return sha256(path)
    key = str(path.resolve())
    state = [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]
    known = _known()
    if known.get(key, [None])[:-1] == state:
        return str(known[key][-1])
    settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > SETTLED_S * 1e9
    digest = sha256(path)
    if settled:
        known.pop(key, None)
        kept = [*known.items(), (key, [*state, digest])][-MOST:]
        with suppress(OSError):  # without a folder of the user's own it is hashed at every start
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / REMEMBERED, json.dumps(dict(kept)))
    return digest


def _known() -> dict[str, list[object]]:
    """Path to size, inode, times of change and hash; empty where nothing is remembered that can be read."""
    try:
        found = json.loads((cache_folder() / REMEMBERED).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, list) and len(value) == 5}
