"""Errors of the export that a user can cause, each with its remedy."""

from __future__ import annotations

from gallery.errors import BiovitaError


class ExportError(BiovitaError):
    """A pack cannot be written."""

    exit_code = 2


class ParityError(BiovitaError):
    """A graph does not agree with its checkpoint or original; nothing was written."""

    exit_code = 3
