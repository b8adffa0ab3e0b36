"""``biovita-edge archive``: hearing recordings, and all that is done with the results."""

from __future__ import annotations

from edgeapp.commands import archive_export, archive_recognise, archive_report, archive_search, archive_summary
from edgeapp.commands.archive_results import app

__all__ = ["app", "archive_export", "archive_recognise", "archive_report", "archive_search", "archive_summary"]
