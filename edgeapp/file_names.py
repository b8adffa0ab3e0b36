r"""File names as text.

A file's name is bytes on Linux, and need not be UTF-8: a card written elsewhere has Latin-1 names. Text that leaves the
program (JSON, the journal, tables) names each file by a form from which its bytes can be had again: bytes that are no
UTF-8 are ``\xe9``, and a backslash that really stands before such letters is ``\x5c``. Other names stay as they are.
"""

from __future__ import annotations

import os
import re

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_LOOKS_ESCAPED = re.compile(rb"\\(?=x[0-9a-f]{2})")


def text_of(name: str | os.PathLike[str]) -> str:
    """A name, with surrogates for undecodable bytes as Python gives it, as text that UTF-8 can carry."""
    raw = os.fspath(name)
    try:
        whole = os.fsencode(raw)
    except UnicodeEncodeError:  # a name of elsewhere, in a locale that has no such letter
        whole = raw.encode("utf-8", "surrogatepass")
    return _LOOKS_ESCAPED.sub(rb"\\x5c", whole).decode("utf-8", "backslashreplace")


def name_of(text: str) -> str:
    """The name of which `text_of` made a text."""
    return os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text.encode("utf-8", "surrogatepass")))


def readable(text: str) -> str:
    """A sentence with names in it as text that UTF-8 can carry; bytes that are none are shown as `text_of` does."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a letter of UTF-16, in a name on Windows
        raw = text.encode("utf-8", "replace")
    return raw.decode("utf-8", "backslashreplace")


def printable(name: str) -> str:
    """A file name on one line of any terminal: undecodable bytes as ``\\xe9``, control characters replaced."""
    return "".join(c if c.isprintable() else "�" for c in readable(name))
