"""``biovita-edge archive``: hearing recordings, and all that is done with the results."""

from __future__ import annotations

from edgeapp.commands import archive_export, archive_summary
from edgeapp.commands.archive import archive
from edgeapp.commands.archive_results import RUN, app

__all__ = ["app", "archive_export", "archive_summary"]

app.command(RUN)(archive)
