"""Databases are made and changed without loading what is not needed for it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["gallery.migrations", "edgeapp.journal"])
def test_what_changes_databases_loads_no_pandas(module: str) -> None:
    code = f"import sys, {module}; print([name in sys.modules for name in ('sqlite_utils', 'pandas', 'pyarrow')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[True, False, False]\n"


def test_pandas_can_be_loaded_afterwards() -> None:
    pytest.importorskip("pandas")
    code = "import gallery.migrating, pandas; print(pandas.DataFrame({'n': [1]}).n.sum())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
