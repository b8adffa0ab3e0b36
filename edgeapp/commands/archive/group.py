"""``biovita-edge archive``: hearing recordings, and all that is done with the results."""

from __future__ import annotations

from edgeapp.commands.archive import export, recognise, report, search, summary
from edgeapp.commands.archive.results import app

__all__ = ["app", "export", "recognise", "report", "search", "summary"]
