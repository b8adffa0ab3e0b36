"""``biovita-edge archive``: all its commands."""

from __future__ import annotations

from edgeapp.commands import archive_export, archive_summary
from edgeapp.commands.archive_results import app

__all__ = ["app", "archive_export", "archive_summary"]
