"""Errors a person can cause, each with its remedy and the exit code of the command line.

Exit codes: 0 done; 1 some inputs failed; 2 usage or configuration; 3 pack or gallery unusable.
"""

from __future__ import annotations

from gallery.errors import BiovitaError, GalleryError

__all__ = [
    "AudioError",
    "BiovitaError",
    "DeviceError",
    "EngineError",
    "GalleryError",
    "OutputError",
    "PackError",
    "UsageError",
]


class AudioError(BiovitaError):
    """One input cannot be heard; the other inputs are still done."""

    exit_code = 1


class UsageError(BiovitaError):
    """A setting that cannot be carried out."""

    exit_code = 2


class OutputError(BiovitaError):
    """The result cannot be written where it was asked for."""

    exit_code = 2


class DeviceError(BiovitaError):
    """A microphone or accelerator that is not there or does not answer."""

    exit_code = 2


class PackError(BiovitaError):
    """A pack that is missing, changed, or made for another version."""

    exit_code = 3


class EngineError(PackError):
    """A graph or built engine that this device cannot run, or runs wrongly."""
