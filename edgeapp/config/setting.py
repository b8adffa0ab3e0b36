"""One row of the table of settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PREFIX = "BIOVITA"  # of the environment

# The one spelling of what a value is, in the help of every command.
# fmt: off
METAVARS = (
    "FILE", "FOLDER", "GLOB", "LIST", "URL", "NAME", "TAXON", "TEXT", "ID", "CLIP", "USER", "HEX", "NUMBER", "SECONDS",
    "DAYS", "DEGREES", "WEEK", "DATE", "TIME", "ZONE", "LANGUAGE", "FORMAT", "PROVIDER", "MODALITIES", "HZ", "MB",
    "FRACTION", "CONFIDENCE", "CHANNEL", "HOST", "PORT", "HEADER", "CAPABILITY",
    "LEVEL", "KEY", "VALUE",
)  # alone, or several with | and = between them
# fmt: on


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes
    ----------
    section, name : str
        Where it stands in the file, and in `Settings`.
    type : type
        Of the value, or of each value: bool, int, float, str or Path.
    default : Any
        A tuple when `many`; None is "not set".
    help : str
        What it is, in one line.
    flag : str
        Option of ``listen``; empty for what has none, such as a password, which every user of a machine would see.
    short : str
        Its short form, or empty.
    metavar : str
        What the help calls the value, of `METAVARS`. If empty: the choices, or FILE, SECONDS (float) or NUMBER (int).
    panel : str
        Group of the option in ``--help``; that of the section if empty.
    choices : tuple[str, ...]
        The only values, if there are any.
    minimum, maximum, above : float or None
        Bounds of a number; `above` itself is too little.
    many : bool
        Takes several values.
    commas : bool
        Several values come in one flag, with commas between them; otherwise the flag is given again.
    optional : bool
        May be left unset. An empty text unsets what the file sets.
    secret : bool
        Never shown.
    address : bool
        May be an address with a log-in, which is never shown.
    read : bool
        A file or folder that must be there.
    pack : bool
        The name of an installed pack, or a folder.
    """

    section: str
    name: str
    type: type
    default: Any
    help: str
    flag: str = ""
    short: str = ""
    metavar: str = ""
    panel: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    many: bool = False
    commas: bool = False
    optional: bool = False
    secret: bool = False
    address: bool = False
    read: bool = False
    pack: bool = False

    @property
    def key(self) -> str:
        """Its name in messages: ``clips.pre_roll``."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its name in the environment: ``BIOVITA_CLIPS_PRE_ROLL``."""
        return f"{PREFIX}_{self.section}_{self.name}".upper()

    @property
    def bounds(self) -> str:
        """The bounds in words, empty without any."""
        low = f"above {self.above:g}" if self.above is not None else ""
        low = f"at least {self.minimum:g}" if self.minimum is not None else low
        high = f"at most {self.maximum:g}" if self.maximum is not None else ""
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        return " and ".join(part for part in (low, high) if part)


def setting(default: Any, help: str, flag: str = "", **more: Any) -> Any:
    """A field of a section, with its row of the table."""
    return field(default=default, metadata={"help": help, "flag": flag, **more})
