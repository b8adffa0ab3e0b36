"""sqlite-utils, which makes and changes databases, without the pandas that it loads wherever that is installed.

It only asks pandas for types of columns that no database of this project has, and loading pandas takes longer than all
else that a command loads.
"""

from __future__ import annotations

import sys

_hidden = "pandas" not in sys.modules
if _hidden:
    sys.modules["pandas"] = None  # type: ignore[assignment]  # as Python has it for what cannot be imported
try:
    from sqlite_utils import Database, Migrations
finally:
    if _hidden:
        del sys.modules["pandas"]

__all__ = ["Database", "Migrations"]
