"""One value of one setting: read from text or from TOML, checked against its row of the table."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from edgeapp.config.setting import Setting
from edgeapp.errors import UsageError
from edgeapp.file_names import readable

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}


@dataclass(frozen=True)
class Fault:
    """A fault of one value or key: where, what, and the remedy.

    Attributes
    ----------
    where : str
        File and key, variable, or flag.
    """

    where: str
    what: str
    remedy: str

    def error(self, more: int = 0) -> ConfigError:
        """The fault as an error; `more` is how many others were found beside it."""
        others = f" ({more} more; `biovita-edge config check` shows all)" if more else ""
        return ConfigError(f"{self.where}: {self.what}", f"{self.remedy}{others}")

    def __str__(self) -> str:
        return " ".join(f"{self.where}: {self.what}; {self.remedy}".split())


class ConfigError(UsageError):
    """A setting or a file of settings that cannot be used."""


class BadValue(Exception):
    """A value that its setting does not take: what is wrong, and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what, self.remedy = what, remedy


def from_text(setting: Setting, text: str, separator: str = ",") -> Any:
    """The value of a setting given as text, as in the environment.

    Raises
    ------
    BadValue
    """
    if setting.many:
        return tuple(_one_from_text(setting, part) for part in split(text, separator))
    if setting.optional and not text.strip():
        return None
    return _one_from_text(setting, text)


def from_texts(setting: Setting, texts: Iterable[str]) -> Any:
    """The values of a setting that may be given again, each from its own text."""
    parts = [part for text in texts for part in (split(text, ",") if setting.commas else [text])]
    return tuple(_one_from_text(setting, part.strip()) for part in parts if part.strip())


def from_toml(setting: Setting, value: Any, folder: Path) -> Any:
    """The value of a setting as TOML gives it; relative paths start at `folder`.

    Raises
    ------
    BadValue
    """
    if setting.many:
        if isinstance(value, str):
            value = split(value, ",") if setting.commas else [value]
        if not isinstance(value, list):
            raise _wrong(setting, value, "a list", f"[{_example(setting)}, ...]")
        return tuple(_one_from_toml(setting, one, folder) for one in value if one != "")
    if setting.optional and value == "":
        return None
    return _one_from_toml(setting, value, folder)


def near(wanted: str, known: Iterable[str]) -> str:
    """A remedy: the known name that looks most like what was written, or all of them."""
    names = list(known)
    folded = {name.casefold(): name for name in names}
    close = get_close_matches(wanted.casefold(), folded, n=1)
    return f"did you mean {folded[close[0]]!r}?" if close else f"use {', '.join(names)}"


def split(text: str, separator: str) -> list[str]:
    """The parts of a text that are not empty."""
    return [part.strip() for part in text.split(separator) if part.strip()]


def _one_from_text(setting: Setting, text: str) -> Any:
    text = text.strip()
    if setting.type is Path:
        return _path(setting, text)
    if setting.type is bool:
        if text.casefold() not in (*TRUE, *FALSE):
            raise _wrong(setting, text)
        return text.casefold() in TRUE
    try:
        return _checked_one(setting, setting.type(readable(text)))  # which a locale may not have decoded
    except ValueError:
        raise _wrong(setting, text) from None


def _one_from_toml(setting: Setting, value: Any, folder: Path) -> Any:
    if setting.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if setting.type is Path and isinstance(value, str):
        return folder / _path(setting, os.fsdecode(value.encode("utf-8", "surrogateescape")))
    if setting.pack and isinstance(value, str):
        return _pack(setting, value, folder)
    # bool is a kind of int in Python, and not in TOML.
    if not isinstance(value, setting.type) or (setting.type is not bool and isinstance(value, bool)):
        raise _wrong(setting, value)
    return _checked_one(setting, value)


def _path(setting: Setting, text: str) -> Path:
    if not text:
        raise _wrong(setting, text)
    _checked_one(setting, text)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise BadValue(f"{text}: there is no such user", "write the whole path") from None


def _pack(setting: Setting, text: str, folder: Path) -> str:
    """The name of an installed pack, or a folder, which starts at that of the file."""
    from edgeapp.pack.installed import installed_packs

    place = folder / _path(setting, text)
    known = place.name == text and (not place.is_dir() or text in (one.name for one in installed_packs()))
    return text if known else str(place)


def _checked_one(setting: Setting, value: Any) -> Any:
    """The value itself, when it is one of the choices and within the bounds."""
    if setting.choices and value not in setting.choices:
        raise BadValue(f"there is no {value!r}", near(value, setting.choices))
    if setting.type in (int, float):
        _check_bounds(setting, value)
    if setting.type is str and not value.strip():
        raise _wrong(setting, value)
    if setting.type in (str, Path) and any(not char.isprintable() for char in readable(value)):
        what = "it" if setting.secret or setting.address else repr(value)
        raise BadValue(f"{what} has a non-printable character", "leave it out")
    return value


def _check_bounds(setting: Setting, value: float) -> None:
    low = setting.minimum is not None and value < setting.minimum
    low = low or (setting.above is not None and value <= setting.above)
    high = setting.maximum is not None and value > setting.maximum
    if not math.isfinite(value) or low or high:
        raise BadValue(f"is {value:g}", f"give {setting.bounds or 'a number'}")


def _wrong(setting: Setting, value: Any, wanted: str = "", example: str = "") -> BadValue:
    wanted, example = wanted or WORDS[setting.type], example or _example(setting)
    found = "is" if setting.secret else f"is {_shown(value)},"  # a secret is nobody's to read, a wrong one included
    return BadValue(f"{found} not {wanted}", f"write for example {example}")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _example(setting: Setting) -> str:
    if setting.choices:
        return f'"{setting.choices[0]}"'
    if setting.type is bool:
        return "true"
    if setting.type in (int, float):
        default = setting.default
        return f"{default:g}" if isinstance(default, (int, float)) else f"{setting.minimum or setting.above or 1:g}"
    return '"folder/file"' if setting.type is Path else '"text"'
