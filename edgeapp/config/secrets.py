"""Secrets of the settings: given as a value or in a file of their own, and never shown.

Beside each setting that is secret stands one with the same name and ``_file``: the command line and environment of a
program are read by others, a file need not be. In a file of several values each has a line of its own.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from edgeapp import read_once
from edgeapp.audio.microphones.addresses import redacted
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SETTINGS, Settings
from edgeapp.errors import UsageError

HIDDEN = "(hidden)"
SHORT = 4  # letters of a secret, below which only the whole word is replaced

SECRETS: Mapping[str, Setting] = {one.key: one for one in SETTINGS if one.secret}
FILES: Mapping[str, Setting] = {key: next(one for one in SETTINGS if one.key == f"{key}_file") for key in SECRETS}


def text_in(path: Path, key: str) -> str:
    """The text of a file that a setting names; of a pipe, what it held the first time.

    Raises
    ------
    UsageError
        It cannot be read.
    """
    try:
        return read_once.text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UsageError(f"{path}: cannot be read ({reason})", f"correct {key}") from None


def secrets_of(settings: Settings, key: str) -> tuple[str, ...]:
    """The values of a secret setting, from the settings or from its file; none where it is not set.

    Raises
    ------
    UsageError
        The file cannot be read, or holds another number of values.
    """
    setting, path = SECRETS[key], settings.value(FILES[key])
    if path is None:
        value = settings.value(setting)
        return tuple(value) if setting.many else () if value is None else (value,)
    text = text_in(path, FILES[key].key)
    lines = [line.strip() for line in text.splitlines()] if setting.many else [text.rstrip("\r\n")]
    found = tuple(line for line in lines if line and not (setting.many and line.startswith("#")))
    if not found:
        raise UsageError(f"{path}: is empty", f"write the secret into it, or correct {FILES[key].key}")
    if any(not char.isprintable() for line in found for char in line):
        raise UsageError(f"{path}: has a non-printable character", "keep one line in it, and nothing else")
    return found


def secret_of(settings: Settings, key: str) -> str | None:
    """The one value of a secret setting; see `secrets_of`."""
    found = secrets_of(settings, key)
    return found[0] if found else None


class Redaction:
    """Texts without the secrets of some settings, in whatever form they stand there.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        forms: set[str] = set()
        for key in SECRETS:
            try:
                values = secrets_of(settings, key)
            except UsageError:
                continue  # nobody has read it
            for value in values:
                forms |= _forms(value)
        for setting in SETTINGS:
            for value in settings.value(setting) if setting.address else ():
                # A source in the network may have a log-in in its address.
                forms |= _forms(value) if "://" in value and redacted(value) != value else set()
        words = [
            re.escape(form) if len(form) >= SHORT else rf"\b{re.escape(form)}\b"
            for form in sorted(forms, key=len, reverse=True)
        ]
        self._pattern = re.compile("|".join(words)) if words else None

    def __call__(self, text: str) -> str:
        """The text, with every secret hidden."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


def _forms(secret: str) -> set[str]:
    """A secret as it may be found in a text: escaped, encoded, and the parts of a URL or a header that are secret."""
    parts = {secret}
    if "://" in secret:
        try:
            url = urlsplit(secret)
            parts |= {
                url.path.strip("/"),
                url.query,
                url.username or "",
                url.password or "",
                url.netloc.rpartition("@")[0],
            }
            parts |= {part.partition("=")[2] for part in url.query.split("&")}
            parts |= {part for part in url.path.split("/") if len(part) > SHORT}
        except ValueError:
            pass
    elif ": " in secret:
        value = secret.partition(":")[2].strip()
        parts |= {value, value.rpartition(" ")[2]}
    found: set[str] = set()
    for part in filter(None, parts):
        escaped = json.dumps(part)[1:-1]
        found |= {part, unquote(part), quote(part, safe=""), escaped, base64.b64encode(part.encode()).decode()}
    return found
