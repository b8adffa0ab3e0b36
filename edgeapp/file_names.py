r"""File names as text.

A file's name is bytes on Linux, and need not be UTF-8: a card written elsewhere has Latin-1 names. Text that leaves the
program (JSON, the journal, tables) names each file by a form from which its bytes can be had again: bytes that are no
UTF-8 are ``\xe9``, and a backslash that really stands before such letters is ``\x5c``. Other names stay as they are.
"""

from __future__ import annotations

import hashlib
import os
import re

LONGEST = 120  # letters of a name that is made: file systems take 255 bytes, Windows 260 characters for a whole path
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_DEVICES = re.compile(r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(?=[. ]|$)", re.I)
_WRITTEN_OUT = re.compile(r"(?:\\udc[89a-f][0-9a-f])+")
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


def utf8(path: str | os.PathLike[str]) -> str | None:
    """A path as libraries take it that know names in UTF-8 alone, whatever the locale; None where it is no UTF-8."""
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return None


def readable(text: str) -> str:
    """A sentence with names in it as text that UTF-8 can carry; bytes that are none are shown as `text_of` does.

    Quoted names as well, in which Python writes out what it could not decode.
    """
    text = _WRITTEN_OUT.sub(lambda found: found[0].encode("ascii").decode("unicode_escape"), text)
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a letter of UTF-16, in a name on Windows
        raw = text.encode("utf-8", "replace")
    return raw.decode("utf-8", "backslashreplace")


def printable(name: str) -> str:
    """A file name on one line of any terminal: undecodable bytes as ``\\xe9``, control characters replaced."""
    return "".join(c if c.isprintable() else "�" for c in readable(name))


def portable(text: str) -> str:
    """A text as the name of a file or a folder that Linux, macOS, Windows and cards take; empty text stays empty.

    What one of them forbids is escaped as in a URL, so that `urllib.parse.unquote` gives the text back: control
    characters, ``<>:"/\\|?*``, letters beyond ASCII, names of devices of Windows (``CON``, ``nul.txt``), and the dots
    and spaces at its end that Windows cuts off. What is too long keeps its end, with a hash of the whole.
    """
    from urllib.parse import quote

    escaped = quote(text, safe=" ,;()[]{}@+=")
    if len(escaped) > LONGEST:
        end = re.sub(r"[^A-Za-z0-9_.-]+", "_", text)[-LONGEST // 2 :]
        escaped = f"{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]} {end}"
    if _DEVICES.match(escaped):
        escaped = f"%{ord(escaped[0]):02X}{escaped[1:]}"
    if escaped[-1:] in (".", " "):
        escaped = f"{escaped[:-1]}%{ord(escaped[-1]):02X}"
    return escaped
