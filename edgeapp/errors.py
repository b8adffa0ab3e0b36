"""Errors a person can cause, each with its remedy and the exit code of the command line.

Exit codes: 0 done; 1 some inputs failed; 2 usage or configuration; 3 pack or gallery unusable.
"""

from __future__ import annotations

from gallery.errors import BiovitaError, GalleryError

__all__ = [
    "AudioError",
    "BiovitaError",
    "CollectError",
    "DeviceError",
    "EngineError",
    "GalleryError",
    "OutputError",
    "PackError",
    "PassedOverError",
    "UsageError",
]


class AudioError(BiovitaError):
    """One input cannot be decoded; the other inputs are still processed."""

    exit_code = 1


class PassedOverError(AudioError):
    """An input that never was a recording and is not missed, such as a companion file of macOS."""

    exit_code = 0


class UsageError(BiovitaError):
    """An invalid option or setting."""

    exit_code = 2


class OutputError(BiovitaError):
    """The output cannot be written."""

    exit_code = 2


class DeviceError(BiovitaError):
    """A microphone or accelerator that is missing or does not respond."""

    exit_code = 2


class CollectError(BiovitaError):
    """A public archive that cannot be read or asked, or files of it that are not what they should be."""

    exit_code = 1


class PackError(BiovitaError):
    """A pack that is missing, changed, or made for another version."""

    exit_code = 3


class EngineError(PackError):
    """A graph or built engine that this device cannot run, or runs wrongly."""
