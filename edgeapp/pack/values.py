"""Values of ``pack.json``: of the type and in the range that a program can compute with, before one does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_BYTES = 16 << 20  # a pack.json of a thousand files has some 100 kB
LONGEST_LINE = 1_000  # characters of a name or a licence
MOST_DEPTH = 32  # objects and lists in one another; the format has five


def whole(name: str, value: object, least: int, most: int) -> None:
    """Raise ValueError unless a value is a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {shown(value)}")


def number(name: str, value: object, least: float, most: float) -> None:
    """Raise ValueError unless a value is a number from `least` to `most`; NaN is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ValueError(f"{name} must be a number from {least:g} to {most:g}, not {shown(value)}")


def words(name: str, value: object) -> None:
    """Raise ValueError unless a value is text, and not empty."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{name} must be text, not {shown(value)}")


def line(name: str, value: object) -> None:
    """Raise ValueError unless a value is one line of text that can be shown; it may be empty."""
    if not isinstance(value, str) or not (value.isprintable() and len(value) <= LONGEST_LINE):
        raise ValueError(f"{name} must be one line of text, not {shown(value)}")


def boolean(name: str, value: object) -> bool:
    """A value that is true or false; ValueError for any other."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {shown(value)}")
    return value


def mapping(name: str, value: object) -> Mapping[str, Any]:
    """A value that is a JSON object; ValueError for any other."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be an object, not {shown(value)}")
    return value


def shown(value: object) -> str:
    """A value for a message of one line."""
    text = repr(value) if not isinstance(value, int) or -(10**30) < value < 10**30 else "a number of many digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def parsed(path: Path) -> object:
    """The JSON of a file.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is not JSON, too long, or too deep.
    """
    with open(path, "rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise ValueError(f"over {MOST_BYTES >> 20} MB")
    try:
        document = json.loads(raw.decode("utf-8"))
    except RecursionError:
        raise ValueError("too deep") from None
    if _depth(document) > MOST_DEPTH:
        raise ValueError("too deep")
    return document


def _depth(document: object) -> int:
    level, depth = [document], 0
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth
