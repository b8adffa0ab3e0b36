"""Tables of traits."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeapp.collect.traits.schema import LABELS, UNKNOWN, TraitTable


@pytest.fixture
def written(tmp_path: Path):
    def write(*lines: str) -> Path:
        path = tmp_path / "traits.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def said(table: TraitTable, name: str) -> dict[str, int]:
    """What a table knows of a species."""
    (values,) = table.of([name])
    return {label.name: int(value) for label, value in zip(LABELS, values) if value != UNKNOWN}
