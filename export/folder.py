"""The folder of a pack while it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from edgeapp.pack.format import PACK_FILE
from export.errors import ExportError
from gallery import files


def refuse_other(out: Path) -> None:
    """Refuse a folder that exists and is not a pack.

    Raises
    ------
    ExportError
        It is one.
    """
    try:
        other = out.exists() and (not out.is_dir() or (any(out.iterdir()) and not _is_pack(out)))
    except OSError as error:
        raise ExportError(f"{out}: {error.strerror or error}", "name another folder with --out") from None
    if other:
        raise ExportError(f"{out}: exists and is not a pack", "name another folder with --out")


def _is_pack(folder: Path) -> bool:
    """Whether it was written as a pack, however damaged it is now."""
    try:
        document = json.loads((folder / PACK_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"format", "encoder", "files"} <= document.keys()


@contextmanager
def new_pack(out: Path) -> Iterator[Path]:
    """A temporary folder, which replaces `out` when the block ends without an error.

    Raises
    ------
    ExportError
        `out` exists and is not a pack, or cannot be written.
    """
    refuse_other(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with files.temporary_folder_for(out) as folder:
            yield folder
            files.put_folder_in_place(folder, out)
    except OSError as error:
        what = f"{error.filename or out}: {error.strerror or error}"
        raise ExportError(what, "check the folder and the disk") from None


def today() -> str:
    """Today's date (UTC) as the version of a pack."""
    return datetime.now(timezone.utc).strftime("%Y.%m.%d")
